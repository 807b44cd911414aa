//! Tests every reply for every kind: signed requests through the whole path, on the in-memory ports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sender;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use decisions::Policy;
use http::Method;
use ingest::memory::MemoryDirectory;
use ingest::{Facts, Reply, Report, Request};
use jiff::SignedDuration;
use proptest::prelude::*;
use sender::{GridReceiver, Sender, request};
use serde_json::{Value, json};
use verify::Tolerance;
use webhook_grid::{Grid, KINDS, UNKNOWN};

const PENDING: &str = include_str!("../../../events/grid/incoming_payment.pending.json");
const REQUESTED: &str = include_str!("../../../events/grid/incoming_payment.pending.requested.json");
const BANK_RAIL: &str = include_str!("../../../events/grid/incoming_payment.pending.bank_rail.json");
const COMPLETED: &str = include_str!("../../../events/grid/incoming_payment.completed.json");
const TEST: &str = include_str!("../../../events/grid/test.json");

fn sample() -> Grid {
    Grid::new(None, Some(Policy::sample().unwrap()))
}

async fn send(receiver: &GridReceiver, request: Request) -> (Reply, Report) {
    static DELIVERIES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let delivery = DELIVERIES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (reply, received) = receiver.receive(request, format!("delivery-{delivery}")).await;
    assert_eq!(reply.retry_after.is_some(), reply.status == 503);
    (reply, receiver.finish(received, true).await)
}

fn json(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

/// A fixture with some text in it replaced.
fn with(fixture: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(fixture.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is in the fixture");
        text.replace(from, to)
    })
}

/// The file name, without its extension, and the body of each fixture.
fn fixtures() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/grid");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    });
    named.collect()
}

#[tokio::test]
async fn every_kind_has_a_fixture_and_every_fixture_is_a_documented_kind() {
    let grid = Sender::new();
    let mut seen = BTreeSet::new();
    for (name, body) in fixtures() {
        let receiver = grid.receiver(sample());
        let (reply, report) = send(&receiver, grid.post(&body)).await;
        let kind = report.kind.clone().unwrap_or_else(|| panic!("{name}: {report:?}"));
        let messages = receiver.sink.messages();
        assert!(messages[0].body.contains(&format!("\"data\":{}", body.trim_end())), "{name}: byte for byte");
        if name == "unknown" {
            assert_eq!((reply.status, kind.as_ref()), (200, UNKNOWN));
            assert_eq!(report.drift, ["type: is not one of the documented values"]);
            continue;
        }
        let (documented, variant) = match name.splitn(3, '.').collect::<Vec<_>>()[..] {
            [object, event, variant] => (format!("grid.{object}.{event}"), Some(variant)),
            _ => (format!("grid.{name}"), None),
        };
        assert_eq!(kind, documented, "{name}");
        assert_eq!(report.drift, Vec::<String>::new(), "{name}");
        assert_eq!(reply.status, if variant == Some("requested") { 403 } else { 200 }, "{name}");
        seen.insert(kind);
    }
    assert_eq!(seen, KINDS.iter().map(|kind| kind.name.into()).collect());
}

#[tokio::test]
async fn a_redelivery_is_409_and_a_conflict_is_forwarded_under_its_own_id() {
    let grid = Sender::new();
    let receiver = grid.receiver(sample());
    assert_eq!(send(&receiver, grid.post(COMPLETED)).await.0.status, 200);
    let restamped = with(COMPLETED, &[("2025-08-15T14:32:00Z", "2025-08-15T15:02:00Z")]);
    for (body, outcome) in [(COMPLETED, "duplicate"), (&restamped, "restamped")] {
        let (reply, report) = send(&receiver, grid.post(body)).await;
        assert_eq!((reply.status, report.outcome.name()), (409, outcome));
        assert_eq!(json(&reply)["code"], "duplicate_webhook");
    }
    assert_eq!(receiver.sink.messages().len(), 1);
    let other = with(COMPLETED, &[("50000", "50001")]);
    assert_eq!(send(&receiver, grid.post(&other)).await.0.status, 409);
    let messages = receiver.sink.messages();
    let id = serde_json::from_str::<Value>(COMPLETED).unwrap()["id"].clone();
    let envelope: Value = serde_json::from_str(&messages[1].body).unwrap();
    assert_eq!(envelope["conflictof"], id);
    // the same id under another type is another event
    let other = with(COMPLETED, &[("INCOMING_PAYMENT.COMPLETED", "INCOMING_PAYMENT.FAILED")]);
    assert_eq!(send(&receiver, grid.post(&other)).await.0.status, 200);
    let envelope: Value = serde_json::from_str(&receiver.sink.messages()[2].body).unwrap();
    assert_eq!((&envelope["id"], &envelope["type"]), (&id, &json!("grid.incoming_payment.failed")));
}

