//! Forwards the records that interrupted deliveries left pending.
//!
//! A reconciler claims a record that is still pending when it is due. A claim moves `due_at` ahead, so that
//! two reconcilers do not send the same record at once. If sending fails, the record is postponed. If the
//! reconciler stops meanwhile, the record is due again when the claim ends.
//!
//! A run reports the age of the oldest pending record only if it is known: see [`Summary::oldest_age`].

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Backlog, BatchSink, Claim, DUE_AFTER, Due, DuePage, Message, Operation, PENDING_SHARDS, PortError,
    Record, Store, Unsent,
};

/// How many records are claimed, sent and settled at a time. One call to the queue takes this number. They
/// are in memory together (a record can hold some megabytes of JSON), and a page that has begun ends soon
/// after `stop_at`.
pub const PAGE_RECORDS: usize = 10;

/// How long sending the messages of one page may take, all queues and all calls together. Messages that have
/// not been sent by then are postponed. `shared/aws/src/budget.rs` relates this to the function's time-out.
pub const FORWARD_PAGE: Duration = Duration::from_secs(9);

/// The age at which a pending record is too old: the threshold of the alarm on the metric
/// `PendingOldestAge`.
pub const PENDING_TOO_OLD: SignedDuration = SignedDuration::from_mins(5);

/// The longest time between two attempts to forward one record. With a run every minute, every period of five
/// minutes contains an attempt, so its metrics always contain the age of a record that keeps failing.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(3);

/// From this attempt on, a few minutes after its delivery, a record counts as one that keeps failing.
const KEEPS_FAILING_FROM: u32 = 3;

/// How many different errors a summary holds.
const MAX_ERRORS: usize = 10;

/// Forwards overdue records to the sink of their provider.
#[derive(Debug)]
pub struct Reconciler<S, Q> {
    /// Where the records are stored.
    pub store: S,
    /// The sink of each provider, by its name: the part of a key before the first `#`.
    pub sinks: Vec<(&'static str, Q)>,
    /// The current time.
    pub clock: fn() -> Timestamp,
}

/// The result of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of due entries that were found in the index.
    pub due: usize,
    /// How many of them were sent and settled.
    pub forwarded: usize,
    /// How many had been claimed or settled by another process since the index was read.
    pub taken: usize,
    /// How many could not be claimed, read or sent, or were sent but not settled. They are due again later.
    pub failed: usize,
    /// How many of the failed ones have failed several times, or will fail until a person repairs them.
    pub keeps_failing: usize,
    /// How many were not claimed because their queue had not answered earlier in this run.
    pub untried: usize,
    /// The age of the oldest pending record.
    ///
    /// The age of a claimed record counts from its arrival. If only the entry in the index was seen (the
    /// claim failed, the queue does not answer, the time was over), the age counts from `due_at` minus
    /// [`DUE_AFTER`]. That is exact for a record whose first attempt was interrupted, too short for a record
    /// that was postponed, and up to [`DUE_AFTER`] too long for a record that was due as soon as it was
    /// written.
    ///
    /// `None` when the age is unknown: a part of the index could not be read, and no known age is
    /// [too old](PENDING_TOO_OLD). Reporting a small known age would hide an unknown greater one.
    pub oldest_age: Option<SignedDuration>,
    /// The time between the earliest `due_at` that was found and the start of the run. `None` when a part of
    /// the index could not be read.
    pub lag: Option<SignedDuration>,
    /// Whether some due records were not handled, because the time was over or the index did not answer.
    pub unfinished: bool,
    /// What went wrong, for the log.
    pub errors: Vec<String>,
    /// Which operations failed, each once for a provider. A failure of the whole index counts for every
    /// provider.
    pub failures: Vec<(&'static str, Operation)>,
}

impl<S: Store + Backlog, Q: BatchSink> Reconciler<S, Q> {
    /// Forwards everything that is due, oldest first within a shard, until all is done or until `stop_at`.
    pub async fn run(&self, stop_at: Timestamp) -> Summary {
        let started = (self.clock)();
        let mut run = Run::new(started, self.sinks.iter().map(|(name, _)| *name).collect());
        if started >= stop_at {
            run.summary.unfinished = true;
            run.index_unknown = true;
            return run.finish();
        }
        // Every minute another shard is the first, so that no shard always waits behind a backlog.
        let first =
            u8::try_from(started.as_second().div_euclid(60).rem_euclid(PENDING_SHARDS.into())).unwrap_or(0);
        let shards = (0..PENDING_SHARDS).map(|offset| (first + offset) % PENDING_SHARDS);
        // The oldest entries of every shard are read first, so that their age is known even if the time is
        // over early.
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
                // The record is due again when its claim ends.
                run.note(&record.key, &error);
            }
        }
    }

    /// Claims records until `until`. Returns the records that can be sent.
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

    /// Sends records that are claimed until `until`. Nothing is sent after this time.
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

