//! What happened at the provider, and what we decided about it.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use verify::Verified;

use crate::Drift;
use crate::digest::sha256_hex;

/// What happened at a provider, identified: every retry of the same delivery yields the same key
/// and id. It holds the proof that the provider sent it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The message's `type`, as in `umaaas.incoming_payment`.
    pub kind: Cow<'static, str>,
    /// The record's key, at most 2048 bytes (a limit of DynamoDB).
    pub key: String,
    /// The id under which consumers see it, at most [`MAX_ID_BYTES`].
    pub id: String,
    /// The message's `source`, as in `/umaaas/incoming-payment`.
    pub source: &'static str,
    /// The transaction, instrument or identity that the event is about. At most [`MAX_ID_BYTES`].
    pub subject: Option<String>,
    /// When it happened, by the provider's clock.
    pub occurred_at: Option<Timestamp>,
    /// When the provider sent this delivery, where a header says so.
    pub published_at: Option<Timestamp>,
    /// The path it was posted to.
    pub path: String,
    /// The sender's reference for the call, where its protocol has one.
    pub call_ref: Option<String>,
    /// Where the body differs from the documented schema.
    pub drift: Vec<Drift>,
    /// Hex SHA-256 of the part of the body that every redelivery of this event repeats. An event with the same
    /// key and another digest is a conflict.
    pub content_sha256: String,
    /// The body, byte for byte.
    pub payload: Verified<Bytes>,
}

/// The answer to a payment that waits for approval, and how it was reached. Records of older versions hold only
/// the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The ids of the policies that decided, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Hex SHA-256 of the text of the policies that were in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_hash: Option<String>,
    /// The facts about the receiver that went into the reply, by name; never their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supplied: Vec<String>,
    /// How many microseconds deciding took. Set by the path, which has the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<u32>,
}

/// The answer itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Verdict {
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

/// The reason of a rejection because a policy could not be evaluated. Logged as an error: the policy
/// has to be put right.
pub const POLICY_ERROR: &str = "policy_error";

impl Decision {
    /// A decision that no policy made.
    #[must_use]
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, policies: Vec::new(), policy_hash: None, supplied: Vec::new(), micros: None }
    }

    /// Whether the provider takes no other decision about the payment after this one.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.verdict {
            Verdict::Approve | Verdict::Reject { .. } => true,
            Verdict::RequestInformation { .. } => false,
        }
    }

    /// The verdict in one word, as it stands in messages, replies and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Approve => "approve",
            Verdict::Reject { .. } => "reject",
            Verdict::RequestInformation { .. } => "request_information",
        }
    }

    /// The code of a rejection.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Reject { reason, .. } => Some(reason),
            Verdict::Approve | Verdict::RequestInformation { .. } => None,
        }
    }
}

/// The longest id that is carried as it is.
pub const MAX_ID_BYTES: usize = 512;

/// What stands before the SHA-256 of a text that is replaced by it.
const DIGEST: &str = "sha256:";

/// An id that fits every place it has to go (a key, a queue attribute): itself, or `sha256:` and its hex SHA-256 if it
/// is longer than [`MAX_ID_BYTES`]. An id that itself begins with `sha256:` is replaced too, so that two different ids
/// never become the same.
#[must_use]
pub fn bounded_id(id: String) -> String {
    if id.len() > MAX_ID_BYTES || id.starts_with(DIGEST) { digest(&id) } else { id }
}

/// A type or an id as a part of a key or of another id, where `#` separates the parts. A text with a `#` is replaced by
/// its SHA-256, as by [`bounded_id`]. So two different lists of texts never have the same parts, joined by `#`.
#[must_use]
pub fn key_part(text: &str) -> String {
    if text.contains('#') { digest(text) } else { bounded_id(text.to_owned()) }
}

fn digest(text: &str) -> String {
    format!("{DIGEST}{}", sha256_hex(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_over_the_limit_become_their_digest() {
        assert_eq!(bounded_id("a".repeat(512)), "a".repeat(512));
        assert_eq!(bounded_id("a".repeat(513)).len(), "sha256:".len() + 64);
        assert_ne!(bounded_id("a".repeat(513)), bounded_id("b".repeat(513)));
    }

    /// Also when one text is what becomes of another.
    #[test]
    fn different_texts_have_different_parts() {
        let mut texts =
            vec!["a".to_owned(), "a#b".to_owned(), "#".to_owned(), "a".repeat(513), "sha256:".to_owned()];
        for again in 0..3 {
            let parts: Vec<_> =
                texts.iter().flat_map(|text| [key_part(text), bounded_id(text.clone())]).collect();
            assert!(parts.iter().all(|part| part.len() <= MAX_ID_BYTES), "{again}");
            texts.extend(parts.into_iter().filter(|part| part.starts_with("sha256:")));
            texts.sort_unstable();
            texts.dedup();
        }
        for form in [key_part, |text: &str| bounded_id(text.to_owned())] {
            let parts: std::collections::BTreeSet<_> = texts.iter().map(|text| form(text)).collect();
            assert_eq!(parts.len(), texts.len());
        }
        assert!(texts.iter().all(|text| !key_part(text).contains('#')));
    }

    #[test]
    fn a_decision_reads_back() {
        for verdict in [
            Verdict::Approve,
            Verdict::Reject { reason: "no_policy".into(), message: "…".into() },
            Verdict::RequestInformation { required_fields: vec!["TAX_ID".into()] },
        ] {
            let bare = Decision::new(verdict.clone());
            let explained = Decision {
                policies: vec!["restricted-jurisdiction".into()],
                policy_hash: Some("00ff".into()),
                supplied: vec!["NATIONALITY".into()],
                micros: Some(41),
                ..bare.clone()
            };
            for decision in [bare, explained] {
                let text = serde_json::to_string(&decision).unwrap();
                assert!(text.contains(&format!(r#""outcome":"{}""#, decision.name())), "{text}");
                assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
            }
            // the form of older records, which hold only the verdict
            let former = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Decision>(&former).unwrap(), Decision::new(verdict));
        }
    }
}
