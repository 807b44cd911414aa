//! Forwarding what an interrupted delivery left behind.
//!
//! A record that is still pending when it is due belongs to whoever claims it. A claim moves
//! `due_at` ahead, so that two reconcilers do not send the same record at once; what then fails is
//! postponed, and what the claimer never comes back to is due again by itself.
//!
//! A run says how old the oldest pending record is only where it knows: see [`Summary::oldest_age`].

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Backlog, BatchSink, Claim, DUE_AFTER, Due, DuePage, Message, Operation, PENDING_SHARDS, PortError,
    Record, Store, Unsent,
};

/// How many records are claimed, sent and settled at a time. So many fit one call to the queue and are
/// in memory at once (a record can hold some megabytes of JSON), and they are done soon after time is up.
pub const PAGE_RECORDS: usize = 10;

/// How long the messages of one page may take, all queues and all calls together. What has not been sent
/// by then is postponed. `shared/aws/src/budget.rs` binds it to the time that a function has.
pub const FORWARD_PAGE: Duration = Duration::from_secs(9);

/// The age at which a pending record is too old: the threshold of the alarm on the metric
/// `PendingOldestAge`.
pub const PENDING_TOO_OLD: SignedDuration = SignedDuration::from_mins(5);

/// The longest time between two attempts to forward one record. With a run every minute, any five
/// minutes hold one of them, so the age of whatever keeps failing is always among that time's metrics.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(3);

/// From this attempt on a record counts as one that keeps failing: five minutes after its delivery.
const KEEPS_FAILING_FROM: u32 = 3;

/// How many different errors a summary holds.
const MAX_ERRORS: usize = 10;

/// Forwards what is overdue, to the sink of each record's provider.
#[derive(Debug)]
pub struct Reconciler<S, Q> {
    /// Where records are.
    pub store: S,
    /// The sink of each provider, by its name: the part of a key before the first `#`.
    pub sinks: Vec<(&'static str, Q)>,
    /// The time of day.
    pub clock: fn() -> Timestamp,
}

/// What one run came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many entries that are due were found in the index.
    pub due: usize,
    /// How many of them were sent and settled.
    pub forwarded: usize,
    /// How many were somebody else's: claimed or settled since the index was read.
    pub taken: usize,
    /// How many could not be claimed, read or sent, or were sent but not settled. They are due again later.
    pub failed: usize,
    /// How many of those have failed several times by now, or will fail until somebody repairs them.
    pub keeps_failing: usize,
    /// How many were left alone, unclaimed, because their queue had not answered in this run.
    pub untried: usize,
    /// How long the record that was received first has been waiting, or longer.
    ///
    /// Of a claimed record that is its own time. Of an entry whose record was not seen (its claim failed,
    /// its queue does not answer, time ran out) it is counted from `due_at` less [`DUE_AFTER`]. That is
    /// exact for a record whose first attempt was interrupted, too short for one that was postponed, and
    /// up to [`DUE_AFTER`] too long for one that was due as soon as it was written.
    ///
    /// `None` when nobody knows: a part of the index could not be read, and what is known is not
    /// [too old](PENDING_TOO_OLD). Otherwise a small known age would hide an unknown one.
    pub oldest_age: Option<SignedDuration>,
    /// How long after it was due the record that was due first was found. `None` when a part of the index
    /// could not be read.
    pub lag: Option<SignedDuration>,
    /// Whether something due was not looked at: time ran out, or the index did not answer.
    pub unfinished: bool,
    /// What went wrong, for the log.
    pub errors: Vec<String>,
    /// Which operations failed, each once for a provider. What concerns the whole index counts for every
    /// provider.
    pub failures: Vec<(&'static str, Operation)>,
}

impl<S: Store + Backlog, Q: BatchSink> Reconciler<S, Q> {
    /// Forwards everything that is due, oldest first within a shard, until it is done or
    /// `stop_at` has come.
    pub async fn run(&self, stop_at: Timestamp) -> Summary {
        let started = (self.clock)();
        let mut run = Run::new(started, self.sinks.iter().map(|(name, _)| *name).collect());
        if started >= stop_at {
            run.summary.unfinished = true;
            run.index_unknown = true;
            return run.finish();
        }
        // Another shard goes first every minute, so that none waits behind a backlog for ever.
        let first =
            u8::try_from(started.as_second().div_euclid(60).rem_euclid(PENDING_SHARDS.into())).unwrap_or(0);
        let shards = (0..PENDING_SHARDS).map(|offset| (first + offset) % PENDING_SHARDS);
        // The oldest entries of every shard are read first: what is due is known even where time runs out.
        let pages: Vec<_> = stream::iter(shards)
            .map(|shard| async move { (shard, self.store.due(shard, started, None, PAGE_RECORDS).await) })
            .buffered(PENDING_SHARDS.into())
            .collect()
            .await;
        for (shard, mut page) in pages {
            loop {
                let DuePage { entries, unreadable, next } = match page {
                    Ok(page) => page,
                    Err(error) => {
                        run.no_index(&error);
                        break;
                    }
                };
                run.found(&entries);
                for entry in unreadable {
                    run.unreadable_entry(&entry.key, &entry.error);
                }
                if (self.clock)() >= stop_at && (!entries.is_empty() || next.is_some()) {
                    run.summary.unfinished = true;
                    run.not_seen(&entries);
                    break;
                }
                self.forward(entries, &mut run).await;
                let Some(next) = next else { break };
                page = self.store.due(shard, started, Some(next), PAGE_RECORDS).await;
            }
        }
        run.finish()
    }

