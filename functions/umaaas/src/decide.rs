//! What to answer to an incoming payment that waits for approval. 200 approves, so whatever is not
//! surely informational is decided, and whatever is not surely approved is rejected.

use ingest::{Decision, Event, Object};

use crate::kinds::{INCOMING_PAYMENT, Kind};

/// The statuses of a payment that waits for nothing, in any version of the API. Compared exactly.
const INFORMATIONAL: [&str; 7] =
    ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"];

/// The decision about an event; none for an event that asks for none.
pub(crate) fn decide(event: &Event) -> Option<Decision> {
    let body = Object::parse(&event.payload)?;
    let wire = body.text("type")?;
    if Kind::of(&wire).is_none() {
        // A kind that we do not know yet may be a payment that waits, under a newer name.
        return wire
            .starts_with(INCOMING_PAYMENT)
            .then(|| reject("unknown_kind", "This kind of payment webhook is not supported yet."));
    }
    if wire != INCOMING_PAYMENT {
        return None;
    }
    let status = body.object("transaction").and_then(|transaction| transaction.text("status"));
    if status.is_some_and(|status| INFORMATIONAL.contains(&status.as_str())) {
        return None;
    }
    Some(reject("no_policy", "No approval policy is configured."))
}

fn reject(reason: &str, message: &str) -> Decision {
    Decision::Reject { reason: reason.to_owned(), message: message.to_owned() }
}
