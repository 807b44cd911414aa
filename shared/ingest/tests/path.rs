//! The path of a delivery when its ports fail or time runs out.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, Method};
use ingest::memory::{MemorySink, MemoryStore};
use ingest::{
    DUE_AFTER, Decision, Event, Forwarding, Message, NoSecrets, Outcome, PortError, Provider, Receiver,
    Record, Recorded, Reply, Report, Request, Reread, SecretSource, Sink, State, Store,
};
use jiff::{SignedDuration, Timestamp};
use verify::{Delivery, Encoding, Part, Scheme, Secrets, Verified, Verifier};

const SCHEME: Scheme = Scheme { header: "x-signature", encoding: Encoding::Hex, signed: &[Part::Body] };

/// A provider whose every body is one event, under its own text.
struct Plain;

impl Provider for Plain {
    const NAME: &'static str = "plain";

    fn serves(&self, path: &str) -> bool {
        path == "/plain"
    }

    fn verify(&self, delivery: Delivery, secrets: &Secrets) -> Result<Verified<Delivery>, Outcome> {
        Verifier::new(SCHEME).verify(delivery, secrets).map_err(Outcome::Refused)
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
            Outcome::Refused(_) => 401,
            Outcome::Unavailable(_) | Outcome::Misconfigured(_) | Outcome::Unproven(_) => 503,
            _ => 400,
        })
    }
}

fn secrets() -> Arc<Secrets> {
    Arc::new(Secrets::parse_list("key").expect("a secret"))
}

fn request(body: &'static str) -> Request {
    let mut headers = HeaderMap::new();
    let signature = SCHEME.sign(&Delivery::new("/", body), secrets().newest()).expect("signed");
    headers.insert("x-signature", signature.parse().expect("a header"));
    Request {
        method: Method::POST,
        path: "/plain".into(),
        headers,
        body: Some(body.into()),
        ..Request::default()
    }
}

fn receiver<K, S, Q>(secrets: K, store: S, sink: Q) -> Receiver<Plain, K, S, Q> {
    Receiver { provider: Plain, secrets, store, sink, clock: Timestamp::now }
}

/// The whole path.
async fn deliver<K: SecretSource, S: Store, Q: Sink>(
    receiver: &Receiver<Plain, K, S, Q>,
    request: Request,
    delivery_id: &str,
) -> (Reply, Report) {
    let (reply, received) = receiver.receive(request, delivery_id.into()).await;
    (reply, receiver.finish(received).await)
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
    let receiver = receiver(secrets(), Broken, MemorySink::default());
    let (reply, report) = deliver(&receiver, request("{}"), "a").await;
    assert_eq!((reply.status, report.outcome.name()), (503, "unavailable"));
    assert_eq!(report.outcome.detail().as_deref(), Some("record failed: no answer"));
    assert!(receiver.sink.messages().is_empty() && report.forwarding.is_none());
}

#[tokio::test]
async fn a_queue_that_fails_leaves_the_record_pending_and_the_reply_as_it_is() {
    let receiver = receiver(secrets(), store(), Broken);
    let (reply, report) = deliver(&receiver, request("{}"), "a").await;
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
    let receiver = Receiver { clock: thawed, ..receiver(secrets(), store(), MemorySink::default()) };
    let (reply, report) = deliver(&receiver, request("{}"), "a").await;
    assert_eq!(reply.status, 200);
    assert!(matches!(report.forwarding, Some(Forwarding::Overdue)), "{report:?}");
    assert!(receiver.sink.messages().is_empty());
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
}

#[tokio::test]
async fn what_was_forwarded_is_settled() {
    let receiver = receiver(secrets(), store(), MemorySink::default());
    let (_, report) = deliver(&receiver, request("{}"), "a").await;
    assert!(matches!(report.forwarding, Some(Forwarding::Settled)), "{report:?}");
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Forwarded));
    assert_eq!(deliver(&receiver, request("{}"), "b").await.0.status, 409);
    assert_eq!(receiver.sink.messages().len(), 1);
}

/// A source whose secrets are these, and turn out to be these when they are looked at again.
struct Rotating {
    known: Option<&'static str>,
    then: Result<&'static str, &'static str>,
}

impl SecretSource for Rotating {
    async fn current(&self, _: Timestamp) -> Result<Arc<Secrets>, NoSecrets> {
        let known = self.known.ok_or(NoSecrets::Placeholder)?;
        Ok(Arc::new(Secrets::parse_list(known).expect("a secret")))
    }

    async fn reread(&self, _: Timestamp) -> Reread {
        match self.then {
            Ok(same) if Some(same) == self.known => Reread::Same,
            Ok(other) => Reread::Changed(Arc::new(Secrets::parse_list(other).expect("a secret"))),
            Err(cause) => Reread::Unknown(PortError::new("secrets", cause)),
        }
    }
}

#[tokio::test]
async fn a_signature_that_does_not_fit_has_the_secrets_read_again() {
    for (known, then, expected) in [
        // the delivery is signed with `key`
        (Some("key"), Err("not asked"), (200, "accepted")),
        (Some("older,key"), Err("not asked"), (200, "accepted")),
        (Some("old"), Ok("key,old"), (200, "accepted")),
        (Some("old"), Ok("old"), (401, "refused")),
        (Some("old"), Ok("newer,old"), (401, "refused")),
        (Some("old"), Err("no answer"), (503, "unproven")),
        (None, Err("not asked"), (503, "misconfigured")),
    ] {
        let receiver = receiver(Rotating { known, then }, store(), MemorySink::default());
        let (reply, report) = deliver(&receiver, request("{}"), "a").await;
        assert_eq!((reply.status, report.outcome.name()), expected, "{known:?} {then:?}");
        assert_eq!(receiver.sink.messages().len(), usize::from(reply.status == 200), "{known:?} {then:?}");
    }
}

#[tokio::test]
async fn only_a_signature_that_could_be_right_has_them_read() {
    let asked_again = Rotating { known: Some("old"), then: Err("asked") };
    let receiver = receiver(asked_again, store(), MemorySink::default());
    for odd in [None, Some("zz"), Some("00, 00")] {
        let mut request = request("{}");
        request.headers.clear();
        if let Some(odd) = odd {
            request.headers.insert("x-signature", odd.parse().expect("a header"));
        }
        assert_eq!(deliver(&receiver, request, "a").await.0.status, 401, "{odd:?}");
    }
}

#[tokio::test]
async fn a_trace_goes_into_the_record_the_message_and_the_report() {
    let receiver = receiver(secrets(), store(), MemorySink::default());
    let request = Request { trace_id: Some("1-a-b".into()), ..request("{}") };
    let (_, report) = deliver(&receiver, request, "a").await;
    assert_eq!(report.trace_id.as_deref(), Some("1-a-b"));
    assert_eq!(receiver.store.get("{}").and_then(|item| item.record.trace_id).as_deref(), Some("1-a-b"));
    assert!(receiver.sink.messages()[0].body.contains(r#""traceid":"1-a-b""#));
}

#[tokio::test]
async fn a_reply_waits_for_the_record_and_nothing_else() {
    let receiver = receiver(secrets(), store(), MemorySink::default());
    let (reply, received) = receiver.receive(request("{}"), "a".into()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
    assert!(receiver.sink.messages().is_empty());
    receiver.finish(received).await;
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Forwarded));
    assert_eq!(receiver.sink.messages().len(), 1);
}
