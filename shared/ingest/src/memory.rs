//! The ports in memory, under the same contract as the real ones. For unit tests of what uses them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::{Backlog, BatchSink, Due, Earlier, Message, PortError, Record, Recorded, Sink, State, Store};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    retention: SignedDuration,
    items: Mutex<BTreeMap<String, Item>>,
}

/// One record of a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct Item {
    /// The record.
    pub record: Record,
    /// Where it is in its life.
    pub state: State,
    /// From when on its key is free again.
    pub expires_at: Option<Timestamp>,
    /// From when on it is left behind, while it is pending.
    pub due_at: Option<Timestamp>,
}

impl MemoryStore {
    /// An empty store that keeps forwarded records for as long as `retention`.
    #[must_use]
    pub fn new(retention: SignedDuration) -> Self {
        Self { retention, items: Mutex::default() }
    }

    /// The item under a key.
    pub fn get(&self, key: &str) -> Option<Item> {
        self.items().get(key).cloned()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        now.saturating_add(self.retention).ok()
    }
}

impl Store for MemoryStore {
    async fn record(&self, record: &Record) -> Result<Recorded, PortError> {
        let new = Item {
            record: record.clone(),
            state: State::Pending,
            expires_at: None,
            due_at: Some(record.due_at()),
        };
        match self.items().entry(record.key.clone()) {
            Entry::Vacant(free) => {
                free.insert(new);
                Ok(Recorded::First)
            }
            Entry::Occupied(mut taken) => {
                let item = taken.get();
                let expired = item.expires_at.is_some_and(|expiry| expiry < record.received_at);
                if item.state == State::Forwarded && expired {
                    taken.insert(new);
                    return Ok(Recorded::First);
                }
                Ok(record.after(Earlier {
                    delivery_id: item.record.delivery_id.clone(),
                    payload_sha256: item.record.stored.sha256.clone(),
                    decision: item.record.decision.clone(),
                }))
            }
        }
    }

    async fn keep_conflict(&self, record: &Record) -> Result<(), PortError> {
        let expires_at = self.expiry(record.received_at);
        self.items().entry(record.conflict_key()).or_insert_with(|| Item {
            record: record.clone(),
            state: State::Conflict,
            expires_at,
            due_at: None,
        });
        Ok(())
    }

    async fn settle(&self, record: &Record, now: Timestamp) -> Result<(), PortError> {
        let expires_at = self.expiry(now);
        if let Some(item) = self.items().get_mut(&record.key)
            && item.state == State::Pending
            && item.record.delivery_id == record.delivery_id
        {
            item.state = State::Forwarded;
            item.expires_at = expires_at;
            item.due_at = None;
        }
        Ok(())
    }
}

impl Backlog for MemoryStore {
    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        after: Option<Due>,
        limit: usize,
    ) -> Result<Vec<Due>, PortError> {
        let items = self.items();
        let mut due: Vec<Due> = items
            .values()
            .filter_map(|item| {
                let (key, shard) = (item.record.key.clone(), item.record.pending_shard());
                Some(Due { key, due_at: item.due_at?, shard })
            })
            .filter(|due| due.shard == shard.to_string() && due.due_at <= now)
            .filter(|due| {
                after.as_ref().is_none_or(|after| (due.due_at, &due.key) > (after.due_at, &after.key))
            })
            .collect();
        due.sort_by_key(|due| (due.due_at, due.key.clone()));
        due.truncate(limit);
        Ok(due)
    }

    async fn claim(&self, due: &Due, until: Timestamp) -> Result<Option<Record>, PortError> {
        Ok(self.items().get_mut(&due.key).filter(|item| item.due_at == Some(due.due_at)).map(|item| {
            item.due_at = Some(until);
            item.record.attempts += 1;
            item.record.clone()
        }))
    }

    async fn postpone(
        &self,
        record: &Record,
        claimed_until: Timestamp,
        to: Timestamp,
    ) -> Result<(), PortError> {
        if let Some(item) =
            self.items().get_mut(&record.key).filter(|item| item.due_at == Some(claimed_until))
        {
            item.due_at = Some(to);
        }
        Ok(())
    }
}

/// A sink in memory.
#[derive(Debug, Default)]
pub struct MemorySink {
    messages: Mutex<Vec<Message>>,
}

impl MemorySink {
    /// Everything that arrived, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for MemorySink {
    async fn forward(&self, message: &Message) -> Result<(), PortError> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        Ok(())
    }
}

impl BatchSink for MemorySink {
    async fn forward_batch(&self, messages: &[Message]) -> Vec<Result<(), PortError>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(messages);
        messages.iter().map(|_| Ok(())).collect()
    }
}
