//! Compares the template's alarms and dashboard with the metrics that the functions write. The names of those
//! metrics come from the code, because an alarm on a misspelled metric would never get data.

use std::collections::{BTreeMap, BTreeSet};

use ingest::{Concern, Conflicts, Outcome, Provider as _};
use local_stack::deployment::transformed;
use local_stack::senders::{SENDERS, Sender};
use serde_json::{Map, Value, json};

/// Whether a namespace is that of the stack's own metrics, as the template writes it.
pub(crate) fn is_ours(namespace: &Value) -> bool {
    namespace["Fn::Sub"] == "PaymentWebhooks/${AWS::StackName}"
}

/// Every concern has one alarm for each provider, and every alarm watches a concern that exists.
#[tokio::test]
async fn every_concern_has_its_alarm() {
    let template = transformed(&[]).await.unwrap();
    let mut found = BTreeMap::new();
    for (name, metric) in watched(&template) {
        let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
        let dimensions: BTreeMap<&str, &Value> =
            dimensions.map(|dimension| (dimension["Name"].as_str().unwrap(), &dimension["Value"])).collect();
        if !is_ours(&metric["Namespace"]) || dimensions.is_empty() {
            continue;
        }
        let provider = dimensions["provider"].as_str().unwrap();
        assert!(Sender::named(provider).is_some(), "{name}: {provider}");
        if let Some(outcome) = dimensions.get("outcome").and_then(|value| value.as_str()) {
            assert!(Outcome::NAMES.contains(&outcome), "{name}: no outcome {outcome}");
        }
        if let Some(concern) = dimensions.get("concern").and_then(|value| value.as_str()) {
            let before = found.insert((provider.to_owned(), concern.to_owned()), name.to_owned());
            assert!(before.is_none(), "{concern} of {provider} is in {name} and {before:?}");
        }
    }
    let mut expected = BTreeMap::new();
    for provider in SENDERS {
        let conflicts = match provider.name {
            "umaaas" => umaaas::Umaaas::CONFLICTS,
            "weavr" => weavr::Weavr::CONFLICTS,
            "grid" => grid::Grid::CONFLICTS,
            other => panic!("{other}: this test does not know how the provider's conflicts are handled"),
        };
        for concern in Concern::ALL {
            // Conflicts that are forwarded need no attention, so they have no alarm.
            if concern != Concern::Conflict || conflicts == Conflicts::Hold {
                let alarm = match concern {
                    Concern::Signature => "SignatureFailures".to_owned(),
                    other => format!("{other:?}"),
                };
                let name = format!("{}{alarm}Alarm", prefix(provider.name));
                expected.insert((provider.name.to_owned(), concern.name().to_owned()), name);
            }
        }
    }
    assert_eq!(found, expected);
}

