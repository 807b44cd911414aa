//! The table of replies. Source: the webhook pages of Grid. The statuses 404, 405, 413, 415 and 503 are not documented
//! and follow HTTP. Grid retries after every status except 2xx and 409, and never retries a payment that waits for a
//! decision. 202 is never answered: the later call to approve or reject would have the same 5 seconds.

use decisions::{decided, duplicate, error};
use ingest::{Outcome, Reply};
use serde_json::json;

/// The field of an approval with the facts about the receiver.
const FACTS: &str = "receiverCustomerInfo";

/// The reply to an outcome.
pub(crate) fn reply(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Accepted { decision: None, .. } => Reply::empty(200),
        Outcome::Accepted { decision: Some(decision), facts } => decided(decision, facts, FACTS),
        Outcome::Duplicate { decision, .. } | Outcome::Conflict { decision } => {
            duplicate("A webhook with this id has been processed.", decision.as_deref())
        }
        Outcome::Unidentified(missing) => {
            error(400, "invalid_webhook", "The webhook cannot be identified.", json!({"reason": missing}))
        }
        Outcome::Unreadable => {
            error(400, "invalid_webhook", "The body's transfer encoding cannot be read.", json!({}))
        }
        // Grid retries after 401, so even a genuine delivery that is signed with a key that we do not
        // have yet is not lost.
        Outcome::Refused(_) | Outcome::Unproven { .. } => {
            error(401, "invalid_signature", "Signature validation failed.", json!({}))
        }
        Outcome::Stale(_) => {
            error(401, "stale_webhook", "The webhook's timestamp is not acceptable.", json!({}))
        }
        Outcome::NotFound => error(404, "not_found", "There is no webhook at this path.", json!({})),
        Outcome::MethodNotAllowed => {
            error(405, "method_not_allowed", "Webhooks are sent by POST.", json!({}))
        }
        Outcome::TooLarge => {
            error(413, "payload_too_large", "The webhook is too large to be recorded.", json!({}))
        }
        Outcome::UnsupportedEncoding => {
            error(415, "unsupported_encoding", "The body must not have a Content-Encoding.", json!({}))
        }
        Outcome::Unavailable(_) | Outcome::Misconfigured(_) => {
            error(503, "unavailable", "The webhook could not be recorded. Send it again.", json!({}))
        }
    }
}
