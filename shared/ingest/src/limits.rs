//! Limits with memory: how much was approved for a sender or a receiver in a window of time, which a policy reads
//! before it decides about a payment.
//!
//! A *tally* holds the sums and counts of one limit and one sender or receiver, in buckets of an hour or of a day. A
//! *ledger* holds what one transaction was counted as, so that it is counted once and can be subtracted once. Both have
//! a version. An approval is recorded together with its new ledger and tallies, provided that none of them has changed
//! since they were read. So no two approvals are based on the same sums.
//!
//! Everything here only computes; [`Limits`] is the port to the table.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Arrival, Base, PortError, Record, RecordedDecision, key_part};

/// What all keys of tallies begin with.
pub const TALLY: &str = "limit#";

/// What all keys of ledgers begin with.
pub const LEDGER: &str = "decision#";

/// The longest window, in hours.
pub const LONGEST_WINDOW_HOURS: u32 = 744;

/// The longest window whose buckets are hours. The buckets of longer windows are days.
const HOUR_BUCKETS_UP_TO: u32 = 168;

/// How much longer than the window a bucket stays in its tally. A clock that is ahead by less removes nothing too early.
const SPARE_HOURS: i64 = 2;

/// How long items stay in the table after the end of their last window.
const STAY: SignedDuration = SignedDuration::from_hours(24);

/// What a payment counts as, if it is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counting {
    /// Its amount, in the smallest unit of its currency.
    pub amount: i64,
    /// The limits that it counts towards, and that the policy reads.
    pub limits: Vec<Limit>,
}

/// One limit, for the sender or receiver of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in the policy.
    pub name: String,
    /// The key of its tally.
    pub key: String,
    /// Its window, in hours.
    pub hours: u32,
}

/// How much was approved in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// The sum of the amounts, at most [`i64::MAX`].
    pub sum: i64,
    /// The number of payments.
    pub count: i64,
}

/// The totals before a payment, by the names of the limits.
pub type Totals = BTreeMap<String, Total>;

/// A span of time in which payments are added up: `hours` from the hour `start` since 1970 on. As a text: `495864/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// Its first hour, since 1970.
    pub start: i64,
    /// How long it is.
    pub hours: u32,
}

/// What was counted towards one limit for one sender or receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Its key.
    pub key: String,
    /// How often it was written. 0: never.
    pub version: u64,
    /// The longest window that it was counted for, in hours. Two policies can use one limit with different windows.
    pub hours: u32,
    /// What was counted.
    pub buckets: BTreeMap<Bucket, Total>,
}

/// What one transaction was counted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Its key.
    pub key: String,
    /// How often it was written. 0: never.
    pub version: u64,
    /// What is counted. Empty after the transaction was subtracted.
    pub counts: Vec<Count>,
    /// The end of the last window that it was counted in.
    pub until: Option<Timestamp>,
}

/// One amount that was added to one tally.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// The key of the tally.
    pub tally: String,
    /// The bucket.
    #[serde(with = "bucket_as_text")]
    pub bucket: Bucket,
    /// The amount.
    pub amount: i64,
}

/// A ledger and tallies, as they were read or as they are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The ledger of the transaction.
    pub ledger: Ledger,
    /// The tallies.
    pub tallies: Vec<Tally>,
}

/// The result of recording an approval together with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// As for [`Store::record_decision`](crate::Store::record_decision). Counted only if it is `Now`.
    Recorded(RecordedDecision),
    /// The ledger or a tally has changed since it was read, and nothing was written.
    Changed,
}

/// Something that keeps ledgers and tallies with the records. The contract is the test `store_contract` in `tests/`.
pub trait Limits: Send + Sync {
    /// Reads a ledger and tallies, with everything that was written before. What does not exist is empty and has the
    /// version 0. `None` when one of them cannot be read because of its form.
    ///
    /// # Errors
    /// [`PortError`] when they were not read `within` this time.
    fn counts(
        &self,
        ledger: &str,
        tallies: &[&str],
        within: Duration,
    ) -> impl Future<Output = Result<Option<Counts>, PortError>> + Send;

    /// Records an event as [`Store::record`](crate::Store::record) does, or with a `base` a conflict as
    /// [`Store::record_decision`](crate::Store::record_decision) does, and writes `counts`, all in one transaction. Each
    /// of the counts must still have the version that it has here, and gets the next one.
    ///
    /// # Errors
    /// [`PortError`] as for those two.
    fn record_counted(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        counts: &Counts,
        within: Duration,
    ) -> impl Future<Output = Result<Counted, PortError>> + Send;

