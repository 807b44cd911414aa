//! Tests every reply for every kind: signed requests through the whole path, on the in-memory ports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use ingest::memory::{MemoryDirectory, MemorySink, MemoryStore};
use ingest::{Breakers, Forwarding, Receiver, Reply, Report, Request, bounded_id, key_part};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use verify::{Delivery, Keys, Secrets, Tolerance};
use webhook_umaaas::{KINDS, SIGNATURE, Umaaas};

const PENDING: &str = include_str!("../../../events/umaaas/incoming_payment.json");
const COMPLETED: &str = include_str!("../../../events/umaaas/incoming_payment.completed.json");
const TEST: &str = include_str!("../../../events/umaaas/test.json");

/// The current time in all tests here: a minute after the pending payment of the fixtures was sent.
fn now() -> Timestamp {
    "2026-11-02T09:26:10Z".parse().unwrap()
}

type UmaaasReceiver = Receiver<Umaaas, Arc<Keys>, MemoryStore, MemorySink, MemoryDirectory>;

fn receiver(secrets: &str, tolerance: Option<Tolerance>) -> UmaaasReceiver {
    Receiver {
        provider: Umaaas::new(tolerance, None),
        secrets: Arc::new(Secrets::parse_list(secrets).unwrap().into()),
        store: MemoryStore::new(SignedDuration::from_hours(24 * 90)),
        sink: MemorySink::default(),
        directory: MemoryDirectory::default(),
        clock: now,
        breakers: Breakers::default(),
    }
}

/// The name and the value of a header line.
type Header<'a> = (&'static str, &'a str);

fn request(path: &str, body: impl Into<Vec<u8>>, headers: &[Header<'_>]) -> Request {
    let mut lines = HeaderMap::new();
    for (name, value) in headers {
        lines.append(*name, value.parse().unwrap());
    }
    Request {
        method: Method::POST,
        path: path.into(),
        headers: lines,
        body: Some(body.into().into()),
        ..Request::default()
    }
}

fn signature(secret: &str, body: &[u8]) -> String {
    let secrets = Secrets::parse_list(secret).unwrap();
    secrets.newest().sign(&SIGNATURE, &Delivery::new("/", body.to_vec())).unwrap()
}

fn signed(path: &str, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    let signature = signature("key", &body);
    request(path, body, &[("X-UMAaas-Signature", &signature)])
}

async fn send(receiver: &UmaaasReceiver, request: Request) -> (Reply, Report) {
    static DELIVERIES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let delivery = DELIVERIES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (reply, received) = receiver.receive(request, format!("delivery-{delivery}")).await;
    as_documented(&reply);
    (reply, receiver.finish(received, true).await)
}

/// Checks a reply's body against the documented shape for its status.
fn as_documented(reply: &Reply) {
    if reply.status == 200 {
        assert_eq!(reply.body, "", "200 has no body");
        return;
    }
    let mut schema: Value = serde_json::from_str(include_str!("replies.schema.json")).unwrap();
    schema["$ref"] = json!(format!("#/$defs/{}", reply.status));
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    jsonschema::validate(&schema, &body).unwrap_or_else(|error| panic!("{}: {error}: {body}", reply.status));
    assert_eq!(reply.retry_after.is_some(), reply.status == 503);
}

/// A fixture with some text in it replaced.
fn with(fixture: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(fixture.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is in the fixture");
        text.replace(from, to)
    })
}

/// The file name and the body of each fixture.
fn fixtures() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/umaaas");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn every_kind_has_a_fixture_and_every_fixture_is_a_documented_kind() {
    let mut seen = BTreeSet::new();
    for (name, body) in fixtures() {
        let receiver = receiver("key", None);
        let (_, report) = send(&receiver, signed("/umaaas", body)).await;
        let kind = report.kind.clone().unwrap_or_else(|| panic!("{name}: {report:?}"));
        assert_eq!(kind, format!("umaaas.{}", name.split('.').next().unwrap()), "{name}");
        assert_eq!(report.drift, Vec::<String>::new(), "{name}");
        seen.insert(kind);
    }
    assert_eq!(seen, KINDS.iter().map(|kind| kind.name.into()).collect());
}

