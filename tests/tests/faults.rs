//! The built function when AWS is slow, silent, or unreachable: replies stay within the provider's
//! deadline, nothing is acknowledged that is not recorded, and what is recorded is not lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use aws::budget::REPLY_WITHIN;
use aws_sdk_dynamodb::types::AttributeValue;
use http::HeaderMap;
use local::providers::PROVIDERS;
use local::watch;
use serde_json::{Value, json};
use tests::{Fault, FaultProxy, Function, Host, LocalAws, Rule, post, unique, wait_for};
use umaaas::SIGNATURE;
use verify::Delivery;

const ALWAYS: Option<usize> = None;

fn rule(operation: &'static str, fault: Fault, times: Option<usize>) -> Rule {
    Rule { operation, fault, times }
}

/// A signed event of API Gateway with an id of its own, and its key.
fn event(kind: &str) -> (Value, String) {
    let id = unique();
    let transaction = json!({"status": "PENDING"});
    let body = json!({"webhookId": id, "type": kind, "timestamp": "2026-11-02T09:15:00Z", "transaction": transaction});
    let body = body.to_string();
    let signature =
        SIGNATURE.sign(&Delivery::new("/", body.clone()), &PROVIDERS[0].signing_secret()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE.header, signature.parse().unwrap());
    (post("/umaaas", &headers, &body), format!("umaaas#{kind}#{id}"))
}