#[tokio::test]
async fn a_payment_that_waits_is_decided_by_the_policy() {
    let grid = Sender::new();
    let no_uma = with(PENDING, &[("\"senderUmaAddress\": \"$sender@external.domain\",", "")]);
    let elsewhere = with(
        &no_uma,
        &[(
            "\"direction\": \"CREDIT\",",
            "\"direction\": \"CREDIT\", \"source\": {\"umaAddress\": \"$sender@external.domain\"},",
        )],
    );
    let twice =
        with(&elsewhere, &[("\"receiverUmaAddress\": \"$recipient@", "\"receiverUmaAddress\": \"$other@")]);
    let restricted = with(PENDING, &[("\"NATIONALITY\": \"US\"", "\"NATIONALITY\": \"KP\"")]);
    let nameless = with(PENDING, &[("\"BIRTH_DATE\": \"1985-06-15\",", "")]);
    let other_type = with(PENDING, &[("INCOMING_PAYMENT.PENDING", "TEST")]);
    let new_type = with(PENDING, &[("INCOMING_PAYMENT.PENDING", "PAYMENT.ARRIVED")]);
    let unsafe_body =
        with(PENDING, &[("\"status\": \"PENDING\",", "\"status\": \"PENDING\", \"status\": \"COMPLETED\",")]);
    for (body, status, said) in [
        (PENDING, 200, ""),
        (&elsewhere, 200, ""),
        (&other_type, 200, ""),
        (&new_type, 200, ""),
        (BANK_RAIL, 200, ""),
        (&restricted, 403, "restricted_jurisdiction"),
        (&no_uma, 403, "undecidable"),
        (&twice, 403, "undecidable"),
        (&unsafe_body, 403, "undecidable"),
        (REQUESTED, 403, "receiver_info_unavailable"),
        (&nameless, 422, "BIRTH_DATE"),
    ] {
        let receiver = grid.receiver(sample());
        let (reply, report) = send(&receiver, grid.post(body)).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        match status {
            200 => assert_eq!(reply.body, "", "{body}"),
            403 => {
                assert_eq!(json(&reply)["reason"], said, "{body}");
                assert_eq!(json(&reply)["code"], "payment_rejected");
                assert_eq!(json(&reply)["details"]["reason"], said);
            }
            _ => assert_eq!(json(&reply)["requiredFields"], json!([said]), "{body}"),
        }
        let decided = body != BANK_RAIL;
        let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
        assert_eq!(envelope.get("decision").is_some(), decided, "{body}");
        assert_eq!(report.outcome.name(), "accepted");
    }
    let receiver = grid.receiver(Grid::new(None, None));
    let (reply, _) = send(&receiver, grid.post(PENDING)).await;
    assert_eq!((reply.status, &json(&reply)["reason"]), (403, &json!("no_policy")));
    let (reply, _) = send(&receiver, grid.post(PENDING)).await;
    assert_eq!((reply.status, &json(&reply)["details"]["decision"]), (409, &json!("reject")));
}

#[tokio::test]
async fn an_approval_brings_the_requested_facts() {
    let grid = Sender::new();
    let facts = Facts([("NATIONALITY".to_owned(), json!("DE"))].into());
    let mut receiver = grid.receiver(sample());
    receiver.directory = MemoryDirectory([("18d3e5f7b4a9c2".to_owned(), facts)].into());
    let (reply, report) = send(&receiver, grid.post(REQUESTED)).await;
    assert_eq!((reply.status, json(&reply)), (200, json!({"receiverCustomerInfo": {"NATIONALITY": "DE"}})));
    assert_eq!(report.outcome.name(), "accepted");
    assert!(!receiver.sink.messages()[0].body.contains("\"DE\""));
}

