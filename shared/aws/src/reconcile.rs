//! The scheduled function: from its environment to its event loop.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ingest::{Reconciler, Summary};
use jiff::Timestamp;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

use crate::budget::TO_FINISH;
use crate::metrics::{Directive, Metric, Unit};
use crate::start::{sdk_config, serve};
use crate::{DynamoStore, Environment, SettingsError, SqsSink, budget, metrics};

/// How long a run goes on where nobody sets a deadline (`cargo lambda watch` sets one in 1970).
const WITHOUT_DEADLINE: Duration = Duration::from_secs(45);

/// What every run counts.
const RUN: Directive = Directive::new(
    &[&[]],
    &[
        Metric::new("PendingOverdue", Unit::Count),
        Metric::new("PendingForwarded", Unit::Count),
        Metric::new("PendingFailed", Unit::Count),
        Metric::new("PendingKeepsFailing", Unit::Count),
        Metric::new("PendingOldestAge", Unit::Seconds),
        Metric::new("ReconcilerLag", Unit::Seconds),
        Metric::new("ReconcilerUnfinished", Unit::Count),
    ],
);

/// Runs the reconciler's function until Lambda ends it. `queues` has each provider's name and the
/// variable that holds its queue's URL.
pub async fn run_reconciler(queues: &[(&'static str, &'static str)]) -> ExitCode {
    serve(
        async |environment| reconciler(environment, queues).await,
        |reconciler, event: LambdaEvent<Value>| async move {
            let summary = reconciler.run(stop_at(event.context.deadline())).await;
            (report(&summary), |_| std::future::ready(()))
        },
    )
    .await
}

async fn reconciler(
    environment: &Environment,
    queues: &[(&'static str, &'static str)],
) -> Result<Reconciler<DynamoStore, SqsSink>, SettingsError> {
    let urls: Vec<_> =
        queues.iter().filter_map(|(name, variable)| Some((*name, environment.optional(variable)?))).collect();
    if let (true, Some((_, name))) = (urls.is_empty(), queues.first()) {
        return Err(SettingsError::Missing { name, meaning: "the URL of the provider's SQS queue" });
    }
    let config = sdk_config(environment)?;
    let sink = |(name, url)| (name, SqsSink::new(&config, url, budget::FORWARD_BATCH));
    Ok(Reconciler {
        store: DynamoStore::from_environment(environment, &config)?,
        sinks: urls.into_iter().map(sink).collect(),
        clock: Timestamp::now,
    })
}

/// When to begin nothing new.
fn stop_at(deadline: SystemTime) -> Timestamp {
    let now = SystemTime::now();
    let deadline = if deadline > now { deadline } else { now + WITHOUT_DEADLINE + TO_FINISH };
    Timestamp::try_from(deadline - TO_FINISH).unwrap_or(Timestamp::MAX)
}

/// Logs a run and writes its metrics; also what the invocation returns.
fn report(summary: &Summary) -> Value {
    let Summary { due, forwarded, taken, failed, keeps_failing, oldest_age, lag, unfinished, errors } =
        summary;
    let (oldest_age, lag) = (oldest_age.as_secs_f64(), lag.as_secs_f64());
    if *failed > 0 || *unfinished {
        tracing::error!(
            due,
            forwarded,
            taken,
            failed,
            keeps_failing,
            oldest_age,
            lag,
            unfinished,
            errors = errors.join("; "),
            "records are still pending"
        );
    } else {
        tracing::info!(due, forwarded, taken, oldest_age, lag, "reconciled");
    }
    let values = json!({
        "PendingOverdue": due,
        "PendingForwarded": forwarded,
        "PendingFailed": failed,
        "PendingKeepsFailing": keeps_failing,
        "PendingOldestAge": oldest_age,
        "ReconcilerLag": lag,
        "ReconcilerUnfinished": u8::from(*unfinished),
    });
    metrics::emit(Timestamp::now(), RUN, values.as_object().cloned().unwrap_or_default());
    json!({
        "due": due, "forwarded": forwarded, "taken": taken, "failed": failed, "keepsFailing": keeps_failing,
        "oldestAgeSeconds": oldest_age, "lagSeconds": lag, "unfinished": unfinished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_before_its_deadline_and_after_it_began() {
        let now = SystemTime::now();
        let stop = stop_at(now + Duration::from_secs(60));
        assert_eq!(stop, Timestamp::try_from(now + Duration::from_secs(45)).unwrap());
        assert!(stop_at(SystemTime::UNIX_EPOCH) > Timestamp::now());
    }
}
