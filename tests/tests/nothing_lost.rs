//! The promise: what has been acknowledged with 2xx, 403, 409 or 422 reaches the queue, whatever
//! fails. Built functions are killed or starved at every step, deliveries are repeated as the
//! provider would, the reconciler runs, and then the events acknowledged are compared with the
//! events on the queue.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use http::HeaderMap;
use ingest::DUE_AFTER;
use jiff::Timestamp;
use local::providers::{PROVIDERS, Provider};
use local::watch;
use serde_json::{Value, json};
use tests::{Fault, FaultProxy, Function, Host, LocalAws, Rule, post, unique, valid_envelope, wait_for};
use umaaas::SIGNATURE;
use verify::Delivery;

const WITHIN: Duration = Duration::from_secs(30);

/// How many times an event is delivered while it is not acknowledged, as UMAaaS would.
const REDELIVERIES: usize = 3;

fn provider() -> &'static Provider {
    PROVIDERS.iter().find(|provider| provider.name == "umaaas").unwrap()
}

/// A signed delivery of a new event, and the event's id.
fn delivery(kind: &str) -> (String, Value) {
    let id = unique();
    let body = json!({
        "webhookId": id, "type": kind, "timestamp": "2026-11-02T09:15:00Z", "transaction": {"status": "PENDING"},
    });
    let body = body.to_string();
    let signature = SIGNATURE.sign(&Delivery::new("/", body.clone()), &provider().signing_secret()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE.header, signature.parse().unwrap());
    (id, post("/umaaas", &headers, &body))
}

/// The functions of one deployment, each behind its own host, all behind one proxy.
struct Deployment {
    aws: LocalAws,
    proxy: FaultProxy,
    environment: Vec<(String, String)>,
}

impl Deployment {
    async fn start() -> Self {
        let aws = LocalAws::start().await;
        watch::build().await.unwrap();
        let proxy = FaultProxy::start(&aws.stack.endpoint).await;
        let mut environment = aws.stack.shared_environment();
        environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
        Self { aws, proxy, environment }
    }

    fn function(&self, host: &Host, binary: &str) -> Function {
        Function::start(host, binary, &self.environment)
    }

    /// Lets as much time pass for every pending record that it is due.
    async fn pass_time(&self) {
        let stack = &self.aws.stack;
        let pending =
            stack.dynamodb.scan().table_name(&stack.table).index_name("pending").send().await.unwrap();
        let past = AttributeValue::N((Timestamp::now().as_millisecond() - 1).to_string());
        for item in pending.items() {
            let update = stack.dynamodb.update_item().table_name(&stack.table).key("pk", item["pk"].clone());
            let update = update
                .update_expression("SET due_at = :past")
                .expression_attribute_values(":past", past.clone());
            update.send().await.unwrap();
        }
    }

    async fn pending(&self) -> usize {
        let stack = &self.aws.stack;
        stack
            .dynamodb
            .scan()
            .table_name(&stack.table)
            .index_name("pending")
            .send()
            .await
            .unwrap()
            .items()
            .len()
    }

