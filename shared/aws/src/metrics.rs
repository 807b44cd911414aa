//! Metrics in CloudWatch's embedded format: lines on standard output that CloudWatch Logs turns into
//! metrics, without a call. A metric's value and its dimensions are fields of the line, so the line of a
//! delivery is its log entry and its metrics at once.

use std::io::Write;
use std::sync::OnceLock;

use ingest::Operation;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::variables::METRICS_NAMESPACE;
use crate::{Environment, line, reconcile};

/// The namespace of all metrics, once it is read.
static NAMESPACE: OnceLock<String> = OnceLock::new();

/// Reads `METRICS_NAMESPACE`.
pub(crate) fn init(environment: &Environment) {
    if let Some(namespace) = environment.optional(&METRICS_NAMESPACE) {
        // A process starts one function.
        let _ = NAMESPACE.set(namespace);
    }
}

fn namespace() -> &'static str {
    NAMESPACE.get().map_or("PaymentWebhooks", String::as_str)
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Unit {
    Count,
    Milliseconds,
    Seconds,
}

/// The part of a line that says which of its fields are metrics: its `_aws`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Embedded {
    /// Epoch milliseconds.
    timestamp: i64,
    cloud_watch_metrics: Vec<InNamespace>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InNamespace {
    namespace: &'static str,
    #[serde(flatten)]
    directive: Directive,
}

/// Metrics, and the sets of dimensions under each of which they are counted.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Directive {
    dimensions: &'static [&'static [&'static str]],
    metrics: &'static [Metric],
}

/// One metric: a field of the line.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Metric {
    name: &'static str,
    unit: Unit,
}

/// Every metric that the functions write, once for each set of dimensions under which it is counted: its name
/// and theirs. Alarms and dashboards are checked against it.
pub fn written_metrics() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let directives = line::OF_A_DELIVERY.into_iter().chain(reconcile::OF_A_RUN);
    directives.flat_map(|directive| {
        let sets = directive.dimensions.iter();
        sets.flat_map(move |set| directive.metrics.iter().map(move |metric| (metric.name, *set)))
    })
}

impl Embedded {
    pub(crate) fn new(now: Timestamp, directives: Vec<Directive>) -> Self {
        let in_namespace = |directive| InNamespace { namespace: namespace(), directive };
        Self {
            timestamp: now.as_millisecond(),
            cloud_watch_metrics: directives.into_iter().map(in_namespace).collect(),
        }
    }
}

impl Directive {
    pub(crate) const fn new(
        dimensions: &'static [&'static [&'static str]],
        metrics: &'static [Metric],
    ) -> Self {
        Self { dimensions, metrics }
    }
}

impl Metric {
    pub(crate) const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }
}

/// What could not be done for a provider: all together, which an alarm watches, and by operation (`record`,
/// `forward`, `secrets`, ...).
pub(crate) const FAILURES: Directive =
    Directive::new(&[&["provider"], &["provider", "operation"]], &[Metric::new("Failures", Unit::Count)]);

/// Counts an operation that failed outside a delivery, or without changing how it ends.
pub(crate) fn failure(now: Timestamp, provider: &str, operation: Operation) {
    let fields = json!({"provider": provider, "operation": operation.name(), "Failures": 1});
    emit(now, FAILURES, fields.as_object().cloned().unwrap_or_default());
}

/// Writes metrics, whose values and dimensions are in `fields`.
pub(crate) fn emit(now: Timestamp, directive: Directive, fields: Map<String, Value>) {
    write(&Line::new(now, vec![directive], fields));
}

/// A line that is nothing but metrics.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    #[serde(rename = "_aws")]
    aws: Embedded,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Line {
    /// Metrics, whose values and dimensions are in `fields`.
    pub(crate) fn new(now: Timestamp, directives: Vec<Directive>, fields: Map<String, Value>) -> Self {
        Self { aws: Embedded::new(now, directives), fields }
    }
}

/// Writes one line, whatever the log level: a metric is never left out.
pub(crate) fn write(line: &impl Serialize) {
    let mut text = serde_json::to_vec(line).expect("names and numbers serialise");
    text.push(b'\n');
    // Nobody is left to be told when standard output is gone.
    let _ = std::io::stdout().lock().write_all(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_format() {
        const COUNTED: Directive = Directive::new(
            &[&["provider"], &["provider", "kind"]],
            &[Metric::new("Accepted", Unit::Count), Metric::new("Age", Unit::Seconds)],
        );
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let expected = json!({
            "Timestamp": 1_700_000_000_123_i64,
            "CloudWatchMetrics": [{
                "Namespace": "PaymentWebhooks",
                "Dimensions": [["provider"], ["provider", "kind"]],
                "Metrics": [{"Name": "Accepted", "Unit": "Count"}, {"Name": "Age", "Unit": "Seconds"}],
            }],
        });
        assert_eq!(serde_json::to_value(Embedded::new(now, vec![COUNTED])).unwrap(), expected);
    }
}