#[tokio::test]
async fn accepted_once_then_409_on_both_urls() {
    for (name, body) in fixtures() {
        let pending = body.contains("PENDING");
        let receiver = receiver("key", None);
        let path = KINDS.iter().find(|kind| body.contains(&format!("\"{}\"", kind.wire))).unwrap().path;

        let (reply, report) = send(&receiver, signed(path, body.clone())).await;
        assert_eq!(reply.status, if pending { 403 } else { 200 }, "{name}");
        assert!(matches!(report.forwarding, Some(Forwarding::Settled)), "{name}");

        let (again, _) = send(&receiver, signed("/umaaas", body.clone())).await;
        assert_eq!(again.status, 409, "{name}");
        let details = serde_json::from_str::<Value>(&again.body).unwrap()["details"].clone();
        assert_eq!(details, if pending { json!({"decision": "reject"}) } else { json!({}) }, "{name}");

        let messages = receiver.sink.messages();
        assert_eq!(messages.len(), 1, "{name}");
        assert!(messages[0].body.ends_with(&format!("\"data\":{body}}}")), "{name}: the provider's bytes");
        let envelope: Value = serde_json::from_str(&messages[0].body).unwrap();
        assert_eq!(envelope["data"], serde_json::from_str::<Value>(&body).unwrap());
        assert_eq!(envelope["source"], path);
        assert_eq!(envelope.get("decision"), pending.then(|| json!("reject")).as_ref());
    }
}

#[tokio::test]
async fn without_a_policy_a_payment_to_decide_is_rejected() {
    let receiver = receiver("key", None);
    let (reply, _) = send(&receiver, signed("/umaaas/incoming-payment", PENDING)).await;
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((reply.status, &body["details"]["reason"]), (403, &json!("no_policy")));
    let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
    assert_eq!((&envelope["decision"], &envelope["decisionreason"]), (&json!("reject"), &json!("no_policy")));
}

#[tokio::test]
async fn only_documented_statuses_are_informational() {
    let status = |status: &str| with(PENDING, &[("\"PENDING\"", status)]);
    for informational in ["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"] {
        let (reply, _) =
            send(&receiver("key", None), signed("/umaaas", status(&format!("\"{informational}\"")))).await;
        assert_eq!(reply.status, 200, "{informational}");
    }
    let undecided =
        ["\"PENDING\"", "\"pending\"", "\"completed\"", "\"COMPLETED \"", "\"ON_HOLD\"", "\"\"", "null", "1"];
    for value in undecided {
        let (reply, _) = send(&receiver("key", None), signed("/umaaas", status(value))).await;
        assert_eq!(reply.status, 403, "{value}");
    }
    for body in [
        with(PENDING, &[("\"status\": \"PENDING\",", "")]),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"t"}"#.to_owned(),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"t","transaction":[]}"#.to_owned(),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"t","transaction":{"status":"COMPLETED","status":"PENDING"}}"#.to_owned(),
    ] {
        let (reply, _) = send(&receiver("key", None), signed("/umaaas", body.clone())).await;
        assert_eq!(reply.status, 403, "{body}");
    }
}

#[tokio::test]
async fn an_unknown_kind_is_forwarded_and_rejected_if_it_may_be_a_payment() {
    let receiver = receiver("key", None);
    let newest = with(TEST, &[("\"TEST\"", "\"USER_VERIFIED\"")]);
    let (reply, report) = send(&receiver, signed("/umaaas", newest)).await;
    assert_eq!((reply.status, report.kind.as_deref()), (200, Some("umaaas.unknown")));
    assert_eq!(report.drift, ["type: is not one of the documented values"]);

    let newer = with(PENDING, &[("\"INCOMING_PAYMENT\"", "\"INCOMING_PAYMENT_V2\"")]);
    let (reply, _) = send(&receiver, signed("/umaaas", newer)).await;
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((reply.status, &body["details"]["reason"]), (403, &json!("unknown_kind")));
    assert_eq!(receiver.sink.messages().len(), 2, "both are forwarded");
}

