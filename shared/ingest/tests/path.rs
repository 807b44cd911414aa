//! The path of a delivery when its ports fail or time runs out.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, Method};
use ingest::memory::{MemorySink, MemoryStore};
use ingest::{
    DUE_AFTER, Decision, Event, Forwarding, Message, Outcome, PortError, Provider, Receiver, Record,
    Recorded, Reply, Request, Sink, State, Store,
};
use jiff::{SignedDuration, Timestamp};
use verify::{Delivery, Encoding, Part, Scheme, Secrets, Verified, Verifier};

const SCHEME: Scheme = Scheme { header: "x-signature", encoding: Encoding::Hex, signed: &[Part::Body] };

/// A provider whose every body is one event, under its own text.
struct Plain(Verifier);

impl Plain {
    fn new() -> Self {
        Self(Verifier::new(SCHEME, secrets()))
    }
}

impl Provider for Plain {
    const NAME: &'static str = "plain";

    fn serves(&self, path: &str) -> bool {
        path == "/plain"
    }

    fn verify(&self, delivery: Delivery, _now: Timestamp) -> Result<Verified<Delivery>, Outcome> {
        self.0.verify(delivery).map_err(Outcome::Refused)
    }

    fn identify(&self, delivery: &Verified<Delivery>, _now: Timestamp) -> Result<Event, Outcome> {
        let id = String::from_utf8_lossy(&delivery.body).into_owned();
        Ok(Event {
            kind: "plain",
            key: id.clone(),
            id,
            source: "/plain",
            subject: None,
            occurred_at: None,
            path: delivery.path.clone(),
            call_ref: None,
            drift: vec![],
            payload: delivery.payload(),
        })
    }

    fn decide(&self, _event: &Event) -> Option<Decision> {
        None
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        Reply::empty(match outcome {
            Outcome::Accepted { .. } => 200,
            Outcome::Duplicate { .. } => 409,
            Outcome::Unavailable(_) => 503,
            _ => 400,
        })
    }
}

fn secrets() -> Secrets {
    Secrets::parse_list("key").expect("a secret")
}

fn request(body: &'static str) -> Request {
    let mut headers = HeaderMap::new();
    let signature = SCHEME.sign(&Delivery::new("/", body), secrets().newest()).expect("signed");
    headers.insert("x-signature", signature.parse().expect("a header"));
    Request { method: Method::POST, path: "/plain".into(), headers, body: Some(body.into()) }
}

fn store() -> MemoryStore {
    MemoryStore::new(SignedDuration::from_hours(1))
}

/// A port that does not answer.
struct Broken;

impl Store for Broken {
    async fn record(&self, _: &Record) -> Result<Recorded, PortError> {
        Err(PortError::new("record", "no answer"))
    }

    async fn keep_conflict(&self, _: &Record) -> Result<(), PortError> {
        Err(PortError::new("keep", "no answer"))
    }

    async fn settle(&self, _: &Record, _: Timestamp) -> Result<(), PortError> {
        Err(PortError::new("settle", "no answer"))
    }
}

impl Sink for Broken {
    async fn forward(&self, _: &Message) -> Result<(), PortError> {
        Err(PortError::new("forward", "no answer"))
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_or_sent_that_is_not_recorded() {
    let receiver = Receiver {
        provider: Plain::new(),
        store: Broken,
        sink: MemorySink::default(),
        clock: Timestamp::now,
    };
    let (reply, report) = receiver.receive(request("{}"), "a".into()).await;
    assert_eq!((reply.status, report.outcome.name()), (503, "unavailable"));
    assert_eq!(report.outcome.detail().as_deref(), Some("record failed: no answer"));
    assert!(receiver.sink.messages().is_empty() && report.forwarding.is_none());
}

#[tokio::test]
async fn a_queue_that_fails_leaves_the_record_pending_and_the_reply_as_it_is() {
    let receiver = Receiver { provider: Plain::new(), store: store(), sink: Broken, clock: Timestamp::now };
    let (reply, report) = receiver.receive(request("{}"), "a".into()).await;
    assert_eq!(reply.status, 200);
    assert!(matches!(report.forwarding, Some(Forwarding::Failed(_))), "{report:?}");
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
}

#[tokio::test]
async fn a_first_attempt_sends_nothing_after_it_is_due() {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000);
    /// A clock that is a whole first attempt later every time it is read.
    fn thawed() -> Timestamp {
        let millis = i64::try_from(DUE_AFTER.as_millis()).expect("seconds");
        Timestamp::from_millisecond(NOW.fetch_add(millis, Ordering::Relaxed)).expect("a time")
    }
    let receiver =
        Receiver { provider: Plain::new(), store: store(), sink: MemorySink::default(), clock: thawed };
    let (reply, report) = receiver.receive(request("{}"), "a".into()).await;
    assert_eq!(reply.status, 200);
    assert!(matches!(report.forwarding, Some(Forwarding::Overdue)), "{report:?}");
    assert!(receiver.sink.messages().is_empty());
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
}

#[tokio::test]
async fn what_was_forwarded_is_settled() {
    let receiver = Receiver {
        provider: Plain::new(),
        store: store(),
        sink: MemorySink::default(),
        clock: Timestamp::now,
    };
    let (_, report) = receiver.receive(request("{}"), "a".into()).await;
    assert!(matches!(report.forwarding, Some(Forwarding::Settled)), "{report:?}");
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Forwarded));
    assert_eq!(receiver.receive(request("{}"), "b".into()).await.0.status, 409);
    assert_eq!(receiver.sink.messages().len(), 1);
}
