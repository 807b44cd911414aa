//! Counts, decisions and latencies by the hour.

use std::collections::BTreeMap;

use ingest::State;
use jiff::{SignedDuration, Timestamp};

use crate::Listed;

/// Figures about records. Redeliveries and refusals are not recorded, so they are not in it: the metrics count those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// By the hour in which they were received, earliest first.
    pub hours: BTreeMap<Timestamp, Hour>,
}

/// The figures of an hour, or of a whole time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// How many records.
    pub records: usize,
    /// How many of them by provider.
    pub providers: BTreeMap<String, usize>,
    /// How many by the status of the reply.
    pub replies: BTreeMap<u16, usize>,
    /// How many by decision.
    pub decisions: BTreeMap<String, usize>,
    /// How many by state. One that is gone is counted in none.
    pub states: BTreeMap<&'static str, usize>,
    /// From receipt to the queue, of the forwarded ones, in milliseconds.
    to_queue: Vec<i64>,
}

/// Percentiles of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half is not slower.
    pub p50: SignedDuration,
    /// 95 of 100 are not slower.
    pub p95: SignedDuration,
    /// 99 of 100 are not slower.
    pub p99: SignedDuration,
}

impl Statistics {
    /// Counts one more record.
    pub fn add(&mut self, listed: &Listed) {
        let second = listed.entry.received_at.as_second();
        let hour =
            Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(listed.entry.received_at);
        self.hours.entry(hour).or_default().add(listed);
    }

    /// All hours together.
    #[must_use]
    pub fn total(&self) -> Hour {
        let mut total = Hour::default();
        for hour in self.hours.values() {
            total.records += hour.records;
            merge(&mut total.providers, &hour.providers);
            merge(&mut total.replies, &hour.replies);
            merge(&mut total.decisions, &hour.decisions);
            merge(&mut total.states, &hour.states);
            total.to_queue.extend(&hour.to_queue);
        }
        total
    }
}

impl Hour {
    fn add(&mut self, listed: &Listed) {
        let entry = &listed.entry;
        self.records += 1;
        *self.providers.entry(entry.provider().to_owned()).or_default() += 1;
        *self.replies.entry(entry.reply).or_default() += 1;
        if let Some(decision) = &entry.decision {
            *self.decisions.entry(decision.name().to_owned()).or_default() += 1;
        }
        if let Some(current) = &listed.current {
            *self.states.entry(current.state.name()).or_default() += 1;
            if let (State::Forwarded, Some(at)) = (current.state, current.forwarded_at) {
                self.to_queue.push((at.as_millisecond() - entry.received_at.as_millisecond()).max(0));
            }
        }
    }

    /// From receipt to the queue. `None` when nothing was forwarded.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        let mut sorted = self.to_queue.clone();
        sorted.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|millis| SignedDuration::from_millis(*millis))
        };
        Some(Latency { p50: percentile(50)?, p95: percentile(95)?, p99: percentile(99)? })
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, usize>, from: &BTreeMap<K, usize>) {
    for (key, count) in from {
        *into.entry(key.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Current, Entry};

    fn listed(second: i64, reply: u16, took: Option<i64>) -> Listed {
        let received_at = Timestamp::from_second(second).unwrap();
        let entry = Entry {
            key: "umaaas#TEST#1".into(),
            kind: "umaaas.test".into(),
            id: "1".into(),
            subject: None,
            received_at,
            reply,
            decision: None,
        };
        let current = took.map(|millis| Current {
            occurred_at: None,
            state: State::Forwarded,
            forwarded_at: Some(received_at + SignedDuration::from_millis(millis)),
            attempts: 1,
        });
        Listed { entry, current }
    }

    #[test]
    fn by_the_hour() {
        let mut statistics = Statistics::default();
        for n in 1..=100 {
            statistics.add(&listed(3600 + n, 200, Some(n)));
        }
        statistics.add(&listed(7199, 403, None));
        statistics.add(&listed(7200, 200, None));
        let hours: Vec<_> =
            statistics.hours.iter().map(|(hour, of)| (hour.as_second(), of.records)).collect();
        assert_eq!(hours, [(3600, 101), (7200, 1)]);
        let total = statistics.total();
        assert_eq!((total.records, &total.states), (102, &BTreeMap::from([("forwarded", 100)])));
        assert_eq!(total.replies, BTreeMap::from([(200, 101), (403, 1)]));
        let millis = SignedDuration::from_millis;
        let expected = Latency { p50: millis(50), p95: millis(95), p99: millis(99) };
        assert_eq!(total.latency(), Some(expected));
        assert_eq!(statistics.hours.values().last().unwrap().latency(), None);
    }
}
