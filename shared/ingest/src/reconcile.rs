//! Forwarding what an interrupted delivery left behind.
//!
//! A record that is still pending when it is due belongs to whoever claims it. A claim moves
//! `due_at` ahead, so that two reconcilers do not send the same record at once; what then fails is
//! postponed, longer each time, and what the claimer never comes back to is due again by itself.

use futures_util::StreamExt;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Backlog, BatchSink, DUE_AFTER, Due, Message, Operation, PENDING_SHARDS, PortError, Record, Store,
};

/// How many records are claimed, sent and settled at a time. So many fit one call to the queue and are
/// in memory at once (a record can hold some megabytes of JSON), and they are done soon after time is up.
const PAGE: usize = 10;

/// The longest time between two attempts to forward one record. With a run every minute, any five
/// minutes hold one of them, so the age of whatever keeps failing is always among that time's metrics.
const MAX_BACKOFF: SignedDuration = SignedDuration::from_mins(3);

/// From this attempt on a record counts as one that keeps failing: five minutes after its delivery.
const KEEPS_FAILING_FROM: u32 = 3;

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
    /// How many records were due.
    pub due: usize,
    /// How many of them were sent and settled.
    pub forwarded: usize,
    /// How many were somebody else's: claimed or settled since the index was read.
    pub taken: usize,
    /// How many could not be sent, or were sent but not settled. They are due again later.
    pub failed: usize,
    /// How many of those have failed several times by now.
    pub keeps_failing: usize,
    /// How long the record that was received first had been waiting.
    pub oldest_age: SignedDuration,
    /// How long after it was due the record that was due first was found.
    pub lag: SignedDuration,
    /// Whether time ran out before everything due was seen.
    pub unfinished: bool,
    /// What went wrong, for the log.
    pub errors: Vec<String>,
}

impl<S: Store + Backlog, Q: BatchSink> Reconciler<S, Q> {
    /// Forwards everything that is due, oldest first within a shard, until it is done or
    /// `stop_at` has come.
    pub async fn run(&self, stop_at: Timestamp) -> Summary {
        let mut summary = Summary::default();
        let started = (self.clock)();
        // Another shard goes first every minute, so that none waits behind a backlog for ever.
        let first =
            u8::try_from(started.as_second().div_euclid(60).rem_euclid(PENDING_SHARDS.into())).unwrap_or(0);
        for shard in (0..PENDING_SHARDS).map(|offset| (first + offset) % PENDING_SHARDS) {
            let mut after = None;
            loop {
                if (self.clock)() >= stop_at {
                    summary.unfinished = true;
                    return summary;
                }
                let page = match self.store.due(shard, started, after.take(), PAGE).await {
                    Ok(page) => page,
                    Err(error) => {
                        summary.errors.push(error.chain());
                        summary.unfinished = true;
                        break;
                    }
                };
                let Some(last) = page.last().cloned() else { break };
                summary.seen(&page, started);
                self.forward(page, &mut summary).await;
                after = Some(last);
            }
        }
        summary
    }

    /// Claims, sends and settles some records.
    async fn forward(&self, due: Vec<Due>, summary: &mut Summary) {
        let now = (self.clock)();
        let until = now.saturating_add(DUE_AFTER).unwrap_or(now);
        let claims: Vec<_> =
            stream::iter(&due).map(|due| self.store.claim(due, until)).buffered(PAGE).collect().await;
        let mut records = Vec::new();
        for claim in claims {
            match claim {
                Ok(Some(record)) => records.push(record),
                Ok(None) => summary.taken += 1,
                Err(error) => summary.failure(&error, 0),
            }
        }
        for record in &records {
            summary.oldest_age = summary.oldest_age.max(now.duration_since(record.received_at));
        }
        let mut sent = Vec::new();
        for (name, sink) in &self.sinks {
            let (own, others): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| provider(record) == *name);
            records = others;
            let messages: Vec<Message> = own.iter().map(|record| Message::new(record, false)).collect();
            sent.extend(own.into_iter().zip(sink.forward_batch(&messages).await));
        }
        let nowhere =
            || PortError::new(Operation::Forward, "no queue is configured for the record's provider");
        sent.extend(records.into_iter().map(|record| (record, Err(nowhere()))));

        let settled: Vec<_> = stream::iter(sent)
            .map(|(record, sent)| async move {
                let result = match sent {
                    Ok(()) => self.store.settle(&record, false, (self.clock)()).await,
                    Err(error) => Err(error),
                };
                if result.is_err() {
                    // Where this fails too, the claim runs out and the record is due again.
                    let _ = self.store.postpone(&record, until, next_attempt(now, record.attempts)).await;
                }
                (record.attempts, result)
            })
            .buffered(PAGE)
            .collect()
            .await;
        for (attempts, result) in settled {
            match result {
                Ok(()) => summary.forwarded += 1,
                Err(error) => summary.failure(&error, attempts),
            }
        }
    }
}

impl Summary {
    fn seen(&mut self, due: &[Due], started: Timestamp) {
        self.due += due.len();
        let lags = due.iter().map(|due| started.duration_since(due.due_at));
        self.lag = lags.fold(self.lag, SignedDuration::max);
    }

    fn failure(&mut self, error: &PortError, attempts: u32) {
        self.failed += 1;
        self.keeps_failing += usize::from(attempts >= KEEPS_FAILING_FROM);
        let text = error.chain();
        if self.errors.len() < 10 && !self.errors.contains(&text) {
            self.errors.push(text);
        }
    }
}

/// The provider of a record.
fn provider(record: &Record) -> &str {
    record.key.split('#').next().unwrap_or_default()
}

/// When a record is due again after its `attempts`th attempt: in 90 seconds, and then every three
/// minutes.
fn next_attempt(now: Timestamp, attempts: u32) -> Timestamp {
    let doublings = attempts.saturating_sub(1).min(10);
    let backoff = (DUE_AFTER * 2_i32.saturating_pow(doublings)).min(MAX_BACKOFF);
    now.saturating_add(backoff).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_grow_apart_and_stay_in_sight() {
        let after = |attempts| next_attempt(Timestamp::UNIX_EPOCH, attempts).as_second();
        assert_eq!([0, 1, 2, 3, 1000, u32::MAX].map(after), [90, 90, 180, 180, 180, 180]);
        let between_runs = SignedDuration::from_mins(1);
        assert!(MAX_BACKOFF + between_runs < SignedDuration::from_mins(5), "the alarm looks at five minutes");
    }
}
