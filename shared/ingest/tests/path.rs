//! The path of a delivery when its ports fail or time runs out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};
use jiff::{SignedDuration, Timestamp};
use verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Scheme, Secrets, Verified, Verifier};
use webhook_ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use webhook_ingest::{
    Arrival, Base, Breakers, Conflicts, Control, Counted, Counting, Counts, DUE_AFTER, Decision, Directory,
    Event, Facts, Forwarding, Identified, Limit, Limits, Message, NoSecrets, Operation, Outcome, PortError,
    Provider, Receiver, Record, Recorded, RecordedDecision, Reply, Report, Request, RequestedFacts,
    RequestedField, Reread, SecretSource, Sink, State, Store, Subtraction, Switch, Totals, Verdict,
    sha256_hex,
};

const SCHEME: Scheme = Scheme {
    header: "x-signature",
    form: HeaderForm::Hex,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Body],
};

/// The key of the only tally, and how much fits its limit in a day.
const DAY: &str = "limit#day";
const AT_MOST: i64 = 7;

/// A provider whose body is `<id> <content> <time>`, and where the content asks for a decision when it begins
/// with `?`: the rest of it is the decision. It holds conflicts, or forwards them.
struct Plain<const HOLD: bool>;

struct Question {
    decision: Decision,
    /// Its amount, if a limit is read before it is decided.
    spends: Option<i64>,
    requested: Option<RequestedFacts>,
}

impl<const HOLD: bool> Provider for Plain<HOLD> {
    const NAME: &'static str = "plain";
    const CONFLICTS: Conflicts = if HOLD { Conflicts::Hold } else { Conflicts::Forward };
    const DECIDES: bool = true;
    type Payment = Question;

    fn serves(&self, path: &str) -> bool {
        path == "/plain"
    }

    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        Verifier::new(SCHEME).verify(delivery, keys).map_err(Outcome::Refused)
    }

    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        _arrival: Arrival,
    ) -> Result<Identified<Question>, Outcome> {
        let text = String::from_utf8_lossy(&delivery.body).into_owned();
        if text.is_empty() {
            return Err(Outcome::Unidentified("there is nothing in it"));
        }
        let mut words = text.split(' ');
        let [id, content, time] = [(); 3].map(|()| words.next().unwrap_or_default());
        let event = Event {
            kind: "plain".into(),
            key: id.to_owned(),
            id: id.to_owned(),
            source: "/plain",
            // the transaction of a payment that is counted: `?spend=5=transaction`, `undo=5=transaction`
            subject: content.split('=').nth(2).map(str::to_owned),
            occurred_at: time.parse().ok().and_then(|second| Timestamp::from_second(second).ok()),
            published_at: None,
            path: delivery.path.clone(),
            call_ref: None,
            drift: vec![],
            content_sha256: sha256_hex(content.as_bytes()),
            payload: delivery.payload(),
        };
        let payment = content.strip_prefix('?').map(question);
        Ok(Identified { event, payment, undone: content.starts_with("undo") })
    }

    fn counting(&self, question: &Question) -> Option<Counting> {
        question.spends.map(|amount| Counting {
            amount,
            limits: vec![Limit { name: "day".into(), key: DAY.into(), hours: 24 }],
        })
    }

    fn decide(&self, question: &Question, totals: Option<&Totals>) -> Decision {
        let Some(amount) = question.spends else { return question.decision.clone() };
        let fits = totals.is_some_and(|totals| totals["day"].sum + amount <= AT_MOST);
        let verdict = Verdict::Reject { reason: "no".into(), message: "No.".into() };
        Decision::new(if fits { Verdict::Approve } else { verdict })
    }

    fn requested<'a>(&self, question: &'a Question) -> Option<&'a RequestedFacts> {
        question.requested.as_ref()
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        Reply::empty(match outcome {
            Outcome::Accepted { decision: Some(decision), .. } => match decision.verdict {
                Verdict::Approve => 200,
                Verdict::Reject { .. } => 403,
                Verdict::RequestInformation { .. } => 422,
            },
            Outcome::Accepted { decision: None, .. } => 200,
            Outcome::Duplicate { .. } | Outcome::Conflict { .. } => 409,
            Outcome::Refused(_) => 401,
            Outcome::UnsupportedEncoding => 415,
            Outcome::Unavailable(_) | Outcome::Misconfigured(_) | Outcome::Unproven { .. } => 503,
            _ => 400,
        })
    }
}

