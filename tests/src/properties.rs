//! The properties that hold for every input. Each function takes bytes and panics when its property does not
//! hold. `tests/e2e/properties.rs` calls the functions with inputs from proptest, the targets in `tests/fuzz`
//! with inputs from a fuzzer.
//!
//! Common to all properties: nothing panics, and no delivery without a valid signature is acknowledged.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use aws::gateway::{GatewayEvent, GatewayRequest, GatewayResponse};
use futures_util::FutureExt;
use grid::Grid;
use http::{HeaderName, HeaderValue, Method};
use ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use ingest::{
    Breakers, Decision, MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, Message, Object, Provider, Receiver, Record,
    Report, Request, StoredPayload, Switch, Verdict, bounded_id, epoch_time, queue_accepts,
};
use jiff::{SignedDuration, Timestamp};
use local_stack::keys::SigningKey;
use local_stack::senders::Sender;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use umaaas::{Policy, SIGNATURE, Umaaas};
use verify::{Delivery, Keys, Part, Scheme};
use weavr::{Demand, Family, SIGNATURE_V1, SIGNATURE_V2, Weavr};

use crate::{provider_bytes, unique, valid_envelope};

type Deployment<P> = Receiver<P, Arc<Keys>, MemoryStore, MemorySink, MemoryDirectory, MemoryControl>;

/// One deployment for all inputs, because reading the policy is slow.
static UMAAAS: LazyLock<Mutex<Deployment<Umaaas>>> = LazyLock::new(|| {
    let policy = Policy::sample().unwrap();
    Mutex::new(deployment(Umaaas::new(None, Some(policy))))
});

static GRID: LazyLock<Mutex<Deployment<Grid>>> = LazyLock::new(|| {
    let policy = Policy::sample().unwrap();
    Mutex::new(deployment(Grid::new(None, Some(policy))))
});

const TIMESTAMP: &str = "1793612075500";
const WEAVR_UNKNOWN: &str = "/weavr/managed_cards/state_change/watch";
const BODY: &[u8] = br#"{"webhookId":"1","type":"TEST","timestamp":"2026-11-02T09:15:00Z"}"#;

/// The lines of the input are headers: signature, `published-timestamp` and `call-ref`. A delivery with the
/// signature from the input is refused. With a valid signature it is accepted, and with a changed digest it
/// is refused again.
pub fn headers(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let mut next = || lines.next()?.ok();
    let (made_up, published, call_ref) = (next(), next(), next());

    let mut delivery = Delivery::new("/umaaas", BODY);
    insert(&mut delivery, SIGNATURE.header, &made_up);
    refused_unless_signed(&umaaas_anew(), &delivery, SIGNATURE, "umaaas");

    let mut delivery = Delivery::new(WEAVR_UNKNOWN, BODY);
    insert(&mut delivery, "published-timestamp", &published);
    insert(&mut delivery, "call-ref", &call_ref);
    for (demand, scheme) in [(Demand::V1, SIGNATURE_V1), (Demand::V2, SIGNATURE_V2)] {
        let receiver = weavr_anew(Family::Other, demand);
        let mut forged = delivery.clone();
        insert(&mut forged, SIGNATURE_V1.header, &made_up);
        insert(&mut forged, SIGNATURE_V2.header, &made_up);
        refused_unless_signed(&receiver, &forged, scheme, "weavr");

        let mut signed = delivery.clone();
        if !(sign(&mut signed, SIGNATURE_V1, "weavr") && sign(&mut signed, SIGNATURE_V2, "weavr")) {
            continue; // no timestamp, or two
        }
        let digits = signed.headers["published-timestamp"].as_bytes();
        let number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        assert_eq!(post(&receiver, &signed).status, if number { 200 } else { 400 });
        assert_messages(&receiver, usize::from(number), BODY);

        let digest = signed.headers[scheme.header].to_str().unwrap();
        let other = format!("{}{}", if digest.starts_with('A') { 'B' } else { 'A' }, &digest[1..]);
        signed.headers.insert(scheme.header, other.parse().unwrap());
        assert_eq!(post(&receiver, &signed).status, 503);
    }
}

