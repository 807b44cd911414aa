//! Tests every reply for every kind: signed requests through the whole path, on the in-memory ports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method};
use ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use ingest::{Breakers, Receiver, Reply, Report, Request, State, Switch, sha256_hex};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use verify::{Delivery, Keys, Scheme, Secrets, Tolerance};
use webhook_weavr::{Demand, Family, KINDS, Kind, SIGNATURE_V1, SIGNATURE_V2, UNKNOWN, Weavr};

/// The path for the fixture of the unknown kind. Weavr publishes this path, but it is not in `KINDS`.
const UNKNOWN_PATH: &str = "/weavr/managed_cards/state_change/watch";

/// When all deliveries in these tests are published and received, unless a test says otherwise.
const PUBLISHED: &str = "1793612075500";
const LATER: &str = "1793698475500";

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_793_612_075_500).unwrap()
}

fn secrets() -> Secrets {
    Secrets::parse_list("demo-api-key,the-one-before").unwrap()
}

/// Weavr with all its functions, one table and one queue.
struct Deployment {
    receiver: Receiver<Weavr, Arc<Keys>, MemoryStore, MemorySink, MemoryDirectory, MemoryControl>,
    demand: Demand,
    tolerance: Option<Tolerance>,
    deliveries: u32,
}

impl Deployment {
    fn new(demand: Demand) -> Self {
        let receiver = Receiver {
            provider: Weavr::new(Family::Other, demand, None),
            secrets: Arc::new(secrets().into()),
            store: MemoryStore::new(SignedDuration::from_hours(24)),
            sink: MemorySink::default(),
            directory: MemoryDirectory::default(),
            clock: now,
            switch: Switch::new(MemoryControl::default()),
            breakers: Breakers::default(),
        };
        Self { receiver, demand, tolerance: None, deliveries: 0 }
    }

    /// Posts a delivery to the function that serves its path.
    fn post(&mut self, delivery: &Delivery) -> (Reply, Report) {
        let kind = KINDS.iter().find(|kind| kind.path == delivery.path);
        self.post_to(kind.map_or(Family::Other, |kind| kind.family), delivery)
    }

    fn post_to(&mut self, family: Family, delivery: &Delivery) -> (Reply, Report) {
        self.receiver.provider = Weavr::new(family, self.demand, self.tolerance);
        self.deliveries += 1;
        let request = Request {
            method: Method::POST,
            path: delivery.path.clone(),
            headers: delivery.headers.clone(),
            body: Some(delivery.body.clone()),
            ..Request::default()
        };
        let all = async {
            let (reply, received) =
                self.receiver.receive(request, format!("delivery-{}", self.deliveries)).await;
            (reply, self.receiver.finish(received, true).await)
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all)
    }