/// A metric with a misspelled name or with other dimensions never gets data.
#[tokio::test]
async fn alarms_and_dashboard_use_only_metrics_that_are_written() {
    let template = transformed(&[]).await.unwrap();
    let of_filters = of_type(&template, "AWS::Logs::MetricFilter").map(|(_, filter)| {
        let metric = &filter["MetricTransformations"][0];
        assert!(is_ours(&metric["MetricNamespace"]));
        (metric["MetricName"].as_str().unwrap().to_owned(), BTreeSet::new())
    });
    let written: BTreeSet<(String, BTreeSet<String>)> = aws::written_metrics()
        .map(|(name, set)| (name.to_owned(), set.iter().map(|name| (*name).to_owned()).collect()))
        .chain(of_filters)
        .collect();

    let on_dashboard: BTreeSet<_> = dashboard_lines(&template)
        .iter()
        .filter(|line| line[0].starts_with("PaymentWebhooks"))
        .map(|line| (line[1].clone(), line[2..].iter().step_by(2).cloned().collect()))
        .chain(searches(&template))
        .collect();
    let in_alarms: BTreeSet<_> = watched(&template)
        .iter()
        .filter(|(_, metric)| is_ours(&metric["Namespace"]))
        .map(|(_, metric)| {
            let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
            let names = dimensions.map(|dimension| dimension["Name"].as_str().unwrap().to_owned());
            (metric["MetricName"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect();
    for metric in on_dashboard.union(&in_alarms) {
        assert!(written.contains(metric), "nothing writes {metric:?}");
    }
    // The dashboard shows deliveries by outcome, not by kind; the log has the kind.
    let by_kind = |(name, dimensions): &&(String, BTreeSet<String>)| {
        name == "Deliveries" && dimensions.contains("kind")
    };
    for metric in written.iter().filter(|metric| !by_kind(metric)) {
        assert!(on_dashboard.contains(metric), "the dashboard does not show {metric:?}");
    }
}

/// Every function gets the namespace that the alarms and the dashboard read.
#[tokio::test]
async fn functions_write_where_alarms_read() {
    let template = transformed(&[]).await.unwrap();
    for (name, function) in of_type(&template, "AWS::Lambda::Function") {
        assert!(is_ours(&function["Environment"]["Variables"]["METRICS_NAMESPACE"]), "{name}");
    }
    let ours = watched(&template).into_iter().filter(|(_, metric)| is_ours(&metric["Namespace"])).count();
    let of_aws = watched(&template)
        .iter()
        .filter(|(_, metric)| metric["Namespace"].as_str().is_some_and(|name| name.starts_with("AWS/")))
        .count();
    assert!(ours > 2 * Concern::ALL.len(), "only {ours} were found");
    assert_eq!(ours + of_aws, watched(&template).len(), "an alarm reads another namespace");
}

/// The metrics of AWS itself: namespace, name, dimension, and the type of the resource that the dimension
/// names. Names and dimensions are from the pages on CloudWatch metrics in the guides of Lambda, SQS and API
/// Gateway (HTTP APIs).
const OF_AWS: [(&str, &str, &str, &str); 9] = [
    ("AWS/ApiGateway", "4xx", "ApiId", "AWS::ApiGatewayV2::Api"),
    ("AWS/ApiGateway", "5xx", "ApiId", "AWS::ApiGatewayV2::Api"),
    ("AWS/ApiGateway", "Count", "ApiId", "AWS::ApiGatewayV2::Api"),
    ("AWS/Lambda", "ConcurrentExecutions", "FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "Duration", "FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "Errors", "FunctionName", "AWS::Lambda::Function"),
    ("AWS/Lambda", "Throttles", "FunctionName", "AWS::Lambda::Function"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "AWS::SQS::Queue"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "AWS::SQS::Queue"),
];

#[tokio::test]
async fn metrics_of_aws_have_documented_names_and_the_right_resource() {
    let template = transformed(&[]).await.unwrap();
    let on_dashboard = dashboard_lines(&template).into_iter().filter(|line| line[0].starts_with("AWS/"));
    let in_alarms = watched(&template).into_iter().filter_map(|(_, metric)| {
        let namespace = metric["Namespace"].as_str().filter(|namespace| namespace.starts_with("AWS/"))?;
        let [dimension] = metric["Dimensions"].as_array()?.as_slice() else { panic!("{metric}") };
        // in the notation of the dashboard: `Umaaas`, `UmaaasQueue.QueueName`
        let value = &dimension["Value"];
        let attribute = value["Fn::GetAtt"].as_array().map(|parts| parts.iter().filter_map(Value::as_str));
        let value = attribute.map_or_else(
            || value["Ref"].as_str().unwrap().to_owned(),
            |parts| parts.collect::<Vec<_>>().join("."),
        );
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        Some(vec![namespace.to_owned(), text(&metric["MetricName"]), text(&dimension["Name"]), value])
    });
    let mut found = BTreeSet::new();
    for line in on_dashboard.chain(in_alarms) {
        let [namespace, metric, dimension, value] = &line[..] else { panic!("{line:?}") };
        let known =
            OF_AWS.iter().find(|(ours, name, by, _)| [*ours, *name, *by] == [namespace, metric, dimension]);
        let (_, metric, _, kind) = known.unwrap_or_else(|| panic!("AWS has no such metric: {line:?}"));
        // `Ref` of a queue returns its address; `Ref` of a function returns its name, and of an API its id.
        let (resource, attribute) = value.split_once('.').unwrap_or((value.as_str(), ""));
        assert_eq!(attribute, if *kind == "AWS::SQS::Queue" { "QueueName" } else { "" }, "{line:?}");
        assert_eq!(template["Resources"][resource]["Type"], *kind, "{line:?}");
        found.insert(*metric);
    }
    // The dashboard searches for the metrics of functions by the functions' names.
    let functions: Vec<&String> = of_type(&template, "AWS::Lambda::Function").map(|(name, _)| name).collect();
    for expression in expressions(&template) {
        let Some(rest) = expression.strip_prefix("SEARCH('{AWS/Lambda,FunctionName} MetricName=\"") else {
            continue;
        };
        let (name, rest) = rest.split_once("\" FunctionName=(").unwrap();
        let (names, _) = rest.split_once(")'").unwrap();
        let names: BTreeSet<&str> = names.split(" OR ").map(|name| name.trim_matches('"')).collect();
        assert_eq!(names, functions.iter().map(|name| name.as_str()).collect(), "{expression}");
        let (_, metric, _, _) = OF_AWS.iter().find(|(_, known, _, _)| *known == name).unwrap();
        found.insert(*metric);
    }
    assert_eq!(found, OF_AWS.iter().map(|(_, metric, _, _)| *metric).collect());
}

#[tokio::test]
async fn the_dashboard_shows_every_provider_and_every_alarm() {
    let template = transformed(&[]).await.unwrap();
    for provider in SENDERS {
        let search = format!("MetricName=\"Deliveries\" provider=\"{}\"", provider.name);
        assert!(expressions(&template).iter().any(|one| one.contains(&search)), "{search}");
    }
    let shown = dashboard(&template)["widgets"][0]["properties"]["alarms"].clone();
    let shown: BTreeSet<&str> = shown.as_array().unwrap().iter().map(|arn| arn.as_str().unwrap()).collect();
    let alarms: Vec<String> = alarms(&template).map(|(name, _)| format!("{name}.Arn")).collect();
    assert_eq!(shown, alarms.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn every_alarm_describes_a_first_action_and_fits_the_limits_of_cloudwatch() {
    let template = transformed(&[]).await.unwrap();
    let mut watched = 0;
    for (name, alarm) in alarms(&template) {
        // A text that contains the name of a resource or parameter is a Fn::Sub.
        let description = &alarm["AlarmDescription"];
        let description = description["Fn::Sub"].as_str().or(description.as_str()).unwrap();
        assert!(description.contains("First: "), "{name}: {description}");
        // PutMetricAlarm: "AlarmDescription", "Metrics", "Period".
        assert!(description.len() <= 1024, "{name}: {} characters", description.len());
        let metrics = metrics(alarm);
        assert!(metrics.len() <= 10, "{name} has {} metrics", metrics.len());
        watched += metrics.len();
        let periods: BTreeSet<u64> = metrics.iter().filter_map(|(_, _, period)| *period).collect();
        assert!(periods.len() <= 1, "{name}: {periods:?}");
    }
    // infra/cost-and-scale.md, "Every month"
    println!("the alarms watch {watched} metrics");
    let page = std::fs::read_to_string(local_stack::root().join("infra/cost-and-scale.md")).unwrap();
    let row = format!("| alarms | {watched} metrics × 0.10 |");
    assert!(page.contains(&row), "infra/cost-and-scale.md does not say {row}");
}

/// When a consumer stops, messages wait on its queue; when a consumer fails, messages go to its dead-letter
/// queue.
#[tokio::test]
async fn a_consumer_that_stops_or_fails_is_noticed_before_messages_expire() {
    let template = transformed(&[]).await.unwrap();
    let mut watched = BTreeSet::new();
    for (name, alarm) in alarms(&template).filter(|(_, alarm)| alarm["Namespace"] == "AWS/SQS") {
        let queue = alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0].as_str().unwrap();
        let kept = template["Resources"][queue]["Properties"]["MessageRetentionPeriod"].as_u64().unwrap();
        if alarm["MetricName"] == "ApproximateAgeOfOldestMessage" {
            let threshold = alarm["Threshold"].as_u64().unwrap();
            assert!(threshold >= 86_400 && threshold * 7 <= kept, "{name}: {threshold} of {kept} seconds");
        }
        watched.insert((queue.to_owned(), alarm["MetricName"].as_str().unwrap().to_owned()));
    }
    let expected = SENDERS.iter().flat_map(|provider| {
        let prefix = prefix(provider.name);
        [
            (format!("{prefix}Queue"), "ApproximateAgeOfOldestMessage".to_owned()),
            (format!("{prefix}DeadLetters"), "ApproximateNumberOfMessagesVisible".to_owned()),
        ]
    });
    assert_eq!(watched, expected.collect());
}

/// Alarms that compare metrics with each other go off for the right data in their period.
#[tokio::test]
async fn alarms_that_compare_metrics() {
    let template = transformed(&[]).await.unwrap();
    let is_on = |name: &str, data: &[(&str, &str, f64)]| {
        let (_, alarm) = alarms(&template).find(|(known, _)| *known == name).unwrap();
        assert_eq!(
            (&alarm["ComparisonOperator"], &alarm["Threshold"]),
            (&json!("GreaterThanThreshold"), &json!(0)),
            "{name}"
        );
        let value = weigh(alarm, |statistic| {
            let metric = statistic["Metric"]["MetricName"].as_str().unwrap();
            let of = |(name, stat, _): &&(&str, &str, f64)| *name == metric && statistic["Stat"] == *stat;
            data.iter().find(of).map(|(_, _, value)| *value)
        });
        value > 0.0
    };
    for provider in SENDERS.iter().map(|provider| prefix(provider.name)) {
        let mismatch = format!("{provider}KeyMismatchAlarm");
        let proven = |count: f64, max: f64| [("Proven", "SampleCount", count), ("Proven", "Maximum", max)];
        assert!(!is_on(&mismatch, &[]), "no request at all");
        assert!(!is_on(&mismatch, &proven(2.0, 0.0)), "a stranger's two requests");
        assert!(is_on(&mismatch, &proven(3.0, 0.0)));
        assert!(!is_on(&mismatch, &proven(500.0, 1.0)), "one signature matches");

        let unknown = format!("{provider}UnknownPathsAlarm");
        let paths = |count| ("GatewayUnknownPaths", "Sum", count);
        assert!(!is_on(&unknown, &[paths(4.0)]));
        assert!(is_on(&unknown, &[paths(5.0)]));
        assert!(!is_on(&unknown, &[paths(500.0), ("Deliveries", "Sum", 1.0)]));
        assert!(!is_on(&unknown, &[]));
    }
    let errors = |gateway, functions| [("5xx", "Sum", gateway), ("Replies5xx", "Sum", functions)];
    assert!(!is_on("ApiErrorsAlarm", &[]));
    assert!(is_on("ApiErrorsAlarm", &[("5xx", "Sum", 1.0)]));
    assert!(!is_on("ApiErrorsAlarm", &errors(4.0, 4.0)), "all 5xx replies are from functions");
    assert!(is_on("ApiErrorsAlarm", &errors(5.0, 4.0)));
    // the functions' replies were counted in an earlier period than the gateway's
    assert!(!is_on("ApiErrorsAlarm", &errors(0.0, 4.0)));
}

/// Checks the metric filters for the gateway's own replies with lines of its access log.
#[tokio::test]
async fn replies_of_the_gateway_itself_are_counted_once() {
    let template = transformed(&[]).await.unwrap();
    let filters: Vec<(&str, Vec<&str>)> = of_type(&template, "AWS::Logs::MetricFilter")
        .map(|(_, filter)| {
            let pattern = filter["FilterPattern"].as_str().unwrap();
            let terms = pattern.strip_prefix("{ (").unwrap().strip_suffix(") }").unwrap();
            let name = filter["MetricTransformations"][0]["MetricName"].as_str().unwrap();
            (name, terms.split(") && (").collect())
        })
        .collect();
    let counted = |status: u64, integration: &str| -> Vec<&str> {
        let holds = |term: &&str| match term.split(' ').collect::<Vec<_>>()[..] {
            ["$.integrationStatus", "!=", "\"200\""] => integration != "200",
            ["$.status", "=", value] => status == value.parse::<u64>().unwrap(),
            ["$.status", "!=", value] => status != value.parse::<u64>().unwrap(),
            ["$.status", ">=", value] => status >= value.parse().unwrap(),
            ["$.status", "<", value] => status < value.parse().unwrap(),
            _ => panic!("{term}"),
        };
        filters.iter().filter(|(_, terms)| terms.iter().all(&holds)).map(|(name, _)| *name).collect()
    };
    for (status, integration, metrics) in [
        (429, "-", vec!["GatewayThrottled"]),
        (404, "-", vec!["GatewayUnknownPaths"]),
        (413, "-", vec!["GatewayRefusals"]),
        (413, "413", vec!["GatewayRefusals"]),
        (431, "-", vec!["GatewayRefusals"]),
        // replies of functions, and failed invocations: other metrics count both
        (200, "200", vec![]),
        (401, "200", vec![]),
        (404, "200", vec![]),
        (413, "200", vec![]),
        (500, "-", vec![]),
        (503, "429", vec![]),
    ] {
        assert_eq!(counted(status, integration), metrics, "{status} {integration}");
    }
}

/// Evaluates an alarm's expression. `value` returns the value of a metric, or `None` when it has no data.
fn weigh(alarm: &Value, value: impl Fn(&Value) -> Option<f64>) -> f64 {
    let queries = alarm["Metrics"].as_array().unwrap();
    let returned: Vec<&Value> = queries.iter().filter(|query| query["ReturnData"] != false).collect();
    let [expression] = returned[..] else { panic!("exactly one metric returns data: {returned:?}") };
    let metrics: Map<String, Value> = queries
        .iter()
        .filter(|query| query.get("MetricStat").is_some())
        .map(|query| (query["Id"].as_str().unwrap().to_owned(), json!(value(&query["MetricStat"]))))
        .collect();
    let text = expression["Expression"].as_str().unwrap();
    let mut rest = tokens(text);
    rest.reverse();
    let result = Expression { metrics: &metrics, rest };
    result.evaluate().unwrap_or_else(|| panic!("not an expression that this test knows: {text}"))
}

/// The part of CloudWatch's metric math that the template uses: `AND`, comparisons, `-`, `FILL`, `IF`, and
/// `SUM` over all metrics. A metric without data has no value, and only `FILL` accepts such a metric.
struct Expression<'a> {
    metrics: &'a Map<String, Value>,
    /// The tokens that are still to be read, in reverse order: the next token is the last element.
    rest: Vec<String>,
}

impl Expression<'_> {
    fn evaluate(mut self) -> Option<f64> {
        let value = self.conjunction()?;
        self.rest.is_empty().then_some(value)
    }

    fn conjunction(&mut self) -> Option<f64> {
        let mut value = self.comparison()?;
        while self.take("AND") {
            let right = self.comparison()?;
            value = f64::from(value != 0.0 && right != 0.0);
        }
        Some(value)
    }

    fn comparison(&mut self) -> Option<f64> {
        let left = self.sum()?;
        for (operator, holds) in [(">=", f64::ge as fn(&f64, &f64) -> bool), ("==", f64::eq), (">", f64::gt)]
        {
            if self.take(operator) {
                return Some(f64::from(holds(&left, &self.sum()?)));
            }
        }
        Some(left)
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.operand()?;
        while self.take("-") {
            value -= self.operand()?;
        }
        Some(value)
    }

    fn operand(&mut self) -> Option<f64> {
        let token = self.rest.pop()?;
        if token == "(" {
            let value = self.conjunction()?;
            return self.take(")").then_some(value);
        }
        if self.take("(") {
            if token == "SUM" {
                // The only form of SUM that the template uses.
                let all = "FILL ( METRICS ( ) , 0 ) )".split(' ').all(|token| self.take(token));
                return all.then(|| self.metrics.values().filter_map(Value::as_f64).sum());
            }
            if token == "FILL" {
                let metric = self.rest.pop()?;
                let known = self.metrics.get(&metric)?.as_f64();
                let instead = self.take(",").then(|| self.conjunction())??;
                return self.take(")").then(|| known.unwrap_or(instead));
            }
            let mut arguments = vec![self.conjunction()?];
            while self.take(",") {
                arguments.push(self.conjunction()?);
            }
            return match (self.take(")"), token.as_str(), &arguments[..]) {
                (true, "IF", [condition, yes, no]) => Some(if *condition == 0.0 { *no } else { *yes }),
                _ => None,
            };
        }
        token.parse().ok().or_else(|| self.metrics.get(&token)?.as_f64())
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest.last().is_some_and(|next| next == token);
        if is_next {
            self.rest.pop();
        }
        is_next
    }
}

fn tokens(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        '>' | '=' => 1,
        _ => 2,
    };
    let mut tokens: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in text.chars() {
        match tokens.last_mut() {
            Some(token) if previous != ' ' && kind(c) == kind(previous) && kind(c) < 2 => token.push(c),
            _ if c != ' ' => tokens.push(c.to_string()),
            _ => {}
        }
        previous = c;
    }
    tokens
}

/// The alarms, with their names in the template.
fn alarms(template: &Value) -> impl Iterator<Item = (&String, &Value)> {
    of_type(template, "AWS::CloudWatch::Alarm")
}

/// The properties of all resources of a type.
fn of_type<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let resources = template["Resources"].as_object().unwrap().iter();
    let of_type = resources.filter(move |(_, resource)| resource["Type"] == kind);
    of_type.map(|(name, resource)| (name, &resource["Properties"]))
}

/// The metrics of all alarms, with the alarm's name.
pub(crate) fn watched(template: &Value) -> Vec<(&str, &Value)> {
    let all = alarms(template).flat_map(|(name, alarm)| {
        let sum = alarm["Metrics"].as_array().into_iter().flatten();
        let sum = sum.map(|query| &query["MetricStat"]["Metric"]);
        sum.chain([alarm]).map(move |metric| (name.as_str(), metric))
    });
    all.filter(|(_, metric)| metric["MetricName"].is_string()).collect()
}

/// The metrics of one alarm: name, dimensions, period.
fn metrics(alarm: &Value) -> Vec<(&str, &Value, Option<u64>)> {
    let sum = alarm["Metrics"].as_array().into_iter().flatten();
    let sum = sum.map(|query| (&query["MetricStat"]["Metric"], &query["MetricStat"]["Period"]));
    sum.chain([(alarm, &alarm["Period"])])
        .filter_map(|(metric, period)| {
            Some((metric["MetricName"].as_str()?, &metric["Dimensions"], period.as_u64()))
        })
        .collect()
}

/// The metrics on the dashboard, each as namespace, name, and names and values of dimensions.
fn dashboard_lines(template: &Value) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for widget in dashboard(template)["widgets"].as_array().unwrap() {
        let mut previous: Vec<String> = Vec::new();
        for line in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let fields: Vec<&str> = line.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // "." repeats the field of the previous line; "..." repeats all fields that this line does not
            // have.
            previous = match fields.split_first() {
                Some((&"...", given)) => {
                    previous.truncate(previous.len() - given.len());
                    previous.into_iter().chain(given.iter().map(|field| (*field).to_owned())).collect()
                }
                _ => {
                    let above = |place: usize| previous[place].clone();
                    let field = |(place, field): (usize, &&str)| match *field {
                        "." => above(place),
                        field => field.to_owned(),
                    };
                    fields.iter().enumerate().map(field).collect()
                }
            };
            if !previous.is_empty() {
                lines.push(previous.clone());
            }
        }
    }
    lines
}

