//! Least privilege: the role of each function allows exactly the calls that the function makes, on exactly
//! the resources that it uses. The roles are read from the template; a proxy between the functions and AWS
//! records the calls.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use local_stack::deployment::transformed;
use local_stack::senders::{SENDERS, Sample, Sender};
use local_stack::{stack, watch};
use serde_json::{Value, json};
use tests::{Call, Fault, FaultProxy, Function, Host, LocalAws, Rule, post};

/// A permission: an action, the resource (by its name in the template), and the prefix of the item keys, such
/// as `umaaas#`. Only the events table has items of several owners, so only its permissions have a prefix.
type Right = (String, String, Option<String>);

/// The template's conditions that are true in these tests. The stack has a receiver directory, but no
/// encryption key of the deployer: the permissions for such keys are not checked.
const HOLDS: [&str; 4] =
    ["HasReceiverDirectory", "UmaaasHasDirectory", "GridHasDirectory", "UmaaasSignsWithSecret"];

#[tokio::test]
async fn a_role_allows_exactly_the_calls_of_its_function() {
    let template = transformed(&[]).await.unwrap();
    let aws = LocalAws::start().await;
    watch::build().await.unwrap();
    let proxy = FaultProxy::start(&aws.stack.endpoint).await;
    let mut checked = BTreeSet::new();
    for provider in SENDERS {
        for binary in provider.binaries {
            let function = Deployed::of(&template, binary);
            let environment = function.environment(&aws, provider, &proxy).await;
            let host = Host::start().await;
            let _function = Function::start(&host, binary, &environment);
            host.idle(1).await;
            for event in deliveries(provider, binary) {
                host.invoke(event).await.unwrap();
                host.idle(1).await;
            }
            let done = function.done(&environment, &proxy.take_whole_calls());
            assert_eq!(done, function.allowed(), "{binary}");
            checked.insert(function.name.clone());
        }
    }

    // the reconciler, with something to forward, and with a queue that fails
    let function = Deployed::of(&template, "reconciler");
    let mut environment = aws.stack.shared_environment();
    environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
    let host = Host::start().await;
    let _function = Function::start(&host, "reconciler", &environment);
    for fault in [None, Some(Fault::Fail)] {
        leave_behind(&aws).await;
        proxy.take_calls();
        proxy.set(fault.map(|fault| Rule { operation: "SendMessageBatch", fault, times: None }));
        let summary = host.invoke_raw(json!({})).await.unwrap();
        assert_eq!(summary["due"], SENDERS.len(), "{summary}");
        let done = function.done(&environment, &proxy.take_whole_calls());
        assert_eq!(done, function.allowed(), "reconciler, {fault:?}");
    }
    checked.insert(function.name.clone());

    let functions = of_type(&template, "AWS::Lambda::Function").map(|(name, _)| name.clone());
    assert_eq!(checked, functions.collect(), "the template has no other function");
}

/// A role also allows Lambda to write the function's log and traces, and has no wildcard actions or
/// resources.
#[tokio::test]
async fn a_role_allows_logs_and_traces_and_has_no_wildcards() {
    let template = transformed(&[]).await.unwrap();
    for (name, _) in of_type(&template, "AWS::Lambda::Function") {
        let function = Deployed::named(&template, name);
        let log = reference(&function.properties["LoggingConfig"]["LogGroup"]);
        let mut own_log = BTreeSet::new();
        for statement in function.statements() {
            for action in each(&statement["Action"]) {
                let action = action.as_str().unwrap();
                assert!(!action.contains('*'), "{name}: {action}");
                for resource in each(&statement["Resource"]) {
                    // X-Ray has no resource types (Service Authorization Reference, "AWS X-Ray").
                    let any = resource == "*" || reference(resource).contains('*');
                    assert_eq!(any, action.starts_with("xray:"), "{name}: {action} on {resource}");
                    if action.starts_with("logs:") && reference(resource) == log {
                        own_log.insert(action);
                    }
                }
            }
        }
        assert_eq!(own_log, BTreeSet::from(["logs:CreateLogStream", "logs:PutLogEvents"]), "{name}");
        let traced = function
            .statements()
            .iter()
            .any(|statement| each(&statement["Action"]).any(|action| action == "xray:PutTraceSegments"));
        assert!(traced && function.properties["TracingConfig"]["Mode"] == "Active", "{name}");
    }
}

