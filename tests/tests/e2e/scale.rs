//! Limits of the indexes: what happens when writes to one partition key of an index are throttled, what an entry
//! costs, and that the commands for people make as many calls on a large table as on a small one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use aws::DynamoStore;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::stream::{self, StreamExt};
use ingest::{Decision, MAX_ID_BYTES, RETRY_AFTER_SECONDS, Record, Store, TIME_SHARDS, Verdict, memory};
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::SENDERS;
use local_stack::stack;
use serde_json::json;
use tests::{
    Deployment, Exchange, Fault, FaultProxy, Host, LocalDynamo, Rule, binaries, signed_event, umaaas_event,
    unique,
};

/// UMAAaS waits so long for a reply.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many instances of the function run.
const INSTANCES: usize = 4;

/// How many deliveries wait at a time.
const AT_ONCE: usize = 16;

/// A throttled index holds up the write of the record: the provider is answered 503, sends again, and nothing is lost
/// or sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_index_loses_nothing() {
    let deployment = Deployment::start_alone().await;
    let host = Host::start().await;
    let _functions: Vec<_> = (0..INSTANCES).map(|_| deployment.function(&host, "umaaas")).collect();
    let scheduled = Host::start().await;
    let _reconciler = deployment.function(&scheduled, "reconciler");
    host.idle(INSTANCES).await;
    // Instead of 1,000 writes a second for one partition key of an index: so few that a slow machine reaches them too.
    for (what, attribute, a_second, events, subjects, throttled) in [
        ("a hot subject", "subject", 4, 40, 1, true),
        ("a burst over many subjects, index by subject", "subject", 3, 60, 60, false),
        ("a burst over many subjects, index by time", "time_shard", 2, 80, 80, true),
    ] {
        let fault = Fault::ThrottleAbove { attribute, a_second };
        deployment.proxy.set([Rule { operation: "PutItem", fault, times: None }]);
        let run = unique();
        let bodies = (0..events).map(|n| {
            let subject = format!("Transaction:{run}-{}", n % subjects);
            json!({"webhookId": format!("{run}-{n}"), "type": "OUTGOING_PAYMENT", "timestamp": "2026-11-02T09:15:00Z",
                "transaction": {"id": subject, "type": "OUTGOING", "status": "COMPLETED"}})
            .to_string()
        });
        let mut waiting: Vec<String> = bodies.collect();
        let (mut rounds, mut refused, mut longest) = (0, 0, Duration::ZERO);
        while !waiting.is_empty() {
            let replies: Vec<(String, Exchange)> = stream::iter(waiting)
                .map(|body| {
                    let host = host.clone();
                    async move {
                        let event = umaaas_event("/umaaas", &body).to_string();
                        (body, host.exchange(event.into()).await.unwrap())
                    }
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            waiting = Vec::new();
            for (body, exchange) in replies {
                longest = longest.max(exchange.responded - exchange.handed_out);
                match exchange.response["statusCode"].as_u64() {
                    Some(200) => {}
                    Some(503) => {
                        let retry_after = &exchange.response["headers"]["retry-after"];
                        assert_eq!(*retry_after, RETRY_AFTER_SECONDS.to_string(), "{:?}", exchange.response);
                        refused += 1;
                        waiting.push(body);
                    }
                    _ => panic!("{:?}", exchange.response),
                }
            }
            rounds += 1;
            assert!(rounds < 50, "{what}: {} are still refused", waiting.len());
            // The provider sends again later: after 10 seconds or more, here after one.
            tokio::time::sleep(Duration::from_secs(if waiting.is_empty() { 0 } else { 1 })).await;
        }
        println!(
            "{what}: {events} events, {refused} times 503, accepted after {rounds} rounds, the slowest reply took {} ms",
            longest.as_millis()
        );
        assert_eq!(refused > 0, throttled, "{what}");
        assert!(longest < DEADLINE, "{what}: {longest:?}");
        host.idle(INSTANCES).await;
        deployment.proxy.set([]);
        deployment.pass_time().await;
        scheduled.invoke_raw(json!({})).await.unwrap();
        let arrived = deployment.arrived("umaaas", events).await;
        let expected = (0..events).map(|n| (format!("{run}-{n}"), 1)).collect::<BTreeMap<_, _>>();
        assert_eq!(arrived, expected, "{what}: none is lost, none is there twice");
        assert_eq!(
            deployment.records(&format!("umaaas#OUTGOING_PAYMENT#{run}")).await.len(),
            events,
            "{what}"
        );
        assert_eq!(deployment.pending().await, 0, "{what}");
    }
}

/// A payment that waits for a decision is never approved unrecorded: the provider cancels it.
#[tokio::test]
async fn a_payment_is_not_approved_while_its_index_is_throttled() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let _function = deployment.function(&host, "umaaas");
    let provider = &SENDERS[0];
    let payment = provider.samples.iter().find(|sample| sample.decision == Some("approve")).unwrap();
    let event = umaaas_event(payment.path, &provider.body(payment).unwrap());
    for attribute in ["subject", "time_shard"] {
        let fault = Fault::ThrottleAbove { attribute, a_second: 0 };
        deployment.proxy.set([Rule { operation: "PutItem", fault, times: None }]);
        let answer = host.exchange(event.to_string().into()).await.unwrap();
        assert_eq!(answer.response["statusCode"], 503, "{attribute}");
        assert!(answer.responded - answer.handed_out < DEADLINE, "{attribute}");
        host.idle(1).await;
    }
    assert!(deployment.records("").await.is_empty());
    // the same once more, when there is room
    deployment.proxy.set([]);
    assert_eq!(host.invoke(event).await.unwrap().status, 200);
    assert_eq!(deployment.arrived("umaaas", 1).await.len(), 1);
}

