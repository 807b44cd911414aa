//! The ports in memory, under the same contract as the real ones. For unit tests of what uses them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::{Earlier, Message, PortError, Record, Recorded, Sink, State, Store};

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
        let new = Item { record: record.clone(), state: State::Pending, expires_at: None };
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
