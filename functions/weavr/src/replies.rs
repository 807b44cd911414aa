//! The table of replies. In the 2.14.10 document the body of a reply has a `message`. In the `v2` document
//! the only reply to a received webhook is 204 without a body. Weavr retries only after 408, 409, 425 and
//! 5xx, so it treats 200 with a `message` as a success too.

use ingest::{Outcome, Reply};
use serde_json::json;
use verify::Stale;

/// The reply to an outcome.
pub(crate) fn reply(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Accepted { .. } => message(200, "The webhook is recorded."),
        Outcome::Duplicate { .. } => message(200, "The webhook was recorded before."),
        Outcome::Conflict { .. } => message(200, "The webhook is recorded and held."),
        Outcome::Unidentified(reason) => {
            message(400, &format!("The webhook cannot be identified: {reason}."))
        }
        Outcome::Unreadable => message(400, "The body's transfer encoding cannot be read."),
        Outcome::Refused(_) => message(401, "Signature validation failed."),
        Outcome::Stale(Stale::TooOld) => message(401, "The webhook's timestamp is not acceptable."),
        Outcome::NotFound => message(404, "There is no webhook at this path."),
        Outcome::MethodNotAllowed => message(405, "Webhooks are sent by POST."),
        Outcome::TooLarge => message(413, "The webhook is too large to be recorded."),
        Outcome::UnsupportedEncoding => message(415, "The body must not have a Content-Encoding."),
        // Weavr does not retry after 4xx. So a 4xx would lose a genuine event because of a mistake on our
        // side: a key that we do not have yet, or a wrong clock. A forger gains nothing from a 503.
        Outcome::Unavailable(_)
        | Outcome::Misconfigured(_)
        | Outcome::Unproven { .. }
        | Outcome::Stale(Stale::InTheFuture) => {
            message(503, "The webhook could not be recorded. Send it again.")
        }
    }
}

fn message(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message}))
}

#[cfg(test)]
mod tests {
    use ingest::{Facts, Operation, PortError};
    use verify::Refusal;

    use super::*;

    #[test]
    fn every_outcome_has_its_status_and_a_message() {
        let unproven =
            |secrets| Outcome::Unproven { mismatch: Refusal::Mismatch { header: "signature" }, secrets };
        for (outcome, status) in [
            (Outcome::Accepted { decision: None, facts: Facts::default() }, 200),
            (Outcome::Duplicate { decision: None, restamped: None }, 200),
            (Outcome::Conflict { decision: None }, 200),
            (Outcome::Unidentified("…"), 400),
            (Outcome::Unreadable, 400),
            (Outcome::Refused(Refusal::Missing { header: "signature" }), 401),
            (Outcome::Stale(Stale::TooOld), 401),
            (Outcome::Stale(Stale::InTheFuture), 503),
            (Outcome::NotFound, 404),
            (Outcome::MethodNotAllowed, 405),
            (Outcome::TooLarge, 413),
            (Outcome::UnsupportedEncoding, 415),
            (Outcome::Unavailable(PortError::new(Operation::Record, "…")), 503),
            (Outcome::Misconfigured("…"), 503),
            (unproven(None), 503),
            (unproven(Some(PortError::new(Operation::Secrets, "…"))), 503),
        ] {
            let reply = reply(&outcome);
            assert_eq!(reply.status, status, "{outcome:?}");
            assert_eq!(reply.retry_after.is_some(), status == 503, "{outcome:?}");
            let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            assert!(body["message"].is_string() && body.as_object().unwrap().len() == 1, "{outcome:?}");
        }
    }
}
