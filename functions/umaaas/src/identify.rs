//! Identifies the event in a body by its `webhookId` and its `type` together. (UMAaaS's own examples use
//! one `webhookId` with two types, so the id alone is not unique.)

use decisions::{Asking, Payment, is_undone};
use ingest::{Arrival, Drift, Event, Identified, Object, Outcome, any_time, bounded_id, key_part, schema};
use verify::{Delivery, Tolerance, Verified};

use crate::decide::{LAYOUT, asks};
use crate::kinds::{self, ANY_KIND, Kind, UNKNOWN};

/// The field that says when UMAaaS sent the webhook. A retry may have a new value.
const SENT_AT: &str = "timestamp";

/// Identifies the event of a delivery, and checks the delivery's age if a tolerance is set. `limited`: whether the policy
/// has limits, from which a payment that came to nothing is subtracted.
///
/// # Errors
/// [`Outcome::Unidentified`] when the body is not a JSON object or has no `webhookId`, `type` or
/// `timestamp`; [`Outcome::Stale`] when the `timestamp` is outside the tolerance. A `timestamp` that cannot
/// be parsed is no error: it is reported as drift.
pub(crate) fn identify(
    delivery: &Verified<Delivery>,
    tolerance: Option<Tolerance>,
    arrival: Arrival,
    limited: bool,
) -> Result<Identified<Asking>, Outcome> {
    let body = Object::parse(&delivery.body).ok_or(Outcome::Unidentified("the body is not a JSON object"))?;
    let webhook_id = body.filled_text("webhookId").ok_or(Outcome::Unidentified("webhookId is missing"))?;
    let wire = body.filled_text("type").ok_or(Outcome::Unidentified("type is missing"))?;
    body.get(SENT_AT).ok_or(Outcome::Unidentified("timestamp is missing"))?;
    let occurred_at = body.text_or_digits(SENT_AT).and_then(|text| any_time(&text));
    if let (Some(tolerance), Some(sent)) = (tolerance, occurred_at) {
        tolerance.check(sent, arrival.earliest(), arrival.latest()).map_err(Outcome::Stale)?;
    }

    let kind = Kind::of(&wire);
    let wire_part = key_part(&wire);
    // In messages all unknown kinds have the same `type`. The id includes the wire type, so that two unknown
    // kinds with one `webhookId` have different ids.
    let id = match kind {
        Some(_) => bounded_id(webhook_id.clone()),
        None => bounded_id(format!("{wire_part}#{webhook_id}")),
    };
    let asks = asks(&body, &delivery.path);
    let payment = Asking::new(asks, || Payment::read(&body, &LAYOUT, occurred_at, arrival.received_at));
    let undone = limited && wire == kinds::INCOMING_PAYMENT && is_undone(&body, &LAYOUT);
    let event = Event {
        kind: kind.map_or(UNKNOWN, |kind| kind.name).into(),
        key: format!("umaaas#{wire_part}#{}", key_part(&webhook_id)),
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
    Ok(Identified { event, payment, undone })
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