    /// Writes counts in one transaction, if each still has the version that it has here. Returns whether they are
    /// written.
    ///
    /// # Errors
    /// [`PortError`] when it is unknown whether they were written.
    fn change(
        &self,
        counts: &Counts,
        within: Duration,
    ) -> impl Future<Output = Result<bool, PortError>> + Send;
}

/// The key of the ledger of a transaction.
#[must_use]
pub fn ledger_key(provider: &str, transaction: &str) -> String {
    format!("{LEDGER}{provider}#{}", key_part(transaction))
}

impl Counts {
    /// How much was approved before a payment, by limit. A payment that arrived by two clocks is counted for both: a
    /// bucket counts as long as any part of it may be in the window. If the transaction of the payment was counted
    /// before, it does not count before itself.
    #[must_use]
    pub fn totals(&self, counting: &Counting, arrival: Arrival) -> Totals {
        let own = self.covers(counting, arrival);
        let total = |limit: &Limit| {
            let tally = self.tallies.iter().find(|tally| tally.key == limit.key);
            let buckets = tally.map(|tally| &tally.buckets).into_iter().flatten();
            let counted = buckets.filter(|(bucket, _)| bucket.counts(limit.hours, arrival));
            let total = counted.fold(Total::default(), |total, (_, counted)| total.plus(*counted));
            if own { total.minus(Total { sum: counting.amount, count: 1 }) } else { total }
        };
        counting.limits.iter().map(|limit| (limit.name.clone(), total(limit))).collect()
    }

    /// What has to be written when the payment is approved: the ledger, and the tallies to which it adds something. A
    /// transaction that is counted already, with the same amount, is not counted again; the ledger is written
    /// nevertheless, so that nobody subtracts it meanwhile.
    #[must_use]
    pub fn with(&self, counting: &Counting, arrival: Arrival) -> Self {
        let Self { mut ledger, mut tallies } = self.clone();
        if self.covers(counting, arrival) {
            return Self { ledger, tallies: Vec::new() };
        }
        for limit in &counting.limits {
            let bucket = Bucket::of(arrival.latest(), limit.hours);
            let Some(tally) = tallies.iter_mut().find(|tally| tally.key == limit.key) else { continue };
            tally.hours = tally.hours.max(limit.hours);
            let total = tally.buckets.entry(bucket).or_default();
            *total = total.plus(Total { sum: counting.amount, count: 1 });
            let kept = i64::from(tally.hours) + SPARE_HOURS;
            tally.buckets.retain(|bucket, _| bucket.ends_after(kept, arrival));
            ledger.counts.push(Count { tally: limit.key.clone(), bucket, amount: counting.amount });
            ledger.until = ledger.until.max(bucket.end().checked_add(hours(limit.hours)).ok());
        }
        Self { ledger, tallies }
    }

    /// The same counts without the transaction of the ledger. `None` when it is not counted.
    #[must_use]
    pub fn without(&self) -> Option<Self> {
        let Self { mut ledger, mut tallies } = self.clone();
        let counts = std::mem::take(&mut ledger.counts);
        if counts.is_empty() {
            return None;
        }
        for Count { tally, bucket, amount } in counts {
            let tally = tallies.iter_mut().find(|known| known.key == tally);
            // A bucket that is gone was in no window any more.
            if let Some(total) = tally.and_then(|tally| tally.buckets.get_mut(&bucket)) {
                *total = total.minus(Total { sum: amount, count: 1 });
            }
        }
        tallies.retain(|tally| tally.version > 0);
        Some(Self { ledger, tallies })
    }

    /// Whether the transaction is counted already, for each limit with this amount and in its window.
    fn covers(&self, counting: &Counting, arrival: Arrival) -> bool {
        !self.ledger.counts.is_empty()
            && counting.limits.iter().all(|limit| {
                self.ledger.counts.iter().any(|count| {
                    count.tally == limit.key
                        && count.amount == counting.amount
                        && count.bucket.counts(limit.hours, arrival)
                })
            })
    }
}

impl Tally {
    /// The tally with this key, to which nothing was counted.
    #[must_use]
    pub fn empty(key: &str) -> Self {
        Self { key: key.to_owned(), version: 0, hours: 0, buckets: BTreeMap::new() }
    }

    /// When the table may delete it.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        let end = self.buckets.keys().map(|bucket| bucket.end()).max().unwrap_or_default();
        end.saturating_add(hours(self.hours) + STAY).unwrap_or(Timestamp::MAX)
    }
}

impl Ledger {
    /// The ledger with this key, of a transaction that was not counted.
    #[must_use]
    pub fn empty(key: &str) -> Self {
        Self { key: key.to_owned(), version: 0, counts: Vec::new(), until: None }
    }

