//! The SAM template: the linters have no findings, every documented webhook has a route, and the template is
//! deployed to an emulated AWS with the built functions as its Lambda functions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws::variables::APPROVAL_POLICY;
use aws::{Unset, Variable};
use bytes::Bytes;
use http::Request;
use local_stack::client;
use local_stack::deployment::{Deployment, Options, transformed};
use local_stack::ministack::Ministack;
use local_stack::sam::Sam;
use local_stack::sample_check;
use local_stack::senders::{SENDERS, Sender};
use local_stack::stack;
use local_stack::tools::Tools;
use local_stack::watch;
use serde_json::{Value, json};
use tests::{binaries, valid_envelope};

use crate::alarms::{is_ours, prefix, watched};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_template_has_no_findings() {
    Sam::install().await.unwrap().lint().await.unwrap();
}

#[tokio::test]
async fn signed_webhooks_go_through_the_deployed_template() {
    let tools = Tools::install().await.unwrap();
    watch::build().await.unwrap();
    let ministack = Ministack::start(&tools, 0).await.unwrap();
    let options = Options {
        binaries: &binaries(),
        // the samples' timestamps are older than any tolerance
        parameters: &[
            ("ApprovalPolicy", "sample"),
            ("UmaaasToleranceSeconds", "0"),
            ("GridToleranceSeconds", "0"),
        ],
        functions_endpoint: None,
    };
    let deployment = Deployment::create(&tools, &ministack, &options).await.unwrap();

    // A forgery makes a function read its secret again, but not within two seconds of the last read. A
    // forgery in that time gets 503, because it might be genuine. So start the functions two seconds before
    // the samples.
    for provider in SENDERS {
        let url = format!("{}{}", deployment.url, provider.samples[0].path);
        let unsigned = Request::post(url).body(Bytes::new()).unwrap();
        assert_eq!(client::send(unsigned, WITHIN).await.unwrap().status(), 401);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;

    for provider in SENDERS {
        let queue = deployment.queue(provider).unwrap();
        let rows = sample_check::run(provider, &deployment.url, &queue).await.unwrap();
        println!("{}", sample_check::table(&rows));
        assert!(rows.len() > provider.samples.len() && rows.iter().all(sample_check::Row::is_as_documented));
        for message in rows.iter().flat_map(sample_check::Row::messages) {
            valid_envelope(message).unwrap();
        }
    }
    commands_find_a_stack_by_its_name(&ministack.endpoint(), &deployment).await;
    other_spellings_of_a_path_reach_a_function(&deployment.url).await;
    alarms_watch_what_functions_write(&ministack.endpoint()).await;
}

/// `cargo webhooks --stack` reads the outputs of the stack: its table, whose indexes are the template's, and its
/// queues.
async fn commands_find_a_stack_by_its_name(endpoint: &str, deployment: &Deployment) {
    watch::build_binaries(&["webhooks"], "dev").await.unwrap();
    let run = async |stack: &str, arguments: &[&str]| {
        let mut command = tokio::process::Command::new(binaries().join("webhooks"));
        command.args(["--stack", stack, "--region", stack::REGION]).args(arguments);
        command.env("AWS_ENDPOINT_URL", endpoint).env_remove("AWS_PROFILE");
        command.env("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY);
        let output = command.output().await.unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(), err)
    };
    let (status, listed, err) =
        run("payment-webhooks", &["records", "list", "--json", "--provider", "umaaas"]).await;
    let umaaas = &SENDERS[0];
    let records = listed["records"].as_array().unwrap();
    assert_eq!((status, records.len()), (Some(0), umaaas.samples.len()), "{listed} {err}");
    let with_subject = records.iter().find(|record| record["subject"].is_string()).unwrap();
    let (status, found, err) = run(
        "payment-webhooks",
        &["records", "search", "--json", "--subject", with_subject["subject"].as_str().unwrap()],
    )
    .await;
    assert!(status == Some(0) && !found["records"].as_array().unwrap().is_empty(), "{found} {err}");
    let id = with_subject["id"].as_str().unwrap();
    let (status, _, err) = run("payment-webhooks", &["replay", id]).await;
    assert_eq!(status, Some(0), "{err}");
    let messages = deployment.queue(umaaas).unwrap().receive(1, WITHIN).await.unwrap();
    let message: Value = serde_json::from_str(messages[0].body.as_deref().unwrap()).unwrap();
    assert_eq!((&message["id"], message["replayof"].is_string()), (&json!(id), true));
    let (status, _, err) = run("another", &["records", "list"]).await;
    assert!(
        status == Some(1) && err.contains("cannot read the stack another") && err.contains("exist"),
        "{err}"
    );
}

/// Spellings of a path that the gateway treats as different paths, but the functions as the same path.
async fn other_spellings_of_a_path_reach_a_function(url: &str) {
    for provider in SENDERS {
        let sample = &provider.samples[0];
        let path = sample.path;
        let (first, again, spellings) = match path[1..].split_once('/') {
            Some((first, rest)) => {
                let spellings =
                    vec![format!("{path}/"), format!("/{first}//{rest}"), format!("/{first}//{rest}//")];
                (first, format!("{first}/{first}/{rest}"), spellings)
            }
            // the one path of a provider; the gateway's other route for it needs a segment below
            None => (&path[1..], format!("{0}/{0}", &path[1..]), vec![format!("{path}{path}")]),
        };
        for spelling in spellings {
            let delivery =
                provider.delivery(&spelling, provider.body(sample).unwrap(), &provider.signing_key());
            let mut request = Request::post(format!("{url}{spelling}")).body(delivery.body).unwrap();
            *request.headers_mut() = delivery.headers;
            assert_eq!(client::send(request, WITHIN).await.unwrap().status(), 200, "{spelling}");
        }
        // a path segment after the provider's name reaches a function; a segment before it has no route
        let unsigned = Request::post(format!("{url}/{again}")).body(Bytes::new()).unwrap();
        assert_eq!(client::send(unsigned, WITHIN).await.unwrap().status(), 401, "{again}");
        let nobodys = Request::post(format!("{url}/x/{first}")).body(Bytes::new()).unwrap();
        assert_eq!(client::send(nobodys, WITHIN).await.unwrap().status(), 404);
    }
}

/// Compares the alarms with the metrics in the functions' logs: an alarm with a misspelled dimension would
/// never get data.
async fn alarms_watch_what_functions_write(endpoint: &str) {
    let mut written: BTreeMap<String, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    let log = functions_log(endpoint).await;
    let lines: Vec<Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let deliveries = lines.iter().filter(|line| line["target"] == "delivery").count();
    let bytes: usize = log.iter().map(String::len).sum();
    println!("{} bytes of log per delivery, all lines of the functions counted", bytes / deliveries);
    for line in lines {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            assert_eq!(directive["Namespace"], "PaymentWebhooks/payment-webhooks");
            for metric in directive["Metrics"].as_array().unwrap() {
                let sets = directive["Dimensions"].as_array().unwrap().iter();
                let sets = sets.map(|set| {
                    set.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
                });
                written.entry(metric["Name"].as_str().unwrap().to_owned()).or_default().extend(sets);
            }
        }
    }
    let template = transformed(&[]).await.unwrap();
    let mut checked = BTreeSet::new();
    let ours = watched(&template).into_iter().filter(|(_, metric)| is_ours(&metric["Namespace"]));
    for (name, metric) in ours {
        let metric_name = metric["MetricName"].as_str().unwrap();
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        let dimensions = dimensions.map(|dimension| dimension["Name"].as_str().unwrap().to_owned()).collect();
        if let Some(sets) = written.get(metric_name) {
            assert!(sets.contains(&dimensions), "{name}: {metric_name} {dimensions:?}, not {sets:?}");
            checked.insert(metric_name);
        }
    }
    // On a slow machine the reconciler's schedule has run too, and its metrics are checked as well.
    let of_deliveries = BTreeSet::from(["Concerns", "DecisionLatency", "Deliveries", "Proven", "Replies5xx"]);
    assert!(checked.is_superset(&of_deliveries), "{checked:?} of {:?}", written.keys());
}

