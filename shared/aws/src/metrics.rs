//! Metrics in CloudWatch's embedded metric format: CloudWatch Logs turns lines on standard output into
//! metrics, so no API call is needed. A metric's value and dimensions are fields of the line, so the line of
//! a delivery is both its log entry and its metrics.

use std::io::Write;
use std::sync::OnceLock;

use ingest::Operation;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::variables::METRICS_NAMESPACE;
use crate::{Environment, line, reconcile};

/// The namespace of all metrics, once [`init`] has read it.
static NAMESPACE: OnceLock<String> = OnceLock::new();

/// Reads `METRICS_NAMESPACE`.
pub(crate) fn init(environment: &Environment) {
    if let Some(namespace) = environment.optional(&METRICS_NAMESPACE) {
        // Setting it twice cannot happen: a process starts one function.
        let _ = NAMESPACE.set(namespace);
    }
}

fn namespace() -> &'static str {
    NAMESPACE.get().map_or("PaymentWebhooks", String::as_str)
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Unit {
    Count,
    Milliseconds,
    Seconds,
}

/// The `_aws` field of a line: it says which fields of the line are metrics.
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

/// Metrics, and the dimension sets under which each of them is counted.
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

/// The name and the dimension names of every metric that the functions write, one entry for each dimension
/// set. Tests check alarms and dashboards against it.
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

/// Failed operations of a provider: their total, which an alarm watches, and the count of each operation
/// (`record`, `forward`, `secrets`, ...).
pub(crate) const FAILURES: Directive =
    Directive::new(&[&["provider"], &["provider", "operation"]], &[Metric::new("Failures", Unit::Count)]);

/// Counts a failed operation that the line of a delivery does not count: it happened outside a delivery, or
/// did not change the delivery's outcome.
pub(crate) fn failure(now: Timestamp, provider: &str, operation: Operation) {
    let fields = json!({"provider": provider, "operation": operation.name(), "Failures": 1});
    emit(now, FAILURES, fields.as_object().cloned().unwrap_or_default());
}

/// Writes a line with the metrics of a directive. `fields` has their values and dimensions.
pub(crate) fn emit(now: Timestamp, directive: Directive, fields: Map<String, Value>) {
    write(&Line::new(now, vec![directive], fields));
}

/// A line that contains only metrics.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    #[serde(rename = "_aws")]
    aws: Embedded,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Line {
    /// A line with the metrics of the directives. `fields` has their values and dimensions.
    pub(crate) fn new(now: Timestamp, directives: Vec<Directive>, fields: Map<String, Value>) -> Self {
        Self { aws: Embedded::new(now, directives), fields }
    }
}

/// Writes one line at every log level, so that no metric is left out.
pub(crate) fn write(line: &impl Serialize) {
    let mut text = serde_json::to_vec(line).expect("names and numbers serialise");
    text.push(b'\n');
    // An error is ignored: when standard output is closed, it cannot be reported anywhere.
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