#[tokio::test]
async fn one_id_with_two_types_is_two_events_and_with_another_content_a_conflict() {
    let receiver = receiver("key", None);
    let bulk = with(TEST, &[("\"TEST\"", "\"BULK_UPLOAD\"")]);
    assert_eq!(send(&receiver, signed("/umaaas", TEST)).await.0.status, 200);
    assert_eq!(send(&receiver, signed("/umaaas", bulk)).await.0.status, 200);

    let id = "Webhook:0193a1c4-7d10-7b02-0000-0000000000a1";
    let key = format!("umaaas#TEST#{id}");
    let restamped = with(TEST, &[("09:15:00Z", "09:15:01Z")]);
    let other = with(TEST, &[("\"type\"", "\"new\":1,\"type\"")]);
    let other_restamped = with(&other, &[("09:15:00Z", "09:45:00Z")]);
    for (body, outcome) in [
        (&restamped, "restamped"),
        (&other, "conflict"),
        (&other, "duplicate"),
        (&other_restamped, "restamped"),
        (&restamped, "restamped"),
    ] {
        let (reply, report) = send(&receiver, signed("/umaaas", body.clone())).await;
        assert_eq!((reply.status, report.outcome.name()), (409, outcome), "{body}");
    }
    assert_eq!(receiver.store.get(&key).unwrap().record.payload, TEST, "the first record is unchanged");
    let content = ingest::sha256_hex(other.replace("\"2026-11-02T09:15:00Z\"", "").as_bytes());
    let beside = receiver.store.get(&format!("{key}#{content}")).unwrap();
    assert_eq!((&beside.record.payload[..], beside.record.reply), (other.as_bytes(), 409));
    let messages = receiver.sink.messages();
    assert_eq!(messages.len(), 3, "a conflict is forwarded as a separate event");
    assert!(messages[2].body.ends_with(&format!("\"data\":{other}}}")));
    let envelope: Value = serde_json::from_str(&messages[2].body).unwrap();
    assert_eq!(envelope["id"], format!("{id}#{}", &content[..16]));
    assert_eq!((&envelope["conflictof"], &envelope["reply"]), (&json!(id), &json!(409)));
    assert_ne!(messages[2].deduplication_id, messages[0].deduplication_id);
}

/// All texts of one to three of these characters.
fn texts(characters: &[char]) -> Vec<String> {
    let longer = |text: &String| characters.iter().map(|next| format!("{text}{next}")).collect::<Vec<_>>();
    let one: Vec<String> = characters.iter().map(char::to_string).collect();
    let two: Vec<String> = one.iter().flat_map(longer).collect();
    let three: Vec<String> = two.iter().flat_map(longer).collect();
    [one, two, three].concat()
}

