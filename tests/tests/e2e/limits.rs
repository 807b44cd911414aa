//! Limits with memory through the built functions: how many payments of one sender several instances approve, and what
//! is counted when calls fail, answers are lost and instances are killed.

use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::Value;
use tests::{Deployment, Fault, Host, Rule, named, signed_event, unique, wait_for};

/// The folder of a policy that approves seven payments of a sender in a day.
fn seven_a_day() -> PathBuf {
    let folder = local_stack::scratch().join(format!("policy-{}", unique()));
    std::fs::create_dir_all(&folder).unwrap();
    let rules = r#"
        @id("any") permit (principal, action, resource);
        @id("seven") @reason("limit") forbid (principal, action, resource)
        when { context.limits.day.sum > 7 - context.amount || context.limits.day.count >= 7 };
    "#;
    std::fs::write(folder.join("policy.cedar"), rules).unwrap();
    let limits = r#"{"day": {"by": "sender", "window": "24h"}}"#;
    std::fs::write(folder.join("limits.json"), limits).unwrap();
    folder
}

/// A webhook about a payment of 1 by a sender: its body.
fn payment(sender: &str, transaction: &str, status: &str) -> String {
    let provider = named("umaaas");
    let sample = provider.samples.iter().find(|sample| sample.file == "incoming_payment").unwrap();
    let mut body: Value = serde_json::from_str(&provider.body(sample).unwrap()).unwrap();
    body["transaction"]["id"] = transaction.into();
    body["transaction"]["status"] = status.into();
    body["transaction"]["senderUmaAddress"] = format!("${sender}@sender.example").into();
    body["transaction"]["receivedAmount"]["amount"] = 1.into();
    body.to_string()
}

fn event(body: &str) -> Value {
    signed_event("umaaas", "/umaaas", body)
}

async fn deliver(host: &Host, body: &str) -> u16 {
    host.invoke(event(body)).await.unwrap().status
}

