//! The message: one JSON document that holds the provider's bytes, within what SQS takes.

use std::io::Read;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use webhook_ingest::{MAX_MESSAGE_BYTES, Message, Record, memory, queue_accepts};

fn record(payload: impl Into<Bytes>) -> Record {
    let received_at = Timestamp::from_millisecond(1_793_610_901_234).expect("a time");
    Record {
        kind: "umaaas.test".into(),
        id: "Webhook:1".into(),
        source: "/umaaas/test-webhook".into(),
        occurred_at: "2026-11-02T09:15:00+00:00".parse().ok(),
        path: "/umaaas".into(),
        delivery_id: "d-1".into(),
        ..memory::record("umaaas#TEST#Webhook:1", payload, received_at)
    }
}

/// Checks a message against `events/envelope.schema.json`.
fn assert_valid(message: &str) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = include_str!("../../../events/envelope.schema.json");
        jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema")
    });
    let envelope = serde_json::from_str(message).expect("JSON");
    SCHEMA.validate(&envelope).unwrap_or_else(|wrong| panic!("{wrong}: {message:.1000}"));
}

/// The provider's bytes, as a consumer gets them out of a message.
fn data(message: &str) -> Vec<u8> {
    let envelope: Value = serde_json::from_str(message).expect("JSON");
    let Some(encoded) = envelope.get("data_base64") else {
        let (_, data) = message.split_once(r#","data":"#).expect("data or data_base64");
        return data.strip_suffix('}').expect("the envelope's end").into();
    };
    let decoded = BASE64.decode(encoded.as_str().expect("text")).expect("base64");
    if envelope.get("dataencoding").is_none() {
        return decoded;
    }
    let mut data = Vec::new();
    GzDecoder::new(decoded.as_slice()).read_to_end(&mut data).expect("gzip");
    data
}

#[test]
fn the_envelope() {
    let message = Message::new(&record(r#"{"a": 1.0}"#), true);
    let expected = concat!(
        r#"{"specversion":"1.0","id":"Webhook:1","source":"/umaaas/test-webhook","type":"umaaas.test","#,
        r#""time":"2026-11-02T09:15:00Z","datacontenttype":"application/json","#,
        r#""receivedat":"2026-11-02T09:15:01.234Z","deliveryid":"d-1","path":"/umaaas","reply":200,"replyconfirmed":true,"data":{"a": 1.0}}"#,
    );
    assert_eq!(message.body, expected);
    assert_valid(&message.body);
    let attributes = message.attributes.map(|(name, value)| format!("{name}={value}"));
    assert_eq!(attributes, ["source=/umaaas/test-webhook", "type=umaaas.test", "id=Webhook:1"]);
}

#[test]
fn bodies_that_cannot_go_as_they_are() {
    let plain = format!(r#"{{"a":"{}"}}"#, "x".repeat(1000));
    let noncharacter = "{\"a\":\"\u{fffe}\"}".to_owned();
    let large = format!(r#"{{"a":"{}"}}"#, "large ".repeat(400_000));
    // JSON has these escaped only; our reader takes them in names.
    let control = "{\"a\nb\":1}".to_owned();
    let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
    for (body, as_text, gzipped) in
        [(plain, true, false), (noncharacter, false, false), (control, false, false), (large, false, true)]
    {
        let message = Message::new(&record(body.clone()), true).body;
        assert_valid(&message);
        assert_eq!(data(&message), body.as_bytes(), "{body:.20}");
        assert_eq!(message.contains(r#","data":"#), as_text, "{body:.20}");
        assert_eq!(message.contains(r#""dataencoding":"gzip""#), gzipped, "{body:.20}");
    }
    assert!(Message::new(&record(deep), true).body.contains(r#","data":"#), "as deep as a body may be");
}

#[test]
fn one_subject_is_one_group_and_one_key_one_deduplication() {
    let message = Message::new(&record("{}"), true);
    let about = |subject: &str| {
        Message::new(&Record { subject: Some(subject.into()), ..record("{}") }, true).group_id
    };
    assert_eq!(about("Transaction:1"), about("Transaction:1"));
    assert_ne!(about("Transaction:1"), about("Transaction:2"));
    assert_eq!(about("Webhook:1"), message.group_id, "without a subject, the id");
    let later = Record { delivery_id: "d-2".into(), received_at: Timestamp::UNIX_EPOCH, ..record("{ }") };
    assert_eq!(Message::new(&later, false).deduplication_id, message.deduplication_id);
}

#[test]
fn a_time_that_rfc_3339_cannot_write_is_left_out() {
    for (time, written) in [("0000-01-01T00:00:00Z", true), ("-000001-12-31T23:59:59Z", false)] {
        let message = Message::new(&Record { occurred_at: time.parse().ok(), ..record("{}") }, true).body;
        assert_valid(&message);
        assert_eq!(message.contains(r#""time""#), written, "{message}");
    }
}

proptest! {
    #[test]
    fn every_message_is_one_that_sqs_takes(
        texts in prop::array::uniform4("\\PC{0,30}|[\\x00-\\x1f\u{fffe}\u{ffff}\\\\\"]{0,9}"),
        body in "[^\\x00-\\x1f]{0,50}",
    ) {
        let [id, subject, path, call_ref] = texts;
        let (id, subject, path) = (format!("{id}."), format!("{subject}."), format!("/{path}"));
        let body = json!({ "a": body }).to_string();
        let odd = Record { id, subject: Some(subject), path, call_ref: Some(call_ref), ..record(body.clone()) };
        let message = Message::new(&odd, true);
        prop_assert!(queue_accepts(&message.body));
        assert_valid(&message.body);
        prop_assert!(message.body.len() <= MAX_MESSAGE_BYTES);
        prop_assert_eq!(data(&message.body), body.as_bytes());
        let envelope: Value = serde_json::from_str(&message.body).expect("JSON");
        prop_assert_eq!(envelope["id"].as_str(), Some(odd.id.as_str()));
        prop_assert_eq!(envelope["path"].as_str(), Some(odd.path.as_str()));
        for (_, value) in &message.attributes {
            prop_assert!(!value.is_empty() && queue_accepts(value));
        }
        // SQS: at most 128 characters, alphanumeric or punctuation
        for id in [&message.group_id, &message.deduplication_id] {
            prop_assert!((1..=128).contains(&id.len()));
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn messages_stay_below_the_limit_at_any_size(size in (1024 * 1024 - 3000)..(1024 * 1024 + 100usize), wide: bool) {
        let filler = if wide { "é".repeat(size / 2) } else { "x".repeat(size) };
        let body = format!("{{\"a\":\"{filler}\"}}");
        let message = Message::new(&record(body.clone()), true);
        assert_valid(&message.body);
        prop_assert!(message.size() <= MAX_MESSAGE_BYTES);
        prop_assert!(data(&message.body) == body.as_bytes());
    }
}

#[test]
fn a_replay_is_the_same_event_in_a_delivery_of_its_own() {
    let record = record(r#"{"a": 1.0}"#);
    let fields = |message: &Message| -> Value { serde_json::from_str(&message.body).expect("JSON") };
    let first = Message::new(&record, true);
    let (one, again, other) = (
        Message::replay(&record, true, "r1"),
        Message::replay(&record, true, "r1"),
        Message::replay(&record, true, "r2"),
    );
    assert_eq!(one, again, "within a run it is the same message");
    assert_eq!((one.group_id, &one.attributes), (first.group_id, &first.attributes));
    let ids = [first.deduplication_id, one.deduplication_id, other.deduplication_id.clone()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert_eq!(ids[2], webhook_ingest::sha256_hex(b"umaaas#TEST#Webhook:1#r2"));

    // nothing else differs
    assert_valid(&other.body);
    let (mut before, mut after) = (fields(&Message::new(&record, true)), fields(&other));
    assert_eq!((&after["replayof"], &after["id"]), (&json!("d-1"), &json!("Webhook:1")));
    assert_ne!(after["deliveryid"], fields(&again)["deliveryid"]);
    assert_eq!(data(&other.body), record.payload);
    for message in [&mut before, &mut after] {
        let message = message.as_object_mut().expect("an object");
        message.remove("deliveryid");
        message.remove("replayof");
    }
    assert_eq!(before, after);
}
