//! What happened at the provider, and what we decided about it.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use verify::Verified;

use crate::Drift;

/// What happened at a provider, identified: every retry of the same delivery yields the same key
/// and id. It holds the proof that the provider sent it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The message's `type`, as in `umaaas.incoming_payment`.
    pub kind: &'static str,
    /// The record's key, at most 2048 bytes (a limit of DynamoDB).
    pub key: String,
    /// The id under which consumers see it, at most [`MAX_ID_BYTES`].
    pub id: String,
    /// The message's `source`, as in `/umaaas/incoming-payment`.
    pub source: &'static str,
    /// What it is about: a transaction, an instrument, an identity. At most [`MAX_ID_BYTES`].
    pub subject: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// The path it was posted to.
    pub path: String,
    /// The sender's reference for the call, where its protocol has one.
    pub call_ref: Option<String>,
    /// Where the body departs from the documented schema.
    pub drift: Vec<Drift>,
    /// The body, byte for byte.
    pub payload: Verified<Bytes>,
}

/// The answer to a payment that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Decision {
    /// The payment may proceed.
    Approve,
    /// The payment is cancelled.
    Reject {
        /// A code for programs, as in `no_policy`.
        reason: String,
        /// A sentence for people.
        message: String,
    },
    /// The payment waits for named facts about the counterparty.
    RequestInformation {
        /// The names, in the provider's vocabulary.
        required_fields: Vec<String>,
    },
}

impl Decision {
    /// The decision in one word, as it stands in messages, replies and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject { .. } => "reject",
            Self::RequestInformation { .. } => "request_information",
        }
    }
}

/// The longest id that is carried as it is.
pub const MAX_ID_BYTES: usize = 512;

/// An id that fits every place it has to go (a key, a queue attribute): itself, or the hex SHA-256
/// of one that is longer than [`MAX_ID_BYTES`].
#[must_use]
pub fn bounded_id(id: String) -> String {
    if id.len() > MAX_ID_BYTES { sha256_hex(id.as_bytes()) } else { id }
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_over_the_limit_become_their_digest() {
        assert_eq!(bounded_id("a".repeat(512)), "a".repeat(512));
        assert_eq!(bounded_id("a".repeat(513)).len(), 64);
        assert_ne!(bounded_id("a".repeat(513)), bounded_id("b".repeat(513)));
    }

    #[test]
    fn a_decision_reads_back() {
        for decision in [
            Decision::Approve,
            Decision::Reject { reason: "no_policy".into(), message: "…".into() },
            Decision::RequestInformation { required_fields: vec!["TAX_ID".into()] },
        ] {
            let text = serde_json::to_string(&decision).unwrap();
            assert!(text.contains(&format!(r#""outcome":"{}""#, decision.name())), "{text}");
            assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        }
    }
}
