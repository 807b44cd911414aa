//! Many concurrent deliveries, some of them redeliveries, to several instances of a function: every
//! acknowledged event is on the queue exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use http::HeaderMap;
use local_stack::senders::Sender;
use local_stack::watch;
use serde_json::{Value, json};
use tests::{Function, Host, LocalAws, post, unique, valid_envelope};
use umaaas::SIGNATURE;
use verify::Delivery;

/// The number of instances of the function.
const INSTANCES: usize = 4;

/// The number of concurrent deliveries.
const AT_ONCE: usize = 16;

/// After this many deliveries, one of them is delivered again.
const REDELIVER_EVERY: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_events() {
    load(2_000).await;
}

/// The benchmark: `cargo test --workspace --test e2e -- load:: --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn twenty_thousand_events() {
    load(20_000).await;
}

fn provider() -> &'static Sender {
    Sender::named("umaaas").unwrap()
}

async fn load(events: usize) {
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    let host = Host::start().await;
    let environment = aws.stack.environment(provider());
    let _functions: Vec<Function> =
        (0..INSTANCES).map(|_| Function::start(&host, "umaaas", &environment)).collect();

    let run = unique();
    let deliveries: Vec<usize> = (0..events)
        .flat_map(|n| {
            let again = n.is_multiple_of(REDELIVER_EVERY);
            std::iter::once(n).chain(again.then_some(n))
        })
        .collect();
    let started = Instant::now();
    let replies: Vec<(usize, u16, Duration)> = stream::iter(deliveries)
        .map(|n| {
            let (host, event) = (host.clone(), umaaas_event(&format!("{run}-{n}")));
            async move {
                let answer = host.invoke(event).await.unwrap();
                (n, answer.status, answer.took)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let took = started.elapsed();

    // receiving the messages takes longer than sending them
    let read_within = Duration::from_secs(60) + took * 2;
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for message in aws.stack.queue(provider()).receive(events, read_within).await.unwrap() {
        valid_envelope(message.body().unwrap()).unwrap();
        let envelope: Value = serde_json::from_str(message.body().unwrap()).unwrap();
        *arrived.entry(envelope["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let surplus = aws.stack.queue(provider()).receive(1, Duration::from_millis(500)).await.unwrap();

    let count = |status: u16| replies.iter().filter(|(_, reply, _)| *reply == status).count();
    let acknowledged: BTreeSet<String> = replies
        .iter()
        .filter(|(_, status, _)| matches!(status, 200 | 409))
        .map(|(n, _, _)| format!("{run}-{n}"))
        .collect();
    let lost = acknowledged.iter().filter(|id| !arrived.contains_key(*id)).count();
    let duplicates: usize = arrived.values().map(|copies| copies - 1).sum();
    let mut times: Vec<Duration> = replies.iter().map(|(_, _, took)| *took).collect();
    times.sort();
    println!(
        "{} deliveries of {events} events in {:.1} s through {INSTANCES} instances, {AT_ONCE} at a time: \
         {} accepted, {} duplicates refused, {} on the queue, {lost} lost, {duplicates} sent twice; \
         median {} ms, 99th percentile {} ms",
        replies.len(),
        took.as_secs_f64(),
        count(200),
        count(409),
        arrived.len(),
        times[times.len() / 2].as_millis(),
        times[times.len() * 99 / 100].as_millis(),
    );
    assert_eq!((count(200), count(409)), (events, events / REDELIVER_EVERY));
    assert_eq!((acknowledged.len(), arrived.len(), lost, duplicates), (events, events, 0, 0));
    assert!(surplus.is_empty());
}

fn umaaas_event(id: &str) -> Value {
    let body = json!({"webhookId": id, "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"}).to_string();
    let signature = provider().signing_key().sign(&SIGNATURE, &Delivery::new("/", body.clone()));
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE.header, signature.parse().unwrap());
    post("/umaaas", &headers, &body)
}