    /// Claims, sends and settles some records.
    async fn forward(&self, due: Vec<Due>, run: &mut Run) {
        let due = run.without_silent(due);
        if due.is_empty() {
            return;
        }
        let now = (self.clock)();
        let until = now.saturating_add(DUE_AFTER).unwrap_or(now);
        let records = self.claim(&due, now, until, run).await;
        let sent = self.send(records, until, run).await;

        let results: Vec<_> = stream::iter(sent)
            .map(|(record, sent)| async move {
                let result = match sent {
                    Ok(()) => self.store.settle(&record, false, (self.clock)()).await,
                    Err(error) => Err(error),
                };
                let postponed = match result {
                    Ok(()) => Ok(()),
                    Err(_) => self.store.postpone(&record, until, next_attempt(now, &record)).await,
                };
                (record, result, postponed)
            })
            .buffered(PAGE_RECORDS)
            .collect()
            .await;
        for (record, result, postponed) in results {
            match result {
                Ok(()) => run.summary.forwarded += 1,
                Err(error) => run.failed(&record.key, &error, record.attempts >= KEEPS_FAILING_FROM),
            }
            if let Err(error) = postponed {
                // The claim runs out, and the record is due again by itself.
                run.note(&record.key, &error);
            }
        }
    }

    /// Claims records until a time; returns those that can be sent.
    async fn claim(&self, due: &[Due], now: Timestamp, until: Timestamp, run: &mut Run) -> Vec<Record> {
        let claims: Vec<_> =
            stream::iter(due).map(|due| self.store.claim(due, until)).buffered(PAGE_RECORDS).collect().await;
        let mut records = Vec::new();
        for (due, claim) in due.iter().zip(claims) {
            match claim {
                Ok(Claim::Claimed(record)) => {
                    run.waiting_for(now.duration_since(record.received_at));
                    records.push(*record);
                }
                Ok(Claim::Taken) => run.summary.taken += 1,
                Ok(Claim::Unreadable { error, received_at, attempts }) => {
                    run.waiting_for(match received_at {
                        Some(received_at) => now.duration_since(received_at),
                        None => shortest_wait(attempts),
                    });
                    run.failed(&due.key, &error, true);
                }
                Err(error) => {
                    run.not_seen(std::slice::from_ref(due));
                    run.failed(&due.key, &error, run.shown_age(due) >= PENDING_TOO_OLD);
                }
            }
        }
        records
    }

