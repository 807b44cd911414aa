//! The `tracing` subscriber: which log lines are written, and at which level.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::variables::{AWS_LAMBDA_LOG_LEVEL, LOG_LEVEL};
use crate::{Environment, SettingsError};

/// The prefix of the names of our own crates, whose log lines contain nothing secret. The lines of all other
/// crates are written only at `warn` and `error`, because at `debug` the SDK and the runtime log whole
/// requests with their bodies.
const OUR_CRATES: &str = "webhook_";

/// Whether the Runtime API has refused a response since this was last set to false. `lambda_runtime` does not
/// return that error to its caller; it only logs it.
pub(crate) static REJECTED: AtomicBool = AtomicBool::new(false);

/// Sets [`REJECTED`] when the runtime logs that a response was refused.
struct Rejections;

impl<S: Subscriber> Layer<S> for Rejections {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        if *about.level() == Level::ERROR && about.target() == "lambda_runtime::layers::api_client" {
            REJECTED.store(true, Ordering::Relaxed);
        }
    }
}

/// Starts logging to standard output. The level is `AWS_LAMBDA_LOG_LEVEL` (which Lambda sets from the
/// function's logging configuration), else `LOG_LEVEL`, else `info`.
///
/// # Errors
/// [`SettingsError::Invalid`] for an unknown level. Logging is then started at `info`.
pub(crate) fn init(environment: &Environment) -> Result<(), SettingsError> {
    let level = level(environment);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(BoxMakeWriter::new(std::io::stdout));
    let targets = targets(*level.as_ref().unwrap_or(&Level::INFO));
    tracing_subscriber::registry().with(lines).with(Rejections).with(targets).init();
    level.map(|_| ())
}

fn level(environment: &Environment) -> Result<Level, SettingsError> {
    for variable in [AWS_LAMBDA_LOG_LEVEL, LOG_LEVEL] {
        let Some(level) = environment.optional(&variable) else { continue };
        // Other names for these levels. Lambda's own names are TRACE, DEBUG, INFO, WARN, ERROR and FATAL.
        let level = level.trim().to_ascii_lowercase();
        let level = match level.as_str() {
            "fatal" | "critical" => "error",
            "warning" => "warn",
            level => level,
        };
        return level.parse().map_err(|_| variable.wrong("must be trace, debug, info, warn or error"));
    }
    Ok(Level::INFO)
}

fn targets(level: Level) -> Targets {
    Targets::new().with_default(LevelFilter::WARN).with_target(OUR_CRATES, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_crates_only_write_warnings_and_errors() {
        for level in [Level::TRACE, Level::DEBUG] {
            let targets = targets(level);
            // this crate's own name, and a provider's
            let here = module_path!();
            for ours in [here, "webhook_ingest::path", "webhook_umaaas"] {
                assert!(targets.would_enable(ours, &level), "{ours}");
            }
            for other in
                ["aws_smithy_runtime::client::orchestrator", "aws_sdk_dynamodb", "aws_runtime", "hyper"]
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
            [level("DEBUG"), level("FATAL"), level(""), level("WARNING"), level(" Warn ")],
            [Ok(Level::DEBUG), Ok(Level::ERROR), Ok(Level::INFO), Ok(Level::WARN), Ok(Level::WARN)]
        );
        assert!(matches!(level("loud"), Err(SettingsError::Invalid { name: "AWS_LAMBDA_LOG_LEVEL", .. })));
    }
}