/// A function of the template.
struct Deployed<'a> {
    name: String,
    properties: &'a Value,
    template: &'a Value,
}

impl<'a> Deployed<'a> {
    fn of(template: &'a Value, binary: &str) -> Self {
        let archive = format!("{binary}.zip");
        let is_of = |(_, function): &(&String, &Value)| function["Properties"]["Code"]["S3Key"] == archive;
        let (name, _) = of_type(template, "AWS::Lambda::Function").find(is_of).unwrap();
        Self::named(template, name)
    }

    fn named(template: &'a Value, name: &str) -> Self {
        Self { name: name.to_owned(), properties: &template["Resources"][name]["Properties"], template }
    }

    /// The policy statements of the function's role, with the conditions that [hold](HOLDS).
    fn statements(&self) -> Vec<&'a Value> {
        let role = &self.template["Resources"][reference(&self.properties["Role"])]["Properties"];
        assert!(role.get("ManagedPolicyArns").is_none(), "{}: a role has only inline policies", self.name);
        let policies = role["Policies"].as_array().unwrap().iter();
        let statements =
            policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap());
        statements.filter_map(chosen).collect()
    }

    /// The calls that the role allows.
    fn allowed(&self) -> BTreeSet<Right> {
        let mut rights = BTreeSet::new();
        for statement in self.statements() {
            assert_eq!(statement["Effect"], "Allow");
            for action in each(&statement["Action"]).map(|action| action.as_str().unwrap()) {
                if action.starts_with("logs:") || action.starts_with("xray:") {
                    continue;
                }
                for resource in each(&statement["Resource"]) {
                    rights.extend(
                        keys(statement).into_iter().map(|key| (action.to_owned(), reference(resource), key)),
                    );
                }
            }
        }
        rights
    }

    /// The permissions that the recorded calls needed. The function's environment variables are used to find
    /// the resources' names in the template.
    fn done(&self, environment: &[(String, String)], calls: &[Call]) -> BTreeSet<Right> {
        let variables = &self.properties["Environment"]["Variables"];
        let named = |value: &str| {
            let known = environment.iter().filter(|(_, known)| known == value);
            let mut names = known.filter_map(|(variable, _)| chosen(variables.get(variable)?));
            reference(names.next().unwrap_or_else(|| panic!("the template does not give it {value}")))
        };
        let rights = calls.iter().flat_map(needed);
        rights
            .map(|Needed { action, resource, index, key }| {
                let table = named(resource);
                let resource = index.map(|index| format!("{table}/index/{index}")).unwrap_or(table);
                (action, resource, key.map(|key| prefix_of(key).to_owned()))
            })
            .collect()
    }

    /// The environment variables that the template gives to the function, with the resources of the local
    /// AWS.
    async fn environment(
        &self,
        aws: &LocalAws,
        provider: &Sender,
        proxy: &FaultProxy,
    ) -> Vec<(String, String)> {
        let manager = aws_sdk_secretsmanager::Client::new(&stack::config(&aws.stack.endpoint));
        let secret = manager.create_secret().name(&self.name).secret_string(provider.secret()).send().await;
        let mut environment = aws.stack.environment(provider);
        environment.retain(|(name, _)| name != provider.keys_variable && !name.ends_with("_QUEUE_URL"));
        environment.push((format!("{}_ARN", provider.keys_variable), secret.unwrap().arn.unwrap()));
        environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
        if self.properties["Environment"]["Variables"].get("APPROVAL_POLICY").is_some() {
            environment.push(("APPROVAL_POLICY".into(), policy_with_a_limit()));
        }
        if self.properties["Environment"]["Variables"].get("RECEIVER_DIRECTORY_TABLE").is_some() {
            environment.push(("RECEIVER_DIRECTORY_TABLE".into(), create_directory(aws).await));
        }
        environment
    }
}

/// A permission that a call needs, with the resource as the call names it.
#[derive(Debug, PartialEq)]
struct Needed<'a> {
    action: String,
    /// The name or address of the resource.
    resource: &'a str,
    /// The index of a table.
    index: Option<&'a str>,
    /// The key of an item of the events' table.
    key: Option<&'a str>,
}

