//! A reconciler's run, on the in-memory ports.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use webhook_ingest::memory::{self, MemorySink, MemoryStore};
use webhook_ingest::{
    Backlog, Base, BatchSink, Claim, DUE_AFTER, Due, DuePage, FORWARD_PAGE, Message, Operation,
    PENDING_TOO_OLD, PortError, Reconciler, Record, Recorded, RecordedDecision, State, Store, Summary,
    UnreadableEntry, Unsent,
};

const START: i64 = 1_793_610_901_000;

fn start() -> Timestamp {
    Timestamp::from_millisecond(START).expect("a time")
}

/// When everything that `left_behind` makes is due.
fn later() -> Timestamp {
    start() + DUE_AFTER * 2
}

/// How long a write may take.
const WITHIN: Duration = Duration::from_secs(1);

fn record(key: &str) -> Record {
    memory::record(key, "{}", start())
}

async fn left_behind(keys: impl IntoIterator<Item = String>) -> MemoryStore {
    let store = MemoryStore::new(SignedDuration::from_hours(1));
    for key in keys {
        store.record(&record(&key), WITHIN).await.expect("recorded");
    }
    store
}

#[tokio::test]
async fn each_providers_records_go_to_its_own_queue() {
    let store = left_behind((0..100).flat_map(|n| [format!("one#{n}"), format!("two#{n}")])).await;
    let sinks = vec![("one", MemorySink::default()), ("two", MemorySink::default())];
    let reconciler = Reconciler { store, sinks, clock: later };
    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.unfinished), (200, 200, 0, false));
    assert_eq!((summary.oldest_age, summary.lag), (Some(DUE_AFTER * 2), Some(DUE_AFTER)));
    for (name, sink) in &reconciler.sinks {
        let mut ids: Vec<String> =
            sink.messages().into_iter().map(|message| message.attributes[2].1.clone()).collect();
        ids.sort();
        let mut expected: Vec<String> = (0..100).map(|n| format!("{name}#{n}")).collect();
        expected.sort();
        assert_eq!(ids, expected);
    }
    assert_eq!(reconciler.run(Timestamp::MAX).await.due, 0, "nothing is left");
}

#[tokio::test]
async fn what_is_not_due_is_left_to_its_first_attempt() {
    fn soon() -> Timestamp {
        start() + DUE_AFTER - SignedDuration::from_millis(1)
    }
    let store = left_behind(["one#1".to_owned()]).await;
    let reconciler = Reconciler { store, sinks: vec![("one", MemorySink::default())], clock: soon };
    assert_eq!(reconciler.run(Timestamp::MAX).await.due, 0);
}

#[tokio::test]
async fn it_stops_in_time_and_goes_on_in_the_next_run() {
    static NOW: AtomicI64 = AtomicI64::new(START + 600_000);
    /// Every look at the clock takes a second.
    fn ticking() -> Timestamp {
        Timestamp::from_millisecond(NOW.fetch_add(1000, Ordering::Relaxed)).expect("a time")
    }
    let store = left_behind((0..400).map(|n| format!("one#{n}"))).await;
    let reconciler = Reconciler { store, sinks: vec![("one", MemorySink::default())], clock: ticking };
    let stop_at = ticking() + SignedDuration::from_secs(60);
    let first = reconciler.run(stop_at).await;
    assert!(first.unfinished && first.forwarded > 0 && first.forwarded < 400, "{first:?}");
    let rest = reconciler.run(Timestamp::MAX).await;
    assert!(!rest.unfinished);
    assert_eq!(first.forwarded + rest.forwarded, 400);
    assert_eq!(reconciler.sinks[0].1.messages().len(), 400, "none twice");
}

/// A clock that a test moves: each test has its own.
macro_rules! clock {
    ($name:ident, $now:ident) => {
        static $name: AtomicI64 = AtomicI64::new(START);
        fn $now() -> Timestamp {
            Timestamp::from_millisecond($name.load(Ordering::Relaxed)).expect("a time")
        }
    };
}

