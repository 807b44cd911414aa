//! The ports in memory and a record, for tests. The ports keep the same contract as the real ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Backlog, Base, BatchSink, Claim, Control, Counted, Counts, Decision, Directory, Due, DuePage, Earlier,
    Facts, Ledger, Limits, Message, Operation, PortError, Record, Recorded, RecordedDecision, Sink, State,
    Store, StoredPayload, Tally, Unsent, sha256_hex,
};

/// A record of an accepted event with this key and this id. It has no subject, no decision and no times but the one at
/// which it was received.
#[must_use]
pub fn record(key: &str, payload: impl Into<Bytes>, received_at: Timestamp) -> Record {
    let payload = payload.into();
    let sha256 = sha256_hex(&payload);
    Record {
        key: key.to_owned(),
        kind: "kind".into(),
        id: key.to_owned(),
        source: "/source".into(),
        subject: None,
        occurred_at: None,
        published_at: None,
        path: "/path".into(),
        call_ref: None,
        drift: vec![],
        content_sha256: sha256.clone(),
        conflict_of: None,
        held: false,
        left_to_reconciler: false,
        decision: None,
        reply: 200,
        delivery_id: "delivery".into(),
        trace_id: None,
        verified_by: None,
        received_at,
        attempts: 1,
        stored: StoredPayload { bytes: payload.clone(), encoding: None, sha256 },
        payload,
    }
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    retention: SignedDuration,
    items: Mutex<BTreeMap<String, Item>>,
    counted: Mutex<MemoryCounts>,
}

/// The ledgers and tallies of a [`MemoryStore`], by their keys.
#[derive(Debug, Default)]
struct MemoryCounts {
    ledgers: BTreeMap<String, Ledger>,
    tallies: BTreeMap<String, Tally>,
}

impl MemoryCounts {
    fn read(&self, ledger: &str, tallies: &[&str]) -> Counts {
        let tally = |key: &&str| self.tallies.get(*key).cloned().unwrap_or_else(|| Tally::empty(key));
        Counts {
            ledger: self.ledgers.get(ledger).cloned().unwrap_or_else(|| Ledger::empty(ledger)),
            tallies: tallies.iter().map(tally).collect(),
        }
    }

    /// Writes the counts, and says whether their versions were still the same.
    fn write(&mut self, counts: &Counts) -> bool {
        let keys: Vec<&str> = counts.tallies.iter().map(|tally| tally.key.as_str()).collect();
        let known = self.read(&counts.ledger.key, &keys);
        let same = known.ledger.version == counts.ledger.version
            && known.tallies.iter().zip(&counts.tallies).all(|(known, tally)| known.version == tally.version);
        if same {
            let Counts { ledger, tallies } = counts.clone();
            self.ledgers.insert(ledger.key.clone(), Ledger { version: ledger.version + 1, ..ledger });
            let tallies = tallies.into_iter().map(|tally| Tally { version: tally.version + 1, ..tally });
            self.tallies.extend(tallies.map(|tally| (tally.key.clone(), tally)));
        }
        same
    }
}

/// One record of a [`MemoryStore`].
#[derive(Clone, Debug)]
pub struct Item {
    /// The record.
    pub record: Record,
    /// Its state.
    pub state: State,
    /// The time from which its key is free again.
    pub expires_at: Option<Timestamp>,
    /// While it is pending: the time from which the reconciler may claim it.
    pub due_at: Option<Timestamp>,
    /// The final decision about a conflict with it.
    pub decided_later: Option<Decision>,
    /// Whether Lambda is known to have taken the reply in time. `None` before the record is settled.
    pub reply_confirmed: Option<bool>,
}

impl Item {
    fn new(record: &Record) -> Self {
        let pending = !record.held;
        Self {
            record: record.clone(),
            state: if pending { State::Pending } else { State::Conflict },
            expires_at: None,
            due_at: pending.then(|| record.due_at()),
            decided_later: None,
            reply_confirmed: None,
        }
    }

    /// Whether its key is free for a record that is received now.
    fn is_over(&self, now: Timestamp) -> bool {
        self.state == State::Forwarded && self.expires_at.is_some_and(|expiry| expiry < now)
    }

    fn earlier(&self) -> Earlier {
        let record = &self.record;
        Earlier {
            delivery_id: record.delivery_id.clone(),
            payload_sha256: record.stored.sha256.clone(),
            content_sha256: Some(record.content_sha256.clone()),
            occurred_at: record.occurred_at,
            decision: record.decision.clone(),
            decided_later: self.decided_later.clone(),
        }
    }
}

impl MemoryStore {
    /// An empty store that keeps forwarded records for as long as `retention`.
    #[must_use]
    pub fn new(retention: SignedDuration) -> Self {
        Self { retention, items: Mutex::default(), counted: Mutex::default() }
    }

