//! The built function when AWS is slow, does not answer, or is unreachable: replies stay within the
//! provider's deadline, only recorded events are acknowledged, and no recorded event is lost.

use std::time::{Duration, Instant};

use aws::budget::AFTER_REPLY;
use aws_sdk_dynamodb::types::AttributeValue;
use ingest::REPLY_WITHIN;
use local_stack::senders::SENDERS;
use local_stack::watch;
use serde_json::Value;
use tests::{Fault, FaultProxy, Function, Host, LocalAws, Rule, post, valid_envelope, wait_for};

const ALWAYS: Option<usize> = None;

fn rule(operation: &'static str, fault: Fault, times: Option<usize>) -> Rule {
    Rule { operation, fault, times }
}

/// A signed sample with a new id, as an event of API Gateway, and the key of its record.
fn event(file: &str) -> (Value, String) {
    let provider = &SENDERS[0];
    let sample = provider.samples.iter().find(|sample| sample.file == file).unwrap();
    let body = provider.body(sample).unwrap();
    let delivery = provider.delivery(sample.path, body.clone(), &provider.signing_key());
    let fields: Value = serde_json::from_str(&body).unwrap();
    let key =
        format!("umaaas#{}#{}", fields["type"].as_str().unwrap(), fields["webhookId"].as_str().unwrap());
    (post(sample.path, &delivery.headers, &body), key)
}

/// A webhook that needs no decision, and a PENDING payment that the sample policy approves.
const SAMPLES: [&str; 2] = ["test", "incoming_payment"];

#[tokio::test]
async fn replies_are_in_time_and_only_recorded_events_are_acknowledged() {
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    let proxy = FaultProxy::start(&aws.stack.endpoint).await;
    let mut environment = aws.stack.environment(&SENDERS[0]);
    environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
    let mut host = Host::start().await;
    let mut function = Function::start(&host, "umaaas", &environment);
    let queue = aws.stack.queue(&SENDERS[0]);
    let state = async |key: &str| {
        let key = AttributeValue::S(key.to_owned());
        let get = aws.stack.dynamodb.get_item().table_name(&aws.stack.table).key("pk", key);
        let item = get.consistent_read(true).send().await.unwrap().item;
        item.map(|item| item["state"].as_s().unwrap().clone())
    };
    host.idle(1).await;
    assert_eq!(proxy.take_calls(), ["GetItem"], "one call at the start: are decisions stopped?");
    assert_eq!(host.invoke(event("test").0).await.unwrap().status, 200);
    host.idle(1).await;
    assert_eq!(proxy.take_calls(), ["PutItem", "SendMessage", "UpdateItem"], "three calls a delivery");
    assert_eq!(queue.receive(1, Duration::from_secs(10)).await.unwrap().len(), 1);

    let mut logs = String::new();
    let second = Duration::from_secs(1);
    // fault -> reply, the record's state, messages: never 200 for a payment that is not recorded
    let (recorded, refused) = (200, 503);
    for (name, rules, reply, expected_state, messages) in [
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
        // the write succeeds but its answer is lost, and the SDK's retry finds the record of the first
        // attempt
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
        // a new function, because earlier faults may have opened the breakers of the old one
        logs.push_str(&function.log());
        host = Host::start().await;
        function = Function::start(&host, "umaaas", &environment);
        for kind in SAMPLES {
            proxy.set(rules.clone());
            let (event, key) = event(kind);
            let answer = host.invoke(event.clone()).await.unwrap();
            println!("{name:<28} {kind:<17} {} after {:>5} ms", answer.status, answer.took.as_millis());
            assert_eq!(answer.status, reply, "{name}, {kind}: {}", answer.body);
            assert!(answer.took < REPLY_WITHIN.unsigned_abs(), "{name}, {kind}: {:?}", answer.took);
            let replied = Instant::now();
            host.idle(1).await;
            assert!(replied.elapsed() < AFTER_REPLY, "{name}, {kind}: {:?}", replied.elapsed());
            match state(&key).await {
                Some(state) => assert_eq!(state, expected_state, "{name}, {kind}"),
                None => assert_eq!(expected_state, "none", "{name}, {kind}"),
            }
            // the redelivery is a duplicate if the event was recorded, and a first delivery if it was not
            proxy.set([]);
            let again = host.invoke(event).await.unwrap().status;
            host.idle(1).await;
            let expected = if reply == refused { recorded } else { 409 };
            assert_eq!(again, expected, "{name}, {kind}, again");
        }
        let redelivered = if reply == refused { 2 } else { 0 };
        let arrived = queue.receive(messages + redelivered, Duration::from_secs(10)).await.unwrap();
        assert_eq!(arrived.len(), messages + redelivered, "{name}");
        for message in &arrived {
            valid_envelope(message.body().unwrap()).unwrap();
        }
        assert!(
            queue.receive(1, Duration::from_millis(300)).await.unwrap().is_empty(),
            "{name}: one message too many"
        );
    }

    for expected in [r#""outcome":"unavailable""#, r#""forwarding":"failed""#] {
        assert!(logs.contains(expected), "{logs}");
    }
}

