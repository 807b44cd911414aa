//! Compares the tables in `kinds` with the two documents, and the paths with the routes. An independent
//! program, which does not use the tables, extracted the facts of the documents into `documented-*.json`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use ingest::schema::{Field, Shape, described};
use serde_json::Value;
use webhook_weavr::{Family, KINDS};

/// The fields of a body by their path, as in `"account.id.id": "required digits"`.
type Fields = BTreeMap<String, String>;

fn documented(file: &str) -> BTreeMap<String, Fields> {
    let document: Value = serde_json::from_str(file).unwrap();
    serde_json::from_value(document["kinds"].clone()).unwrap()
}

fn assert_one_spelling(schema: &[Field]) {
    for field in schema {
        assert_eq!(field.names.len(), 1, "{:?} are two spellings", field.names);
        if let Shape::Object(nested) | Shape::List(&Shape::Object(nested)) = field.shape {
            assert_one_spelling(nested);
        }
    }
}

/// Checks the rule at the top of `kinds.rs`: the first document decides about the fields that it shows, the
/// later document about all other fields. A top-level field that only the later document has is optional.
#[test]
fn every_field_is_as_documented() {
    let first = documented(include_str!("documented-2.14.10.json"));
    let later = documented(include_str!("documented-v2.json"));
    // A kind that only one of the documents has is a kind.
    let names: BTreeSet<&str> = first.keys().chain(later.keys()).map(String::as_str).collect();
    assert_eq!(KINDS.iter().map(|kind| kind.name).collect::<BTreeSet<_>>(), names);

    for kind in &KINDS {
        let mut expected = later.get(kind.name).cloned().unwrap_or_default();
        for (path, field) in &mut expected {
            if !path.contains('.') {
                *field = field.replace("required", "optional");
            }
        }
        expected.extend(first.get(kind.name).cloned().unwrap_or_default());
        assert_one_spelling(kind.schema);
        let actual = described(kind.schema);
        for path in expected.keys().chain(actual.keys()) {
            assert_eq!(actual.get(path), expected.get(path), "{}: {path}", kind.name);
        }
    }
}

#[test]
fn the_readme_lists_every_kind() {
    let readme = include_str!("../README.md");
    for kind in &KINDS {
        let path = kind.path.strip_prefix("/weavr").unwrap();
        assert!(readme.contains(&format!("\n| `{}` | `{path}` | ", kind.name)), "{}", kind.name);
    }
}

#[test]
fn every_path_is_routed_to_the_binary_of_its_family() {
    let manifest = include_str!("../../../Cargo.toml");
    let others = ("/weavr/{*path}", Family::Other);
    for (path, family) in KINDS.iter().map(|kind| (kind.path, kind.family)).chain([others]) {
        let binary = family.binary();
        assert!(manifest.contains(&format!("\n\"{path}\" = \"{binary}\"\n")), "{path} = {binary}");
        let main = format!("{}/src/bin/{binary}.rs", env!("CARGO_MANIFEST_DIR"));
        let main = std::fs::read_to_string(main).unwrap();
        assert!(main.contains(&format!("Family::{family:?})")), "{binary} names {family:?}");
    }
}
