//! A reconciler's run, on the in-memory ports.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use ingest::memory::{MemorySink, MemoryStore};
use ingest::{
    BatchSink, DUE_AFTER, Message, Operation, PortError, Reconciler, Record, State, Store, StoredPayload,
};
use jiff::{SignedDuration, Timestamp};

const START: i64 = 1_793_610_901_000;

fn start() -> Timestamp {
    Timestamp::from_millisecond(START).expect("a time")
}

/// When everything that `left_behind` makes is due.
fn later() -> Timestamp {
    start() + DUE_AFTER * 2
}

/// How long a write may take.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

fn record(key: &str) -> Record {
    let payload = Bytes::from_static(b"{}");
    Record {
        key: key.to_owned(),
        kind: "kind".into(),
        id: key.to_owned(),
        source: "/source".into(),
        subject: None,
        occurred_at: None,
        published_at: None,
        path: "/path".into(),
        call_ref: None,
        drift: vec![],
        content_sha256: String::new(),
        conflict_of: None,
        held: false,
        left_to_reconciler: false,
        decision: None,
        reply: 200,
        delivery_id: "d".into(),
        trace_id: None,
        received_at: start(),
        attempts: 1,
        stored: StoredPayload { bytes: payload.clone(), encoding: None, sha256: key.to_owned() },
        payload,
    }
}

async fn left_behind(keys: impl IntoIterator<Item = String>) -> MemoryStore {
    let store = MemoryStore::new(SignedDuration::from_hours(1));
    for key in keys {
        store.record(&record(&key), WITHIN).await.expect("recorded");
    }
    store
}

#[tokio::test]
async fn each_providers_records_go_to_its_own_queue() {
    let store = left_behind((0..100).flat_map(|n| [format!("one#{n}"), format!("two#{n}")])).await;
    let sinks = vec![("one", MemorySink::default()), ("two", MemorySink::default())];
    let reconciler = Reconciler { store, sinks, clock: later };
    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.unfinished), (200, 200, 0, false));
    assert_eq!((summary.oldest_age, summary.lag), (DUE_AFTER * 2, DUE_AFTER));
    for (name, sink) in &reconciler.sinks {
        let mut ids: Vec<String> =
            sink.messages().into_iter().map(|message| message.attributes[2].1.clone()).collect();
        ids.sort();
        let mut expected: Vec<String> = (0..100).map(|n| format!("{name}#{n}")).collect();
        expected.sort();
        assert_eq!(ids, expected);
    }
    assert_eq!(reconciler.run(Timestamp::MAX).await.due, 0, "nothing is left");
}

#[tokio::test]
async fn what_is_not_due_is_left_to_its_first_attempt() {
    fn soon() -> Timestamp {
        start() + DUE_AFTER - SignedDuration::from_millis(1)
    }
    let store = left_behind(["one#1".to_owned()]).await;
    let reconciler = Reconciler { store, sinks: vec![("one", MemorySink::default())], clock: soon };
    assert_eq!(reconciler.run(Timestamp::MAX).await.due, 0);
}

#[tokio::test]
async fn it_stops_in_time_and_goes_on_in_the_next_run() {
    static NOW: AtomicI64 = AtomicI64::new(START + 600_000);
    /// Every look at the clock takes a second.
    fn ticking() -> Timestamp {
        Timestamp::from_millisecond(NOW.fetch_add(1000, Ordering::Relaxed)).expect("a time")
    }
    let store = left_behind((0..400).map(|n| format!("one#{n}"))).await;
    let reconciler = Reconciler { store, sinks: vec![("one", MemorySink::default())], clock: ticking };
    let stop_at = ticking() + SignedDuration::from_secs(60);
    let first = reconciler.run(stop_at).await;
    assert!(first.unfinished && first.forwarded > 0 && first.forwarded < 400, "{first:?}");
    let rest = reconciler.run(Timestamp::MAX).await;
    assert!(!rest.unfinished);
    assert_eq!(first.forwarded + rest.forwarded, 400);
    assert_eq!(reconciler.sinks[0].1.messages().len(), 400, "none twice");
}

/// A queue that takes no message whose id ends in 7.
#[derive(Debug, Default)]
struct Picky(MemorySink);

impl BatchSink for Picky {
    async fn forward_batch(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        let mut results = Vec::new();
        for message in messages {
            if message.attributes[2].1.ends_with('7') {
                results.push(Err(PortError::new(Operation::Forward, "refused")));
            } else {
                results.extend(self.0.forward_batch(std::slice::from_ref(message)).await);
            }
        }
        results
    }
}

#[tokio::test]
async fn what_keeps_failing_is_tried_again_and_holds_up_nothing() {
    static NOW: AtomicI64 = AtomicI64::new(START + 600_000);
    fn now() -> Timestamp {
        Timestamp::from_millisecond(NOW.load(Ordering::Relaxed)).expect("a time")
    }
    let store = left_behind((0..20).map(|n| format!("one#{n}"))).await;
    store.record(&record("nobody#1"), WITHIN).await.expect("recorded");
    let reconciler = Reconciler { store, sinks: vec![("one", Picky::default())], clock: now };

    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.keeps_failing), (21, 18, 3, 0));
    let mut errors = summary.errors.clone();
    errors.sort();
    assert_eq!(
        errors,
        ["forward failed: no queue is configured for the record's provider", "forward failed: refused",]
    );

    let mut waits = Vec::new();
    for attempt in 3..=9 {
        let due_at = reconciler.store.get("one#7").and_then(|item| item.due_at).expect("still pending");
        waits.push(due_at.duration_since(now()).as_secs());
        NOW.store(due_at.as_millisecond(), Ordering::Relaxed);
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!((summary.due, summary.failed, summary.keeps_failing), (3, 3, 3), "attempt {attempt}");
    }
    assert_eq!(waits, [180; 7]);
    assert_eq!(reconciler.store.get("one#6").map(|item| item.state), Some(State::Forwarded));
}
