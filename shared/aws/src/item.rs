//! A record as an item of the table, and back.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use ingest::{Claim, Decision, Due, Earlier, Operation, PortError, Record, State, StoredPayload, VERSION};
use jiff::Timestamp;

/// An item, by the names of its attributes.
pub type Item = HashMap<String, AttributeValue>;

/// A new record as an item, with everything that is needed to build its message. A held record is not in the
/// `pending` index and never expires.
pub(crate) fn item(record: &Record) -> Item {
    let state = if record.held { State::Conflict } else { State::Pending };
    let mut item = Item::from([
        ("pk".into(), text(&record.key)),
        ("version".into(), AttributeValue::N(VERSION.to_string())),
        ("state".into(), text(state.name())),
        ("kind".into(), text(&record.kind)),
        ("id".into(), text(&record.id)),
        ("source".into(), text(&record.source)),
        ("path".into(), text(&record.path)),
        ("reply".into(), AttributeValue::N(record.reply.to_string())),
        ("delivery_id".into(), text(&record.delivery_id)),
        ("received_at".into(), millis(record.received_at)),
        ("time_shard".into(), AttributeValue::S(record.time_shard())),
        ("attempts".into(), AttributeValue::N(record.attempts.to_string())),
        ("payload".into(), AttributeValue::B(Blob::new(record.stored.bytes.clone()))),
        ("payload_sha256".into(), text(&record.stored.sha256)),
        ("content_sha256".into(), text(&record.content_sha256)),
    ]);
    if !record.held {
        item.insert("pending_shard".into(), AttributeValue::S(record.pending_shard()));
        item.insert("due_at".into(), millis(record.due_at()));
    }
    if let Some(published_at) = record.published_at {
        item.insert("published_at".into(), millis(published_at));
    }
    if let Some(position) = record.verified_by {
        item.insert("verified_by".into(), AttributeValue::N(position.to_string()));
    }
    let optional = [
        ("trace_id", record.trace_id.clone()),
        ("encoding", record.stored.encoding.map(str::to_owned)),
        // The key of an index: DynamoDB refuses an empty one, and with it the whole record.
        ("subject", record.subject.clone().filter(|subject| !subject.is_empty())),
        ("occurred_at", record.occurred_at.map(|time| time.to_string())),
        ("call_ref", record.call_ref.clone()),
        ("conflict_of", record.conflict_of.clone()),
        ("decision", record.decision.as_ref().map(written)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            item.insert(name.into(), AttributeValue::S(value));
        }
    }
    if !record.drift.is_empty() {
        item.insert(
            "drift".into(),
            AttributeValue::L(record.drift.iter().map(|entry| text(entry)).collect()),
        );
    }
    item
}

/// Reads the existing item, because of which a key is not free.
pub(crate) fn earlier(item: Item) -> Result<Earlier, PortError> {
    let mut fields = Fields(item);
    let key = fields.optional_text("pk").unwrap_or_default();
    Ok(Earlier {
        delivery_id: fields.text("delivery_id")?,
        payload_sha256: fields.text("payload_sha256")?,
        content_sha256: fields.optional_text("content_sha256"),
        occurred_at: fields.occurred_at(),
        decision: fields.decision("decision", &key),
        decided_later: fields.decision("decided_later", &key),
    })
}

/// The claimed record, or the fields that can be read when the whole record cannot.
pub(crate) fn claim_of(item: Item) -> Claim {
    let of_claim = ["received_at", "attempts"].map(|name| item.get_key_value(name));
    let known = of_claim.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    let mut known = Fields(known.collect());
    match record_of(item) {
        Ok(record) => Claim::Claimed(Box::new(record)),
        Err(error) => Claim::Unreadable {
            error,
            received_at: known.time("received_at").ok(),
            attempts: known.number("attempts").unwrap_or_default(),
        },
    }
}