/// The `Authorization` header for a call to an emulated service. The emulator does not check the signature;
/// it takes the region and the service from the scope.
pub(crate) fn authorization(service: &str) -> String {
    let scope = format!("{}/20260101/{}/{service}/aws4_request", stack::ACCESS_KEY, stack::REGION);
    format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none")
}

/// Every line that a function has logged.
async fn functions_log(endpoint: &str) -> Vec<String> {
    let signature = authorization("logs");
    let logs = async |operation: &str, parameters: Value| {
        let request = Request::post(endpoint)
            .header("content-type", "application/x-amz-json-1.1")
            .header("authorization", &signature)
            .header("x-amz-target", format!("Logs_20140328.{operation}"))
            .body(parameters.to_string().into())
            .unwrap();
        let response = client::send(request, WITHIN).await.unwrap();
        serde_json::from_slice::<Value>(response.body()).unwrap()
    };
    let mut lines = Vec::new();
    let groups = logs("DescribeLogGroups", json!({"logGroupNamePrefix": "/aws/lambda/"})).await;
    for group in groups["logGroups"].as_array().unwrap() {
        let events = logs("FilterLogEvents", json!({"logGroupName": group["logGroupName"]})).await;
        let messages = events["events"].as_array().unwrap().iter();
        lines.extend(messages.map(|event| event["message"].as_str().unwrap().to_owned()));
    }
    lines
}

