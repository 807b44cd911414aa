//! What is recorded about a person: finding it by a value that names the person, and erasing it.
//!
//! A record that is erased keeps its key, id, path, times, reply, decision and digests: the audit trail, and what
//! recognises a redelivery.

use aws::item::millis;
use aws_sdk_dynamodb::types::AttributeValue;
use ingest::{State, sha256_hex};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Condition, NoCondition, Position, Progress, Query, Records, RecordsError, Stored, written};

/// The value that names a person in records. It has no `Debug`, because the value is personal data.
#[derive(Clone)]
pub struct Person {
    value: String,
    digest: String,
    at: Option<Condition>,
}

impl Person {
    /// A person with this value in some field of a body, or with this value or its SHA-256 as a record's subject.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self { value: value.to_owned(), digest: sha256_hex(value.as_bytes()), at: None }
    }

    /// The same person, but only records whose body has the value at this path, as in `consumer.email`.
    ///
    /// # Errors
    /// [`NoCondition`] when the text is no path.
    pub fn at(self, path: &str) -> Result<Self, NoCondition> {
        Ok(Self { at: Some(Condition::at(path, &self.value)?), ..self })
    }

    fn is_in(&self, stored: &Stored) -> bool {
        let record = &stored.record;
        match &self.at {
            Some(condition) => condition.holds(&record.payload),
            None => {
                let subject = record.subject.as_deref();
                subject.is_some_and(|subject| subject == self.value || subject == self.digest)
                    || has_value(&record.payload, &self.value)
            }
        }
    }
}

/// What may be erased.
#[derive(Clone, Copy, Debug)]
pub struct Erasure<'a> {
    /// The time that is recorded as `erased_at`.
    pub now: Timestamp,
    /// A record with a decision that was received since then is kept, because the law demands it.
    pub keep_decided_since: Timestamp,
    /// Why such a record is erased nevertheless. It is recorded as `erased_reason`.
    pub override_reason: Option<&'a str>,
}

/// Whether a record was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// It was, now or before.
    Yes,
    /// It was, although the law demands to keep it: there was a reason.
    Overridden,
    /// It was not: it has this state. Its message needs the body.
    NotForwarded(State),
    /// It was not: it has a decision that has to be kept.
    Retained,
    /// There is no such record any more.
    Gone,
}

impl Erasure<'_> {
    /// What would become of a record.
    #[must_use]
    pub fn of(&self, stored: &Stored) -> Erased {
        let is_decided = stored.record.decision.is_some() || stored.decided_later.is_some();
        if stored.state != State::Forwarded {
            Erased::NotForwarded(stored.state)
        } else if !is_decided || stored.record.received_at < self.keep_decided_since {
            Erased::Yes
        } else if self.override_reason.is_some() {
            Erased::Overridden
        } else {
            Erased::Retained
        }
    }
}

impl Records {
    /// The records about a person, oldest first. Reads the whole table, as [`search`](Self::search) does.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn about_person(
        &self,
        person: &Person,
        units_per_second: u32,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<(Vec<Stored>, Progress), RecordsError> {
        let mut found = Vec::new();
        let each = |stored: Stored| found.extend(person.is_in(&stored).then_some(stored));
        let mut read = self.search(&Query::default(), units_per_second, each, progress).await?;
        found.sort_by_key(|stored| Position::of(&stored.entry()));
        read.found = found.len();
        Ok((found, read))
    }

    /// Removes the body of a forwarded record, and what else in it comes from the person: its subject, the sender's
    /// reference and the list of departures. The conditions are part of the write, so that a payment that is decided
    /// in this moment is kept.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the record was erased.
    pub async fn erase(&self, key: &str, erasure: &Erasure<'_>) -> Result<Erased, RecordsError> {
        if self.write_erasure(key, erasure, None).await? {
            return Ok(Erased::Yes);
        }
        let Some(stored) = self.get(key).await? else { return Ok(Erased::Gone) };
        match erasure.override_reason {
            _ if stored.state != State::Forwarded => Ok(Erased::NotForwarded(stored.state)),
            None => Ok(Erased::Retained),
            Some(reason) if self.write_erasure(key, erasure, Some(reason)).await? => Ok(Erased::Overridden),
            Some(_) => Ok(Erased::Gone),
        }
    }

    /// Whether the record was erased. It was not where it is not forwarded, or has to be kept and `reason` is missing.
    async fn write_erasure(
        &self,
        key: &str,
        erasure: &Erasure<'_>,
        reason: Option<&str>,
    ) -> Result<bool, RecordsError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#encoding", "encoding")
            .expression_attribute_values(":forwarded", AttributeValue::S(State::Forwarded.name().into()))
            .expression_attribute_values(":now", millis(erasure.now));
        let set = match reason {
            Some(reason) => {
                let reason = AttributeValue::S(reason.to_owned());
                update = update
                    .condition_expression("#state = :forwarded")
                    .expression_attribute_values(":reason", reason);
                ", erased_reason = :reason"
            }
            None => {
                update = update
                    .condition_expression(
                        "#state = :forwarded AND (received_at < :since \
                         OR (attribute_not_exists(decision) AND attribute_not_exists(decided_later)))",
                    )
                    .expression_attribute_values(":since", millis(erasure.keep_decided_since));
                ""
            }
        };
        let update = update.update_expression(format!(
            "SET erased_at = if_not_exists(erased_at, :now){set} \
             REMOVE payload, #encoding, subject, call_ref, drift"
        ));
        written(update.send().await, "erase a record")
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
