//! One JSON line per delivery, with everything the person on call needs and nothing that has to be
//! kept secret.

use ingest::{Decision, Forwarding, Outcome, POLICY_ERROR, Report};
use jiff::Timestamp;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::{Environment, SettingsError};

/// Crates whose log lines hold nothing secret. All others only warn, whatever the level: at `debug`
/// the SDK and the runtime log whole requests, bodies included.
/// (A target is a prefix: without the colons, `aws` would be `aws_smithy_runtime` too.)
const OUR_TARGETS: [&str; 4] = ["aws::", "delivery", "ingest::", "verify::"];

/// Starts logging to standard output at the level that `AWS_LAMBDA_LOG_LEVEL` (set by Lambda from
/// the function's logging configuration) or `LOG_LEVEL` names; `info` unless one does.
///
/// # Errors
/// [`SettingsError::Invalid`] for a level that there is not.
pub(crate) fn init(environment: &Environment) -> Result<(), SettingsError> {
    let level = level(environment);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(BoxMakeWriter::new(std::io::stdout));
    let targets = targets(*level.as_ref().unwrap_or(&Level::INFO));
    tracing_subscriber::registry().with(lines).with(targets).init();
    level.map(|_| ())
}

fn level(environment: &Environment) -> Result<Level, SettingsError> {
    for name in ["AWS_LAMBDA_LOG_LEVEL", "LOG_LEVEL"] {
        let Some(level) = environment.optional(name) else { continue };
        // Lambda knows one level more than we do.
        let level = if level.eq_ignore_ascii_case("fatal") { "error" } else { level.trim() };
        let expected = "trace, debug, info, warn or error".to_owned();
        return level.parse().map_err(|_| SettingsError::Invalid { name, expected });
    }
    Ok(Level::INFO)
}

fn targets(level: Level) -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_targets(OUR_TARGETS.map(|target| (target, level)))
}

/// Writes the line of one delivery. Times are milliseconds.
pub(crate) fn delivery(provider: &str, delivery_id: &str, report: &Report) {
    let since = |start: Timestamp, end: Timestamp| end.duration_since(start).as_secs_f64() * 1000.0;
    let drift = (!report.drift.is_empty()).then(|| report.drift.join("; "));
    let (forwarding, forwarding_error) = match &report.forwarding {
        None => (None, None),
        Some(Forwarding::Settled) => (Some("settled"), None),
        Some(Forwarding::Unsettled(error)) => (Some("unsettled"), Some(error.chain())),
        Some(Forwarding::Failed(error)) => (Some("failed"), Some(error.chain())),
        Some(Forwarding::Overdue) => (Some("overdue"), None),
    };
    let decision = match &report.outcome {
        Outcome::Accepted { decision } | Outcome::Duplicate { decision, .. } => decision.as_ref(),
        _ => None,
    };
    let decision_policies =
        decision.map(|decision| decision.policies.join(",")).filter(|policies| !policies.is_empty());
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: "delivery",
                $level,
                provider,
                delivery_id,
                kind = report.kind,
                event_id = report.event_id,
                outcome = report.outcome.name(),
                detail = report.outcome.detail(),
                decision = decision.map(Decision::name),
                decision_reason = decision.and_then(Decision::reason),
                decision_policies,
                decision_micros = decision.and_then(|decision| decision.micros),
                policy_hash = decision.and_then(|decision| decision.policy_hash.as_deref()),
                status = report.status,
                drift,
                forwarding,
                forwarding_error,
                body_bytes = report.body_bytes,
                record_ms = report.recorded_at.map(|recorded| since(report.received_at, recorded)),
                total_ms = since(report.received_at, report.finished_at),
            )
        };
    }
    let troubled = forwarding_error.is_some() || drift.is_some();
    match &report.outcome {
        Outcome::Unavailable(_) | Outcome::Misconfigured(_) | Outcome::TooLarge => line!(Level::ERROR),
        Outcome::Accepted { decision: Some(decision) } if decision.reason() == Some(POLICY_ERROR) => {
            line!(Level::ERROR)
        }
        Outcome::Accepted { .. } | Outcome::Duplicate { conflict: false, .. } if !troubled => {
            line!(Level::INFO)
        }
        _ => line!(Level::WARN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_any_level_only_our_own_lines() {
        for level in [Level::TRACE, Level::DEBUG] {
            let targets = targets(level);
            for ours in ["delivery", "aws::start", "ingest::path"] {
                assert!(targets.would_enable(ours, &level), "{ours}");
            }
            for other in
                ["aws_smithy_runtime::client::orchestrator", "aws_sdk_dynamodb", "aws_config", "hyper"]
            {
                assert!(!targets.would_enable(other, &Level::INFO), "{other}");
                assert!(targets.would_enable(other, &Level::WARN), "{other}");
            }
        }
    }

    #[test]
    fn levels() {
        let level = |value: &'static str| level(&Environment::from_lookup(move |_| Some(value.to_owned())));
        assert_eq!(
            [level("DEBUG"), level("FATAL"), level("")],
            [Ok(Level::DEBUG), Ok(Level::ERROR), Ok(Level::INFO)]
        );
        assert!(matches!(level("loud"), Err(SettingsError::Invalid { name: "AWS_LAMBDA_LOG_LEVEL", .. })));
    }
}