    /// The end of the last window of a ledger that expires then.
    #[must_use]
    pub fn until(expires_at: Timestamp) -> Timestamp {
        expires_at.checked_sub(STAY).unwrap_or(Timestamp::MIN)
    }

    /// When the table may delete it.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.until.unwrap_or_default().saturating_add(STAY).unwrap_or(Timestamp::MAX)
    }
}

impl Total {
    fn plus(self, other: Self) -> Self {
        Self { sum: self.sum.saturating_add(other.sum), count: self.count.saturating_add(other.count) }
    }

    /// Never less than zero. A sum that has reached its end stays there: it is unknown how much is above it.
    fn minus(self, other: Self) -> Self {
        let sum = if self.sum == i64::MAX { self.sum } else { self.sum.saturating_sub(other.sum).max(0) };
        Self { sum, count: self.count.saturating_sub(other.count).max(0) }
    }
}

impl Bucket {
    /// The bucket of a time, for a window of so many hours.
    fn of(time: Timestamp, window: u32) -> Self {
        let hours = if window > HOUR_BUCKETS_UP_TO { 24 } else { 1 };
        let start = time.as_second().div_euclid(3600 * i64::from(hours)) * i64::from(hours);
        Self { start, hours }
    }

    fn end(self) -> Timestamp {
        let end = (self.start.saturating_add(self.hours.into())).saturating_mul(3600);
        Timestamp::from_second(end).unwrap_or(Timestamp::MAX)
    }

    /// Whether a part of it may be in a window that ends with a payment's arrival.
    fn counts(self, window: u32, arrival: Arrival) -> bool {
        self.ends_after(window.into(), arrival)
    }

    fn ends_after(self, hours_before: i64, arrival: Arrival) -> bool {
        let begin = arrival.earliest().as_second().saturating_sub(hours_before * 3600);
        self.end().as_second() > begin
    }
}

fn hours(hours: u32) -> SignedDuration {
    SignedDuration::from_hours(hours.into())
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.start, self.hours)
    }
}

/// A text that is not a bucket.
#[derive(Debug, thiserror::Error)]
#[error("it is not a bucket such as 495864/24")]
pub struct NoBucket;

impl FromStr for Bucket {
    type Err = NoBucket;

    fn from_str(text: &str) -> Result<Self, NoBucket> {
        let (start, hours) = text.split_once('/').ok_or(NoBucket)?;
        let (start, hours) = (start.parse().map_err(|_| NoBucket)?, hours.parse().map_err(|_| NoBucket)?);
        Ok(Self { start, hours })
    }
}

