//! The documented schema of a body, as data, and the differences of a body from it.
//!
//! A difference never refuses a body. Providers add fields and enum values without notice, and refusing such a
//! webhook could lose money. So every difference is reported ([`Drift`]) and the event is handled as usual.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Object, is_integer};
use crate::time::is_rfc_3339;

/// One documented field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name. The other entries are alternative names, which are equally valid.
    pub names: &'static [&'static str],
    /// Whether the documentation says that it is always present.
    pub required: bool,
    /// The documented type of its value.
    pub shape: Shape,
}

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A JSON integer.
    Integer,
    /// An integer, written as a JSON number or as a string of digits.
    Digits,
    /// Any JSON number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A string with a time in RFC 3339.
    Time,
    /// One of the listed strings.
    OneOf(&'static [&'static str]),
    /// An object with these fields.
    Object(&'static [Field]),
    /// An object whose fields are not documented.
    AnyObject,
    /// An array of one shape.
    List(&'static Shape),
}

/// A field that is always present.
#[must_use]
pub const fn required(names: &'static [&'static str], shape: Shape) -> Field {
    Field { names, required: true, shape }
}

/// A field that may be absent.
#[must_use]
pub const fn optional(names: &'static [&'static str], shape: Shape) -> Field {
    Field { names, required: false, shape }
}

/// Every field of a schema by its path, as in `"account.ids[].id": "required digits"`, for tests that compare the schema
/// with the provider's documents. Of a field with several names, the first.
#[must_use]
pub fn described(schema: &[Field]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    describe(schema, "", &mut fields);
    fields
}

fn describe(schema: &[Field], prefix: &str, fields: &mut BTreeMap<String, String>) {
    for field in schema {
        let path = format!("{prefix}{}", field.names[0]);
        let requiredness = if field.required { "required" } else { "optional" };
        fields.insert(path.clone(), format!("{requiredness} {}", field.shape));
        match field.shape {
            Shape::Object(nested) => describe(nested, &format!("{path}."), fields),
            Shape::List(Shape::Object(nested)) => describe(nested, &format!("{path}[]."), fields),
            _ => {}
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Digits => f.write_str("digits"),
            Self::Number => f.write_str("number"),
            Self::Flag => f.write_str("flag"),
            Self::Time => f.write_str("time"),
            Self::Object(_) | Self::AnyObject => f.write_str("object"),
            Self::OneOf(values) => {
                let mut values = values.to_vec();
                values.sort_unstable();
                write!(f, "one of {}", values.join(" "))
            }
            Self::List(item) => write!(f, "list of {item}"),
        }
    }
}

/// One difference from the documented schema: the field, and what was expected. It never contains the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The field, as in `transaction.receivedAmount.amount`.
    pub field: String,
    /// What the documentation says, for example `should be an integer`, or `is not documented`.
    pub expected: &'static str,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.expected)
    }
}

/// The most differences of one body that are reported. More of them would not tell anything new.
const MAX_DRIFT: usize = 16;

/// The differences of a body from its schema, in the schema's order, at most 16.
#[must_use]
pub fn drift(object: &Object<'_>, schema: &[Field]) -> Vec<Drift> {
    let mut found = Vec::new();
    compare(object, schema, "", &mut found);
    found.truncate(MAX_DRIFT);
    found
}

fn compare(object: &Object<'_>, schema: &[Field], prefix: &str, found: &mut Vec<Drift>) {
    for field in schema {
        let name = field.names.iter().find(|name| object.get(name).is_some()).unwrap_or(&field.names[0]);
        match object.get(name) {
            Some(value) => check(value, field.shape, &format!("{prefix}{name}"), found),
            None if field.required => {
                found.push(Drift { field: format!("{prefix}{name}"), expected: "is required" });
            }
            None => {}
        }
    }
    for name in object.names() {
        if found.len() > MAX_DRIFT {
            return;
        }
        if !schema.iter().any(|field| field.names.contains(&name)) {
            found
                .push(Drift { field: format!("{prefix}{}", printable(name)), expected: "is not documented" });
        }
    }
}

fn check(value: &RawValue, shape: Shape, path: &str, found: &mut Vec<Drift>) {
    let raw = value.get();
    let as_documented = match shape {
        Shape::Text => raw.starts_with('"'),
        Shape::Integer => is_integer(raw),
        Shape::Digits => is_integer(raw) || text(raw).is_some_and(|text| is_integer(&text)),
        Shape::Number => raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()),
        Shape::Flag => matches!(raw, "true" | "false"),
        Shape::Time => text(raw).is_some_and(|text| is_rfc_3339(&text)),
        Shape::OneOf(values) => text(raw).is_some_and(|text| values.contains(&text.as_str())),
        Shape::AnyObject => raw.starts_with('{'),
        Shape::Object(fields) => match Object::parse(raw.as_bytes()) {
            Some(object) => return compare(&object, fields, &format!("{path}."), found),
            None => false,
        },
        Shape::List(shape) => match items(raw) {
            Some(items) => {
                for item in items.iter().take(MAX_DRIFT) {
                    check(item, *shape, &format!("{path}[]"), found);
                }
                return;
            }
            None => false,
        },
    };
    if !as_documented {
        found.push(Drift { field: path.to_owned(), expected: shape.expectation() });
    }
}

