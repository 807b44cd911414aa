//! The replies to payments that wait, and the bodies of errors: an object with code, message and details.

use ingest::{Decision, Facts, Reply, Verdict};
use serde_json::{Value, json};

/// The reply that tells a decision. `facts_field` is the field of an approval with the facts about the receiver.
#[must_use]
pub fn decided(decision: &Decision, facts: &Facts, facts_field: &str) -> Reply {
    match &decision.verdict {
        Verdict::Approve if facts.0.is_empty() => Reply::empty(200),
        Verdict::Approve => Reply::json(200, &json!({facts_field: facts.0})),
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

/// The reply to an event that was recorded before. Its details repeat the decision about that event, if there is one.
#[must_use]
pub fn duplicate(message: &str, decision: Option<&Decision>) -> Reply {
    let details = decision.map_or_else(|| json!({}), |decision| json!({"decision": decision.name()}));
    error(409, "duplicate_webhook", message, details)
}

/// A reply with an `Error` object of the API: code, message, details.
#[must_use]
pub fn error(status: u16, code: &str, message: &str, details: Value) -> Reply {
    Reply::json(status, &document(code, message, details))
}

fn document(code: &str, message: &str, details: Value) -> Value {
    json!({"code": code, "message": message, "details": details})
}
