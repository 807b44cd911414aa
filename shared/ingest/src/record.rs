//! What is stored about an event, and how a delivery relates to an earlier record under its key.
//!
//! A record is written with its body in the state `pending`, which is the point of no return. When the queue
//! has the message, the state becomes `forwarded`. Pending records are in a sparse index, ordered by the time
//! at which they are due. The reconciler finds the records of interrupted deliveries there.
//!
//! An event whose key is already taken by an event with another content is a conflict. It has its own record
//! under the key, `#` and the digest of its content. It is forwarded like other events. If the provider's
//! signature does not exclude a replay ([`Conflicts::Hold`]), it has the state `conflict` until a person
//! releases or discards it.
//!
//! Two more indexes are for people: records by subject, and records by the time when they arrived. They hold only
//! what never changes after the first write, so that settling writes to neither.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};

use crate::digest::sha256_hex;
use crate::{Decision, Event, PortError};

/// The version that this code writes. It reads the earlier ones too: version 1 has no `content_sha256`, and version 2
/// is not in the index of records by time.
pub const VERSION: u32 = 3;

/// The time for the first attempt to forward an event. After it the reconciler may claim the record. It is
/// longer than the time-out of every function, and short enough that a second attempt is still inside the
/// queue's 5-minute deduplication window.
pub const DUE_AFTER: SignedDuration = SignedDuration::from_secs(90);

/// How many partitions the index of pending records has. Each takes 1,000 writes a second.
pub const PENDING_SHARDS: u8 = 8;

/// How many partitions a day has in the index of records by time. Each takes 1,000 writes a second. A listing reads
/// all of them.
pub const TIME_SHARDS: u8 = 4;

/// The largest body, after compression, that fits a record beside its other attributes. DynamoDB's
/// limit for the whole item is 400 KB.
pub const MAX_PAYLOAD_BYTES: usize = 380 * 1024;

/// Bodies of at least this size are stored compressed. For smaller ones compression costs more time than it
/// saves.
const COMPRESS_FROM_BYTES: usize = 32 * 1024;

/// The state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written; the queue may not have it yet.
    Pending,
    /// The queue has it.
    Forwarded,
    /// A conflict that is held: not forwarded until a person releases it.
    Conflict,
}

impl State {
    /// The name of the state in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Forwarded => "forwarded",
            Self::Conflict => "conflict",
        }
    }
}

/// What happens to a conflict: an event whose key is already taken by an event with another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// It is a genuine event that has not been seen before. It is forwarded like others, under an id of its
    /// own.
    Forward,
    /// It may be a replay. It is held until a person releases or discards it.
    Hold,
}

/// Everything that is stored about an event. It is enough to answer a redelivery, and to send the same message
/// again; only `replyconfirmed` in it can differ.
#[derive(Clone, Debug)]
pub struct Record {
    /// The key, as [`Event::key`].
    pub key: String,
    /// As [`Event::kind`].
    pub kind: String,
    /// As [`Event::id`].
    pub id: String,
    /// As [`Event::source`].
    pub source: String,
    /// As [`Event::subject`].
    pub subject: Option<String>,
    /// As [`Event::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// As [`Event::published_at`].
    pub published_at: Option<Timestamp>,
    /// As [`Event::path`].
    pub path: String,
    /// As [`Event::call_ref`].
    pub call_ref: Option<String>,
    /// As [`Event::drift`], one text for each.
    pub drift: Vec<String>,
    /// As [`Event::content_sha256`].
    pub content_sha256: String,
    /// Of a conflict: the id of the event whose key it has.
    pub conflict_of: Option<String>,
    /// Whether it is a conflict that waits for a person.
    pub held: bool,
    /// What was decided, where the event asks for a decision.
    pub decision: Option<Decision>,
    /// The status that the delivery was answered, or would have been.
    pub reply: u16,
    /// Which delivery wrote this.
    pub delivery_id: String,
    /// The id of that delivery's trace.
    pub trace_id: Option<String>,
    /// Which of the keys that were valid then had signed the delivery: 1 is the newest.
    pub verified_by: Option<u32>,
    /// When that delivery arrived.
    pub received_at: Timestamp,
    /// Whether the reconciler makes the first attempt to forward it.
    pub left_to_reconciler: bool,
    /// The number of attempts to forward it. The delivery itself is the first.
    pub attempts: u32,
    /// The body, byte for byte.
    pub payload: Bytes,
    /// The body as it is stored.
    pub stored: StoredPayload,
}

