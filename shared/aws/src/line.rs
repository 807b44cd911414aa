//! One JSON line per delivery. It has everything that the person on call needs, and nothing secret.

use ingest::{
    Concern, Decision, Forwarding, Operation, Outcome, POLICY_ERROR, PortError, Report, Subtraction,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::metrics::{self, Directive, Embedded, FAILURES, Metric, Unit};

/// The line of one delivery: its log entry and its metrics. It is written at every log level. Latencies are
/// in milliseconds.
#[derive(Debug, Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    target: &'static str,
    provider: &'static str,
    delivery_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict_of: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    concern: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_policies: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_micros: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtraction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    body_bytes: usize,
    total_ms: f64,
    #[serde(flatten)]
    metrics: Metrics,
    #[serde(rename = "_aws")]
    aws: Embedded,
}

/// The fields of a line that are metrics.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    deliveries: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    concerns: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<u8>,
    #[serde(rename = "Replies5xx", skip_serializing_if = "Option::is_none")]
    replies_5xx: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_failures: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_latency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_latency: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_latency: Option<f64>,
}

const DELIVERIES: &[Metric] = &[Metric::new("Deliveries", Unit::Count)];

/// For a delivery whose kind is not known, because it ended before its event was identified.
const DELIVERY: Directive = Directive::new(&[&["provider", "outcome"]], DELIVERIES);
const DELIVERY_OF_KIND: Directive =
    Directive::new(&[&["provider", "outcome"], &["provider", "kind", "outcome"]], DELIVERIES);

/// The metric that alarms watch: one alarm per concern.
const CONCERNS: Directive =
    Directive::new(&[&["provider", "concern"]], &[Metric::new("Concerns", Unit::Count)]);
/// 1 for a signature that matches one of our keys, 0 for a well-formed signature that matches none.
const PROVEN: Directive = Directive::new(&[&["provider"]], &[Metric::new("Proven", Unit::Count)]);
/// Replies with a 5xx status that a function sent on purpose. The gateway's own 5xx metric counts them too.
const REPLIES_5XX: Directive = Directive::new(&[&[]], &[Metric::new("Replies5xx", Unit::Count)]);
const SIGNATURE_FAILURES: Directive =
    Directive::new(&[&["provider", "reason"]], &[Metric::new("SignatureFailures", Unit::Count)]);
const DECISIONS: Directive =
    Directive::new(&[&["provider", "decision"]], &[Metric::new("Decisions", Unit::Count)]);
const DRIFT: Directive = Directive::new(&[&["provider", "kind"]], &[Metric::new("Drift", Unit::Count)]);
const RECORD_LATENCY: Directive =
    Directive::new(&[&["provider"]], &[Metric::new("RecordLatency", Unit::Milliseconds)]);
const FORWARD_LATENCY: Directive =
    Directive::new(&[&["provider"]], &[Metric::new("ForwardLatency", Unit::Milliseconds)]);
const DECISION_LATENCY: Directive =
    Directive::new(&[&["provider"]], &[Metric::new("DecisionLatency", Unit::Milliseconds)]);

/// Every metric that the line of a delivery can contain.
pub(crate) const OF_A_DELIVERY: [Directive; 11] = [
    DELIVERY_OF_KIND,
    CONCERNS,
    PROVEN,
    REPLIES_5XX,
    SIGNATURE_FAILURES,
    DECISIONS,
    DRIFT,
    FAILURES,
    RECORD_LATENCY,
    FORWARD_LATENCY,
    DECISION_LATENCY,
];

/// Writes the line of one delivery.
pub(crate) fn write(provider: &'static str, delivery_id: &str, report: &Report) {
    metrics::write(&line(provider, delivery_id, report));
}