#[tokio::test]
async fn bad_parameters_are_refused_with_the_reason_and_good_ones_are_not() {
    const LAYER: (&str, &str) = ("PolicyLayerArn", "arn:aws:lambda:eu-central-1:000000000000:layer:policy:1");
    const NO_POLICY: (&str, &str) = ("ApprovalPolicy", "");
    const DIRECTORY_KEY: (&str, &str) =
        ("ReceiverDirectoryKeyArn", "arn:aws:kms:eu-central-1:000000000000:key/2");
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[], "ApprovalPolicy"),
        (&[("ApprovalPolicy", "smaple")], "the path of a file below /opt/"),
        (&[("ApprovalPolicy", "/opt/policy.cedar")], "has to name the layer"),
        (&[NO_POLICY, LAYER], "ApprovalPolicy names no file"),
        (&[NO_POLICY, ("DomainName", "webhooks.example.com")], "belong together"),
        (&[NO_POLICY, ("ReceiverDirectoryTable", "arn:aws:dynamodb:x")], "the name (not the ARN) of a table"),
        (&[NO_POLICY, DIRECTORY_KEY], "ReceiverDirectoryTable, which is not given"),
        // longer than the shortest retention
        (&[NO_POLICY, ("WeavrToleranceSeconds", "2592001")], "is a whole number from 0 to 2592000"),
        (&[NO_POLICY, ("ThrottlingBurst", "10")], "limit together"),
        (&[NO_POLICY, ("RetentionDays", "90.5")], "is a whole number from 31 to 3650"),
    ];
    let tools = Tools::install().await.unwrap();
    watch::build().await.unwrap();
    let ministack = Ministack::start(&tools, 0).await.unwrap();
    for (parameters, reason) in cases {
        let options = Options { binaries: &binaries(), parameters, functions_endpoint: None };
        let error = Deployment::create(&tools, &ministack, &options).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{parameters:?}: {error}");
    }
    let parameters = &[
        NO_POLICY,
        ("UmaaasProvisionedConcurrency", "1"),
        ("GridProvisionedConcurrency", "2"),
        ("WeavrToleranceSeconds", "0"),
        ("KmsKeyArn", "arn:aws:kms:eu-central-1:000000000000:key/1"),
        ("QueueType", "standard"),
        ("AlarmEmail", "somebody@example.com"),
        ("ReceiverDirectoryTable", "receivers"),
        DIRECTORY_KEY,
        // one is turned off
        ("UmaaasSilenceAlarmHours", "0"),
        ("WeavrSilenceAlarmHours", "168"),
        ("DetailedApiMetrics", "true"),
        ("ThrottlingRate", "100"),
        ("ThrottlingBurst", "200"),
        ("DomainName", DOMAIN),
        ("CertificateArn", "arn:aws:acm:eu-central-1:000000000000:certificate/1"),
    ];
    let options = Options { binaries: &binaries(), parameters, functions_endpoint: None };
    let deployment = Deployment::create(&tools, &ministack, &options).await.unwrap();
    assert!(!deployment.queue(&SENDERS[0]).unwrap().url.ends_with(".fifo"));
    answers_at_its_domain_only(&ministack.endpoint(), &deployment).await;
}