/// The message of any record is valid, is not too large, has only characters that SQS accepts, and contains
/// the exact body. The first six lines of the input are fields of the record, the rest is its body.
pub fn envelope(input: &[u8]) {
    let mut lines = input.splitn(7, |byte| *byte == b'\n');
    let mut next = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let [id, subject, path, call_ref, drift, time] = [(); 6].map(|()| next());
    let text = next();
    let object = Object::parse(text.as_bytes()).is_some();
    let payload = if object { text } else { json!({"text": text}).to_string() };
    let verdict = match payload.len() % 4 {
        0 => None,
        1 => Some(Verdict::Approve),
        2 => Some(Verdict::Reject { reason: "no_policy".into(), message: drift.clone() }),
        _ => Some(Verdict::RequestInformation { required_fields: vec!["TAX_ID".into(), "ADDRESS".into()] }),
    };
    let record = Record {
        key: format!("umaaas#TEST#{id}"),
        kind: "umaaas.test".into(),
        id: bounded_id(format!("{id}.")),
        source: "/umaaas/test-webhook".into(),
        subject: Some(bounded_id(subject)).filter(|subject| !subject.is_empty()),
        occurred_at: epoch_time(&time),
        published_at: epoch_time(&time),
        path: format!("/{path}"),
        call_ref: Some(call_ref),
        drift: vec![drift].into_iter().filter(|drift| !drift.is_empty()).collect(),
        content_sha256: String::new(),
        conflict_of: None,
        held: false,
        left_to_reconciler: false,
        decision: verdict.map(Decision::new),
        reply: 200,
        delivery_id: "delivery".into(),
        trace_id: None,
        verified_by: None,
        attempts: 1,
        received_at: now(),
        stored: StoredPayload { bytes: payload.clone().into(), encoding: None, sha256: String::new() },
        payload: payload.clone().into(),
    };
    assert_message(&Message::new(&record, true), payload.as_bytes());
}

/// A body for UMAaaS, with the sample policy. When the event can be identified, the decision determines the
/// reply, and there is exactly one message. A payment is approved only with all facts that the policy
/// requires.
pub fn umaaas(body: &[u8]) {
    let mut paths = vec!["/umaaas"];
    paths.extend(umaaas::KINDS.iter().map(|kind| kind.path));
    let path = paths[body.len() % paths.len()];
    let receiver = umaaas_anew();
    refused_unless_signed(&receiver, &Delivery::new(path, body.to_vec()), SIGNATURE, "umaaas");

    let Some(decision) = decided_once(&receiver, &umaaas_delivery(path, body), body) else { return };
    drop(receiver);

    // Some bodies whose event is identified cannot be parsed into a `Value`: too deep, for example.
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
    let status = body["transaction"]["status"].as_str();
    let informational = status.is_some_and(|status| INFORMATIONAL.contains(&status));
    if body["type"] == "INCOMING_PAYMENT" {
        assert!(decision.is_some() || informational, "{body}");
    } else {
        assert!(matches!(decision, None | Some("reject")), "nothing else can be approved: {body}");
        let named =
            body["type"].as_str().is_some_and(|kind| kind.to_uppercase().contains("INCOMING_PAYMENT"));
        let incoming = body["transaction"]["type"] == "INCOMING" && !informational;
        assert!(decision.is_some() || !(named || incoming), "{body}");
    }
    if decision != Some("approve") {
        return;
    }
    for names in [&["fullName"][..], &["dateOfBirth", "BIRTH_DATE"]] {
        let mut without = body.clone();
        let facts = without["transaction"]["counterpartyInformation"].as_object_mut().unwrap();
        let before = facts.len();
        // A name with letters beyond ASCII may look like any other.
        facts.retain(|name, _| name.is_ascii() && names.iter().all(|known| look(known) != look(name)));
        assert!(facts.len() < before, "approved without {names:?}");
        let status = post(&umaaas_anew(), &umaaas_delivery(path, without.to_string().as_bytes())).status;
        assert!(matches!(status, 403 | 422), "{status} without {names:?}");
    }
    body["transaction"]["counterpartyInformation"]["nationality"] = "kp".into();
    assert_eq!(post(&umaaas_anew(), &umaaas_delivery(path, body.to_string().as_bytes())).status, 403);
}