/// Sets a clock to so many seconds after the start, when everything here was received.
fn set(clock: &AtomicI64, seconds: i64) {
    clock.store(START + seconds * 1000, Ordering::Relaxed);
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A store in memory of which parts fail.
struct Failing {
    store: MemoryStore,
    /// No claim is allowed.
    claims_denied: bool,
    /// Nothing can be postponed.
    postponing_denied: bool,
    /// Shards of the index that do not answer.
    silent: Vec<u8>,
    /// Keys whose entry in the index cannot be read.
    unreadable_entries: Vec<&'static str>,
    /// Keys whose record cannot be read, and whether its `received_at` can.
    unreadable: Vec<(&'static str, bool)>,
    /// What a claim costs, by a clock.
    claim_takes: Option<(&'static AtomicI64, i64)>,
}

impl Failing {
    async fn left_behind(keys: &[&str]) -> Self {
        Self {
            store: left_behind(keys.iter().map(|key| (*key).to_owned())).await,
            claims_denied: false,
            postponing_denied: false,
            silent: vec![],
            unreadable_entries: vec![],
            unreadable: vec![],
            claim_takes: None,
        }
    }
}

fn denied(operation: Operation) -> PortError {
    PortError::new(operation, "denied")
}

impl Store for Failing {
    async fn record(&self, record: &Record, within: Duration) -> Result<Recorded, PortError> {
        self.store.record(record, within).await
    }

    async fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        within: Duration,
    ) -> Result<RecordedDecision, PortError> {
        self.store.record_decision(conflict, base, within).await
    }

    async fn settle(&self, record: &Record, reply_confirmed: bool, now: Timestamp) -> Result<(), PortError> {
        self.store.settle(record, reply_confirmed, now).await
    }
}

impl Backlog for Failing {
    type Cursor = Due;

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        after: Option<Due>,
        limit: usize,
    ) -> Result<DuePage<Due>, PortError> {
        if self.silent.contains(&shard) {
            return Err(PortError::new(Operation::ReadIndex, "no answer in time"));
        }
        let page = self.store.due(shard, now, after, limit).await?;
        let (unreadable, entries): (Vec<Due>, Vec<Due>) =
            page.entries.into_iter().partition(|due| self.unreadable_entries.contains(&due.key.as_str()));
        let unreadable = unreadable.into_iter().map(|due| UnreadableEntry {
            key: due.key,
            error: PortError::new(Operation::ReadRecord, "its due_at is not readable"),
        });
        Ok(DuePage { entries, unreadable: unreadable.collect(), next: page.next })
    }

    async fn claim(&self, due: &Due, until: Timestamp) -> Result<Claim, PortError> {
        if let Some((clock, seconds)) = self.claim_takes {
            clock.fetch_add(seconds * 1000, Ordering::Relaxed);
        }
        if self.claims_denied {
            return Err(denied(Operation::Claim));
        }
        let claim = self.store.claim(due, until).await?;
        Ok(match (claim, self.unreadable.iter().find(|(key, _)| *key == due.key)) {
            (Claim::Claimed(record), Some((_, dated))) => Claim::Unreadable {
                error: PortError::new(Operation::ReadRecord, "its payload is missing or not readable"),
                received_at: dated.then_some(record.received_at),
                attempts: record.attempts,
            },
            (claim, _) => claim,
        })
    }

    async fn postpone(&self, record: &Record, until: Timestamp, to: Timestamp) -> Result<(), PortError> {
        if self.postponing_denied {
            return Err(denied(Operation::Postpone));
        }
        self.store.postpone(record, until, to).await
    }
}

/// A queue that refuses some messages, or does not answer at all, or takes its time; and what it was asked.
#[derive(Default)]
struct Queue {
    taken: MemorySink,
    /// It takes no message whose id ends so.
    refuses: Option<char>,
    silent: bool,
    /// How long each message takes, by a clock.
    slow: Option<(&'static AtomicI64, i64)>,
    asked: Mutex<Vec<(usize, Duration)>>,
}

impl Queue {
    fn asked(&self) -> Vec<(usize, Duration)> {
        std::mem::take(&mut self.asked.lock().expect("not poisoned"))
    }
}

impl BatchSink for Queue {
    async fn forward_batch(&self, messages: &[Message], within: Duration) -> Vec<Result<(), Unsent>> {
        self.asked.lock().expect("not poisoned").push((messages.len(), within));
        let mut left = within;
        let mut results = Vec::new();
        for message in messages {
            let failed = |reason: &str| PortError::new(Operation::Forward, reason.to_owned());
            if left.is_zero() {
                results.push(Err(Unsent::Message(failed("time is over"))));
                continue;
            }
            if let Some((clock, seconds)) = self.slow {
                clock.fetch_add(seconds * 1000, Ordering::Relaxed);
                left = left.saturating_sub(Duration::from_secs(seconds.unsigned_abs()));
            }
            if self.silent {
                results.push(Err(Unsent::Queue(failed("no answer in time"))));
            } else if self.refuses.is_some_and(|refused| message.attributes[2].1.ends_with(refused)) {
                results.push(Err(Unsent::Message(failed("refused"))));
            } else {
                results.extend(self.taken.forward_batch(std::slice::from_ref(message), within).await);
            }
        }
        results
    }
}

fn one(queue: Queue) -> Vec<(&'static str, Queue)> {
    vec![("one", queue)]
}

fn age(summary: &Summary) -> Option<i64> {
    summary.oldest_age.map(|age| age.as_secs())
}

#[tokio::test]
async fn what_keeps_failing_is_tried_again_and_holds_up_nothing() {
    clock!(NOW, now);
    set(&NOW, 600);
    let store = left_behind((0..20).map(|n| format!("one#{n}"))).await;
    store.record(&record("nobody#1"), WITHIN).await.expect("recorded");
    let picky = Queue { refuses: Some('7'), ..Queue::default() };
    let reconciler = Reconciler { store, sinks: one(picky), clock: now };

    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.keeps_failing), (21, 18, 3, 0));
    let mut errors = summary.errors.clone();
    errors.sort();
    assert_eq!(
        errors,
        ["forward failed: no queue is configured for the record's provider", "forward failed: refused",]
    );
    assert_eq!(summary.failures, [("one", Operation::Forward)], "once for a provider that has a queue");

    // an hour of runs, one a minute
    let mut attempts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut ages = Vec::new();
    for minute in 1..=60 {
        set(&NOW, 600 + minute * 60);
        let of = |key| reconciler.store.get(key).map_or(0, |item| item.record.attempts);
        let before = ["one#7", "one#17", "nobody#1"].map(|key| (key, of(key)));
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!((summary.failed, summary.keeps_failing), (summary.due, summary.due), "minute {minute}");
        for (key, _) in before.into_iter().filter(|(key, before)| of(key) > *before) {
            attempts.entry(key).or_default().push(minute);
        }
        ages.push((minute, summary.oldest_age.expect("the index answers")));
    }
    for (key, minutes) in &attempts {
        let waits: Vec<i64> = minutes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.iter().all(|wait| (2..=3).contains(wait)), "{key}: {waits:?}");
    }
    assert_ne!(attempts["one#7"], attempts["one#17"], "neighbours part");
    for window in ages.windows(5) {
        let oldest = window.iter().map(|(_, age)| *age).max().expect("five");
        assert!(
            oldest >= secs(600 + window[0].0 * 60),
            "the alarm's five minutes hold an attempt: {window:?}"
        );
    }
    assert_eq!(reconciler.store.get("one#6").map(|item| item.state), Some(State::Forwarded));
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_asked_once_in_a_run() {
    clock!(NOW, now);
    set(&NOW, 100);
    let keys: Vec<String> = (0..100).flat_map(|n| [format!("one#{n}"), format!("two#{n}")]).collect();
    let store = left_behind(keys).await;
    let silent = Queue { silent: true, ..Queue::default() };
    let reconciler =
        Reconciler { store, sinks: vec![("one", silent), ("two", Queue::default())], clock: now };
    let summary = reconciler.run(Timestamp::MAX).await;
    let asked = reconciler.sinks[0].1.asked();
    assert_eq!((asked.len(), summary.failed), (1, asked[0].0));
    assert_eq!((summary.forwarded, summary.untried), (100, 100 - summary.failed));
    assert_eq!((age(&summary), summary.unfinished), (Some(100), false));
    let attempts = |key: String| reconciler.store.get(&key).map_or(0, |item| item.record.attempts);
    let claimed = (0..100).filter(|n| attempts(format!("one#{n}")) > 1).count();
    assert_eq!(claimed, summary.failed, "what is not sent is not claimed either");

    // the age is still known when nothing is claimed for minutes, and it grows
    for minute in 1..10 {
        set(&NOW, 100 + minute * 60);
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!(age(&summary), Some(100 + minute * 60));
        assert_eq!(reconciler.sinks[0].1.asked().len(), 1);
    }
}

