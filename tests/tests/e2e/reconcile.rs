//! The built reconciler during long failures of SQS, DynamoDB or single records: which messages it still
//! sends, and which metrics it writes. (`nothing_lost` tests that no event is lost;
//! `shared/ingest/tests/reconcile.rs` tests the same rules on in-memory ports.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws::budget::{FORWARD_BATCH, SETTLE, TO_FINISH};
use aws_sdk_dynamodb::types::AttributeValue;
use ingest::{DUE_AFTER, FORWARD_PAGE, PENDING_TOO_OLD};
use jiff::{SignedDuration, Timestamp};
use local_stack::deployment::transformed;
use serde_json::{Value, json};
use tests::{Deployment, Fault, Function, Host, Rule, umaaas_event, unique};

const UMAAAS: &str = "umaaas";

/// A text with which SQS refuses a message in these tests.
const UNACCEPTABLE: &str = "unacceptable text";

/// A deployment with running functions, and records that the first attempts have not forwarded.
struct Backlog {
    deployment: Deployment,
    host: Host,
    scheduled: Host,
    reconciler: Function,
    _function: Function,
    /// How many bytes of the reconciler's log have been read.
    read: usize,
}

/// One run of the reconciler: its result, its metrics, and the failures that it counted.
#[derive(Debug)]
struct Run {
    summary: Value,
    metrics: Value,
    failures: BTreeSet<(String, String)>,
    took: Duration,
}

impl Backlog {
    async fn start() -> Self {
        Self::on(Deployment::start().await).await
    }

    async fn on(deployment: Deployment) -> Self {
        let (host, scheduled) = (Host::start().await, Host::start().await);
        let function = deployment.function(&host, UMAAAS);
        let reconciler = deployment.function(&scheduled, "reconciler");
        Self { deployment, host, scheduled, reconciler, _function: function, read: 0 }
    }

    /// Delivers one event for each job id; the events are recorded but not forwarded. The records look as if
    /// they were received the time `received` ago, and all are in the same shard of the index. Returns the
    /// ids of the events.
    async fn leave_behind(&self, jobs: &[&str], received: SignedDuration) -> Vec<String> {
        self.deployment.proxy.set([rule("SendMessage", Fault::Drop)]);
        let mut ids = Vec::new();
        for job in jobs {
            let id = unique();
            let body = json!({
                "webhookId": id, "type": "BULK_UPLOAD", "timestamp": "2026-11-02T09:15:00Z", "jobId": job,
            });
            let reply = self.host.invoke(umaaas_event("/umaaas", &body.to_string())).await.unwrap();
            assert_eq!(reply.status, 200);
            ids.push(id);
        }
        self.host.idle(1).await;
        let received_at = Timestamp::now() - received;
        for key in self.keys(&ids) {
            let values = [
                (":shard", AttributeValue::S("0".into())),
                (":received", millis(received_at)),
                (":due", millis(received_at + DUE_AFTER)),
            ];
            let set = "SET pending_shard = :shard, received_at = :received, due_at = :due";
            self.update(&key, set, &values).await;
        }
        ids
    }

    fn keys(&self, ids: &[String]) -> Vec<String> {
        ids.iter().map(|id| format!("umaaas#BULK_UPLOAD#{id}")).collect()
    }

    async fn update(&self, key: &str, expression: &str, values: &[(&str, AttributeValue)]) {
        let stack = &self.deployment.aws.stack;
        let update = stack.dynamodb.update_item().table_name(&stack.table);
        let mut update = update.key("pk", AttributeValue::S(key.to_owned())).update_expression(expression);
        update = update.condition_expression("attribute_exists(pk)");
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        update.send().await.unwrap();
    }

    /// Runs the reconciler with some faults.
    async fn run(&mut self, rules: impl IntoIterator<Item = Rule>) -> Run {
        self.deployment.proxy.set(rules);
        self.deployment.proxy.take_calls();
        let started = Instant::now();
        let summary = self.scheduled.invoke_raw(json!({})).await.unwrap();
        let took = started.elapsed();
        let log = self.reconciler.log();
        let lines = log[self.read..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let counted: Vec<Value> = lines.filter(|line| line.get("_aws").is_some()).collect();
        self.read = log.len();
        let [metrics] =
            &counted.iter().filter(|line| line.get("PendingOverdue").is_some()).collect::<Vec<_>>()[..]
        else {
            panic!("exactly one line has the metrics of the run: {counted:?}");
        };
        let failures: Vec<_> = counted
            .iter()
            .filter(|line| line.get("Failures").is_some())
            .map(|line| {
                assert_eq!(line["Failures"], 1);
                let text = |name: &str| line[name].as_str().unwrap().to_owned();
                (text("provider"), text("operation"))
            })
            .collect();
        let distinct: BTreeSet<_> = failures.iter().cloned().collect();
        assert_eq!(
            distinct.len(),
            failures.len(),
            "a failure is counted once per provider and operation: {failures:?}"
        );
        // every announced metric has a value, and every value is announced
        let announced = metrics["_aws"]["CloudWatchMetrics"].as_array().unwrap().iter();
        let announced = announced.flat_map(|directive| directive["Metrics"].as_array().unwrap());
        let announced: BTreeSet<&str> = announced.map(|metric| metric["Name"].as_str().unwrap()).collect();
        let values = metrics.as_object().unwrap().keys().map(String::as_str);
        assert_eq!(announced, values.filter(|name| *name != "_aws").collect());
        Run { summary, metrics: (*metrics).clone(), failures: distinct, took }
    }

    /// The number of calls of each operation since the last run began.
    fn calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for call in self.deployment.proxy.take_calls() {
            *calls.entry(call).or_default() += 1;
        }
        calls
    }

