//! The template's alarms and dashboard against the names that the functions count under, which are taken
//! from the code: a name that is spelled differently is another metric, one without data.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use ingest::{Operation, Outcome};
use local::deployment::transformed;
use local::providers::{PROVIDERS, Provider};
use serde_json::{Map, Value, json};

/// A metric of a provider: its name and the value of its second dimension.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Counted {
    metric: String,
    provider: String,
    value: String,
}

#[tokio::test]
async fn alarms_and_dashboard_know_no_other_names_than_the_code() {
    let template = transformed(&[]).await.unwrap();
    let mut deliveries = 0;
    for Counted { metric, provider, value } in in_alarms(&template).into_iter().chain(on_dashboard(&template))
    {
        assert!(PROVIDERS.iter().any(|known| known.name == provider), "{metric} of {provider}");
        match metric.as_str() {
            "Deliveries" => assert!(Outcome::NAMES.contains(&value.as_str()), "no outcome {value}"),
            "Failures" => {
                assert!(Operation::ALL.iter().any(|known| known.name() == value), "no operation {value}")
            }
            other => panic!("{other} of {provider}: by what names is it counted?"),
        }
        deliveries += usize::from(metric == "Deliveries");
    }
    assert!(deliveries > 2 * Outcome::NAMES.len(), "only {deliveries} were found");
}