#[tokio::test]
async fn claims_denied() {
    clock!(NOW, now);
    let store = Failing { claims_denied: true, ..Failing::left_behind(&["one#1", "one#2", "two#1"]).await };
    let sinks = vec![("one", Queue::default()), ("two", Queue::default()), ("three", Queue::default())];
    let reconciler = Reconciler { store, sinks, clock: now };
    for (seconds, keeps_failing) in [(90, 0), (150, 0), (299, 0), (300, 3), (301, 3), (3600, 3)] {
        set(&NOW, seconds);
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!(age(&summary), Some(seconds), "nothing moves their due_at, so the age is exact");
        assert_eq!((summary.due, summary.failed, summary.keeps_failing), (3, 3, keeps_failing));
        let mut failures = summary.failures.clone();
        failures.sort_by_key(|(provider, _)| *provider);
        assert_eq!(failures, [("one", Operation::Claim), ("two", Operation::Claim)]);
        assert_eq!(
            (&summary.errors[..], summary.unfinished),
            (&["claim failed: denied".to_owned()][..], false)
        );
    }
}

#[tokio::test]
async fn an_index_that_does_not_answer() {
    clock!(NOW, now);
    let keys: Vec<String> = (0..40).map(|n| format!("one#{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let refusing = || Queue { refuses: Some('7'), ..Queue::default() };
    for (silent, seconds, age) in [
        (vec![], 100, Some(100)),
        // a part of it: what is known is too young to calm anybody
        (vec![3], 100, None),
        (vec![3], 300, None),
        // or too old already, whatever the rest is
        (vec![3], 301, Some(301)),
        // all of it
        ((0..8).collect(), 100, None),
        ((0..8).collect(), 100_000, None),
    ] {
        set(&NOW, seconds);
        let store = Failing { silent: silent.clone(), ..Failing::left_behind(&keys).await };
        let sinks = vec![("one", refusing()), ("two", refusing())];
        let summary = Reconciler { store, sinks, clock: now }.run(Timestamp::MAX).await;
        assert_eq!(summary.oldest_age.map(|age| age.as_secs()), age, "{silent:?} after {seconds} s");
        assert_eq!(summary.lag.is_some(), silent.is_empty());
        assert_eq!(summary.unfinished, !silent.is_empty());
        let unread: Vec<_> =
            summary.failures.iter().filter(|(_, failed)| *failed == Operation::ReadIndex).collect();
        assert_eq!(unread.len(), if silent.is_empty() { 0 } else { 2 }, "once for each provider: {unread:?}");
    }
}

#[tokio::test]
async fn an_index_that_stops_answering_leaves_the_age_open() {
    // The first page of a shard is read, and the second is not.
    struct Forgetful(MemoryStore);
    impl Store for Forgetful {
        async fn record(&self, record: &Record, within: Duration) -> Result<Recorded, PortError> {
            self.0.record(record, within).await
        }
        async fn record_decision(
            &self,
            conflict: &Record,
            base: &Base<'_>,
            within: Duration,
        ) -> Result<RecordedDecision, PortError> {
            self.0.record_decision(conflict, base, within).await
        }
        async fn settle(&self, record: &Record, confirmed: bool, now: Timestamp) -> Result<(), PortError> {
            self.0.settle(record, confirmed, now).await
        }
    }
    impl Backlog for Forgetful {
        type Cursor = Due;
        async fn due(
            &self,
            shard: u8,
            now: Timestamp,
            after: Option<Due>,
            limit: usize,
        ) -> Result<DuePage<Due>, PortError> {
            match after {
                None => self.0.due(shard, now, None, limit).await,
                Some(_) => Err(denied(Operation::ReadIndex)),
            }
        }
        async fn claim(&self, due: &Due, until: Timestamp) -> Result<Claim, PortError> {
            self.0.claim(due, until).await
        }
        async fn postpone(&self, record: &Record, until: Timestamp, to: Timestamp) -> Result<(), PortError> {
            self.0.postpone(record, until, to).await
        }
    }
    let store = Forgetful(left_behind((0..200).map(|n| format!("one#{n}"))).await);
    let summary = Reconciler { store, sinks: one(Queue::default()), clock: later }.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded), (80, 80), "ten of each shard");
    assert_eq!((summary.oldest_age, summary.lag, summary.unfinished), (None, None, true));
}

