//! Which webhooks need a decision, and which decision they get. The reply 200 approves a payment that waits.
//! So every webhook that is not certainly informational is decided, and every payment that is not certainly
//! approved is rejected.

use std::borrow::Cow;

use ingest::{Decision, Object};
use serde_json::value::RawValue;

use crate::kinds::{INCOMING_PAYMENT, Kind};
use crate::policy::{Policy, reject};
use crate::policy_request::{Payment, Undecidable};

/// The statuses of a payment that does not wait, in all versions of the API. Compared exactly.
const INFORMATIONAL: [&str; 7] =
    ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"];

/// The path to which only incoming payments are posted.
const INCOMING_PATH: &str = "/umaaas/incoming-payment";

/// A webhook that needs a decision before it can be answered 200.
#[derive(Debug)]
pub struct Asking(Question);

#[derive(Debug)]
enum Question {
    /// A payment, or the reason why a policy cannot decide about it.
    Payment(Box<Result<Payment, Undecidable>>),
    /// A webhook that may be a payment that waits, but is not of the known kind.
    Unknown,
}

/// Whether a body asks for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// No: the webhook is informational, or certainly not an incoming payment.
    Nothing,
    /// Yes: it asks whether its payment may proceed.
    Approval,
    /// Perhaps: it may be a payment that waits, but is not of the known kind.
    Unclear,
}

impl Asks {
    /// Checks a body that was posted to `path`. The body's `type` tells its kind. A payment that waits is
    /// also recognised by its transaction, whatever the `type`.
    ///
    /// All values of a duplicate name count, and a name in another case or with other separators counts too.
    /// So no spelling makes a payment that waits look informational.
    pub(crate) fn of(body: &Object<'_>, path: &str) -> Self {
        let named_incoming = members(body, "type").any(|(_, value)| says(value, INCOMING_PAYMENT));
        let informational = is_informational(body);
        match body.text("type").as_deref().and_then(Kind::of) {
            Some(kind) if kind.wire == INCOMING_PAYMENT => {
                if informational {
                    Self::Nothing
                } else {
                    Self::Approval
                }
            }
            Some(_) => {
                let waits = named_incoming || (!informational && direction(body) == Direction::Incoming);
                if waits { Self::Unclear } else { Self::Nothing }
            }
            None => {
                let may_wait = path == INCOMING_PATH
                    || match direction(body) {
                        Direction::Incoming | Direction::Unclear => true,
                        Direction::Unsaid => transactions(body).any(|transaction| is_pending(&transaction)),
                        Direction::Other => false,
                    };
                let waits = named_incoming || (!informational && may_wait);
                if waits { Self::Unclear } else { Self::Nothing }
            }
        }
    }
}

impl Asking {
    /// The question to decide, or `None` when there is none. `read` parses the payment, if one is needed.
    pub(crate) fn new(asks: Asks, read: impl FnOnce() -> Result<Payment, Undecidable>) -> Option<Self> {
        match asks {
            Asks::Nothing => None,
            Asks::Approval => Some(Self(Question::Payment(Box::new(read())))),
            Asks::Unclear => Some(Self(Question::Unknown)),
        }
    }

    /// The payment, if a policy can decide about it.
    pub(crate) fn payment(&self) -> Option<&Payment> {
        match &self.0 {
            Question::Payment(payment) => payment.as_ref().as_ref().ok(),
            Question::Unknown => None,
        }
    }
}

/// Decides about a webhook. What a policy cannot decide is rejected.
pub(crate) fn decide(policy: Option<&Policy>, asking: &Asking) -> Decision {
    let payment = match &asking.0 {
        Question::Payment(payment) => payment,
        Question::Unknown => {
            let message = "This kind of payment webhook is not supported yet.";
            return Decision::new(reject("unknown_kind", message));
        }
    };
    let Some(policy) = policy else {
        return Decision::new(reject("no_policy", "No approval policy is configured."));
    };
    match payment.as_ref() {
        Ok(payment) => policy.decide(payment),
        Err(undecidable) => Decision {
            policy_hash: Some(policy.hash().to_owned()),
            ..Decision::new(reject("undecidable", &format!("{undecidable}.")))
        },
    }
}

/// The direction of a transaction, from its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Incoming,
    /// A `type` is not a string.
    Unclear,
    /// There is no `type`.
    Unsaid,
    /// The `type` is another string.
    Other,
}

fn direction(body: &Object<'_>) -> Direction {
    let mut found = Direction::Unsaid;
    for transaction in transactions(body) {
        for (_, value) in members(&transaction, "type") {
            match text(value) {
                Some(_) if says(value, "INCOMING") => return Direction::Incoming,
                Some(_) if found == Direction::Unsaid => found = Direction::Other,
                Some(_) => {}
                None => found = Direction::Unclear,
            }
        }
    }
    found
}

/// Whether a body says that its payment does not wait: each `transaction` is an object, and each `status` in
/// it is one of [`INFORMATIONAL`]. Both names must be spelt exactly so.
fn is_informational(body: &Object<'_>) -> bool {
    let all_exact = |object: &Object<'_>, name: &str| members(object, name).all(|(found, _)| found == name);
    let says_so = |transaction: Object<'_>| {
        let mut statuses = members(&transaction, "status").map(|(_, value)| text(value)).peekable();
        let stated = statuses.peek().is_some();
        let known =
            |status: Option<String>| status.is_some_and(|text| INFORMATIONAL.contains(&text.as_str()));
        stated && all_exact(&transaction, "status") && statuses.all(known)
    };
    let objects = transactions(body).count();
    objects > 0
        && objects == members(body, "transaction").count()
        && all_exact(body, "transaction")
        && transactions(body).all(says_so)
}

fn is_pending(transaction: &Object<'_>) -> bool {
    members(transaction, "status").any(|(_, value)| says(value, "PENDING"))
}

/// The objects in a body's `transaction`, in any spelling of that name.
fn transactions<'a>(body: &Object<'a>) -> impl Iterator<Item = Object<'a>> {
    let objects: Vec<_> =
        members(body, "transaction").filter_map(|(_, value)| Object::parse(value.get().as_bytes())).collect();
    objects.into_iter()
}

/// The fields of an object with this name, in any spelling. A `null` counts as absent.
fn members<'o, 'a>(object: &'o Object<'a>, name: &'o str) -> impl Iterator<Item = (&'o str, &'a RawValue)> {
    object.fields().filter(move |(found, value)| folded(found) == name && value.get() != "null")
}

/// A name in lower case and without separators.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return name.into();
    }
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>().into()
}

/// Whether a value is a string that contains `part` (in upper case), whatever the case of the string.
fn says(value: &RawValue, part: &str) -> bool {
    text(value).is_some_and(|text| text.to_uppercase().contains(part))
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{ANY_KIND, KINDS};

    fn asks(path: &str, body: &str) -> Asks {
        Asks::of(&Object::parse(body.as_bytes()).unwrap(), path)
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
        let directions: Vec<_> = directions.chain([Some("\"OUTGOING\""), Some("\"CARD\""), None]).collect();
        let informational = INFORMATIONAL.map(|status| format!("\"{status}\""));
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
                            || (direction.is_none() && pending)
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