/// `approve…`, `reject…` or `ask…`; with `:NAME` and `:NAME!` the facts that are asked for, `!` the mandatory
/// ones.
fn question(text: &str) -> Question {
    let (decision, facts) = text.split_once(':').unwrap_or((text, ""));
    let verdict = match decision {
        text if text.starts_with("approve") => Verdict::Approve,
        text if text.starts_with("reject") => Verdict::Reject { reason: "no".into(), message: "No.".into() },
        _ => Verdict::RequestInformation { required_fields: vec!["TAX_ID".into()] },
    };
    let field = |text: &str| RequestedField {
        name: text.trim_end_matches('!').to_owned(),
        mandatory: text.ends_with('!'),
    };
    let fields: Vec<_> = facts.split(':').filter(|text| !text.is_empty()).map(field).collect();
    let requested = (!fields.is_empty()).then(|| RequestedFacts { user: Some("user-1".to_owned()), fields });
    let spends = text.strip_prefix("spend=").and_then(|text| text.split('=').next()?.parse().ok());
    Question { decision: Decision::new(verdict), spends, requested }
}

fn secrets(list: &str) -> Secrets {
    Secrets::parse_list(list).expect("a secret")
}

fn keys() -> Arc<Keys> {
    Arc::new(secrets("key").into())
}

fn request(body: &'static str) -> Request {
    let mut headers = HeaderMap::new();
    let signature = secrets("key").newest().sign(&SCHEME, &Delivery::new("/", body)).expect("signed");
    headers.insert("x-signature", signature.parse().expect("a header"));
    Request {
        method: Method::POST,
        path: "/plain".into(),
        headers,
        body: Some(body.into()),
        ..Request::default()
    }
}

type PlainReceiver<K, S, Q> = Receiver<Plain<false>, K, S, Q, MemoryDirectory, MemoryControl>;

fn receiver<K, S, Q>(secrets: K, store: S, sink: Q) -> PlainReceiver<K, S, Q> {
    let directory = MemoryDirectory::default();
    Receiver {
        provider: Plain,
        secrets,
        store,
        sink,
        directory,
        clock: Timestamp::now,
        switch: Switch::new(MemoryControl::default()),
        breakers: Breakers::default(),
    }
}

/// The whole path.
async fn deliver<K: SecretSource, S: Store + Limits, Q: Sink, D: Directory, C: Control>(
    receiver: &Receiver<Plain<false>, K, S, Q, D, C>,
    request: Request,
    delivery_id: &str,
) -> (Reply, Report) {
    let (reply, received) = receiver.receive(request, delivery_id.into()).await;
    (reply, receiver.finish(received, true).await)
}

fn store() -> MemoryStore {
    MemoryStore::new(SignedDuration::from_hours(1))
}

/// A port that does not answer.
struct Broken;

impl Control for Broken {
    async fn is_stopped(&self, _: Duration) -> Result<bool, PortError> {
        Err(PortError::new(Operation::Control, "no answer"))
    }
}

impl Store for Broken {
    async fn record(&self, _: &Record, _: Duration) -> Result<Recorded, PortError> {
        Err(PortError::new(Operation::Record, "no answer"))
    }

    async fn record_decision(
        &self,
        _: &Record,
        _: &Base<'_>,
        _: Duration,
    ) -> Result<RecordedDecision, PortError> {
        Err(PortError::new(Operation::RecordConflict, "no answer"))
    }

    async fn settle(&self, _: &Record, _: bool, _: Timestamp) -> Result<(), PortError> {
        Err(PortError::new(Operation::Settle, "no answer"))
    }
}

impl Limits for Broken {
    async fn counts(&self, _: &str, _: &[&str], _: Duration) -> Result<Option<Counts>, PortError> {
        Err(PortError::new(Operation::Limits, "no answer"))
    }

    async fn record_counted(
        &self,
        _: &Record,
        _: Option<&Base<'_>>,
        _: &Counts,
        _: Duration,
    ) -> Result<Counted, PortError> {
        Err(PortError::new(Operation::Record, "no answer"))
    }

    async fn change(&self, _: &Counts, _: Duration) -> Result<bool, PortError> {
        Err(PortError::new(Operation::Limits, "no answer"))
    }
}

impl Directory for Broken {
    async fn facts(&self, _: &str, _: &[&str], _: Duration) -> Result<Option<Facts>, PortError> {
        Err(PortError::new(Operation::Directory, "no answer"))
    }
}

