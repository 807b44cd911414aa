//! Compares the tables in `kinds` with the documents of three versions of the API. An independent program,
//! which does not use the tables, extracted the facts of the documents into `documented-*.json`. The tests
//! also post the examples of the documents (`tests/examples`) and check kind, subject and drift of each
//! example.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{HeaderMap, Method};
use ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use ingest::schema::described;
use ingest::{Breakers, Receiver, Request, Switch};
use jiff::SignedDuration;
use serde_json::Value;
use verify::{Delivery, Secrets};
use webhook_umaaas::{KINDS, SIGNATURE, Umaaas};

const EXAMPLES: [(&str, &str); 2] = [
    ("2025-04-19", include_str!("../../../tests/examples/umaaas-2025-04-19.json")),
    ("2026-03-24", include_str!("../../../tests/examples/umaaas-2026-03-24.json")),
];

const TRANSACTION: &str = "Transaction:019542f5-b3e7-1d02-0000-000000000005";

/// The name, kind and subject of each example, in the order of the files. The version of 2025-04-19 has no
/// invitation.
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
async fn every_example_has_its_kind_and_subject_and_no_drift() {
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
            // Some examples have the same webhookId, so each example gets a separate store.
            let receiver = Receiver {
                provider: Umaaas::new(None, None),
                secrets: Arc::new(Secrets::parse_list("key").unwrap().into()),
                store: MemoryStore::new(SignedDuration::from_hours(24)),
                sink: MemorySink::default(),
                directory: MemoryDirectory::default(),
                clock: || "2023-08-15T14:32:01Z".parse().unwrap(),
                switch: Switch::new(MemoryControl::default()),
                breakers: Breakers::default(),
            };
            let (reply, received) = receiver.receive(signed(path, body), "delivery".to_owned()).await;
            let report = receiver.finish(received, true).await;

            assert_eq!(report.kind.as_deref(), Some(kind), "{what}");
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
    let signature = secrets.newest().sign(&SIGNATURE, &Delivery::new(path, body.clone())).unwrap();
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

/// The fields of a body by their path, as in `"transaction.fees": "optional integer"`.
type Fields = BTreeMap<String, String>;

const DOCUMENTED: [&str; 3] = [
    include_str!("documented-2025-04-19.json"),
    include_str!("documented-2025-05-30.json"),
    include_str!("documented-2026-03-24.json"),
];

/// The fields for which the tables differ on purpose from the schemas of the documents.
const DIFFERENT: [(&str, &str, &str); 7] = [
    // The field is in an example of 2025-04-19, but in no schema.
    ("umaaas.incoming_payment", "transaction.exchangeRate", "optional number"),
    ("umaaas.incoming_payment", "transaction.quoteId", "optional text"),
    // The schema allows both values, but the kind decides which one.
    ("umaaas.incoming_payment", "transaction.type", "required one of INCOMING"),
    ("umaaas.outgoing_payment", "transaction.type", "required one of OUTGOING"),
    // The schema says strings, but the example has numbers.
    (
        "umaaas.outgoing_payment",
        "transaction.paymentInstructions.bankAccountInfo.accountNumber",
        "optional digits",
    ),
    (
        "umaaas.outgoing_payment",
        "transaction.paymentInstructions.bankAccountInfo.routingNumber",
        "optional digits",
    ),
    // The table has one list of types for all kinds.
    (
        "umaaas.invitation_claimed",
        "type",
        "required one of BULK_UPLOAD INCOMING_PAYMENT INVITATION_CLAIMED OUTGOING_PAYMENT TEST",
    ),
];

/// Checks the rule at the top of `kinds.rs`: a field is required if every version that has the surrounding
/// object requires the field, and an enum has the values of all versions.
#[test]
fn every_field_is_as_documented() {
    let mut kinds: BTreeMap<String, Vec<Fields>> = BTreeMap::new();
    for document in DOCUMENTED {
        let mut document: Value = serde_json::from_str(document).unwrap();
        let fields: BTreeMap<String, Fields> = serde_json::from_value(document["kinds"].take()).unwrap();
        for (kind, fields) in fields {
            kinds.entry(kind).or_default().push(fields);
        }
    }
    assert_eq!(
        kinds.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        KINDS.iter().map(|k| k.name).collect()
    );
    for kind in &KINDS {
        let mut expected = together(&kinds[kind.name]);
        for (name, path, field) in DIFFERENT {
            if name == kind.name {
                assert_ne!(
                    expected.insert(path.to_owned(), field.to_owned()).as_deref(),
                    Some(field),
                    "{path}"
                );
            }
        }
        // Where a field has two spellings, the first is from the schema, the second from the examples.
        let actual = described(kind.schema);
        for path in expected.keys().chain(actual.keys()) {
            assert_eq!(actual.get(path), expected.get(path), "{}: {path}", kind.name);
        }
    }
}

/// Merges the fields of one kind from all versions that have the kind.
fn together(versions: &[Fields]) -> Fields {
    let mut together = Fields::new();
    for path in versions.iter().flat_map(BTreeMap::keys) {
        let parent = path.rsplit_once('.').map(|(parent, _)| parent.trim_end_matches("[]"));
        // A version without the surrounding object says nothing about the fields in that object.
        let with_parent =
            versions.iter().filter(|fields| parent.is_none_or(|parent| fields.contains_key(parent)));
        let found: Vec<Option<&str>> =
            with_parent.map(|fields| fields.get(path).map(String::as_str)).collect();
        let required = found.iter().all(|field| field.is_some_and(|field| field.starts_with("required ")));
        let shapes: BTreeSet<&str> =
            found.iter().flatten().map(|field| field.split_once(' ').unwrap().1).collect();
        let values: BTreeSet<&str> = shapes
            .iter()
            .filter_map(|shape| shape.strip_prefix("one of "))
            .flat_map(|list| list.split(' '))
            .collect();
        let shape = if values.is_empty() {
            assert_eq!(shapes.len(), 1, "{path}: {shapes:?}");
            (*shapes.first().unwrap()).to_owned()
        } else {
            format!("one of {}", values.into_iter().collect::<Vec<_>>().join(" "))
        };
        let requiredness = if required { "required" } else { "optional" };
        together.insert(path.clone(), format!("{requiredness} {shape}"));
    }
    together
}
