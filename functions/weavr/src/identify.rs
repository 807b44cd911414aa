//! Identifies the event in a body. No body has an event id. So the identity of an event is the SHA-256 of the
//! body's bytes, which are the same in a redelivery.
//!
//! Some bodies are also the same for two different events: when an identity is activated twice, Weavr sends
//! the same body twice. For such bodies the hash also includes the text of the header `published-timestamp`.
//! A body identifies its event alone if it has a transaction (`transactionId`) or its time of publication
//! (`publishedTimestamp`). The kinds of managed accounts and cards, transfers, sends and outgoing wire
//! transfers have one of these fields. The kinds of corporates and consumers have neither.
//!
//! The body decides whether the header is needed. The kind cannot decide this, because the path tells the
//! kind and no signature covers the path. The path then distinguishes a redelivery from a conflict: the same
//! delivery on another path may be another event with the same bytes, or a replay, so that delivery is held.

use std::convert::Infallible;

use ingest::{
    Arrival, Drift, Event, Identified, Object, Outcome, bounded_id, epoch_time, schema, sha256_hex,
};
use jiff::Timestamp;
use verify::{Delivery, Refusal, Tolerance, Verified};

use crate::kinds::{self, Kind, SOURCE, UNKNOWN};
use crate::paths::is_published;
use crate::signature::{CALL_REF, PUBLISHED_TIMESTAMP};

/// Identifies the event of a delivery, and checks the delivery's age if a tolerance is set.
///
/// # Errors
/// [`Outcome::Unidentified`] when `published-timestamp` is not a number or the body is not a JSON object;
/// [`Outcome::Stale`] when the delivery is outside the tolerance.
pub(crate) fn identify(
    delivery: &Verified<Delivery>,
    tolerance: Option<Tolerance>,
    arrival: Arrival,
) -> Result<Identified<Infallible>, Outcome> {
    let published = published_timestamp(delivery)?;
    let published_at = epoch_time(published);
    if let Some(tolerance) = tolerance {
        // A number that is too large for a date counts as a time in the future.
        let sent = published_at.unwrap_or(Timestamp::MAX);
        tolerance.check(sent, arrival.earliest(), arrival.latest()).map_err(Outcome::Stale)?;
    }

    let body = Object::parse(&delivery.body).ok_or(Outcome::Unidentified("the body is not a JSON object"))?;
    let kind = Kind::of(&delivery.path);
    let id = identity(delivery, &body, published);
    let call_ref = call_ref(delivery);
    let event = Event {
        kind: kind.map_or(UNKNOWN, |kind| kind.name).into(),
        key: format!("weavr#{id}"),
        id,
        source: SOURCE,
        subject: kinds::subject(&body).map(bounded_id),
        occurred_at: occurred_at(&body).or(published_at),
        published_at,
        path: delivery.path.clone(),
        drift: drift(&body, kind, call_ref.as_deref()),
        call_ref,
        content_sha256: content(&delivery.path),
        payload: delivery.payload(),
    };
    Ok(Identified { event, payment: None, undone: false })
}

/// The text of `published-timestamp`. Every verified delivery has this header, but the text may not be
/// digits.
fn published_timestamp(delivery: &Delivery) -> Result<&str, Outcome> {
    let header = PUBLISHED_TIMESTAMP;
    let text = delivery.unjoined(header).map_err(Outcome::Refused)?;
    std::str::from_utf8(text.ok_or(Outcome::Refused(Refusal::Missing { header }))?)
        .ok()
        .filter(|text| is_number(text))
        .ok_or(Outcome::Unidentified("published-timestamp is not a number"))
}

fn identity(delivery: &Delivery, body: &Object<'_>, published: &str) -> String {
    let digest = sha256_hex(&delivery.body);
    if names_its_event(body) {
        digest
    } else {
        // `digest#time` is not JSON, so this hash cannot equal the plain digest of another body.
        sha256_hex(format!("{digest}#{published}").as_bytes())
    }
}

/// The digest of the content, which a redelivery repeats: here the path. All paths that Weavr does not
/// publish have the same digest. Otherwise a replay could create one held record for each invented path.
fn content(path: &str) -> String {
    sha256_hex(if is_published(path) { path } else { "not published" }.as_bytes())
}

fn names_its_event(body: &Object<'_>) -> bool {
    number(body, "transactionId").or_else(|| number(body, "publishedTimestamp")).is_some()
}

/// When the event happened, if the body says so. The time of a transaction is the same in all its states.
fn occurred_at(body: &Object<'_>) -> Option<Timestamp> {
    ["transactionTimestamp", "publishedTimestamp", "eventTimestamp"]
        .iter()
        .find_map(|name| epoch_time(&number(body, name)?))
}

/// The digits of an integer or of a string. Zero counts as absent, because Weavr sends zero for an unset
/// number.
fn number(body: &Object<'_>, name: &str) -> Option<String> {
    body.text_or_digits(name).filter(|text| is_number(text) && text.bytes().any(|digit| digit != b'0'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The caller's reference. `None` if the header occurs more than once.
fn call_ref(delivery: &Delivery) -> Option<String> {
    let text = delivery.single(CALL_REF).ok()??;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The documented length of a `call-ref`, in characters.
const MAX_CALL_REF: usize = 255;

fn drift(body: &Object<'_>, kind: Option<&'static Kind>, call_ref: Option<&str>) -> Vec<Drift> {
    // An unknown path has no schema, so it has no drift. The kind `weavr.unknown` shows that it is unknown.
    let mut drift = kind.map_or_else(Vec::new, |kind| schema::drift(body, kind.schema));
    if call_ref.is_some_and(|text| text.chars().count() > MAX_CALL_REF) {
        drift.push(Drift { field: CALL_REF.to_owned(), expected: "should have at most 255 characters" });
    }
    drift
}
