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

/// An id that fits every place it has to go (a key, a queue attribute): itself, or the hex SHA-256
/// of one that is longer than [`MAX_ID_BYTES`].
#[must_use]
pub fn bounded_id(id: String) -> String {
    if id.len() > MAX_ID_BYTES { sha256_hex(id.as_bytes()) } else { id }
}

/// Digits of a fraction of a second that are kept (nanoseconds). RFC 3339 allows any number of digits.
const FRACTION_DIGITS: usize = 9;

/// Reads a time in RFC 3339 with any number of fraction digits, and in similar forms (a space before the hours,
/// an offset without a colon). `None` for everything else.
#[must_use]
pub fn written_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let (whole, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, offset) = rest.split_at(digits);
    format!("{whole}.{}{offset}", &fraction[..digits.min(FRACTION_DIGITS)]).parse().ok()
}

/// Whether a text is a time as RFC 3339 has it.
pub(crate) fn is_rfc_3339(text: &str) -> bool {
    // `t` and `z` are valid too (RFC 3339, 5.6).
    let shape = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() });
    let shape: String = shape.collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let offset = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('0'));
    let fraction = rest.len() - offset.len();
    fraction != 1 && matches!(offset, "Z" | "+00:00" | "-00:00") && written_time(text).is_some()
}

/// A number of at least this size counts milliseconds since the epoch, a smaller one counts seconds. As
/// milliseconds this is March 1973, as seconds it is the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Reads a time that is written as seconds or as milliseconds since the epoch. `None` when the text is not a
/// whole number, or when the time is out of range.
#[must_use]
pub fn epoch_time(digits: &str) -> Option<Timestamp> {
    let number = digits.parse().ok()?;
    if number < MILLISECONDS_FROM {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    }
    .ok()
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The SHA-256 of a document without one range of its bytes, in lower-case hexadecimal.
pub(crate) fn sha256_hex_without(document: &[u8], range: std::ops::Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&document[..range.start]);
    hash.update(&document[range.end..]);
    hex::encode(hash.finalize())
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
    fn seconds_and_milliseconds() {
        let second = Timestamp::from_second(1_700_000_000).ok();
        assert_eq!((epoch_time("1700000000"), epoch_time("1700000000000")), (second, second));
        for nothing in ["", "x", "1.5", "99999999999999999", "9".repeat(400).as_str()] {
            assert_eq!(epoch_time(nothing), None, "{nothing:.20}");
        }
    }

    #[test]
    fn times_that_are_written() {
        let second = Timestamp::from_second(1_793_610_900).ok();
        for (text, read, strict) in [
            ("2026-11-02T09:15:00Z", true, true),
            ("2026-11-02T10:15:00+01:00", true, true),
            ("2026-11-02T09:15:00.000Z", true, true),
            ("2026-11-02T09:15:00.0000000000000000000Z", true, true),
            ("2026-11-02T09:15:00.000000000000-00:00", true, true),
            ("2026-11-02t09:15:00z", true, true),
            ("2026-11-02 09:15:00Z", true, false),
            ("2026-11-02T09:15:00+0000", true, false),
            ("2026-11-02T09:15:00", false, false),
            ("2026-11-02T09:15:00.Z", false, false),
            ("2026-11-02T09:15:00.0x", false, false),
            ("2026-11-32T09:15:00Z", false, false),
            ("2026-11-02T09:15:00.\u{e9}Z", false, false),
            ("yesterday", false, false),
            ("", false, false),
            (".", false, false),
        ] {
            assert_eq!(written_time(text), second.filter(|_| read), "{text}");
            assert_eq!(is_rfc_3339(text), strict, "{text}");
        }
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