impl Sink for Broken {
    async fn forward(&self, _: &Message) -> Result<(), PortError> {
        Err(PortError::new(Operation::Forward, "no answer"))
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_or_sent_that_is_not_recorded() {
    let receiver = receiver(keys(), Broken, MemorySink::default());
    let (reply, report) = deliver(&receiver, request("{}"), "a").await;
    assert_eq!((reply.status, report.outcome.name()), (503, "unavailable"));
    assert_eq!(report.outcome.detail().as_deref(), Some("record failed: no answer"));
    assert!(receiver.sink.messages().is_empty() && report.forwarding.is_none());
}

#[tokio::test]
async fn a_queue_that_fails_leaves_the_record_pending_and_the_reply_as_it_is() {
    let receiver = receiver(keys(), store(), Broken);
    let (reply, report) = deliver(&receiver, request("{}"), "a").await;
    assert_eq!(reply.status, 200);
    assert!(matches!(report.forwarding, Some(Forwarding::Failed(_))), "{report:?}");
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
}

#[tokio::test]
async fn a_first_attempt_sends_nothing_after_it_is_due() {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000);
    fn clock() -> Timestamp {
        Timestamp::from_millisecond(NOW.load(Ordering::Relaxed)).expect("a time")
    }
    let receiver = Receiver { clock, ..receiver(keys(), store(), MemorySink::default()) };
    let (reply, received) = receiver.receive(request("{}"), "a".into()).await;
    // frozen behind the reply, and thawed when the first attempt has had its time
    NOW.fetch_add(i64::try_from(DUE_AFTER.as_millis()).expect("seconds"), Ordering::Relaxed);
    let report = receiver.finish(received, true).await;
    assert_eq!(reply.status, 200);
    assert!(matches!(report.forwarding, Some(Forwarding::Overdue)), "{report:?}");
    assert!(receiver.sink.messages().is_empty());
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
}

#[tokio::test]
async fn what_was_forwarded_is_settled() {
    let receiver = receiver(keys(), store(), MemorySink::default());
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
    async fn current(&self, _: Timestamp, _: Duration) -> Result<Arc<Keys>, NoSecrets> {
        let known = self.known.ok_or(NoSecrets::Placeholder)?;
        Ok(Arc::new(secrets(known).into()))
    }

    async fn reread(&self, _: Timestamp, _: Duration) -> Reread {
        match self.then {
            Ok(same) if Some(same) == self.known => Reread::Same,
            Ok(other) => Reread::Changed(Arc::new(secrets(other).into())),
            Err(cause) => Reread::Unknown(PortError::new(Operation::Secrets, cause)),
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
        (Some("old"), Ok("old"), (503, "unproven")),
        (Some("old"), Ok("newer,old"), (503, "unproven")),
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
    let receiver = receiver(keys(), store(), MemorySink::default());
    let request = Request { trace_id: Some("1-a-b".into()), ..request("{}") };
    let (_, report) = deliver(&receiver, request, "a").await;
    assert_eq!(report.trace_id.as_deref(), Some("1-a-b"));
    assert_eq!(receiver.store.get("{}").and_then(|item| item.record.trace_id).as_deref(), Some("1-a-b"));
    assert!(receiver.sink.messages()[0].body.contains(r#""traceid":"1-a-b""#));
}

#[tokio::test]
async fn a_reply_waits_for_the_record_and_nothing_else() {
    let receiver = receiver(keys(), store(), MemorySink::default());
    let (reply, received) = receiver.receive(request("{}"), "a".into()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Pending));
    assert!(receiver.sink.messages().is_empty());
    receiver.finish(received, true).await;
    assert_eq!(receiver.store.get("{}").map(|item| item.state), Some(State::Forwarded));
    assert_eq!(receiver.sink.messages().len(), 1);
}

/// What one delivery after the other is answered, and what then is on the queue: id, `conflictof`, reply,
/// decision.
async fn answers(bodies: &[&'static str]) -> (Vec<u16>, Vec<String>) {
    let receiver = receiver(keys(), store(), MemorySink::default());
    let mut statuses = Vec::new();
    for (delivery, body) in bodies.iter().enumerate() {
        let (reply, report) = deliver(&receiver, request(body), &format!("d-{delivery}")).await;
        assert!(matches!(report.forwarding, None | Some(Forwarding::Settled)), "{report:?}");
        statuses.push(reply.status);
    }
    let messages = receiver.sink.messages();
    let shown = messages.iter().map(|message| {
        let envelope: serde_json::Value = serde_json::from_str(&message.body).expect("JSON");
        assert_eq!(envelope["replyconfirmed"], true);
        let text = |name: &str| envelope[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {} {}", text("id"), text("conflictof"), envelope["reply"], text("decision"))
    });
    (statuses, shown.collect())
}

/// The id of a conflict.
fn conflict(id: &str, content: &str) -> String {
    format!("{id}#{}", &sha256_hex(content.as_bytes())[..16])
}

#[tokio::test]
async fn what_repeats_and_what_conflicts() {
    let (b, c) = (conflict("w", "b"), conflict("w", "c"));
    // a redelivery, in every byte or with another time
    assert_eq!(answers(&["w a 1", "w a 1", "w a 2"]).await, (vec![200, 409, 409], vec!["w - 200 -".into()]));
    // a conflict is an event of its own, and so is another one; each is repeated as itself
    let sent = vec!["w - 200 -".to_owned(), format!("{b} w 409 -"), format!("{c} w 409 -")];
    let statuses = vec![200, 409, 409, 409, 409, 409];
    assert_eq!(answers(&["w a 1", "w b 1", "w b 2", "w c 1", "w a 3", "w c 1"]).await, (statuses, sent));
}

#[tokio::test]
async fn a_key_has_at_most_one_final_decision() {
    let [ask, other_ask, approve, reject] =
        ["?ask", "?ask2", "?approve", "?reject"].map(|content| conflict("w", content));
    for (bodies, statuses, sent) in [
        // after a question the payment is decided, once
        (
            &["w ?ask 1", "w ?approve 2", "w ?reject 3", "w ?ask 4", "w ?approve 5", "w ?reject 6"][..],
            vec![422, 200, 409, 409, 409, 409],
            vec![
                "w - 422 request_information".to_owned(),
                format!("{approve} w 200 approve"),
                format!("{reject} w 409 -"),
            ],
        ),
        // one question may follow another
        (
            &["w ?ask 1", "w ?ask2 1", "w ?reject 1", "w ?ask2 1"],
            vec![422, 422, 403, 409],
            vec![
                "w - 422 request_information".to_owned(),
                format!("{other_ask} w 422 request_information"),
                format!("{reject} w 403 reject"),
            ],
        ),
        // a final decision stands, whatever comes
        (
            &["w ?reject 1", "w ?approve 1", "w ?ask 1", "w ?approve 1"],
            vec![403, 409, 409, 409],
            vec!["w - 403 reject".to_owned(), format!("{approve} w 409 -"), format!("{ask} w 409 -")],
        ),
        // an event that asks nothing leaves the payment under its key undecided
        (
            &["w done 1", "w ?approve 1", "w ?reject 1"],
            vec![200, 200, 409],
            vec!["w - 200 -".to_owned(), format!("{approve} w 200 approve"), format!("{reject} w 409 -")],
        ),
        (
            &["w ?approve 1", "w done 1"],
            vec![200, 409],
            vec!["w - 200 approve".to_owned(), format!("{} w 409 -", conflict("w", "done"))],
        ),
    ] {
        assert_eq!(answers(bodies).await, (statuses, sent), "{bodies:?}");
    }
}

#[tokio::test]
async fn a_repeated_payment_hears_the_final_decision() {
    let receiver = receiver(keys(), store(), MemorySink::default());
    let mut decisions = Vec::new();
    for body in ["w ?ask 1", "w ?ask 2", "w ?approve 1", "w ?ask 3", "w ?reject 1", "w done 1", "w done 2"] {
        let (_, report) = deliver(&receiver, request(body), body).await;
        decisions.push(match report.outcome {
            Outcome::Accepted { decision, .. } => ("accepted", decision),
            Outcome::Duplicate { decision, .. } => ("duplicate", decision),
            Outcome::Conflict { decision } => ("conflict", decision),
            other => panic!("{other:?}"),
        });
    }
    let decisions: Vec<_> = decisions
        .iter()
        .map(|(outcome, decision)| (*outcome, decision.as_deref().map(Decision::name)))
        .collect();
    assert_eq!(
        decisions,
        [
            ("accepted", Some("request_information")),
            ("duplicate", Some("request_information")),
            ("accepted", Some("approve")),
            ("duplicate", Some("approve")),
            ("conflict", Some("approve")),
            ("conflict", None),
            ("duplicate", None),
        ]
    );
}

#[tokio::test]
async fn a_restamped_redelivery_is_told_apart() {
    let receiver = receiver(keys(), store(), MemorySink::default());
    for (delivery, (body, outcome, detail)) in [
        ("w a 1", "accepted", None),
        ("w a 1", "duplicate", None),
        (
            "w a 61",
            "restamped",
            Some("sent again with the time 1970-01-01T00:01:01Z instead of 1970-01-01T00:00:01Z"),
        ),
        (
            "w a x",
            "restamped",
            Some("sent again with the time a time that cannot be read instead of 1970-01-01T00:00:01Z"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (_, report) = deliver(&receiver, request(body), &format!("d-{delivery}")).await;
        assert_eq!((report.outcome.name(), report.outcome.detail().as_deref()), (outcome, detail), "{body}");
    }
}

#[tokio::test]
async fn a_held_conflict_waits_for_a_person() {
    let receiver = Receiver {
        provider: Plain::<true>,
        secrets: keys(),
        store: store(),
        sink: MemorySink::default(),
        directory: MemoryDirectory::default(),
        clock: Timestamp::now,
        switch: Switch::new(MemoryControl::default()),
        breakers: Breakers::default(),
    };
    for (body, outcome) in
        [("w a 1", "accepted"), ("w b 1", "conflict"), ("w b 1", "duplicate"), ("w a 1", "duplicate")]
    {
        let (_, received) = receiver.receive(request(body), "d".to_owned() + outcome).await;
        assert_eq!(receiver.finish(received, true).await.outcome.name(), outcome, "{body}");
    }
    assert_eq!(receiver.sink.messages().len(), 1, "it is not forwarded");
    let held = receiver.store.get(&format!("w#{}", sha256_hex(b"b"))).expect("it is kept");
    assert_eq!((held.state, held.due_at, held.expires_at), (State::Conflict, None, None));
    assert_eq!((held.record.id, held.record.conflict_of), (conflict("w", "b"), Some("w".into())));
}

#[tokio::test]
async fn an_approval_brings_the_facts_that_it_must_bring() {
    let facts = |names: &[&str]| {
        let known = names.iter().map(|name| ((*name).to_owned(), format!("value of {name}").into()));
        MemoryDirectory(BTreeMap::from([("user-1".to_owned(), Facts(known.collect()))]))
    };
    for (body, known, status, supplied) in [
        ("a ?approve:NAME!:CITY", &["NAME", "CITY", "TAX_ID"][..], 200, &["CITY", "NAME"][..]),
        ("b ?approve:NAME!:CITY", &["NAME"], 200, &["NAME"]),
        ("c ?approve:NAME!:CITY", &["CITY"], 403, &[]),
        ("d ?approve:NAME!", &[], 403, &[]),
        ("e ?approve:NAME", &[], 200, &[]),
        ("f ?reject:NAME!", &["NAME"], 403, &[]),
        ("g ?ask:NAME!", &["NAME"], 422, &[]),
    ] {
        let directory = facts(known);
        let receiver = Receiver { directory, ..receiver(keys(), store(), MemorySink::default()) };
        let (reply, report) = deliver(&receiver, request(body), "d").await;
        assert_eq!(reply.status, status, "{body}");
        let Outcome::Accepted { decision: Some(decision), facts } = report.outcome else { panic!("{body}") };
        assert_eq!(facts.0.keys().collect::<Vec<_>>(), supplied, "{body}");
        assert_eq!(decision.supplied, supplied, "{body}");
        assert!(!format!("{facts:?}").contains("value of"), "{facts:?}");
        let kept = receiver.store.get(&body[..1]).expect("recorded").record;
        assert!(!format!("{kept:?}").contains("value of"), "the record keeps names only");
        let unavailable = status == 403 && body.contains("approve");
        let reason = decision.reason();
        assert_eq!(reason == Some("receiver_info_unavailable"), unavailable, "{body}: {reason:?}");
    }
    // nobody there: the same as a directory without the user
    for (body, status) in [("h ?approve:NAME!", 403), ("i ?approve:NAME", 200), ("j ?approve", 200)] {
        let directory = Broken;
        let plain = receiver(keys(), store(), MemorySink::default());
        let Receiver { provider, secrets, store, sink, clock, switch, breakers, .. } = plain;
        let receiver = Receiver { provider, secrets, store, sink, directory, clock, switch, breakers };
        assert_eq!(deliver(&receiver, request(body), "d").await.0.status, status, "{body}");
    }
}

#[tokio::test]
async fn while_decisions_are_stopped_every_payment_is_rejected() {
    for (body, status, reason) in [
        ("a ?approve", 403, Some("decisions_stopped")),
        ("b ?ask", 403, Some("decisions_stopped")),
        ("c ?reject", 403, Some("decisions_stopped")),
        ("d ?approve:NAME!", 403, Some("decisions_stopped")),
        ("e no question", 200, None),
    ] {
        let switch = Switch::new(MemoryControl(true.into()));
        let receiver = Receiver { switch, ..receiver(keys(), store(), MemorySink::default()) };
        let (reply, _) = deliver(&receiver, request(body), "d").await;
        let record = receiver.store.get(&body[..1]).expect("it is recorded all the same").record;
        let decided = record.decision.as_ref().and_then(Decision::reason);
        assert_eq!((reply.status, decided), (status, reason), "{body}");
        assert_eq!(receiver.sink.messages().len(), 1, "{body}");
    }
}

/// Our clock is behind after a freeze: by the gateway's, the reading is a minute old.
#[tokio::test]
async fn a_reading_is_as_old_as_the_later_clock_says() {
    for (ahead, status) in [(0, 200), (44, 200), (60, 403), (600, 403)] {
        let control = Arc::new(MemoryControl::default());
        let switch = Switch::new(Arc::clone(&control));
        let now = Timestamp::now();
        switch.load(now, Duration::from_secs(1)).await;
        control.0.store(true, Ordering::SeqCst);
        let plain = receiver(keys(), store(), MemorySink::default());
        let Receiver { provider, secrets, store, sink, directory, clock, breakers, .. } = plain;
        let receiver = Receiver { provider, secrets, store, sink, directory, clock, switch, breakers };
        let reached_gateway_at = Some(now + SignedDuration::from_secs(ahead));
        let request = Request { reached_gateway_at, ..request("a ?approve") };
        assert_eq!(deliver(&receiver, request, "d").await.0.status, status, "{ahead} s");
    }
}

#[tokio::test]
async fn no_payment_is_approved_while_it_is_unknown_whether_decisions_are_stopped() {
    for (body, status) in [("a ?approve", 503), ("b ?ask", 503), ("c ?reject", 403), ("d no question", 200)] {
        let plain = receiver(keys(), store(), MemorySink::default());
        let Receiver { provider, secrets, store, sink, directory, clock, breakers, .. } = plain;
        let switch = Switch::new(Broken);
        let receiver = Receiver { provider, secrets, store, sink, directory, clock, switch, breakers };
        assert_eq!(deliver(&receiver, request(body), "d").await.0.status, status, "{body}");
        assert_eq!(receiver.store.get(&body[..1]).is_some(), status != 503, "{body}");
    }
}

#[tokio::test]
async fn without_time_before_the_reply_nothing_is_recorded() {
    for (under_way, status) in
        [(0, 200), (3_000, 200), (4_100, 503), (20_000, 503), (600_000, 200), (-600_000, 200)]
    {
        let receiver = receiver(keys(), store(), MemorySink::default());
        let reached_gateway_at = Some(Timestamp::now() - SignedDuration::from_millis(under_way));
        let request = Request { reached_gateway_at, ..request("w a 1") };
        let (reply, _) = deliver(&receiver, request, "d").await;
        assert_eq!((reply.status, receiver.store.get("w").is_some()), (status, status == 200), "{under_way}");
    }
}

#[tokio::test]
async fn a_request_id_that_is_used_again_hides_no_event() {
    let receiver = receiver(keys(), store(), MemorySink::default());
    let mut statuses = Vec::new();
    for body in ["w a 1", "w b 1", "w a 2", "w a 1"] {
        statuses.push(deliver(&receiver, request(body), "one-id").await.0.status);
    }
    // the last one is in every respect the first one's own write
    assert_eq!(statuses, [200, 409, 409, 200]);
    assert_eq!(receiver.sink.messages().len(), 3, "two events, and the first one's message again");
}

/// A sink that does not answer, and counts how often it was asked.
#[derive(Default)]
struct Silent(AtomicI64);

impl Sink for Silent {
    async fn forward(&self, _: &Message) -> Result<(), PortError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(PortError::unavailable(Operation::Forward, "no answer"))
    }
}

#[tokio::test]
async fn what_does_not_answer_is_left_to_the_reconciler() {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000);
    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::Relaxed)).expect("a time")
    }
    let receiver = Receiver { clock, ..receiver(keys(), store(), Silent::default()) };
    let bodies = ["a x 1", "b x 1", "c x 1", "d x 1", "e x 1"];
    for (delivery, body) in bodies.into_iter().enumerate() {
        let (reply, report) = deliver(&receiver, request(body), body).await;
        assert_eq!(reply.status, 200, "the reply does not depend on it");
        let item = receiver.store.get(&body[..1]).expect("recorded");
        let due_at = item.due_at.expect("pending");
        if delivery < 3 {
            assert!(matches!(report.forwarding, Some(Forwarding::Failed(_))), "{report:?}");
            assert_eq!(due_at, clock() + DUE_AFTER);
        } else {
            assert!(matches!(report.forwarding, Some(Forwarding::LeftToReconciler)), "{report:?}");
            assert_eq!(due_at, clock(), "due in the reconciler's next run");
        }
    }
    assert_eq!(receiver.sink.0.load(Ordering::Relaxed), 3, "the queue is not asked any more");
    // after half a minute one delivery tries
    NOW.fetch_add(31, Ordering::Relaxed);
    for body in ["f x 1", "g x 1"] {
        deliver(&receiver, request(body), body).await;
    }
    assert_eq!(receiver.sink.0.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn the_body_counts_whatever_its_encoding_is_called() {
    for (encoding, body, expected, drift) in [
        (None, "w a 1", (200, "accepted"), 0),
        (Some("identity"), "w a 1", (200, "accepted"), 0),
        (Some(""), "w a 1", (200, "accepted"), 1),
        (Some("UTF-8"), "w a 1", (200, "accepted"), 1),
        (Some("gzip"), "w a 1", (200, "accepted"), 1),
        (Some("gzip"), "", (415, "unsupported_encoding"), 0),
        (Some("identity, BR"), "", (415, "unsupported_encoding"), 0),
        (Some("utf-8"), "", (400, "unidentified"), 0),
        (None, "", (400, "unidentified"), 0),
    ] {
        let receiver = receiver(keys(), store(), MemorySink::default());
        let mut request = request(body);
        if let Some(encoding) = encoding {
            request.headers.insert("content-encoding", encoding.parse().expect("a header"));
        }
        let (reply, report) = deliver(&receiver, request, "d").await;
        assert_eq!((reply.status, report.outcome.name()), expected, "{encoding:?} {body:?}");
        assert_eq!(report.drift.len(), drift, "{encoding:?} {body:?}");
        // the signature comes first
        let mut forged = Request { headers: HeaderMap::new(), ..self::request(body) };
        forged.headers.insert("content-encoding", "gzip".parse().expect("a header"));
        assert_eq!(deliver(&receiver, forged, "d").await.0.status, 401);
    }
}

/// A store in memory whose counts another delivery changes between reading and writing, so many times. Counts the
/// calls about limits.
struct Contended {
    store: MemoryStore,
    times: AtomicI64,
    calls: AtomicI64,
}

impl Contended {
    fn new(times: i64) -> Self {
        Self { store: store(), times: times.into(), calls: AtomicI64::new(0) }
    }
}

impl Store for Contended {
    async fn record(&self, record: &Record, within: Duration) -> Result<Recorded, PortError> {
        self.store.record(record, within).await
    }

    async fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        within: Duration,
    ) -> Result<RecordedDecision, PortError> {
        self.store.record_decision(conflict, base, within).await
    }

    async fn settle(&self, record: &Record, confirmed: bool, now: Timestamp) -> Result<(), PortError> {
        self.store.settle(record, confirmed, now).await
    }
}

impl Limits for Contended {
    async fn counts(
        &self,
        ledger: &str,
        tallies: &[&str],
        within: Duration,
    ) -> Result<Option<Counts>, PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let counts = self.store.counts(ledger, tallies, within).await?;
        if !tallies.is_empty() && self.times.fetch_sub(1, Ordering::Relaxed) > 0 {
            // another payment of 1
            let other = self.store.counts("decision#other", &[DAY], within).await?.expect("readable");
            let limits = vec![Limit { name: "day".into(), key: DAY.into(), hours: 24 }];
            let changed = other.with(&Counting { amount: 1, limits }, Arrival::at(Timestamp::now()));
            let ledger = webhook_ingest::Ledger::empty(&format!("decision#{:?}", self.times));
            assert!(self.store.change(&Counts { ledger, ..changed }, within).await?);
        }
        Ok(counts)
    }

    async fn record_counted(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        counts: &Counts,
        within: Duration,
    ) -> Result<Counted, PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.store.record_counted(record, base, counts, within).await
    }

    async fn change(&self, counts: &Counts, within: Duration) -> Result<bool, PortError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.store.change(counts, within).await
    }
}

/// What is counted in the last day.
async fn counted(store: &impl Limits) -> i64 {
    let counts =
        store.counts("decision#nobody", &[DAY], Duration::MAX).await.expect("read").expect("readable");
    counts.tallies[0].buckets.values().map(|total| total.sum).sum()
}

#[tokio::test]
async fn approvals_are_counted_once_and_subtracted_once() {
    let receiver = receiver(keys(), Contended::new(0), MemorySink::default());
    for (body, status, sum, calls) in [
        ("a no question", 200, 0, 0),
        ("b ?approve", 200, 0, 0),
        ("c ?spend=5=t1", 200, 5, 2),
        // a redelivery counts nothing
        ("c ?spend=5=t1 2", 409, 5, 2),
        // nor does the same transaction under another id
        ("d ?spend=5=t1", 200, 5, 2),
        // what does not fit is rejected, and not counted
        ("e ?spend=3=t2", 403, 5, 1),
        ("f ?spend=2=t3", 200, 7, 2),
        ("g ?spend=1=t4", 403, 7, 1),
        // a transaction that was rejected, or is unknown, is not subtracted
        ("h undo=3=t2", 200, 7, 1),
        ("i undo=1=t9", 200, 7, 1),
        // one that was approved is subtracted once, whatever comes afterwards
        ("j undo=5=t1", 200, 2, 3),
        ("j undo=5=t1 2", 409, 2, 1),
        ("k undo=5=t1", 200, 2, 1),
        // and then it counts as a new one
        ("l ?spend=5=t1", 200, 7, 2),
        // a conflict that is a payment is counted too, if it is decided
        ("m ?ask", 422, 7, 0),
        ("n undo=5=t1", 200, 2, 3),
        ("m ?spend=4=t5", 200, 6, 3),
        ("m ?spend=1=t6", 409, 6, 2),
    ] {
        receiver.store.calls.store(0, Ordering::Relaxed);
        let (reply, report) = deliver(&receiver, request(body), body).await;
        assert_eq!(receiver.store.calls.load(Ordering::Relaxed), calls, "calls of {body}");
        assert_eq!((reply.status, counted(&receiver.store).await), (status, sum), "{body}: {report:?}");
        let subtracted = matches!(report.subtraction, Some(Subtraction::Done));
        assert_eq!(subtracted, body.contains("undo") && calls == 3, "{body}");
    }
}

#[tokio::test]
async fn a_payment_whose_limits_change_is_decided_again() {
    for (times, status) in [(1, 200), (2, 200), (3, 403)] {
        let receiver = receiver(keys(), Contended::new(times), MemorySink::default());
        let (reply, _) = deliver(&receiver, request("a ?spend=5=t1"), "d").await;
        assert_eq!(reply.status, status, "{times}");
        assert_eq!(counted(&receiver.store).await, times + if status == 200 { 5 } else { 0 }, "{times}");
    }
}

/// What cannot be settled in time, or cannot be read, is neither approved nor recorded.
#[tokio::test]
async fn no_payment_is_approved_that_is_not_counted() {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000);
    fn clock() -> Timestamp {
        Timestamp::from_millisecond(NOW.fetch_add(50, Ordering::Relaxed)).expect("a time")
    }
    let contended = Receiver { clock, ..receiver(keys(), Contended::new(i64::MAX), MemorySink::default()) };
    // nothing fits any more after 7 changes, so the amount is none
    let (reply, _) = deliver(&contended, request("a ?spend=-999999=t1"), "d").await;
    assert_eq!(reply.status, 503);
    assert!(contended.store.store.get("a").is_none());