/// `#` separates the parts of keys and ids, and can occur in the parts. Consumers tell events apart by type and id.
#[tokio::test]
async fn two_events_never_have_the_same_identity() {
    let receiver = receiver("key", None);
    let mut seen = BTreeSet::new();
    let texts = texts(&['a', 'b', '#']);
    let short = texts.iter().map(String::as_str).filter(|text| text.len() < 3);
    for wire in short.chain(["TEST", "BULK_UPLOAD"]) {
        for id in &texts {
            for (content, status) in [("1", 200), ("2", 409)] {
                let body = format!(
                    r#"{{"webhookId":"{id}","type":"{wire}","timestamp":"2026-11-02T09:15:00Z","x":{content}}}"#
                );
                let (reply, report) = send(&receiver, signed("/umaaas", body.clone())).await;
                // 409 in the place of 200 would mean that another event has this key.
                assert_eq!(
                    (reply.status, report.outcome.name() == "conflict"),
                    (status, status == 409),
                    "{body}"
                );
                let sent = receiver.sink.messages().pop().unwrap();
                let envelope: Value = serde_json::from_str(&sent.body).unwrap();
                let (kind, id) = (envelope["type"].clone().to_string(), envelope["id"].clone().to_string());
                assert!(seen.insert((kind, id)), "{body}");
                assert!(seen.insert((sent.deduplication_id, String::new())), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn one_id_with_two_unknown_types_is_two_events() {
    let receiver = receiver("key", None);
    let mut seen = BTreeSet::new();
    for wire in ["NEW", "NEWER"] {
        let body = with(TEST, &[("\"TEST\"", &format!("\"{wire}\""))]);
        assert_eq!(send(&receiver, signed("/umaaas", body)).await.0.status, 200);
        let envelope: Value = serde_json::from_str(&receiver.sink.messages().last().unwrap().body).unwrap();
        assert_eq!(envelope["type"], "umaaas.unknown");
        assert_eq!(envelope["id"], format!("{wire}#Webhook:0193a1c4-7d10-7b02-0000-0000000000a1"));
        seen.insert(envelope["id"].clone().to_string());
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn keys_of_different_events_differ() {
    let receiver = receiver("key", None);
    for (kind, id) in [("A#B", "c"), ("A", "B#c"), ("A", &"x".repeat(2000)), (&"T".repeat(2000), "c")] {
        let body = json!({"type": kind, "webhookId": id, "timestamp": "t"}).to_string();
        assert_eq!(send(&receiver, signed("/umaaas", body)).await.0.status, 200, "{kind:.9} {id:.9}");
    }
}

#[tokio::test]
async fn an_unidentified_body_is_answered_400_if_signed_and_401_if_not() {
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\u{feff}{}",
        "{}",
        r#"{"webhookId":"w","type":"TEST"}"#,
        r#"{"webhookId":"w","timestamp":"t"}"#,
        r#"{"type":"TEST","timestamp":"t"}"#,
        r#"{"webhookId":"","type":"TEST","timestamp":"t"}"#,
        r#"{"webhookId":7,"type":"TEST","timestamp":"t"}"#,
        r#"{"webhookId":"w","type":"TEST","timestamp":null}"#,
        r#"{"webhookId":"\ud800","type":"TEST","timestamp":"t"}"#,
        &"[".repeat(1 << 20),
    ] {
        let receiver = receiver("key", None);
        assert_eq!(send(&receiver, signed("/umaaas", body)).await.0.status, 400, "{body:.40}");
        let forged = request("/umaaas", body, &[("x-umaaas-signature", &"0".repeat(64))]);
        assert_eq!(send(&receiver, forged).await.0.status, 401, "{body:.40}");
        assert!(receiver.sink.messages().is_empty());
    }
}

#[tokio::test]
async fn unusual_bodies_with_an_identity_are_forwarded_byte_for_byte() {
    let deep = format!(r#""x":{}1{}"#, "[".repeat(10_000), "]".repeat(10_000));
    let digits = format!(r#""x":{}"#, "9".repeat(400));
    let odd = [
        "\"b\": 1.0, \"a\" : 1e2,  \"€\":\"\\u20ac\"",
        r#""x":"\ud800""#,
        r#""x":"\u0000""#,
        r#""\ud800":1"#,
        r#""webhookId":"first""#,
        &deep,
        &digits,
    ];
    for extra in odd {
        let body = format!("\n{{ {extra}, \"webhookId\":\"w\",\"type\":\"TEST\",\"timestamp\":\"t\" }}\r\n");
        let receiver = receiver("key", None);
        let (reply, report) = send(&receiver, signed("/umaaas", body.clone())).await;
        assert_eq!((reply.status, report.event_id.as_deref()), (200, Some("w")), "{extra:.40}");
        let message = receiver.sink.messages().remove(0).body;
        assert!(message.ends_with(&format!("\"data\":{body}}}")), "{extra:.40}");
    }
}

#[tokio::test]
async fn drift_is_logged_and_the_event_is_forwarded() {
    let receiver = receiver("key", None);
    let body = with(COMPLETED, &[("50000", "\"50000\""), ("\"quoteId\"", "\"quote\"")]);
    let (reply, report) = send(&receiver, signed("/umaaas/outgoing-payment", body)).await;
    assert_eq!(reply.status, 200);
    let expected = [
        "transaction.receivedAmount.amount: should be an integer",
        "transaction.quote: is not documented",
        "type: should fit the path",
    ];
    assert_eq!(report.drift, expected);
    let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
    assert_eq!(envelope["drift"], expected.join("; "));
}

#[tokio::test]
async fn only_one_correct_signature_header_is_accepted() {
    let good = signature("key", TEST.as_bytes());
    let old = signature("old", TEST.as_bytes());
    let upper = good.to_uppercase();
    let joined = format!("{good}, {good}");
    let extended = format!("{good}00");
    let long = "a".repeat(8192);
    let name = "x-umaaas-signature";
    let cases: [(&str, &[Header<'_>], u16); 13] = [
        ("as documented", &[("X-UMAaas-Signature", &good)], 200),
        ("as spelt elsewhere in the document", &[("X-UMAaaS-Signature", &good)], 200),
        ("lower-case name", &[(name, &good)], 200),
        ("upper-case hex", &[(name, &upper)], 200),
        ("rotated", &[(name, &old)], 200),
        ("none", &[], 401),
        ("truncated", &[(name, &good[..63])], 401),
        ("extended", &[(name, &extended)], 401),
        ("not hex", &[(name, "not-hex")], 401),
        ("8 KB", &[(name, &long)], 401),
        ("twice", &[(name, &good), (name, &good)], 401),
        ("twice, joined by the gateway", &[(name, &joined)], 401),
        ("under another header", &[("x-signature", &good)], 401),
    ];
    for (what, headers, status) in cases {
        let receiver = receiver("key,old", None);
        assert_eq!(send(&receiver, request("/umaaas", TEST, headers)).await.0.status, status, "{what}");
        assert_eq!(receiver.sink.messages().len(), usize::from(status == 200), "{what}");
    }
}

#[tokio::test]
async fn a_tolerance_limits_the_age() {
    let tolerance = |seconds| Some(Tolerance(SignedDuration::from_secs(seconds)));
    for (tolerance, body, status) in [
        (None, TEST.to_owned(), 200),
        (tolerance(3600), TEST.to_owned(), 200),
        (tolerance(60), TEST.to_owned(), 401),
        (tolerance(60), with(TEST, &[("09:15:00Z", "09:31:10Z")]), 200),
        (tolerance(60), with(TEST, &[("09:15:00Z", "09:31:11Z")]), 401),
        (tolerance(3600), with(TEST, &[("2026-11-02T09:15:00Z", "yesterday")]), 200),
        (None, with(TEST, &[("2026-11-02T09:15:00Z", "yesterday")]), 200),
    ] {
        let receiver = receiver("key", tolerance);
        let (reply, _) = send(&receiver, signed("/umaaas", body.clone())).await;
        assert_eq!(reply.status, status, "{tolerance:?} {body}");
        assert_eq!(reply.body.contains("stale_webhook"), status == 401);
    }
}

#[tokio::test]
async fn path_method_and_encoding_decide_the_status() {
    let receiver = receiver("key", None);
    let with_header = |value| {
        let mut request = signed("/umaaas", TEST);
        request.headers.insert("content-encoding", http::HeaderValue::from_static(value));
        request
    };
    let unreadable = Request { body: None, ..signed("/umaaas", TEST) };
    let get = Request { method: Method::GET, ..signed("/umaaas", TEST) };
    let mut compressed = signed("/umaaas", b"\x1f\x8b\x08\x00".as_slice());
    compressed.headers.insert("content-encoding", http::HeaderValue::from_static("gzip"));
    for (what, request, status) in [
        ("unknown path", signed("/umaaas/other", TEST), 404),
        ("below a known path", signed("/umaaas/test-webhook/more", TEST), 404),
        ("known path in upper case", signed("/UMAAAS", TEST), 404),
        ("root path", signed("/", TEST), 404),
        ("GET", get, 405),
        ("JSON with a header that says gzip", with_header("gzip"), 200),
        ("gzip", compressed, 415),
        ("bad base64 from the gateway", unreadable, 400),
        ("identity", with_header("Identity"), 409),
    ] {
        assert_eq!(send(&receiver, request).await.0.status, status, "{what}");
    }
}

#[tokio::test]
async fn a_large_body_is_gzipped_and_a_too_large_body_is_answered_413() {
    let filled =
        |filler: &str| format!(r#"{{"webhookId":"w","type":"TEST","timestamp":"t","x":"{filler}"}}"#);
    let large = filled(&"large ".repeat(800_000));
    let receiver = receiver("key", None);
    assert_eq!(send(&receiver, signed("/umaaas", large.clone())).await.0.status, 200);
    let message = receiver.sink.messages().remove(0).body;
    assert!(message.len() <= ingest::MAX_MESSAGE_BYTES && message.contains(r#""dataencoding":"gzip""#));

    let noise: String = std::iter::successors(Some(1u64), |n| {
        Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
    })
    .map(|n| char::from(b'#' + u8::try_from(n >> 58).unwrap() % 57))
    .take(800_000)
    .collect();
    let (reply, report) = send(&receiver, signed("/umaaas", filled(&noise))).await;
    assert_eq!((reply.status, report.outcome.name()), (413, "too_large"));
    assert_eq!(receiver.sink.messages().len(), 1, "nothing is recorded or sent");
}

/// The name of a documented field, or a random name.
fn field_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("transaction".to_owned()),
        Just("progress".to_owned()),
        Just("errors".to_owned()),
        Just("jobId".to_owned()),
        "[a-z]{1,9}",
    ]
}

/// A random JSON value, in which some names are those of a transaction.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("PENDING")),
        Just(json!("COMPLETED")),
    ];
    let name = prop_oneof![
        Just("status".to_owned()),
        Just("id".to_owned()),
        Just("receivedAmount".to_owned()),
        Just("amount".to_owned()),
        Just("counterpartyInformation".to_owned()),
        "[a-zA-Z]{1,9}",
    ];
    leaf.prop_recursive(4, 30, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|fields| json!(fields)),
        ]
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #[test]
    fn signed_random_bytes_are_answered_400(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let (reply, _) = runtime().block_on(send(&receiver("key", None), signed("/umaaas", body)));
        prop_assert_eq!(reply.status, 400);
    }

    #[test]
    fn a_signed_object_is_always_accepted_and_forwarded(
        kind in prop_oneof!["TEST", "BULK_UPLOAD", "INCOMING_PAYMENT", "OUTGOING_PAYMENT", "\\PC{1,20}"],
        fields in prop::collection::btree_map(field_name(), any_json(), 0..6),
    ) {
        let mut body = json!({"webhookId": "w", "type": kind, "timestamp": "t"});
        for (name, value) in fields {
            body[name] = value;
        }
        let receiver = receiver("key", None);
        let (reply, report) = runtime().block_on(send(&receiver, signed("/umaaas", body.to_string())));
        prop_assert!(matches!(reply.status, 200 | 403), "{}", reply.body);
        let known = KINDS.iter().any(|known| known.wire == kind);
        let id = if known { "w".to_owned() } else { bounded_id(format!("{}#w", key_part(&kind))) };
        prop_assert_eq!(report.event_id, Some(id));
        let message = receiver.sink.messages().remove(0).body;
        let envelope: Value = serde_json::from_str(&message).unwrap();
        prop_assert_eq!(&envelope["data"], &body);
    }

    #[test]
    fn a_payment_with_an_undocumented_status_is_rejected(status in "\\PC{0,20}") {
        prop_assume!(!["COMPLETED", "FAILED", "REFUNDED", "CREATED", "PROCESSING", "REJECTED", "EXPIRED"].contains(&status.as_str()));
        let body = with(PENDING, &[("\"PENDING\"", &json!(status).to_string())]);
        let (reply, _) = runtime().block_on(send(&receiver("key", None), signed("/umaaas", body)));
        prop_assert_eq!(reply.status, 403);
    }

    #[test]
    fn an_unsigned_request_is_always_answered_4xx(
        path in prop_oneof![Just("/umaaas".to_owned()), Just("/umaaas/test-webhook".to_owned()), "\\PC{0,40}"],
        body in prop::collection::vec(any::<u8>(), 0..100),
        header in "[\\x20-\\x7e]{0,80}",
    ) {
        let request = request(&path, body, &[("x-umaaas-signature", &header)]);
        let (reply, _) = runtime().block_on(send(&receiver("key", None), request));
        prop_assert!((400..500).contains(&reply.status));
    }
}