/// A body as it is stored in the table.
#[derive(Clone, Debug)]
pub struct StoredPayload {
    /// The bytes, compressed or not.
    pub bytes: Bytes,
    /// `gzip` when they are compressed.
    pub encoding: Option<&'static str>,
    /// Hex SHA-256 of the body itself.
    pub sha256: String,
}

/// An entry of the index of pending records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The record's key.
    pub key: String,
    /// The time from which the reconciler may claim it.
    pub due_at: Timestamp,
    /// Its shard of the index.
    pub shard: String,
}

/// One page of the index of pending records.
#[derive(Debug)]
pub struct DuePage<C> {
    /// The entries, earliest `due_at` first.
    pub entries: Vec<Due>,
    /// The entries among them that could not be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// Where the next page begins. `None` on the last page.
    pub next: Option<C>,
}

/// An entry of the index that does not have the form that this code writes.
#[derive(Debug)]
pub struct UnreadableEntry {
    /// The record's key. Empty when the key cannot be read either.
    pub key: String,
    /// What is wrong with it.
    pub error: PortError,
}

/// The result of claiming a record.
#[derive(Debug)]
pub enum Claim {
    /// The record is claimed. No other process can claim it before the claim ends.
    Claimed(Box<Record>),
    /// The record is claimed, but it cannot be read. Later attempts will fail too, until a person repairs it.
    Unreadable {
        /// What is wrong with it.
        error: PortError,
        /// When its delivery arrived, where that can be read.
        received_at: Option<Timestamp>,
        /// The number of attempts to forward it, including this one.
        attempts: u32,
    },
    /// Another process has claimed or settled it.
    Taken,
}

/// The result of recording an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is written.
    Now,
    /// Its key is taken.
    Before(Box<Earlier>),
}

/// The result of recording a conflict together with its decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedDecision {
    /// Both are written.
    Now,
    /// Nothing is written, for one of these reasons or both.
    Not {
        /// The conflict had been recorded before.
        before: Option<Box<Earlier>>,
        /// The key that it conflicts with has this final decision.
        decided: Option<Box<Decision>>,
    },
}

/// The part of an earlier record under the same key that a delivery is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Which delivery wrote it.
    pub delivery_id: String,
    /// Hex SHA-256 of its body.
    pub payload_sha256: String,
    /// As [`Event::content_sha256`]; version 1 has none.
    pub content_sha256: Option<String>,
    /// As [`Event::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// What was decided about it.
    pub decision: Option<Decision>,
    /// The final decision about a later conflict with it.
    pub decided_later: Option<Decision>,
}

/// How a delivery relates to an earlier record under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// This delivery wrote the record itself: an earlier attempt of the write succeeded, but its answer was
    /// lost.
    Ours,
    /// The same event again.
    Redelivery {
        /// Whether the time of sending differs, which is not part of the content.
        restamped: bool,
    },
    /// Another event.
    Conflict,
}

impl Repetition {
    /// Whether it is a redelivery with another time.
    pub(crate) fn restamped(self) -> bool {
        matches!(self, Self::Redelivery { restamped: true })
    }
}

impl Earlier {
    /// The final decision that the key has, about the record itself or about a conflict.
    #[must_use]
    pub fn final_decision(&self) -> Option<&Decision> {
        self.decided_later.as_ref().or(self.decision.as_ref()).filter(|decision| decision.is_final())
    }
}

impl Record {
    /// The record of an event that one delivery brought. `None` when its body does not fit, even
    /// compressed.
    #[must_use]
    pub fn new(
        event: Event,
        decision: Option<Decision>,
        reply: u16,
        delivery_id: String,
        received_at: Timestamp,
    ) -> Option<Self> {
        Some(Self {
            stored: StoredPayload::new(&event.payload)?,
            payload: (*event.payload).clone(),
            key: event.key,
            kind: event.kind.into_owned(),
            id: event.id,
            source: event.source.to_owned(),
            subject: event.subject,
            occurred_at: event.occurred_at,
            published_at: event.published_at.map(stored_precision),
            path: event.path,
            call_ref: event.call_ref,
            drift: event.drift.iter().map(ToString::to_string).collect(),
            content_sha256: event.content_sha256,
            conflict_of: None,
            held: false,
            decision,
            reply,
            delivery_id,
            trace_id: None,
            verified_by: u32::try_from(event.payload.key_position()).ok().map(|position| position + 1),
            received_at: stored_precision(received_at),
            left_to_reconciler: false,
            attempts: 1,
        })
    }