fn line<'a>(provider: &'static str, delivery_id: &'a str, report: &'a Report) -> Line<'a> {
    let since_received = |end: Timestamp| milliseconds(report.received_at, end);
    let (forwarding, failure) = match &report.forwarding {
        None => (None, None),
        Some(Forwarding::Settled) => (Some("settled"), None),
        Some(Forwarding::Unsettled(error)) => (Some("unsettled"), Some(error)),
        Some(Forwarding::Failed(error)) => (Some("failed"), Some(error)),
        Some(Forwarding::Overdue) => (Some("overdue"), None),
        Some(Forwarding::LeftToReconciler) => (Some("left_to_reconciler"), None),
    };
    let (subtraction, failure) = match &report.subtraction {
        None => (None, failure),
        Some(Subtraction::Done) => (Some("done"), failure),
        Some(Subtraction::NotCounted) => (Some("not_counted"), failure),
        Some(Subtraction::Failed(error)) => (Some("failed"), failure.or(Some(error))),
    };
    let (reason, operation) = match &report.outcome {
        Outcome::Refused(refusal) => (Some(refusal.reason()), None),
        Outcome::Unproven { mismatch, secrets } => {
            (Some(mismatch.reason()), secrets.as_ref().map(|error| error.operation))
        }
        Outcome::Unavailable(error) => (None, Some(error.operation)),
        _ => (None, failure.map(|error| error.operation)),
    };
    let decided = match &report.outcome {
        Outcome::Accepted { decision, .. } => decision.as_deref(),
        _ => None,
    };
    let decision = match &report.outcome {
        Outcome::Duplicate { decision, .. } | Outcome::Conflict { decision } => decision.as_deref(),
        _ => decided,
    };
    // A failure to read the secrets is not counted here: `secrets` has counted it when it happened.
    let failed = operation.is_some_and(|operation| operation != Operation::Secrets);
    let forwarded = matches!(report.forwarding, Some(Forwarding::Settled | Forwarding::Unsettled(_)));
    let reached_us_at = report.reached_gateway_at.unwrap_or(report.received_at);
    let metrics = Metrics {
        deliveries: 1,
        concerns: report.outcome.concern().map(|_| 1),
        proven: report.outcome.proven().map(u8::from),
        replies_5xx: (report.status >= 500).then_some(1),
        signature_failures: reason.map(|_| 1),
        decisions: decided.map(|_| 1),
        drift: (!report.drift.is_empty()).then_some(1),
        failures: failed.then_some(1),
        record_latency: report.recorded_at.map(since_received),
        forward_latency: forwarded.then(|| since_received(report.finished_at)),
        decision_latency: decided.map(|_| milliseconds(reached_us_at, report.replied_at)),
    };
    let directives = [
        (true, if report.kind.is_some() { DELIVERY_OF_KIND } else { DELIVERY }),
        (metrics.concerns.is_some(), CONCERNS),
        (metrics.proven.is_some(), PROVEN),
        (metrics.replies_5xx.is_some(), REPLIES_5XX),
        (metrics.signature_failures.is_some(), SIGNATURE_FAILURES),
        (metrics.decisions.is_some(), DECISIONS),
        (metrics.drift.is_some(), DRIFT),
        (metrics.failures.is_some(), FAILURES),
        (metrics.record_latency.is_some(), RECORD_LATENCY),
        (metrics.forward_latency.is_some(), FORWARD_LATENCY),
        (metrics.decision_latency.is_some(), DECISION_LATENCY),
    ];
    let directives = directives.into_iter().filter_map(|(present, directive)| present.then_some(directive));
    Line {
        timestamp: report.finished_at.to_string(),
        level: level_of(report, failure.is_some()),
        target: "delivery",
        provider,
        delivery_id,
        trace_id: report.trace_id.as_deref(),
        kind: report.kind.as_deref(),
        event_id: report.event_id.as_deref(),
        conflict_of: report.conflict_of.as_deref(),
        outcome: report.outcome.name(),
        concern: report.outcome.concern().map(Concern::name),
        reason,
        detail: report.outcome.detail(),
        status: report.status,
        decision: decision.map(Decision::name),
        decision_reason: decision.and_then(Decision::reason),
        decision_policies: decision
            .map(|decision| decision.policies.join(","))
            .filter(|policies| !policies.is_empty()),
        decision_micros: decision.and_then(|decision| decision.micros),
        policy_hash: decision.and_then(|decision| decision.policy_hash.as_deref()),
        drift: (!report.drift.is_empty()).then(|| report.drift.join("; ")),
        forwarding,
        subtraction,
        operation: operation.map(Operation::name),
        error: failure.map(PortError::chain),
        body_bytes: report.body_bytes,
        total_ms: since_received(report.finished_at),
        metrics,
        aws: Embedded::new(report.received_at, directives.collect()),
    }
}

/// Milliseconds from one time to another; 0 when `end` is before `start` because of clock skew.
fn milliseconds(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64().max(0.0) * 1000.0
}

fn level_of(report: &Report, forwarding_failed: bool) -> &'static str {
    match &report.outcome {
        Outcome::Unavailable(_)
        | Outcome::Misconfigured(_)
        | Outcome::Unproven { secrets: Some(_), .. }
        | Outcome::TooLarge => "ERROR",
        Outcome::Accepted { decision: Some(decision), .. } if decision.reason() == Some(POLICY_ERROR) => {
            "ERROR"
        }
        Outcome::Accepted { .. } | Outcome::Duplicate { restamped: None, .. }
            if !forwarding_failed && report.drift.is_empty() =>
        {
            "INFO"
        }
        _ => "WARN",
    }
}

#[cfg(test)]
mod tests {
    use ingest::{Facts, Verdict};
    use serde_json::{Value, json};
    use verify::Refusal;

    use super::*;

