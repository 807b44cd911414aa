//! Which event a body is about: its `webhookId`, under its `type`. (UMAaaS's own examples use one
//! `webhookId` under two types, so the id alone is not enough.)

use ingest::{
    Arrival, Drift, Event, Identified, MAX_ID_BYTES, Object, Outcome, bounded_id, epoch_time, schema,
    sha256_hex, written_time,
};
use verify::{Delivery, Tolerance, Verified};

use crate::decide::{Asking, Asks};
use crate::kinds::{self, ANY_KIND, Kind, UNKNOWN};
use crate::policy_request::Payment;

/// The member that says when a webhook was sent: a retry may carry a new one.
const SENT_AT: &str = "timestamp";

/// Identifies a delivery's event, and checks its age where a tolerance is set.
///
/// # Errors
/// [`Outcome::Unidentified`] for a body that is not a JSON object or has no `webhookId`, `type` or
/// `timestamp`; [`Outcome::Stale`] for one outside the tolerance. A time that cannot be read is drift.
pub(crate) fn identify(
    delivery: &Verified<Delivery>,
    tolerance: Option<Tolerance>,
    arrival: Arrival,
) -> Result<Identified<Asking>, Outcome> {
    let body = Object::parse(&delivery.body).ok_or(Outcome::Unidentified("the body is not a JSON object"))?;
    let webhook_id = named(&body, "webhookId").ok_or(Outcome::Unidentified("webhookId is missing"))?;
    let wire = named(&body, "type").ok_or(Outcome::Unidentified("type is missing"))?;
    body.get(SENT_AT).ok_or(Outcome::Unidentified("timestamp is missing"))?;
    let occurred_at =
        body.text_or_digits(SENT_AT).and_then(|text| written_time(&text).or_else(|| epoch_time(&text)));
    if let (Some(tolerance), Some(sent)) = (tolerance, occurred_at) {
        tolerance.check(sent, arrival.earliest(), arrival.latest()).map_err(Outcome::Stale)?;
    }

    let kind = Kind::of(&wire);
    let key_id = bounded_id(webhook_id.clone());
    // Unknown kinds share a `type` in messages: two under one `webhookId` have to stay two.
    let id = kind.map_or_else(|| bounded_id(format!("{wire}#{webhook_id}")), |_| key_id.clone());
    let asks = Asks::of(&body, &delivery.path);
    let payment = Asking::new(asks, || Payment::read(&body, occurred_at, arrival.received_at));
    let event = Event {
        kind: kind.map_or(UNKNOWN, |kind| kind.name),
        key: format!("umaaas#{}#{key_id}", key_part(&wire)),
        id,
        source: kind.map_or(ANY_KIND, |kind| kind.path),
        subject: kinds::subject(&body).map(bounded_id),
        occurred_at,
        published_at: None,
        path: delivery.path.clone(),
        call_ref: None,
        drift: drift(&body, kind, &delivery.path),
        content_sha256: body.sha256_hex_without(&delivery.body, SENT_AT),
        payload: delivery.payload(),
    };
    Ok(Identified { event, payment })
}

/// A field that an event cannot do without: a string that is not empty.
fn named(body: &Object<'_>, name: &str) -> Option<String> {
    body.text(name).filter(|text| !text.is_empty())
}

/// The type as it stands in a key. One that holds the separator, or would make the key too long,
/// enters as its SHA-256, so that no two pairs of type and id share a key.
fn key_part(wire: &str) -> String {
    if wire.contains('#') || wire.len() > MAX_ID_BYTES {
        sha256_hex(wire.as_bytes())
    } else {
        wire.to_owned()
    }
}

fn drift(body: &Object<'_>, kind: Option<&'static Kind>, path: &str) -> Vec<Drift> {
    let Some(kind) = kind else {
        return vec![Drift { field: "type".to_owned(), expected: "is not one of the documented values" }];
    };
    let mut drift = schema::drift(body, kind.schema);
    if path != ANY_KIND && path != kind.path {
        drift.push(Drift { field: "type".to_owned(), expected: "should fit the path" });
    }
    drift
}