#[tokio::test]
async fn records_that_cannot_be_read() {
    clock!(NOW, now);
    for dated in [true, false] {
        let store =
            Failing { unreadable: vec![("one#1", dated)], ..Failing::left_behind(&["one#1", "one#2"]).await };
        let reconciler = Reconciler { store, sinks: one(Queue::default()), clock: now };
        set(&NOW, 90);
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!(
            (summary.forwarded, summary.failed, summary.keeps_failing),
            (1, 1, 1),
            "from the first time"
        );
        assert_eq!(summary.failures, [("one", Operation::ReadRecord)]);
        // Its claim moves its due_at each time, so its entry never looks old.
        let mut ages = Vec::new();
        for minute in 1..=30 {
            set(&NOW, 90 + minute * 60);
            ages.push(reconciler.run(Timestamp::MAX).await.oldest_age.expect("the index answers"));
        }
        for (minute, window) in ages.windows(5).enumerate() {
            let oldest = *window.iter().max().expect("five");
            // Without its time of receipt, the number of attempts shows it, later.
            let from = if dated { 4 } else { 10 };
            assert!(minute < from || oldest > PENDING_TOO_OLD, "minute {minute}: {oldest}");
            assert!(oldest <= now().duration_since(start()), "never older than it is");
        }
    }
}

