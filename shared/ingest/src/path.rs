//! The path of a delivery. It has two parts: [`Receiver::receive`] does everything that the reply needs, and
//! [`Receiver::finish`] does the rest after the reply has been sent. [`Receiver::deliver`] has the steps of the
//! first part in order, and each step changes the type of the delivery.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;
use verify::{Delivery, Keys, Refusal, Verified};

use crate::{
    Arrival, Base, Breaker, Conflicts, Control, Counted, Counting, Counts, Deadline, Decision, Directory,
    Drift, Earlier, Event, FOR_SUBTRACTION, Facts, Limits, Message, Object, Operation, Outcome, PortError,
    Record, Recorded, RecordedDecision, Repetition, Reply, RequestedFacts, Reread, Restamped, SecretSource,
    Sink, Store, Switch, Totals, Verdict, control, ledger_key,
};

/// An HTTP request as the gateway passed it on.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path below the API's stage.
    pub path: String,
    /// All header lines.
    pub headers: HeaderMap,
    /// The body's exact bytes. `None` when the gateway's base64 could not be decoded.
    pub body: Option<Bytes>,
    /// When the request arrived at the gateway. A cold start happens between this time and our receiving it.
    pub reached_gateway_at: Option<Timestamp>,
    /// The id of its trace in AWS X-Ray.
    pub trace_id: Option<String>,
}

/// What a provider crate implements: how its deliveries are verified, identified, decided and answered.
pub trait Provider: Send + Sync {
    /// Its name in logs and metrics; also the first segment of its paths.
    const NAME: &'static str;

    /// What happens to an event whose key already belongs to an event with another content.
    const CONFLICTS: Conflicts;

    /// Whether some of its webhooks ask for a decision in the reply.
    const DECIDES: bool;

    /// A payment that waits for approval, as far as it could be read.
    type Payment: Send + Sync;

    /// Whether one of its webhooks is served at this path.
    fn serves(&self, path: &str) -> bool;

    /// Proves that the sender of a delivery has one of these keys.
    ///
    /// # Errors
    /// The outcome, when the sender is not proven.
    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome>;

    /// Determines which event a delivery is about, and whether the event asks for a decision.
    ///
    /// # Errors
    /// The outcome, when the delivery is not an event.
    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        arrival: Arrival,
    ) -> Result<Identified<Self::Payment>, Outcome>;

    /// What a payment counts as, if it is approved and a policy reads limits before it decides about it.
    fn counting(&self, _payment: &Self::Payment) -> Option<Counting> {
        None
    }

    /// Decides about a payment that waits for approval. `totals` has every limit of its [`counting`](Self::counting).
    /// `None` when they cannot be read.
    fn decide(&self, payment: &Self::Payment, totals: Option<&Totals>) -> Decision;

    /// The facts about the receiver that a payment requests with its approval.
    fn requested<'a>(&self, payment: &'a Self::Payment) -> Option<&'a RequestedFacts>;

    /// The table of replies.
    fn reply(&self, outcome: &Outcome) -> Reply;
}

/// An event, and the payment that it asks to decide.
#[derive(Debug)]
pub struct Identified<P> {
    /// The event.
    pub event: Event,
    /// The payment to decide. Only an event without such a payment is accepted without a decision.
    pub payment: Option<P>,
    /// Whether the event says that its transaction failed or was given back, so that it no longer counts towards
    /// limits. False where no limits are configured.
    pub undone: bool,
}

/// Receives the deliveries of one provider.
#[derive(Debug)]
pub struct Receiver<P, K, S, Q, D, C> {
    /// The provider whose deliveries are received.
    pub provider: P,
    /// The source of the keys that signatures are checked with.
    pub secrets: K,
    /// Where events are recorded.
    pub store: S,
    /// Where messages go.
    pub sink: Q,
    /// The source of facts about the receivers of payments.
    pub directory: D,
    /// The switch that stops all decisions.
    pub switch: Switch<C>,
    /// The current time.
    pub clock: fn() -> Timestamp,
    /// The circuit breakers of sending and settling.
    pub breakers: Breakers,
}

