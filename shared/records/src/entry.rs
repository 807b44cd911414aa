//! A line of a listing: what an index holds of a record, and what the table says of its state.

use std::collections::HashMap;
use std::time::Duration;

use aws::item::{Item, number};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use ingest::{Decision, State};
use jiff::Timestamp;

use crate::{Records, RecordsError, failed, key_of};

/// How many items one call reads.
const MAX_BATCH: usize = 100;

/// How long to wait before what DynamoDB left out is asked for again.
const AFTER_LEFT_OUT: Duration = Duration::from_millis(100);

/// What an index holds of a record. None of it changes after the first write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record's key.
    pub key: String,
    /// The message's `type`.
    pub kind: String,
    /// The event's id.
    pub id: String,
    /// What the event is about.
    pub subject: Option<String>,
    /// When its delivery arrived.
    pub received_at: Timestamp,
    /// The status that the delivery was answered, or would have been.
    pub reply: u16,
    /// What was decided, where the event asked for a decision.
    pub decision: Option<Decision>,
}

/// What no index holds of a record, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Its state.
    pub state: State,
    /// When the event happened, if its body says so.
    pub occurred_at: Option<Timestamp>,
    /// When the queue had it.
    pub forwarded_at: Option<Timestamp>,
    /// How often forwarding was begun.
    pub attempts: u32,
}

/// An entry, and the current state of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the index holds.
    pub entry: Entry,
    /// The state. `None` when the record is gone by now.
    pub current: Option<Current>,
}

impl Entry {
    /// The provider, as keys begin.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.key.split('#').next().unwrap_or_default()
    }

    /// An entry of an index. What somebody has damaged is listed with what is left of it; without a time it is in no
    /// index.
    pub(crate) fn of(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let decision = text("decision").and_then(|decision| serde_json::from_str(&decision).ok());
        Some(Self {
            key: key_of(item),
            kind: text("kind").unwrap_or_default(),
            id: text("id").unwrap_or_default(),
            subject: text("subject"),
            received_at: Timestamp::from_millisecond(number(item, "received_at")?).ok()?,
            reply: number(item, "reply").unwrap_or_default(),
            decision,
        })
    }
}

/// A time in an item, in epoch milliseconds.
pub(crate) fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(number(item, name)?).ok()
}

/// The state in an item.
pub(crate) fn state(item: &Item) -> Option<State> {
    let name = item.get("state")?.as_s().ok()?;
    [State::Pending, State::Forwarded, State::Conflict].into_iter().find(|state| state.name() == name)
}

impl Current {
    fn of(item: &Item) -> Option<Self> {
        Some(Self {
            state: state(item)?,
            occurred_at: item.get("occurred_at").and_then(|at| at.as_s().ok()?.parse().ok()),
            forwarded_at: time(item, "forwarded_at"),
            attempts: number(item, "attempts").unwrap_or_default(),
        })
    }
}

impl Records {
    /// The current states of records, by key. A key without a record is left out.
    pub(crate) async fn current(
        &self,
        keys: impl IntoIterator<Item = &String>,
    ) -> Result<HashMap<String, Current>, RecordsError> {
        let items = self.read(keys, Some("pk, #state, occurred_at, forwarded_at, attempts")).await?;
        Ok(items.iter().filter_map(|item| Some((key_of(item), Current::of(item)?))).collect())
    }

    /// The lines of records, in no order. A key without a record is left out.
    pub(crate) async fn lines(
        &self,
        keys: impl IntoIterator<Item = &String>,
    ) -> Result<Vec<Listed>, RecordsError> {
        const LINE: &str = "pk, #state, occurred_at, forwarded_at, attempts, kind, id, subject, received_at, reply, decision";
        let items = self.read(keys, Some(LINE)).await?;
        let line = |item: &Item| Some(Listed { entry: Entry::of(item)?, current: Current::of(item) });
        Ok(items.iter().filter_map(line).collect())
    }

    /// Some attributes of items, `#state` among them; or all of them, read consistently. In no order.
    pub(crate) async fn read(
        &self,
        keys: impl IntoIterator<Item = &String>,
        attributes: Option<&str>,
    ) -> Result<Vec<Item>, RecordsError> {
        let keys: Vec<&String> = keys.into_iter().collect();
        let mut items = Vec::new();
        for keys in keys.chunks(MAX_BATCH) {
            let keys = keys.iter().map(|key| Item::from([("pk".into(), AttributeValue::S((*key).clone()))]));
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys.collect()));
            let wanted = match attributes {
                Some(attributes) => {
                    wanted.projection_expression(attributes).expression_attribute_names("#state", "state")
                }
                None => wanted.consistent_read(true),
            };
            let mut asked = Some(
                wanted
                    .build()
                    .map_err(|error| RecordsError::Call { doing: "read records", source: error.into() })?,
            );
            while let Some(request) = asked.take() {
                let call = self.client.batch_get_item().request_items(&self.table, request);
                let mut answer = call.send().await.map_err(failed("read records"))?;
                let read = answer.responses.take().and_then(|mut tables| tables.remove(&self.table));
                items.extend(read.unwrap_or_default());
                asked = answer.unprocessed_keys.take().and_then(|mut tables| tables.remove(&self.table));
                if asked.is_some() {
                    tokio::time::sleep(AFTER_LEFT_OUT).await;
                }
            }
        }
        Ok(items)
    }
}