    /// Everything on the queue: how often each event's id is there.
    async fn arrived(&self, expected: usize) -> BTreeMap<String, usize> {
        let queue = self.aws.stack.queue(provider());
        let mut messages = queue.receive(expected, Duration::from_secs(10)).await.unwrap();
        messages.extend(queue.receive(usize::MAX, Duration::from_millis(300)).await.unwrap());
        let mut arrived = BTreeMap::new();
        for message in messages {
            valid_envelope(message.body().unwrap()).unwrap();
            let envelope: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            *arrived.entry(envelope["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        arrived
    }
}

fn acknowledged(status: u16) -> bool {
    matches!(status, 200..=299 | 403 | 409 | 422)
}

fn rule(operation: &'static str, fault: Fault, times: Option<usize>) -> Rule {
    Rule { operation, fault, times }
}

/// Where the function is killed: the call that is held then, before or after it had its effect.
const POINTS: [(&str, &str, Fault); 6] = [
    ("before record", "PutItem", Fault::Hang),
    ("after record", "PutItem", Fault::LoseAnswer),
    ("before forward", "SendMessage", Fault::Hang),
    ("after forward", "SendMessage", Fault::LoseAnswer),
    ("before settle", "UpdateItem", Fault::Hang),
    ("after settle", "UpdateItem", Fault::LoseAnswer),
];

#[tokio::test]
async fn killed_at_every_step() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let reconciler = deployment.function(&scheduled, "reconciler");

    println!("{:<16} {:<17} {:<22} messages  lost  duplicates", "killed", "event", "replies");
    for (point, operation, fault) in POINTS {
        for kind in ["TEST", "INCOMING_PAYMENT"] {
            let (id, event) = delivery(kind);
            let held = proxy.held();
            proxy.set([rule(operation, fault, None)]);
            let function = deployment.function(&host, "umaaas");
            let first = tokio::spawn({
                let (host, event) = (host.clone(), event.clone());
                async move { host.invoke(event).await }
            });
            wait_for("the call is held", WITHIN, async || proxy.held() > held).await;
            function.kill();
            proxy.set([]);
            // A reply waits for the record: from then on there is one.
            let replied = operation != "PutItem";
            let mut replies = Vec::new();
            if replied {
                replies.push(first.await.unwrap().unwrap().status);
            } else {
                assert!(!first.is_finished(), "{point}, {kind}");
                first.abort();
            }

            // whoever has no answer delivers again, but never a payment to decide
            let function = deployment.function(&host, "umaaas");
            if kind == "TEST" {
                replies.push(host.invoke(event).await.unwrap().status);
            }
            deployment.pass_time().await;
            scheduled.invoke_raw(json!({})).await.unwrap();
            assert_eq!(deployment.pending().await, 0, "{point}, {kind}");
            function.kill();

            let recorded = point != "before record";
            let arrived = deployment.arrived(usize::from(recorded || kind == "TEST")).await;
            let copies = arrived.get(&id).copied().unwrap_or_default();
            let lost = usize::from(replies.iter().any(|status| acknowledged(*status)) && copies == 0);
            println!(
                "{point:<16} {kind:<17} {:<22} {copies:>8}  {lost:>4}  {:>10}",
                format!("{replies:?}"),
                copies.saturating_sub(1)
            );
            assert_eq!(lost, 0, "{point}, {kind}");
            assert_eq!(
                copies,
                usize::from(recorded || kind == "TEST"),
                "{point}, {kind}: FIFO removes the second"
            );
            if kind == "TEST" {
                let last = if recorded { 409 } else { 200 };
                assert_eq!(replies, if replied { vec![200, last] } else { vec![last] }, "{point}");
            }
        }
    }
    drop(reconciler);
}

#[tokio::test]
async fn a_first_attempt_that_goes_on_when_it_is_overdue_sends_nothing() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");
    assert_eq!(host.invoke(delivery("TEST").1).await.unwrap().status, 200);
    assert_eq!(deployment.arrived(1).await.len(), 1);

    // frozen while its record is being written
    let (id, event) = delivery("TEST");
    proxy.take_calls();
    proxy.set([rule("PutItem", Fault::Delay(Duration::from_millis(500)), None)]);
    let first = tokio::spawn({
        let host = host.clone();
        async move { host.invoke(event).await }
    });
    wait_for("the write is under way", WITHIN, async || proxy.take_calls() == ["PutItem"]).await;
    function.freeze();
    wait_for("the write is done", WITHIN, async || deployment.pending().await == 1).await;

    // real time passes until the record is due, and the reconciler takes it
    let mut summary = json!({"forwarded": 0});
    let due = Duration::try_from(DUE_AFTER).unwrap() + WITHIN;
    wait_for("the record is due", due, async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        summary = scheduled.invoke_raw(json!({})).await.unwrap();
        summary["due"] == 1
    })
    .await;
    assert_eq!((&summary["forwarded"], deployment.pending().await), (&json!(1), 0));

    proxy.take_calls();
    function.thaw();
    let reply = first.await.unwrap().unwrap();
    host.idle(1).await;
    let calls = proxy.take_calls();
    println!(
        "frozen for 90 s: {} after {} s; calls after that: {calls:?}",
        reply.status,
        reply.took.as_secs()
    );
    assert!(calls.iter().all(|call| call == "PutItem"), "{calls:?}");
    assert_eq!(deployment.arrived(2).await, BTreeMap::from([(id, 1)]));
}