/// The circuit breakers of the work after a reply. While either is open, nothing is sent: if only settling
/// fails, the reconciler would send the message a second time.
#[derive(Debug, Default)]
pub struct Breakers {
    send: Breaker,
    settle: Breaker,
}

impl Breakers {
    fn is_open(&self, now: Timestamp) -> bool {
        self.send.is_open(now) || self.settle.is_open(now)
    }
}

/// What happened to a delivery, for the log and the metrics. Holds no body, no signature, no secret
/// and no personal data.
#[derive(Debug)]
pub struct Report {
    /// How the delivery ended.
    pub outcome: Outcome,
    /// The HTTP status of the reply.
    pub status: u16,
    /// The event's kind, once identified.
    pub kind: Option<Cow<'static, str>>,
    /// The event's id, once identified.
    pub event_id: Option<String>,
    /// Of a conflict: the id of the event whose key it has.
    pub conflict_of: Option<String>,
    /// Differences from the documented schema, once identified.
    pub drift: Vec<String>,
    /// What happened to the message, once the event is recorded.
    pub forwarding: Option<Forwarding>,
    /// Whether the transaction was subtracted from its limits, where the event asks for that.
    pub subtraction: Option<Subtraction>,
    /// The id under which the request is traced.
    pub trace_id: Option<String>,
    /// The size of the body.
    pub body_bytes: usize,
    /// When the delivery arrived at the gateway.
    pub reached_gateway_at: Option<Timestamp>,
    /// When the delivery arrived.
    pub received_at: Timestamp,
    /// When the store had answered.
    pub recorded_at: Option<Timestamp>,
    /// When the reply was ready.
    pub replied_at: Timestamp,
    /// When all work was done.
    pub finished_at: Timestamp,
}

/// The reason of a rejection when mandatory facts about the receiver are not available for the approval.
pub const RECEIVER_INFO_UNAVAILABLE: &str = "receiver_info_unavailable";

/// A delivery that has its reply, and the work that remains.
#[derive(Debug)]
#[must_use = "the recorded event still has to be forwarded"]
pub struct Received {
    arrived: Arrived,
    ended: Ended,
    status: u16,
    replied_at: Timestamp,
}

impl Received {
    /// When the delivery arrived, by our clock and by the gateway's.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        self.arrived.arrival
    }
}

/// What is known of every request.
#[derive(Debug)]
struct Arrived {
    arrival: Arrival,
    trace_id: Option<String>,
    body_bytes: usize,
}

/// How the path of a delivery ended.
#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    /// The event, from the moment at which it was identified.
    about: Option<About>,
    /// When the store had answered.
    recorded_at: Option<Timestamp>,
    /// The record that this delivery wrote and that has to be forwarded.
    recorded: Option<Record>,
    /// The key of the ledger of a transaction that no longer counts towards limits.
    undone: Option<String>,
}

/// What the log says of an event.
#[derive(Debug)]
struct About {
    kind: Cow<'static, str>,
    id: String,
    conflict_of: Option<String>,
    drift: Vec<String>,
}

/// What recording an event came to.
#[derive(Debug)]
struct Recording {
    outcome: Outcome,
    /// The record that this delivery wrote and that has to be forwarded.
    recorded: Option<Record>,
    /// Of a conflict: its own id.
    conflict: Option<String>,
    /// When the store had answered.
    at: Option<Timestamp>,
}

/// What happened to the message of a recorded event.
#[derive(Debug)]
pub enum Forwarding {
    /// The queue has the message, and the record is `forwarded`.
    Settled,
    /// The queue has the message, but the record is still `pending`: the message will be sent again.
    Unsettled(PortError),
    /// The queue may not have the message. The record stays pending.
    Failed(PortError),
    /// The time for the first attempt ended before anything was sent. The record stays pending.
    Overdue,
    /// A circuit breaker is open. The reconciler forwards the record in its next run.
    LeftToReconciler,
}

/// What happened to a transaction that no longer counts towards limits.
#[derive(Debug)]
pub enum Subtraction {
    /// It is subtracted.
    Done,
    /// It was not counted, or was subtracted before.
    NotCounted,
    /// It may still be counted: the limits count too much, until their windows end.
    Failed(PortError),
}

