//! The scheduled function, the reconciler: from its environment to its event loop.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ingest::{Control as _, PortError, Reconciler, Summary};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

use crate::budget::TO_FINISH;
use crate::metrics::{Directive, Line, Metric, Unit};
use crate::start::{sdk_config, serve};
use crate::variables::Variable;
use crate::{DynamoControl, DynamoStore, Environment, SettingsError, SqsSink, budget, metrics};

/// The length of a run without a usable deadline: `cargo lambda watch` sends a deadline in 1970.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(45);

/// The metrics of every run.
const RUN: Directive = Directive::new(
    &[&[]],
    &[
        Metric::new("PendingOverdue", Unit::Count),
        Metric::new("PendingForwarded", Unit::Count),
        Metric::new("PendingFailed", Unit::Count),
        Metric::new("PendingKeepsFailing", Unit::Count),
        Metric::new("ReconcilerUnfinished", Unit::Count),
    ],
);

/// The metric of a run that is known only when the index query succeeds: the age of the oldest pending
/// record.
const OLDEST_AGE: Directive = Directive::new(&[&[]], &[Metric::new("PendingOldestAge", Unit::Seconds)]);

/// The metric of how late the reconciler is, known only when the index query succeeds.
const LAG: Directive = Directive::new(&[&[]], &[Metric::new("ReconcilerLag", Unit::Seconds)]);

/// Whether decisions are stopped (1) or not (0), known only when the switch could be read.
const STOPPED: Directive = Directive::new(&[&[]], &[Metric::new("DecisionsStopped", Unit::Count)]);

/// Every metric that a run can write.
pub(crate) const OF_A_RUN: [Directive; 4] = [RUN, OLDEST_AGE, LAG, STOPPED];

