//! One record as it stands in the table.

use aws::item::{self, Item, number};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use ingest::{Decision, Message, Record, State};
use jiff::Timestamp;

use crate::entry::{state, time};
use crate::{Current, Entry, Listed, Position, Records, RecordsError, failed, key_of};

/// The longest key that DynamoDB takes.
const MAX_KEY_BYTES: usize = 2048;

/// What a failed query of the index was to do.
const READ_BY_SUBJECT: &str = "read the index by_subject";

/// A record, and what became of it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What the first write held. Its payload is empty when the body is gone.
    pub record: Record,
    /// Whether the body is still there. It leaves the record of a stack with `KEEP_PAYLOAD=false`, and when it is erased.
    pub has_body: bool,
    /// Its state.
    pub state: State,
    /// While it is pending: when the reconciler may take it.
    pub due_at: Option<Timestamp>,
    /// When the queue had it.
    pub forwarded_at: Option<Timestamp>,
    /// Whether Lambda took the reply in time. `None` until it is settled.
    pub reply_confirmed: Option<bool>,
    /// The final decision about a later conflict with it.
    pub decided_later: Option<Decision>,
    /// When its body and what else was personal in it was erased.
    pub erased_at: Option<Timestamp>,
    /// Why that was done although the law demands to keep it.
    pub erased_reason: Option<String>,
    /// When DynamoDB may delete it.
    pub expires_at: Option<Timestamp>,
}

impl Stored {
    /// The record in an item.
    ///
    /// # Errors
    /// [`RecordsError::Unreadable`] when something other than the body is missing.
    pub(crate) fn of(mut item: Item) -> Result<Self, RecordsError> {
        let key = key_of(&item);
        let has_body = item.contains_key("payload");
        if !has_body {
            item.remove("encoding");
            item.insert("payload".into(), AttributeValue::B(Blob::new([])));
        }
        let decided_later = item.get("decided_later").and_then(|decision| decision.as_s().ok());
        let decided_later = decided_later.and_then(|decision| serde_json::from_str(decision).ok());
        let expires_at = number(&item, "expires_at").and_then(|second| Timestamp::from_second(second).ok());
        let known = Self {
            has_body,
            state: state(&item).unwrap_or(State::Pending),
            due_at: time(&item, "due_at"),
            forwarded_at: time(&item, "forwarded_at"),
            reply_confirmed: item.get("reply_confirmed").and_then(|value| value.as_bool().ok()).copied(),
            decided_later,
            erased_at: time(&item, "erased_at"),
            erased_reason: item.get("erased_reason").and_then(|reason| reason.as_s().ok()).cloned(),
            expires_at,
            record: item::record_of(item).map_err(|source| RecordsError::Unreadable { key, source })?,
        };
        Ok(known)
    }

    /// Its line in a listing.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            key: self.record.key.clone(),
            kind: self.record.kind.clone(),
            id: self.record.id.clone(),
            subject: self.record.subject.clone(),
            received_at: self.record.received_at,
            reply: self.record.reply,
            decision: self.record.decision.clone(),
        }
    }

    /// Its line in a listing, with its state.
    #[must_use]
    pub fn listed(&self) -> Listed {
        let current = Current {
            state: self.state,
            occurred_at: self.record.occurred_at,
            forwarded_at: self.forwarded_at,
            attempts: self.record.attempts,
        };
        Listed { entry: self.entry(), current: Some(current) }
    }

    /// The message as it was sent, or will be. `None` when the body is gone.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        self.has_body.then(|| Message::new(&self.record, self.reply_confirmed.unwrap_or_default()))
    }

    /// The message as a [replay](Message::replay). `None` when the body is gone.
    #[must_use]
    pub fn replay(&self, run: &str) -> Option<Message> {
        self.has_body.then(|| Message::replay(&self.record, self.reply_confirmed.unwrap_or_default(), run))
    }
}