/// The domain of a stack that has one.
const DOMAIN: &str = "webhooks.example.com";

async fn answers_at_its_domain_only(endpoint: &str, deployment: &Deployment) {
    let api = client::send(
        Request::get(format!("{endpoint}/v2/apis/{}", deployment.outputs["ApiId"]))
            .header("authorization", authorization("apigateway"))
            .body(Bytes::new())
            .unwrap(),
        WITHIN,
    );
    let api: Value = serde_json::from_slice(api.await.unwrap().body()).unwrap();
    // CloudFormation's booleans are words.
    assert!(api["disableExecuteApiEndpoint"] == true || api["disableExecuteApiEndpoint"] == "true", "{api}");
    for provider in SENDERS {
        let path = provider.samples[0].path;
        let unsigned = Request::post(path).header("host", DOMAIN).body(Bytes::new()).unwrap();
        let address = endpoint.strip_prefix("http://").unwrap();
        assert_eq!(client::forward(address, unsigned).await.unwrap().status(), 401, "{path}");
        let url = &deployment.outputs[&format!("{}Url", prefix(provider.name))];
        assert_eq!(*url, format!("https://{DOMAIN}/{}", provider.name));
    }
}

/// The default endpoint can be turned off only with a custom domain. While the providers move to the domain,
/// both addresses answer.
#[tokio::test]
async fn only_a_domain_turns_the_default_endpoint_off() {
    let template = transformed(&[]).await.unwrap();
    let conditions = &template["Conditions"];
    let of = |name: &str, domain: bool, default_address: &str| {
        holds(&json!({ "Condition": name }), conditions, &|parameter| match parameter {
            "CertificateArn" if domain => "arn".into(),
            "CertificateArn" => String::new(),
            "DefaultAddress" => default_address.into(),
            other => panic!("{other}"),
        })
    };
    let off = &template["Resources"]["Api"]["Properties"]["Body"]["servers"][0];
    let off = off["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]["Fn::If"]
        .as_array()
        .unwrap();
    assert_eq!(off[1..], [json!(true), json!(false)]);
    let default = template["Parameters"]["DefaultAddress"]["Default"].as_str().unwrap();
    let cases = [(false, "off", false), (false, "on", false), (true, "on", false), (true, default, true)];
    for (domain, default_address, is_off) in cases {
        let condition = off[0].as_str().unwrap();
        assert_eq!(of(condition, domain, default_address), is_off, "{domain} {default_address}");
    }
}

/// Whether a condition of the template holds, for values of its parameters.
fn holds(condition: &Value, all: &Value, parameter: &impl Fn(&str) -> String) -> bool {
    let (function, argument) = condition.as_object().unwrap().iter().next().unwrap();
    let each = || argument.as_array().unwrap().iter();
    let text = |value: &Value| match value["Ref"].as_str() {
        Some(name) => parameter(name),
        None => value.as_str().unwrap().to_owned(),
    };
    match function.as_str() {
        "Condition" => holds(&all[argument.as_str().unwrap()], all, parameter),
        "Fn::Not" => !holds(&argument[0], all, parameter),
        "Fn::And" => each().all(|part| holds(part, all, parameter)),
        "Fn::Or" => each().any(|part| holds(part, all, parameter)),
        "Fn::Equals" => text(&argument[0]) == text(&argument[1]),
        other => panic!("{other}"),
    }
}

/// A number that is not whole, or has other characters than digits, would stop the functions or invert a
/// condition ("0" means off, "0.0" would not). The limits are those in the parameter's own description.
#[tokio::test]
async fn whole_numbers_are_whole_and_within_their_limits() {
    let template = transformed(&[]).await.unwrap();
    let mut limits = BTreeMap::new();
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        // CloudFormation accepts decimals for the type Number, and allows no pattern for it.
        assert_eq!(parameter["Type"], "String", "{name}");
        let Some(default) = parameter["Default"].as_str() else { continue };
        if default.is_empty() || !default.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let taken = constraint(parameter);
        assert!(taken(default), "{name}");
        let odd = ["90.5", "90.0", "0.0", "1e3", "+5", "-5", " 5", "5 ", "090", "00", "5\n", "٩٠", "", "x"];
        for odd in odd {
            assert!(!taken(odd), "{name} takes {odd:?}");
        }
        let Some(says) = parameter["ConstraintDescription"].as_str() else { continue };
        let (from, to) = says.strip_prefix("is a whole number from ").unwrap().split_once(" to ").unwrap();
        let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
        // every number with as many digits as the limit, or only some of them when there are many
        let beyond = 10_u64.pow(u32::try_from(to.to_string().len()).unwrap());
        let near = |edge: u64| edge.saturating_sub(3)..edge + 4;
        let some = (0..=beyond).step_by(if beyond > 100_000 { 97 } else { 1 });
        for number in some.chain(near(from)).chain(near(to)) {
            assert_eq!(taken(&number.to_string()), (from..=to).contains(&number), "{name}: {number}");
        }
        limits.insert(name.as_str(), (from, to));
    }
    assert_eq!(limits["RetentionDays"], (31, 3650));
    assert!(limits["WeavrToleranceSeconds"].1 < limits["RetentionDays"].0 * 86_400);
    assert!(limits["UmaaasToleranceSeconds"].1 < limits["RetentionDays"].0 * 86_400);
    assert!(limits["GridToleranceSeconds"].1 < limits["RetentionDays"].0 * 86_400);
    assert_eq!(limits.len(), 13, "{limits:?}");
}

