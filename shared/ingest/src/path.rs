//! The path of a delivery, in two parts: what its reply waits for, [`Receiver::receive`], and what can be
//! done once the reply has left, [`Receiver::finish`]. The first reads top to bottom in
//! [`Receiver::deliver`], and each step changes the type of what it handles.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use jiff::Timestamp;
use verify::{Delivery, Refusal, Secrets, Verified};

use crate::{
    Decision, Event, Message, Outcome, PortError, Record, Recorded, Reply, Reread, SecretSource, Sink, Store,
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
    /// The body's exact bytes; `None` when the gateway's encoding of it could not be undone.
    pub body: Option<Bytes>,
    /// When it had reached the gateway. A cold start lies between that and our receiving it.
    pub reached_gateway_at: Option<Timestamp>,
    /// The id under which its way through AWS is traced.
    pub trace_id: Option<String>,
}

/// What a provider has to say about itself. Each provider crate implements it once.
pub trait Provider: Send + Sync {
    /// Its name in logs and metrics.
    const NAME: &'static str;

    /// Whether one of its webhooks lives at this path.
    fn serves(&self, path: &str) -> bool;

    /// Proves who sent a delivery: somebody who has one of these secrets.
    ///
    /// # Errors
    /// The outcome, when the sender is not proven.
    fn verify(&self, delivery: Delivery, secrets: &Secrets) -> Result<Verified<Delivery>, Outcome>;

    /// Finds out which event a delivery is about.
    ///
    /// # Errors
    /// The outcome, when it is about none.
    fn identify(&self, delivery: &Verified<Delivery>, now: Timestamp) -> Result<Event, Outcome>;

    /// Decides about a payment that waits for approval; every other event needs no decision.
    fn decide(&self, event: &Event) -> Option<Decision>;

    /// The table of replies.
    fn reply(&self, outcome: &Outcome) -> Reply;
}

/// Receives the deliveries of one provider.
#[derive(Debug)]
pub struct Receiver<P, K, S, Q> {
    /// Whose deliveries these are.
    pub provider: P,
    /// What the provider signs with.
    pub secrets: K,
    /// Where events are recorded.
    pub store: S,
    /// Where messages go.
    pub sink: Q,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

/// What happened to a delivery, for the log and the metrics. Holds no body, no signature, no secret
/// and no personal data.
#[derive(Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was answered.
    pub status: u16,
    /// The event's kind, once identified.
    pub kind: Option<&'static str>,
    /// The event's id, once identified.
    pub event_id: Option<String>,
    /// Departures from the documented schema, once identified.
    pub drift: Vec<String>,
    /// What became of the message, once recorded.
    pub forwarding: Option<Forwarding>,
    /// The id under which the request is traced.
    pub trace_id: Option<String>,
    /// The size of the body.
    pub body_bytes: usize,
    /// When the delivery had reached the gateway.
    pub reached_gateway_at: Option<Timestamp>,
    /// When the delivery arrived.
    pub received_at: Timestamp,
    /// When the store had answered.
    pub recorded_at: Option<Timestamp>,
    /// When the reply stood.
    pub replied_at: Timestamp,
    /// When all was done.
    pub finished_at: Timestamp,
}

/// A delivery that has its reply, and what is still to be done about it.
#[derive(Debug)]
#[must_use = "what was recorded is still to be forwarded"]
pub struct Received {
    report: Report,
    /// What this delivery recorded: the queue has yet to get it.
    recorded: Option<Record>,
}

/// What became of a recorded event's message.
#[derive(Debug)]
pub enum Forwarding {
    /// The queue has it and the record says so.
    Settled,
    /// The queue has it, but the record still says `pending`: it will be sent again.
    Unsettled(PortError),
    /// The queue may not have it; the record stays pending.
    Failed(PortError),
    /// The first attempt ran out of time before it sent anything; the record stays pending.
    Overdue,
}

impl<P: Provider, K: SecretSource, S: Store, Q: Sink> Receiver<P, K, S, Q> {
    /// Takes one request as far as its reply. Of what it needs from outside, a reply waits for the record
    /// alone.
    pub async fn receive(&self, request: Request, delivery_id: String) -> (Reply, Received) {
        let received_at = (self.clock)();
        let report = Report {
            outcome: Outcome::NotFound,
            status: 0,
            kind: None,
            event_id: None,
            drift: Vec::new(),
            forwarding: None,
            trace_id: request.trace_id.clone(),
            body_bytes: request.body.as_ref().map_or(0, Bytes::len),
            reached_gateway_at: request.reached_gateway_at,
            received_at,
            recorded_at: None,
            replied_at: received_at,
            finished_at: received_at,
        };
        let mut received = Received { report, recorded: None };
        let outcome = self.deliver(request, delivery_id, received_at, &mut received).await;
        let outcome = outcome.unwrap_or_else(|refused| refused);
        let reply = self.provider.reply(&outcome);
        received.report.status = reply.status;
        received.report.outcome = outcome;
        received.report.replied_at = (self.clock)();
        (reply, received)
    }

