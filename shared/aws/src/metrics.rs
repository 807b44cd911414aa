//! Metrics in CloudWatch's embedded format: lines on standard output that CloudWatch Logs turns into
//! metrics, without a call.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
const NAMESPACE: &str = "PaymentWebhooks";

/// What a metric counts in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Count,
    Seconds,
}

/// Writes metrics that share their dimensions.
pub(crate) fn emit(now: Timestamp, dimensions: &[(&str, &str)], metrics: &[(&str, Unit, f64)]) {
    println!("{}", line(now, dimensions, metrics));
}

fn line(now: Timestamp, dimensions: &[(&str, &str)], metrics: &[(&str, Unit, f64)]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": format!("{unit:?}")})).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions}],
        }),
    );
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), json!(value))));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_format() {
        let line = line(
            Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            &[("Provider", "umaaas")],
            &[("Accepted", Unit::Count, 1.0), ("OldestAge", Unit::Seconds, 2.5)],
        );
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "PaymentWebhooks",
                    "Dimensions": [["Provider"]],
                    "Metrics": [{"Name": "Accepted", "Unit": "Count"}, {"Name": "OldestAge", "Unit": "Seconds"}],
                }],
            },
            "Provider": "umaaas",
            "Accepted": 1.0,
            "OldestAge": 2.5,
        });
        assert_eq!(line, expected);
    }
}