#[tokio::test]
async fn starved_at_every_call() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let _function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");

    println!("{:<12} {:<12} {:<6} {:<22} messages  lost  duplicates", "call", "fault", "times", "replies");
    for operation in ["PutItem", "SendMessage", "UpdateItem"] {
        for (name, fault) in [
            ("slow", Fault::Delay(Duration::from_millis(900))),
            ("hangs", Fault::Hang),
            ("cut off", Fault::Drop),
            ("answer lost", Fault::LoseAnswer),
            ("throttled", Fault::Throttle),
            ("fails", Fault::Fail),
        ] {
            for times in [Some(1), None] {
                let (id, event) = delivery("TEST");
                proxy.set([rule(operation, fault, times)]);
                let mut replies = vec![host.invoke(event.clone()).await.unwrap().status];
                while !acknowledged(replies[replies.len() - 1]) && replies.len() <= REDELIVERIES {
                    if replies.len() == REDELIVERIES {
                        proxy.set([]);
                    }
                    replies.push(host.invoke(event.clone()).await.unwrap().status);
                }
                if times == Some(1) && operation == "PutItem" {
                    // a lost answer that the SDK repeats is still the first delivery
                    assert_eq!(replies, [200], "{operation} {name} once");
                }
                host.idle(1).await;
                proxy.set([]);
                deployment.pass_time().await;
                scheduled.invoke_raw(json!({})).await.unwrap();
                assert_eq!(deployment.pending().await, 0, "{operation} {name}");

                let arrived = deployment.arrived(1).await;
                let copies = arrived.get(&id).copied().unwrap_or_default();
                let lost = usize::from(replies.iter().any(|status| acknowledged(*status)) && copies == 0);
                let often = if times.is_some() { "once" } else { "always" };
                println!(
                    "{operation:<12} {name:<12} {often:<6} {:<22} {copies:>8}  {lost:>4}  {:>10}",
                    format!("{replies:?}"),
                    copies.saturating_sub(1)
                );
                assert_eq!(lost, 0, "{operation} {name} {often}");
                assert_eq!(arrived.len(), 1, "{operation} {name} {often}: nothing else arrived");
            }
        }
    }
}

#[tokio::test]
async fn a_backlog_survives_faults_of_the_reconciler() {
    const BACKLOG: usize = 60;
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let _function = deployment.function(&host, "umaaas");
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    let mut sent = BTreeSet::new();

    println!("{:<34} runs  messages  lost  duplicates", "fault of the reconciler");
    for (name, operation, fault, kill) in [
        ("none", "", Fault::Hang, false),
        ("killed before a batch is sent", "SendMessageBatch", Fault::Hang, true),
        ("killed after a batch was sent", "SendMessageBatch", Fault::LoseAnswer, true),
        ("killed before a claim", "UpdateItem", Fault::Hang, true),
        ("killed after a claim", "UpdateItem", Fault::LoseAnswer, true),
        ("a batch fails", "SendMessageBatch", Fault::Fail, false),
        ("the index is throttled", "Query", Fault::Throttle, false),
    ] {
        // a backlog: recorded and acknowledged, but SQS is away
        proxy.set([rule("SendMessage", Fault::Drop, None)]);
        let mut ids = BTreeSet::new();
        for _ in 0..BACKLOG / 6 {
            let (id, event) = delivery("TEST");
            assert_eq!(host.invoke(event).await.unwrap().status, 200);
            ids.insert(id);
        }
        host.idle(1).await;
        assert_eq!(deployment.pending().await, ids.len(), "{name}");
        deployment.pass_time().await;

        let held = proxy.held();
        let mut runs = 1;
        proxy.set([rule(operation, fault, if kill { None } else { Some(8) })]);
        let reconciler = deployment.function(&scheduled, "reconciler");
        let run = tokio::spawn({
            let scheduled = scheduled.clone();
            async move { scheduled.invoke_raw(json!({})).await }
        });
        if kill {
            wait_for("the call is held", WITHIN, async || proxy.held() > held).await;
            reconciler.kill();
            run.abort();
        } else {
            run.await.unwrap().unwrap();
        }
        proxy.set([]);

        // two reconcilers at once, until nothing is left
        let rivals =
            [deployment.function(&scheduled, "reconciler"), deployment.function(&scheduled, "reconciler")];
        while deployment.pending().await > 0 {
            runs += 1;
            assert!(runs < 10, "{name}: the backlog does not end");
            deployment.pass_time().await;
            for summary in join_all([scheduled.invoke_raw(json!({})), scheduled.invoke_raw(json!({}))]).await
            {
                assert_eq!(summary.unwrap()["failed"], 0, "{name}");
            }
        }
        drop(rivals);
        for (id, copies) in deployment.arrived(ids.len()).await {
            *arrived.entry(id).or_default() += copies;
        }
        let lost = ids.iter().filter(|id| !arrived.contains_key(*id)).count();
        let duplicates: usize = ids.iter().map(|id| arrived.get(id).map_or(0, |copies| copies - 1)).sum();
        println!("{name:<34} {runs:>4}  {:>8}  {lost:>4}  {duplicates:>10}", ids.len() - lost + duplicates);
        assert_eq!(lost, 0, "{name}");
        sent.extend(ids);
    }
    assert_eq!(
        arrived.into_keys().collect::<BTreeSet<_>>(),
        sent,
        "nothing arrived that was not acknowledged"
    );
}
