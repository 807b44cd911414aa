//! How a delivery can end ([`Outcome`]), and the response to it ([`Reply`]). Each provider has one table that
//! maps outcomes to replies.

use jiff::Timestamp;
use verify::{Refusal, Stale};

use crate::{Decision, Facts, NoSecrets, PortError};

/// How a delivery ended.
#[derive(Debug)]
pub enum Outcome {
    /// Recorded now. Its message is on the queue or will be.
    Accepted {
        /// What was decided, where the event asked for a decision.
        decision: Option<Box<Decision>>,
        /// The facts about the receiver that the reply contains with an approval.
        facts: Facts,
    },
    /// Recorded by an earlier delivery; nothing new goes to the queue.
    Duplicate {
        /// The final decision about this payment, or else the first one.
        decision: Option<Box<Decision>>,
        /// The times of sending of the earlier and of this delivery, if only these differ.
        restamped: Option<Restamped>,
    },
    /// Recorded now under a key of its own, because another event has the same identity. It is forwarded like
    /// other events, or held until a person decides ([`Conflicts`](crate::Conflicts)).
    Conflict {
        /// The final decision about the payment under that identity, if this event asks for a decision too.
        decision: Option<Box<Decision>>,
    },
    /// No webhook is served at this path.
    NotFound,
    /// The method is not POST.
    MethodNotAllowed,
    /// The sender is proven, but the body is no JSON object, and its `Content-Encoding` names a compression.
    UnsupportedEncoding,
    /// The gateway's base64 of the body could not be decoded.
    Unreadable,
    /// The body is too large for a record, even compressed.
    TooLarge,
    /// The signature is missing, malformed or repeated.
    Refused(Refusal),
    /// The signature is well-formed, but fits none of our keys. It is a forgery, or the sender has a key that
    /// we do not have yet.
    Unproven {
        /// Which header does not match.
        mismatch: Refusal,
        /// Why it is unknown whether there are newer keys.
        secrets: Option<PortError>,
    },
    /// The sender is proven, but the time of sending is too old or in the future.
    Stale(Stale),
    /// The sender is proven, but the body is not an event. The text says what is missing.
    Unidentified(&'static str),
    /// A service that we need is unavailable. Nothing was recorded, or it is unknown whether it was.
    Unavailable(PortError),
    /// The sender may be genuine, but one of our settings is wrong, so we cannot verify. The text says which
    /// setting.
    Misconfigured(&'static str),
}

impl Outcome {
    /// Every name that an outcome can have. The template's alarms and dashboard are checked against it.
    pub const NAMES: [&str; 16] = [
        "accepted",
        "duplicate",
        "restamped",
        "conflict",
        "refused",
        "unproven",
        "stale",
        "future",
        "misconfigured",
        "unavailable",
        "unidentified",
        "unreadable",
        "too_large",
        "unsupported_encoding",
        "not_found",
        "method_not_allowed",
    ];

    /// A short name for logs and metrics: one of [`Outcome::NAMES`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Duplicate { restamped: None, .. } => "duplicate",
            Self::Duplicate { restamped: Some(_), .. } => "restamped",
            Self::Conflict { .. } => "conflict",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Refused(_) => "refused",
            Self::Unproven { .. } => "unproven",
            Self::Stale(Stale::TooOld) => "stale",
            Self::Stale(Stale::InTheFuture) => "future",
            Self::Unidentified(_) => "unidentified",
            Self::Unavailable(_) => "unavailable",
            Self::Misconfigured(_) => "misconfigured",
        }
    }

    /// What the outcome asks of the people who run this; nothing, where everything is as it should be.
    #[must_use]
    pub fn concern(&self) -> Option<Concern> {
        Some(match self {
            Self::Accepted { .. } | Self::Duplicate { .. } | Self::MethodNotAllowed => return None,
            Self::Conflict { .. } => Concern::Conflict,
            Self::Refused(_) | Self::Unproven { .. } => Concern::Signature,
            Self::Stale(_) | Self::Unidentified(_) | Self::UnsupportedEncoding => Concern::Refused,
            Self::NotFound | Self::Unreadable => Concern::Unreadable,
            Self::TooLarge => Concern::TooLarge,
            Self::Misconfigured(_) => Concern::Misconfigured,
            Self::Unavailable(_) => Concern::Unavailable,
        })
    }