    /// Runs the reconciler without faults, and asserts that all these events have arrived and no record is
    /// pending.
    async fn all_arrive(&mut self, ids: &[String], before: &BTreeMap<String, usize>) {
        self.deployment.pass_time().await;
        self.run([]).await;
        assert_eq!(self.deployment.pending().await, 0);
        let arrived = self.deployment.arrived(UMAAAS, ids.len() - before.len()).await;
        let all: BTreeSet<&String> = arrived.keys().chain(before.keys()).collect();
        assert_eq!(all, ids.iter().collect());
        assert!(arrived.values().chain(before.values()).all(|copies| *copies == 1), "{arrived:?}");
    }
}

impl Run {
    fn count(&self, metric: &str) -> u64 {
        self.metrics[metric].as_u64().unwrap_or_else(|| panic!("no {metric} in {self:?}"))
    }

    /// The metric in seconds; `None` when the run did not write it.
    fn oldest_age(&self) -> Option<f64> {
        self.metrics.get("PendingOldestAge").map(|age| age.as_f64().unwrap())
    }

    fn failed<const N: usize>(&self, expected: [(&str, &str); N]) {
        let expected = expected.map(|(provider, operation)| (provider.to_owned(), operation.to_owned()));
        assert_eq!(self.failures, BTreeSet::from(expected), "{self:?}");
    }
}

fn rule(operation: &'static str, fault: Fault) -> Rule {
    Rule { operation, fault, times: None }
}

fn refuse(operation: &'static str, error: &'static str, holding: &'static str) -> Rule {
    rule(operation, Fault::Refuse { error, holding })
}

fn millis(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_millisecond().to_string())
}

const MINUTES_2: SignedDuration = SignedDuration::from_mins(2);
const MINUTES_10: SignedDuration = SignedDuration::from_mins(10);

