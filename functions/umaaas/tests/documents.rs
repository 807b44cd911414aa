//! The examples of the provider's documents, as in `tests/examples`: each is one of the kinds, about the
//! subject that it names, and as documented.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use http::{HeaderMap, Method};
use ingest::memory::{MemoryDirectory, MemorySink, MemoryStore};
use ingest::{Receiver, Request};
use jiff::SignedDuration;
use serde_json::Value;
use umaaas::{SIGNATURE, Umaaas};
use verify::{Delivery, Secrets};

const EXAMPLES: [(&str, &str); 2] = [
    ("2025-04-19", include_str!("../../../tests/examples/umaaas-2025-04-19.json")),
    ("2026-03-24", include_str!("../../../tests/examples/umaaas-2026-03-24.json")),
];

const TRANSACTION: &str = "Transaction:019542f5-b3e7-1d02-0000-000000000005";

/// What each example is, in the order of the walkthrough. The version of 2025-04-19 has no invitation.
const EXPECTED: [(&str, &str, Option<&str>); 8] = [
    ("test", "umaaas.test", None),
    ("bulk upload completed", "umaaas.bulk_upload", Some("job")),
    ("bulk upload failed", "umaaas.bulk_upload", Some("job")),
    ("incoming payment pending", "umaaas.incoming_payment", Some(TRANSACTION)),
    ("incoming payment completed", "umaaas.incoming_payment", Some(TRANSACTION)),
    ("outgoing payment completed", "umaaas.outgoing_payment", Some(TRANSACTION)),
    ("outgoing payment failed", "umaaas.outgoing_payment", Some(TRANSACTION)),
    ("invitation claimed", "umaaas.invitation_claimed", Some("019542f5")),
];

#[tokio::test]
async fn every_example_is_identified_and_as_documented() {
    for (version, examples) in EXAMPLES {
        let (job, count) = match version {
            "2025-04-19" => ("job_123456789", 7),
            _ => ("Job:019542f5-b3e7-1d02-0000-000000000006", 8),
        };
        let examples: Vec<Value> = serde_json::from_str(examples).unwrap();
        assert_eq!(examples.len(), count, "{version}");
        for (example, (name, kind, subject)) in examples.iter().zip(EXPECTED) {
            assert_eq!(example["name"], name, "{version}");
            let what = format!("{version}, {name}");
            let [path, body] = ["path", "body"].map(|field| example[field].as_str().unwrap());
            // The examples share a few webhookIds, so each has a store of its own.
            let receiver = Receiver {
                provider: Umaaas::new(None, None),
                secrets: Arc::new(Secrets::parse_list("key").unwrap()),
                store: MemoryStore::new(SignedDuration::from_hours(24)),
                sink: MemorySink::default(),
                directory: MemoryDirectory::default(),
                clock: || "2023-08-15T14:32:01Z".parse().unwrap(),
            };
            let (reply, received) = receiver.receive(signed(path, body), "delivery".to_owned()).await;
            let report = receiver.finish(received, true).await;

            assert_eq!(report.kind, Some(kind), "{what}");
            assert_eq!(report.drift, Vec::<String>::new(), "{what}");
            assert_eq!(reply.status, if name.ends_with("pending") { 403 } else { 200 }, "{what}");
            let message: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
            let subject = subject.map(|subject| if subject == "job" { job } else { subject });
            assert_eq!(message.get("subject").and_then(Value::as_str), subject, "{what}");
        }
    }
}

fn signed(path: &str, body: &str) -> Request {
    let body = body.as_bytes().to_vec();
    let secrets = Secrets::parse_list("key").unwrap();
    let signature = SIGNATURE.sign(&Delivery::new(path, body.clone()), secrets.newest()).unwrap();
    let mut headers = HeaderMap::new();
    headers.append(SIGNATURE.header, signature.parse().unwrap());
    Request {
        method: Method::POST,
        path: path.into(),
        headers,
        body: Some(body.into()),
        ..Request::default()
    }
}