    /// The same record, of a delivery that is traced.
    #[must_use]
    pub fn traced(self, trace_id: Option<String>) -> Self {
        Self { trace_id, ..self }
    }

    /// The same record, whose first attempt is left to the reconciler or not.
    #[must_use]
    pub fn left_to_reconciler(self, left_to_reconciler: bool) -> Self {
        Self { left_to_reconciler, ..self }
    }

    /// When the time for the first attempt is over. From then on the first attempt sends nothing, and the
    /// reconciler may claim the record. A record that is left to the reconciler is due immediately.
    #[must_use]
    pub fn due_at(&self) -> Timestamp {
        if self.left_to_reconciler {
            return self.received_at;
        }
        self.received_at.saturating_add(DUE_AFTER).unwrap_or(Timestamp::MAX)
    }

    /// The partition of the pending index that this key belongs to.
    #[must_use]
    pub fn pending_shard(&self) -> String {
        (self.spread() % PENDING_SHARDS).to_string()
    }

    /// The partition of the index by time that this record belongs to: the day in UTC when it was received, and a
    /// shard.
    #[must_use]
    pub fn time_shard(&self) -> String {
        time_shard(self.received_at, self.spread() % TIME_SHARDS)
    }

    /// A number that spreads keys over shards.
    fn spread(&self) -> u8 {
        self.key.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
    }

    /// The record of the same event as a conflict, because another event has its key. The conflict has its
    /// own key and id, so that consumers and operators can tell the two events apart.
    #[must_use]
    pub fn as_conflict(&self) -> Self {
        Self {
            key: format!("{}#{}", self.key, self.content_sha256),
            id: format!("{}#{}", self.id, &self.content_sha256[..16]),
            conflict_of: Some(self.id.clone()),
            ..self.clone()
        }
    }

    /// How this delivery relates to an earlier record under its key. A record with our own delivery id and
    /// our body was written by this delivery, and the answer to that write was lost. The id alone is not
    /// enough, because emulators and proxies reuse request ids.
    #[must_use]
    pub fn repeats(&self, earlier: &Earlier) -> Repetition {
        let same_body = earlier.payload_sha256 == self.stored.sha256;
        let same_content = match &earlier.content_sha256 {
            Some(content) => *content == self.content_sha256,
            None => same_body,
        };
        if !same_content {
            Repetition::Conflict
        } else if same_body && earlier.delivery_id == self.delivery_id {
            Repetition::Ours
        } else {
            Repetition::Redelivery { restamped: !same_body }
        }
    }
}

/// A partition of the index of records by time, as in `2026-11-25#3`.
#[must_use]
pub fn time_shard(received_at: Timestamp, shard: u8) -> String {
    format!("{}#{shard}", received_at.strftime("%F"))
}

impl StoredPayload {
    fn new(payload: &Bytes) -> Option<Self> {
        let sha256 = sha256_hex(payload);
        let stored = if payload.len() < COMPRESS_FROM_BYTES {
            Self { bytes: payload.clone(), encoding: None, sha256 }
        } else {
            Self { bytes: gzip(payload), encoding: Some("gzip"), sha256 }
        };
        (stored.bytes.len() <= MAX_PAYLOAD_BYTES).then_some(stored)
    }

    /// The body itself.
    ///
    /// # Errors
    /// When `encoding` is `gzip` and the bytes cannot be decompressed.
    pub fn read(&self) -> std::io::Result<Bytes> {
        if self.encoding.is_none() {
            return Ok(self.bytes.clone());
        }
        let mut payload = Vec::with_capacity(self.bytes.len() * 4);
        GzDecoder::new(self.bytes.as_ref()).read_to_end(&mut payload)?;
        Ok(payload.into())
    }
}

/// Rounds a time down to milliseconds, as the table stores it, so that a message that is sent again is the
/// same.
fn stored_precision(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Compresses a body. The same input always gives the same output.
pub(crate) fn gzip(payload: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(payload.len() / 4), Compression::fast());
    encoder
        .write_all(payload)
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .expect("writing to memory does not fail")
}