/// Returns a check of whether CloudFormation accepts a value for a parameter of type String.
fn constraint(parameter: &Value) -> impl Fn(&str) -> bool {
    let pattern = parameter["AllowedPattern"].as_str().unwrap_or("^.*$");
    // CloudFormation matches the whole value.
    assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
    let mut schema = json!({ "pattern": pattern });
    for (ours, theirs) in [("MaxLength", "maxLength"), ("AllowedValues", "enum")] {
        if let Some(limit) = parameter.get(ours) {
            schema[theirs] = limit.clone();
        }
    }
    let schema = jsonschema::validator_for(&schema).unwrap();
    move |value| schema.is_valid(&value.into())
}

/// An alias points to a version, and a version keeps the parameters that it was published with. SAM publishes
/// a new version only when the version's description changes, so the description must contain every
/// parameter.
#[tokio::test]
async fn a_changed_parameter_publishes_a_version() {
    fn parameters<'a>(value: &'a Value, template: &Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                let name = fields.get("Ref").and_then(Value::as_str);
                found.extend(name.filter(|name| template["Parameters"].get(name).is_some()));
                fields.values().for_each(|value| parameters(value, template, found));
            }
            Value::Array(values) => values.iter().for_each(|value| parameters(value, template, found)),
            _ => {}
        }
    }
    let template = transformed(&[]).await.unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let longest = |name: &str| {
        let parameter = &template["Parameters"][name];
        let values = parameter["AllowedValues"].as_array().into_iter().flatten();
        let values = values.map(|value| value.as_str().unwrap().len() as u64);
        values.chain(parameter["MaxLength"].as_u64()).max().unwrap()
    };
    let mut versions = BTreeSet::new();
    for version in resources.values().filter(|one| one["Type"] == "AWS::Lambda::Version") {
        let description = version["Properties"]["Description"]["Fn::Sub"].as_str().unwrap();
        let function = version["Properties"]["FunctionName"]["Ref"].as_str().unwrap();
        let mut found = BTreeSet::new();
        parameters(&template["Resources"][function], &template, &mut found);
        assert!(found.contains("ApprovalPolicy"), "{found:?}");
        for name in found {
            assert!(description.contains(&format!("${{{name}}}")), "{name} is not in {description}");
        }
        let mut length = description.len() as u64;
        for name in description.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
            length = length + longest(name) - format!("${{{name}}}").len() as u64;
        }
        // Lambda's PublishVersion: "Description".
        assert!(length <= 256, "{description} can have {length} characters");
        versions.insert(binary(&template, function));
    }
    assert_eq!(versions, deciding().map(|(_, binary)| binary.to_owned()).collect());
}

