//! The guarantee: an event that has been acknowledged with 2xx, 403, 409 or 422 reaches the queue, whatever
//! fails. The tests kill the built functions at every step, or let their calls to AWS fail. They redeliver
//! like the provider and run the reconciler. Then they compare the acknowledged events with the events on the
//! queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use ingest::DUE_AFTER;
use serde_json::{Value, json};
use tests::{Deployment, Fault, Host, Rule, umaaas_event, unique, wait_for};

/// The provider whose functions are tested.
const UMAAAS: &str = "umaaas";

const WITHIN: Duration = Duration::from_secs(30);

/// How many times an event is delivered until it is acknowledged, as UMAaaS does.
const REDELIVERIES: usize = 3;

/// A signed delivery of a new event, and the event's id.
fn delivery(kind: &str) -> (String, Value) {
    let id = unique();
    let body = json!({
        "webhookId": id, "type": kind, "timestamp": "2026-11-02T09:15:00Z", "transaction": {"status": "PENDING"},
    });
    (id, umaaas_event("/umaaas", &body.to_string()))
}

fn acknowledged(status: u16) -> bool {
    matches!(status, 200..=299 | 403 | 409 | 422)
}

fn rule(operation: &'static str, fault: Fault, times: Option<usize>) -> Rule {
    Rule { operation, fault, times }
}

/// When the function is killed: during this call, which gets no answer. With `Hang` the call has no effect,
/// with `LoseAnswer` it has its effect.
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
            // The reply waits only for `PutItem`: when a later call hangs, the function has already replied.
            let replied = operation != "PutItem";
            let mut replies = Vec::new();
            if replied {
                replies.push(first.await.unwrap().unwrap().status);
            } else {
                assert!(!first.is_finished(), "{point}, {kind}");
                first.abort();
            }

            // a sender without a reply delivers again, except a payment that needs a decision
            let function = deployment.function(&host, "umaaas");
            if kind == "TEST" {
                replies.push(host.invoke(event).await.unwrap().status);
            }
            deployment.pass_time().await;
            scheduled.invoke_raw(json!({})).await.unwrap();
            assert_eq!(deployment.pending().await, 0, "{point}, {kind}");
            function.kill();

            let recorded = point != "before record";
            let arrived = deployment.arrived(UMAAAS, usize::from(recorded || kind == "TEST")).await;
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
                "{point}, {kind}: the FIFO queue drops a second message"
            );
            if kind == "TEST" {
                let last = if recorded { 409 } else { 200 };
                assert_eq!(replies, if replied { vec![200, last] } else { vec![last] }, "{point}");
            }
        }
    }
    drop(reconciler);
}

/// When the function is killed while it handles a conflict. The first write finds an existing record under
/// the key. The second write records the conflict: alone, or in a transaction with its decision.
const CONFLICT_POINTS: [(&str, &str, Fault); 8] = [
    ("before record", "PutItem", Fault::Hang),
    ("before conflict", "2nd PutItem", Fault::Hang),
    ("after conflict", "2nd PutItem", Fault::LoseAnswer),
    ("before decision", "TransactWriteItems", Fault::Hang),
    ("after decision", "TransactWriteItems", Fault::LoseAnswer),
    ("before forward", "SendMessage", Fault::Hang),
    ("after forward", "SendMessage", Fault::LoseAnswer),
    ("after settle", "UpdateItem", Fault::LoseAnswer),
];

/// A webhook and a second one that conflicts with it: their common id, and both deliveries. For a payment,
/// the first reply asks for information, and the second delivery contains it.
fn conflict(kind: &str) -> (String, Value, Value) {
    let id = unique();
    let body = |n: u8, about_sender: Value| {
        let amount = json!({"amount": 5, "currency": {"code": "USD", "decimals": 2}});
        let body = json!({
            "webhookId": id, "type": kind, "timestamp": "2026-11-02T09:15:00Z", "jobId": format!("{n}"),
            "transaction": {
                "status": "PENDING", "senderUmaAddress": "$ada@example.com",
                "receiverUmaAddress": "$bob@example.org", "receivedAmount": amount,
                "counterpartyInformation": about_sender,
            },
        });
        umaaas_event("/umaaas", &body.to_string())
    };
    let known = json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15"});
    (id.clone(), body(1, json!({})), body(2, known))
}