    /// The line of a delivery, and each of its metrics with the values of its dimension sets.
    fn logged(report: &Report) -> (Value, Vec<(String, Vec<String>)>) {
        let line = serde_json::to_value(line("umaaas", "d-1", report)).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut metrics = Vec::new();
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "PaymentWebhooks");
            let name = text(&directive["Metrics"][0]["Name"]);
            assert!(line[&name].is_number(), "{name}: {line}");
            let sets = directive["Dimensions"].as_array().unwrap().iter();
            let sets: Vec<String> = sets
                .map(|set| {
                    let names = set.as_array().unwrap().iter();
                    names.map(|name| text(&line[text(name)])).collect::<Vec<_>>().join(" ")
                })
                .collect();
            metrics.push((name, sets));
        }
        (line, metrics)
    }

    fn report(outcome: Outcome) -> Report {
        let at = |millis: i64| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
        Report {
            outcome,
            status: 200,
            kind: Some("umaaas.test".into()),
            event_id: Some("w-1".into()),
            conflict_of: None,
            drift: vec![],
            forwarding: None,
            subtraction: None,
            trace_id: None,
            body_bytes: 2,
            reached_gateway_at: Some(at(-400)),
            received_at: at(0),
            recorded_at: None,
            replied_at: at(20),
            finished_at: at(30),
        }
    }

    fn counted(report: &Report) -> String {
        let (_, metrics) = logged(report);
        let metrics = metrics.iter().map(|(name, sets)| format!("{name} [{}]", sets.join(", ")));
        metrics.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_outcome_counts_its_metrics() {
        let delivered = "Deliveries [umaaas accepted, umaaas umaaas.test accepted]";
        let error = |operation| PortError::new(operation, "no answer");
        let accepted = Report {
            recorded_at: Some(report(Outcome::NotFound).replied_at),
            forwarding: Some(Forwarding::Settled),
            ..report(Outcome::Accepted { decision: None, facts: Facts::default() })
        };
        assert_eq!(
            counted(&accepted),
            format!("{delivered}; Proven [umaaas]; RecordLatency [umaaas]; ForwardLatency [umaaas]")
        );
        let (line, _) = logged(&accepted);
        assert_eq!((&line["RecordLatency"], &line["ForwardLatency"]), (&json!(20.0), &json!(30.0)));

        let unsettled =
            Report { forwarding: Some(Forwarding::Unsettled(error(Operation::Settle))), ..accepted };
        assert_eq!(
            counted(&unsettled),
            format!(
                "{delivered}; Proven [umaaas]; Failures [umaaas, umaaas settle]; RecordLatency [umaaas]; \
                 ForwardLatency [umaaas]"
            )
        );
        let failed = Report { forwarding: Some(Forwarding::Failed(error(Operation::Forward))), ..unsettled };
        assert_eq!(
            counted(&failed),
            format!(
                "{delivered}; Proven [umaaas]; Failures [umaaas, umaaas forward]; RecordLatency [umaaas]"
            )
        );
        let drifted = Report { drift: vec!["x is unknown".into()], ..report(Outcome::NotFound) };
        assert_eq!(
            counted(&drifted),
            "Deliveries [umaaas not_found, umaaas umaaas.test not_found]; Concerns [umaaas unreadable]; \
             Drift [umaaas umaaas.test]"
        );

        let reject = Decision::new(Verdict::Reject { reason: "no_policy".into(), message: "…".into() });
        let decided =
            report(Outcome::Accepted { decision: Some(Box::new(reject.clone())), facts: Facts::default() });
        assert_eq!(
            counted(&decided),
            format!("{delivered}; Proven [umaaas]; Decisions [umaaas reject]; DecisionLatency [umaaas]")
        );
        assert_eq!(logged(&decided).0["DecisionLatency"], 420.0, "from the gateway to the reply");
        // repeating a stored decision does not count as a new one
        let again = report(Outcome::Duplicate { decision: Some(Box::new(reject)), restamped: None });
        assert_eq!(
            counted(&again),
            "Deliveries [umaaas duplicate, umaaas umaaas.test duplicate]; Proven [umaaas]"
        );

        let nameless = |outcome| Report { kind: None, event_id: None, ..report(outcome) };
        let refused = nameless(Outcome::Refused(Refusal::Missing { header: "x" }));
        assert_eq!(
            counted(&refused),
            "Deliveries [umaaas refused]; Concerns [umaaas signature]; SignatureFailures [umaaas missing]"
        );
        let mismatch = Refusal::Mismatch { header: "x" };
        for secrets in [None, Some(error(Operation::Secrets))] {
            let unproven = nameless(Outcome::Unproven { mismatch, secrets });
            assert_eq!(
                counted(&unproven),
                "Deliveries [umaaas unproven]; Concerns [umaaas signature]; Proven [umaaas]; \
                 SignatureFailures [umaaas mismatch]"
            );
            assert_eq!(logged(&unproven).0["Proven"], 0);
        }
        assert_eq!(logged(&report(Outcome::Duplicate { decision: None, restamped: None })).0["Proven"], 1);
        let unavailable = Report { status: 503, ..nameless(Outcome::Unavailable(error(Operation::Record))) };
        assert_eq!(
            counted(&unavailable),
            "Deliveries [umaaas unavailable]; Concerns [umaaas unavailable]; Replies5xx []; \
             Failures [umaaas, umaaas record]"
        );
        assert_eq!(logged(&unavailable).0["detail"], "record failed: no answer");
    }
}
