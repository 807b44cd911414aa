//! Records by time. The index has some shards for each day; the listing reads the shards of a day together and merges
//! them by time and key.

use std::collections::VecDeque;

use aws::item::{Item, millis};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use ingest::{PENDING_SHARDS, State, TIME_SHARDS, time_shard};
use jiff::{SignedDuration, Timestamp};

use crate::{Entry, Listed, Position, Records, RecordsError, failed, key_of};

/// How many entries one call reads at most. A call has no more than 1 MB.
const MAX_PAGE: usize = 1000;

/// The shortest time between two records' times, as the table has it.
const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// Which records to list. What is `None` or empty does not matter.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Received at this time or later.
    pub since: Timestamp,
    /// Received before this time.
    pub until: Timestamp,
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this kind; `umaaas.*` is every kind that begins with `umaaas.`.
    pub kind: Option<String>,
    /// Decided so, as [`Decision::name`](ingest::Decision::name) has it.
    pub decision: Option<String>,
    /// Answered with this status.
    pub reply: Option<u16>,
    /// In this state now. The index by time does not hold it, so the table is read for it; what is pending has an
    /// index of its own.
    pub state: Option<State>,
}

/// In which order to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The latest first.
    NewestFirst,
    /// In the order of receipt.
    OldestFirst,
}

/// Some records of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, in order.
    pub records: Vec<Listed>,
    /// Where the next page begins. `None` on the last page.
    pub next: Option<Position>,
}

impl Filter {
    /// Everything in a time.
    #[must_use]
    pub fn between(since: Timestamp, until: Timestamp) -> Self {
        Self { since, until, provider: None, kind: None, decision: None, reply: None, state: None }
    }

    /// Whether an entry is one of these, as far as an entry can tell.
    #[must_use]
    pub fn admits(&self, entry: &Entry) -> bool {
        let decision = entry.decision.as_ref().map(ingest::Decision::name);
        (self.since..self.until).contains(&entry.received_at)
            && self.provider.as_deref().is_none_or(|provider| entry.provider() == provider)
            && self.kind.as_deref().is_none_or(|kind| match kind.strip_suffix('*') {
                Some(beginning) => entry.kind.starts_with(beginning),
                None => entry.kind == kind,
            })
            && self.decision.as_deref().is_none_or(|wanted| decision == Some(wanted))
            && self.reply.is_none_or(|reply| entry.reply == reply)
    }

    fn admits_state(&self, listed: &Listed) -> bool {
        self.state.is_none_or(|state| listed.current.as_ref().is_some_and(|current| current.state == state))
    }
}

impl Records {
    /// A page of at most `limit` records, with their current states.
    ///
    /// # Errors
    /// [`RecordsError`] when the table or its index does not answer.
    pub async fn list(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page, RecordsError> {
        if filter.state == Some(State::Pending) {
            return self.pending(filter, order, after.as_ref(), limit).await;
        }
        let mut listing = self.listing(filter, order, after, limit);
        let mut records: Vec<Listed> = Vec::new();
        while records.len() < limit {
            let entries = listing.take(limit - records.len()).await?;
            if entries.is_empty() {
                return Ok(Page { records, next: None });
            }
            records
                .extend(self.with_states(entries).await?.into_iter().filter(|one| filter.admits_state(one)));
        }
        let last = records.last().map(|listed| Position::of(&listed.entry));
        let next = if listing.next().await?.is_some() { last } else { None };
        Ok(Page { records, next })
    }

    /// A page of what is pending, by the index of pending records. It is read as a whole: it is small.
    async fn pending(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Page, RecordsError> {
        let shards = try_join_all((0..PENDING_SHARDS).map(|shard| self.pending_keys(shard))).await?;
        let mut records = self.lines(shards.iter().flatten()).await?;
        records.retain(|one| {
            filter.admits(&one.entry)
                && filter.admits_state(one)
                && after.is_none_or(|after| after.is_before(&one.entry, order))
        });
        records.sort_by_key(|one| Position::of(&one.entry));
        if order == Order::NewestFirst {
            records.reverse();
        }
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records.last().filter(|_| more).map(|last| Position::of(&last.entry));
        Ok(Page { records, next })
    }

    async fn pending_keys(&self, shard: u8) -> Result<Vec<String>, RecordsError> {
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("pending")
                .key_condition_expression("pending_shard = :shard")
                .expression_attribute_values(":shard", AttributeValue::S(shard.to_string()))
                .set_exclusive_start_key(next)
                .send()
                .await
                .map_err(failed("read the index pending"))?;
            keys.extend(page.items.unwrap_or_default().iter().map(key_of));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Entries with the current states of their records.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn with_states(&self, entries: Vec<Entry>) -> Result<Vec<Listed>, RecordsError> {
        let mut states = self.current(entries.iter().map(|entry| &entry.key)).await?;
        let listed = |entry: Entry| Listed { current: states.remove(&entry.key), entry };
        Ok(entries.into_iter().map(listed).collect())
    }

    /// The entries of the index one after the other, which the state of a filter does not concern. About
    /// `page` of them are read at a time.
    #[must_use]
    pub fn listing(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<Position>,
        page: usize,
    ) -> Listing<'_> {
        let mut filter = filter.clone();
        if let Some(after) = &after {
            match order {
                Order::NewestFirst => filter.until = filter.until.min(later(after.received_at, MILLISECOND)),
                Order::OldestFirst => filter.since = filter.since.max(after.received_at),
            }
        }
        // The last millisecond that counts is in the last day that is read.
        let last = later(filter.until, -MILLISECOND);
        let day = if order == Order::NewestFirst { last } else { filter.since };
        let mut listing = Listing { records: self, filter, order, after, page, day, shards: Vec::new() };
        listing.open_day();
        listing
    }
}

/// The entries of the index by time, merged from its shards.
#[derive(Debug)]
pub struct Listing<'a> {
    records: &'a Records,
    filter: Filter,
    order: Order,
    after: Option<Position>,
    page: usize,
    /// Some time in the day that is being read.
    day: Timestamp,
    shards: Vec<Shard>,
}

/// One shard of a day.
#[derive(Debug)]
struct Shard {
    name: String,
    /// Entries in order.
    ready: VecDeque<Entry>,
    /// The last entries that were read, all of one millisecond. The next page may have more of them, and the index
    /// does not say in which order.
    incomplete: Vec<Entry>,
    next: Option<Item>,
    done: bool,
}

impl Listing<'_> {
    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// [`RecordsError`] when the index does not answer.
    pub async fn next(&mut self) -> Result<Option<Entry>, RecordsError> {
        loop {
            let Some(entry) = self.next_of_day().await? else {
                if !self.next_day() {
                    return Ok(None);
                }
                continue;
            };
            let is_new = self.after.as_ref().is_none_or(|after| after.is_before(&entry, self.order));
            if is_new && self.filter.admits(&entry) {
                return Ok(Some(entry));
            }
        }
    }