/// What the only tally says, and how many approvals are recorded: `(sum, count, approvals)`.
async fn counted(deployment: &Deployment) -> (i64, i64, usize) {
    let number = |value: &AttributeValue| value.as_n().unwrap().parse::<i64>().unwrap();
    let (mut sum, mut count) = (0, 0);
    for tally in deployment.records("limit#").await.values() {
        for bucket in tally["buckets"].as_m().unwrap().values() {
            sum += number(&bucket.as_m().unwrap()["sum"]);
            count += number(&bucket.as_m().unwrap()["count"]);
        }
    }
    let records = deployment.records("umaaas#").await;
    let approved = records.values().filter(|record| {
        let decision = record.get("decision").map(|decision| decision.as_s().unwrap().as_str());
        decision.is_some_and(|decision| decision.contains(r#""outcome":"approve""#))
    });
    (sum, count, approved.count())
}

#[tokio::test]
async fn fifty_payments_at_once_against_a_limit_of_seven() {
    const INSTANCES: usize = 10;
    let deployment = Deployment::start().await;
    let policy = seven_a_day();
    let policy = [("APPROVAL_POLICY", policy.to_str().unwrap())];
    let hosts = join_all((0..INSTANCES).map(|_| Host::start())).await;
    let _functions: Vec<_> =
        hosts.iter().map(|host| deployment.function_with(host, "umaaas", &policy)).collect();
    join_all(hosts.iter().map(|host| host.idle(1))).await;
    let sent = (0..50).map(|n| {
        let host = &hosts[n % INSTANCES];
        async move { deliver(host, &payment("ada", &format!("Transaction:{n}"), "PENDING")).await }
    });
    let statuses = join_all(sent).await;
    let of = |status: u16| statuses.iter().filter(|known| **known == status).count();
    println!("200: {}, 403: {}, 503: {}", of(200), of(403), of(503));
    assert_eq!((of(200), of(200) + of(403) + of(503)), (7, 50));
    assert_eq!(counted(&deployment).await, (7, 7, 7));
    // another sender has a limit of its own
    assert_eq!(deliver(&hosts[0], &payment("bob", "Transaction:b", "PENDING")).await, 200);
}

/// A payment whose policy reads limits costs one call more before its reply; anything else costs none. A payment that
/// failed is subtracted after the reply, once.
#[tokio::test]
async fn only_payments_with_limits_cost_calls() {
    const PLAIN: [&str; 3] = ["PutItem", "SendMessage", "UpdateItem"];
    let deployment = Deployment::start().await;
    let policy = seven_a_day();
    for (policy, approved) in [
        ("sample", &["PutItem", "SendMessage", "UpdateItem"][..]),
        (policy.to_str().unwrap(), &["BatchGetItem", "TransactWriteItems", "SendMessage", "UpdateItem"]),
    ] {
        let limited = policy != "sample";
        let host = Host::start().await;
        let _function = deployment.function_with(&host, "umaaas", &[("APPROVAL_POLICY", policy)]);
        let (sender, transaction) = (unique(), format!("Transaction:{}", unique()));
        // What the start and a first payment cost is not counted.
        assert_eq!(deliver(&host, &payment(&sender, &unique(), "PENDING")).await, 200);
        host.idle(1).await;
        let before = counted(&deployment).await.1;
        let calls = async |status: &str, expected: u16| {
            deployment.proxy.take_calls();
            let reply = deliver(&host, &payment(&sender, &transaction, status)).await;
            assert_eq!(reply, expected, "{policy} {status}");
            host.idle(1).await;
            let mut calls = deployment.proxy.take_calls();
            calls.retain(|call| call != "GetItem");
            calls
        };
        assert_eq!(calls("PENDING", 200).await, approved, "{policy}");
        assert_eq!(calls("COMPLETED", 200).await, PLAIN, "{policy}");
        assert_eq!(counted(&deployment).await.1, before + i64::from(limited));
        for (status, more) in [("FAILED", 3), ("REFUNDED", 1)] {
            let mut all = calls(status, 200).await;
            let expected = PLAIN.len() + if limited { more } else { 0 };
            assert_eq!(all.len(), expected, "{policy} {status}: {all:?}");
            all.retain(|call| call == "TransactWriteItems");
            assert_eq!(all.len(), usize::from(limited && more == 3));
            assert_eq!(counted(&deployment).await.1, before);
        }
    }
}

/// Whatever happens to a call, each approval that is recorded is counted, once, and nothing else is.
#[tokio::test]
async fn no_fault_leaves_an_approval_uncounted_or_counted_twice() {
    let deployment = Deployment::start().await;
    let policy = seven_a_day();
    let policy = [("APPROVAL_POLICY", policy.to_str().unwrap())];
    let rule = |operation, fault, times| vec![Rule { operation, fault, times }];
    let (read, write) = ("BatchGetItem", "TransactWriteItems");
    let mut approvals = 0;
    for (name, rules, reply, recorded) in [
        ("nothing", vec![], 200, 1),
        ("reading fails once", rule(read, Fault::Fail, Some(1)), 200, 1),
        ("reading hangs", rule(read, Fault::Hang, None), 503, 0),
        ("reading is throttled", rule(read, Fault::Throttle, None), 503, 0),
        ("writing fails once", rule(write, Fault::Fail, Some(1)), 200, 1),
        ("writing hangs", rule(write, Fault::Hang, None), 503, 0),
        ("writing is cut off", rule(write, Fault::Drop, None), 503, 0),
        ("writing is contended three times", rule(write, Fault::Contend, Some(3)), 200, 1),
        ("writing is contended", rule(write, Fault::Contend, None), 503, 0),
        ("an answer is lost", rule(write, Fault::LoseAnswer, Some(1)), 200, 1),
        ("all answers are lost", rule(write, Fault::LoseAnswer, None), 503, 1),
    ] {
        let host = Host::start().await;
        let _function = deployment.function_with(&host, "umaaas", &policy);
        host.idle(1).await;
        deployment.proxy.set(rules);
        let answer = host.invoke(event(&payment(&unique(), &unique(), "PENDING"))).await.unwrap();
        println!("{name:<34} {} after {:>5} ms", answer.status, answer.took.as_millis());
        assert_eq!(answer.status, reply, "{name}: {}", answer.body);
        assert!(answer.took < ingest::REPLY_WITHIN.unsigned_abs(), "{name}: {:?}", answer.took);
        host.idle(1).await;
        deployment.proxy.set([]);
        approvals += recorded;
        let expected = i64::try_from(approvals).unwrap();
        assert_eq!(counted(&deployment).await, (expected, expected, approvals), "{name}");
    }

    // killed during a call that has no effect, or whose answer is lost
    for (operation, fault, recorded) in [
        (read, Fault::LoseAnswer, 0),
        (write, Fault::Hang, 0),
        (write, Fault::LoseAnswer, 1),
        ("SendMessage", Fault::Hang, 1),
    ] {
        let host = Host::start().await;
        let function = deployment.function_with(&host, "umaaas", &policy);
        host.idle(1).await;
        deployment.proxy.set(rule(operation, fault, None));
        let held = deployment.proxy.held();
        let body = payment(&unique(), &unique(), "PENDING");
        let killed = async {
            wait_for("the call", Duration::from_secs(20), async || deployment.proxy.held() > held).await;
            function.kill();
        };
        let delivered = async {
            tokio::select! {
                _ = host.invoke(event(&body)) => {}
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
            }
        };
        tokio::join!(delivered, killed);
        deployment.proxy.set([]);
        approvals += recorded;
        let expected = i64::try_from(approvals).unwrap();
        assert_eq!(counted(&deployment).await, (expected, expected, approvals), "{operation} {fault:?}");
        // The provider sends it again: it is recorded and counted only if it was not before.
        let host = Host::start().await;
        let _function = deployment.function_with(&host, "umaaas", &policy);
        let again = deliver(&host, &body).await;
        assert_eq!(again, if recorded == 1 { 409 } else { 200 }, "{operation} {fault:?}");
        approvals += 1 - recorded;
        let expected = i64::try_from(approvals).unwrap();
        assert_eq!(counted(&deployment).await, (expected, expected, approvals), "{operation} {fault:?}");
    }
}