/// A payment to decide, with the event that asks for it.
#[derive(Debug)]
struct Question<'a, P> {
    payment: &'a P,
    /// What it counts as, and the key of its ledger. `None` when its decision reads no limits.
    counting: Option<(Counting, String)>,
}

impl<P: Provider, K: SecretSource, S: Store + Limits, Q: Sink, D: Directory, C: Control>
    Receiver<P, K, S, Q, D, C>
{
    /// Handles one request up to its reply. A reply waits for the keys, the limits, the switch, the facts about the
    /// receiver, and the record, but never for the queue.
    pub async fn receive(&self, request: Request, delivery_id: String) -> (Reply, Received) {
        let arrived = Arrived {
            arrival: Arrival { received_at: (self.clock)(), reached_gateway_at: request.reached_gateway_at },
            trace_id: request.trace_id.clone(),
            body_bytes: request.body.as_ref().map_or(0, Bytes::len),
        };
        let ended = self.deliver(request, delivery_id, &arrived).await.unwrap_or_else(Ended::before_an_event);
        let reply = self.provider.reply(&ended.outcome);
        let received = Received { arrived, ended, status: reply.status, replied_at: (self.clock)() };
        (reply, received)
    }

    /// Does the work after the reply: sends the message and settles the record. If a step fails, or the
    /// function ends before, the record stays pending and the reconciler forwards it. For `reply_confirmed`
    /// see [`Message::new`].
    pub async fn finish(&self, received: Received, reply_confirmed: bool) -> Report {
        let Received { arrived, ended, status, replied_at } = received;
        let (forwarding, subtraction) = join(
            async {
                match &ended.recorded {
                    Some(record) => Some(self.forward(record, reply_confirmed).await),
                    None => None,
                }
            },
            async {
                match &ended.undone {
                    Some(ledger) => Some(self.subtract(ledger).await),
                    None => None,
                }
            },
        )
        .await;
        let Arrived { arrival: Arrival { received_at, reached_gateway_at }, trace_id, body_bytes } = arrived;
        let (kind, event_id, conflict_of, drift) = match ended.about {
            Some(About { kind, id, conflict_of, drift }) => (Some(kind), Some(id), conflict_of, drift),
            None => (None, None, None, Vec::new()),
        };
        Report {
            outcome: ended.outcome,
            status,
            kind,
            event_id,
            conflict_of,
            drift,
            forwarding,
            subtraction,
            trace_id,
            body_bytes,
            reached_gateway_at,
            received_at,
            recorded_at: ended.recorded_at,
            replied_at,
            finished_at: (self.clock)(),
        }
    }

    /// The steps in order. An `Err` is the outcome of a delivery that has no event.
    async fn deliver(
        &self,
        request: Request,
        delivery_id: String,
        arrived: &Arrived,
    ) -> Result<Ended, Outcome> {
        let deadline = arrived.arrival.deadline();
        let delivery: Delivery = self.accept(request)?;
        let delivery: Verified<Delivery> = self.verify(delivery, deadline).await?;
        let Identified { event, payment, undone } = self.identify(&delivery, arrived.arrival)?;
        let about = About::new(&event);
        let ledger = || ledger_key(P::NAME, event.subject.as_ref().unwrap_or(&event.key));
        let undone = undone.then(ledger);
        let question = payment.as_ref().map(|payment| Question {
            payment,
            counting: self.provider.counting(payment).map(|counting| (counting, ledger())),
        });
        let record = Record::new(event, None, 200, delivery_id, arrived.arrival.received_at)
            .map(|record| record.traced(arrived.trace_id.clone()))
            .map(|record| record.left_to_reconciler(self.breakers.is_open(arrived.arrival.received_at)));
        let recording = loop {
            // Decided again as long as the limits change between reading and recording.
            match self.answer(question.as_ref(), record.as_ref(), arrived.arrival).await? {
                Some(recording) => break recording,
                None => {
                    if let Err(outcome) = self.left(deadline) {
                        break Recording::nothing(outcome);
                    }
                }
            }
        };
        // An event that is not recorded comes again, and is subtracted then.
        let undone = undone.filter(|_| recording.at.is_some());
        Ok(Ended { undone, ..Ended::of(about, recording) })
    }

    /// Decides, if there is a question, and records. `None` when a limit has changed since it was read, and nothing was
    /// recorded. The reply is an approval only if the approval is recorded and counted.
    async fn answer(
        &self,
        question: Option<&Question<'_, P::Payment>>,
        record: Option<&Record>,
        arrival: Arrival,
    ) -> Result<Option<Recording>, Outcome> {
        let deadline = arrival.deadline();
        let counting = question.and_then(|question| question.counting.as_ref());
        let counts = self.counts(counting, deadline).await?;
        let decision: Option<Decision> = question.map(|Question { payment, .. }| match (counting, &counts) {
            (None, _) => self.decide(payment, Some(&Totals::new())),
            (Some((counting, _)), Some(counts)) => {
                self.decide(payment, Some(&counts.totals(counting, arrival)))
            }
            (Some(_), None) => self.decide(payment, None),
        });
        let payment = question.map(|question| question.payment);
        let (stopped, supplied) = join(
            self.stopped(decision.as_ref(), arrival, deadline),
            self.supply(decision.clone(), payment, deadline),
        )
        .await;
        let (decision, facts) = stopped?.map_or(supplied, |stopped| (Some(stopped), Facts::default()));
        let approved = decision.as_ref().is_some_and(|decision| decision.verdict == Verdict::Approve);
        let changed = match (counting, counts) {
            (Some(_), None) if approved => return Err(self.uncounted()),
            (Some((counting, _)), Some(counts)) if approved => Some(counts.with(counting, arrival)),
            _ => None,
        };
        let accepted = Outcome::Accepted { decision: decision.clone().map(Box::new), facts };
        let reply = self.provider.reply(&accepted).status;
        let record = record.map(|record| Record { decision, reply, ..record.clone() });
        match self.record(record, accepted, changed.as_ref(), deadline).await {
            Ok(recording) => Ok(recording),
            Err(outcome) => Ok(Some(Recording::nothing(outcome))),
        }
    }

    /// What was counted before a payment. `None` when it cannot be read because of its form, or nothing is counted.
    async fn counts(
        &self,
        counting: Option<&(Counting, String)>,
        deadline: Deadline,
    ) -> Result<Option<Counts>, Outcome> {
        let Some((counting, ledger)) = counting else { return Ok(None) };
        let tallies: Vec<&str> = counting.limits.iter().map(|limit| limit.key.as_str()).collect();
        let within = deadline.before_record((self.clock)());
        self.store.counts(ledger, &tallies, within).await.map_err(Outcome::Unavailable)
    }

    /// The outcome of an approval that cannot be counted.
    fn uncounted(&self) -> Outcome {
        let what = "the limits cannot be read, but the decision approves";
        Outcome::Unavailable(PortError::new(Operation::Limits, what))
    }

    /// Records an event: the point of no return. After a failure before this, the sender has to retry. After it
    /// the event is stored, and no later failure changes the reply.
    async fn record(
        &self,
        record: Option<Record>,
        accepted: Outcome,
        changed: Option<&Counts>,
        deadline: Deadline,
    ) -> Result<Option<Recording>, Outcome> {
        let record = record.ok_or(Outcome::TooLarge)?;
        let Some(recorded) = self.write(&record, changed, deadline).await? else { return Ok(None) };
        let at = Some((self.clock)());
        let recording = match recorded {
            Recorded::Now => Recording::of(accepted, record),
            Recorded::Before(earlier) => match record.repeats(&earlier) {
                Repetition::Ours => Recording::ours(accepted, record, &earlier)?,
                Repetition::Redelivery { restamped } => {
                    let decided = earlier.final_decision();
                    Recording::nothing(duplicate(&record, &earlier, restamped, decided))
                }
                Repetition::Conflict => {
                    let conflict = Record { held: P::CONFLICTS == Conflicts::Hold, ..record.as_conflict() };
                    let id = conflict.id.clone();
                    let recording =
                        self.conflict(&record, conflict, &earlier, accepted, changed, deadline).await;
                    let recording = match recording {
                        Ok(None) => return Ok(None),
                        Ok(Some(recording)) => recording,
                        Err(outcome) => Recording::nothing(outcome),
                    };
                    Recording { conflict: Some(id), ..recording }
                }
            },
        };
        Ok(Some(Recording { at, ..recording }))
    }

    /// Writes a record, with its counts if there are any. `None` when these have changed.
    async fn write(
        &self,
        record: &Record,
        changed: Option<&Counts>,
        deadline: Deadline,
    ) -> Result<Option<Recorded>, Outcome> {
        let left = self.left(deadline)?;
        let Some(changed) = changed else {
            return self.store.record(record, left).await.map(Some).map_err(Outcome::Unavailable);
        };
        let counted = self.store.record_counted(record, None, changed, left).await;
        Ok(match counted.map_err(Outcome::Unavailable)? {
            Counted::Recorded(RecordedDecision::Now) => Some(Recorded::Now),
            Counted::Recorded(RecordedDecision::Not { before: Some(before), .. }) => {
                Some(Recorded::Before(before))
            }
            Counted::Recorded(RecordedDecision::Not { before: None, .. }) | Counted::Changed => None,
        })
    }

    /// Handles an event whose key belongs to another event. It is recorded under a key of its own and
    /// answered as a duplicate. A payment, however, is answered with its own decision (`accepted`) as long as
    /// the key has no final decision.
    async fn conflict(
        &self,
        event: &Record,
        conflict: Record,
        earlier: &Earlier,
        accepted: Outcome,
        changed: Option<&Counts>,
        deadline: Deadline,
    ) -> Result<Option<Recording>, Outcome> {
        let mut decided = earlier.final_decision().cloned().map(Box::new);
        if conflict.decision.is_some() && decided.is_none() {
            let base = Base { key: &event.key, delivery_id: &earlier.delivery_id };
            let left = self.left(deadline)?;
            let recorded = match changed {
                Some(changed) => self.store.record_counted(&conflict, Some(&base), changed, left).await,
                None => self.store.record_decision(&conflict, &base, left).await.map(Counted::Recorded),
            };
            let Counted::Recorded(recorded) = recorded.map_err(Outcome::Unavailable)? else {
                return Ok(None);
            };
            match recorded {
                RecordedDecision::Now => return Ok(Some(Recording::of(accepted, conflict))),
                RecordedDecision::Not { before: Some(before), decided } => {
                    return Ok(Some(match conflict.repeats(&before) {
                        Repetition::Ours => Recording::ours(accepted, conflict, &before)?,
                        repetition => Recording::nothing(duplicate(
                            &conflict,
                            &before,
                            repetition.restamped(),
                            decided.as_deref(),
                        )),
                    }));
                }
                RecordedDecision::Not { before: None, decided: final_decision } => decided = final_decision,
            }
        }

        let asks = conflict.decision.is_some();
        let answered = Outcome::Conflict { decision: decided.clone().filter(|_| asks) };
        let reply = self.provider.reply(&answered).status;
        let conflict = Record { decision: None, reply, ..conflict };
        let recorded = self.store.record(&conflict, self.left(deadline)?).await;
        match recorded.map_err(Outcome::Unavailable)? {
            Recorded::Before(before) if conflict.repeats(&before) != Repetition::Ours => {
                let restamped = conflict.repeats(&before).restamped();
                Ok(Some(Recording::nothing(duplicate(event, &before, restamped, decided.as_deref()))))
            }
            Recorded::Now | Recorded::Before(_) if conflict.held => Ok(Some(Recording::nothing(answered))),
            Recorded::Now | Recorded::Before(_) => Ok(Some(Recording::of(answered, conflict))),
        }
    }

    /// Makes a delivery of a request: checks its path and method, and that its body could be decoded.
    fn accept(&self, request: Request) -> Result<Delivery, Outcome> {
        let path =
            route(&request.path, P::NAME, |path| self.provider.serves(path)).ok_or(Outcome::NotFound)?;
        if request.method != Method::POST {
            return Err(Outcome::MethodNotAllowed);
        }
        let body = request.body.ok_or(Outcome::Unreadable)?;
        Ok(Delivery { path, headers: request.headers, body })
    }

    /// Proves the sender. A signature that fits none of the keys may have been made with a newer key, so the
    /// keys are read again before the delivery is refused.
    async fn verify(&self, delivery: Delivery, deadline: Deadline) -> Result<Verified<Delivery>, Outcome> {
        let now = (self.clock)();
        let secrets = self.secrets.current(now, deadline.before_record(now)).await?;
        let unproven = |mismatch, secrets| Err(Outcome::Unproven { mismatch, secrets });
        match self.provider.verify(delivery.clone(), &secrets) {
            Err(Outcome::Refused(mismatch @ Refusal::Mismatch { .. })) => {
                let within = deadline.before_record((self.clock)());
                match self.secrets.reread(now, within).await {
                    Reread::Changed(secrets) => match self.provider.verify(delivery, &secrets) {
                        Err(Outcome::Refused(mismatch @ Refusal::Mismatch { .. })) => {
                            unproven(mismatch, None)
                        }
                        verified => verified,
                    },
                    Reread::Same => unproven(mismatch, None),
                    Reread::Unknown(error) => unproven(mismatch, Some(error)),
                }
            }
            verified => verified,
        }
    }

    /// Identifies the event. The signature covers the bytes as they arrived, so the body is read without
    /// decoding, whatever `Content-Encoding` says. If these bytes are not a JSON object and the header names
    /// a compression, the outcome is `UnsupportedEncoding`.
    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        arrival: Arrival,
    ) -> Result<Identified<P::Payment>, Outcome> {
        let encodings = encodings(&delivery.headers);
        let mut identified = self.provider.identify(delivery, arrival).map_err(|outcome| match outcome {
            Outcome::Unidentified(_)
                if encodings.iter().any(|name| COMPRESSIONS.contains(&name.as_str()))
                    && Object::parse(&delivery.body).is_none() =>
            {
                Outcome::UnsupportedEncoding
            }
            outcome => outcome,
        })?;
        if encodings.iter().any(|name| name != "identity") {
            let drift = Drift { field: header::CONTENT_ENCODING.to_string(), expected: "should be absent" };
            identified.event.drift.push(drift);
        }
        Ok(identified)
    }

    /// Decides, and measures how long that takes.
    fn decide(&self, payment: &P::Payment, totals: Option<&Totals>) -> Decision {
        let start = (self.clock)();
        let decision = self.provider.decide(payment, totals);
        let taken = (self.clock)().duration_since(start).as_micros();
        // If the clock was set back meanwhile, the time is negative and left out.
        Decision { micros: u32::try_from(taken).ok(), ..decision }
    }

    /// The decision about every payment while decisions are stopped. A payment that would not be rejected anyway waits
    /// until it is known whether they are.
    async fn stopped(
        &self,
        decision: Option<&Decision>,
        arrival: Arrival,
        deadline: Deadline,
    ) -> Result<Option<Decision>, Outcome> {
        let Some(decision) = decision else { return Ok(None) };
        let now = (self.clock)();
        // Our clock can be behind for a moment after a freeze: then a reading seems younger than it is.
        let latest = now.max(arrival.latest());
        match self.switch.is_stopped(latest, deadline.before_record(now)).await {
            Ok(true) => Ok(Some(Decision::new(control::stopped()))),
            Err(error) if !matches!(decision.verdict, Verdict::Reject { .. }) => {
                Err(Outcome::Unavailable(error))
            }
            Ok(false) | Err(_) => Ok(None),
        }
    }

    /// Adds the requested facts about the receiver to an approval. If a mandatory fact is not available, the
    /// approval becomes a rejection.
    async fn supply(
        &self,
        decision: Option<Decision>,
        payment: Option<&P::Payment>,
        deadline: Deadline,
    ) -> (Option<Decision>, Facts) {
        let requested = payment.and_then(|payment| self.provider.requested(payment));
        match (decision, requested) {
            (Some(decision), Some(requested)) if decision.verdict == Verdict::Approve => {
                let facts = self.look_up(requested, deadline).await;
                let complete = requested
                    .fields
                    .iter()
                    .all(|field| !field.mandatory || facts.0.contains_key(&field.name));
                if complete {
                    let supplied = facts.0.keys().cloned().collect();
                    (Some(Decision { supplied, ..decision }), facts)
                } else {
                    let verdict = Verdict::Reject {
                        reason: RECEIVER_INFO_UNAVAILABLE.to_owned(),
                        message: "Mandatory information about the receiver is not available.".to_owned(),
                    };
                    (Some(Decision { verdict, ..decision }), Facts::default())
                }
            }
            (decision, _) => (decision, Facts::default()),
        }
    }

    /// The requested facts that the directory has. Empty when the directory does not answer.
    async fn look_up(&self, requested: &RequestedFacts, deadline: Deadline) -> Facts {
        let Some(user) = &requested.user else { return Facts::default() };
        let names: Vec<&str> = requested.fields.iter().map(|field| field.name.as_str()).collect();
        let within = deadline.before_record((self.clock)());
        // The directory itself logs and counts its errors.
        let known = self.directory.facts(user, &names, within).await.ok().flatten().unwrap_or_default();
        Facts(known.0.into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect())
    }

    /// The time that is left for a call before the reply.
    fn left(&self, deadline: Deadline) -> Result<Duration, Outcome> {
        let left = deadline.left((self.clock)());
        let over =
            || Outcome::Unavailable(PortError::new(Operation::Record, "no time is left before the reply"));
        if left.is_zero() { Err(over()) } else { Ok(left) }
    }

    /// Subtracts a transaction from its limits, if it is counted: once, because its ledger then says that it is not.
    async fn subtract(&self, ledger: &str) -> Subtraction {
        let begin = (self.clock)();
        loop {
            let taken: Duration = begin.duration_until((self.clock)()).try_into().unwrap_or_default();
            let left = FOR_SUBTRACTION.saturating_sub(taken);
            if left.is_zero() || self.breakers.is_open(begin) {
                let error = PortError::new(Operation::Limits, "no time, or a circuit breaker is open");
                return Subtraction::Failed(error);
            }
            match self.try_to_subtract(ledger, left).await {
                Ok(Some(subtraction)) => return subtraction,
                Ok(None) => {}
                Err(error) => return Subtraction::Failed(error),
            }
        }
    }

    /// `None` when the counts changed between reading and writing.
    async fn try_to_subtract(
        &self,
        ledger: &str,
        within: Duration,
    ) -> Result<Option<Subtraction>, PortError> {
        let unreadable = || PortError::new(Operation::Limits, "a ledger or tally cannot be read");
        let begin = (self.clock)();
        let left = || {
            let taken: Duration = begin.duration_until((self.clock)()).try_into().unwrap_or_default();
            within.saturating_sub(taken)
        };
        let counts = self.store.counts(ledger, &[], within).await?.ok_or_else(unreadable)?;
        if counts.ledger.counts.is_empty() {
            return Ok(Some(Subtraction::NotCounted));
        }
        let mut tallies: Vec<&str> = counts.ledger.counts.iter().map(|count| count.tally.as_str()).collect();
        tallies.sort_unstable();
        tallies.dedup();
        let counts = self.store.counts(ledger, &tallies, left()).await?.ok_or_else(unreadable)?;
        let Some(changed) = counts.without() else { return Ok(Some(Subtraction::NotCounted)) };
        Ok(self.store.change(&changed, left()).await?.then_some(Subtraction::Done))
    }

    /// Sends the message and settles the record, unless a breaker was open or the first attempt is overdue.
    async fn forward(&self, record: &Record, reply_confirmed: bool) -> Forwarding {
        if record.left_to_reconciler {
            return Forwarding::LeftToReconciler;
        }
        if (self.clock)() >= record.due_at() {
            return Forwarding::Overdue;
        }
        let sent = self.sink.forward(&Message::new(record, reply_confirmed)).await;
        self.breakers.send.note(&sent, (self.clock)());
        if let Err(error) = sent {
            return Forwarding::Failed(error);
        }
        let settled = self.store.settle(record, reply_confirmed, (self.clock)()).await;
        self.breakers.settle.note(&settled, (self.clock)());
        match settled {
            Ok(()) => Forwarding::Settled,
            Err(error) => Forwarding::Unsettled(error),
        }
    }
}

