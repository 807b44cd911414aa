//! Reading a provider's body without refusing it.
//!
//! A body is a JSON object of any depth, with any numbers and any escapes: RFC 8259 allows lone
//! surrogates, 400-digit numbers and thousands of levels, and a parser's limit must not lose a verified event.
//! So one level is read at a time, and a value is parsed only when it is needed. If a name occurs more than
//! once, the last value counts, as in most parsers (Python, JavaScript).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::digest::{sha256_hex, sha256_hex_without};

/// U+FEFF in UTF-8, which some programs put before a text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One level of a JSON object. Its values are not parsed yet.
#[derive(Debug)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads a whole document. `None` unless it is one JSON object in UTF-8. A byte order mark before it is
    /// skipped, as RFC 8259 allows.
    #[must_use]
    pub fn parse(document: &'a [u8]) -> Option<Self> {
        let document = document.strip_prefix(BYTE_ORDER_MARK).unwrap_or(document);
        serde_json::from_str(std::str::from_utf8(document).ok()?).ok()
    }

    /// The value of a field: the last one of that name. A field that is `null` counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.fields.iter().rev().find(|(key, _)| key == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// The text of a field. `None` when it is absent, not a string, or has no UTF-8 form.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The text of a field. `None` also when it is empty.
    #[must_use]
    pub fn filled_text(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty())
    }

    /// A field's string, or the digits of its integer. Providers send some fields in either form.
    #[must_use]
    pub fn text_or_digits(&self, name: &str) -> Option<String> {
        let raw = self.get(name)?.get();
        is_integer(raw).then(|| raw.to_owned()).or_else(|| serde_json::from_str(raw).ok())
    }

    /// The object in a field.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        Self::parse(self.get(name)?.get().as_bytes())
    }

    /// All values of a field, in order of appearance. A name that occurs twice has two values.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a RawValue> + 's {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| *value)
    }

    /// All fields, in order of appearance.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Hex SHA-256 of the document that this object was parsed from, without the bytes of one field's value.
    /// Documents that differ only in this value have the same hash. If the field is absent or occurs more than
    /// once, the hash covers the whole document.
    #[must_use]
    pub fn sha256_hex_without(&self, document: &[u8], name: &str) -> String {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (Some(value), None) => match position(document, value.get()) {
                Some(range) => sha256_hex_without(document, range),
                None => sha256_hex(document),
            },
            _ => sha256_hex(document),
        }
    }

    /// The names of all fields, in order of appearance.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_ref())
    }
}

/// The position in a document of a part that was borrowed from it.
fn position(document: &[u8], part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(document.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (document.get(start..end)? == part.as_bytes()).then_some(start..end)
}

/// Whether a JSON value is written as an integer: no fraction, no exponent.
pub(crate) fn is_integer(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A field's name. It is read as bytes: read as a string, a lone surrogate in it would make the whole body
/// unreadable.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Name(String::from_utf8_lossy(name)))
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(String::from_utf8_lossy(name).into_owned())))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_any_shape_are_read() {
        let deep = format!(r#"{{"a":{}1{},"id":"x"}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let digits = format!(r#"{{"n":{},"id":"x"}}"#, "9".repeat(400));
        let long = format!(r#"{{"s":"{}","id":"x"}}"#, "s".repeat(5 << 20));
        for document in [
            r#"{"id":"x"}"#,
            "\r\n {\"id\" : \"x\"}\t",
            "\u{feff}{\"id\":\"x\"}",
            "\u{feff} {\"id\":\"x\"}",
            r#"{"id":"x","id":"x"}"#,
            r#"{"lone":"\ud800","id":"x"}"#,
            r#"{"\ud800":1,"id":"x"}"#,
            r#"{"nul":"\u0000","id":"x"}"#,
            &deep,
            &digits,
            &long,
        ] {
            let shown = &document[..document.len().min(60)];
            let object = Object::parse(document.as_bytes()).unwrap_or_else(|| panic!("{shown}"));
            assert_eq!(object.text("id").as_deref(), Some("x"), "{shown}");
        }
    }

    #[test]
    fn everything_else_is_not_an_object() {
        let brackets = "[".repeat(1 << 20);
        for document in [
            "",
            " ",
            "null",
            "[]",
            "\"{}\"",
            "{",
            "{}{}",
            "{} x",
            "{'a':1}",
            "\u{feff}\u{feff}{}",
            " \u{feff}{}",
            &brackets,
        ] {
            assert!(Object::parse(document.as_bytes()).is_none(), "{:.20}", document);
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_none(), "not UTF-8");
        assert!(Object::parse(b"{\"a\":\"\x00\"}").is_none(), "a raw control character");
    }

    #[test]
    fn the_last_of_duplicate_names_counts() {
        let object = Object::parse(br#"{"id":"first","id":"last"}"#).unwrap();
        assert_eq!(object.text("id").as_deref(), Some("last"));
        let object = Object::parse(br#"{"id":"first","id":null}"#).unwrap();
        assert_eq!(object.text("id"), None);
    }

    #[test]
    fn a_digest_leaves_one_value_out() {
        let digest = |document: &str| {
            let document = document.as_bytes();
            Object::parse(document).unwrap().sha256_hex_without(document, "timestamp")
        };
        let plain = digest(r#"{"a":1,"timestamp":"t"}"#);
        for same in [
            r#"{"a":1,"timestamp":"another time"}"#,
            r#"{"a":1,"timestamp":5}"#,
            r#"{"a":1,"timestamp":{"timestamp":"t"}}"#,
            r#"{"a":1,"timestamp":null}"#,
        ] {
            assert_eq!(digest(same), plain, "{same}");
        }
        for other in [
            r#"{"a":2,"timestamp":"t"}"#,
            r#"{"a":1,"timestamp": "t"}"#,
            r#"{"timestamp":"t","a":1}"#,
            r#"{"a":1,"timestamp":"t","timestamp":"t"}"#,
            r#"{"a":1,"timestamp":"u","timestamp":"t"}"#,
            r#"{"a":1,"Timestamp":"t"}"#,
            r#"{"a":1,"b":{"timestamp":"t"}}"#,
            r#"{"a":1}"#,
        ] {
            assert_ne!(digest(other), plain, "{other}");
        }
        // the name is compared unescaped, and the bytes outside the value count as they are
        let escaped = digest(r#"{"a":1,"\u0074imestamp":"t"}"#);
        assert_eq!(escaped, digest(r#"{"a":1,"\u0074imestamp":"u"}"#));
        assert_ne!(escaped, plain);
        let marked = digest("\u{feff}{\"timestamp\":\"t\"}");
        assert_eq!(marked, digest("\u{feff}{\"timestamp\":\"u\"}"));
        // a value is left out where it stands, not where the same bytes stand before it
        assert_ne!(digest(r#"{"a":"t","timestamp":"t"}"#), digest(r#"{"a":"u","timestamp":"t"}"#));
    }

    #[test]
    fn digits_are_read_from_numbers_and_strings() {
        let object = Object::parse(br#"{"a":12,"b":"12","c":1.5,"d":true,"e":-3}"#).unwrap();
        let read = |name| object.text_or_digits(name);
        assert_eq!(read("a").as_deref(), Some("12"));
        assert_eq!(read("b").as_deref(), Some("12"));
        assert_eq!(read("e").as_deref(), Some("-3"));
        assert_eq!((read("c"), read("d"), read("f")), (None, None, None));
    }
}