#[tokio::test]
async fn entries_that_cannot_be_read_are_counted_and_hold_up_nothing() {
    clock!(NOW, now);
    set(&NOW, 100);
    let keys: Vec<String> = (0..100).map(|n| format!("one#{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let unreadable_entries = vec!["one#11", "one#12", "one#13"];
    let store = Failing { unreadable_entries, ..Failing::left_behind(&keys).await };
    let reconciler = Reconciler { store, sinks: one(Queue::default()), clock: now };
    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.keeps_failing), (100, 97, 3, 3));
    assert_eq!((summary.oldest_age, summary.lag), (None, None), "nobody knows how old those are");
    assert_eq!(summary.failures, [("one", Operation::ReadRecord)]);
    assert_eq!(summary.errors, ["read a record failed: its due_at is not readable"]);
}

#[tokio::test]
async fn what_is_not_reached_in_time_has_an_age_too() {
    clock!(NOW, now);
    let store = Failing {
        claim_takes: Some((&NOW, 1)),
        ..Failing::left_behind(&["one#1", "one#2", "one#3", "one#4", "one#5", "one#6"]).await
    };
    let reconciler = Reconciler { store, sinks: one(Queue::default()), clock: now };
    set(&NOW, 400);
    let nothing = reconciler.run(now()).await;
    assert_eq!((nothing.oldest_age, nothing.unfinished), (None, true), "no time at all: nothing is known");

    // Time is up after the first shard that holds something.
    let summary = reconciler.run(now() + secs(1)).await;
    assert!(summary.unfinished && summary.forwarded > 0 && summary.forwarded < 6, "{summary:?}");
    assert_eq!((summary.due, age(&summary)), (6, Some(400)));
}