/// The delay is so long that the function's own processing time does not matter, even on a busy machine.
#[tokio::test]
async fn a_reply_waits_for_one_call() {
    const DELAY: Duration = Duration::from_millis(300);
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    let proxy = FaultProxy::start(&aws.stack.endpoint).await;
    let mut environment = aws.stack.environment(&SENDERS[0]);
    environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
    let host = Host::start().await;
    let _function = Function::start(&host, "umaaas", &environment);
    host.idle(1).await;
    assert_eq!(proxy.pings(), 2, "before the first event, there is a connection to each of the two services");
    assert_eq!(proxy.take_calls(), ["GetItem"], "and it is known whether decisions are stopped");
    proxy.set(["PutItem", "SendMessage", "UpdateItem"].map(|name| rule(name, Fault::Delay(DELAY), ALWAYS)));
    for kind in SAMPLES {
        let (event, _) = event(kind);
        let started = Instant::now();
        let answer = host.invoke(event.clone()).await.unwrap();
        host.idle(1).await;
        println!("{kind:<17} reply after {:?}, done after {:?}", answer.took, started.elapsed());
        assert_eq!(answer.status, 200);
        assert!(answer.took >= DELAY && answer.took < DELAY * 2, "{kind}: {:?}", answer.took);
        assert!(started.elapsed() >= DELAY * 3, "{kind}: forwarded and settled before the next event");
        assert_eq!(proxy.take_calls(), ["PutItem", "SendMessage", "UpdateItem"]);
        let again = host.invoke(event).await.unwrap();
        host.idle(1).await;
        assert_eq!((again.status, proxy.take_calls().len()), (409, 1), "{kind}: a duplicate is one call");
        assert!(again.took < DELAY * 2, "{kind}, again: {:?}", again.took);
    }
}

#[tokio::test]
async fn a_cold_start_while_aws_is_away() {
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    let silent = FaultProxy::start(&aws.stack.endpoint).await;
    silent.set([rule("PutItem", Fault::Hang, ALWAYS)]);
    let closed = format!("http://127.0.0.1:{}", local_stack::port::free().unwrap());
    for address in [closed, silent.endpoint] {
        let mut environment = aws.stack.environment(&SENDERS[0]);
        environment.push(("AWS_ENDPOINT_URL".into(), address.clone()));
        let host = Host::start().await;
        let _function = Function::start(&host, "umaaas", &environment);
        let answer = host.invoke(event("incoming_payment").0).await.unwrap();
        println!("{address}: {} after {} ms, start-up included", answer.status, answer.took.as_millis());
        assert_eq!(answer.status, 503);
        assert_eq!(answer.headers["retry-after"], "30");
        assert!(answer.took < REPLY_WITHIN.unsigned_abs(), "{:?}", answer.took);
        assert!(!answer.body.contains("127.0.0.1"), "the detail belongs only in the log: {}", answer.body);
    }
}

#[tokio::test]
async fn a_wrong_environment_keeps_the_function_from_starting() {
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    let host = Host::start().await;
    let right = aws.stack.environment(&SENDERS[0]);
    for (name, value, logged) in [
        ("UMAAAS_WEBHOOK_SECRETS", "", "UMAAAS_WEBHOOK_SECRETS is not set"),
        ("UMAAAS_WEBHOOK_SECRETS", "one,,two", "UMAAAS_WEBHOOK_SECRETS is wrong"),
        ("EVENTS_TABLE", "", "EVENTS_TABLE is not set"),
        ("QUEUE_URL", "", "QUEUE_URL is not set"),
        ("RETENTION_DAYS", "soon", "RETENTION_DAYS is wrong"),
        ("UMAAAS_TIMESTAMP_TOLERANCE_SECONDS", "999999999", "shorter than RETENTION_DAYS"),
        ("APPROVAL_POLICY", "/nonexistent/policy.cedar", "APPROVAL_POLICY is wrong"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is wrong"),
    ] {
        let mut environment = right.clone();
        environment.push((name.into(), value.into()));
        let mut function = Function::start(&host, "umaaas", &environment);
        wait_for("the function ends", Duration::from_secs(20), async || function.exited().is_some()).await;
        assert!(!function.exited().unwrap().success());
        let log = function.log();
        assert!(log.contains(logged), "{name}={value}: {log}");
        assert!(!log.contains(&SENDERS[0].secret()) && !log.contains("one,,two"), "{log}");
    }
}