/// The rules with which the fault affects only the write that records the conflict.
fn conflict_rules(operation: &'static str, fault: Fault, times: Option<usize>) -> Vec<Rule> {
    match operation {
        "2nd PutItem" => {
            vec![rule("PutItem", Fault::Delay(Duration::ZERO), Some(1)), rule("PutItem", fault, times)]
        }
        operation => vec![rule(operation, fault, times)],
    }
}

#[tokio::test]
async fn killed_around_a_conflict() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let _reconciler = deployment.function(&scheduled, "reconciler");

    println!("{:<16} {:<17} {:<22} messages  lost  duplicates", "killed", "conflict", "replies");
    for (point, operation, fault) in CONFLICT_POINTS {
        for kind in ["BULK_UPLOAD", "INCOMING_PAYMENT"] {
            let payment = kind == "INCOMING_PAYMENT";
            // An approval is written in a transaction, everything else alone.
            if operation == if payment { "2nd PutItem" } else { "TransactWriteItems" } {
                continue;
            }
            let (id, first, second) = conflict(kind);
            proxy.set([]);
            let function = deployment.function(&host, "umaaas");
            assert_eq!(host.invoke(first).await.unwrap().status, if payment { 422 } else { 200 });
            host.idle(1).await;

            let held = proxy.held();
            proxy.set(conflict_rules(operation, fault, None));
            let delivered = tokio::spawn({
                let (host, event) = (host.clone(), second.clone());
                async move { host.invoke(event).await }
            });
            wait_for("the call is held", WITHIN, async || proxy.held() > held).await;
            function.kill();
            proxy.set([]);
            let mut replies = Vec::new();
            if matches!(operation, "SendMessage" | "UpdateItem") {
                replies.push(delivered.await.unwrap().unwrap().status);
            } else {
                delivered.abort();
            }
            // a sender without a reply delivers again; here also a payment, to check that it is decided only
            // once
            let function = deployment.function(&host, "umaaas");
            replies.push(host.invoke(second).await.unwrap().status);
            host.idle(1).await;
            deployment.pass_time().await;
            scheduled.invoke_raw(json!({})).await.unwrap();
            assert_eq!(deployment.pending().await, 0, "{point}, {kind}");
            function.kill();

            let arrived = deployment.arrived(UMAAAS, 2).await;
            let conflicts: Vec<_> =
                arrived.iter().filter(|(of, _)| of.starts_with(&format!("{id}#"))).collect();
            let copies: usize = conflicts.iter().map(|(_, copies)| **copies).sum();
            let lost = 1_usize.saturating_sub(copies);
            println!(
                "{point:<16} {kind:<17} {:<22} {copies:>8}  {lost:>4}  {:>10}",
                format!("{replies:?}"),
                copies.saturating_sub(1)
            );
            assert_eq!((arrived.len(), copies), (2, 1), "{point}, {kind}: {arrived:?}");
            let recorded = !matches!(point, "before record" | "before conflict" | "before decision");
            let last = if payment && !recorded { 200 } else { 409 };
            assert_eq!(replies.last(), Some(&last), "{point}, {kind}");
        }
    }
}

/// What may happen to any call.
const FAULTS: [(&str, Fault); 6] = [
    ("slow", Fault::Delay(Duration::from_millis(900))),
    ("hangs", Fault::Hang),
    ("cut off", Fault::Drop),
    ("answer lost", Fault::LoseAnswer),
    ("throttled", Fault::Throttle),
    ("fails", Fault::Fail),
];

