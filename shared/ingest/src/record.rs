//! What is stored about an event, and what it means to find an earlier record under its key.
//!
//! A record's life: written `pending` with its body, which is the point of no return; `forwarded`
//! once the queue has it. `pending` records stand in a sparse index by the time they are due, where
//! a scheduled job finds what an interrupted delivery left behind.
//!
//! Another content under a key that is taken is a conflict: a record of its own, under the key, `#` and its
//! content's digest. It is forwarded like any other; or, where its provider signs too little to rule out a
//! replay ([`Conflicts::Hold`]), it has the state `conflict` until a person releases or discards it.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};

use crate::event::sha256_hex;
use crate::{Decision, Event, PortError};

/// The version that this code writes. It reads version 1 too, which has no `content_sha256`.
pub const VERSION: u32 = 2;

/// How long a first attempt has for forwarding before the record counts as left behind. Longer than
/// any function's time-out, and short enough that a second attempt still falls into the queue's
/// 5-minute deduplication window.
pub const DUE_AFTER: SignedDuration = SignedDuration::from_secs(90);

/// How many partitions the index of pending records has. Each takes 1,000 writes a second.
pub const PENDING_SHARDS: u8 = 8;

/// The largest body, after compression, that fits a record beside its other attributes. DynamoDB's
/// limit for the whole item is 400 KB.
pub const MAX_PAYLOAD_BYTES: usize = 380 * 1024;

/// From which size on a body is stored compressed. Below, it costs more time than it saves.
const COMPRESS_FROM_BYTES: usize = 32 * 1024;

/// Where a record is in its life.
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
    /// As it stands in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Forwarded => "forwarded",
            Self::Conflict => "conflict",
        }
    }
}

/// What becomes of a conflict: an event whose key is taken by another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// It is a signed event that has not been seen: forwarded like any other, under an id of its own.
    Forward,
    /// It may be a replay: held until a person releases or discards it.
    Hold,
}

/// Everything that is known about an event: enough to answer its redelivery and to send its message
/// again, the same in every byte but for `replyconfirmed`.
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
    /// As [`Event::drift`], one departure an entry.
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
    /// The id under which that delivery is traced.
    pub trace_id: Option<String>,
    /// When that delivery arrived.
    pub received_at: Timestamp,
    /// Whether its first attempt is left to the reconciler.
    pub left_to_reconciler: bool,
    /// How often forwarding was begun. The delivery itself is the first attempt.
    pub attempts: u32,
    /// The body, byte for byte.
    pub payload: Bytes,
    /// The same, as it is stored.
    pub stored: StoredPayload,
}

/// A body as it stands in the table.
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
    /// From when on it is left behind.
    pub due_at: Timestamp,
    /// Its shard of the index.
    pub shard: String,
}

/// What one look at the index of pending records found.
#[derive(Debug)]
pub struct DuePage<C> {
    /// The entries, the one that has been due for longest first.
    pub entries: Vec<Due>,
    /// The entries among them that could not be read.
    pub unreadable: Vec<UnreadableEntry>,
    /// Where to look for more. `None` when there are no more.
    pub next: Option<C>,
}

/// An entry of the index that no version of this code has written.
#[derive(Debug)]
pub struct UnreadableEntry {
    /// The record's key; empty where that cannot be read either.
    pub key: String,
    /// What is wrong with it.
    pub error: PortError,
}

/// What claiming a record came to.
#[derive(Debug)]
pub enum Claim {
    /// Nobody else gets it before the claim ends.
    Claimed(Box<Record>),
    /// The same, but the record cannot be read. No later attempt will find it readable by itself.
    Unreadable {
        /// What is wrong with it.
        error: PortError,
        /// When its delivery arrived, where that can be read.
        received_at: Option<Timestamp>,
        /// How often forwarding was begun, this time included.
        attempts: u32,
    },
    /// Somebody else has claimed or settled it.
    Taken,
}

/// What recording an event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is written.
    Now,
    /// Its key is taken.
    Before(Box<Earlier>),
}

/// What recording a conflict together with its decision came to.
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

/// What an earlier record under the same key says about itself.
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
    /// The final decision about a conflict of its.
    pub decided_later: Option<Decision>,
}

/// How a delivery relates to an earlier record under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// The record is this delivery's own: an attempt to write it had succeeded, and its answer was lost.
    Ours,
    /// The same event again.
    Redelivery {
        /// Whether something that does not count differs: the time that it was sent.
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
            kind: event.kind.to_owned(),
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

    /// When the first attempt has had its time: from then on it sends nothing, and the record
    /// belongs to whoever claims it. One that is left to the reconciler is due at once.
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
        let spread = self.key.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        (spread % PENDING_SHARDS).to_string()
    }

    /// The record of the same event as a conflict: its key is taken by another content. It has a key and an
    /// id of its own, so that it is told apart from the other event everywhere.
    #[must_use]
    pub fn as_conflict(&self) -> Self {
        Self {
            key: format!("{}#{}", self.key, self.content_sha256),
            id: format!("{}#{}", self.id, &self.content_sha256[..16]),
            conflict_of: Some(self.id.clone()),
            ..self.clone()
        }
    }

    /// How this delivery relates to an earlier record under its key. One that carries our own delivery id and
    /// body is this very write, whose answer was lost on the way. (Emulators and proxies use request ids
    /// again, so the id alone does not say that.)
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
    /// When the stored bytes are not what they say they are.
    pub fn read(&self) -> std::io::Result<Bytes> {
        if self.encoding.is_none() {
            return Ok(self.bytes.clone());
        }
        let mut payload = Vec::with_capacity(self.bytes.len() * 4);
        GzDecoder::new(self.bytes.as_ref()).read_to_end(&mut payload)?;
        Ok(payload.into())
    }
}

/// A time as the table keeps it, in milliseconds: a message that is sent again has to be the same.
fn stored_precision(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Compresses a body. The output depends on nothing but the input.
pub(crate) fn gzip(payload: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(payload.len() / 4), Compression::fast());
    encoder
        .write_all(payload)
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .expect("writing to memory does not fail")
}