/// The figures in infra/cost-and-scale.md, "A hot subject and a burst", are those of the records of all samples.
#[tokio::test]
async fn what_an_index_entry_costs() {
    let deployment = Deployment::start().await;
    let mut hosts: HashMap<&str, (Host, tests::Function)> = HashMap::new();
    for provider in SENDERS {
        for sample in provider.samples {
            let of_weavr = weavr::KINDS.iter().find(|kind| kind.name == sample.kind);
            let binary = match provider.name {
                "weavr" => of_weavr.map_or("weavr-other", |kind| kind.family.binary()),
                name => name,
            };
            if !hosts.contains_key(binary) {
                let host = Host::start().await;
                let function = deployment.function(&host, binary);
                hosts.insert(binary, (host, function));
            }
            let (host, _) = &hosts[binary];
            let event = signed_event(provider.name, sample.path, &provider.body(sample).unwrap());
            assert_eq!(host.invoke(event).await.unwrap().status, sample.status, "{}", sample.file);
            host.idle(1).await;
        }
    }
    let stack = &deployment.aws.stack;
    let indexes = indexes(&stack.dynamodb, &stack.table).await;
    let items: Vec<Item> = deployment.records("").await.into_values().collect();
    assert!(items.len() > 50, "{}", items.len());
    let page = std::fs::read_to_string(local_stack::root().join("infra/cost-and-scale.md")).unwrap();

    // the largest id and subject that are kept as they are, and a decision with a few rules
    let longest = |prefix: &str| format!("{prefix}{}", "x".repeat(MAX_ID_BYTES - prefix.len()));
    let id = longest("Webhook:");
    let extreme = Record {
        kind: "umaaas.incoming_payment".into(),
        id: id.clone(),
        subject: Some(longest("Transaction:")),
        decision: Some(Decision { policies: vec!["a".repeat(40); 3], ..Decision::new(Verdict::Approve) }),
        ..memory::record(&format!("umaaas#INCOMING_PAYMENT#{id}"), "{}", Timestamp::now())
    };
    let store = DynamoStore::new(
        &stack::config(&stack.endpoint),
        stack.table.clone(),
        SignedDuration::from_hours(24),
        true,
    );
    store.record(&extreme, DEADLINE).await.unwrap();
    let extreme = deployment.records(&extreme.key).await.into_values().next().unwrap();

    for (index, attributes) in &indexes {
        let sizes: BTreeSet<usize> = items.iter().filter_map(|item| entry_bytes(item, attributes)).collect();
        let Some(largest) = sizes.last() else { continue };
        let of_extreme = entry_bytes(&extreme, attributes).unwrap();
        println!(
            "{index}: entries of {} to {largest} bytes, {of_extreme} with the longest ids",
            sizes.first().unwrap()
        );
        if index == "pending" {
            continue;
        }
        assert_eq!(units(*largest), 1, "{index}: an entry of a sample is one unit");
        let row =
            format!("| `{index}` | {} bytes | 1 | {} |", largest.next_multiple_of(100), units(of_extreme));
        assert!(page.contains(&row), "infra/cost-and-scale.md does not say {row}");
    }
    let row = format!("{TIME_SHARDS} × 1,000 / 1 = {},000", TIME_SHARDS);
    assert!(page.contains(&row), "infra/cost-and-scale.md does not say {row}");
}