#[tokio::test]
async fn replies_in_time_and_never_for_nothing() {
    let aws = LocalAws::start().await;
    watch::build().await.unwrap();
    let proxy = FaultProxy::start(&aws.stack.endpoint).await;
    let mut environment = aws.stack.environment(&PROVIDERS[0]);
    environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
    let host = Host::start().await;
    let function = Function::start(&host, "umaaas", &environment);
    let queue = aws.stack.queue(&PROVIDERS[0]);
    let state = async |key: &str| {
        let key = AttributeValue::S(key.to_owned());
        let get = aws.stack.dynamodb.get_item().table_name(&aws.stack.table).key("pk", key);
        let item = get.consistent_read(true).send().await.unwrap().item;
        item.map(|item| item["state"].as_s().unwrap().clone())
    };
    assert_eq!(host.invoke(event("TEST").0).await.unwrap().status, 200);
    assert_eq!(proxy.take_calls(), ["PutItem", "SendMessage", "UpdateItem"], "three calls a delivery");
    assert_eq!(queue.receive(1, Duration::from_secs(10)).await.unwrap().len(), 1);

    let second = Duration::from_secs(1);
    // fault -> reply to a TEST and to a PENDING payment, the record's state, messages
    let recorded = (200, 403);
    let refused = (503, 503);
    for (name, rules, replies, expected_state, messages) in [
        (
            "PutItem takes a second",
            vec![rule("PutItem", Fault::Delay(second), ALWAYS)],
            recorded,
            "forwarded",
            2,
        ),
        (
            "everything takes a second",
            ["PutItem", "SendMessage", "UpdateItem"]
                .map(|operation| rule(operation, Fault::Delay(second), ALWAYS))
                .to_vec(),
            recorded,
            "pending",
            0,
        ),
        (
            "UpdateItem takes a second",
            vec![rule("UpdateItem", Fault::Delay(second), ALWAYS)],
            recorded,
            "forwarded",
            2,
        ),
        ("PutItem hangs", vec![rule("PutItem", Fault::Hang, ALWAYS)], refused, "none", 0),
        ("PutItem is cut off", vec![rule("PutItem", Fault::Drop, ALWAYS)], refused, "none", 0),
        ("PutItem fails", vec![rule("PutItem", Fault::Fail, ALWAYS)], refused, "none", 0),
        ("PutItem is throttled", vec![rule("PutItem", Fault::Throttle, ALWAYS)], refused, "none", 0),
        ("PutItem fails once", vec![rule("PutItem", Fault::Fail, Some(1))], recorded, "forwarded", 2),
        // the write is applied, its answer lost, and the SDK's second try finds its own record
        (
            "the answer is lost once",
            vec![rule("PutItem", Fault::LoseAnswer, Some(1))],
            recorded,
            "forwarded",
            2,
        ),
        ("SendMessage hangs", vec![rule("SendMessage", Fault::Hang, ALWAYS)], recorded, "pending", 0),
        ("SendMessage fails", vec![rule("SendMessage", Fault::Fail, ALWAYS)], recorded, "pending", 0),
        ("UpdateItem hangs", vec![rule("UpdateItem", Fault::Hang, ALWAYS)], recorded, "pending", 2),
        ("UpdateItem is cut off", vec![rule("UpdateItem", Fault::Drop, ALWAYS)], recorded, "pending", 2),
    ] {
        for (kind, reply) in [("TEST", replies.0), ("INCOMING_PAYMENT", replies.1)] {
            proxy.set(rules.clone());
            let (event, key) = event(kind);
            let answer = host.invoke(event.clone()).await.unwrap();
            println!("{name:<28} {kind:<17} {} after {:>5} ms", answer.status, answer.took.as_millis());
            assert_eq!(answer.status, reply, "{name}, {kind}: {}", answer.body);
            assert!(answer.took < REPLY_WITHIN, "{name}, {kind}: {:?}", answer.took);
            match state(&key).await {
                Some(state) => assert_eq!(state, expected_state, "{name}, {kind}"),
                None => assert_eq!(expected_state, "none", "{name}, {kind}"),
            }
            // the redelivery: a duplicate of what was recorded, a first delivery of what was not
            proxy.set([]);
            let again = host.invoke(event).await.unwrap().status;
            let expected = if reply == 503 { if kind == "TEST" { 200 } else { 403 } } else { 409 };
            assert_eq!(again, expected, "{name}, {kind}, again");
        }
        let redelivered = if replies == refused { 2 } else { 0 };
        let arrived = queue.receive(messages + redelivered, Duration::from_secs(10)).await.unwrap();
        assert_eq!(arrived.len(), messages + redelivered, "{name}");
        assert!(
            queue.receive(1, Duration::from_millis(300)).await.unwrap().is_empty(),
            "{name}: one too many"
        );
    }

    let log = function.log();
    assert!(log.contains(r#""outcome":"unavailable""#) && log.contains(r#""forwarding":"failed""#), "{log}");
}

#[tokio::test]
async fn nobody_answers_at_the_address_of_aws() {
    let aws = LocalAws::start().await;
    watch::build().await.unwrap();
    let mut environment = aws.stack.environment(&PROVIDERS[0]);
    let closed = format!("http://127.0.0.1:{}", local::port::free().unwrap());
    environment.push(("AWS_ENDPOINT_URL".into(), closed));
    let host = Host::start().await;
    let _function = Function::start(&host, "umaaas", &environment);
    let answer = host.invoke(event("INCOMING_PAYMENT").0).await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "30");
    assert!(answer.took < REPLY_WITHIN, "{:?}", answer.took);
    assert!(!answer.body.contains("127.0.0.1"), "the detail is for the log: {}", answer.body);
}

#[tokio::test]
async fn a_wrong_environment_keeps_the_function_from_starting() {
    let aws = LocalAws::start().await;
    watch::build().await.unwrap();
    let host = Host::start().await;
    let right = aws.stack.environment(&PROVIDERS[0]);
    for (name, value, logged) in [
        ("UMAAAS_WEBHOOK_SECRETS", "", "UMAAAS_WEBHOOK_SECRETS is not set"),
        ("UMAAAS_WEBHOOK_SECRETS", "one,,two", "UMAAAS_WEBHOOK_SECRETS is wrong"),
        ("EVENTS_TABLE", "", "EVENTS_TABLE is not set"),
        ("QUEUE_URL", "", "QUEUE_URL is not set"),
        ("RETENTION_DAYS", "soon", "RETENTION_DAYS is wrong"),
        ("UMAAAS_TIMESTAMP_TOLERANCE_SECONDS", "999999999", "shorter than RETENTION_DAYS"),
    ] {
        let mut environment = right.clone();
        environment.push((name.into(), value.into()));
        let mut function = Function::start(&host, "umaaas", &environment);
        wait_for("the function ends", Duration::from_secs(20), async || function.exited().is_some()).await;
        assert!(!function.exited().unwrap().success());
        let log = function.log();
        assert!(log.contains(logged), "{name}={value}: {log}");
        assert!(!log.contains(PROVIDERS[0].secret) && !log.contains("one,,two"), "{log}");
    }
}
