//! Which bodies ask for a decision. All values of a duplicate name count, and a name in another case or with other
//! separators counts too. So no spelling makes a payment that waits look informational.

use std::borrow::Cow;

use ingest::Object;
use serde_json::value::RawValue;

use crate::Layout;

/// Whether a body asks for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// No: the webhook is informational, or certainly not an incoming payment.
    Nothing,
    /// Yes: it asks whether its payment may proceed.
    Approval,
    /// Perhaps: it may be a payment that waits, but is not of the known kind.
    Unclear,
}

impl Asks {
    /// The statuses of a payment that does not wait, in all versions of the APIs. Compared exactly.
    pub const INFORMATIONAL: [&'static str; 7] =
        ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"];
}

/// The direction of a transaction, from its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A `type` says that it is incoming.
    Incoming,
    /// A `type` is not a string.
    Unclear,
    /// There is no `type`, or one that no document has: it may be another word for any direction.
    Unsaid,
    /// The `type` is a documented one that is not incoming.
    Other,
}

/// The documented types of a transaction that is not incoming. Compared exactly.
const NOT_INCOMING: [&str; 2] = ["OUTGOING", "CARD"];

/// The direction of the transaction in a body.
#[must_use]
pub fn direction(body: &Object<'_>, layout: &Layout) -> Direction {
    let mut found = None;
    for transaction in transactions(body, layout) {
        for (_, value) in members(&transaction, "type") {
            match text(value) {
                Some(_) if says(value, "INCOMING") => return Direction::Incoming,
                Some(text) if NOT_INCOMING.contains(&text.as_str()) => {
                    found = found.or(Some(Direction::Other));
                }
                Some(_) if found == Some(Direction::Unclear) => {}
                Some(_) => found = Some(Direction::Unsaid),
                None => found = Some(Direction::Unclear),
            }
        }
    }
    found.unwrap_or(Direction::Unsaid)
}

/// Whether a transaction has a `direction` and it is not certain that no funds come in by it. (Grid has the field beside
/// `type`, with the values CREDIT and DEBIT.)
#[must_use]
pub fn may_credit(body: &Object<'_>, layout: &Layout) -> bool {
    let debits = |value: &RawValue| text(value).is_some_and(|text| text == "DEBIT");
    transactions(body, layout)
        .any(|transaction| members(&transaction, "direction").any(|(_, value)| !debits(value)))
}

/// Whether a body says that its payment does not wait: each transaction is an object, and each `status` in
/// it is one of [`Asks::INFORMATIONAL`]. Both names must be spelt exactly so.
#[must_use]
pub fn is_informational(body: &Object<'_>, layout: &Layout) -> bool {
    // A reader that takes the last of two equal names may see a `null`: then nothing is said.
    let all_exact = |object: &Object<'_>, name: &str| spelled(object, name).all(|(found, _)| found == name);
    let says_so = |transaction: Object<'_>| {
        let mut statuses = spelled(&transaction, "status").map(|(_, value)| text(value)).peekable();
        let stated = statuses.peek().is_some();
        let known =
            |status: Option<String>| status.is_some_and(|text| Asks::INFORMATIONAL.contains(&text.as_str()));
        stated && all_exact(&transaction, "status") && statuses.all(known)
    };
    let transactions: Vec<_> = transactions(body, layout).collect();
    !transactions.is_empty()
        && transactions.len() == spelled(body, layout.transaction).count()
        && all_exact(body, layout.transaction)
        && transactions.into_iter().all(says_so)
}

/// Whether a body says that an incoming payment came to nothing: it failed, or it was given back. Everything is compared
/// exactly, because such a payment no longer counts towards limits.
#[must_use]
pub fn is_undone(body: &Object<'_>, layout: &Layout) -> bool {
    const UNDONE: [&str; 4] = ["FAILED", "EXPIRED", "REJECTED", "REFUNDED"];
    is_informational(body, layout)
        && direction(body, layout) == Direction::Incoming
        && transactions(body, layout).all(|transaction| {
            spelled(&transaction, "status")
                .all(|(_, value)| text(value).is_some_and(|status| UNDONE.contains(&status.as_str())))
        })
}

/// Whether a transaction says that it is pending.
#[must_use]
pub fn is_pending(transaction: &Object<'_>) -> bool {
    members(transaction, "status").any(|(_, value)| says(value, "PENDING"))
}

/// The objects with a body's transaction, in any spelling of that name.
pub fn transactions<'a>(body: &Object<'a>, layout: &Layout) -> impl Iterator<Item = Object<'a>> {
    members(body, layout.transaction).filter_map(|(_, value)| Object::parse(value.get().as_bytes()))
}

/// The fields of an object with this name, in any spelling. A `null` counts as absent. The name is in lower case and
/// has no separators.
pub fn members<'o, 'a>(
    object: &'o Object<'a>,
    name: &'o str,
) -> impl Iterator<Item = (&'o str, &'a RawValue)> {
    spelled(object, name).filter(|(_, value)| value.get() != "null")
}

/// Like [`members`], with the fields that are `null` too.
fn spelled<'o, 'a>(object: &'o Object<'a>, name: &'o str) -> impl Iterator<Item = (&'o str, &'a RawValue)> {
    object.fields().filter(move |(found, _)| letters(found).eq(name.chars()))
}

/// A name or a value in lower case, its letters and digits alone.
#[must_use]
pub fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return name.into();
    }
    letters(name).collect::<String>().into()
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

/// Whether a value is a string that contains `part` (in upper case), whatever the case of the string.
#[must_use]
pub fn says(value: &RawValue, part: &str) -> bool {
    text(value).is_some_and(|text| text.to_uppercase().contains(part))
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}
