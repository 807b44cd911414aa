//! What is recorded about a person: finding it by a value that names the person, and erasing it.

use aws_sdk_dynamodb::types::AttributeValue;
use ingest::{State, sha256_hex};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Position, Progress, Query, Records, RecordsError, Stored, written};

/// Whether a record was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// It was, now or before.
    Yes,
    /// It was not: the queue does not have it yet, or it is held. Its message needs the body.
    NotForwarded,
    /// There is no such record any more.
    Gone,
}

impl Records {
    /// The records about a person, oldest first: those whose body has this value in some field, and those whose subject
    /// is the value or its SHA-256. Reads the whole table, as [`search`](Self::search) does.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn about_person(
        &self,
        value: &str,
        units_per_second: u32,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<(Vec<Stored>, Progress), RecordsError> {
        let digest = sha256_hex(value.as_bytes());
        let is_about = |stored: &Stored| {
            let subject = stored.record.subject.as_deref();
            subject == Some(value) || subject == Some(&*digest) || has_value(&stored.record.payload, value)
        };
        let mut found = Vec::new();
        let each = |stored: Stored| found.extend(is_about(&stored).then_some(stored));
        let mut read = self.search(&Query::default(), units_per_second, each, progress).await?;
        found.sort_by_key(|stored| Position::of(&stored.entry()));
        read.found = found.len();
        Ok((found, read))
    }

    /// Removes the body of a forwarded record, and what else in it comes from the person: its subject, the sender's
    /// reference and the list of departures. Key, id and digests stay, so that a redelivery is still recognised.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the record was erased.
    pub async fn erase(&self, key: &str, now: Timestamp) -> Result<Erased, RecordsError> {
        let erased = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .update_expression(
                "SET erased_at = if_not_exists(erased_at, :now) \
                 REMOVE payload, #encoding, subject, call_ref, drift",
            )
            .condition_expression("#state = :forwarded")
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#encoding", "encoding")
            .expression_attribute_values(":forwarded", AttributeValue::S(State::Forwarded.name().into()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_millisecond().to_string()))
            .send()
            .await;
        if written(erased, "erase a record")? {
            return Ok(Erased::Yes);
        }
        Ok(if self.get(key).await?.is_some() { Erased::NotForwarded } else { Erased::Gone })
    }
}

/// Whether a body has a value somewhere, as a text or a number. Of a body that this parser cannot read (a lone
/// surrogate, more levels than it takes), or in which it would pass over one of two equal names, the bytes are searched.
fn has_value(body: &[u8], value: &str) -> bool {
    fn is_in(body: &Value, value: &str) -> bool {
        match body {
            Value::String(text) => text == value,
            Value::Number(number) => *value == *number.to_string(),
            Value::Array(list) => list.iter().any(|one| is_in(one, value)),
            Value::Object(fields) => fields.values().any(|one| is_in(one, value)),
            Value::Null | Value::Bool(_) => false,
        }
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(parsed) if is_in(&parsed, value) => true,
        _ => {
            let quoted = serde_json::to_string(value).unwrap_or_default();
            // A text that a colon follows is a name.
            let is_name = |rest: &[u8]| rest.trim_ascii_start().starts_with(b":");
            let mut places = body.windows(quoted.len()).enumerate();
            !value.is_empty()
                && places.any(|(at, part)| part == quoted.as_bytes() && !is_name(&body[at + part.len()..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_anywhere() {
        let body = br#"{"a": [{"mail": "ada@example.com"}, 7], "name": "Ada Sender"}"#;
        for (value, holds) in
            [("ada@example.com", true), ("7", true), ("Ada", false), ("mail", false), ("", false)]
        {
            assert_eq!(has_value(body, value), holds, "{value}");
        }
        for body in [
            "\u{feff}{\"mail\":\"ada@example.com\"}",
            r#"{"memo":"\ud800","mail":"ada@example.com"}"#,
            r#"{"mail":"ada@example.com","mail":"other"}"#,
            &format!("{}\"ada@example.com\"{}", "[".repeat(500), "]".repeat(500)),
        ] {
            assert!(has_value(body.as_bytes(), "ada@example.com"), "{body:.60}");
        }
        assert!(!has_value(b"ada@example.com", "ada@example.com"));
    }
}