/// The permissions that a call needs.
fn needed(call: &Call) -> Vec<Needed<'_>> {
    let parameter = |name: &str| call.parameters[name].as_str();
    let (service, resource) = match call.target.split(['_', '.']).next().unwrap() {
        // A transaction needs the permission for each of its parts (DynamoDB Developer Guide, "Using IAM with
        // DynamoDB transactions").
        "DynamoDB" if call.operation() == "TransactWriteItems" => {
            let parts = call.parameters["TransactItems"].as_array().unwrap().iter();
            let parts = parts.flat_map(|part| part.as_object().unwrap());
            return parts
                .map(|(kind, part)| Needed {
                    action: format!("dynamodb:{kind}Item"),
                    resource: part["TableName"].as_str().unwrap(),
                    index: None,
                    key: key(part),
                })
                .collect();
        }
        "DynamoDB" if call.operation() == "BatchGetItem" => {
            let tables = call.parameters["RequestItems"].as_object().unwrap().iter();
            let keys = tables.flat_map(|(table, wanted)| {
                wanted["Keys"].as_array().unwrap().iter().map(move |key| (table, key))
            });
            return keys
                .map(|(table, key)| Needed {
                    action: "dynamodb:BatchGetItem".into(),
                    resource: table,
                    index: None,
                    key: key["pk"]["S"].as_str(),
                })
                .collect();
        }
        "DynamoDB" => ("dynamodb", parameter("TableName")),
        "AmazonSQS" => ("sqs", parameter("QueueUrl")),
        "secretsmanager" => ("secretsmanager", parameter("SecretId")),
        other => panic!("{other}: {call:?}"),
    };
    // A batch call needs the permission of the single call (Service Authorization Reference, "Amazon SQS").
    let action = format!("{service}:{}", call.operation().trim_end_matches("Batch"));
    let (index, key) = (parameter("IndexName"), key(&call.parameters));
    vec![Needed { action, resource: resource.unwrap(), index, key }]
}

/// The key of the record that a call, or a part of a transaction, reads or writes. `None` for the items of a
/// receiver directory, which have another key attribute.
fn key(parameters: &Value) -> Option<&str> {
    parameters["Key"]["pk"]["S"].as_str().or_else(|| parameters["Item"]["pk"]["S"].as_str())
}

/// The prefix of a key that names its owner: `umaaas#`, for example.
fn prefix_of(key: &str) -> &str {
    let end = key.find('#').unwrap_or_else(|| panic!("{key} names no owner"));
    &key[..=end]
}

/// The key prefixes of the items to which a statement applies. `None` means every item.
fn keys(statement: &Value) -> Vec<Option<String>> {
    let Some(conditions) = statement["Condition"].as_object() else { return vec![None] };
    assert_eq!(conditions.len(), 1, "{statement}");
    let conditions = conditions["ForAllValues:StringLike"].as_object().unwrap();
    assert_eq!(conditions.len(), 1, "{statement}");
    let patterns = conditions["dynamodb:LeadingKeys"].as_array().unwrap().iter();
    let prefixes = patterns.map(|pattern| {
        let prefix = pattern.as_str().unwrap().strip_suffix('*').unwrap();
        assert_eq!(prefix_of(prefix), prefix, "{statement}");
        assert!(!prefix.contains(['*', '?']), "{statement}");
        Some(prefix.to_owned())
    });
    prefixes.collect()
}

#[test]
fn a_transaction_needs_the_permissions_of_its_parts() {
    let call = Call {
        target: "DynamoDB_20120810.TransactWriteItems".into(),
        parameters: json!({"TransactItems": [
            {"Put": {"TableName": "a", "Item": {"pk": {"S": "x#1#2"}}}},
            {"Update": {"TableName": "a", "Key": {"pk": {"S": "y#1"}}}},
            {"ConditionCheck": {"TableName": "b", "Key": {"platformUserId": {"S": "1"}}}},
        ]}),
    };
    let of = |kind: &str, resource, key| Needed {
        action: format!("dynamodb:{kind}Item"),
        resource,
        index: None,
        key,
    };
    let expected =
        [of("Put", "a", Some("x#1#2")), of("Update", "a", Some("y#1")), of("ConditionCheck", "b", None)];
    assert_eq!(needed(&call), expected);
}

