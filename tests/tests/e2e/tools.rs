//! `cargo webhooks send`, `doctor` and `compare` against all functions under the real `cargo lambda watch`, and
//! against the deployed template.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveSpecification};
use aws_sdk_sqs::types::QueueAttributeName;
use http::Request;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use local_stack::deployment::{self, Deployment};
use local_stack::ministack::Ministack;
use local_stack::senders::SENDERS;
use local_stack::tools::Tools;
use local_stack::watch::{self, Watch};
use local_stack::{client, env_file, stack};
use serde_json::{Value, json};
use tests::{LocalAws, binaries, named, unique};

use crate::deploy::authorization;

/// What `cargo dev` would have running.
struct Dev {
    aws: LocalAws,
    watch: Watch,
    /// Its description, as `cargo dev` writes it.
    env_file: PathBuf,
}

impl Dev {
    async fn start() -> Self {
        let aws = LocalAws::start().await;
        watch::build().await.unwrap();
        watch::build_binaries(&["webhooks"], "dev").await.unwrap();
        let options = watch::Options {
            port: 0,
            concurrency: 2,
            reload: false,
            environment: aws.stack.shared_environment(),
        };
        let watch = Watch::start(&Tools::install().await.unwrap(), &options).await.unwrap();
        let env_file = local_stack::scratch().join(format!("env-{}", unique()));
        env_file::write(&env_file, &options.environment, &watch.url()).unwrap();
        Self { aws, watch, env_file }
    }

    /// Runs a command on this stack: its exit status and its lines of JSON.
    fn run(&self, arguments: &[&str]) -> (i32, Vec<Value>) {
        let env_file = self.env_file.to_str().unwrap();
        webhooks(&[arguments, &["--json", "--env-file", env_file]].concat(), &[])
    }

    /// Sends, and says what the deliveries were answered.
    fn send(&self, arguments: &[&str]) -> (i32, Vec<u64>) {
        let (code, lines) = self.run(&[&["send"], arguments].concat());
        (code, lines.iter().map(|line| line["status"].as_u64().unwrap()).collect())
    }

    /// The checks of `doctor` that are neither ok nor out of its reach.
    fn complaints(&self) -> (i32, Vec<String>) {
        let (code, lines) = self.run(&["doctor"]);
        (code, complaints(&lines[0]))
    }

    /// Everything on a provider's queue.
    async fn messages(&self, provider: &str, expected: usize) -> Vec<Value> {
        let queue = self.aws.stack.queue(named(provider));
        let mut messages = queue.receive(expected, Duration::from_secs(15)).await.unwrap();
        messages.extend(queue.receive(usize::MAX, Duration::from_millis(300)).await.unwrap());
        messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.env_file);
    }
}