impl Records {
    /// The record with this key.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer, or the record cannot be read.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, RecordsError> {
        let get = self.client.get_item().table_name(&self.table).key("pk", AttributeValue::S(key.to_owned()));
        let item = get.consistent_read(true).send().await.map_err(failed("read a record"))?.item;
        item.map(Stored::of).transpose()
    }

    /// The records with this key or this event id. There can be several: a provider may use one id under two types.
    /// `prefixes` are what the keys of ids can begin with, as in `umaaas#TEST#`. A conflict is found through the record
    /// that it conflicts with, if that has a subject.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn find(&self, key_or_id: &str, prefixes: &[String]) -> Result<Vec<Stored>, RecordsError> {
        // DynamoDB refuses an empty key and a longer one, and no record has one.
        if !(1..=MAX_KEY_BYTES).contains(&key_or_id.len()) {
            return Ok(Vec::new());
        }
        if let Some(stored) = self.get(key_or_id).await? {
            return Ok(vec![stored]);
        }
        let mut found = self.under(key_or_id, prefixes).await?;
        if found.is_empty()
            && let Some((first, _)) = key_or_id.rsplit_once('#')
        {
            let firsts = self.under(first, prefixes).await?;
            for subject in firsts.into_iter().filter_map(|first| first.record.subject) {
                let entries = self.related(&subject).await?.into_iter();
                for entry in entries.filter(|entry| entry.id == key_or_id) {
                    found.extend(self.get(&entry.key).await?);
                }
            }
        }
        Ok(found)
    }

    /// The records with these keys, in the order of receipt. A key without a record is left out, as is a record that
    /// cannot be read.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn whole(&self, keys: impl IntoIterator<Item = &String>) -> Result<Vec<Stored>, RecordsError> {
        let items = self.read(keys, None).await?.into_iter();
        let mut records: Vec<Stored> = items.filter_map(|item| Stored::of(item).ok()).collect();
        records.sort_by_key(|stored| Position::of(&stored.entry()));
        Ok(records)
    }

    async fn under(&self, id: &str, prefixes: &[String]) -> Result<Vec<Stored>, RecordsError> {
        let keys: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}{id}")).collect();
        let keys = keys.iter().filter(|key| key.len() <= MAX_KEY_BYTES);
        let items = self.read(keys, None).await?;
        let mut found = items.into_iter().map(Stored::of).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|stored| Position::of(&stored.entry()));
        Ok(found)
    }

    /// The newest records about one transaction, instrument or identity, at most `limit`, in the order of receipt; and
    /// whether there are more. One call, however many there are.
    ///
    /// # Errors
    /// [`RecordsError`] when the index does not answer.
    pub async fn latest_related(
        &self,
        subject: &str,
        limit: u16,
    ) -> Result<(Vec<Entry>, bool), RecordsError> {
        if subject.is_empty() {
            return Ok((Vec::new(), false));
        }
        let query = self.of_subject(subject).scan_index_forward(false).limit(limit.into());
        let page = query.send().await.map_err(failed(READ_BY_SUBJECT))?;
        let mut entries: Vec<Entry> = page.items.unwrap_or_default().iter().filter_map(Entry::of).collect();
        entries.reverse();
        Ok((entries, page.last_evaluated_key.is_some()))
    }

    /// Everything about one transaction, instrument or identity, in the order of receipt.
    ///
    /// # Errors
    /// [`RecordsError`] when the index does not answer.
    pub async fn related(&self, subject: &str) -> Result<Vec<Entry>, RecordsError> {
        let (mut entries, mut next) = (Vec::new(), None);
        if subject.is_empty() {
            return Ok(entries);
        }
        loop {
            let query = self.of_subject(subject).set_exclusive_start_key(next);
            let page = query.send().await.map_err(failed(READ_BY_SUBJECT))?;
            entries.extend(page.items.unwrap_or_default().iter().filter_map(Entry::of));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(entries);
            }
        }
    }

    fn of_subject(&self, subject: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name("by_subject")
            .key_condition_expression("subject = :subject")
            .expression_attribute_values(":subject", AttributeValue::S(subject.to_owned()))
    }
}