/// A metric of another name, or under other dimensions, is another metric, one without data.
#[tokio::test]
async fn alarms_and_dashboard_know_no_other_metrics_than_those_that_are_written() {
    let template = transformed(&[]).await.unwrap();
    let of_filters = of_type(&template, "AWS::Logs::MetricFilter").map(|(_, filter)| {
        let metric = &filter["MetricTransformations"][0];
        assert_eq!(metric["MetricNamespace"], "PaymentWebhooks");
        (metric["MetricName"].as_str().unwrap().to_owned(), BTreeSet::new())
    });
    let written: BTreeSet<(String, BTreeSet<String>)> = aws::written_metrics()
        .map(|(name, set)| (name.to_owned(), set.iter().map(|name| (*name).to_owned()).collect()))
        .chain(of_filters)
        .collect();

    let on_dashboard: BTreeSet<_> = dashboard_lines(&template)
        .iter()
        .filter(|line| line[0] == "PaymentWebhooks")
        .map(|line| (line[1].clone(), line[2..].iter().step_by(2).cloned().collect()))
        .chain(searches(&template))
        .collect();
    let in_alarms: BTreeSet<_> = watched(&template)
        .iter()
        .filter(|(_, metric)| metric["Namespace"] == "PaymentWebhooks")
        .map(|(_, metric)| {
            let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
            let names = dimensions.map(|dimension| dimension["Name"].as_str().unwrap().to_owned());
            (metric["MetricName"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect();
    for metric in on_dashboard.union(&in_alarms) {
        assert!(written.contains(metric), "nothing writes {metric:?}");
    }
    // The outcomes' metric is shown by outcome; which kind it was, the log says.
    let by_kind = |(name, dimensions): &&(String, BTreeSet<String>)| {
        name == "Deliveries" && dimensions.contains("kind")
    };
    for metric in written.iter().filter(|metric| !by_kind(metric)) {
        assert!(on_dashboard.contains(metric), "the dashboard does not show {metric:?}");
    }
}

/// What AWS itself counts: namespace, name, and the dimension with the type of the resource in it. Names and
/// dimensions are those of the CloudWatch metrics' pages in the guides of Lambda, SQS and API Gateway (HTTP APIs).
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
async fn metrics_of_aws_are_spelled_as_aws_does_and_are_of_the_right_resource() {
    let template = transformed(&[]).await.unwrap();
    let on_dashboard = dashboard_lines(&template).into_iter().filter(|line| line[0].starts_with("AWS/"));
    let in_alarms = watched(&template).into_iter().filter_map(|(_, metric)| {
        let namespace = metric["Namespace"].as_str().filter(|namespace| namespace.starts_with("AWS/"))?;
        let [dimension] = metric["Dimensions"].as_array()?.as_slice() else { panic!("{metric}") };
        // as the dashboard has it: `Umaaas`, `UmaaasQueue.QueueName`
        let value = &dimension["Value"];
        let attribute = value["Fn::GetAtt"].as_array().map(|parts| parts.iter().filter_map(Value::as_str));
        let value = attribute.map_or_else(
            || value["Ref"].as_str().unwrap().to_owned(),
            |parts| parts.collect::<Vec<_>>().join("."),
        );
        let text = |field: &Value| field.as_str().unwrap().to_owned();
        Some(vec![namespace.to_owned(), text(&metric["MetricName"]), text(&dimension["Name"]), value])
    });
    let mut alarmed = BTreeSet::new();
    let mut found = BTreeSet::new();
    for (is_alarm, line) in on_dashboard.map(|line| (false, line)).chain(in_alarms.map(|line| (true, line))) {
        let [namespace, metric, dimension, value] = &line[..] else { panic!("{line:?}") };
        let known =
            OF_AWS.iter().find(|(ours, name, by, _)| [*ours, *name, *by] == [namespace, metric, dimension]);
        let (_, metric, _, kind) = known.unwrap_or_else(|| panic!("AWS has no such metric: {line:?}"));
        // A queue's `Ref` is its address, a function's and an API's is the name and the id.
        let (resource, attribute) = value.split_once('.').unwrap_or((value.as_str(), ""));
        assert_eq!(attribute, if *kind == "AWS::SQS::Queue" { "QueueName" } else { "" }, "{line:?}");
        assert_eq!(template["Resources"][resource]["Type"], *kind, "{line:?}");
        found.insert(*metric);
        if is_alarm {
            alarmed.insert((resource.to_owned(), *metric));
        }
    }
    assert_eq!(found, OF_AWS.iter().map(|(_, metric, _, _)| *metric).collect());
    for (name, _) in of_type(&template, "AWS::Lambda::Function") {
        for metric in ["Errors", "Throttles"] {
            assert!(alarmed.contains(&(name.clone(), metric)), "no alarm watches {metric} of {name}");
        }
    }
}

#[tokio::test]
async fn the_dashboard_shows_every_outcome_and_every_alarm() {
    let template = transformed(&[]).await.unwrap();
    let shown = on_dashboard(&template);
    for provider in PROVIDERS {
        for outcome in Outcome::NAMES {
            let outcome = Counted {
                metric: "Deliveries".into(),
                provider: provider.name.into(),
                value: outcome.into(),
            };
            assert!(shown.contains(&outcome), "the dashboard does not show {outcome:?}");
        }
    }
    let shown = dashboard(&template)["widgets"][0]["properties"]["alarms"].clone();
    let shown: BTreeSet<&str> = shown.as_array().unwrap().iter().map(|arn| arn.as_str().unwrap()).collect();
    let alarms: Vec<String> = alarms(&template).map(|(name, _)| format!("{name}.Arn")).collect();
    assert_eq!(shown, alarms.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn every_operation_that_can_fail_is_in_its_providers_alarm() {
    let template = transformed(&[]).await.unwrap();
    let counted = in_alarms(&template);
    for provider in PROVIDERS {
        // Only a provider that asks for facts about receivers has the directory.
        let has_directory = template["Resources"][prefix(provider)]["Properties"]["Environment"]["Variables"]
            .get("RECEIVER_DIRECTORY_TABLE")
            .is_some();
        let fails = |operation: &str| operation != "directory" || has_directory;
        let expected: BTreeSet<&str> =
            Operation::ALL.map(Operation::name).into_iter().filter(|operation| fails(operation)).collect();
        let summed = counted.iter().filter(|one| one.metric == "Failures" && one.provider == provider.name);
        assert_eq!(summed.map(|one| one.value.as_str()).collect::<BTreeSet<_>>(), expected);
    }
}

#[tokio::test]
async fn every_alarm_says_what_to_do_first_and_fits_what_cloudwatch_takes() {
    let template = transformed(&[]).await.unwrap();
    let mut watched = 0;
    for (name, alarm) in alarms(&template) {
        let description = alarm["AlarmDescription"].as_str().unwrap();
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
    let page = std::fs::read_to_string(local::root().join("infra/cost-and-scale.md")).unwrap();
    let row = format!("| alarms | {watched} metrics × 0.10 |");
    assert!(page.contains(&row), "infra/cost-and-scale.md does not say {row}");
}

/// Messages wait on a queue for a consumer that has stopped, and on its dead-letter queue for one that fails.
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
    let expected = PROVIDERS.iter().flat_map(|provider| {
        let prefix = prefix(provider);
        [
            (format!("{prefix}Queue"), "ApproximateAgeOfOldestMessage".to_owned()),
            (format!("{prefix}DeadLetters"), "ApproximateNumberOfMessagesVisible".to_owned()),
        ]
    });
    assert_eq!(watched, expected.collect());
}

/// What is counted in one period, and which of the alarms that weigh several metrics go off.
#[tokio::test]
async fn alarms_that_weigh_outcomes_against_each_other() {
    let template = transformed(&[]).await.unwrap();
    let on = |provider: &str, counts: &[(&str, f64)], gateway_errors: f64| {
        let value = |alarm: &Value| {
            weigh(alarm, |metric| match metric["MetricName"].as_str().unwrap() {
                "5xx" => gateway_errors,
                "Deliveries" => {
                    let dimension = |index: usize| metric["Dimensions"][index]["Value"].as_str().unwrap();
                    let counted = counts.iter().find(|(outcome, _)| *outcome == dimension(1));
                    counted.filter(|_| dimension(0) == provider).map_or(0.0, |(_, count)| *count)
                }
                other => panic!("{other}"),
            })
        };
        let mut names: Vec<&str> = Vec::new();
        for suffix in ["-key-mismatch", "-api-5xx", "-signature-failures", "-refused"] {
            let mut of_suffix = alarms(&template).filter(|(_, alarm)| {
                let name = alarm["AlarmName"]["Fn::Sub"].as_str().unwrap();
                name.ends_with(suffix) && (suffix == "-api-5xx" || name.contains(provider))
            });
            let (_, alarm) = of_suffix.next().unwrap();
            assert!(of_suffix.next().is_none(), "two alarms {suffix}");
            // A threshold that is a parameter has its default.
            let threshold = alarm["Threshold"].as_f64().or_else(|| {
                template["Parameters"][alarm["Threshold"]["Ref"].as_str()?]["Default"].as_str()?.parse().ok()
            });
            let (value, threshold) = (value(alarm), threshold.unwrap());
            if match alarm["ComparisonOperator"].as_str().unwrap() {
                "GreaterThanThreshold" => value > threshold,
                "GreaterThanOrEqualToThreshold" => value >= threshold,
                other => panic!("{other}"),
            } {
                names.push(suffix);
            }
        }
        names
    };
    let none: [&str; 0] = [];
    for provider in ["umaaas", "weavr"] {
        // Weavr is answered 503 for these two outcomes, UMAaaS 401.
        let errors = |count: f64| if provider == "weavr" { count } else { 0.0 };
        // a stranger's single request, and a genuine event that comes four times
        assert_eq!(on(provider, &[("unproven", 1.0)], errors(1.0)), none, "{provider}");
        assert_eq!(on(provider, &[("unproven", 4.0)], errors(4.0)), ["-key-mismatch"], "{provider}");
        // whatever is proven shows that a key here is right
        for proof in ["accepted", "duplicate", "restamped", "conflict"] {
            assert_eq!(on(provider, &[("unproven", 4.0), (proof, 1.0)], errors(4.0)), none, "{proof}");
        }
        for no_proof in ["refused", "unavailable"] {
            let counts = [("unproven", 3.0), (no_proof, 1.0)];
            assert_eq!(on(provider, &counts, errors(3.0)), ["-key-mismatch"], "{no_proof}");
        }
        let forgeries = [("unproven", 6.0), ("refused", 4.0), ("accepted", 5.0)];
        assert_eq!(on(provider, &forgeries, errors(6.0)), ["-signature-failures"], "{provider}");
        for refused in ["stale", "unidentified"] {
            assert_eq!(on(provider, &[(refused, 1.0)], 0.0), ["-refused"], "{provider}");
        }
        assert_eq!(on(provider, &[("future", 1.0)], errors(1.0)), ["-refused"], "{provider}");
        // any other 5xx, and one that the gateway counts in the next period
        assert_eq!(on(provider, &[("unproven", 1.0)], errors(1.0) + 1.0), ["-api-5xx"], "{provider}");
        assert_eq!(on(provider, &[("unproven", 2.0)], 0.0), none, "{provider}");
    }
}

#[tokio::test]
async fn a_wrong_url_is_told_from_strangers_while_webhooks_arrive() {
    let template = transformed(&[]).await.unwrap();
    let (_, alarm) = alarms(&template).find(|(name, _)| *name == "GatewayUnknownPathsAlarm").unwrap();
    assert_eq!(
        (&alarm["ComparisonOperator"], &alarm["Threshold"]),
        (&json!("GreaterThanThreshold"), &json!(0))
    );
    let value = |unknown: f64, umaaas: f64, weavr: f64| {
        weigh(alarm, |metric| match metric["Dimensions"][0]["Value"].as_str() {
            None => unknown,
            Some("umaaas") => umaaas,
            Some(_) => weavr,
        })
    };
    for (unknown, umaaas, weavr, on) in [
        (4.0, 0.0, 0.0, 0.0),
        (5.0, 0.0, 0.0, 1.0),
        (5.0, 1.0, 0.0, 1.0),
        (5.0, 0.0, 7.0, 1.0),
        (500.0, 1.0, 1.0, 0.0),
    ] {
        assert_eq!(value(unknown, umaaas, weavr), on, "{unknown} {umaaas} {weavr}");
    }
}

/// The filters that count what the gateway answers by itself, against lines of its access log.
#[tokio::test]
async fn what_the_gateway_answers_by_itself_is_counted_once() {
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
        // replies of functions, and failures, which are counted elsewhere
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

/// What an alarm's expression comes to, with a value for each of its metrics.
fn weigh(alarm: &Value, value: impl Fn(&Value) -> f64) -> f64 {
    let queries = alarm["Metrics"].as_array().unwrap();
    let returned: Vec<&Value> = queries.iter().filter(|query| query["ReturnData"] != false).collect();
    let [expression] = returned[..] else { panic!("one is watched: {returned:?}") };
    let metrics: Map<String, Value> = queries
        .iter()
        .filter(|query| query.get("MetricStat").is_some())
        .map(|query| {
            let id = query["Id"].as_str().unwrap().to_owned();
            (id, json!(value(&query["MetricStat"]["Metric"])))
        })
        .collect();
    let text = expression["Expression"].as_str().unwrap();
    let mut rest = tokens(text);
    rest.reverse();
    let result = Expression { metrics: &metrics, rest };
    result.evaluate().unwrap_or_else(|| panic!("not an expression that this test knows: {text}"))
}

/// As much of CloudWatch's metric math as the template has: `AND` or `OR`, comparisons, `+` and `-`, `FILL`, `IF`,
/// and `SUM` over all metrics.
struct Expression<'a> {
    metrics: &'a Map<String, Value>,
    /// What is still to be read, the next one last.
    rest: Vec<String>,
}

impl Expression<'_> {
    fn evaluate(mut self) -> Option<f64> {
        let value = self.conjunction()?;
        self.rest.is_empty().then_some(value)
    }

    fn conjunction(&mut self) -> Option<f64> {
        let mut value = self.comparison()?;
        // Never both without parentheses.
        while self.take("AND") {
            let right = self.comparison()?;
            value = f64::from(value != 0.0 && right != 0.0);
        }
        while self.take("OR") {
            let right = self.comparison()?;
            value = f64::from(value != 0.0 || right != 0.0);
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
        loop {
            if self.take("+") {
                value += self.operand()?;
            } else if self.take("-") {
                value -= self.operand()?;
            } else {
                return Some(value);
            }
        }
    }

    fn operand(&mut self) -> Option<f64> {
        let token = self.rest.pop()?;
        if token == "(" {
            let value = self.conjunction()?;
            return self.take(")").then_some(value);
        }
        if self.take("(") {
            if token == "SUM" {
                // The one form that the template has.
                let all = "FILL ( METRICS ( ) , 0 ) )".split(' ').all(|token| self.take(token));
                return all.then(|| self.metrics.values().filter_map(Value::as_f64).sum());
            }
            let mut arguments = vec![self.conjunction()?];
            while self.take(",") {
                arguments.push(self.conjunction()?);
            }
            return match (self.take(")"), token.as_str(), &arguments[..]) {
                // Every metric has a value here, so there is nothing to fill.
                (true, "FILL", [value, _]) => Some(*value),
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

/// The alarms by their names in the template.
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
fn watched(template: &Value) -> Vec<(&str, &Value)> {
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

/// The metrics in all alarms that have a provider and a second dimension.
fn in_alarms(template: &Value) -> BTreeSet<Counted> {
    let mut counted = BTreeSet::new();
    for (_, alarm) in alarms(template) {
        for (metric, dimensions, _) in metrics(alarm) {
            if let Some([provider, other]) = dimensions.as_array().map(Vec::as_slice)
                && provider["Name"] == "provider"
            {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                counted.insert(Counted {
                    metric: metric.to_owned(),
                    provider: text(&provider["Value"]),
                    value: text(&other["Value"]),
                });
            }
        }
    }
    counted
}

/// The same on the dashboard.
fn on_dashboard(template: &Value) -> BTreeSet<Counted> {
    let mut counted = BTreeSet::new();
    for line in dashboard_lines(template) {
        if let [namespace, metric, provider, name, _, value] = &line[..]
            && (namespace.as_str(), provider.as_str()) == ("PaymentWebhooks", "provider")
        {
            let (metric, provider, value) = (metric.clone(), name.clone(), value.clone());
            counted.insert(Counted { metric, provider, value });
        }
    }
    counted
}

/// The metrics on the dashboard, each as namespace, name, and names and values of dimensions.
fn dashboard_lines(template: &Value) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for widget in dashboard(template)["widgets"].as_array().unwrap() {
        let mut previous: Vec<String> = Vec::new();
        for line in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let fields: Vec<&str> = line.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            // "." is the field above, "..." are all fields above that this line does not give.
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

/// The searches on the dashboard, each as the names of a metric and of its dimensions.
fn searches(template: &Value) -> Vec<(String, BTreeSet<String>)> {
    let mut searches = Vec::new();
    for widget in dashboard(template)["widgets"].as_array().unwrap() {
        for line in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            let Some(expression) = line[0]["expression"].as_str() else { continue };
            let (schema, rest) =
                expression.strip_prefix("SEARCH('{PaymentWebhooks,").unwrap().split_once("} ").unwrap();
            let name = rest.strip_prefix("MetricName=\"").unwrap().split('"').next().unwrap();
            searches.push((name.to_owned(), schema.split(',').map(str::to_owned).collect()));
        }
    }
    searches
}

/// The dashboard, with the names of resources in place of their values. Alarms that can be turned off are on.
fn dashboard(template: &Value) -> Value {
    let body = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    let mut with_all = body[0].as_str().unwrap().to_owned();
    let mut with_none = with_all.clone();
    for (name, value) in body[1].as_object().unwrap() {
        let name = format!("${{{name}}}");
        with_all = with_all.replace(&name, value["Fn::If"][1]["Fn::Sub"].as_str().unwrap());
        with_none = with_none.replace(&name, value["Fn::If"][2].as_str().unwrap());
    }
    let with_none: Value = serde_json::from_str(&plain_names(&with_none)).unwrap();
    assert!(with_none["widgets"].is_array(), "{with_none}");
    serde_json::from_str(&plain_names(&with_all)).unwrap()
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

/// `Umaaas`: how the template's names of a provider's resources begin.
fn prefix(provider: &Provider) -> String {
    let (first, rest) = provider.name.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