/// The providers that ask for decisions about payments, with their functions.
fn deciding() -> impl Iterator<Item = (&'static str, &'static str)> {
    let decides = |provider: &&Sender| {
        variables(provider.name).iter().any(|variable| variable.name == APPROVAL_POLICY.name)
    };
    SENDERS.iter().filter(decides).flat_map(|one| one.binaries.iter().map(|binary| (one.name, *binary)))
}

/// A payment waits 5 seconds for its decision, a cold start included. So every function that decides can be kept
/// warm: the API calls its alias, which has the provider's own parameter for provisioned concurrency.
#[tokio::test]
async fn every_function_that_decides_can_be_kept_warm() {
    let template = transformed(&[]).await.unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let api = resources["Api"]["Properties"]["Body"]["paths"].as_object().unwrap();
    let mut kept_warm = BTreeSet::new();
    for (name, alias) in resources.iter().filter(|(_, one)| one["Type"] == "AWS::Lambda::Alias") {
        let alias = &alias["Properties"];
        let binary = binary(&template, alias["FunctionName"]["Ref"].as_str().unwrap());
        let (provider, _) = deciding().find(|(_, decides)| *decides == binary).unwrap();
        let parameter = format!("{}ProvisionedConcurrency", prefix(provider));
        assert_eq!(template["Parameters"][&parameter]["Default"], "0", "{parameter} costs money by the hour");
        let [condition, some, none] =
            alias["ProvisionedConcurrencyConfig"]["Fn::If"].as_array().unwrap().as_slice()
        else {
            panic!("{alias}");
        };
        assert_eq!(some, &json!({"ProvisionedConcurrentExecutions": {"Ref": parameter}}));
        assert_eq!(none, &json!({"Ref": "AWS::NoValue"}));
        let instances = |number: &str| {
            let condition = json!({ "Condition": condition });
            holds(&condition, &template["Conditions"], &|name| match name == parameter {
                true => number.to_owned(),
                false => panic!("{condition} depends on {name}"),
            })
        };
        assert!(instances("1") && !instances("0"), "{parameter}");

        let integrations = api.iter().map(|(path, methods)| {
            let uri = &methods["post"]["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"];
            (path, uri.as_str().unwrap())
        });
        let of_provider = integrations.filter(|(path, _)| path.split('/').nth(1) == Some(provider));
        let calls = of_provider.map(|(_, uri)| uri.contains(&format!("${{{name}}}"))).collect::<Vec<_>>();
        assert!(!calls.is_empty() && calls.iter().all(|of_alias| *of_alias), "a route goes past {name}");
        kept_warm.insert(binary);
    }
    assert_eq!(kept_warm, deciding().map(|(_, binary)| binary.to_owned()).collect());
}