    /// Posts a delivery, and returns the status and the name of the outcome.
    fn outcome(&mut self, delivery: &Delivery) -> (u16, &'static str) {
        let (reply, report) = self.post(delivery);
        assert_eq!(reply.retry_after.is_some(), reply.status == 503);
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert!(body["message"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
        (reply.status, report.outcome.name())
    }

    fn messages(&self) -> Vec<Value> {
        let messages = self.receiver.sink.messages();
        messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }

    fn last_message(&self) -> Value {
        self.messages().pop().unwrap()
    }
}

const ACCEPTED: (u16, &str) = (200, "accepted");
const DUPLICATE: (u16, &str) = (200, "duplicate");
const CONFLICT: (u16, &str) = (200, "conflict");
const REFUSED: (u16, &str) = (401, "refused");
/// A signature that matches no key may come from a key that we do not have yet.
const UNPROVEN: (u16, &str) = (503, "unproven");

/// A delivery as Weavr sends it, with both signatures.
fn delivery(path: &str, body: impl Into<Bytes>) -> Delivery {
    published(path, body, PUBLISHED)
}

fn published(path: &str, body: impl Into<Bytes>, timestamp: &str) -> Delivery {
    let mut delivery = Delivery::new(path, body);
    delivery.headers.insert("published-timestamp", timestamp.parse().unwrap());
    sign(&mut delivery);
    delivery
}

fn sign(delivery: &mut Delivery) {
    for scheme in [SIGNATURE_V1, SIGNATURE_V2] {
        delivery.headers.insert(scheme.header, signature(scheme, delivery));
    }
}

fn signature(scheme: Scheme, delivery: &Delivery) -> HeaderValue {
    secrets().newest().sign(&scheme, delivery).unwrap().parse().unwrap()
}

fn fixture(kind: &str) -> Bytes {
    let name = kind.strip_prefix("weavr.").unwrap();
    fs::read(format!("{}/../../events/weavr/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap().into()
}

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// What the README says about each kind: whether the body alone is the identity, and the subject and the
/// time of the kind's fixture.
const FACTS: [(&str, bool, &str, &str); 15] = [
    ("weavr.corporates.activated", false, GRACE, AT_PUBLICATION),
    ("weavr.corporates.deactivated", false, GRACE, AT_PUBLICATION),
    ("weavr.corporates.beneficiary", false, "112307410223001600", AT_PUBLICATION),
    ("weavr.corporates.kyb", false, "112307410223001600", AT_PUBLICATION),
    ("weavr.consumers.activated", false, ADA, AT_PUBLICATION),
    ("weavr.consumers.deactivated", false, ADA, AT_PUBLICATION),
    ("weavr.consumers.kyc", false, "112307410223001789", "2026-11-02T09:20:01.345Z"),
    ("weavr.managed_accounts.deposit", true, "112308821004550144", "2026-11-02T09:34:35.12Z"),
    ("weavr.managed_accounts.update", true, "112307488392347600", "2026-11-02T09:30:02.15Z"),
    ("weavr.managed_cards.authorisation", true, "112309900718804992", "2026-11-02T09:55:10.447Z"),
    ("weavr.managed_cards.settlement", true, "112311420066430976", "2026-11-03T09:55:10.012Z"),
    ("weavr.managed_cards.adjustment", true, "112311991283318784", "2026-11-03T10:40:00.999Z"),
    ("weavr.transfers.transaction", true, "112312004553105408", "2026-11-02T09:50:00.512Z"),
    ("weavr.send.transaction", true, "112312117340045312", "2026-11-02T09:53:20.364Z"),
    ("weavr.outgoing_wire_transfers.transaction", true, "112312230889500672", "2026-11-02T09:56:42.015Z"),
];
const AT_PUBLICATION: &str = "2026-11-02T09:34:35.5Z";

// SHA-256 of the e-mail addresses.
const GRACE: &str = "f14785b9509b58cfc3a90d37038392026b89e61c9649adf5f24018565365db9c";
const ADA: &str = "626b16f3d0cf223002d0ebe0ab32d3d84909be4d2194d5f49e10172d6376955f";

#[test]
fn every_kind_has_a_fixture_and_every_fixture_is_a_documented_kind() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/weavr");
    let mut fixtures: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| format!("weavr.{}", path.file_stem().unwrap().to_str().unwrap()))
        .collect();
    fixtures.sort_unstable();
    let mut kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).chain([UNKNOWN]).collect();
    kinds.sort_unstable();
    assert_eq!(fixtures, kinds);
}

#[test]
fn only_the_function_of_its_family_accepts_a_kind() {
    for (name, _, subject, time) in FACTS {
        let kind = kind(name);
        let body = fixture(name);
        let delivery = delivery(kind.path, body.clone());
        for demand in [Demand::V1, Demand::V2] {
            let mut weavr = Deployment::new(demand);
            for other in KINDS.iter().map(|kind| kind.family) {
                if other != kind.family {
                    assert_eq!(weavr.post_to(other, &delivery).0.status, 404, "{name} at {other:?}");
                }
            }
            assert!(weavr.messages().is_empty(), "{name}");
            assert_eq!(weavr.outcome(&delivery), ACCEPTED, "{name}");

            let [message] = &weavr.messages()[..] else { panic!("{name}: one message") };
            assert_eq!(message["type"], name);
            assert_eq!(message["source"], "/weavr");
            assert_eq!(message["path"], kind.path);
            assert_eq!(message["subject"], subject, "{name}");
            assert_eq!(message["time"], time, "{name}");
            assert_eq!(message.get("drift"), None, "{name}");
            let text = &weavr.receiver.sink.messages()[0].body;
            assert!(text.ends_with(&format!("\"data\":{}}}", str::from_utf8(&body).unwrap())), "{name}");
            let key = format!("weavr#{}", message["id"].as_str().unwrap());
            assert_eq!(weavr.receiver.store.get(&key).unwrap().record.payload, body, "{name}");
        }
    }
}

#[test]
fn a_delivery_to_an_unknown_path_is_forwarded_with_the_path() {
    let body = fixture(UNKNOWN);
    for path in [UNKNOWN_PATH, "/weavr/Send/watch", "/weavr/send", "/weavr/é?"] {
        let mut weavr = Deployment::new(Demand::V2);
        assert_eq!(weavr.outcome(&delivery(path, body.clone())), ACCEPTED, "{path}");
        let message = weavr.last_message();
        assert_eq!(message["type"], UNKNOWN);
        assert_eq!(message["path"], path);
        assert_eq!(message["subject"], "112307488392347651");
        assert_eq!(message["time"], "2026-11-02T09:34:35.5Z");
        assert_eq!(message.get("drift"), None);
    }
}

/// The gateway knows each path in one spelling, and routes every other spelling to `weavr-other`.
#[test]
fn a_kind_is_recognised_by_every_spelling_of_its_path() {
    for (name, ..) in FACTS {
        let path = kind(name).path;
        let rest = path.strip_prefix("/weavr/").unwrap();
        for spelt in [
            format!("{path}/"),
            format!("/{path}"),
            format!("/weavr//{rest}"),
            format!("/stage/base{path}"),
            path.trim_start_matches('/').to_owned(),
        ] {
            let mut weavr = Deployment::new(Demand::V2);
            let (reply, report) = weavr.post_to(Family::Other, &delivery(&spelt, fixture(name)));
            assert_eq!((reply.status, report.kind.as_deref()), (200, Some(name)), "{spelt}");
            assert_eq!(weavr.last_message()["path"], path);
            assert_eq!(weavr.outcome(&delivery(path, fixture(name))), DUPLICATE, "{spelt}");
        }
    }
}

#[test]
fn paths_outside_of_weavr_are_answered_404() {
    let mut weavr = Deployment::new(Demand::V2);
    for path in
        ["", "/", "/weavr", "/weavr/", "/weavr//", "/weavrs/send/watch", "/umaaas", "/WEAVR/send/watch"]
    {
        assert_eq!(weavr.outcome(&delivery(path, "{}")), (404, "not_found"), "{path}");
    }
}

#[test]
fn a_redelivery_is_one_event() {
    for demand in [Demand::V1, Demand::V2] {
        for (name, ..) in FACTS {
            let mut weavr = Deployment::new(demand);
            let delivery = delivery(kind(name).path, fixture(name));
            assert_eq!(weavr.outcome(&delivery), ACCEPTED, "{name}");
            assert_eq!(weavr.outcome(&delivery), DUPLICATE, "{name}");
            let mut another_call = delivery.clone();
            another_call.headers.insert("call-ref", HeaderValue::from_static("again"));
            sign(&mut another_call);
            assert_eq!(weavr.outcome(&another_call), DUPLICATE, "{name}");
            assert_eq!(weavr.messages().len(), 1, "{name}");
        }
    }
}

#[test]
fn the_same_body_with_a_later_timestamp_is_a_duplicate_only_if_the_body_identifies_the_event() {
    for (name, by_body_alone, ..) in FACTS {
        let mut weavr = Deployment::new(Demand::V2);
        assert_eq!(weavr.outcome(&published(kind(name).path, fixture(name), PUBLISHED)), ACCEPTED);
        let again = weavr.outcome(&published(kind(name).path, fixture(name), LATER));
        assert_eq!(again, if by_body_alone { DUPLICATE } else { ACCEPTED }, "{name}");
        assert_eq!(weavr.messages().len(), if by_body_alone { 1 } else { 2 }, "{name}");
    }
}

#[test]
fn bodies_that_do_not_identify_the_event_need_the_timestamp() {
    for (body, by_body_alone) in [
        (r#"{"transactionId":7}"#, true),
        (r#"{"transactionId":"7"}"#, true),
        (r#"{"publishedTimestamp":"1793612075500"}"#, true),
        (r#"{"transactionId":0}"#, false),
        (r#"{"transactionId":"0"}"#, false),
        (r#"{"transactionId":""}"#, false),
        (r#"{"transactionId":null}"#, false),
        (r#"{"transactionId":"none"}"#, false),
        (r#"{"transactionId":7,"transactionId":0}"#, false),
        (r#"{"transactionId":{"id":7}}"#, false),
        (r#"{"transaction":{"transactionId":7}}"#, false),
        (r#"{"publishedTimestamp":0}"#, false),
        (r#"{"publishedTimestamp":-1}"#, false),
        (r#"{"timestamp":"1793612075500"}"#, false),
        (r#"{"transactionTimestamp":"1793612075500"}"#, false),
        (r#"{"eventTimestamp":"1793612075500"}"#, false),
        ("{}", false),
    ] {
        for path in [UNKNOWN_PATH, kind("weavr.managed_accounts.deposit").path] {
            let mut weavr = Deployment::new(Demand::V2);
            assert_eq!(weavr.outcome(&published(path, body, PUBLISHED)), ACCEPTED, "{body}");
            let again = weavr.outcome(&published(path, body, LATER));
            assert_eq!(again, if by_body_alone { DUPLICATE } else { ACCEPTED }, "{body} at {path}");
        }
    }
}

#[test]
fn another_state_of_one_deposit_is_another_event() {
    let path = kind("weavr.managed_accounts.deposit").path;
    let pending = String::from_utf8(fixture("weavr.managed_accounts.deposit").to_vec()).unwrap();
    let completed = pending.replace("\"PENDING\"", "\"COMPLETED\"");
    assert_ne!(pending, completed);
    let mut weavr = Deployment::new(Demand::V2);
    assert_eq!(weavr.outcome(&delivery(path, pending)), ACCEPTED);
    assert_eq!(weavr.outcome(&delivery(path, completed)), ACCEPTED);
    let messages = weavr.messages();
    assert_eq!(messages[0]["subject"], messages[1]["subject"]);
    assert_ne!(messages[0]["id"], messages[1]["id"]);
}

/// No signature covers the path, so an attacker can post a captured delivery on any path.
#[test]
fn the_same_delivery_on_another_path_is_held_as_a_conflict() {
    for demand in [Demand::V1, Demand::V2] {
        for first in &KINDS {
            let mut weavr = Deployment::new(demand);
            let genuine = delivery(first.path, fixture(first.name));
            assert_eq!(weavr.outcome(&genuine), ACCEPTED);
            let id = weavr.last_message()["id"].as_str().unwrap().to_owned();
            let mut held = BTreeSet::new();
            let paths = KINDS.iter().map(|kind| kind.path);
            for path in paths.chain([UNKNOWN_PATH]).filter(|path| *path != first.path) {
                let elsewhere = Delivery { path: path.to_owned(), ..genuine.clone() };
                let (reply, report) = weavr.post(&elsewhere);
                assert_eq!((reply.status, report.outcome.name()), CONFLICT, "{} at {path}", first.name);
                assert!(report.forwarding.is_none(), "{} at {path}", first.name);
                assert_eq!(weavr.outcome(&elsewhere), DUPLICATE, "{} at {path}, again", first.name);
                let key = format!("weavr#{id}#{}", sha256_hex(path.as_bytes()));
                let item = weavr.receiver.store.get(&key).unwrap_or_else(|| panic!("{path} is kept"));
                assert_eq!((item.state, item.expires_at, item.due_at), (State::Conflict, None, None));
                assert_eq!(item.record.conflict_of.as_deref(), Some(id.as_str()));
                assert_eq!(item.record.id, format!("{id}#{}", &sha256_hex(path.as_bytes())[..16]));
                held.insert(item.record.id);
            }
            assert_eq!(held.len(), KINDS.len(), "each path gives a separate conflict");
            assert_eq!(weavr.outcome(&genuine), DUPLICATE);
            assert_eq!(weavr.messages().len(), 1, "{}: no conflict is forwarded", first.name);
        }
    }
}

#[test]
fn paths_that_weavr_does_not_publish_share_one_conflict() {
    let mut weavr = Deployment::new(Demand::V2);
    let genuine =
        delivery(kind("weavr.corporates.deactivated").path, fixture("weavr.corporates.deactivated"));
    assert_eq!(weavr.outcome(&genuine), ACCEPTED);
    let at = |path: &str| Delivery { path: path.to_owned(), ..genuine.clone() };
    // Weavr publishes this path, with the same schema: this may be another event, or a replay.
    assert_eq!(weavr.outcome(&at("/weavr/auth/users/user_deactivated/watch")), CONFLICT);
    // Of all paths that Weavr does not publish, only one is held.
    assert_eq!(weavr.outcome(&at("/weavr/anything")), CONFLICT);
    assert_eq!(weavr.outcome(&at("/weavr/anything/else")), DUPLICATE);
    assert_eq!(weavr.outcome(&at("/weavr//anything//")), DUPLICATE);
    // Another spelling of the first path is the same path.
    assert_eq!(weavr.outcome(&at("/stage/weavr/corporates//corporate_deactivated/watch/")), DUPLICATE);
    assert_eq!(weavr.messages().len(), 1);
}

#[test]
fn every_combination_of_the_two_signatures() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Signature {
        Right,
        Wrong,
        Absent,
    }
    use Signature::{Absent, Right, Wrong};
    const MISCONFIGURED: (u16, &str) = (503, "misconfigured");

    let path = kind("weavr.transfers.transaction").path;
    for (v1, v2, under_v1, under_v2) in [
        (Right, Right, ACCEPTED, ACCEPTED),
        (Right, Wrong, UNPROVEN, UNPROVEN),
        (Right, Absent, ACCEPTED, MISCONFIGURED),
        (Wrong, Right, UNPROVEN, ACCEPTED),
        (Wrong, Wrong, UNPROVEN, UNPROVEN),
        (Wrong, Absent, UNPROVEN, UNPROVEN),
        (Absent, Right, REFUSED, ACCEPTED),
        (Absent, Wrong, REFUSED, UNPROVEN),
        (Absent, Absent, REFUSED, REFUSED),
    ] {
        for call_ref in [None, Some("order-7, second part")] {
            let mut delivery = Delivery::new(path, fixture("weavr.transfers.transaction"));
            delivery.headers.insert("published-timestamp", HeaderValue::from_static(PUBLISHED));
            if let Some(call_ref) = call_ref {
                delivery.headers.insert("call-ref", HeaderValue::from_static(call_ref));
            }
            let other = published(path, "{}", LATER);
            for (scheme, state) in [(SIGNATURE_V1, v1), (SIGNATURE_V2, v2)] {
                match state {
                    Right => delivery.headers.insert(scheme.header, signature(scheme, &delivery)),
                    Wrong => delivery.headers.insert(scheme.header, other.headers[scheme.header].clone()),
                    Absent => None,
                };
            }
            for (demand, expected) in [(Demand::V1, under_v1), (Demand::V2, under_v2)] {
                let mut weavr = Deployment::new(demand);
                assert_eq!(weavr.outcome(&delivery), expected, "v1 {v1:?}, v2 {v2:?} under {demand:?}");
                assert_eq!(weavr.messages().len(), usize::from(expected == ACCEPTED));
                if expected == ACCEPTED {
                    assert_eq!(weavr.last_message()["callref"].as_str(), call_ref);
                }
            }
        }
    }
}

#[test]
fn what_a_signature_covers() {
    let path = kind("weavr.corporates.activated").path;
    let mut genuine = delivery(path, fixture("weavr.corporates.activated"));
    genuine.headers.insert("call-ref", HeaderValue::from_static("order-7"));
    sign(&mut genuine);
    let mut by_v1 = genuine.clone();
    by_v1.headers.remove(SIGNATURE_V2.header);

    type Change = fn(&mut Delivery);
    let changes: [(&str, Change, (u16, &str)); 4] = [
        // The first signature covers only the timestamp, so it still matches after every other change.
        ("body", |delivery| delivery.body = Bytes::from_static(b"{}"), ACCEPTED),
        ("call-ref", |delivery| drop(delivery.headers.remove("call-ref")), ACCEPTED),
        ("timestamp", |delivery| set(delivery, "published-timestamp", LATER), UNPROVEN),
        ("timestamp's text", |delivery| set(delivery, "published-timestamp", "01793612075500"), UNPROVEN),
    ];
    for (what, change, by_the_first) in changes {
        for (demand, original, expected) in [
            (Demand::V1, &by_v1, by_the_first),
            (Demand::V1, &genuine, UNPROVEN),
            (Demand::V2, &genuine, UNPROVEN),
        ] {
            let mut changed = original.clone();
            change(&mut changed);
            assert_eq!(Deployment::new(demand).outcome(&changed), expected, "{what} under {demand:?}");
        }
    }
}

fn set(delivery: &mut Delivery, name: &'static str, value: &str) {
    delivery.headers.insert(name, value.parse().unwrap());
}

#[test]
fn headers_that_occur_twice_are_refused() {
    for demand in [Demand::V1, Demand::V2] {
        for name in ["published-timestamp", "signature", "signature-v2"] {
            if (demand, name) == (Demand::V2, "signature") {
                continue; // no code reads this header under v2
            }
            let genuine = delivery("/weavr/send/watch", "{}");
            let value = genuine.headers[name].clone();
            let mut two_lines = genuine.clone();
            two_lines.headers.append(name, value.clone());
            let mut joined = genuine;
            set(&mut joined, name, &format!("{0}, {0}", value.to_str().unwrap()));
            for delivery in [two_lines, joined] {
                assert_eq!(Deployment::new(demand).outcome(&delivery), REFUSED, "{name}");
            }
        }
        let mut undated = delivery("/weavr/send/watch", "{}");
        undated.headers.remove("published-timestamp");
        assert_eq!(Deployment::new(demand).outcome(&undated), REFUSED);
    }
}

#[test]
fn a_signed_timestamp_that_is_not_a_number_is_answered_400() {
    for text in ["now", "", "-1", "+1", "1.5", "1e3", "0x10", "17 93", "2026-11-02T09:15:00Z", "１"] {
        let mut dated = Delivery::new("/weavr/send/watch", "{}");
        dated.headers.insert("published-timestamp", HeaderValue::from_bytes(text.as_bytes()).unwrap());
        let mut weavr = Deployment::new(Demand::V1);
        assert_eq!(weavr.outcome(&dated), REFUSED, "{text}: the signature is checked first");
        sign(&mut dated);
        assert_eq!(weavr.outcome(&dated), (400, "unidentified"), "{text}");
        assert!(weavr.messages().is_empty());
    }
}

#[test]
fn a_timestamp_can_be_in_seconds_or_milliseconds() {
    let far = "9".repeat(400);
    for (text, time) in [
        ("1793612075", Some("2026-11-02T09:34:35Z")),
        ("1793612075500", Some("2026-11-02T09:34:35.5Z")),
        ("0", Some("1970-01-01T00:00:00Z")),
        ("99999999999", Some("5138-11-16T09:46:39Z")),
        ("100000000000", Some("1973-03-03T09:46:40Z")),
        ("9223372036854775807", None),
        (&far, None),
    ] {
        let mut weavr = Deployment::new(Demand::V2);
        assert_eq!(weavr.outcome(&published("/weavr/send/watch", "{}", text)), ACCEPTED, "{text}");
        assert_eq!(weavr.last_message()["time"].as_str(), time, "{text}");
    }
}

#[test]
fn a_tolerance_limits_the_age() {
    let far = "9".repeat(400);
    const STALE: (u16, &str) = (401, "stale");
    const FUTURE: (u16, &str) = (503, "future");
    for (text, expected) in [
        ("1793612075500", ACCEPTED),
        ("1793612075", ACCEPTED),
        ("1793611475500", ACCEPTED),
        ("1793611475499", STALE),
        ("1793612375500", ACCEPTED),
        ("1793612375501", FUTURE),
        ("0", STALE),
        (&far, FUTURE),
    ] {
        let mut weavr = Deployment::new(Demand::V2);
        weavr.tolerance = Some(Tolerance(SignedDuration::from_mins(10)));
        assert_eq!(weavr.outcome(&published("/weavr/send/watch", "{}", text)), expected, "{text}");
        assert_eq!(weavr.messages().len(), usize::from(expected == ACCEPTED), "{text}");
    }
}

#[test]
fn drift_is_reported_and_the_event_is_forwarded() {
    for (name, pointer, value, drift) in [
        (
            "weavr.corporates.activated",
            "/actionDoneBy",
            json!("ROBOT"),
            "actionDoneBy: is not one of the documented values",
        ),
        ("weavr.corporates.activated", "/emailAddress", Value::Null, "emailAddress: is required"),
        (
            "weavr.corporates.kyb",
            "/details/0",
            json!("NEW"),
            "details[]: is not one of the documented values",
        ),
        (
            "weavr.managed_accounts.deposit",
            "/state",
            json!("REJECTED"),
            "state: is not one of the documented values",
        ),
        (
            "weavr.managed_accounts.deposit",
            "/transactionId",
            json!("x"),
            "transactionId: should be an integer or a string of digits",
        ),
        (
            "weavr.managed_accounts.deposit",
            "/transactionAmount/amount",
            json!(1.5),
            "transactionAmount.amount: should be an integer or a string of digits",
        ),
        ("weavr.managed_cards.authorisation", "/approved", json!("yes"), "approved: should be true or false"),
        ("weavr.send.transaction", "/send", json!([]), "send: should be an object"),
    ] {
        let mut body: Value = serde_json::from_slice(&fixture(name)).unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        let mut weavr = Deployment::new(Demand::V2);
        let (reply, report) = weavr.post(&delivery(kind(name).path, body.to_string()));
        assert_eq!((reply.status, report.outcome.name()), ACCEPTED, "{name} {pointer}");
        assert_eq!(report.drift, [drift]);
        assert_eq!(weavr.last_message()["drift"], drift);
        assert_eq!(weavr.last_message()["data"], body);
    }
}

#[test]
fn a_call_ref_is_forwarded_unless_it_is_repeated() {
    let carried = |values: &[&[u8]]| {
        let mut delivery = Delivery::new("/weavr/anything", "{}");
        delivery.headers.insert("published-timestamp", HeaderValue::from_static(PUBLISHED));
        for value in values {
            delivery.headers.append("call-ref", HeaderValue::from_bytes(value).unwrap());
        }
        delivery.headers.insert(SIGNATURE_V1.header, signature(SIGNATURE_V1, &delivery));
        let mut weavr = Deployment::new(Demand::V1);
        assert_eq!(weavr.outcome(&delivery), ACCEPTED);
        let message = weavr.last_message();
        (message["callref"].as_str().map(str::to_owned), message["drift"].as_str().map(str::to_owned))
    };
    let too_long = Some("call-ref: should have at most 255 characters".to_owned());
    assert_eq!(carried(&[]), (None, None));
    assert_eq!(carried(&[b"order-7"]), (Some("order-7".to_owned()), None));
    assert_eq!(carried(&[b"caf\xe9"]), (Some("caf\u{fffd}".to_owned()), None));
    assert_eq!(carried(&[b"one", b"two"]), (None, None));
    assert_eq!(carried(&[&[b'r'; 255]]), (Some("r".repeat(255)), None));
    assert_eq!(carried(&[&[b'r'; 256]]), (Some("r".repeat(256)), too_long));
}

#[test]
fn any_json_object_is_accepted() {
    let deep = format!(r#"{{"id":{}1{}}}"#, r#"{"id":"#.repeat(10_000), "}".repeat(10_000));
    let list = format!(r#"{{"account":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let digits = format!(r#"{{"transactionId":{0},"transactionTimestamp":"{0}"}}"#, "9".repeat(400));
    let wide = format!("{{{}}}", (0..5000).map(|n| format!(r#""f{n}":1"#)).collect::<Vec<_>>().join(","));
    for body in [
        "{}",
        "\n {} \n",
        r#"{"":null}"#,
        r#"{"emailAddress":"\ud800","transactionId":"\udfff"}"#,
        r#"{"\ud800":"\u0000","id":"\u0000"}"#,
        r#"{"transactionId":[1],"transfer":[{}],"send":"x","account":true,"additionalInformation":7}"#,
        r#"{"details":[[],{},null,1],"event":[["STATUS_UPDATED"]],"eventDetails":{}}"#,
        r#"{"transactionTimestamp":-1e400,"publishedTimestamp":1e400}"#,
        &deep,
        &list,
        &digits,
        &wide,
    ] {
        for path in KINDS.iter().map(|kind| kind.path).chain([UNKNOWN_PATH]) {
            let mut weavr = Deployment::new(Demand::V2);
            let body = Bytes::copy_from_slice(body.as_bytes());
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
            let (reply, report) = weavr.post(&delivery(path, body.clone()));
            assert_eq!((reply.status, report.outcome.name()), ACCEPTED, "{shown} at {path}");
            assert_eq!(weavr.receiver.sink.messages().len(), 1, "{shown} at {path}");
        }
    }
}

#[test]
fn a_body_with_a_byte_order_mark_is_forwarded_in_base64() {
    let body = b"\xef\xbb\xbf{\"id\":\"7\"}".as_slice();
    let mut weavr = Deployment::new(Demand::V2);
    assert_eq!(weavr.outcome(&delivery(UNKNOWN_PATH, body)), ACCEPTED);
    let message = weavr.last_message();
    assert_eq!((&message["data_base64"], message.get("data")), (&json!("77u/eyJpZCI6IjcifQ=="), None));
    assert_eq!(message["subject"], "7", "the body is still parsed");
}

#[test]
fn a_body_that_is_not_a_json_object_is_answered_400() {
    for body in [&b""[..], b"null", b"[]", b"\"{}\"", b"7", b"{", b"{}{}", b"{\"a\":\"\xff\"}"] {
        for path in KINDS.iter().map(|kind| kind.path).chain([UNKNOWN_PATH]) {
            let mut weavr = Deployment::new(Demand::V2);
            assert_eq!(weavr.outcome(&delivery(path, body)), (400, "unidentified"), "{body:?} at {path}");
            assert!(weavr.messages().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn every_delivery_gets_a_known_status_and_a_message_only_with_200(
        path in prop_oneof![
            "\\PC{0,40}",
            "/weavr/\\PC{0,40}",
            prop::sample::select(KINDS.iter().map(|kind| kind.path.to_owned()).collect::<Vec<_>>()),
        ],
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "\\{(\"(id|send|transfer|transactionId|publishedTimestamp|details)\":(\\{\\}|\\[1\\]|\"[0-9]{0,30}\"|[0-9]{1,30}),){0,4}\"emailAddress\":\"\\PC{0,9}\"\\}"
                .prop_map(String::into_bytes),
        ],
        timestamp in prop_oneof![Just(PUBLISHED.as_bytes().to_vec()), "[0-9]{0,30}".prop_map(String::into_bytes), prop::collection::vec(0x20u8..=0xff, 0..20)],
        call_ref in prop::option::of(prop::collection::vec(0x20u8..=0xff, 0..300)),
        digest in prop::option::of("[\\x20-\\x7e]{0,60}"),
        demand in prop::sample::select(vec![Demand::V1, Demand::V2]),
        tolerance in prop::option::of(0i64..=i64::from(u32::MAX)),
    ) {
        let mut delivery = Delivery::new(path, body);
        for (name, value) in [("published-timestamp", Some(timestamp)), ("call-ref", call_ref)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
                delivery.headers.insert(name, value);
            }
        }
        for scheme in [SIGNATURE_V1, SIGNATURE_V2] {
            if let Ok(right) = secrets().newest().sign(&scheme, &delivery) {
                delivery.headers.insert(scheme.header, right.parse().unwrap());
            }
        }
        if let Some(wrong) = digest {
            delivery.headers.insert("signature-v2", wrong.parse().unwrap());
        }
        let mut weavr = Deployment::new(demand);
        weavr.tolerance = tolerance.map(|seconds| Tolerance(SignedDuration::from_secs(seconds)));
        let (status, _) = weavr.outcome(&delivery);
        prop_assert!([200, 400, 401, 404, 503].contains(&status), "{}", status);
        prop_assert_eq!(weavr.receiver.sink.messages().len(), usize::from(status == 200));
    }
}