    /// Sends records that are claimed `until` a time, and nothing after it.
    async fn send(
        &self,
        mut records: Vec<Record>,
        until: Timestamp,
        run: &mut Run,
    ) -> Vec<(Record, Result<(), PortError>)> {
        let begun = (self.clock)();
        let ends = begun.saturating_add(FORWARD_PAGE).unwrap_or(until).min(until);
        let mut sent = Vec::new();
        for (name, sink) in &self.sinks {
            let (own, others): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| provider(&record.key) == *name);
            records = others;
            if own.is_empty() {
                continue;
            }
            let messages: Vec<Message> = own.iter().map(|record| Message::new(record, false)).collect();
            let left = (self.clock)().duration_until(ends).try_into().unwrap_or_default();
            let results = sink.forward_batch(&messages, left).await;
            if results.iter().any(|result| matches!(result, Err(Unsent::Queue(_)))) {
                run.silent.push(name);
            }
            sent.extend(own.into_iter().zip(results.into_iter().map(|sent| sent.map_err(PortError::from))));
        }
        let nowhere =
            || PortError::new(Operation::Forward, "no queue is configured for the record's provider");
        sent.extend(records.into_iter().map(|record| (record, Err(nowhere()))));
        sent
    }
}

/// A run that goes on.
struct Run {
    started: Timestamp,
    /// The providers that have a queue.
    providers: Vec<&'static str>,
    /// Those whose queue has not answered in this run.
    silent: Vec<&'static str>,
    /// The oldest age that is known.
    age: SignedDuration,
    /// The longest lag that is known.
    lag: SignedDuration,
    /// Whether something in the index could not be read.
    index_unknown: bool,
    summary: Summary,
}

impl Run {
    fn new(started: Timestamp, providers: Vec<&'static str>) -> Self {
        Self {
            started,
            providers,
            silent: Vec::new(),
            age: SignedDuration::ZERO,
            lag: SignedDuration::ZERO,
            index_unknown: false,
            summary: Summary::default(),
        }
    }

    fn found(&mut self, due: &[Due]) {
        self.summary.due += due.len();
        let lags = due.iter().map(|due| self.started.duration_since(due.due_at));
        self.lag = lags.fold(self.lag, SignedDuration::max);
    }

    fn waiting_for(&mut self, age: SignedDuration) {
        self.age = self.age.max(age);
    }

    /// These entries are due, and their records were not seen.
    fn not_seen(&mut self, due: &[Due]) {
        let ages = due.iter().map(|due| self.shown_age(due));
        self.age = ages.fold(self.age, SignedDuration::max);
    }

    /// How old a record is by its entry in the index alone.
    fn shown_age(&self, due: &Due) -> SignedDuration {
        self.started.duration_since(due.due_at).saturating_add(DUE_AFTER)
    }

    /// Leaves out what would go to a queue that does not answer.
    fn without_silent(&mut self, due: Vec<Due>) -> Vec<Due> {
        let (untried, due): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|due| self.silent.contains(&provider(&due.key)));
        self.summary.untried += untried.len();
        self.not_seen(&untried);
        due
    }

    /// A shard of the index did not answer.
    fn no_index(&mut self, error: &PortError) {
        self.summary.unfinished = true;
        self.index_unknown = true;
        self.note("", error);
    }

    /// An entry of the index cannot be read. It never will be by itself.
    fn unreadable_entry(&mut self, key: &str, error: &PortError) {
        self.summary.due += 1;
        self.index_unknown = true;
        self.failed(key, error, true);
    }

    /// A record was not forwarded.
    fn failed(&mut self, key: &str, error: &PortError, keeps_failing: bool) {
        self.summary.failed += 1;
        self.summary.keeps_failing += usize::from(keeps_failing);
        self.note(key, error);
    }

    /// Notes what went wrong with one record; with an empty key, with the whole index.
    fn note(&mut self, key: &str, error: &PortError) {
        let text = error.chain();
        if self.summary.errors.len() < MAX_ERRORS && !self.summary.errors.contains(&text) {
            self.summary.errors.push(text);
        }
        for name in &self.providers {
            let failure = (*name, error.operation);
            if (key.is_empty() || provider(key) == *name) && !self.summary.failures.contains(&failure) {
                self.summary.failures.push(failure);
            }
        }
    }

    fn finish(self) -> Summary {
        let oldest_age = (!self.index_unknown || self.age > PENDING_TOO_OLD).then_some(self.age);
        let lag = (!self.index_unknown).then_some(self.lag);
        Summary { oldest_age, lag, ..self.summary }
    }
}

/// The provider of a record, by its key.
fn provider(key: &str) -> &str {
    key.split('#').next().unwrap_or_default()
}

