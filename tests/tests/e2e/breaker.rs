//! The work after a reply when SQS or the settling write does not answer: instances are soon free for the
//! next event, and no event is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tests::{Deployment, Fault, Host, Rule, umaaas_event, unique};

/// From this delivery on, the breaker is open and an instance is free at once. Each delivery before it waits
/// for the whole time budget.
const OPEN_FROM: usize = 3;

fn delivery() -> (String, serde_json::Value) {
    let id = unique();
    let body = json!({"webhookId": id, "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"});
    (id, umaaas_event("/umaaas", &body.to_string()))
}

#[tokio::test]
async fn an_instance_is_free_while_a_call_does_not_answer() {
    let deployment = Deployment::start_alone().await;
    let (proxy, scheduled) = (&deployment.proxy, Host::start().await);
    let _reconciler = deployment.function(&scheduled, "reconciler");
    for (operation, fault) in [
        ("SendMessage", Fault::Hang),
        ("SendMessage", Fault::Drop),
        ("SendMessage", Fault::Fail),
        ("SendMessage", Fault::Throttle),
        ("UpdateItem", Fault::Hang),
    ] {
        let host = Host::start().await;
        let function = deployment.function(&host, "umaaas");
        host.idle(1).await;
        proxy.set([Rule { operation, fault, times: None }]);
        let mut ids = BTreeSet::new();
        let mut busy = Vec::new();
        for n in 0..8 {
            let (id, event) = delivery();
            proxy.take_calls();
            let started = Instant::now();
            assert_eq!(host.invoke(event).await.unwrap().status, 200);
            host.idle(1).await;
            busy.push(started.elapsed().as_millis());
            let calls = proxy.take_calls();
            if n >= OPEN_FROM {
                assert_eq!(calls, ["PutItem"], "{operation} {fault:?}: nothing is sent");
            }
            ids.insert(id);
        }
        println!("{operation:<12} {:<9} busy for {busy:?} ms", format!("{fault:?}"));
        if fault == Fault::Hang {
            let before = busy[..OPEN_FROM].iter().min().unwrap();
            let after = busy[OPEN_FROM..].iter().max().unwrap();
            assert!(*after < 100 && *after < before / 4, "{operation} {fault:?}: {busy:?}");
        }
        let log = function.log();
        assert_eq!(log.matches(r#""forwarding":"left_to_reconciler""#).count(), 5, "{log}");

        // the reconciler's next run sends the records that were left to it; the others when they are due
        proxy.set([]);
        let summary = scheduled.invoke_raw(json!({})).await.unwrap();
        assert_eq!(summary["forwarded"], 5, "{operation} {fault:?}: {summary}");
        deployment.pass_time().await;
        scheduled.invoke_raw(json!({})).await.unwrap();
        assert_eq!(deployment.pending().await, 0, "{operation} {fault:?}");
        let arrived = deployment.arrived("umaaas", ids.len()).await;
        assert_eq!(arrived.into_keys().collect::<BTreeSet<_>>(), ids, "{operation} {fault:?}: 0 lost");
    }
}

#[tokio::test]
async fn under_load_nothing_is_lost_while_sqs_is_away_and_back() {
    const EVENTS: usize = 400;
    let deployment = Deployment::start_alone().await;
    let (host, scheduled) = (Host::start().await, Host::start().await);
    let _functions: Vec<_> = (0..3).map(|_| deployment.function(&host, "umaaas")).collect();
    let _reconciler = deployment.function(&scheduled, "reconciler");
    host.idle(3).await;
    deployment.proxy.set([Rule { operation: "SendMessage", fault: Fault::Hang, times: Some(EVENTS / 8) }]);
    let started = Instant::now();
    let ids: Vec<String> = stream::iter((0..EVENTS).map(|_| delivery()))
        .map(|(id, event)| {
            let host = host.clone();
            async move {
                assert_eq!(host.invoke(event).await.unwrap().status, 200);
                id
            }
        })
        .buffer_unordered(12)
        .collect()
        .await;
    host.idle(3).await;
    println!("{EVENTS} deliveries in {:.1} s, SQS silent", started.elapsed().as_secs_f64());
    // without breakers, each delivery would keep an instance busy for the whole time budget of the message
    assert!(started.elapsed() < Duration::from_secs(60));
    deployment.proxy.set([]);
    while deployment.pending().await > 0 {
        deployment.pass_time().await;
        scheduled.invoke_raw(json!({})).await.unwrap();
    }
    let arrived = deployment.arrived("umaaas", EVENTS).await;
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), ids.into_iter().collect(), "0 lost");
}