fn text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn items(raw: &str) -> Option<Vec<&RawValue>> {
    Vec::deserialize(&mut serde_json::Deserializer::from_str(raw)).ok()
}

/// Shortens an undocumented name and replaces special characters, because the sender chose the name and it goes
/// into logs.
fn printable(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '?' })
        .collect()
}

impl Shape {
    fn expectation(self) -> &'static str {
        match self {
            Self::Text => "should be a string",
            Self::Integer => "should be an integer",
            Self::Digits => "should be an integer or a string of digits",
            Self::Number => "should be a number",
            Self::Flag => "should be true or false",
            Self::Time => "should be an RFC 3339 time",
            Self::OneOf(_) => "is not one of the documented values",
            Self::Object(_) | Self::AnyObject => "should be an object",
            Self::List(_) => "should be an array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: &[Field] = &[
        required(&["amount"], Shape::Integer),
        optional(&["minor"], Shape::Digits),
        optional(&["rate"], Shape::Number),
    ];
    const SCHEMA: &[Field] = &[
        required(&["id", "transactionId"], Shape::Text),
        required(&["state"], Shape::OneOf(&["ON", "OFF"])),
        optional(&["money"], Shape::Object(MONEY)),
        optional(&["at"], Shape::Time),
        optional(&["live"], Shape::Flag),
        optional(&["extra"], Shape::AnyObject),
        optional(&["errors"], Shape::List(&Shape::Object(MONEY))),
    ];

    fn found(document: &str) -> Vec<String> {
        drift(&Object::parse(document.as_bytes()).unwrap(), SCHEMA).iter().map(Drift::to_string).collect()
    }

    #[test]
    fn a_documented_body_has_no_drift() {
        for document in [
            r#"{"id":"a","state":"ON"}"#,
            r#"{"transactionId":"a","state":"OFF","money":{"amount":1,"minor":"12","rate":1.5e3}}"#,
            r#"{"id":"a","state":"ON","at":"2023-08-15T14:32:00Z","live":false,"extra":{"x":[1]},"errors":[]}"#,
            r#"{"id":"a","state":"ON","money":null,"errors":[{"amount":-1,"minor":7}]}"#,
        ] {
            assert_eq!(found(document), Vec::<String>::new(), "{document}");
        }
    }

    #[test]
    fn every_departure_names_its_field_and_never_its_value() {
        for (document, expected) in [
            (r#"{"state":"ON"}"#, "id: is required"),
            (r#"{"id":null,"state":"ON"}"#, "id: is required"),
            (r#"{"id":5,"state":"ON"}"#, "id: should be a string"),
            (r#"{"transactionId":5,"state":"ON"}"#, "transactionId: should be a string"),
            (r#"{"id":"a","state":"SECRET"}"#, "state: is not one of the documented values"),
            (r#"{"id":"a","state":"ON","new":"SECRET"}"#, "new: is not documented"),
            (r#"{"id":"a","state":"ON","n\u0000w":"SECRET"}"#, "n?w: is not documented"),
            (r#"{"id":"a","state":"ON","money":[]}"#, "money: should be an object"),
            (r#"{"id":"a","state":"ON","money":{"amount":"1"}}"#, "money.amount: should be an integer"),
            (r#"{"id":"a","state":"ON","money":{"amount":1.0}}"#, "money.amount: should be an integer"),
            (
                r#"{"id":"a","state":"ON","money":{"amount":1,"minor":"x"}}"#,
                "money.minor: should be an integer or a string of digits",
            ),
            (r#"{"id":"a","state":"ON","money":{"amount":1,"rate":"x"}}"#, "money.rate: should be a number"),
            (r#"{"id":"a","state":"ON","at":"yesterday"}"#, "at: should be an RFC 3339 time"),
            (r#"{"id":"a","state":"ON","live":"yes"}"#, "live: should be true or false"),
            (r#"{"id":"a","state":"ON","extra":7}"#, "extra: should be an object"),
            (r#"{"id":"a","state":"ON","errors":{}}"#, "errors: should be an array"),
            (r#"{"id":"a","state":"ON","errors":[{}]}"#, "errors[].amount: is required"),
        ] {
            assert_eq!(found(document), [expected], "{document}");
        }
    }

    #[test]
    fn what_is_reported_is_bounded() {
        let fields: Vec<String> = (0..5000).map(|n| format!(r#""f{n}":1"#)).collect();
        assert_eq!(found(&format!("{{{}}}", fields.join(","))).len(), MAX_DRIFT);
        let long = format!(r#"{{"id":"a","state":"ON","{}":1}}"#, "n".repeat(9000));
        assert!(found(&long)[0].len() < 100);
    }
}