/// How long a record has been waiting at the least when forwarding is begun for the `attempts`th time. The
/// first attempt is its delivery; the second may follow at once; each later one comes [`DUE_AFTER`] after
/// the one before, when that claim ends, or later.
fn shortest_wait(attempts: u32) -> SignedDuration {
    let waits = i32::try_from(attempts.saturating_sub(2)).unwrap_or(i32::MAX);
    DUE_AFTER.checked_mul(waits).unwrap_or(SignedDuration::MAX)
}

/// When a record that could not be forwarded is due again: in 45 to 90 seconds after its first attempt, and
/// in 90 to 180 after every later one. With a run every minute, records that failed together come again in
/// different runs, so that no record is always sent beside the same others.
fn next_attempt(now: Timestamp, record: &Record) -> Timestamp {
    let doublings = record.attempts.saturating_sub(1).min(10);
    let longest = (DUE_AFTER * 2_i32.saturating_pow(doublings)).min(MAX_BACKOFF);
    let earlier = longest.as_millis() / 2 * i128::from(spread(record)) / i128::from(u32::MAX);
    let backoff = longest - SignedDuration::from_millis(i64::try_from(earlier).unwrap_or_default());
    now.saturating_add(backoff).unwrap_or(Timestamp::MAX)
}

/// A number that looks random, and differs from record to record and from attempt to attempt (FNV-1a).
fn spread(record: &Record) -> u32 {
    let hash = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let bytes = record.key.bytes().chain(record.attempts.to_be_bytes());
    // The last bytes have not gone through the whole number yet: four more do that.
    bytes.chain([0; 4]).fold(0x811c_9dc5, hash)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::StoredPayload;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn record(key: &str, attempts: u32) -> Record {
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
            content_sha256: String::new(),
            conflict_of: None,
            held: false,
            left_to_reconciler: false,
            decision: None,
            reply: 200,
            delivery_id: "d".into(),
            trace_id: None,
            received_at: NOW,
            attempts,
            stored: StoredPayload { bytes: Bytes::new(), encoding: None, sha256: String::new() },
            payload: Bytes::new(),
        }
    }

    #[test]
    fn attempts_grow_apart_and_stay_in_sight() {
        for n in 0..1000 {
            for (attempts, longest) in [(0, 90), (1, 90), (2, 180), (3, 180), (1000, 180), (u32::MAX, 180)] {
                let record = record(&format!("one#{n}"), attempts);
                let wait = next_attempt(NOW, &record).duration_since(NOW);
                let longest = SignedDuration::from_secs(longest);
                assert!(wait >= longest / 2 && wait <= longest, "{wait}");
                // Only a delivery makes a first attempt; what shortest_wait counts on begins with the second.
                assert!(attempts < 2 || wait >= DUE_AFTER, "{wait}");
                assert_eq!(next_attempt(NOW, &record).duration_since(NOW), wait, "the same again");
            }
        }
        let between_runs = SignedDuration::from_mins(1);
        assert!(MAX_BACKOFF + between_runs < PENDING_TOO_OLD, "the alarm looks at five minutes");
    }

    #[test]
    fn neighbours_part() {
        // Runs are a minute apart: how many runs later a record is tried again, on the minute or off it.
        for off in 0..60 {
            let runs = |n: usize, attempts| {
                let record = record(&format!("umaaas#TEST#{n}"), attempts);
                let wait = next_attempt(NOW, &record).duration_since(NOW);
                (wait + SignedDuration::from_secs(off)).as_secs() / 60
            };
            for attempts in 2..10 {
                let first = (0..1000).map(|n| runs(n, attempts)).min();
                let early = (0..1000).filter(|n| Some(runs(*n, attempts)) == first).count();
                assert!((1..800).contains(&early), "attempt {attempts}: {early} of 1,000");
            }
            // and it is not always the same ones that meet
            let meetings = (2..102).filter(|attempts| runs(1, *attempts) == runs(2, *attempts)).count();
            assert!((20..80).contains(&meetings), "{off} s off the minute: {meetings} of 100");
        }
    }

    #[test]
    fn how_long_attempts_show_that_a_record_waits() {
        let waits = [0, 1, 2, 3, 6, u32::MAX].map(|attempts| shortest_wait(attempts).as_secs());
        assert_eq!(waits[..5], [0, 0, 0, 90, 360]);
        assert!(waits[5] > 360);
    }
}