/// Listing, showing and searching by subject make the same calls on a table of 200 records and on one of 5,000, and
/// none of them scans.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_do_not_grow_with_the_table() {
    let small = Filled::with(200).await.calls().await;
    let large = Filled::with(5_000).await.calls().await;
    println!("{small:?}");
    assert_eq!(small, large);
}

/// `cargo test --workspace --test e2e -- scale:: --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, nearly all of them to fill the table"]
async fn a_hundred_thousand_records() {
    let small = Filled::with(200).await;
    let started = Instant::now();
    let large = Filled::with(100_000).await;
    println!("100,000 records written in {:.0} s", started.elapsed().as_secs_f64());
    assert_eq!(small.calls().await, large.calls().await);
    for (command, arguments) in Filled::commands() {
        // The fastest of ten: something else may use the machine.
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..10 {
            for (fastest, filled) in fastest.iter_mut().zip([&small, &large]) {
                let started = Instant::now();
                filled.run(&arguments).await;
                *fastest = started.elapsed().min(*fastest);
            }
        }
        println!("{command}: {fastest:?} with 200 and with 100,000 records");
        assert!(fastest[1] < Duration::from_secs(1), "{command}: {fastest:?}");
    }
}

/// A table with records of one day. The newest ones have the same keys in every such table.
struct Filled {
    dynamo: LocalDynamo,
    proxy: FaultProxy,
}

/// How many records one subject has.
const OF_A_SUBJECT: usize = 5;

/// How many items one call writes.
const BATCH: usize = 25;

impl Filled {
    async fn with(count: usize) -> Self {
        local_stack::watch::build_binaries(&["webhooks"], "dev").await.unwrap();
        let dynamo = LocalDynamo::start().await;
        let proxy = FaultProxy::start(&dynamo.endpoint).await;
        let config = stack::config(&dynamo.endpoint);
        let store = DynamoStore::new(&config, dynamo.table.clone(), SignedDuration::from_hours(24), true);
        // one as the code writes it, and the others after it
        let record = Self::record(0);
        store.record(&record, DEADLINE).await.unwrap();
        store.settle(&record, true, record.received_at).await.unwrap();
        let key = AttributeValue::S(record.key);
        let first = dynamo.dynamodb.get_item().table_name(&dynamo.table).key("pk", key).send().await.unwrap();
        let first = first.item.unwrap();
        let items = (1..count).map(|n| {
            let record = Self::record(n);
            let text = AttributeValue::S;
            let mut item = first.clone();
            item.extend([
                ("received_at".into(), AttributeValue::N(record.received_at.as_millisecond().to_string())),
                ("time_shard".into(), text(record.time_shard())),
                ("subject".into(), text(record.subject.clone().unwrap())),
                ("pk".into(), text(record.key)),
                ("id".into(), text(record.id)),
            ]);
            WriteRequest::builder()
                .put_request(PutRequest::builder().set_item(Some(item)).build().unwrap())
                .build()
        });
        let (client, table) = (&dynamo.dynamodb, &dynamo.table);
        stream::iter(items)
            .chunks(BATCH)
            .for_each_concurrent(4, async |batch| {
                let written = client.batch_write_item().request_items(table, batch).send().await.unwrap();
                assert!(written.unprocessed_items.unwrap_or_default().is_empty());
            })
            .await;
        Self { dynamo, proxy }
    }

