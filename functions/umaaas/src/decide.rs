//! What to answer to an incoming payment that waits for approval. 200 approves, so whatever is not
//! surely informational is decided, and whatever is not surely approved is rejected.

use ingest::{Decision, Event, Object};

use crate::kinds::{INCOMING_PAYMENT, Kind};
use crate::policy::{Policy, reject};
use crate::policy_request::Payment;

/// The statuses of a payment that waits for nothing, in any version of the API. Compared exactly.
const INFORMATIONAL: [&str; 7] =
    ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"];

/// The decision about an event; none for an event that asks for none.
pub(crate) fn decide(policy: Option<&Policy>, event: &Event) -> Option<Decision> {
    let body = Object::parse(&event.payload)?;
    let wire = body.text("type")?;
    if Kind::of(&wire).is_none() {
        // A kind that we do not know yet may be a payment that waits, under a newer name.
        let unknown = reject("unknown_kind", "This kind of payment webhook is not supported yet.");
        return wire.starts_with(INCOMING_PAYMENT).then(|| Decision::new(unknown));
    }
    if wire != INCOMING_PAYMENT {
        return None;
    }
    let status = body.object("transaction").and_then(|transaction| transaction.text("status"));
    if status.is_some_and(|status| INFORMATIONAL.contains(&status.as_str())) {
        return None;
    }
    let Some(policy) = policy else {
        return Some(Decision::new(reject("no_policy", "No approval policy is configured.")));
    };
    Some(match Payment::read(event, &body) {
        Ok(payment) => policy.decide(&payment),
        Err(undecidable) => Decision {
            policy_hash: Some(policy.hash().to_owned()),
            ..Decision::new(reject("undecidable", &format!("{undecidable}.")))
        },
    })
}