/// A provider's functions write only the records of that provider, and what limits count; the reconciler writes the records of all
/// providers.
#[tokio::test]
async fn a_role_may_write_the_records_of_its_own_provider_only() {
    let template = transformed(&[]).await.unwrap();
    let written = |binary: &str| -> BTreeSet<String> {
        let rights = Deployed::of(&template, binary).allowed().into_iter();
        let reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem"];
        let events =
            rights.filter(|(action, resource, _)| resource == "Events" && !reads.contains(&action.as_str()));
        events.map(|(action, _, key)| key.unwrap_or_else(|| panic!("{action} on all items"))).collect()
    };
    let mut all = BTreeSet::new();
    for provider in SENDERS {
        let own = format!("{}#", provider.name);
        let mut expected = BTreeSet::from([own.clone()]);
        if provider.samples.iter().any(|sample| sample.decision.is_some()) {
            // what limits count
            expected.extend(["limit#".to_owned(), "decision#".to_owned()]);
        }
        for binary in provider.binaries {
            assert_eq!(written(binary), expected, "{binary}");
        }
        all.insert(own);
    }
    assert_eq!(written("reconciler"), all);
}

/// Deliveries that make a function use all its calls.
fn deliveries(provider: &Sender, binary: &str) -> Vec<Value> {
    let sample: &Sample = provider
        .samples
        .iter()
        .find(|sample| {
            weavr::KINDS.iter().any(|kind| kind.path == sample.path && kind.family.binary() == binary)
        })
        .or(provider.samples.iter().find(|sample| binary != "weavr-other" || sample.kind == weavr::UNKNOWN))
        .unwrap();
    let body = provider.body(sample).unwrap();
    let signed = |path: &str, body: &str, secret| provider.delivery(path, body.to_owned(), secret);
    let event = |path: &str, body: &str, secret| post(path, &signed(path, body, secret).headers, body);
    let (secret, guess) = (provider.signing_key(), provider.credential.another());
    // the first delivery, another body with the same identity, and a signature that does not match
    let mut events = vec![
        event(sample.path, &body, &secret),
        event(sample.path, &format!("{body} "), &secret),
        event(sample.path, &body, &guess),
    ];
    // the same signed body on every path of a Weavr function
    let headers = signed(sample.path, &body, &secret).headers;
    let paths = weavr::KINDS.iter().filter(|kind| kind.family.binary() == binary).map(|kind| kind.path);
    events.extend(paths.map(|path| post(path, &headers, &body)));
    if provider.samples.iter().any(|sample| sample.decision.is_some()) {
        events.extend(payments(provider).iter().map(|(path, body)| event(path, body, &secret)));
    }
    events
}

/// Payments as UMAaaS and Grid send them. The comments say what the function does in addition to recording each one.
fn payments(provider: &Sender) -> Vec<(&'static str, String)> {
    let sample = provider.samples.iter().find(|sample| sample.decision.is_some()).unwrap();
    let (id, transaction) =
        if provider.name == "grid" { ("id", "data") } else { ("webhookId", "transaction") };
    let pending: Value = serde_json::from_str(&provider.body(sample).unwrap()).unwrap();
    let payment = |change: &dyn Fn(&mut Value)| {
        let mut body = pending.clone();
        change(&mut body);
        (sample.path, body.to_string())
    };
    vec![
        // needs no decision; has the same id as the following payments
        payment(&|body| body[transaction]["status"] = "COMPLETED".into()),
        // the decision asks for information: a transaction checks that there is no final decision yet
        payment(&|body| {
            body[transaction].as_object_mut().unwrap().remove("counterpartyInformation");
        }),
        // approved: a transaction that writes the final decision
        payment(&|_| {}),
        // another body after the final decision
        payment(&|body| body[transaction]["receivedAmount"]["amount"] = 1.into()),
        // approved with a fact from the directory
        payment(&|body| {
            body[id] = format!("Webhook:{}", tests::unique()).into();
            let requested = json!([{"name": "NATIONALITY", "mandatory": true}]);
            match provider.name {
                "grid" => body[transaction]["requestedReceiverCustomerInfoFields"] = requested,
                _ => body["requestedReceiverUserInfoFields"] = requested,
            }
        }),
    ]
}