/// A body of Grid under the sample policy. As for UMAaaS; an incoming payment is decided under every `type`, unless it is
/// surely informational.
pub fn grid(body: &[u8]) {
    let receiver = grid_anew();
    refused_unless_signed(&receiver, &Delivery::new("/grid", body.to_vec()), grid::SIGNATURE, "grid");

    let Some(decision) = decided_once(&receiver, &grid_delivery(body), body) else { return };
    drop(receiver);

    // Some bodies that are identified are too deep or too odd for this parser.
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
    let status = body["data"]["status"].as_str();
    let informational = status.is_some_and(|status| INFORMATIONAL.contains(&status));
    let rail = body["data"]["source"]["paymentRail"].is_string();
    let named = body["type"].as_str().is_some_and(|kind| kind.to_uppercase().contains("INCOMING_PAYMENT"));
    if !informational && !rail && (named || body["data"]["type"] == "INCOMING") {
        assert!(decision.is_some(), "{body}");
    }
    if decision != Some("approve") {
        return;
    }
    for names in [&["fullName", "FULL_NAME"][..], &["dateOfBirth", "DATE_OF_BIRTH", "BIRTH_DATE"]] {
        let mut without = body.clone();
        let facts = without["data"]["counterpartyInformation"].as_object_mut().unwrap();
        let before = facts.len();
        facts.retain(|name, _| name.is_ascii() && names.iter().all(|known| look(known) != look(name)));
        assert!(facts.len() < before, "approved without {names:?}");
        let status = post(&grid_anew(), &grid_delivery(without.to_string().as_bytes())).status;
        assert!(matches!(status, 403 | 422), "{status} without {names:?}");
    }
    body["data"]["counterpartyInformation"]["NATIONALITY"] = "kp".into();
    assert_eq!(post(&grid_anew(), &grid_delivery(body.to_string().as_bytes())).status, 403);
}