/// The expressions on the dashboard.
fn expressions(template: &Value) -> Vec<String> {
    let widgets = dashboard(template)["widgets"].as_array().unwrap().clone();
    let lines =
        widgets.iter().flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    lines.filter_map(|line| Some(line[0]["expression"].as_str()?.to_owned())).collect()
}

/// The dashboard's searches for the stack's own metrics, each as the names of a metric and of its dimensions.
fn searches(template: &Value) -> Vec<(String, BTreeSet<String>)> {
    let ours = |expression: String| {
        let rest = expression.strip_prefix("SEARCH('{\"PaymentWebhooks/AWS::StackName\",")?;
        let (schema, rest) = rest.split_once("} ").unwrap();
        let name = rest.strip_prefix("MetricName=\"").unwrap().split('"').next().unwrap();
        Some((name.to_owned(), schema.split(',').map(str::to_owned).collect()))
    };
    expressions(template).into_iter().filter_map(ours).collect()
}

/// The dashboard, with the names of resources in place of their values, and with all optional alarms turned
/// on.
fn dashboard(template: &Value) -> Value {
    let body = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    let mut text = body[0].as_str().unwrap().to_owned();
    for (name, value) in body[1].as_object().unwrap() {
        text = text.replace(&format!("${{{name}}}"), value["Fn::Sub"].as_str().unwrap());
    }
    serde_json::from_str(&plain_names(&text)).unwrap()
}

/// `${A.Arn}` becomes `A.Arn`.
fn plain_names(text: &str) -> String {
    let mut parts = text.split("${");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(&part.replacen('}', "", 1));
    }
    plain
}

/// The prefix of a provider's resource names in the template: `Umaaas`, for example.
pub(crate) fn prefix(provider: &str) -> String {
    let (first, rest) = provider.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