/// The folder of a policy that decides like the sample and reads a limit, so that the function uses all its calls.
fn policy_with_a_limit() -> String {
    let folder = local_stack::scratch().join(format!("policy-{}", tests::unique()));
    std::fs::create_dir_all(&folder).unwrap();
    let sample = include_str!("../../../shared/decisions/policies/sample.cedar");
    let rule =
        "@id(\"limit\") forbid (principal, action, resource) when { context.limits.day.count > 1000 };";
    std::fs::write(folder.join("policy.cedar"), format!("{sample}\n{rule}\n")).unwrap();
    let limits = r#"{"day": {"by": "sender", "window": "24h"}}"#;
    std::fs::write(folder.join("limits.json"), limits).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// Creates a receiver directory with the receiver of all payments. Returns the table's name.
async fn create_directory(aws: &LocalAws) -> String {
    let name = format!("receivers-{}", tests::unique());
    stack::create_directory(&aws.stack.dynamodb, &name).await.unwrap();
    let text = |value: &str| AttributeValue::S(value.into());
    let put = aws.stack.dynamodb.put_item().table_name(&name);
    // the receiver in events/umaaas/incoming_payment.json and events/grid/incoming_payment.pending.json
    let put = put.item("platformUserId", text("18d3e5f7b4a9c2")).item("NATIONALITY", text("US"));
    put.send().await.unwrap();
    name
}

/// Puts one record of each provider into the table. The records were due long ago.
async fn leave_behind(aws: &LocalAws) {
    use ingest::{Event, Record, Store};
    for provider in SENDERS {
        let mut delivery = verify::Delivery::new("/", "{}");
        (provider.sign)(&mut delivery, &provider.signing_key());
        let keys = provider.signing_key().keys();
        let scheme = match provider.name {
            "umaaas" => umaaas::SIGNATURE,
            "grid" => grid::SIGNATURE,
            _ => weavr::SIGNATURE_V2,
        };
        let event = Event {
            kind: "test".into(),
            key: format!("{}#{}", provider.name, tests::unique()),
            id: "1".into(),
            source: "/test",
            subject: None,
            occurred_at: None,
            published_at: None,
            path: "/test".into(),
            call_ref: None,
            drift: vec![],
            content_sha256: ingest::sha256_hex(b"{}"),
            payload: verify::Verifier::new(scheme).verify(delivery, &keys).unwrap().payload(),
        };
        let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
        let record = Record::new(event, None, 200, "d".into(), long_ago).unwrap();
        let config = stack::config(&aws.stack.endpoint);
        let retention = jiff::SignedDuration::from_hours(24);
        let store = aws::DynamoStore::new(&config, aws.stack.table.clone(), retention, true);
        store.record(&record, aws::budget::RECORD.total).await.unwrap();
    }
}

fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    template["Resources"].as_object().unwrap().iter().filter(move |(_, resource)| resource["Type"] == kind)
}

/// The values of an element that is one value or a list of values.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

/// The value with the conditions that [hold](HOLDS) applied; `None` when that removes the value.
fn chosen(value: &Value) -> Option<&Value> {
    let Some([condition, yes, no]) = value["Fn::If"].as_array().map(Vec::as_slice) else {
        return Some(value);
    };
    let value = if HOLDS.contains(&condition.as_str().unwrap()) { yes } else { no };
    (value["Ref"] != "AWS::NoValue").then_some(value)
}

/// The name in the template of the resource that a value refers to: `Events`, `Events/index/pending`. For a
/// table that is not in the template, it is the name of the parameter in the ARN.
fn reference(value: &Value) -> String {
    if let Some(name) = value["Ref"].as_str() {
        return name.to_owned();
    }
    if let Some(attribute) = value["Fn::GetAtt"].as_array() {
        return attribute[0].as_str().unwrap().to_owned();
    }
    if let Some(text) = value["Fn::Sub"].as_str() {
        let text = text.replace("${", "").replace(".Arn}", "").replace('}', "");
        return text.rsplit(":table/").next().unwrap_or_default().to_owned();
    }
    value.as_str().unwrap().to_owned()
}