/// Runs the reconciler's function until Lambda ends it. `queues` has, for each provider, the name with which
/// its record keys begin, and the variable that holds the URL of its queue.
pub async fn run_reconciler(queues: &[(&'static str, Variable)]) -> ExitCode {
    serve(
        async |environment| reconciler(environment, queues).await,
        |built, event: LambdaEvent<Value>| async move {
            let (reconciler, control) = &*built;
            let stop_at = stop_at(event.context.deadline());
            let (summary, stopped) =
                tokio::join!(reconciler.run(stop_at), control.is_stopped(budget::CONTROL.total));
            (report(&summary, &stopped), |_| std::future::ready(()))
        },
    )
    .await
}

async fn reconciler(
    environment: &Environment,
    queues: &[(&'static str, Variable)],
) -> Result<(Reconciler<DynamoStore, SqsSink>, DynamoControl), SettingsError> {
    let urls: Vec<_> =
        queues.iter().filter_map(|(name, variable)| Some((*name, environment.optional(variable)?))).collect();
    if let (true, Some((_, first))) = (urls.is_empty(), queues.first()) {
        return Err(SettingsError::Missing { name: first.name, meaning: first.meaning });
    }
    let config = sdk_config(environment)?;
    let sink = |(name, url)| (name, SqsSink::new(&config, url, budget::FORWARD_BATCH));
    let reconciler = Reconciler {
        store: DynamoStore::from_environment(environment, &config)?,
        sinks: urls.into_iter().map(sink).collect(),
        clock: Timestamp::now,
    };
    Ok((reconciler, DynamoControl::from_environment(environment, &config)?))
}

/// The time after which the run begins no new page: [`TO_FINISH`] before the deadline.
fn stop_at(deadline: SystemTime) -> Timestamp {
    let now = SystemTime::now();
    let deadline = if deadline > now { deadline } else { now + WITHOUT_DEADLINE + TO_FINISH };
    Timestamp::try_from(deadline - TO_FINISH).unwrap_or(Timestamp::MAX)
}

/// Logs a run, writes its metrics, and returns the result of the invocation.
fn report(summary: &Summary, stopped: &Result<bool, PortError>) -> Value {
    let Summary { due, forwarded, taken, failed, keeps_failing, untried, unfinished, .. } = summary;
    let oldest_age = summary.oldest_age.map(|age| age.as_secs_f64());
    let lag = summary.lag.map(|lag| lag.as_secs_f64());
    if *failed > 0 || *untried > 0 || *unfinished {
        tracing::error!(
            due,
            forwarded,
            taken,
            failed,
            keeps_failing,
            untried,
            oldest_age,
            lag,
            unfinished,
            errors = summary.errors.join("; "),
            "records are still pending"
        );
    } else {
        tracing::info!(due, forwarded, taken, oldest_age, lag, "reconciled");
    }
    let now = Timestamp::now();
    let stopped = match stopped {
        Ok(stopped) => Some(*stopped),
        Err(error) => {
            tracing::error!(cause = error.chain(), "the switch of the decisions did not answer");
            None
        }
    };
    if stopped == Some(true) {
        tracing::warn!("decisions are stopped: every payment that waits for one is rejected");
    }
    metrics::write(&run_metrics(now, summary, stopped));
    for (provider, operation) in &summary.failures {
        metrics::failure(now, provider, *operation);
    }
    json!({
        "due": due, "forwarded": forwarded, "taken": taken, "failed": failed, "keepsFailing": keeps_failing,
        "untried": untried, "oldestAgeSeconds": oldest_age, "lagSeconds": lag, "unfinished": unfinished,
        "decisionsStopped": stopped,
    })
}

/// The metrics of a run. A metric whose value is unknown is left out, so that its alarm gets no data instead
/// of a wrong value.
fn run_metrics(now: Timestamp, summary: &Summary, stopped: Option<bool>) -> Line {
    let counts = json!({
        "PendingOverdue": summary.due,
        "PendingForwarded": summary.forwarded,
        "PendingFailed": summary.failed,
        "PendingKeepsFailing": summary.keeps_failing,
        "ReconcilerUnfinished": u8::from(summary.unfinished),
    });
    let mut fields = counts.as_object().cloned().unwrap_or_default();
    let mut directives = vec![RUN];
    for (directive, name, value) in
        [(OLDEST_AGE, "PendingOldestAge", summary.oldest_age), (LAG, "ReconcilerLag", summary.lag)]
    {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.as_secs_f64().into());
            directives.push(directive);
        }
    }
    if let Some(stopped) = stopped {
        fields.insert("DecisionsStopped".to_owned(), u8::from(stopped).into());
        directives.push(STOPPED);
    }
    Line::new(now, directives, fields)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_run_stops_before_its_deadline_but_not_before_it_began() {
        let now = SystemTime::now();
        let stop = stop_at(now + Duration::from_secs(60));
        assert_eq!(stop, Timestamp::try_from(now + Duration::from_secs(45)).unwrap());
        assert!(stop_at(SystemTime::UNIX_EPOCH) > Timestamp::now());
    }

    #[test]
    fn a_metric_with_an_unknown_value_is_left_out() {
        let line = |oldest_age: Option<u32>, lag: Option<u32>, stopped: Option<bool>| {
            let summary = Summary {
                due: 3,
                failed: 2,
                unfinished: true,
                oldest_age: oldest_age.map(|age| SignedDuration::from_millis(age.into())),
                lag: lag.map(|lag| SignedDuration::from_millis(lag.into())),
                ..Summary::default()
            };
            serde_json::to_value(run_metrics(Timestamp::UNIX_EPOCH, &summary, stopped)).unwrap()
        };
        let announced = |line: &Value| {
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            let metrics = directives.iter().flat_map(|directive| directive["Metrics"].as_array().unwrap());
            metrics.map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let always = [
            "PendingOverdue",
            "PendingForwarded",
            "PendingFailed",
            "PendingKeepsFailing",
            "ReconcilerUnfinished",
        ];
        for (oldest_age, lag, stopped, known) in [
            (Some(0), Some(0), None, vec!["PendingOldestAge", "ReconcilerLag"]),
            (Some(301_500), None, Some(true), vec!["PendingOldestAge", "DecisionsStopped"]),
            (None, None, Some(false), vec!["DecisionsStopped"]),
            (None, None, None, vec![]),
        ] {
            let line = line(oldest_age, lag, stopped);
            assert_eq!(line["DecisionsStopped"].as_u64(), stopped.map(u64::from));
            assert_eq!(announced(&line), [always.to_vec(), known].concat());
            // every announced metric has a value, and there are no other values
            let values: BTreeSet<&str> =
                line.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != "_aws").collect();
            assert_eq!(values, announced(&line).iter().map(String::as_str).collect());
            assert_eq!(line["PendingOldestAge"].as_f64(), oldest_age.map(|age| f64::from(age) / 1000.0));
            assert_eq!((&line["PendingOverdue"], &line["PendingFailed"]), (&json!(3), &json!(2)));
            assert_eq!(line["ReconcilerUnfinished"], 1);
        }
    }
}