fn webhooks(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let mut command = Command::new(binaries().join("webhooks"));
    let command = command.args(arguments).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{arguments:?}\n{out}{err}");
    for provider in SENDERS {
        assert!(!out.contains(&provider.secret()) && !err.contains(&provider.secret()), "{arguments:?}");
    }
    (output.status.code().unwrap(), out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn complaints(checks: &Value) -> Vec<String> {
    let checks = checks.as_array().unwrap().iter();
    let complaints =
        checks.filter(|check| !["ok", "not_checked"].contains(&check["status"].as_str().unwrap()));
    complaints
        .map(|check| {
            assert!(check["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{check}");
            format!("{} {}", check["status"].as_str().unwrap(), check["check"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn the_tools_work_on_a_running_stack() {
    let dev = Dev::start().await;
    assert_eq!(dev.complaints(), (0, vec![]), "a fresh stack is in order");
    sent_webhooks_are_answered_as_documented(&dev).await;
    transactions_are_compared(&dev);
    assert_eq!(dev.complaints(), (0, vec![]), "and so is one that has worked");
    a_deployed_stack_is_named_by_options(&dev).await;
    doctor_finds_what_is_wrong(&dev).await;
}

#[tokio::test]
async fn the_tools_work_on_the_deployed_template() {
    let tools = Tools::install().await.unwrap();
    watch::build().await.unwrap();
    watch::build_binaries(&["webhooks"], "dev").await.unwrap();
    let ministack = Ministack::start(&tools, 0).await.unwrap();
    let options = deployment::Options {
        binaries: &binaries(),
        parameters: &[("ApprovalPolicy", "sample")],
        functions_endpoint: None,
    };
    let deployed = Deployment::create(&tools, &ministack, &options).await.unwrap();
    let endpoint = ministack.endpoint();
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", stack::REGION),
        ("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY),
    ];
    let deployed_stack = ["--stack", "payment-webhooks", "--url", &deployed.url];

    // The emulated CloudFormation passes over the table's TTL, and does not say that an index is active.
    let mut emulated: Vec<String> =
        stack::INDEXES.iter().map(|(index, ..)| format!("failed index {index}")).collect();
    // Nor does it switch on what restores the table.
    emulated.extend(["failed TTL", "warning point-in-time recovery"].map(str::to_owned));
    let doctor = || webhooks(&[&["doctor", "--json"], &deployed_stack[..]].concat(), &environment);
    let (code, lines) = doctor();
    let mut found = complaints(&lines[0]);
    let unheard = found.pop().unwrap();
    assert_eq!((code, &found), (1, &emulated), "all else is as the template is deployed");
    let topic = unheard.strip_prefix("failed subscribers of ").expect("nobody has subscribed to the alarms");
    let topic = format!("arn:aws:sns:{}:000000000000:{topic}", stack::REGION);
    let queue = &deployed.outputs["UmaaasDeadLettersArn"];
    let subscribe = Request::post(&endpoint)
        .header("authorization", authorization("sns"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(
            format!("Action=Subscribe&Version=2010-03-31&TopicArn={topic}&Protocol=sqs&Endpoint={queue}")
                .into(),
        );
    let subscribed = client::send(subscribe.unwrap(), Duration::from_secs(10)).await.unwrap();
    assert_eq!(subscribed.status(), 200, "{subscribed:?}");
    let (code, lines) = doctor();
    assert_eq!((code, complaints(&lines[0])), (1, emulated));

    // What a forgery is answered depends on when the secret was last read: not within two seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for kind in ["umaaas.test", "weavr.send.transaction", "grid.test"] {
        // The stack has no more than Grid's public key.
        let secret = if kind.starts_with("grid") { "--secret-local" } else { "--secret-stack" };
        for (variant, status) in [(&[][..], 200), (&["--stale"], 401), (&["--late-secret"], 200)] {
            let arguments = [&["send", kind, "--json", secret], &deployed_stack[..], variant].concat();
            let (code, lines) = webhooks(&arguments, &environment);
            assert_eq!((code, &lines.last().unwrap()["status"]), (0, &json!(status)), "{kind} {variant:?}");
        }
    }
}

async fn sent_webhooks_are_answered_as_documented(dev: &Dev) {
    let payment = "umaaas.incoming_payment";
    let abroad = "transaction.counterpartyInformation.country=IR";
    for (arguments, code, statuses) in [
        (&["umaaas.test"][..], 0, &[200][..]),
        (&["umaaas.test", "--duplicate"], 0, &[200, 409]),
        (&["umaaas.test", "--conflict"], 0, &[200, 409]),
        (&["umaaas.test", "--forge"], 0, &[401]),
        // no tolerance is set here
        (&["umaaas.test", "--stale"], 0, &[200]),
        (&["umaaas.test", "--late-secret"], 0, &[401, 200]),
        (&["umaaas.test", "--repeat", "3", "--rate", "20"], 0, &[200, 200, 200]),
        (&["umaaas.test", "--set", "webhookId=", "--expect", "400"], 0, &[400]),
        (&["umaaas.test", "--set", "webhookId="], 1, &[400]),
        (&["umaaas.test", "--expect", "409"], 1, &[200]),
        (&[payment, "--duplicate"], 0, &[200, 409]),
        (&[payment, "--set", abroad], 0, &[403]),
        (&[payment, "--set", abroad, "--expect", "200"], 1, &[403]),
    ] {
        assert_eq!(dev.send(arguments), (code, statuses.to_vec()), "{arguments:?}");
    }
    let messages = dev.messages("umaaas", 12).await;
    let of = |kind: &str| messages.iter().filter(|message| message["type"] == kind).count();
    // test, duplicate, conflict and what it conflicts with, stale, late secret, three, and the one that was
    // not expected; the payment and the two that were rejected
    assert_eq!((of("umaaas.test"), of("umaaas.incoming_payment"), messages.len()), (10, 3, 13));
    assert_eq!(messages.iter().filter(|message| message["decision"] == "reject").count(), 2);
    assert_eq!(messages.iter().filter(|message| !message["conflictof"].is_null()).count(), 1);

    for kind in ["weavr.managed_cards.settlement", "weavr.consumers.activated"] {
        for (arguments, statuses) in [
            (&[][..], &[200][..]),
            (&["--duplicate"], &[200, 200]),
            (&["--conflict"], &[200, 200]),
            (&["--forge"], &[503]),
            (&["--stale"], &[200]),
            (&["--late-secret"], &[503, 200]),
            (&["--repeat", "2"], &[200, 200]),
        ] {
            assert_eq!(
                dev.send(&[&[kind], arguments].concat()),
                (0, statuses.to_vec()),
                "{kind} {arguments:?}"
            );
        }
        // the conflict is held
        assert_eq!(dev.messages("weavr", 7).await.len(), 7, "{kind}");
    }

    // a file goes out as it is
    let file = local_stack::scratch().join(format!("body-{}", unique()));
    let body = format!(
        "{{\"webhookId\":\"{}\",\n \"type\":\"TEST\",\"timestamp\":\"2026-11-02T09:15:00Z\",\"n\":1.0}}",
        unique()
    );
    std::fs::write(&file, &body).unwrap();
    let arguments = ["umaaas.test", "--file", file.to_str().unwrap()];
    assert_eq!(dev.send(&[&arguments[..], &["--as-is"]].concat()), (0, vec![200]));
    assert_eq!(dev.send(&[&arguments[..], &["--as-is"]].concat()), (0, vec![409]));
    assert_eq!(dev.send(&arguments), (0, vec![200]), "renewed, it is another event");
    assert_eq!(dev.messages("umaaas", 2).await.len(), 2);
    std::fs::remove_file(file).unwrap();
}

fn transactions_are_compared(dev: &Dev) {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).start_of_day().unwrap().timestamp();
    let noon = today - SignedDuration::from_hours(12);
    // all on a day that no other event of this test is of
    let (day, next) = (noon.strftime("%F").to_string(), today.strftime("%F").to_string());
    let file = local_stack::scratch().join(format!("day-{}.csv", unique()));
    let path = file.to_str().unwrap();
    let compare = |rows: &[String], day: &str, more: &[&str]| {
        std::fs::write(&file, format!("transactionId,createdAt\n{}\n", rows.join("\n"))).unwrap();
        let command = ["compare", "weavr", "--transactions", path, "--day", day];
        let (code, lines) = dev.run(&[&command, more].concat());
        let ids = |list: &str, field: &str| {
            let rows = lines[0][list].as_array().unwrap().iter();
            rows.map(|row| row[field].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (code, ids("without_event", "id"), ids("without_transaction", "subject"))
    };
    let [both, only_event, late, absent, tomorrow] = [(); 5].map(|()| digits(&unique()));
    for (subject, time) in [(&both, noon), (&only_event, noon), (&late, today)] {
        let id = format!("transactionId={subject:?}");
        let time = format!("transactionTimestamp={}", time.as_millisecond());
        let arguments = ["weavr.managed_cards.settlement", "--set", &id, "--set", &time];
        assert_eq!(dev.send(&arguments), (0, vec![200]));
    }
    let row = |id: &str, time: Timestamp| format!("{id},{time}");
    let none = Vec::<String>::new;
    // Two rows may be about one transaction, and an event counts for it on whatever day it happened.
    let rows =
        [row(&both, noon), row(&both, noon), row(&late, noon), row(&absent, noon), row(&tomorrow, today)];
    let only = |id: &String| vec![id.clone()];
    assert_eq!(compare(&rows, &day, &[]), (1, only(&absent), only(&only_event)));
    assert_eq!(compare(&rows, &next, &["--kind", "weavr.managed_cards.s"]), (1, only(&tomorrow), none()));
    let (_, missing, _) = compare(&rows, &next, &["--utc-offset", "-02:00"]);
    assert_eq!(missing, none(), "the row of today's first hour is of yesterday there");
    assert_eq!(compare(&rows, &day, &["--kind", "weavr.send"]).2, none());
    // Without times all rows are of the day.
    let rows = [format!("{both},"), format!("{only_event},")];
    assert_eq!(compare(&rows, &day, &[]), (0, none(), none()));
    // An event that arrived long after its day is found by the index of subjects.
    assert_eq!(compare(&rows, "2026-03-02", &[]), (0, none(), none()));
    std::fs::remove_file(file).unwrap();
}

/// Weavr's ids are digits.
fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

async fn a_deployed_stack_is_named_by_options(dev: &Dev) {
    let stack = &dev.aws.stack;
    let url = format!("{}/umaaas", dev.watch.url());
    let queues: Vec<String> = SENDERS
        .iter()
        .flat_map(|provider| ["--queue".into(), format!("{}={}", provider.name, stack.queue(provider).url)])
        .collect();
    let mut arguments = vec!["doctor", "--json", "--table", &stack.table, "--url", &url];
    arguments.extend(queues.iter().map(String::as_str));
    let environment = [
        ("AWS_ENDPOINT_URL", stack.endpoint.as_str()),
        ("AWS_REGION", stack::REGION),
        ("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY),
    ];
    // The local table can be deleted, and has no backups.
    let unprotected = ["warning deletion protection", "warning point-in-time recovery"].map(str::to_owned);
    let (code, lines) = webhooks(&arguments, &environment);
    assert_eq!((code, complaints(&lines[0])), (0, unprotected.to_vec()));
    let seen = lines[0].as_array().unwrap().iter();
    let unknown = seen.filter(|check| check["status"] == "not_checked").map(|check| check["check"].clone());
    let unknown: Vec<Value> = unknown.collect();
    assert_eq!(unknown, ["secrets", "retention and tolerance", "alarms", "concurrent functions"]);
    let (code, lines) = webhooks(
        &[&arguments[..], &["--retention-days", "7", "--tolerance-seconds", "604800"]].concat(),
        &environment,
    );
    assert_eq!(
        (code, complaints(&lines[0])),
        (1, [&unprotected[..], &["failed retention and tolerance".to_owned()]].concat())
    );

    let manager = aws_sdk_secretsmanager::Client::new(&stack::config(&stack.endpoint));
    let created = manager.create_secret().name(unique()).secret_string(r#"{"current":"replace-me"}"#);
    let arn = created.send().await.unwrap().arn.unwrap();
    let arguments = [&arguments[..], &["--provider", "umaaas", "--secret-arn", &arn]].concat();
    let (code, lines) = webhooks(&arguments, &environment);
    let [complaint, ..] = &complaints(&lines[0])[..] else { panic!("{lines:?}") };
    assert!(code == 1 && complaint.starts_with("failed secret "), "{complaint}");
    let routes = lines[0].as_array().unwrap().iter();
    let routes = routes.filter(|check| check["check"].as_str().unwrap().starts_with("route of")).count();
    assert_eq!(routes, 1, "one provider alone");
    manager.put_secret_value().secret_id(&arn).secret_string("s3cret-of-a-provider").send().await.unwrap();
    let (code, lines) = webhooks(&arguments, &environment);
    assert_eq!((code, complaints(&lines[0])), (0, unprotected.to_vec()));
    assert!(!lines[0].to_string().contains("s3cret"), "{lines:?}");
}

async fn doctor_finds_what_is_wrong(dev: &Dev) {
    let stack = &dev.aws.stack;
    let good = std::fs::read_to_string(&dev.env_file).unwrap();

    // what describes the stack
    for (from, to, expected) in [
        (
            named("umaaas").secret().as_str(),
            "replace-me",
            &["failed secret of umaaas", "failed signature of umaaas"][..],
        ),
        (named("weavr").secret().as_str(), "another", &["failed signature of weavr"]),
        (named("grid").secret().as_str(), "no PEM", &["failed secret of grid"]),
        (
            dev.watch.url().as_str(),
            "http://127.0.0.1:1",
            &[
                "failed address",
                "failed signature of umaaas",
                "failed signature of weavr",
                "failed signature of grid",
            ],
        ),
        (stack.table.as_str(), "no-such-table", &["failed table", "failed pending records"]),
        ("RETENTION", "RETENTION", &[]),
    ] {
        std::fs::write(&dev.env_file, good.replace(from, to)).unwrap();
        let code = i32::from(!expected.is_empty());
        assert_eq!(
            dev.complaints(),
            (code, expected.iter().map(ToString::to_string).collect()),
            "{from} -> {to}"
        );
    }
    std::fs::write(&dev.env_file, &good).unwrap();

    // the table: an event that nobody forwards
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let number = |value: i64| AttributeValue::N(value.to_string());
    let key = AttributeValue::S(format!("umaaas#{}", unique()));
    let put = stack.dynamodb.put_item().table_name(&stack.table).item("pk", key.clone());
    let put = put
        .item("state", AttributeValue::S("pending".into()))
        .item("pending_shard", AttributeValue::S("0".into()));
    let put = put
        .item("due_at", number(hour_ago.as_millisecond()))
        .item("received_at", number(hour_ago.as_millisecond()));
    put.send().await.unwrap();
    assert_eq!(dev.complaints(), (1, vec!["failed pending records".to_owned()]));
    stack.dynamodb.delete_item().table_name(&stack.table).key("pk", key).send().await.unwrap();

    let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("expires_at").build().unwrap();
    let update = stack.dynamodb.update_time_to_live().table_name(&stack.table);
    update.time_to_live_specification(off).send().await.unwrap();
    assert_eq!(dev.complaints(), (1, vec!["failed TTL".to_owned()]));
    let on = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build().unwrap();
    let update = stack.dynamodb.update_time_to_live().table_name(&stack.table);
    update.time_to_live_specification(on).send().await.unwrap();

    // the queues
    let queue = stack.queue(named("weavr"));
    let dead = stack.sqs.send_message().queue_url(&queue.dead_letters_url).message_body("x");
    dead.message_group_id("g").message_deduplication_id(unique()).send().await.unwrap();
    let set = stack.sqs.set_queue_attributes().queue_url(&queue.url);
    set.attributes(QueueAttributeName::MessageRetentionPeriod, "3600").send().await.unwrap();
    let expected = ["failed retention of weavr.fifo", "failed dead letters in weavr-dead-letters.fifo"];
    assert_eq!(dev.complaints(), (1, expected.iter().map(ToString::to_string).collect()));
}
