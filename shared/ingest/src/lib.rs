//! The path of a delivery, [`Receiver::receive`] and [`Receiver::finish`], and the types that it handles.
//!
//! | module | holds |
//! |---|---|
//! | `path` | the steps, in order; what each provider implements: [`Provider`] |
//! | `event` | what happened: [`Event`]; what we decided: [`Decision`] |
//! | `digest`, `time` | SHA-256, and times as senders write them |
//! | `breaker` | when the reconciler does the work after a reply: [`Breaker`] |
//! | `deadline` | until when a delivery has to be answered: [`Deadline`] |
//! | `control` | the switch that stops all decisions: [`Switch`], and the port that reads it: [`Control`] |
//! | `limits` | how much was approved before a payment: [`Counts`], and the port that keeps it: [`Limits`] |
//! | `directory` | the facts that a payment requests about its receiver, and the port that reads them: [`Directory`] |
//! | `json`, `schema` | reading a body without refusing it, and reporting where it differs from the documentation: [`Drift`] |
//! | `record` | what is stored about an event, and how a delivery relates to an earlier record |
//! | `reconcile` | forwarding the records of interrupted deliveries: [`Reconciler`] |
//! | `message` | the CloudEvents envelope that goes to the queue |
//! | `reply` | how a delivery can end ([`Outcome`]) and the HTTP response ([`Reply`]) |
//! | `ports` | [`SecretSource`], [`Store`], [`Sink`], and the ports of the reconciler; [`memory`] implements store, sink and directory without AWS |
//!
//! Nothing here depends on AWS or on an HTTP server, or reads the system clock. The caller passes in requests,
//! ports and a clock.

mod breaker;
mod control;
mod deadline;
mod digest;
mod directory;
mod event;
mod json;
mod limits;
pub mod memory;
mod message;
mod path;
mod ports;
mod reconcile;
mod record;
mod reply;
pub mod schema;
mod time;

pub use breaker::Breaker;
pub use control::{Control, DECISIONS_STOPPED, READING_AT_MOST, Switch};
pub use deadline::{Arrival, Deadline, FOR_RECORD, FOR_SUBTRACTION, REPLY_WITHIN};
pub use digest::sha256_hex;
pub use directory::{Directory, Facts, RequestedFacts, RequestedField};
pub use event::{Decision, Event, MAX_ID_BYTES, POLICY_ERROR, Verdict, bounded_id, key_part};
pub use json::Object;
pub use limits::{
    Bucket, Count, Counted, Counting, Counts, LEDGER, LONGEST_WINDOW_HOURS, Ledger, Limit, Limits, NoBucket,
    TALLY, Tally, Total, Totals, ledger_key,
};
pub use message::{MAX_MESSAGE_BYTES, Message, queue_accepts};
pub use path::{
    Breakers, Forwarding, Identified, Provider, RECEIVER_INFO_UNAVAILABLE, Received, Receiver, Report,
    Request, Subtraction,
};
pub use ports::{
    Backlog, Base, BatchSink, NoSecrets, Operation, PortError, Reread, SecretSource, Sink, Store, Unsent,
};
pub use reconcile::{FORWARD_PAGE, PAGE_RECORDS, PENDING_TOO_OLD, Reconciler, Summary};
pub use record::{
    Claim, Conflicts, DUE_AFTER, Due, DuePage, Earlier, MAX_PAYLOAD_BYTES, PENDING_SHARDS, Record, Recorded,
    RecordedDecision, Repetition, State, StoredPayload, TIME_SHARDS, UnreadableEntry, VERSION, time_shard,
};
pub use reply::{Concern, Outcome, RETRY_AFTER_SECONDS, Reply, Restamped};
pub use schema::Drift;
pub use time::{any_time, epoch_time};