    /// At most `count` entries.
    ///
    /// # Errors
    /// [`RecordsError`] when the index does not answer.
    pub async fn take(&mut self, count: usize) -> Result<Vec<Entry>, RecordsError> {
        let mut entries = Vec::new();
        while entries.len() < count {
            let Some(entry) = self.next().await? else { break };
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn next_of_day(&mut self) -> Result<Option<Entry>, RecordsError> {
        let (records, filter, order) = (self.records, &self.filter, self.order);
        let limit = self.page.div_ceil(TIME_SHARDS.into()).clamp(10, MAX_PAGE);
        let empty = self.shards.iter_mut().filter(|shard| shard.ready.is_empty() && !shard.done);
        try_join_all(empty.map(|shard| shard.fill(records, filter, order, limit))).await?;
        let heads = self.shards.iter_mut().filter(|shard| !shard.ready.is_empty());
        let place =
            |shard: &&mut Shard| shard.ready.front().map(|entry| (entry.received_at, entry.key.clone()));
        let first = match order {
            Order::NewestFirst => heads.max_by_key(place),
            Order::OldestFirst => heads.min_by_key(place),
        };
        Ok(first.and_then(|shard| shard.ready.pop_front()))
    }

    fn open_day(&mut self) {
        self.shards = (0..TIME_SHARDS)
            .map(|shard| Shard {
                name: time_shard(self.day, shard),
                ready: VecDeque::new(),
                incomplete: Vec::new(),
                next: None,
                done: self.filter.since >= self.filter.until,
            })
            .collect();
    }

    /// Goes on to the next day. `false` at the end.
    fn next_day(&mut self) -> bool {
        let day = |time: Timestamp| time.as_second().div_euclid(86_400);
        let (first, last) = (day(self.filter.since), day(later(self.filter.until, -MILLISECOND)));
        let (step, end) = match self.order {
            Order::NewestFirst => (-24, first),
            Order::OldestFirst => (24, last),
        };
        if self.filter.since >= self.filter.until || day(self.day) == end {
            return false;
        }
        self.day = later(self.day, SignedDuration::from_hours(step));
        self.open_day();
        true
    }
}

impl Shard {
    /// Reads until there is an entry whose place is certain.
    async fn fill(
        &mut self,
        records: &Records,
        filter: &Filter,
        order: Order,
        limit: usize,
    ) -> Result<(), RecordsError> {
        while self.ready.is_empty() && !self.done {
            let page = records
                .client
                .query()
                .table_name(&records.table)
                .index_name("by_time")
                .key_condition_expression("time_shard = :shard AND received_at BETWEEN :since AND :last")
                .expression_attribute_values(":shard", AttributeValue::S(self.name.clone()))
                .expression_attribute_values(":since", millis(filter.since))
                .expression_attribute_values(":last", millis(later(filter.until, -MILLISECOND)))
                .scan_index_forward(order == Order::OldestFirst)
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .set_exclusive_start_key(self.next.take())
                .send()
                .await
                .map_err(failed("read the index by_time"))?;
            for entry in page.items.unwrap_or_default().iter().filter_map(Entry::of) {
                if self.incomplete.first().is_some_and(|first| first.received_at != entry.received_at) {
                    self.complete(order);
                }
                self.incomplete.push(entry);
            }
            self.next = page.last_evaluated_key;
            if self.next.is_none() {
                self.complete(order);
                self.done = true;
            }
        }
        Ok(())
    }

    fn complete(&mut self, order: Order) {
        self.incomplete.sort_by(|one, other| one.key.cmp(&other.key));
        if order == Order::NewestFirst {
            self.incomplete.reverse();
        }
        self.ready.extend(self.incomplete.drain(..));
    }
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
