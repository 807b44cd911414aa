//! Which event a body is about. No body has an event's id, so its identity is the SHA-256 of its
//! bytes: a redelivery repeats them.
//!
//! Some bodies would repeat them for another event too: an identity that is activated twice sends
//! the same body twice. So the text of `published-timestamp` enters the hash as well, unless the
//! body says by itself which event it is: it names its transaction (`transactionId`) or has the time
//! of its publication inside (`publishedTimestamp`). That holds for the kinds of managed accounts and
//! cards, transfers, sends and outgoing wire transfers, and not for those of corporates and
//! consumers.
//!
//! The body decides this, not the kind, because the kind is the path's and no signature covers the
//! path. For the same reason the path is what tells a redelivery from a conflict: the same delivery at another
//! path may be another event with the same bytes, or a replay, and is held.

use std::convert::Infallible;

use ingest::{
    Arrival, Drift, Event, Identified, Object, Outcome, bounded_id, epoch_time, schema, sha256_hex,
};
use jiff::Timestamp;
use verify::{Delivery, Refusal, Tolerance, Verified};

use crate::kinds::{self, Kind, SOURCE, UNKNOWN};
use crate::paths::is_published;
use crate::signature::{CALL_REF, PUBLISHED_TIMESTAMP};

/// Identifies a delivery's event, and checks its age where a tolerance is set.
///
/// # Errors
/// [`Outcome::Unidentified`] for a `published-timestamp` that is not a number, and for a body that
/// is not a JSON object; [`Outcome::Stale`] for a delivery outside the tolerance.
pub(crate) fn identify(
    delivery: &Verified<Delivery>,
    tolerance: Option<Tolerance>,
    arrival: Arrival,
) -> Result<Identified<Infallible>, Outcome> {
    let published = published_timestamp(delivery)?;
    let published_at = epoch_time(published);
    if let Some(tolerance) = tolerance {
        // A number beyond every calendar is in the future.
        let sent = published_at.unwrap_or(Timestamp::MAX);
        tolerance.check(sent, arrival.earliest(), arrival.latest()).map_err(Outcome::Stale)?;
    }

    let body = Object::parse(&delivery.body).ok_or(Outcome::Unidentified("the body is not a JSON object"))?;
    let kind = Kind::of(&delivery.path);
    let id = identity(delivery, &body, published);
    let call_ref = call_ref(delivery);
    let event = Event {
        kind: kind.map_or(UNKNOWN, |kind| kind.name),
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
    Ok(Identified { event, payment: None })
}

/// The text of `published-timestamp`. A verified delivery has one; digits are what it should be.
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

/// What a redelivery repeats besides the identity: its path. All paths that Weavr does not publish count as
/// one, or a replay could leave a held record under any number of them.
fn content(path: &str) -> String {
    sha256_hex(if is_published(path) { path } else { "not published" }.as_bytes())
}

fn names_its_event(body: &Object<'_>) -> bool {
    number(body, "transactionId").or_else(|| number(body, "publishedTimestamp")).is_some()
}

/// When it happened, where the body says so. A transaction's time stays the same in all its states.
fn occurred_at(body: &Object<'_>) -> Option<Timestamp> {
    ["transactionTimestamp", "publishedTimestamp", "eventTimestamp"]
        .iter()
        .find_map(|name| epoch_time(&number(body, name)?))
}

/// The digits of a number or of a string. Zero is how a number is written that has not been set.
fn number(body: &Object<'_>, name: &str) -> Option<String> {
    body.text_or_digits(name).filter(|text| is_number(text) && text.bytes().any(|digit| digit != b'0'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The caller's reference. One that occurs twice names no call.
fn call_ref(delivery: &Delivery) -> Option<String> {
    let text = delivery.single(CALL_REF).ok()??;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The documented length of a `call-ref`, in characters.
const MAX_CALL_REF: usize = 255;

fn drift(body: &Object<'_>, kind: Option<&'static Kind>, call_ref: Option<&str>) -> Vec<Drift> {
    // A path that is not known has no schema to depart from; its kind says that it is unknown.
    let mut drift = kind.map_or_else(Vec::new, |kind| schema::drift(body, kind.schema));
    if call_ref.is_some_and(|text| text.chars().count() > MAX_CALL_REF) {
        drift.push(Drift { field: CALL_REF.to_owned(), expected: "should have at most 255 characters" });
    }
    drift
}