#[tokio::test]
async fn each_form_of_the_header_is_read_and_forgeries_are_refused() {
    let grid = Sender::new();
    let receiver = grid.receiver(sample());
    let body = |n: u32| with(TEST, &[("Webhook:", &format!("Webhook:{n}-"))]);
    for (n, form) in [
        (1, r#"{"v":1,"s":"@"}"#),
        (2, r#"{"v":"1","s":"@"}"#),
        (3, r#"{"version":"1","signature":"@"}"#),
        (4, "@"),
    ] {
        let body = body(n);
        let header = form.replace('@', &grid.sign(body.as_bytes()));
        assert_eq!(send(&receiver, request(&header, &body)).await.0.status, 200, "{form}");
    }
    let (body, stranger) = (body(5), Sender::new());
    let signature = grid.sign(body.as_bytes());
    for (header, reason) in [
        (stranger.sign(body.as_bytes()), "unproven"),
        (grid.sign(b"{}"), "unproven"),
        (format!(r#"{{"v":2,"s":"{signature}"}}"#), "refused"),
        (format!("{signature},{signature}"), "refused"),
        ("ab".repeat(32), "refused"),
        ("x".to_owned(), "refused"),
    ] {
        let (reply, report) = send(&receiver, request(&header, &body)).await;
        assert_eq!((reply.status, report.outcome.name()), (401, reason), "{header}");
    }
    let (_, report) = send(&receiver, request(&"ab".repeat(32), &body)).await;
    let detail = report.outcome.detail().unwrap();
    assert!(detail.contains("looks like a SHA-256 digest"), "{detail}");
    assert_eq!(receiver.sink.messages().len(), 4);
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let grid = Sender::new();
    let receiver = grid.receiver(sample());
    for body in [
        "",
        "[]",
        "{}",
        r#"{"type":"TEST","timestamp":"2025-08-15T14:32:00Z"}"#,
        r#"{"id":"","type":"TEST","timestamp":"2025-08-15T14:32:00Z"}"#,
        r#"{"id":"1","timestamp":"2025-08-15T14:32:00Z"}"#,
        r#"{"id":"1","type":"TEST"}"#,
    ] {
        assert_eq!(send(&receiver, grid.post(body)).await.0.status, 400, "{body}");
    }
    for path in ["/", "/grid/incoming-payment", "/umaaas"] {
        let request = Request { path: path.into(), ..grid.post(TEST) };
        assert_eq!(send(&receiver, request).await.0.status, 404, "{path}");
    }
    let get = Request { method: Method::GET, ..grid.post(TEST) };
    assert_eq!(send(&receiver, get).await.0.status, 405);
    assert_eq!(receiver.sink.messages().len(), 0);
}

#[tokio::test]
async fn an_old_webhook_is_refused_where_there_is_a_tolerance() {
    let grid = Sender::new();
    let tolerance = Tolerance(SignedDuration::from_hours(24));
    let receiver = grid.receiver(Grid::new(Some(tolerance), None));
    let (reply, _) = send(&receiver, grid.post(TEST)).await;
    assert_eq!((reply.status, &json(&reply)["code"]), (401, &json!("stale_webhook")));
    let fresh = with(TEST, &[("2025-08-15T14:32:00Z", "2026-08-21T14:32:00Z")]);
    assert_eq!(send(&receiver, grid.post(&fresh)).await.0.status, 200);
    let unreadable = with(TEST, &[("2025-08-15T14:32:00Z", "yesterday")]);
    let (reply, report) = send(&receiver, grid.post(&with(&unreadable, &[("Webhook:", "W:")]))).await;
    assert_eq!((reply.status, report.drift), (200, vec!["timestamp: should be an RFC 3339 time".to_owned()]));
}

#[tokio::test]
async fn types_that_are_not_known_keep_their_name_or_become_unknown() {
    let grid = Sender::new();
    let long = "A".repeat(65);
    for (wire, kind, id) in [
        ("LOAN.PAID", "grid.loan.paid", "1"),
        ("loan.paid", "grid.loan.paid", "loan.paid#1"),
        ("test", "grid.test", "test#1"),
        ("A.B.C", UNKNOWN, "A.B.C#1"),
        ("UNKNOWN", UNKNOWN, "UNKNOWN#1"),
        (&long, UNKNOWN, &format!("{long}#1")),
    ] {
        let receiver = grid.receiver(sample());
        let body =
            json!({"id": "1", "type": wire, "timestamp": "2025-08-15T14:32:00Z", "data": {}}).to_string();
        let (reply, report) = send(&receiver, grid.post(&body)).await;
        assert_eq!((reply.status, report.kind.as_deref()), (200, Some(kind)), "{wire}");
        assert_eq!(report.event_id.as_deref(), Some(id), "{wire}");
        assert_eq!(report.drift.len(), 1, "{wire}");
    }
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
    let grid = Sender::new();
    let receiver = grid.receiver(sample());
    let mut seen = BTreeSet::new();
    let texts = texts(&['A', 'a', '#']);
    for wire in texts.iter().filter(|text| text.len() < 3) {
        for id in &texts {
            for (content, status) in [("{}", 200), (r#"{"x":1}"#, 409)] {
                let body = format!(
                    r#"{{"id":"{id}","type":"{wire}","timestamp":"2025-08-15T14:32:00Z","data":{content}}}"#
                );
                let (reply, report) = send(&receiver, grid.post(&body)).await;
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

/// A sender that shares no code with this project: the signature is that of the command `openssl`.
#[tokio::test]
async fn a_signature_of_openssl_verifies() {
    let openssl = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the command openssl");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}");
        output.stdout
    };
    let key = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"");
    let public = String::from_utf8(openssl(&["ec", "-pubout"], &key)).unwrap();
    let file = std::env::temp_dir().join(format!("grid-{}.pem", std::process::id()));
    std::fs::write(&file, &key).unwrap();
    let signature = openssl(&["dgst", "-sha256", "-sign", file.to_str().unwrap()], PENDING.as_bytes());
    std::fs::remove_file(&file).unwrap();
    let signature = String::from_utf8(openssl(&["base64", "-A"], &signature)).unwrap();

    let mut receiver = Sender::new().receiver(sample());
    receiver.secrets = std::sync::Arc::new(verify::PublicKeys::parse_pem(&public).unwrap().into());
    let (reply, _) = send(&receiver, request(&format!(r#"{{"v":"1","s":"{signature}"}}"#), PENDING)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let changed = with(PENDING, &[("50000", "50001")]);
    let (reply, _) = send(&receiver, request(&signature, &changed)).await;
    assert_eq!(reply.status, 401);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A signed body of any bytes is answered, and a body that differs in one byte is refused.
    #[test]
    fn any_changed_byte_fails(position in any::<prop::sample::Index>(), change in 1..=127_u8) {
        let grid = Sender::new();
        let mut body = TEST.as_bytes().to_vec();
        let position = position.index(body.len());
        body[position] ^= change;
        let mut request = grid.post(TEST);
        request.body = Some(body.into());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let receiver = grid.receiver(sample());
        let (reply, _) = runtime.block_on(send(&receiver, request));
        prop_assert_eq!(reply.status, 401);
    }
}

/// A payment that came to nothing no longer counts towards limits. Other events leave it counted.
#[tokio::test]
async fn what_came_to_nothing_is_subtracted_from_the_limits() {
    let sender = Sender::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/velocity");
    for (kind, status, subtracted) in [
        ("INCOMING_PAYMENT.FAILED", "FAILED", true),
        ("INCOMING_PAYMENT.EXPIRED", "EXPIRED", true),
        ("INCOMING_PAYMENT.REJECTED", "REJECTED", true),
        ("INCOMING_PAYMENT.REFUND_COMPLETED", "REFUNDED", true),
        ("INCOMING_PAYMENT.REFUND_FAILED", "FAILED", false),
        ("INCOMING_PAYMENT.REFUND_PENDING", "REFUNDED", false),
        ("INCOMING_PAYMENT.COMPLETED", "COMPLETED", false),
        ("INCOMING_PAYMENT.FAILED", "COMPLETED", false),
        ("INCOMING_PAYMENT.COMPLETED", "FAILED", false),
        ("OUTGOING_PAYMENT.FAILED", "FAILED", false),
    ] {
        let receiver = sender.receiver(Grid::new(None, Some(Policy::load(folder).unwrap())));
        let pending: Value = serde_json::from_str(PENDING).unwrap();
        let count = async || {
            let mut next = pending.clone();
            // Seven payments fit, so the number of those that still do tells how many were counted.
            let mut approved = 0;
            for n in 0..8 {
                next["id"] = format!("Webhook:{n}").into();
                next["data"]["id"] = format!("Transaction:{n}").into();
                next["data"]["receivedAmount"]["amount"] = 1.into();
                approved += u32::from(send(&receiver, sender.post(&next.to_string())).await.0.status == 200);
            }
            approved
        };
        assert_eq!(send(&receiver, sender.post(PENDING)).await.0.status, 200, "{kind}");
        let mut event = pending.clone();
        event["id"] = "Webhook:later".into();
        event["type"] = kind.into();
        event["data"]["status"] = status.into();
        assert_eq!(send(&receiver, sender.post(&event.to_string())).await.0.status, 200, "{kind}");
        assert_eq!(count().await, if subtracted { 7 } else { 6 }, "{kind} {status}");
    }
}