/// The encodings under which JSON cannot be read.
const COMPRESSIONS: [&str; 7] = ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"];

/// The encodings in the `Content-Encoding` headers of a request, in lower case.
fn encodings(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase());
    lines.flat_map(|line| line.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()).collect()
}

/// The outcome of a delivery whose event was recorded before. If the event asks for a decision, the outcome has
/// the final decision under its key, or else the first one.
fn duplicate(record: &Record, earlier: &Earlier, restamped: bool, decided: Option<&Decision>) -> Outcome {
    let asks = record.decision.is_some();
    Outcome::Duplicate {
        decision: decided.or(earlier.decision.as_ref()).filter(|_| asks).cloned().map(Box::new),
        restamped: restamped.then_some(Restamped { first: earlier.occurred_at, now: record.occurred_at }),
    }
}

/// The path at which a webhook is served, without empty segments and without anything before the provider's
/// name (a stage, a base path). If the name occurs several times, the first one that gives a served path
/// counts.
fn route(path: &str, provider: &str, serves: impl Fn(&str) -> bool) -> Option<String> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let named = segments.iter().enumerate().filter(|(_, segment)| **segment == provider);
    named.map(|(start, _)| format!("/{}", segments[start..].join("/"))).find(|path| serves(path))
}

impl About {
    fn new(event: &Event) -> Self {
        Self {
            kind: event.kind.clone(),
            id: event.id.clone(),
            conflict_of: None,
            drift: event.drift.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Recording {
    /// This delivery wrote a record, which has to be forwarded.
    fn of(outcome: Outcome, record: Record) -> Self {
        Self { recorded: Some(record), ..Self::nothing(outcome) }
    }

    /// An earlier attempt of this delivery to write its record succeeded. It may have decided otherwise, by other limits:
    /// then no answer is right.
    fn ours(outcome: Outcome, record: Record, earlier: &Earlier) -> Result<Self, Outcome> {
        let verdict =
            |decision: &Option<Decision>| decision.as_ref().map(|decision| decision.verdict.clone());
        if verdict(&record.decision) == verdict(&earlier.decision) {
            return Ok(Self::of(outcome, record));
        }
        let what = "an earlier attempt wrote another decision";
        Err(Outcome::Unavailable(PortError::new(Operation::Record, what)))
    }

    /// This delivery leaves nothing to forward.
    fn nothing(outcome: Outcome) -> Self {
        Self { outcome, recorded: None, conflict: None, at: None }
    }
}

impl Ended {
    /// The end of a delivery without an event.
    fn before_an_event(outcome: Outcome) -> Self {
        Self { outcome, about: None, recorded_at: None, recorded: None, undone: None }
    }

    fn of(about: About, recording: Recording) -> Self {
        let Recording { outcome, recorded, conflict, at: recorded_at } = recording;
        let about = match conflict {
            Some(id) => About { conflict_of: Some(about.id), id, ..about },
            None => about,
        };
        Self { outcome, about: Some(about), recorded_at, recorded, undone: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        let one = |path: &str| path == "/umaaas" || path == "/umaaas/test-webhook";
        for (path, served) in [
            ("/umaaas", Some("/umaaas")),
            ("/umaaas/", Some("/umaaas")),
            ("//umaaas", Some("/umaaas")),
            ("/hooks/umaaas", Some("/umaaas")),
            ("/a/b//umaaas//test-webhook/", Some("/umaaas/test-webhook")),
            ("/umaaas/umaaas/test-webhook", Some("/umaaas/test-webhook")),
            ("/umaaas/umaaas", Some("/umaaas")),
            ("/umaaas/x", None),
            ("/umaaasx", None),
            ("/UMAAAS", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(route(path, "umaaas", one).as_deref(), served, "{path}");
        }
        let all = |path: &str| path.starts_with("/weavr/");
        for (path, served) in [
            ("/weavr/", None),
            ("/weavr/a//b/", Some("/weavr/a/b")),
            ("/weavr/weavr/a", Some("/weavr/weavr/a")),
            ("/weavr/weavr", Some("/weavr/weavr")),
        ] {
            assert_eq!(route(path, "weavr", all).as_deref(), served, "{path}");
        }
    }
}
