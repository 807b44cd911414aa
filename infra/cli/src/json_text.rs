//! A JSON text as a tree that keeps the order of members and the spelling of numbers and strings, and the
//! ways in which programs write such a tree. `serde_json::Value` would change both.

use serde::de::IgnoredAny;

/// A value. Names, strings and numbers are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    Scalar(&'a str),
    List(Vec<Node<'a>>),
    Object(Vec<(&'a str, Node<'a>)>),
}

/// How a tree is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// What stands between two entries of a list or an object.
    comma: &'static str,
    /// What stands between a name and its value.
    colon: &'static str,
    /// The indentation of each level; none when all is in one line.
    indent: Option<&'static str>,
}

/// Without white space: `JSON.stringify(value)`, serde_json, Jackson, Go.
pub(crate) const COMPACT: Layout = Layout { comma: ",", colon: ":", indent: None };
/// With a space after commas and colons: Python's `json.dumps(value)`.
pub(crate) const SPACED: Layout = Layout { comma: ", ", colon: ": ", indent: None };
/// On indented lines.
pub(crate) const PRETTY: Layout = Layout { comma: ",", colon: ": ", indent: Some("  ") };
/// On indented lines, four spaces each level.
pub(crate) const PRETTY_4: Layout = Layout { comma: ",", colon: ": ", indent: Some("    ") };
/// On indented lines, a tab each level.
pub(crate) const PRETTY_TAB: Layout = Layout { comma: ",", colon: ": ", indent: Some("\t") };

impl<'a> Node<'a> {
    /// Reads a whole text. `None` when it is not JSON, or nested more than serde_json reads.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // The reader below takes valid JSON for granted.
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        Reader { text, at: 0 }.value()
    }

    /// With the members of every object in the order of their names.
    #[must_use]
    pub(crate) fn sorted(&self) -> Self {
        match self {
            Self::Scalar(text) => Self::Scalar(text),
            Self::List(entries) => Self::List(entries.iter().map(Self::sorted).collect()),
            Self::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().map(|(name, value)| (*name, value.sorted())).collect();
                members.sort_by_key(|(name, _)| *name);
                Self::Object(members)
            }
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, layout: Layout) -> String {
        let mut out = String::new();
        self.write_to(layout, 0, &mut out);
        out
    }

    fn write_to(&self, layout: Layout, level: usize, out: &mut String) {
        let line = |level: usize, out: &mut String| {
            if let Some(indent) = layout.indent {
                out.push('\n');
                out.push_str(&indent.repeat(level));
            }
        };
        let (open, close, length) = match self {
            Self::Scalar(text) => return out.push_str(text),
            Self::List(entries) => ('[', ']', entries.len()),
            Self::Object(members) => ('{', '}', members.len()),
        };
        out.push(open);
        for index in 0..length {
            if index > 0 {
                out.push_str(layout.comma);
            }
            line(level + 1, out);
            match self {
                Self::Object(members) => {
                    let (name, value) = &members[index];
                    out.push_str(name);
                    out.push_str(layout.colon);
                    value.write_to(layout, level + 1, out);
                }
                Self::List(entries) => entries[index].write_to(layout, level + 1, out),
                Self::Scalar(_) => {}
            }
        }
        if length > 0 {
            line(level, out);
        }
        out.push(close);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Option<Node<'a>> {
        match self.peek()? {
            b'{' => self.entries(b'}', Self::member).map(Node::Object),
            b'[' => self.entries(b']', Self::value).map(Node::List),
            _ => self.scalar().map(Node::Scalar),
        }
    }

    fn member(&mut self) -> Option<(&'a str, Node<'a>)> {
        self.peek()?;
        let name = self.scalar()?;
        self.peek()?;
        self.at += 1;
        Some((name, self.value()?))
    }

    fn entries<T>(&mut self, close: u8, entry: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut entries = Vec::new();
        loop {
            // the opening bracket or a comma
            self.at += 1;
            if self.peek()? != close {
                entries.push(entry(self)?);
            }
            if self.peek()? == close {
                self.at += 1;
                return Some(entries);
            }
        }
    }

    fn scalar(&mut self) -> Option<&'a str> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = if rest.first() == Some(&b'"') {
            let mut escaped = false;
            let inside = rest[1..].iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            })?;
            inside + 2
        } else {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            rest.iter().position(ends).unwrap_or(rest.len())
        };
        let start = self.at;
        self.at += length;
        self.text.get(start..self.at)
    }
}