    let broken = receiver(keys(), Broken, MemorySink::default());
    let (reply, report) = deliver(&broken, request("a ?spend=1=t1"), "d").await;
    assert_eq!(reply.status, 503);
    assert!(report.forwarding.is_none());
}

/// Our clock is an hour ahead or behind. The gateway's clock is right, and what was approved still counts.
#[tokio::test]
async fn a_clock_that_jumps_an_hour_approves_nothing_more() {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000);
    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::Relaxed)).expect("a time")
    }
    let receiver = Receiver { clock, ..receiver(keys(), store(), MemorySink::default()) };
    let start = clock();
    let minute = |minutes: i64| start + SignedDuration::from_mins(minutes);
    for (body, real, ours, status) in [
        ("a ?spend=3=t1", 0, 60, 200),
        ("b ?spend=4=t2", 1, -60, 200),
        ("c ?spend=1=t3", 2, 62, 403),
        ("d ?spend=1=t4", 23 * 60 + 50, 24 * 60 + 50, 403),
        ("e ?spend=1=t5", 23 * 60 + 55, 22 * 60 + 55, 403),
        ("f ?spend=1=t6", 26 * 60, 26 * 60, 200),
    ] {
        NOW.store(minute(ours).as_second(), Ordering::Relaxed);
        let request = Request { reached_gateway_at: Some(minute(real)), ..request(body) };
        let (reply, _) = deliver(&receiver, request, body).await;
        assert_eq!(reply.status, status, "{body}");
    }
}
