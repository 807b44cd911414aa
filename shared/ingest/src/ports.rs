//! The ports of the path of a delivery: where its sender's keys come from, where an event is recorded, and
//! where its message is sent.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use verify::Keys;

use crate::{Claim, Due, DuePage, Message, Record, Recorded, RecordedDecision};

/// Where the keys of a provider come from. The keys can change while a function runs: a rotation needs no
/// deployment.
pub trait SecretSource: Send + Sync {
    /// The keys that are valid now. If they must be read, reading takes at most `within`.
    ///
    /// # Errors
    /// [`NoSecrets`] when there is no key to verify with.
    fn current(
        &self,
        now: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<Arc<Keys>, NoSecrets>> + Send;

    /// Reads the keys again, because a signature fits none of the current keys.
    fn reread(&self, now: Timestamp, within: Duration) -> impl Future<Output = Reread> + Send;
}

/// Why there is no key to verify with.
#[derive(Debug)]
pub enum NoSecrets {
    /// The secret still has the placeholder text from the deployment.
    Placeholder,
    /// The keys could not be read.
    Unavailable(PortError),
}

/// The result of reading the keys again.
#[derive(Debug)]
pub enum Reread {
    /// The keys have changed.
    Changed(Arc<Keys>),
    /// The keys are the same.
    Same,
    /// It is unknown whether the keys have changed: reading them failed, or they were read too recently to read
    /// them again. The error says which.
    Unknown(PortError),
}

/// Keys that never change.
impl SecretSource for Arc<Keys> {
    async fn current(&self, _now: Timestamp, _within: Duration) -> Result<Self, NoSecrets> {
        Ok(Self::clone(self))
    }

    async fn reread(&self, _now: Timestamp, _within: Duration) -> Reread {
        Reread::Same
    }
}

/// Something that keeps records. The contract is the test `store_contract` in `tests/`, which runs
/// against every implementation.
pub trait Store: Send + Sync {
    /// Records an event or a conflict, unless its key is already recorded. This is the point of no return of a
    /// delivery.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether the record was written, for example because the store did not
    /// answer `within` this time.
    fn record(
        &self,
        record: &Record,
        within: Duration,
    ) -> impl Future<Output = Result<Recorded, PortError>> + Send;

    /// Records a conflict and the decision about it in one transaction, provided that the record `base`,
    /// whose key the conflict has, holds no final decision about an earlier conflict. If the new decision is
    /// final, it is also written to `base`.
    ///
    /// # Errors
    /// [`PortError`] as for [`record`](Self::record), and when another record has replaced `base` since it was
    /// read.
    fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<RecordedDecision, PortError>> + Send;

    /// Marks a record as forwarded, provided that it is still pending and still this delivery's, and stores
    /// `reply_confirmed`. A record that another process has settled stays unchanged, which is no error.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether the record was marked. The event will be forwarded again.
    fn settle(
        &self,
        record: &Record,
        reply_confirmed: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The earlier record whose key a conflict has.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its key.
    pub key: &'a str,
    /// Which delivery wrote it.
    pub delivery_id: &'a str,
}

/// The pending records of a store, for the reconciler.
pub trait Backlog: Send + Sync {
    /// Where one page of the index ends and the next one begins.
    type Cursor: Send + Sync;

    /// The records of one shard of the index that are due at `now`: the earliest `due_at` first, at most
    /// `limit`, and only those after the position `after`. The index may be older than the records.
    ///
    /// # Errors
    /// [`PortError`] when the index does not answer.
    fn due(
        &self,
        shard: u8,
        now: Timestamp,
        after: Option<Self::Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<DuePage<Self::Cursor>, PortError>> + Send;

    /// Claims a record until `until`, provided that it is still pending and its `due_at` has not changed
    /// since it was read. No other process can claim it before. Counts as an attempt to forward it.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether the record was claimed.
    fn claim(&self, due: &Due, until: Timestamp) -> impl Future<Output = Result<Claim, PortError>> + Send;

    /// Moves the next attempt at a record that was claimed until `claimed_until`, provided that the
    /// claim still holds.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether the attempt was moved. The claim expires by itself.
    fn postpone(
        &self,
        record: &Record,
        claimed_until: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Something that takes messages.
pub trait Sink: Send + Sync {
    /// Sends a message. When this returns without an error, the queue has stored it.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether the message arrived.
    fn forward(&self, message: &Message) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Something that takes many messages at once.
pub trait BatchSink: Send + Sync {
    /// Sends messages `within` this time. Each message has its own result, in the same order. Messages whose
    /// turn has not come when the time is over are not sent.
    fn forward_batch(
        &self,
        messages: &[Message],
        within: Duration,
    ) -> impl Future<Output = Vec<Result<(), Unsent>>> + Send;
}

/// Why one of several messages was not sent, or why it is unknown whether it was.
#[derive(Debug)]
pub enum Unsent {
    /// The queue refused this message, or the time was over before its turn. Other messages may succeed.
    Message(PortError),
    /// The queue does not answer, fails, or throttles. Other messages would fail too.
    Queue(PortError),
}

impl From<Unsent> for PortError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Message(error) | Unsent::Queue(error) => error,
        }
    }
}

/// The operations of the ports. The metric `Failures` counts by it, and the template's alarms are checked
/// against [`Operation::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Store::record`].
    Record,
    /// [`Store::record_decision`].
    RecordConflict,
    /// [`Store::settle`].
    Settle,
    /// [`Sink::forward`], [`BatchSink::forward_batch`].
    Forward,
    /// [`SecretSource`].
    Secrets,
    /// [`Backlog::claim`].
    Claim,
    /// [`Backlog::postpone`].
    Postpone,
    /// Reading the attributes of a record.
    ReadRecord,
    /// [`Backlog::due`].
    ReadIndex,
    /// [`Directory`](crate::Directory).
    Directory,
    /// [`Control`](crate::Control).
    Control,
    /// [`Limits::counts`](crate::Limits::counts), [`Limits::change`](crate::Limits::change).
    Limits,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Record,
        Self::RecordConflict,
        Self::Settle,
        Self::Forward,
        Self::Secrets,
        Self::Claim,
        Self::Postpone,
        Self::ReadRecord,
        Self::ReadIndex,
        Self::Directory,
        Self::Control,
        Self::Limits,
    ];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::RecordConflict => "record a conflict",
            Self::Settle => "settle",
            Self::Forward => "forward",
            Self::Secrets => "secrets",
            Self::Claim => "claim",
            Self::Postpone => "postpone",
            Self::ReadRecord => "read a record",
            Self::ReadIndex => "read the index of pending records",
            Self::Directory => "directory",
            Self::Control => "control",
            Self::Limits => "limits",
        }
    }
}

/// An operation of a port failed. The cause is always our infrastructure, never the sender.
#[derive(Debug, thiserror::Error)]
#[error("{} failed", operation.name())]
pub struct PortError {
    /// The step.
    pub operation: Operation,
    /// Whether the service is unavailable: a time-out, a failed connection, a server error (5xx), or
    /// throttling. Every other error is an answer of a working service.
    pub unavailable: bool,
    /// The cause.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl PortError {
    /// A failure of one operation.
    pub fn new(operation: Operation, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { operation, unavailable: false, source: source.into() }
    }

    /// A failure because the service is [`unavailable`](Self::unavailable).
    pub fn unavailable(operation: Operation, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { unavailable: true, ..Self::new(operation, source) }
    }

    /// The whole chain of causes on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause: Option<&dyn Error> = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