#[tokio::test]
async fn what_cannot_be_postponed_is_due_when_its_claim_ends() {
    clock!(NOW, now);
    set(&NOW, 100);
    let store = Failing { postponing_denied: true, ..Failing::left_behind(&["one#1"]).await };
    let refusing = Queue { refuses: Some('1'), ..Queue::default() };
    let reconciler = Reconciler { store, sinks: one(refusing), clock: now };
    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!((summary.failed, age(&summary)), (1, Some(100)));
    assert_eq!(summary.failures, [("one", Operation::Forward), ("one", Operation::Postpone)]);
    assert_eq!(summary.errors, ["forward failed: refused", "postpone failed: denied"]);
    let due_at = reconciler.store.store.get("one#1").and_then(|item| item.due_at);
    assert_eq!(due_at, Some(now() + DUE_AFTER));
}

#[tokio::test]
async fn a_page_has_one_time_for_all_its_queues() {
    clock!(NOW, now);
    set(&NOW, 100);
    // All in one shard, so that they are one page.
    let slow = || Queue { slow: Some((&NOW, 4)), ..Queue::default() };
    let keys: Vec<String> = (0..400).map(|n| format!("one#{n}")).collect();
    let of_shard = |provider: &str| -> Vec<String> {
        let keys = keys.iter().map(|key| key.replace("one", provider));
        keys.filter(|key| record(key).pending_shard() == "0").take(4).collect()
    };
    let store = left_behind([of_shard("one"), of_shard("two")].concat()).await;
    let reconciler = Reconciler { store, sinks: vec![("one", slow()), ("two", slow())], clock: now };
    let summary = reconciler.run(Timestamp::MAX).await;
    assert_eq!(reconciler.sinks[0].1.asked(), [(4, FORWARD_PAGE)]);
    assert_eq!(reconciler.sinks[1].1.asked(), [(4, Duration::ZERO)], "nothing is left");
    assert_eq!((summary.due, summary.forwarded, summary.failed, summary.untried), (8, 3, 5, 0));
    assert_eq!(reconciler.sinks[1].1.taken.messages().len(), 0, "not sent late");

    // postponed, and sent later
    for minute in 1..10 {
        set(&NOW, 200 + minute * 60);
        reconciler.run(Timestamp::MAX).await;
    }
    let taken = reconciler.sinks.iter().map(|(_, queue)| queue.taken.messages().len());
    assert_eq!(taken.sum::<usize>(), 8, "each once");
}

#[tokio::test]
async fn nothing_is_sent_after_its_claim_has_ended() {
    clock!(NOW, now);
    for (claim_takes, left) in
        [(0, FORWARD_PAGE), (85, Duration::from_secs(5)), (90, Duration::ZERO), (120, Duration::ZERO)]
    {
        set(&NOW, 100);
        let store =
            Failing { claim_takes: Some((&NOW, claim_takes)), ..Failing::left_behind(&["one#1"]).await };
        let reconciler = Reconciler { store, sinks: one(Queue::default()), clock: now };
        let summary = reconciler.run(Timestamp::MAX).await;
        assert_eq!(reconciler.sinks[0].1.asked(), [(1, left)], "{claim_takes} s");
        assert_eq!(summary.forwarded, usize::from(!left.is_zero()));
        assert_eq!(reconciler.sinks[0].1.taken.messages().len(), summary.forwarded);
    }
}
