//! The switch that stops decisions: every running instance hears of it within a minute, under load, without a
//! deployment. And the back-test: it says of recorded payments what a function with that policy decides.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local_stack::watch;
use serde_json::{Value, json};
use tests::{Deployment, Fault, Host, Rule, binaries, named, signed_event, unique};

/// Within this time after `stop` nothing is approved any more.
const WITHIN: Duration = Duration::from_secs(60);

/// How often a payment is sent to each provider.
const EVERY: Duration = Duration::from_millis(500);

/// The providers whose replies decide, with the sample of a payment that the sample policy approves.
const DECIDE: [(&str, &str); 2] = [("umaaas", "incoming_payment"), ("grid", "incoming_payment.pending")];

/// Delivers a new payment: its status and the rejection's reason.
async fn pay(host: &Host, provider: &str, file: &str) -> (u16, Option<String>) {
    let sender = named(provider);
    let sample = sender.samples.iter().find(|sample| sample.file == file).unwrap();
    let answer =
        host.invoke(signed_event(provider, sample.path, &sender.body(sample).unwrap())).await.unwrap();
    let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    (answer.status, reply["details"]["reason"].as_str().map(str::to_owned))
}

fn webhooks(deployment: &Deployment, arguments: &[&str]) -> (Option<i32>, String) {
    let file = local_stack::scratch().join(format!("env-{}", unique()));
    let environment = deployment.aws.stack.shared_environment();
    local_stack::env_file::write(&file, &environment, "http://127.0.0.1:1").unwrap();
    let mut command = Command::new(binaries().join("webhooks"));
    let output = command.args(arguments).args(["--env-file", file.to_str().unwrap()]).output().unwrap();
    std::fs::remove_file(file).unwrap();
    println!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn a_stop_reaches_every_running_instance_within_a_minute() {
    let deployment = Deployment::start().await;
    watch::build_binaries(&["webhooks"], "dev").await.unwrap();
    let hosts = [Host::start().await, Host::start().await];
    let _functions: Vec<_> =
        DECIDE.iter().zip(&hosts).map(|((provider, _), host)| deployment.function(host, provider)).collect();
    let scheduled = Host::start().await;
    let _reconciler = deployment.function(&scheduled, "reconciler");
    let all =
        || join_all(DECIDE.iter().zip(&hosts).map(|((provider, file), host)| pay(host, provider, file)));
    let approved = vec![(200, None); DECIDE.len()];
    let stopped = vec![(403, Some("decisions_stopped".to_owned())); DECIDE.len()];
    let alarm = async || scheduled.invoke_raw(json!({})).await.unwrap()["decisionsStopped"].clone();

    assert_eq!(all().await, approved);
    assert_eq!(alarm().await, json!(false));
    assert_eq!(webhooks(&deployment, &["decisions", "resume"]).0, Some(3), "they are made already");
    deployment.proxy.take_calls();
    let mut took = Vec::new();
    for (arguments, expected, before) in [
        (&["decisions", "stop", "--reason", "a test"][..], &stopped, &approved),
        (&["decisions", "resume"], &approved, &stopped),
    ] {
        assert_eq!(webhooks(&deployment, arguments).0, Some(0));
        assert_eq!(webhooks(&deployment, arguments).0, Some(3), "a second time there is nothing to do");
        let begin = Instant::now();
        loop {
            let now = all().await;
            if now == *expected {
                break;
            }
            let known =
                now.iter().zip(before).zip(expected).all(|((now, old), new)| now == old || now == new);
            assert!(known && begin.elapsed() < WITHIN, "{now:?} after {:?}", begin.elapsed());
            tokio::time::sleep(EVERY).await;
        }
        took.push(begin.elapsed());
        assert_eq!(alarm().await, json!(*expected == stopped), "the alarm lasts as long");
        let (_, status) = webhooks(&deployment, &["decisions", "status", "--json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["stopped"], json!(*expected == stopped), "{status}");
    }
    println!("heard after {took:?}");
    // Each instance reads the switch at most every 20 seconds; the reconciler reads it in each run.
    let reads = deployment.proxy.take_calls().iter().filter(|call| call.ends_with("GetItem")).count();
    let seconds = took.iter().sum::<Duration>().as_secs();
    let most = DECIDE.len() * usize::try_from(seconds / 20 + 3).unwrap() + 3;
    assert!(reads <= most, "{reads} reads in {seconds} s");
    // All of it is recorded and on the queues, whatever was decided.
    for (provider, _) in DECIDE {
        let records = deployment.records(&format!("{provider}#")).await.len();
        assert_eq!(deployment.messages(provider, records).await.len(), records, "{provider}");
    }
}

/// While it is unknown whether decisions are stopped, nothing is approved, and everything else goes on.
#[tokio::test]
async fn a_switch_that_cannot_be_read_approves_nothing() {
    let deployment = Deployment::start().await;
    for (provider, file) in DECIDE {
        deployment.proxy.set([Rule { operation: "GetItem", fault: Fault::Hang, times: None }]);
        let host = Host::start().await;
        let _function = deployment.function(&host, provider);
        let begin = Instant::now();
        assert_eq!(pay(&host, provider, file).await.0, 503);
        assert!(begin.elapsed() < Duration::from_secs(5));
        let other = if provider == "umaaas" { "test" } else { "customer.kyc_approved" };
        assert_eq!(pay(&host, provider, other).await.0, 200, "{provider}");
        deployment.proxy.set([]);
        assert_eq!(pay(&host, provider, file).await, (200, None), "{provider}");
    }
}

/// A policy that agrees with the sample about some payments, and not about others.
const OTHER_POLICY: &str = r#"
@id("small")
permit (principal, action, resource) when { context.amount < 60000 };
@id("large")
@reason("too_large")
forbid (principal, action, resource) when { context.amount >= 60000 };
@id("tax-id")
@requires("TAX_ID")
forbid (principal, action, resource) when { context.amount < 1000 };
"#;

/// Payments of a provider that differ in amount, currency and country, and one that cannot be decided on.
fn payments(provider: &str, file: &str) -> Vec<String> {
    let sender = named(provider);
    let sample = sender.samples.iter().find(|sample| sample.file == file).unwrap();
    let resource = if provider == "umaaas" { "transaction" } else { "data" };
    let mut bodies = Vec::new();
    for amount in [json!(1), json!(999), json!(59_999), json!(60_000), json!(9_000_000), json!("much")] {
        for country in ["DE", "IR", "nowhere"] {
            let mut body: Value = serde_json::from_str(&sender.body(sample).unwrap()).unwrap();
            body[resource]["receivedAmount"]["amount"] = amount.clone();
            body[resource]["counterpartyInformation"]["NATIONALITY"] = json!(country);
            body[resource]["counterpartyInformation"]["country"] = json!(country);
            bodies.push(body.to_string());
        }
    }
    bodies
}

/// What functions with a policy decide about bodies: by event, the decision's name.
async fn decided(deployment: &Deployment, policy: &str, bodies: &[Vec<String>]) -> BTreeMap<String, String> {
    for ((provider, _), bodies) in DECIDE.iter().zip(bodies) {
        let host = Host::start().await;
        let _function = deployment.function_with(&host, provider, &[("APPROVAL_POLICY", policy)]);
        for body in bodies {
            let path = named(provider).samples[0].path;
            let path = if *provider == "grid" { path } else { "/umaaas" };
            host.invoke(signed_event(provider, path, body)).await.unwrap();
        }
        host.idle(1).await;
    }
    let mut decided = BTreeMap::new();
    for ((provider, _), bodies) in DECIDE.iter().zip(bodies) {
        for message in deployment.messages(provider, bodies.len()).await {
            let message: Value = serde_json::from_str(&message).unwrap();
            let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            decided.insert(text("id"), text("decision"));
        }
    }
    decided
}

#[tokio::test]
async fn a_back_test_says_what_a_function_with_that_policy_decides() {
    watch::build_binaries(&["webhooks"], "dev").await.unwrap();
    let file = local_stack::scratch().join(format!("policy-{}.cedar", unique()));
    std::fs::write(&file, OTHER_POLICY).unwrap();
    let policy = file.to_str().unwrap();
    let bodies: Vec<Vec<String>> = DECIDE.iter().map(|(provider, file)| payments(provider, file)).collect();
    let (before, after) = (Deployment::start().await, Deployment::start().await);
    let old = decided(&before, "sample", &bodies).await;
    let new = decided(&after, policy, &bodies).await;
    assert_eq!((old.len(), new.len()), (36, 36));

    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (id, old) in &old {
        *expected.entry((old.clone(), new[id].clone())).or_default() += 1;
    }
    assert!(expected.len() >= 4, "the policies differ in several ways: {expected:?}");
    let backtest = |more: &[&str]| {
        webhooks(&before, &[&["policy", "backtest", "--policy", policy, "--json"], more].concat())
    };
    let (code, report) = backtest(&[]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let groups = report["decisions"].as_array().unwrap().iter();
    let found: BTreeMap<(String, String), u64> = groups
        .map(|group| ((text(&group["old"]), text(&group["new"])), group["count"].as_u64().unwrap()))
        .collect();
    assert_eq!((code, &found), (Some(0), &expected), "{report}");
    let changed: u64 = expected.iter().filter(|((old, new), _)| old != new).map(|(_, count)| count).sum();
    assert_eq!((&report["tried"], &report["changed"]), (&json!(36), &json!(changed)));

    // A limit that holds, and one that does not.
    let rejected = expected.get(&("approve".into(), "reject".into())).copied().unwrap_or_default();
    assert!(rejected > 0, "{expected:?}");
    let limit = |count: u64| format!("approve->reject>{count}");
    assert_eq!(backtest(&["--fail-on", &limit(rejected)]).0, Some(0));
    assert_eq!(backtest(&["--fail-on", &limit(rejected - 1)]).0, Some(1));
    assert_eq!(backtest(&["--fail-on", "*->*>0"]).0, Some(1));
    // With the policy that decided, nothing changes.
    let sample = local_stack::root().join("shared/decisions/policies/sample.cedar");
    let (code, report) = webhooks(
        &before,
        &["policy", "backtest", "--policy", sample.to_str().unwrap(), "--fail-on", "*->*>0"],
    );
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("36 payments, 0 would be decided otherwise"), "{report}");
    assert_eq!(
        webhooks(&before, &["policy", "backtest", "--policy", policy, "--until", "2020-01-01"]).0,
        Some(1)
    );
    assert_eq!(
        webhooks(&before, &["policy", "backtest", "--policy", policy, "--provider", "weavr"]).0,
        Some(3)
    );
    std::fs::remove_file(file).unwrap();
}