#[tokio::test]
async fn a_message_that_sqs_refuses_fails_alone() {
    let mut backlog = Backlog::start().await;
    for error in ["InvalidMessageContents", "BatchRequestTooLong", "InvalidParameterValue"] {
        let mut jobs = vec!["fine"; 9];
        jobs.insert(4, UNACCEPTABLE);
        let ids = backlog.leave_behind(&jobs, MINUTES_2).await;
        let refusing =
            || ["SendMessageBatch", "SendMessage"].map(|operation| refuse(operation, error, UNACCEPTABLE));
        let run = backlog.run(refusing()).await;
        println!("{error}: {}", run.summary);
        let calls = backlog.calls();
        assert_eq!((calls["SendMessageBatch"], calls["SendMessage"]), (1, 10), "{error}");
        assert_eq!((run.count("PendingForwarded"), run.count("PendingFailed")), (9, 1), "{error}");
        run.failed([(UMAAAS, "forward")]);
        let neighbours = backlog.deployment.arrived(UMAAAS, 9).await;
        assert_eq!(neighbours.len(), 9);
        assert!(!neighbours.contains_key(&ids[4]));

        // the message is retried alone, and arrives when SQS accepts it
        backlog.deployment.pass_time().await;
        let run = backlog.run(refusing()).await;
        assert_eq!((run.count("PendingOverdue"), run.count("PendingFailed")), (1, 1), "{error}");
        assert!(run.oldest_age().unwrap() >= 120.0);
        backlog.all_arrive(&ids, &neighbours).await;
    }

    // a queue that refuses every batch
    let ids = backlog.leave_behind(&["fine"; 10], MINUTES_2).await;
    let run = backlog.run([refuse("SendMessageBatch", "BatchRequestTooLong", "")]).await;
    assert_eq!((run.count("PendingForwarded"), run.count("PendingFailed")), (10, 0));
    run.failed([]);
    backlog.all_arrive(&ids, &BTreeMap::new()).await;
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_called_once_per_run() {
    let mut backlog = Backlog::start().await;
    for (name, fault) in [
        ("hangs", Fault::Hang),
        ("cut off", Fault::Drop),
        ("throttled", Fault::Throttle),
        ("fails", Fault::Fail),
    ] {
        let ids = backlog.leave_behind(&["fine"; 15], MINUTES_10).await;
        let run = backlog.run([rule("SendMessageBatch", fault)]).await;
        println!("SQS {name}: {} after {:?}", run.summary, run.took);
        let calls = backlog.calls();
        assert!(calls["SendMessageBatch"] <= 4, "one call and its retries: {calls:?}");
        assert!(!calls.contains_key("SendMessage"), "{name}");
        assert!(run.took < FORWARD_BATCH.total + SETTLE.total, "{name}: {:?}", run.took);
        assert_eq!((run.count("PendingFailed"), &run.summary["untried"]), (10, &json!(5)), "{name}");
        assert!(run.oldest_age().unwrap() >= 600.0, "{name}");
        run.failed([(UMAAAS, "forward")]);

        // the other records were not claimed, so the next run can send them
        let run = backlog.run([]).await;
        assert_eq!(run.count("PendingForwarded"), 5, "{name}");
        let rest = backlog.deployment.arrived(UMAAAS, 5).await;
        backlog.all_arrive(&ids, &rest).await;
    }
}

#[tokio::test]
async fn the_oldest_age_is_reported_or_left_out_when_records_cannot_be_read() {
    let mut backlog = Backlog::start().await;

    // AWS denies the claims
    for (received, too_old) in [(MINUTES_2, false), (MINUTES_10, true)] {
        let ids = backlog.leave_behind(&["fine"; 3], received).await;
        let run = backlog.run([refuse("UpdateItem", "AccessDeniedException", "")]).await;
        println!("claims denied: {}", run.metrics);
        assert_eq!((run.count("PendingFailed"), run.count("PendingForwarded")), (3, 0));
        assert_eq!(run.count("PendingKeepsFailing"), if too_old { 3 } else { 0 });
        let age = run.oldest_age().unwrap();
        assert!((received.as_secs_f64()..received.as_secs_f64() + 20.0).contains(&age), "{age}");
        run.failed([(UMAAAS, "claim")]);
        backlog.all_arrive(&ids, &BTreeMap::new()).await;
    }

    // the index, or one shard of it, does not answer, or AWS denies reading it
    let unread = "read the index of pending records";
    for (name, rules) in [
        ("hangs", rule("Query", Fault::Hang)),
        ("denied", refuse("Query", "AccessDeniedException", "")),
        ("throttled", rule("Query", Fault::Throttle)),
        ("a shard is denied", refuse("Query", "AccessDeniedException", r#"{"S":"3"}"#)),
    ] {
        let ids = backlog.leave_behind(&["fine"; 3], MINUTES_2).await;
        let run = backlog.run([rules.clone()]).await;
        println!("the index {name}: {} after {:?}", run.metrics, run.took);
        assert_eq!((run.oldest_age(), run.metrics.get("ReconcilerLag")), (None, None), "{name}");
        assert_eq!(run.count("ReconcilerUnfinished"), 1, "{name}");
        run.failed([(UMAAAS, unread), ("weavr", unread), ("grid", unread)]);
        assert!(run.took < Duration::from_secs(5), "all shards are queried concurrently: {:?}", run.took);
        let before = if name == "a shard is denied" {
            backlog.deployment.arrived(UMAAAS, 3).await
        } else {
            BTreeMap::new()
        };
        backlog.all_arrive(&ids, &before).await;
    }
    // a record that is known to be too old is reported, even when a part of the index cannot be read
    let ids = backlog.leave_behind(&["fine"; 3], MINUTES_10).await;
    let run = backlog.run([refuse("Query", "AccessDeniedException", r#"{"S":"3"}"#)]).await;
    assert!(run.oldest_age().unwrap() >= 600.0);
    let before = backlog.deployment.arrived(UMAAAS, 3).await;
    backlog.all_arrive(&ids, &before).await;

    // one record cannot be read; the other records of the page arrive
    for (damage, oldest) in [("REMOVE payload", 600.0_f64), ("REMOVE received_at, payload", 0.0)] {
        let ids = backlog.leave_behind(&["fine"; 5], MINUTES_10).await;
        let key = &backlog.keys(&ids)[2];
        let item = backlog.deployment.records(key).await.remove(key).unwrap();
        backlog.update(key, damage, &[]).await;
        let run = backlog.run([]).await;
        println!("{damage}: {}", run.metrics);
        assert_eq!((run.count("PendingForwarded"), run.count("PendingFailed")), (4, 1), "{damage}");
        assert_eq!(run.count("PendingKeepsFailing"), 1, "{damage}");
        run.failed([(UMAAAS, "read a record")]);
        // without received_at, the oldest age is that of the other records
        assert!(run.oldest_age().unwrap() >= 600.0);
        let neighbours = backlog.deployment.arrived(UMAAAS, 4).await;
        // the unreadable record is retried alone, several times
        for attempt in 3..9 {
            backlog.deployment.pass_time().await;
            let run = backlog.run([]).await;
            assert_eq!((run.count("PendingFailed"), run.count("PendingKeepsFailing")), (1, 1), "{damage}");
            let age = run.oldest_age().unwrap();
            assert!(age >= oldest.max(90.0 * f64::from(attempt - 2)), "{damage}, attempt {attempt}: {age}");
        }
        // after a repair by hand, the record's message arrives
        let repair = "SET received_at = :received, payload = :payload";
        let values = [(":received", item["received_at"].clone()), (":payload", item["payload"].clone())];
        backlog.update(key, repair, &values).await;
        backlog.all_arrive(&ids, &neighbours).await;
    }

    // more unreadable entries in the index than fit one page
    let damaged = backlog.leave_behind(&["fine"; 12], MINUTES_2).await;
    for (n, key) in (0..).zip(backlog.keys(&damaged)) {
        let due = AttributeValue::N(format!("{n}.5"));
        backlog.update(&key, "SET due_at = :due", &[(":due", due)]).await;
    }
    let ids = backlog.leave_behind(&["fine"; 3], MINUTES_2).await;
    let run = backlog.run([]).await;
    println!("entries that cannot be read: {}", run.metrics);
    assert_eq!((run.count("PendingOverdue"), run.count("PendingForwarded")), (15, 3));
    assert_eq!((run.count("PendingFailed"), run.count("PendingKeepsFailing")), (12, 12));
    assert_eq!(run.oldest_age(), None, "the age of unreadable entries is unknown");
    run.failed([(UMAAAS, "read a record")]);
    let before = backlog.deployment.arrived(UMAAAS, 3).await;
    assert_eq!(before.keys().collect::<BTreeSet<_>>(), ids.iter().collect());
    backlog.all_arrive(&damaged, &BTreeMap::new()).await;
}

#[tokio::test]
async fn large_messages_and_a_slow_queue_stay_within_the_time_of_a_page() {
    let mut backlog = Backlog::on(Deployment::start_alone().await).await;
    let large = "large ".repeat(150_000);
    let ids = backlog.leave_behind(&[large.as_str(); 10], MINUTES_2).await;
    let slow = Duration::from_millis(1_200);
    let run = backlog.run([rule("SendMessageBatch", Fault::Delay(slow))]).await;
    let calls = backlog.calls()["SendMessageBatch"];
    println!("ten large messages, {slow:?} each: {} after {:?}, {calls} calls", run.summary, run.took);
    assert!(run.took < TO_FINISH, "{:?}", run.took);
    let fit = usize::try_from(FORWARD_PAGE.as_millis() / slow.as_millis()).unwrap();
    assert!((fit - 2..=fit).contains(&usize::try_from(run.count("PendingForwarded")).unwrap()), "{run:?}");
    assert_eq!(run.count("PendingForwarded") + run.count("PendingFailed"), 10);
    assert!(calls <= fit + 1, "no call begins after the page's time: {calls} calls");
    // A message that was being sent when the time was over may have arrived; the FIFO queue drops its
    // repetition.
    backlog.deployment.pass_time().await;
    let run = backlog.run([]).await;
    assert_eq!(run.count("PendingFailed"), 0);
    backlog.all_arrive(&ids, &BTreeMap::new()).await;
}

/// The function's time-out and the alarm in the template fit the constants in the code.
#[tokio::test]
async fn the_template_fits_the_constants() {
    let template = transformed(&[]).await.unwrap();
    let timeout = template["Resources"]["Reconciler"]["Properties"]["Timeout"].as_u64().unwrap();
    let timeout = Duration::from_secs(timeout);
    assert!(timeout < DUE_AFTER.unsigned_abs(), "a run ends before its claims expire");
    assert!(timeout > 2 * TO_FINISH, "the reconciler may begin pages for most of its time");
    let alarm = &template["Resources"]["PendingTooOldAlarm"]["Properties"];
    assert_eq!(alarm["Threshold"].as_i64(), Some(PENDING_TOO_OLD.as_secs()));
    assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
    assert_eq!((&alarm["MetricName"], &alarm["Statistic"]), (&json!("PendingOldestAge"), &json!("Maximum")));
    assert_eq!(alarm["TreatMissingData"], "breaching", "when the age is unknown, the metric has no data");
}
