//! What the path of a delivery needs from outside: the secrets of its sender, somewhere to record an
//! event, and somewhere to send it.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use verify::Keys;

use crate::{Claim, Due, DuePage, Message, Record, Recorded, RecordedDecision};

/// Something that knows the secrets a sender may have signed with. They can change while a function
/// runs: a rotation needs no deployment.
pub trait SecretSource: Send + Sync {
    /// The secrets that are valid now, read `within` this time if they have to be read.
    ///
    /// # Errors
    /// [`NoSecrets`] when there are none to verify with.
    fn current(
        &self,
        now: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<Arc<Keys>, NoSecrets>> + Send;

    /// Looks again, because a signature fits none of the current ones.
    fn reread(&self, now: Timestamp, within: Duration) -> impl Future<Output = Reread> + Send;
}

/// Why there are no secrets to verify with.
#[derive(Debug)]
pub enum NoSecrets {
    /// Nobody has replaced the text that the deployment put in their place.
    Placeholder,
    /// They could not be read.
    Unavailable(PortError),
}

/// What came of looking at the secrets again.
#[derive(Debug)]
pub enum Reread {
    /// There are others now.
    Changed(Arc<Keys>),
    /// They are still the same.
    Same,
    /// Nobody knows: they could not be read, or had been a moment ago. Says which.
    Unknown(PortError),
}

/// Secrets that never change.
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
    /// Records an event, or a conflict, unless it is there already: the point of no return of a delivery.
    ///
    /// # Errors
    /// [`PortError`] when nobody knows whether the record was written; that is also so when there was no
    /// answer `within` this time.
    fn record(
        &self,
        record: &Record,
        within: Duration,
    ) -> impl Future<Output = Result<Recorded, PortError>> + Send;

    /// Records a conflict and the decision about it in one transaction, provided that `base`, the record it
    /// conflicts with, has no final decision about an earlier conflict. A final decision is then noted there.
    ///
    /// # Errors
    /// [`PortError`] as for [`record`](Self::record), and when `base` is no longer the record that was seen.
    fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<RecordedDecision, PortError>> + Send;

    /// Marks a record as forwarded, provided that it is still pending and still this delivery's, and notes
    /// whether its reply is known to have left in time. One that is not stays as it is, which is no error:
    /// somebody else settled it.
    ///
    /// # Errors
    /// [`PortError`] when nobody knows whether it was marked. It will be forwarded again.
    fn settle(
        &self,
        record: &Record,
        reply_confirmed: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The record that a conflict conflicts with.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its key.
    pub key: &'a str,
    /// Which delivery wrote it.
    pub delivery_id: &'a str,
}

/// What is pending in a store, for whoever forwards what was left behind.
pub trait Backlog: Send + Sync {
    /// Where one page of the index ends and the next one begins.
    type Cursor: Send + Sync;

    /// The records of one shard of the index that are due at `now`, the one that has been due for
    /// longest first, at most `limit`, and only those behind `after`. The index may lag behind the
    /// records.
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

    /// Takes a record, provided that it is still pending and due as it was read: nobody else gets it
    /// before `until`. Counts as an attempt to forward it.
    ///
    /// # Errors
    /// [`PortError`] when nobody knows whether it was claimed.
    fn claim(&self, due: &Due, until: Timestamp) -> impl Future<Output = Result<Claim, PortError>> + Send;

    /// Moves the next attempt at a record that was claimed until `claimed_until`, provided that the
    /// claim still holds.
    ///
    /// # Errors
    /// [`PortError`] when nobody knows whether it was moved. The claim runs out by itself.
    fn postpone(
        &self,
        record: &Record,
        claimed_until: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Something that takes messages.
pub trait Sink: Send + Sync {
    /// Hands a message over; when this returns it is durable there.
    ///
    /// # Errors
    /// [`PortError`] when nobody knows whether it arrived.
    fn forward(&self, message: &Message) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// Something that takes many messages at once.
pub trait BatchSink: Send + Sync {
    /// Hands messages over `within` this time; each has a result of its own, in the same order. When the
    /// time is over, what is left is not handed over any more.
    fn forward_batch(
        &self,
        messages: &[Message],
        within: Duration,
    ) -> impl Future<Output = Vec<Result<(), Unsent>>> + Send;
}

/// Why a message of several was not handed over, as far as anybody knows.
#[derive(Debug)]
pub enum Unsent {
    /// The queue refused this message, or time was over before its turn. The queue may take another.
    Message(PortError),
    /// The queue does not answer, fails, or throttles: it would take no other message either.
    Queue(PortError),
}

impl From<Unsent> for PortError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Message(error) | Unsent::Queue(error) => error,
        }
    }
}

/// What a port does. The metric `Failures` counts by it, and the template's alarms are checked against
/// [`Operation::ALL`].
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
    /// Making sense of what a record holds.
    ReadRecord,
    /// [`Backlog::due`].
    ReadIndex,
    /// [`Directory`](crate::Directory).
    Directory,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 10] = [
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
        }
    }
}

/// A port that could not do its work. Always an infrastructure fault, never the sender's.
#[derive(Debug, thiserror::Error)]
#[error("{} failed", operation.name())]
pub struct PortError {
    /// The step.
    pub operation: Operation,
    /// Whether nobody answered in time, or only to say that they cannot: a time-out, a connection that failed,
    /// a server's error, throttling. Everything else is an answer.
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

    /// The failure of an operation that nobody answered.
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