#[tokio::test]
async fn the_write_of_a_conflict_fails() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let _function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");

    println!("{:<19} {:<12} {:<6} {:<27} messages  lost", "call", "fault", "times", "replies");
    for (operation, kind) in [("2nd PutItem", "BULK_UPLOAD"), ("TransactWriteItems", "INCOMING_PAYMENT")] {
        for (name, fault) in FAULTS.into_iter().chain([("contention", Fault::Contend)]) {
            for times in [Some(1), None] {
                if fault == Fault::Contend && operation != "TransactWriteItems" {
                    continue;
                }
                let (id, first, second) = conflict(kind);
                proxy.set([]);
                assert!(acknowledged(host.invoke(first).await.unwrap().status));
                host.idle(1).await;
                let mut replies: Vec<u16> = Vec::new();
                while !replies.last().is_some_and(|status| acknowledged(*status))
                    && replies.len() <= REDELIVERIES
                {
                    let rules = if replies.len() < REDELIVERIES {
                        conflict_rules(operation, fault, times)
                    } else {
                        vec![]
                    };
                    proxy.set(rules);
                    let answer = host.invoke(second.clone()).await.unwrap();
                    assert!(
                        answer.took < Duration::from_millis(4_500),
                        "{operation} {name}: {:?}",
                        answer.took
                    );
                    replies.push(answer.status);
                    host.idle(1).await;
                }
                proxy.set([]);
                deployment.pass_time().await;
                scheduled.invoke_raw(json!({})).await.unwrap();
                assert_eq!(deployment.pending().await, 0, "{operation} {name}");
                let arrived = deployment.arrived(UMAAAS, 2).await;
                let copies = arrived.iter().filter(|(of, _)| of.starts_with(&format!("{id}#"))).count();
                let often = if times.is_some() { "once" } else { "always" };
                println!(
                    "{operation:<19} {name:<12} {often:<6} {:<27} {copies:>8}  {:>4}",
                    format!("{replies:?}"),
                    1 - copies
                );
                assert_eq!((arrived.len(), copies), (2, 1), "{operation} {name} {often}: {arrived:?}");
                let last = *replies.last().unwrap();
                if kind == "BULK_UPLOAD" || (fault == Fault::LoseAnswer && times.is_none()) {
                    assert_eq!(last, 409, "{operation} {name} {often}");
                } else if times.is_some() {
                    assert_eq!(replies, [200], "{operation} {name} {often}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_overdue_first_attempt_that_resumes_sends_nothing() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");
    assert_eq!(host.invoke(delivery("TEST").1).await.unwrap().status, 200);
    assert_eq!(deployment.arrived(UMAAAS, 1).await.len(), 1);

    // the function is frozen while its record is being written
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

    // wait in real time until the record is due and the reconciler forwards it
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
    let mut calls = proxy.take_calls();
    // The switch that stops decisions is read again after a while.
    calls.retain(|call| call != "GetItem");
    println!(
        "frozen for 90 s: {} after {} s; calls after that: {calls:?}",
        reply.status,
        reply.took.as_secs()
    );
    assert!(calls.iter().all(|call| call == "PutItem"), "{calls:?}");
    assert_eq!(deployment.arrived(UMAAAS, 2).await, BTreeMap::from([(id, 1)]));
}

#[tokio::test]
async fn every_call_fails() {
    let deployment = Deployment::start().await;
    let (proxy, host, scheduled) = (&deployment.proxy, Host::start().await, Host::start().await);
    let _function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");

    println!("{:<12} {:<12} {:<6} {:<22} messages  lost  duplicates", "call", "fault", "times", "replies");
    for operation in ["PutItem", "SendMessage", "UpdateItem"] {
        for (name, fault) in FAULTS {
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
                    // when one answer is lost, the SDK retries, and the retry still counts as the first
                    // delivery
                    assert_eq!(replies, [200], "{operation} {name} once");
                }
                host.idle(1).await;
                proxy.set([]);
                deployment.pass_time().await;
                scheduled.invoke_raw(json!({})).await.unwrap();
                assert_eq!(deployment.pending().await, 0, "{operation} {name}");

                let arrived = deployment.arrived(UMAAAS, 1).await;
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
        // make a backlog: events are recorded and acknowledged, but SQS is unavailable
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

        // run two reconcilers at the same time until no record is pending
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
        for (id, copies) in deployment.arrived(UMAAAS, ids.len()).await {
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
