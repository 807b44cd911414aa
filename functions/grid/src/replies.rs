//! The table of replies. Source: the webhook pages of Grid. The statuses 404, 405, 413, 415 and 503 are not documented
//! and follow HTTP. Grid retries after every status except 2xx and 409, and never retries a payment that waits for a
//! decision. 202 is never answered: the later call to approve or reject would have the same 5 seconds.

use ingest::{Decision, Facts, Outcome, Reply, Verdict};
use serde_json::{Value, json};

/// The reply to an outcome.
pub(crate) fn reply(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Accepted { decision: None, .. } => Reply::empty(200),
        Outcome::Accepted { decision: Some(decision), facts } => decided(decision, facts),
        Outcome::Duplicate { decision, .. } | Outcome::Conflict { decision } => {
            let details = match decision {
                Some(decision) => json!({"decision": decision.name()}),
                None => json!({}),
            };
            error(409, "duplicate_webhook", "A webhook with this id has been processed.", details)
        }
        Outcome::Unidentified(missing) => {
            error(400, "invalid_webhook", "The webhook cannot be identified.", json!({"reason": missing}))
        }
        Outcome::Unreadable => {
            error(400, "invalid_webhook", "The body's transfer encoding cannot be read.", json!({}))
        }
        // Grid retries after 401, so even a genuine delivery that is signed with a secret that we do not
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

fn decided(decision: &Decision, facts: &Facts) -> Reply {
    match &decision.verdict {
        Verdict::Approve if facts.0.is_empty() => Reply::empty(200),
        Verdict::Approve => Reply::json(200, &json!({"receiverCustomerInfo": facts.0})),
        Verdict::Reject { reason, message } => {
            let details = json!({"reason": reason, "rejectionReason": message});
            let mut body = document("payment_rejected", "The payment is rejected.", details);
            body["reason"] = json!(reason);
            Reply::json(403, &body)
        }
        Verdict::RequestInformation { required_fields } => {
            let message = "More information about the counterparty is required.";
            let mut body =
                document("additional_info_required", message, json!({"requiredFields": required_fields}));
            body["requiredFields"] = json!(required_fields);
            Reply::json(422, &body)
        }
    }
}

/// An `Error` object of the API: code, message, details.
fn error(status: u16, code: &str, message: &str, details: Value) -> Reply {
    Reply::json(status, &document(code, message, details))
}

fn document(code: &str, message: &str, details: Value) -> Value {
    json!({"code": code, "message": message, "details": details})
}
