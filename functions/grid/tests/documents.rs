//! Compares the tables in `kinds` with the document of the API. An independent program, which does not use the tables,
//! extracted the facts of the document into `documented-2026-08-21.json`. The tests also post the examples of the
//! document (`tests/examples`) and check kind, subject and drift of each example.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sender;

use std::collections::{BTreeMap, BTreeSet};

use ingest::schema::described;
use sender::Sender;
use serde::Deserialize;
use serde_json::Value;
use webhook_grid::{Grid, KINDS};

const EXAMPLES: &str = include_str!("../../../tests/examples/grid-2026-08-21.json");
const DOCUMENTED: &str = include_str!("documented-2026-08-21.json");

/// The types that the document does not have: of later versions, or of versions that are not published yet.
const NEWER: [&str; 9] = [
    "CARD.PIN_STATUS_CHANGE",
    "CARD.STATUS_CHANGE",
    "CARD_TRANSACTION.DECLINED",
    "CARD_TRANSACTION.VOIDED",
    "INCOMING_PAYMENT.PROCESSING",
    "OUTGOING_PAYMENT.CANCELED",
    "SWEEP.FAILED",
    "WALLET_OPERATION.COMPLETED",
    "WALLET_OPERATION.FAILED",
];

#[tokio::test]
async fn every_example_has_its_kind_and_subject_and_no_drift() {
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).unwrap();
    assert_eq!(examples.len(), 31);
    let grid = Sender::new();
    let mut drift = BTreeSet::new();
    for example in &examples {
        let (name, body) = (example["name"].as_str().unwrap(), example["body"].as_str().unwrap());
        let fields: Value = serde_json::from_str(body).unwrap();
        // Some examples have the same id and type, so each example gets a separate store.
        let receiver = grid.receiver(Grid::new(None, None));
        let (reply, received) = receiver.receive(grid.post(body), "delivery".to_owned()).await;
        let report = receiver.finish(received, true).await;

        let kind = format!("grid.{}", fields["type"].as_str().unwrap().to_lowercase());
        assert_eq!(report.kind.as_deref(), Some(kind.as_str()), "{name}");
        drift.extend(report.drift.iter().map(|drift| format!("{name}: {drift}")));
        let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
        let subject = fields["data"].get("id").or_else(|| fields["data"].get("code"));
        assert_eq!(envelope.get("subject"), subject, "{name}");
        assert_eq!(envelope["source"], "/grid", "{name}");
        let waits = fields["type"] == "INCOMING_PAYMENT.PENDING";
        assert_eq!(reply.status, if waits { 403 } else { 200 }, "{name}");
    }
    assert_eq!(drift, BTreeSet::new());
}

#[derive(Deserialize)]
struct Documented {
    types: BTreeSet<String>,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
struct Resource {
    types: BTreeSet<String>,
    fields: Fields,
}

/// The fields of a body by their path, as in `"data.fees": "optional integer"`.
type Fields = BTreeMap<String, String>;

#[test]
fn every_type_of_the_document_is_a_kind() {
    let documented: Documented = serde_json::from_str(DOCUMENTED).unwrap();
    assert_eq!(documented.types.len(), 43);
    let newer = NEWER.map(str::to_owned);
    assert!(newer.iter().all(|wire| !documented.types.contains(wire)));
    let expected: BTreeSet<String> = documented.types.into_iter().chain(newer).collect();
    assert_eq!(KINDS.iter().map(|kind| kind.wire.to_owned()).collect::<BTreeSet<_>>(), expected);
}

/// The fields for which the tables differ on purpose from the schemas of the document.
const DIFFERENT: [(&str, &str, &str); 10] = [
    // The fields are in examples, but in no schema.
    ("INCOMING_PAYMENT", "data.senderUmaAddress", "optional text"),
    ("INCOMING_PAYMENT", "data.receiverUmaAddress", "optional text"),
    ("OUTGOING_PAYMENT", "data.senderUmaAddress", "optional text"),
    ("OUTGOING_PAYMENT", "data.receiverUmaAddress", "optional text"),
    ("BULK_UPLOAD", "data.errors[].error", "optional object"),
    ("BULK_UPLOAD", "data.errors[].error.code", "optional text"),
    ("BULK_UPLOAD", "data.errors[].error.details", "optional object"),
    ("BULK_UPLOAD", "data.errors[].error.message", "optional text"),
    ("TEST", "data", "optional object"),
    // The schema requires it, but examples leave it out.
    ("CARD", "data.maxSpendPerTransaction", "optional integer"),
];

#[test]
fn every_field_is_as_documented() {
    let documented: Documented = serde_json::from_str(DOCUMENTED).unwrap();
    let mut compared = BTreeSet::new();
    let mut differences = Vec::new();
    for kind in &KINDS {
        // The document has no webhook for some of its types, but has one for the same resource.
        let object = kind.wire.split('.').next().unwrap();
        let resource =
            documented.resources.iter().find(|(_, resource)| resource.types.contains(kind.wire)).or_else(
                || {
                    let same = |wire: &String| wire.split('.').next() == Some(object);
                    documented.resources.iter().find(|(_, resource)| resource.types.iter().any(same))
                },
            );
        let Some((name, resource)) = resource else {
            assert!(NEWER.contains(&kind.wire), "{}", kind.wire);
            continue;
        };
        compared.insert(name);
        let mut expected = resource.fields.clone();
        expected.insert("type".to_owned(), "required text".to_owned());
        for (name, path, field) in DIFFERENT {
            if name == object {
                let former = expected.insert(path.to_owned(), field.to_owned());
                assert_ne!(former.as_deref(), Some(field), "{path}");
            }
        }
        let actual = described(kind.schema);
        for path in expected.keys().chain(actual.keys()) {
            if actual.get(path) != expected.get(path) {
                differences.push(format!(
                    "{}: {path}: {:?} instead of {:?}",
                    kind.wire,
                    actual.get(path),
                    expected.get(path)
                ));
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(compared.len(), documented.resources.len(), "every webhook of the document is compared");
}