/// Delivers twice. When the event can be identified and recorded, the decision determines the reply, and there is exactly
/// one message: returns the decision's name, if there is a decision. `None` for any other event, which has no message.
fn decided_once<P: Provider>(
    receiver: &Deployment<P>,
    delivery: &Delivery,
    body: &[u8],
) -> Option<Option<&'static str>> {
    let report = post(receiver, delivery);
    if report.kind.is_none() {
        assert_eq!(report.status, 400);
        assert_messages(receiver, 0, body);
        return None;
    }
    if report.status == 413 {
        assert!(body.len() > MAX_PAYLOAD_BYTES);
        assert_messages(receiver, 0, body);
        return None;
    }
    assert_messages(receiver, 1, body);
    let message = receiver.sink.messages().remove(0).body;
    let envelope = message.split_once(r#","data":"#).map_or(message.as_str(), |(envelope, _)| envelope);
    let decision = ["approve", "reject", "request_information"]
        .into_iter()
        .find(|name| envelope.contains(&format!(r#","decision":"{name}","#)));
    let expected = match decision {
        None | Some("approve") => 200,
        Some("reject") => 403,
        Some(_) => 422,
    };
    assert_eq!(report.status, expected, "{message}");
    assert_eq!(post(receiver, delivery).status, 409);
    assert_messages(receiver, 1, body);
    Some(decision)
}

/// The statuses of a payment that needs no decision.
const INFORMATIONAL: [&str; 7] =
    ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"];

/// The letters and digits of a field name, with letters and digits that look alike replaced by the same one.
/// Versions of the API spell names differently, and a policy reads every name that looks like a documented
/// one.
fn look(name: &str) -> String {
    let name = name.replace('|', "l").to_ascii_lowercase().replace('m', "rn");
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let looks = letters.map(|c| match c {
        '0' => 'o',
        '1' | 'i' => 'l',
        other => other,
    });
    looks.collect()
}

/// A body for Weavr at every path, with both signatures. A JSON object is accepted at every path and becomes
/// one message; any other body is refused at every path.
pub fn weavr(body: &[u8]) {
    let is_object = Object::parse(body).is_some();
    let known = weavr::KINDS.iter().map(|kind| (kind.family, kind.path));
    for (family, path) in known.chain([(Family::Other, WEAVR_UNKNOWN)]) {
        let demand = if path.len().is_multiple_of(2) { Demand::V1 } else { Demand::V2 };
        let receiver = weavr_anew(family, demand);
        let mut delivery = Delivery::new(path, body.to_vec());
        delivery.headers.insert("published-timestamp", HeaderValue::from_static(TIMESTAMP));
        refused_unless_signed(&receiver, &delivery, SIGNATURE_V2, "weavr");

        assert!(sign(&mut delivery, SIGNATURE_V1, "weavr") && sign(&mut delivery, SIGNATURE_V2, "weavr"));
        for _ in 0..2 {
            let status = post(&receiver, &delivery).status;
            if status == 413 {
                assert!(body.len() > MAX_PAYLOAD_BYTES);
                return assert_messages(&receiver, 0, body);
            }
            assert_eq!(status, if is_object { 200 } else { 400 }, "{path}");
            assert_messages(&receiver, usize::from(is_object), body);
        }
    }
}

/// An event of a gateway, sent to all providers. Every JSON can be read as an event; an event that is not
/// HTTP is not a request.
pub fn gateway(event: &[u8]) {
    let is_json = serde_json::from_slice::<&RawValue>(event).is_ok();
    let event = serde_json::from_slice::<GatewayEvent>(event);
    assert_eq!(event.is_ok(), is_json);
    let Ok(GatewayEvent { http: Some(GatewayRequest { request, format }) }) = event else { return };
    let delivery = Delivery {
        path: request.path.clone(),
        headers: request.headers.clone(),
        body: request.body.clone().unwrap_or_default(),
    };
    let replies = [
        (SIGNATURE, "umaaas", receive(&umaaas_anew(), request.clone()).0),
        (grid::SIGNATURE, "grid", receive(&grid_anew(), request.clone()).0),
        (SIGNATURE_V2, "weavr", receive(&weavr_anew(Family::Other, Demand::V2), request.clone()).0),
    ];
    for (scheme, provider, reply) in replies {
        let genuine =
            request.body.is_some() && scheme.check(&delivery, &signing_key(provider).keys()).is_ok();
        assert!(genuine || !acknowledged(reply.status), "{provider}: {}", reply.status);
        let status = reply.status;
        let response = serde_json::to_value(GatewayResponse { reply, format }).unwrap();
        assert_eq!(response["statusCode"], status);
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_793_612_075_500).unwrap()
}

/// The key that the fixtures in `events/` are signed with.
fn signing_key(provider: &str) -> SigningKey {
    Sender::named(provider).unwrap().signing_key()
}

fn deployment<P: Provider>(provider: P) -> Deployment<P> {
    let store = MemoryStore::new(SignedDuration::from_hours(24));
    let secrets = Arc::new(signing_key(P::NAME).keys());
    Receiver {
        provider,
        secrets,
        store,
        sink: MemorySink::default(),
        directory: MemoryDirectory::default(),
        clock: now,
        switch: Switch::new(MemoryControl::default()),
        breakers: Breakers::default(),
    }
}

/// The deployment of UMAaaS with an empty store and an empty queue.
fn umaaas_anew() -> MutexGuard<'static, Deployment<Umaaas>> {
    let mut receiver = UMAAAS.lock().unwrap_or_else(PoisonError::into_inner);
    receiver.store = MemoryStore::new(SignedDuration::from_hours(24));
    receiver.sink = MemorySink::default();
    receiver
}

fn grid_anew() -> MutexGuard<'static, Deployment<Grid>> {
    let mut receiver = GRID.lock().unwrap_or_else(PoisonError::into_inner);
    receiver.store = MemoryStore::new(SignedDuration::from_hours(24));
    receiver.sink = MemorySink::default();
    receiver
}

fn grid_delivery(body: &[u8]) -> Delivery {
    let mut delivery = Delivery::new("/grid", body.to_vec());
    assert!(sign(&mut delivery, grid::SIGNATURE, "grid"));
    delivery
}

fn weavr_anew(family: Family, demand: Demand) -> Deployment<Weavr> {
    deployment(Weavr::new(family, demand, None))
}

fn umaaas_delivery(path: &str, body: &[u8]) -> Delivery {
    let mut delivery = Delivery::new(path, body.to_vec());
    assert!(sign(&mut delivery, SIGNATURE, "umaaas"));
    delivery
}

fn insert(delivery: &mut Delivery, header: &'static str, value: &Option<HeaderValue>) {
    delivery.headers.extend(value.iter().map(|value| (HeaderName::from_static(header), value.clone())));
}

/// Signs the delivery. Returns false when a header that the signature covers is missing.
fn sign(delivery: &mut Delivery, scheme: Scheme, provider: &str) -> bool {
    let is_there = |part: &Part| match part {
        Part::Header(name) => matches!(delivery.unjoined(name), Ok(Some(_))),
        Part::OptionalHeader(name) => delivery.single(name).is_ok(),
        Part::Body => true,
    };
    if !scheme.signed.iter().all(is_there) {
        return false;
    }
    let signature = signing_key(provider).sign(&scheme, delivery);
    delivery.headers.insert(scheme.header, signature.parse().unwrap());
    true
}

fn post<P: Provider>(receiver: &Deployment<P>, delivery: &Delivery) -> Report {
    let Delivery { path, headers, body } = delivery.clone();
    let request = Request { method: Method::POST, path, headers, body: Some(body), ..Request::default() };
    receive(receiver, request).1
}

fn receive<P: Provider>(receiver: &Deployment<P>, request: Request) -> (ingest::Reply, Report) {
    let all = async {
        let (reply, received) = receiver.receive(request, unique()).await;
        (reply, receiver.finish(received, true).await)
    };
    all.now_or_never().expect("the in-memory ports never wait")
}

/// The statuses after which the provider believes that the event arrived.
fn acknowledged(status: u16) -> bool {
    matches!(status, 200..=299 | 403 | 409 | 422)
}

fn refused_unless_signed<P: Provider>(
    receiver: &Deployment<P>,
    delivery: &Delivery,
    scheme: Scheme,
    provider: &str,
) {
    let status = post(receiver, delivery).status;
    if scheme.check(delivery, &signing_key(provider).keys()).is_err() {
        assert!(!acknowledged(status), "{status}");
        assert!(receiver.sink.messages().is_empty());
    }
}

fn assert_messages<P: Provider>(receiver: &Deployment<P>, count: usize, body: &[u8]) {
    let messages = receiver.sink.messages();
    assert_eq!(messages.len(), count);
    messages.iter().for_each(|message| assert_message(message, body));
}

fn assert_message(message: &Message, body: &[u8]) {
    valid_envelope(&message.body).unwrap_or_else(|wrong| panic!("{wrong}: {}", message.body));
    assert!(provider_bytes(&message.body) == body, "{}", message.body);
    assert!(message.size() <= MAX_MESSAGE_BYTES && queue_accepts(&message.body));
    assert!(message.attributes.iter().all(|(_, value)| !value.is_empty() && queue_accepts(value)));
    for id in [&message.group_id, &message.deduplication_id] {
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
