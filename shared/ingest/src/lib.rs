//! The path of a delivery: [`Receiver::receive`] and [`Receiver::finish`], and what flows along it.
//!
//! | module | holds |
//! |---|---|
//! | `path` | the steps, in order; the [`Provider`] that answers them |
//! | `event` | what happened: [`Event`]; what we decided: [`Decision`] |
//! | `breaker` | when the work after a reply is left to the reconciler: [`Breaker`] |
//! | `deadline` | until when a delivery has to be answered: [`Deadline`] |
//! | `directory` | what a payment asks about its receiver, and the port that knows it: [`Directory`] |
//! | `json`, `schema` | reading a body without ever refusing it, and reporting [`Drift`] from what is documented |
//! | `record` | what is stored about an event, and what finding an earlier one means |
//! | `reconcile` | forwarding what an interrupted delivery left behind: [`Reconciler`] |
//! | `message` | the CloudEvents envelope that goes to the queue |
//! | `reply` | how a delivery can end ([`Outcome`]) and what is answered ([`Reply`]) |
//! | `ports` | [`SecretSource`], [`Store`], [`Sink`], and what a reconciler needs of both; [`memory`] has both without AWS |
//!
//! It excludes everything that knows AWS, HTTP servers or the time of day: those pass in requests,
//! ports and a clock.

mod breaker;
mod deadline;
mod directory;
mod event;
mod json;
pub mod memory;
mod message;
mod path;
mod ports;
mod reconcile;
mod record;
mod reply;
pub mod schema;

pub use breaker::Breaker;
pub use deadline::{Arrival, Deadline, FOR_RECORD, REPLY_WITHIN};
pub use directory::{Directory, Facts, RequestedFacts, RequestedField};
pub use event::{
    Decision, Event, MAX_ID_BYTES, POLICY_ERROR, Verdict, bounded_id, epoch_time, sha256_hex, written_time,
};
pub use json::Object;
pub use message::{MAX_MESSAGE_BYTES, Message, queue_accepts};
pub use path::{
    Breakers, Forwarding, Identified, Provider, RECEIVER_INFO_UNAVAILABLE, Received, Receiver, Report,
    Request,
};
pub use ports::{
    Backlog, Base, BatchSink, NoSecrets, Operation, PortError, Reread, SecretSource, Sink, Store, Unsent,
};
pub use reconcile::{FORWARD_PAGE, PAGE_RECORDS, PENDING_TOO_OLD, Reconciler, Summary};
pub use record::{
    Claim, Conflicts, DUE_AFTER, Due, DuePage, Earlier, MAX_PAYLOAD_BYTES, PENDING_SHARDS, Record, Recorded,
    RecordedDecision, Repetition, State, StoredPayload, UnreadableEntry, VERSION,
};
pub use reply::{Concern, Outcome, RETRY_AFTER_SECONDS, Reply, Restamped};
pub use schema::Drift;