    /// Does the rest: sends the message of what was recorded, and settles the record. Whatever fails here,
    /// or never happens because the function ends, leaves the record pending, where it will be found.
    pub async fn finish(&self, received: Received) -> Report {
        let Received { mut report, recorded } = received;
        if let Some(record) = recorded {
            report.forwarding = Some(self.forward(&record).await);
        }
        report.finished_at = (self.clock)();
        report
    }

    /// The path itself. `record` is the point of no return: before it, a failure is the sender's to
    /// retry; after it, the event is ours and the reply no longer depends on what else fails.
    async fn deliver(
        &self,
        request: Request,
        delivery_id: String,
        received_at: Timestamp,
        received: &mut Received,
    ) -> Result<Outcome, Outcome> {
        let report = &mut received.report;
        let delivery: Delivery = self.accept(request)?;
        let delivery: Verified<Delivery> = self.verify(delivery, received_at).await?;
        let event: Event = self.provider.identify(&delivery, received_at)?;
        report.identified(&event);
        let decision: Option<Decision> = self.decide(&event);

        let accepted = Outcome::Accepted { decision: decision.clone() };
        let status = self.provider.reply(&accepted).status;
        let record = Record::new(event, decision, status, delivery_id, received_at)
            .ok_or(Outcome::TooLarge)?
            .traced(report.trace_id.clone());
        let recorded = self.store.record(&record).await.map_err(Outcome::Unavailable)?;
        report.recorded_at = Some((self.clock)());

        match recorded {
            Recorded::First => {
                received.recorded = Some(record);
                Ok(accepted)
            }
            Recorded::Duplicate { decision } => Ok(Outcome::Duplicate { decision, conflict: false }),
            Recorded::Conflict { decision } => {
                self.store.keep_conflict(&record).await.map_err(Outcome::Unavailable)?;
                Ok(Outcome::Duplicate { decision, conflict: true })
            }
        }
    }

    /// Request to delivery: the right path and method, and a body whose bytes are the signed ones.
    fn accept(&self, request: Request) -> Result<Delivery, Outcome> {
        if !self.provider.serves(&request.path) {
            return Err(Outcome::NotFound);
        }
        if request.method != Method::POST {
            return Err(Outcome::MethodNotAllowed);
        }
        let mut encodings = request.headers.get_all(header::CONTENT_ENCODING).iter();
        if !encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Outcome::UnsupportedEncoding);
        }
        let body = request.body.ok_or(Outcome::Unreadable)?;
        Ok(Delivery { path: request.path, headers: request.headers, body })
    }

    /// Proves the sender. A signature that fits no secret may have been made with one that we do not know
    /// yet: before it is refused, the secrets are looked at again.
    async fn verify(&self, delivery: Delivery, now: Timestamp) -> Result<Verified<Delivery>, Outcome> {
        let secrets = self.secrets.current(now).await?;
        match self.provider.verify(delivery.clone(), &secrets) {
            Err(Outcome::Refused(mismatch @ Refusal::Mismatch { .. })) => {
                match self.secrets.reread(now).await {
                    Reread::Changed(secrets) => self.provider.verify(delivery, &secrets),
                    Reread::Same => Err(Outcome::Refused(mismatch)),
                    Reread::Unknown(error) => Err(Outcome::Unproven(error)),
                }
            }
            verified => verified,
        }
    }

    /// Decides, and says how long it took.
    fn decide(&self, event: &Event) -> Option<Decision> {
        let start = (self.clock)();
        let decision = self.provider.decide(event)?;
        let taken = (self.clock)().duration_since(start).as_micros();
        // A clock that was set back meanwhile tells nothing.
        Some(Decision { micros: u32::try_from(taken).ok(), ..decision })
    }

    /// Sends the message and settles the record, unless it is too late for a first attempt.
    async fn forward(&self, record: &Record) -> Forwarding {
        if (self.clock)() >= record.due_at() {
            return Forwarding::Overdue;
        }
        if let Err(error) = self.sink.forward(&Message::new(record)).await {
            return Forwarding::Failed(error);
        }
        match self.store.settle(record, (self.clock)()).await {
            Ok(()) => Forwarding::Settled,
            Err(error) => Forwarding::Unsettled(error),
        }
    }
}

impl Report {
    fn identified(&mut self, event: &Event) {
        self.kind = Some(event.kind);
        self.event_id = Some(event.id.clone());
        self.drift = event.drift.iter().map(ToString::to_string).collect();
    }
}
