//! Identifies the event in a body by its `id` and its `type` together. (Grid's own examples use one `id` with many
//! types, so the id alone is not unique.)

use decisions::{Asking, Payment, is_undone};
use ingest::{Arrival, Drift, Event, Identified, Object, Outcome, any_time, bounded_id, key_part, schema};
use verify::{Delivery, Tolerance, Verified};

use crate::decide::{LAYOUT, asks};
use crate::kinds::{self, Kind, PATH, UNKNOWN, message_type};

/// The field that says when Grid sent the webhook. A retry may have a new value.
const SENT_AT: &str = "timestamp";

/// The types of events about an incoming payment that came to nothing. (A refund that fails has the status FAILED too.)
const UNDONE: [&str; 4] = [
    "INCOMING_PAYMENT.FAILED",
    "INCOMING_PAYMENT.EXPIRED",
    "INCOMING_PAYMENT.REJECTED",
    "INCOMING_PAYMENT.REFUND_COMPLETED",
];

/// Identifies the event of a delivery, and checks the delivery's age if a tolerance is set. `limited`: whether the policy
/// has limits, from which a payment that came to nothing is subtracted.
///
/// # Errors
/// [`Outcome::Unidentified`] when the body is not a JSON object or has no `id`, `type` or `timestamp`;
/// [`Outcome::Stale`] when the `timestamp` is outside the tolerance. A `timestamp` that cannot be parsed is no error:
/// it is reported as drift.
pub(crate) fn identify(
    delivery: &Verified<Delivery>,
    tolerance: Option<Tolerance>,
    arrival: Arrival,
    limited: bool,
) -> Result<Identified<Asking>, Outcome> {
    let body = Object::parse(&delivery.body).ok_or(Outcome::Unidentified("the body is not a JSON object"))?;
    let delivery_id = body.filled_text("id").ok_or(Outcome::Unidentified("id is missing"))?;
    let wire = body.filled_text("type").ok_or(Outcome::Unidentified("type is missing"))?;
    body.get(SENT_AT).ok_or(Outcome::Unidentified("timestamp is missing"))?;
    let occurred_at = body.text_or_digits(SENT_AT).and_then(|text| any_time(&text));
    if let (Some(tolerance), Some(sent)) = (tolerance, occurred_at) {
        tolerance.check(sent, arrival.earliest(), arrival.latest()).map_err(Outcome::Stale)?;
    }

    let name = message_type(&wire);
    let wire_part = key_part(&wire);
    // Two types can have the same `type` in messages: those that are not in the form of Grid, and those that differ
    // only in the case of letters. The id then includes the wire type, so that two such events under one `id` have
    // different ids. An `id` with a `#` could be such a pair itself, so it includes the type too.
    let type_tells = name.is_some() && !wire.bytes().any(|byte| byte.is_ascii_lowercase());
    let id = if type_tells && !delivery_id.contains('#') {
        bounded_id(delivery_id.clone())
    } else {
        bounded_id(format!("{wire_part}#{delivery_id}"))
    };
    let asks = asks(&body);
    let payment = Asking::new(asks, || Payment::read(&body, &LAYOUT, occurred_at, arrival.received_at));
    let undone = limited && UNDONE.contains(&wire.as_str()) && is_undone(&body, &LAYOUT);
    let event = Event {
        kind: name.unwrap_or(UNKNOWN.into()),
        key: format!("grid#{wire_part}#{}", key_part(&delivery_id)),
        id,
        source: PATH,
        subject: kinds::subject(&body).map(bounded_id),
        occurred_at,
        published_at: None,
        path: delivery.path.clone(),
        call_ref: None,
        drift: drift(&body, &wire),
        content_sha256: body.sha256_hex_without(&delivery.body, SENT_AT),
        payload: delivery.payload(),
    };
    Ok(Identified { event, payment, undone })
}

fn drift(body: &Object<'_>, wire: &str) -> Vec<Drift> {
    match Kind::of(wire) {
        Some(kind) => schema::drift(body, kind.schema),
        None => vec![Drift { field: "type".to_owned(), expected: "is not one of the documented values" }],
    }
}