/// A line of the access log costs about as much as some requests to the gateway. So it contains nothing that
/// a sender can make long, and nothing personal or secret.
#[tokio::test]
async fn the_access_log_has_nothing_that_a_sender_writes() {
    // fields that AWS sets, or that have only a few possible values
    const ALLOWED: [&str; 10] = [
        "error.message",
        "integrationErrorMessage",
        "integrationLatency",
        "integrationStatus",
        "requestId",
        "requestTime",
        "responseLatency",
        "routeKey",
        "stage",
        "status",
    ];
    let template = transformed(&[]).await.unwrap();
    let mut stages = 0;
    for stage in template["Resources"].as_object().unwrap().values() {
        if stage["Type"] != "AWS::ApiGatewayV2::Stage" {
            continue;
        }
        stages += 1;
        let format = stage["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
        for field in format.split("$context.").skip(1) {
            let field = field.split(['"', ',', '}']).next().unwrap();
            assert!(ALLOWED.contains(&field), "{field}");
        }
        assert_eq!(format.matches('$').count(), format.matches("$context.").count(), "{format}");
        let line = format.replace("$context.", "").replace(":status,", ":200,");
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
    }
    assert_eq!(stages, 1);
}

/// The figures in infra/cost-and-scale.md, "What strangers can make you pay", follow from the prices in its
/// table.
#[test]
fn what_strangers_cost_follows_from_the_prices() {
    let page = std::fs::read_to_string(local_stack::root().join("infra/cost-and-scale.md")).unwrap();
    let cents = |text: &str| text.replace('.', "").parse::<u64>().unwrap();
    let price = |row: &str| {
        let row = page.lines().find(|line| line.starts_with(&format!("| {row}"))).unwrap();
        cents(row.trim_end_matches([' ', '|']).rsplit(' ').next().unwrap().trim_matches('*'))
    };
    let rows = ["HTTP API | 1 M", "Lambda requests", "Lambda time", "logs", "X-Ray"];
    let a_million: u64 = rows.map(price).iter().sum();
    let others: u64 = ["DynamoDB writes", "SQS FIFO, the", "storage and"].map(price).iter().sum();
    assert_eq!(a_million + others, price("**together**"));
    assert!(page.contains(&format!("= {}.{:02} for a million", a_million / 100, a_million % 100)));
    // cents per million, a day of 86,400 seconds
    let a_day = |a_second: u64| a_million * a_second * 86_400 / 1_000_000;
    assert_eq!((a_day(10_000) / 100, a_day(100)), (2272, 2272), "the page says 2,272 dollars, and 22.72");
    assert!(page.contains("864 million a day and 2,272 dollars"));
    assert!(page.contains("8.64 million and 22.72"));
}

/// The events table survives the deletion of the stack, and mistakes.
#[tokio::test]
async fn the_table_is_kept() {
    let template = transformed(&[]).await.unwrap();
    let table = &template["Resources"]["Events"];
    assert_eq!([&table["DeletionPolicy"], &table["UpdateReplacePolicy"]], ["Retain", "Retain"]);
    assert_eq!(table["Properties"]["DeletionProtectionEnabled"], true);
    assert_eq!(table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
}

/// Every documented path has a route to the right function.
#[tokio::test]
async fn every_documented_webhook_has_its_route() {
    let umaaas = umaaas::KINDS.iter().map(|kind| (kind.path, "umaaas"));
    let weavr = weavr::KINDS.iter().map(|kind| (kind.path, kind.family.binary()));
    let others = [
        ("/umaaas", "umaaas"),
        ("/umaaas/another-spelling/", "umaaas"),
        ("/weavr/a/path/that/we/do/not/know", "weavr-other"),
        ("/grid", "grid"),
        ("/grid/another-spelling/", "grid"),
    ];
    let documented: Vec<(&str, &str)> = umaaas.chain(weavr).chain(others).collect();

    let template = transformed(&[]).await.unwrap();
    let api = &template["Resources"]["Api"]["Properties"]["Body"]["paths"];
    let mut routes = BTreeMap::new();
    for (path, methods) in api.as_object().unwrap() {
        assert_eq!(methods.as_object().unwrap().keys().collect::<Vec<_>>(), ["post"], "{path}");
        let uri = &methods["post"]["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"];
        let (_, function) = uri.as_str().unwrap().split_once("/functions/${").unwrap();
        let function = function.split(['.', '}']).next().unwrap();
        routes.insert(path.clone(), binary(&template, function));
    }
    let manifest = std::fs::read_to_string(local_stack::root().join("Cargo.toml")).unwrap();
    let (_, router) = manifest.split_once("[workspace.metadata.lambda.watch.router]\n").unwrap();
    let router = router.split("\n[").next().unwrap().lines().filter_map(|line| line.split_once(" = "));
    let local: BTreeMap<String, String> = router
        .map(|(path, binary)| (path, binary.trim_matches('"').to_owned()))
        .map(|(path, binary)| (path.trim_matches('"').replace("{*path}", "{proxy+}"), binary))
        .collect();
    assert_eq!(local, routes, "cargo lambda watch, API Gateway");
    for (path, binary) in documented {
        // A route for exactly this path, or else the greedy one.
        let greedy = format!("/{}/{{proxy+}}", path.split('/').nth(1).unwrap());
        let found = routes.get(path).or_else(|| routes.get(&greedy));
        assert_eq!(found.map(String::as_str), Some(binary), "{path}");
    }

    let default = &template["Parameters"]["DetailedApiMetrics"]["Default"];
    assert_eq!(default, "false", "metrics by route are most of the cost of an unused stack");
}

/// A function reads every variable that the template gives to it, and the template gives it every variable
/// that it requires.
#[tokio::test]
async fn functions_are_given_the_variables_that_they_read() {
    let template = transformed(&[]).await.unwrap();
    let mut checked = BTreeSet::new();
    let resources = template["Resources"].as_object().unwrap();
    for (name, function) in resources.iter().filter(|(_, one)| one["Type"] == "AWS::Lambda::Function") {
        let binary = binary(&template, name);
        let provider = SENDERS.iter().find(|provider| provider.binaries.contains(&binary.as_str()));
        let read: Vec<Variable> = match provider {
            Some(provider) => [aws::variables::OF_EVERY_PROVIDER, variables(provider.name)].concat(),
            None => reconciler::QUEUES.map(|(_, variable)| variable).to_vec(),
        };
        let read = [aws::variables::OF_EVERY_FUNCTION, &read].concat();
        let given = function["Properties"]["Environment"]["Variables"].as_object().unwrap();
        for variable in given.keys() {
            assert!(read.iter().any(|known| known.name == variable), "{name} does not read {variable}");
        }
        for variable in &read {
            let is_given = given.contains_key(variable.name);
            match variable.unset {
                Unset::Required => assert!(is_given, "{name} is not given {}", variable.name),
                Unset::RequiredUnless(other) => {
                    assert_ne!(is_given, given.contains_key(other), "{name}: {}", variable.name);
                }
                _ => {}
            }
        }
        checked.insert(binary);
    }
    assert_eq!(checked.len(), SENDERS.iter().map(|provider| provider.binaries.len()).sum::<usize>() + 1);
}

/// The variables that only the functions of a provider read.
fn variables(provider: &str) -> &'static [Variable] {
    match provider {
        "umaaas" => &umaaas::VARIABLES,
        "weavr" => &weavr::VARIABLES,
        "grid" => &grid::VARIABLES,
        other => panic!("{other}: these tests do not know which variables it reads"),
    }
}

/// `transform.py --for-emulator` makes only the changes that it documents.
#[tokio::test]
async fn the_emulator_gets_the_same_template() {
    let plain = transformed(&[]).await.unwrap();
    let mut emulated = transformed(&["--for-emulator", "http://127.0.0.1:1"]).await.unwrap();

    let paths = plain["Resources"]["Api"]["Properties"]["Body"]["paths"].as_object().unwrap();
    let mut routes = BTreeSet::new();
    let mut changed = BTreeSet::new();
    for (name, resource) in emulated["Resources"].as_object_mut().unwrap() {
        let original = &plain["Resources"][name];
        let kind = resource["Type"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "AWS::ApiGatewayV2::Route" => {
                routes.insert(resource["Properties"]["RouteKey"].as_str().unwrap().to_owned());
                continue;
            }
            "AWS::ApiGatewayV2::Integration" => continue,
            "AWS::ApiGatewayV2::Api" => {}
            "AWS::CloudWatch::Alarm" if original["Properties"].get("Metrics").is_some() => {}
            "AWS::Lambda::Function" => {
                let variables = resource["Properties"]["Environment"]["Variables"].as_object_mut().unwrap();
                assert_eq!(variables.remove("AWS_ENDPOINT_URL").unwrap(), "http://127.0.0.1:1");
                assert!(resource == original, "{name} differs");
            }
            _ => assert!(resource == original, "{name} differs"),
        }
        changed.insert(name.clone());
    }
    assert_eq!(routes, paths.keys().map(|path| format!("POST {path}")).collect());
    assert_eq!(changed, plain["Resources"].as_object().unwrap().keys().cloned().collect());
}

/// The binary that `sam build` builds for a function: the function's archive has the same name.
fn binary(template: &Value, function: &str) -> String {
    let properties = &template["Resources"][function]["Properties"];
    if let Some(of_alias) = properties["FunctionName"]["Ref"].as_str() {
        return binary(template, of_alias);
    }
    let code = &properties["Code"]["S3Key"];
    code.as_str().unwrap().trim_end_matches(".zip").to_owned()
}