/// The state of a run.
struct Run {
    started: Timestamp,
    /// The providers that have a queue.
    providers: Vec<&'static str>,
    /// The providers whose queue has not answered in this run.
    silent: Vec<&'static str>,
    /// The greatest known age.
    age: SignedDuration,
    /// The greatest known lag.
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

    /// Takes the ages of due entries whose records were not read.
    fn not_seen(&mut self, due: &[Due]) {
        let ages = due.iter().map(|due| self.shown_age(due));
        self.age = ages.fold(self.age, SignedDuration::max);
    }

    /// The age of a record, computed from its entry in the index alone.
    fn shown_age(&self, due: &Due) -> SignedDuration {
        self.started.duration_since(due.due_at).saturating_add(DUE_AFTER)
    }

    /// Leaves out the entries whose queue does not answer.
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

    /// An entry of the index cannot be read. Later attempts will fail too.
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

    /// Adds an error to the summary. The error concerns one record or, if `key` is empty, the whole index.
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

/// The provider in a record's key.
fn provider(key: &str) -> &str {
    key.split('#').next().unwrap_or_default()
}

/// The minimum age of a record at its attempt number `attempts`. The first attempt is the delivery, the
/// second may follow immediately, and every later one follows at least [`DUE_AFTER`] after the previous one,
/// when its claim ends.
fn shortest_wait(attempts: u32) -> SignedDuration {
    let waits = i32::try_from(attempts.saturating_sub(2)).unwrap_or(i32::MAX);
    DUE_AFTER.checked_mul(waits).unwrap_or(SignedDuration::MAX)
}

/// When a record that could not be forwarded is due again: 45 to 90 seconds after the first attempt, 90 to 180
/// seconds after every later one. With a run every minute, records that failed together are tried again in
/// different runs, so that a record is not always in one batch with the same others.
fn next_attempt(now: Timestamp, record: &Record) -> Timestamp {
    let doublings = record.attempts.saturating_sub(1).min(10);
    let longest = (DUE_AFTER * 2_i32.saturating_pow(doublings)).min(MAX_BACKOFF);
    let earlier = longest.as_millis() / 2 * i128::from(spread(record)) / i128::from(u32::MAX);
    let backoff = longest - SignedDuration::from_millis(i64::try_from(earlier).unwrap_or_default());
    now.saturating_add(backoff).unwrap_or(Timestamp::MAX)
}

/// A pseudo-random number of a record and its attempt (FNV-1a).
fn spread(record: &Record) -> u32 {
    let hash = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let bytes = record.key.bytes().chain(record.attempts.to_be_bytes());
    // FNV-1a spreads the last bytes over a part of the number only. Four more bytes spread them over all of it.
    bytes.chain([0; 4]).fold(0x811c_9dc5, hash)
}

#[cfg(test)]
mod tests {

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn record(key: &str, attempts: u32) -> Record {
        Record { attempts, ..crate::memory::record(key, "", NOW) }
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