    /// The record that is older than `n` others.
    fn record(n: usize) -> Record {
        let last: Timestamp = "2026-03-10T23:00:00Z".parse().unwrap();
        let id = format!("Webhook:0193a1c4-7d10-7b02-0000-{n:012}");
        Record {
            kind: "umaaas.outgoing_payment".into(),
            subject: Some(format!("Transaction:{}", n / OF_A_SUBJECT)),
            id: id.clone(),
            ..memory::record(
                &format!("umaaas#OUTGOING_PAYMENT#{id}"),
                format!(r#"{{"webhookId":"{id}","type":"OUTGOING_PAYMENT","status":"COMPLETED"}}"#),
                last - SignedDuration::from_millis(500 * i64::try_from(n).unwrap()),
            )
        }
    }

    fn commands() -> [(&'static str, Vec<&'static str>); 4] {
        let day = ["--since", "2026-03-01", "--until", "2026-03-11"];
        [
            ("list", [&["records", "list"][..], &day].concat()),
            (
                "list of one kind",
                [&["records", "list", "--kind", "umaaas.*", "--limit", "20"][..], &day].concat(),
            ),
            ("show", vec!["records", "show", "Webhook:0193a1c4-7d10-7b02-0000-000000000042"]),
            ("search --subject", vec!["records", "search", "--subject", "Transaction:7"]),
        ]
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(binaries().join("webhooks"));
        command.args(["--table", &self.dynamo.table, "--region", stack::REGION]).args(arguments);
        command.env("AWS_ENDPOINT_URL", &self.proxy.endpoint).env_remove("AWS_PROFILE");
        command.env("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How often each command makes which call, and how many lines it prints.
    async fn calls(&self) -> Vec<(&'static str, BTreeMap<String, usize>, usize)> {
        let mut calls = Vec::new();
        for (command, arguments) in Self::commands() {
            self.proxy.take_calls();
            let lines = self.run(&arguments).await.lines().count();
            let mut counts = BTreeMap::new();
            for call in self.proxy.take_calls() {
                *counts.entry(call).or_default() += 1;
            }
            assert!(!counts.is_empty() && !counts.contains_key("Scan"), "{command}: {counts:?}");
            calls.push((command, counts, lines));
        }
        calls
    }
}

type Item = HashMap<String, AttributeValue>;

/// The attributes that each index of a table has.
async fn indexes(dynamodb: &aws_sdk_dynamodb::Client, table: &str) -> BTreeMap<String, Vec<String>> {
    let table = dynamodb.describe_table().table_name(table).send().await.unwrap().table.unwrap();
    let indexes = table.global_secondary_indexes().iter().map(|index| {
        let keys = index.key_schema().iter().map(|key| key.attribute_name().to_owned());
        let others = index.projection().unwrap().non_key_attributes().iter().cloned();
        (index.index_name().unwrap().to_owned(), keys.chain(others).chain(["pk".to_owned()]).collect())
    });
    indexes.collect()
}

/// The size of an item's entry in an index, as DynamoDB counts it: names and values. `None` when it is not in there.
fn entry_bytes(item: &Item, attributes: &[String]) -> Option<usize> {
    item.get(&attributes[0])?;
    let held = attributes.iter().filter_map(|name| Some((name, item.get(name)?)));
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        other => panic!("{other:?}"),
    };
    Some(held.map(|(name, value)| name.len() + size(value)).sum())
}

/// Write units of so many bytes.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}
