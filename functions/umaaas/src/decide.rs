//! Which webhooks of UMAaaS need a decision. The reply 200 approves a payment that waits. So every webhook that is
//! not certainly informational is decided.

use decisions::{
    Asks, Direction, Layout, direction, is_informational, is_pending, may_credit, members, says, transactions,
};
use ingest::Object;

use crate::kinds::{INCOMING_PAYMENT, Kind};

/// Where a body has the fields of a payment.
pub(crate) const LAYOUT: Layout = Layout {
    transaction: "transaction",
    sender: None,
    receiver: None,
    user_id: "userId",
    platform_user_id: "platformUserId",
    requested: "requestedReceiverUserInfoFields",
    requested_in_transaction: false,
};

/// The path to which only incoming payments are posted.
const INCOMING_PATH: &str = "/umaaas/incoming-payment";

/// Whether a body that was posted to `path` asks for a decision. The body's `type` tells its kind. A payment that
/// waits is also recognised by its transaction, whatever the `type`.
pub(crate) fn asks(body: &Object<'_>, path: &str) -> Asks {
    let named_incoming = members(body, "type").any(|(_, value)| says(value, INCOMING_PAYMENT));
    let informational = is_informational(body, &LAYOUT);
    match body.text("type").as_deref().and_then(Kind::of) {
        Some(kind) if kind.wire == INCOMING_PAYMENT => {
            if informational {
                Asks::Nothing
            } else {
                Asks::Approval
            }
        }
        Some(_) => {
            let incoming = direction(body, &LAYOUT) == Direction::Incoming;
            let waits = named_incoming || (!informational && incoming);
            if waits { Asks::Unclear } else { Asks::Nothing }
        }
        None => {
            let may_wait = path == INCOMING_PATH
                || match direction(body, &LAYOUT) {
                    Direction::Incoming | Direction::Unclear => true,
                    Direction::Unsaid => {
                        may_credit(body, &LAYOUT)
                            || transactions(body, &LAYOUT).any(|transaction| is_pending(&transaction))
                    }
                    Direction::Other => false,
                };
            let waits = named_incoming || (!informational && may_wait);
            if waits { Asks::Unclear } else { Asks::Nothing }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{ANY_KIND, KINDS};

    fn asks(path: &str, body: &str) -> Asks {
        super::asks(&Object::parse(body.as_bytes()).unwrap(), path)
    }

    /// A field of a body or of its transaction. `None` when there is no value.
    fn member(name: &str, value: Option<&str>) -> Option<String> {
        value.map(|value| format!("\"{name}\":{value}"))
    }

    const PATHS: [&str; 6] = [
        ANY_KIND,
        INCOMING_PATH,
        "/umaaas/outgoing-payment",
        "/umaaas/bulk-upload",
        "/umaaas/test-webhook",
        "/umaaas/invitation-claimed",
    ];
    const INCOMING_NAMES: [&str; 6] = [
        "incoming_payment",
        " INCOMING_PAYMENT ",
        "Incoming_Payment",
        "UMA_INCOMING_PAYMENT",
        "INCOMING_PAYMENT_V2",
        "INCOMING_PAYMENT.PENDING",
    ];
    const OTHER_NAMES: [&str; 4] = ["PAYMENT", "SOMETHING_NEW", "OUTGOING", ""];
    const INCOMING_DIRECTIONS: [&str; 4] = ["\"INCOMING\"", "\"incoming\"", "\" INCOMING \"", "\"Incoming\""];
    const UNREADABLE_DIRECTIONS: [&str; 3] = ["5", "[\"INCOMING\"]", "{}"];
    const WAITING: [Option<&str>; 9] = [
        Some("\"PENDING\""),
        Some("\"pending\""),
        Some("\"completed\""),
        Some("\"COMPLETED \""),
        Some("\"ON_HOLD\""),
        Some("\"\""),
        Some("7"),
        Some("null"),
        None,
    ];

    /// Compares every combination of path, type, transaction's type and status with the rules, written again.
    #[test]
    fn every_combination_of_path_type_and_status_follows_the_rules() {
        let known = KINDS.iter().map(|kind| kind.wire);
        let types: Vec<&str> = known.chain(INCOMING_NAMES).chain(OTHER_NAMES).collect();
        let directions = INCOMING_DIRECTIONS.iter().chain(&UNREADABLE_DIRECTIONS).copied().map(Some);
        let directions: Vec<_> =
            directions.chain([Some("\"OUTGOING\""), Some("\"CARD\""), Some("\"PAYMENT\""), None]).collect();
        let informational = Asks::INFORMATIONAL.map(|status| format!("\"{status}\""));
        let statuses: Vec<_> =
            informational.iter().map(|status| Some(status.as_str())).chain(WAITING).collect();
        let mut seen = [0; 3];
        for path in PATHS {
            for wire in &types {
                for direction in &directions {
                    for status in &statuses {
                        let inner = [member("type", *direction), member("status", *status)];
                        let inner = inner.into_iter().flatten().collect::<Vec<_>>().join(",");
                        let body = format!(r#"{{"type":"{wire}","transaction":{{{inner}}}}}"#);
                        let informs =
                            status.is_some_and(|status| informational.iter().any(|it| it == status));
                        let incoming = direction.is_some_and(|it| INCOMING_DIRECTIONS.contains(&it));
                        let unreadable = direction.is_some_and(|it| UNREADABLE_DIRECTIONS.contains(&it));
                        let pending = status.is_some_and(|status| status.to_uppercase().contains("PENDING"));
                        let expected = if *wire == INCOMING_PAYMENT {
                            if informs { Asks::Nothing } else { Asks::Approval }
                        } else if INCOMING_NAMES.contains(wire) {
                            Asks::Unclear
                        } else if informs {
                            Asks::Nothing
                        } else if KINDS.iter().any(|kind| kind.wire == *wire) {
                            if incoming { Asks::Unclear } else { Asks::Nothing }
                        } else if path == INCOMING_PATH
                            || incoming
                            || unreadable
                            || (direction.is_none_or(|it| it == "\"PAYMENT\"") && pending)
                        {
                            Asks::Unclear
                        } else {
                            Asks::Nothing
                        };
                        assert_eq!(asks(path, &body), expected, "{path} {body}");
                        seen[expected as usize] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 100), "every answer occurs: {seen:?}");
    }

    #[test]
    fn without_a_transaction_the_type_and_the_path_decide() {
        for path in PATHS {
            for kind in &KINDS {
                let body = format!(r#"{{"type":"{}"}}"#, kind.wire);
                let waits = kind.wire == INCOMING_PAYMENT;
                assert_eq!(
                    asks(path, &body),
                    if waits { Asks::Approval } else { Asks::Nothing },
                    "{path} {body}"
                );
            }
            let expected = if path == INCOMING_PATH { Asks::Unclear } else { Asks::Nothing };
            for transaction in ["", r#","transaction":null"#, r#","transaction":[]"#, r#","transaction":"x""#]
            {
                let body = format!(r#"{{"type":"NEW"{transaction}}}"#);
                assert_eq!(asks(path, &body), expected, "{path} {body}");
            }
        }
    }

    #[test]
    fn no_spelling_makes_a_payment_that_waits_informational() {
        for (body, expected) in [
            // duplicate names
            (r#"{"type":"TEST","type":"INCOMING_PAYMENT"}"#, Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT","type":"TEST"}"#, Asks::Unclear),
            (r#"{"type":"incoming_payment","type":"NEW"}"#, Asks::Unclear),
            (
                r#"{"type":"INCOMING_PAYMENT","transaction":{"status":"PENDING","status":"COMPLETED"}}"#,
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT","transaction":{"status":"COMPLETED","status":"PENDING"}}"#,
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT","transaction":{"status":"PENDING"},"transaction":{"status":"COMPLETED"}}"#,
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT","transaction":7,"transaction":{"status":"COMPLETED"}}"#,
                Asks::Approval,
            ),
            (r#"{"type":"NEW","transaction":{"type":"INCOMING","type":"OUTGOING"}}"#, Asks::Unclear),
            (
                r#"{"type":"OUTGOING_PAYMENT","transaction":{"type":"OUTGOING","type":"INCOMING"}}"#,
                Asks::Unclear,
            ),
            // other words
            (r#"{"type":"NEW","transaction":{"type":"PAYMENT","direction":"CREDIT"}}"#, Asks::Unclear),
            (r#"{"type":"NEW","transaction":{"type":"PAYMENT","direction":"DEBIT"}}"#, Asks::Nothing),
            (r#"{"type":"NEW","transaction":{"type":"OUTGOING","direction":"CREDIT"}}"#, Asks::Nothing),
            // names in another case, or with escapes
            (r#"{"type":"NEW","Transaction":{"TYPE":"INCOMING"}}"#, Asks::Unclear),
            (
                r#"{"type":"NEW","transaction":{"status":"COMPLETED","STATUS":"PENDING","type":"INCOMING"}}"#,
                Asks::Unclear,
            ),
            (r#"{"type":"INCOMING_PAYMENT","transaction":{"Status":"COMPLETED"}}"#, Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT","TRANSACTION":{"status":"COMPLETED"}}"#, Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT","transaction":{"st\u0061tus":"COMPLETED"}}"#, Asks::Nothing),
            (r#"{"type":"NEW","transaction":{"t\u0079pe":"INCOM\u0049NG"}}"#, Asks::Unclear),
        ] {
            assert_eq!(asks(ANY_KIND, body), expected, "{body}");
        }
    }
}
