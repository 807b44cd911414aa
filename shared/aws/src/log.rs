//! One JSON line per delivery, with everything the person on call needs and nothing that has to be
//! kept secret.

use ingest::{Forwarding, Outcome, Report};
use jiff::Timestamp;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Environment;

/// Crates whose log lines hold nothing secret. All others only warn, whatever the level: at `debug`
/// the SDK and the runtime log whole requests, bodies included.
const OUR_CRATES: [&str; 4] = ["aws", "delivery", "ingest", "verify"];

/// Starts logging to standard output at the level that `AWS_LAMBDA_LOG_LEVEL` (set by Lambda from
/// the function's logging configuration) or `LOG_LEVEL` names; `info` unless one does.
pub(crate) fn init(environment: &Environment) {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "LOG_LEVEL"]
        .into_iter()
        .find_map(|name| environment.optional(name)?.parse().ok())
        .unwrap_or(Level::INFO);
    let targets =
        Targets::new().with_default(LevelFilter::WARN).with_targets(OUR_CRATES.map(|name| (name, level)));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(BoxMakeWriter::new(std::io::stdout));
    tracing_subscriber::registry().with(lines).with(targets).init();
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
                decision = decision.map(ingest::Decision::name),
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
        Outcome::Unavailable(_) | Outcome::TooLarge => line!(Level::ERROR),
        Outcome::Accepted { .. } | Outcome::Duplicate { conflict: false, .. } if !troubled => {
            line!(Level::INFO)
        }
        _ => line!(Level::WARN),
    }
}