/// The record that an item holds.
///
/// # Errors
/// [`PortError`] when an attribute is missing or not readable.
pub fn record_of(item: Item) -> Result<Record, PortError> {
    let mut fields = Fields(item);
    let stored = StoredPayload {
        bytes: fields.bytes("payload")?,
        encoding: match fields.optional_text("encoding").as_deref() {
            None => None,
            Some("gzip") => Some("gzip"),
            Some(_) => return Err(unreadable("encoding")),
        },
        sha256: fields.text("payload_sha256")?,
    };
    let key = fields.text("pk")?;
    Ok(Record {
        kind: fields.text("kind")?,
        id: fields.text("id")?,
        source: fields.text("source")?,
        subject: fields.optional_text("subject"),
        occurred_at: fields.occurred_at(),
        published_at: fields.time("published_at").ok(),
        path: fields.text("path")?,
        call_ref: fields.optional_text("call_ref"),
        drift: match fields.0.remove("drift") {
            Some(AttributeValue::L(entries)) => {
                entries.into_iter().filter_map(|entry| entry.as_s().ok().cloned()).collect()
            }
            _ => Vec::new(),
        },
        // Version 1 compared whole bodies.
        content_sha256: fields.optional_text("content_sha256").unwrap_or_else(|| stored.sha256.clone()),
        conflict_of: fields.optional_text("conflict_of"),
        held: false,
        left_to_reconciler: false,
        decision: fields.decision("decision", &key),
        key,
        reply: fields.number("reply")?,
        delivery_id: fields.text("delivery_id")?,
        trace_id: fields.optional_text("trace_id"),
        verified_by: fields.number("verified_by").ok(),
        received_at: fields.time("received_at")?,
        attempts: fields.number("attempts")?,
        payload: stored.read().map_err(|_| unreadable("payload"))?,
        stored,
    })
}

pub(crate) fn due(item: Item) -> Result<Due, PortError> {
    let mut fields = Fields(item);
    Ok(Due { key: fields.text("pk")?, due_at: fields.time("due_at")?, shard: fields.text("pending_shard")? })
}

/// The attributes of an item. Reading an attribute removes it.
pub(crate) struct Fields(pub Item);

impl Fields {
    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.0.remove(name) {
            Some(AttributeValue::S(text)) => Some(text),
            _ => None,
        }
    }

    fn text(&mut self, name: &'static str) -> Result<String, PortError> {
        self.optional_text(name).ok_or_else(|| unreadable(name))
    }

    fn bytes(&mut self, name: &'static str) -> Result<Bytes, PortError> {
        match self.0.remove(name) {
            Some(AttributeValue::B(blob)) => Ok(blob.into_inner().into()),
            _ => Err(unreadable(name)),
        }
    }

    fn number<N: FromStr>(&mut self, name: &'static str) -> Result<N, PortError> {
        match self.0.remove(name) {
            Some(AttributeValue::N(number)) => number.parse().map_err(|_| unreadable(name)),
            _ => Err(unreadable(name)),
        }
    }

    fn time(&mut self, name: &'static str) -> Result<Timestamp, PortError> {
        Timestamp::from_millisecond(self.number(name)?).map_err(|_| unreadable(name))
    }

    fn occurred_at(&mut self) -> Option<Timestamp> {
        self.optional_text("occurred_at").and_then(|time| time.parse().ok())
    }

    /// A decision of the record with this key. `None` when it cannot be read, because a newer version of this code
    /// wrote it, for example: the decision is then not repeated, and the event is processed without it.
    pub(crate) fn decision(&mut self, name: &'static str, key: &str) -> Option<Decision> {
        let text = self.optional_text(name)?;
        let decision = serde_json::from_str(&text).ok();
        if decision.is_none() {
            tracing::error!(key, attribute = name, "a decision in the table cannot be read");
        }
        decision
    }
}

/// The error for an item that has a missing or unreadable attribute. No version of this code writes such an
/// item.
fn unreadable(attribute: &'static str) -> PortError {
    PortError::new(Operation::ReadRecord, format!("its {attribute} is missing or not readable"))
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A number in an item. `None` when there is none that fits.
#[must_use]
pub fn number<N: FromStr>(item: &Item, name: &str) -> Option<N> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A time as items have it, in epoch milliseconds.
#[must_use]
pub fn millis(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_millisecond().to_string())
}

/// A decision as the table stores it: JSON.
pub(crate) fn written(decision: &Decision) -> String {
    serde_json::to_string(decision).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Whoever reads the log can find the record.
    #[test]
    fn a_decision_that_cannot_be_read_is_logged_with_the_key() {
        let mut item = item(&ingest::memory::record("umaaas#TEST#1", "{}", Timestamp::UNIX_EPOCH));
        item.insert("decision".into(), text("{\"outcome\":\"of a later version\"}"));
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(record_of(item.clone()).unwrap().decision, None);
            assert_eq!(earlier(item).unwrap().decision, None);
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let expected = "a decision in the table cannot be read key=\"umaaas#TEST#1\" attribute=\"decision\"";
        assert_eq!(log.matches(expected).count(), 2, "{log}");
    }
}