    /// Whether a well-formed signature fits one of our keys. `None` where there was no such signature, where it was
    /// not checked, and where the outcome does not tell.
    #[must_use]
    pub fn proven(&self) -> Option<bool> {
        match self {
            Self::Accepted { .. } | Self::Duplicate { .. } | Self::Conflict { .. } => Some(true),
            Self::Stale(_) | Self::Unidentified(_) | Self::UnsupportedEncoding | Self::TooLarge => Some(true),
            Self::Unproven { .. } => Some(false),
            _ => None,
        }
    }

    /// Details for the log, beside the name. They never contain a value from the delivery.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) | Self::Unproven { mismatch: refusal, secrets: None } => {
                Some(refusal.to_string())
            }
            Self::Duplicate { restamped: Some(restamped), .. } => Some(restamped.to_string()),
            Self::Stale(stale) => Some(stale.to_string()),
            Self::Unidentified(what) | Self::Misconfigured(what) => Some((*what).to_owned()),
            Self::Unavailable(error) | Self::Unproven { secrets: Some(error), .. } => Some(error.chain()),
            _ => None,
        }
    }
}

/// What an outcome asks of the people who run this. The metric `Concerns` counts by it, and the template has an
/// alarm for each: an outcome that is added is in one of them, or in none, by [`Outcome::concern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// There is no valid signature.
    Signature,
    /// A delivery with a valid signature was refused.
    Refused,
    /// A request was refused before its signature could be checked.
    Unreadable,
    /// A setting of ours is wrong.
    Misconfigured,
    /// AWS did not answer in time, or with an error.
    Unavailable,
    /// A body does not fit a record.
    TooLarge,
    /// Another event has the identity of an earlier one.
    Conflict,
}

impl Concern {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Signature,
        Self::Refused,
        Self::Unreadable,
        Self::Misconfigured,
        Self::Unavailable,
        Self::TooLarge,
        Self::Conflict,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::Conflict => "conflict",
        }
    }
}

/// The times at which two deliveries of one event were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restamped {
    /// The time in the delivery that was recorded.
    pub first: Option<Timestamp>,
    /// The time in this one.
    pub now: Option<Timestamp>,
}

impl std::fmt::Display for Restamped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |time: Option<Timestamp>| {
            time.map_or_else(|| "a time that cannot be read".to_owned(), |time| time.to_string())
        };
        write!(f, "sent again with the time {} instead of {}", time(self.now), time(self.first))
    }
}

impl From<NoSecrets> for Outcome {
    fn from(reason: NoSecrets) -> Self {
        match reason {
            NoSecrets::Placeholder => Self::Misconfigured("the secret is still the template's placeholder"),
            NoSecrets::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

/// An HTTP response in JSON, or without a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The JSON document; empty for none.
    pub body: String,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

/// The delay in seconds that a 503 asks for. Long enough for a fail-over, and much shorter than the time for
/// which providers retry.
pub const RETRY_AFTER_SECONDS: u32 = 30;

impl Reply {
    /// A reply without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, body: String::new(), retry_after: None }
    }

    /// A reply with a JSON body. A 503 also has `Retry-After`.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let retry_after = (status == 503).then_some(RETRY_AFTER_SECONDS);
        Self { status, body: body.to_string(), retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn the_lists_of_names_and_concerns_are_complete() {
        let mismatch = Refusal::Mismatch { header: "signature" };
        let error = || PortError::new(Operation::Record, "no answer");
        let restamped = Restamped { first: None, now: None };
        let outcomes = [
            Outcome::Accepted { decision: None, facts: Facts::default() },
            Outcome::Duplicate { decision: None, restamped: None },
            Outcome::Duplicate { decision: None, restamped: Some(restamped) },
            Outcome::Conflict { decision: None },
            Outcome::NotFound,
            Outcome::MethodNotAllowed,
            Outcome::UnsupportedEncoding,
            Outcome::Unreadable,
            Outcome::TooLarge,
            Outcome::Refused(Refusal::Missing { header: "signature" }),
            Outcome::Unproven { mismatch, secrets: None },
            Outcome::Stale(Stale::TooOld),
            Outcome::Stale(Stale::InTheFuture),
            Outcome::Unidentified("no type"),
            Outcome::Unavailable(error()),
            Outcome::Misconfigured("a placeholder"),
        ];
        let concerns = outcomes.iter().filter_map(Outcome::concern).collect::<Vec<_>>();
        for concern in Concern::ALL {
            assert!(concerns.contains(&concern), "no outcome is a matter of {concern:?}");
        }
        let mut names = outcomes.map(|outcome| outcome.name());
        let mut listed = Outcome::NAMES;
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }
}