    /// The item under a key.
    pub fn get(&self, key: &str) -> Option<Item> {
        self.items().get(key).cloned()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, MemoryCounts> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record, or a conflict with `base`, if `write` writes what belongs to it. `None` when it does not.
    fn put(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        write: impl FnOnce() -> bool,
    ) -> Result<Option<RecordedDecision>, PortError> {
        let mut items = self.items();
        let taken = items.get(&record.key).filter(|item| !item.is_over(record.received_at));
        let before = taken.map(|item| Box::new(item.earlier()));
        let mut decided = None;
        if let Some(base) = base {
            let item = items.get(base.key).filter(|item| item.record.delivery_id == base.delivery_id);
            let replaced = || {
                PortError::new(
                    Operation::RecordConflict,
                    "another record has replaced the one it conflicts with",
                )
            };
            decided = item.ok_or_else(replaced)?.decided_later.clone().map(Box::new);
        }
        if before.is_some() || decided.is_some() {
            return Ok(Some(RecordedDecision::Not { before, decided }));
        }
        if !write() {
            return Ok(None);
        }
        if let Some(item) = base.and_then(|base| items.get_mut(base.key)) {
            item.decided_later = record.decision.clone().filter(Decision::is_final);
        }
        items.insert(record.key.clone(), Item::new(record));
        Ok(Some(RecordedDecision::Now))
    }

    fn expiry(&self, now: Timestamp) -> Option<Timestamp> {
        now.saturating_add(self.retention).ok()
    }
}

impl Store for MemoryStore {
    async fn record(&self, record: &Record, _within: Duration) -> Result<Recorded, PortError> {
        Ok(match self.put(record, None, || true)? {
            Some(RecordedDecision::Not { before: Some(before), .. }) => Recorded::Before(before),
            _ => Recorded::Now,
        })
    }

    async fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        _within: Duration,
    ) -> Result<RecordedDecision, PortError> {
        Ok(self.put(conflict, Some(base), || true)?.unwrap_or(RecordedDecision::Now))
    }

    async fn settle(&self, record: &Record, reply_confirmed: bool, now: Timestamp) -> Result<(), PortError> {
        let expires_at = self.expiry(now);
        if let Some(item) = self.items().get_mut(&record.key)
            && item.state == State::Pending
            && item.record.delivery_id == record.delivery_id
        {
            item.state = State::Forwarded;
            item.expires_at = expires_at;
            item.due_at = None;
            item.reply_confirmed = Some(reply_confirmed);
        }
        Ok(())
    }
}

impl Limits for MemoryStore {
    async fn counts(
        &self,
        ledger: &str,
        tallies: &[&str],
        _within: Duration,
    ) -> Result<Option<Counts>, PortError> {
        Ok(Some(self.counted().read(ledger, tallies)))
    }

    async fn record_counted(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        counts: &Counts,
        _within: Duration,
    ) -> Result<Counted, PortError> {
        let recorded = self.put(record, base, || self.counted().write(counts))?;
        Ok(recorded.map_or(Counted::Changed, Counted::Recorded))
    }

    async fn change(&self, counts: &Counts, _within: Duration) -> Result<bool, PortError> {
        Ok(self.counted().write(counts))
    }
}

impl Backlog for MemoryStore {
    type Cursor = Due;

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        after: Option<Due>,
        limit: usize,
    ) -> Result<DuePage<Due>, PortError> {
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
        let more = due.len() > limit;
        due.truncate(limit);
        let next = due.last().filter(|_| more).cloned();
        Ok(DuePage { entries: due, unreadable: Vec::new(), next })
    }

    async fn claim(&self, due: &Due, until: Timestamp) -> Result<Claim, PortError> {
        let mut items = self.items();
        let Some(item) = items.get_mut(&due.key).filter(|item| item.due_at == Some(due.due_at)) else {
            return Ok(Claim::Taken);
        };
        item.due_at = Some(until);
        item.record.attempts += 1;
        Ok(Claim::Claimed(Box::new(item.record.clone())))
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

/// A directory in memory: the facts of each user.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory(pub BTreeMap<String, Facts>);

/// A switch in memory: whether decisions are stopped.
#[derive(Debug, Default)]
pub struct MemoryControl(pub AtomicBool);

impl Control for MemoryControl {
    async fn is_stopped(&self, _within: Duration) -> Result<bool, PortError> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

impl Directory for MemoryDirectory {
    async fn facts(&self, user: &str, names: &[&str], _within: Duration) -> Result<Option<Facts>, PortError> {
        Ok(self.0.get(user).map(|facts| {
            let asked = facts.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
            Facts(asked.map(|(name, value)| (name.clone(), value.clone())).collect())
        }))
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
    async fn forward_batch(&self, messages: &[Message], _within: Duration) -> Vec<Result<(), Unsent>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(messages);
        messages.iter().map(|_| Ok(())).collect()
    }
}