mod bucket_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Bucket;

    pub(super) fn serialize<S: Serializer>(bucket: &Bucket, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(bucket)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bucket, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn counting(amount: i64, hours: u32) -> Counting {
        Counting { amount, limits: vec![Limit { name: "l".into(), key: "limit#l".into(), hours }] }
    }

    fn nothing() -> Counts {
        Counts { ledger: Ledger::empty("decision#1"), tallies: vec![Tally::empty("limit#l")] }
    }

    /// The counts that the table has after a write, for the next transaction.
    fn next(before: &Counts, written: Counts) -> Counts {
        let tallies = if written.tallies.is_empty() { before.tallies.clone() } else { written.tallies };
        let tallies = tallies.into_iter().map(|tally| Tally { version: tally.version + 1, ..tally });
        Counts { ledger: Ledger::empty("decision#2"), tallies: tallies.collect() }
    }

    fn total(counts: &Counts, hours: u32, arrival: Arrival) -> Total {
        counts.totals(&counting(0, hours), arrival)["l"]
    }

    proptest! {
        /// Whatever the window and the times are, a payment inside the window is counted, and one that is older than
        /// the window by more than its bucket is not.
        #[test]
        fn a_window_never_counts_too_little(
            hours in 1..=LONGEST_WINDOW_HOURS,
            mut paid in prop::collection::vec((0..3_000_000_i64, 1..1000_i64), 1..30),
            later in 0..3_000_000_i64,
        ) {
            paid.sort_unstable();
            let now = paid.last().unwrap().0 + later;
            let mut counts = nothing();
            for (time, amount) in &paid {
                counts = next(&counts, counts.with(&counting(*amount, hours), Arrival::at(at(*time))));
            }
            let window = i64::from(hours) * HOUR;
            let bucket = if hours > HOUR_BUCKETS_UP_TO { 24 * HOUR } else { HOUR };
            let within = |oldest: i64| -> i64 {
                paid.iter().filter(|(time, _)| *time > now - oldest).map(|(_, amount)| amount).sum()
            };
            let seen = total(&counts, hours, Arrival::at(at(now))).sum;
            prop_assert!(seen >= within(window), "{seen}");
            prop_assert!(seen <= within(window + bucket), "{seen}");
            let size = counts.tallies[0].buckets.len();
            prop_assert!(size <= usize::try_from(HOUR_BUCKETS_UP_TO).unwrap() + 4, "{size} buckets");
            prop_assert!(counts.tallies[0].expires_at() > at(paid.last().unwrap().0 + window));
        }

        /// One of the two clocks is wrong by up to two hours, in either direction: no payment is counted too little.
        #[test]
        fn a_clock_that_jumps_hides_no_payment(
            paid in prop::collection::vec((0..86_400_i64, -7200..=7200_i64, any::<bool>()), 1..20),
            jump in -7200..=7200_i64,
        ) {
            let arrival = |time: i64, jump: i64| Arrival {
                received_at: at(time + jump),
                reached_gateway_at: Some(at(time)),
            };
            let mut counts = nothing();
            for (time, jumped, swapped) in &paid {
                let Arrival { received_at, reached_gateway_at } = arrival(*time, *jumped);
                let arrival = if *swapped {
                    Arrival { received_at: reached_gateway_at.unwrap(), reached_gateway_at: Some(received_at) }
                } else {
                    arrival(*time, *jumped)
                };
                counts = next(&counts, counts.with(&counting(1, 24), arrival));
            }
            let now = arrival(86_399, jump);
            prop_assert_eq!(total(&counts, 24, now).count, i64::try_from(paid.len()).unwrap());
        }
    }

    #[test]
    fn a_transaction_is_counted_once_and_subtracted_once() {
        let now = Arrival::at(at(0));
        let written = nothing().with(&counting(5, 24), now);
        assert_eq!(written.ledger.counts.len(), 1);
        let read = Counts {
            ledger: Ledger { version: 1, ..written.ledger.clone() },
            tallies: vec![Tally { version: 1, ..written.tallies[0].clone() }],
        };
        // the same transaction again: nothing before it, and nothing to count
        assert_eq!(read.totals(&counting(5, 24), now)["l"], Total::default());
        assert_eq!(read.with(&counting(5, 24), now), Counts { tallies: vec![], ..read.clone() });
        // with another amount it is counted too, and both are subtracted
        assert_eq!(read.totals(&counting(6, 24), now)["l"], Total { sum: 5, count: 1 });
        let twice = read.with(&counting(6, 24), now);
        assert_eq!(total(&twice, 24, now), Total { sum: 11, count: 2 });
        let none = twice.without().unwrap();
        assert_eq!(total(&none, 24, now), Total::default());
        assert_eq!(none.without(), None, "once");
        // after that it counts as a new one
        assert_eq!(none.with(&counting(5, 24), now).tallies[0].buckets.len(), 1);
        assert_eq!(total(&none.with(&counting(5, 24), now), 24, now), Total { sum: 5, count: 1 });
        // and when its bucket has left the window
        let late = Arrival::at(at(25 * HOUR));
        assert_eq!(read.with(&counting(5, 24), late).tallies.len(), 1);
    }

    #[test]
    fn sums_stop_at_the_largest_number_and_at_zero() {
        let now = Arrival::at(at(0));
        let large = nothing().with(&counting(i64::MAX, 1), now);
        let ledger = Ledger::empty("decision#2");
        let larger = Counts { ledger, ..large }.with(&counting(7, 1), now);
        assert_eq!(total(&larger, 1, now), Total { sum: i64::MAX, count: 2 });
        let less = Counts {
            tallies: larger.tallies.iter().map(|tally| Tally { version: 1, ..tally.clone() }).collect(),
            ..larger
        };
        let less = less.without().unwrap();
        assert_eq!(total(&less, 1, now), Total { sum: i64::MAX, count: 1 }, "it is unknown how much is left");
        assert_eq!(Total { sum: 1, count: 0 }.minus(Total { sum: 2, count: 1 }), Total::default());
    }

    #[test]
    fn a_bucket_reads_back() {
        for bucket in [Bucket::of(at(0), 24), Bucket::of(at(0), 169), Bucket { start: -3, hours: 1 }] {
            assert_eq!(bucket.to_string().parse::<Bucket>().unwrap(), bucket);
        }
        for text in ["", "1", "1/", "/1", "a/1", "1/-1"] {
            assert!(text.parse::<Bucket>().is_err(), "{text}");
        }
    }
}