/// With every character beyond ASCII as an escape: Python's `json.dumps`, PHP's `json_encode`.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// With the characters themselves instead of escapes of what is beyond ASCII.
pub(crate) fn unescaped(json: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match character(after) {
            Some((c, length)) => {
                out.push(c);
                rest = &after[length..];
            }
            None => {
                // another escape: its next character is no beginning of one
                let length = after.chars().next().map_or(0, char::len_utf8);
                out.push('\\');
                out.push_str(&after[..length]);
                rest = &after[length..];
            }
        }
    }
    out + rest
}

/// The character beyond ASCII whose escape, without its backslash, a text begins with.
fn character(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix('u')?.get(..4)?, 16).ok();
    let first = unit(text)?;
    let second = text.get(5..).and_then(|rest| unit(rest.strip_prefix('\\')?));
    let units = [first, second.unwrap_or_default()];
    let c = char::decode_utf16(units).next()?.ok().filter(|c| !c.is_ascii())?;
    Some((c, if c.len_utf16() == 2 { 11 } else { 5 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#" { "b" : [ 1.0, -2e5 , "x\"]\\" , {} , [ ] ] ,
        "a":{"é":null,"B":true} } "#;

    #[test]
    fn a_text_is_written_in_every_layout() {
        let node = Node::parse(TEXT).unwrap();
        assert_eq!(node.write(COMPACT), r#"{"b":[1.0,-2e5,"x\"]\\",{},[]],"a":{"é":null,"B":true}}"#);
        assert_eq!(
            node.write(SPACED),
            r#"{"b": [1.0, -2e5, "x\"]\\", {}, []], "a": {"é": null, "B": true}}"#
        );
        assert_eq!(
            node.write(PRETTY),
            "{\n  \"b\": [\n    1.0,\n    -2e5,\n    \"x\\\"]\\\\\",\n    {},\n    []\n  ],\n  \
             \"a\": {\n    \"é\": null,\n    \"B\": true\n  }\n}"
        );
        assert_eq!(
            node.sorted().write(COMPACT),
            r#"{"a":{"B":true,"é":null},"b":[1.0,-2e5,"x\"]\\",{},[]]}"#
        );
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let node = Node::parse(TEXT).unwrap();
        for layout in [COMPACT, SPACED, PRETTY, PRETTY_4, PRETTY_TAB] {
            assert_eq!(Node::parse(&node.write(layout)).as_ref(), Some(&node));
        }
        for scalar in ["1", "\"a\"", "null", " true "] {
            assert_eq!(Node::parse(scalar), Some(Node::Scalar(scalar.trim())));
        }
        for wrong in ["", "{", "[1,]", "{} {}", "nul", &"[".repeat(1000)] {
            assert_eq!(Node::parse(wrong), None, "{wrong:.10}");
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        scalar.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_writing_of_a_value_is_that_value(value in json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let node = Node::parse(&text).unwrap();
            prop_assert_eq!(node.write(COMPACT), value.to_string());
            prop_assert_eq!(node.write(PRETTY), text.clone());
            for written in [node.write(SPACED), node.sorted().write(PRETTY_TAB), escaped(&text)] {
                let read: serde_json::Value = serde_json::from_str(&written).unwrap();
                prop_assert_eq!(&read, &value);
            }
            // characters that a JSON text cannot have unescaped are not of those that are unescaped
            let read: serde_json::Value = serde_json::from_str(&unescaped(&escaped(&text))).unwrap();
            prop_assert_eq!(&read, &value);
        }

        #[test]
        fn no_text_ends_the_reader(text in "[\\PC\\[\\]{}\",:\\\\ 0-9u]{0,40}") {
            let _ = (Node::parse(&text), escaped(&text), unescaped(&text));
        }
    }

    #[test]
    fn escapes() {
        for (plain, other) in [("é€😀", r"\u00e9\u20ac\ud83d\ude00"), ("a\"", "a\"")] {
            assert_eq!(escaped(plain), other);
            assert_eq!(unescaped(other), plain);
        }
        // no escape of a character beyond ASCII
        for same in [r"\\u00e9", r"\n\u0041", r"\ud83d", r"\u12", "\\", r"\ud83dé"] {
            assert_eq!(unescaped(same), same, "{same}");
        }
    }
}
