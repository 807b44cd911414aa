//! The switch that stops decisions: every running instance hears of it within a minute, under load, without a
//! deployment.

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
