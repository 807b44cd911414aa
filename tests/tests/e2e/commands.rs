//! `cargo webhooks` on a deployment with real events in its table: what each command prints, what it changes, and with
//! which calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use aws::DynamoStore;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use ingest::{Record, Store, memory, sha256_hex};
use jiff::{SignedDuration, Timestamp};
use local_stack::stack;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{
    Deployment, Fault, Host, Rule, binaries, named, provider_bytes, signed_event, umaaas_event, unique,
};
use tokio::process::Command;
use verify::Delivery;

const WITHIN: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
struct Done {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// What it printed in JSON, which has exactly these fields.
    fn json<'a, T: Deserialize<'a>>(&'a self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    records: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    records: Vec<Line>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonFound {
    records: Vec<Line>,
    receiver: Option<ReceiverFound>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct ReceiverFound {
    table: String,
    facts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedRecord {
    record: Line,
    message: Box<serde_json::value::RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Erased {
    done: bool,
    found: usize,
    erased: usize,
    overridden: usize,
    reason: Option<String>,
    refused: NotErased,
    gone: usize,
    unreadable: usize,
    receiver: bool,
    keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotErased {
    pending: usize,
    held: usize,
    retained: usize,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    key: String,
    provider: String,
    kind: String,
    id: String,
    subject: Option<String>,
    received_at: Rfc3339,
    reply: u16,
    decision: Option<String>,
    reason: Option<String>,
    state: Option<String>,
    forwarded_at: Option<Rfc3339>,
    attempts: Option<u32>,
    // of a held conflict
    path: Option<String>,
    conflict_of: Option<String>,
}

/// A time as RFC 3339 has it.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct Rfc3339(Timestamp);

impl TryFrom<String> for Rfc3339 {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    record: Line,
    timeline: Vec<Value>,
    related: Vec<Line>,
    message: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replayed {
    run: String,
    dry_run: bool,
    chosen: usize,
    sent: usize,
    unsent: Vec<Value>,
    statuses: BTreeMap<u16, usize>,
    stopped: bool,
    after: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stats {
    hours: Vec<Value>,
    total: Value,
}

/// A deployment, and the built command.
struct Operated {
    deployment: Deployment,
    bookmark: String,
}

impl Operated {
    async fn start() -> Self {
        let deployment = Deployment::start().await;
        local_stack::watch::build_binaries(&["webhooks"], "dev").await.unwrap();
        let folder = local_stack::scratch().join(format!("bookmarks-{}", unique()));
        Self { deployment, bookmark: folder.join("one.json").display().to_string() }
    }

    /// The command as a person would give it, with the names of the deployment in front.
    fn command(&self, arguments: &[&str]) -> Command {
        let stack = &self.deployment.aws.stack;
        let mut command = Command::new(binaries().join("webhooks"));
        command.args(["--table", &stack.table, "--region", stack::REGION]);
        for provider in ["umaaas", "weavr"] {
            command.args(["--queue", &format!("{provider}={}", stack.queue(named(provider)).url)]);
        }
        command
            .args(arguments)
            .env("AWS_ENDPOINT_URL", &self.deployment.proxy.endpoint)
            .env("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY)
            .env_remove("AWS_PROFILE")
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "").await
    }

    /// The same with something on standard input.
    async fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        // short enough for a pipe that nobody reads
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(input.as_bytes()).unwrap();
        drop(write);
        let output = self.command(arguments).stdin(read).output();
        let output = tokio::time::timeout(WITHIN, output).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let done = Done { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
        for provider in ["umaaas", "weavr"] {
            let secret = named(provider).secret();
            assert!(!done.out.contains(&secret) && !done.err.contains(&secret), "a secret: {done:?}");
        }
        assert!(!done.out.contains('\u{1b}'), "colours are for terminals: {done:?}");
        done
    }

    /// Records in the table, as deliveries would have left them, oldest first.
    async fn fill(&self, count: usize) -> Vec<Record> {
        let stack = &self.deployment.aws.stack;
        let store = DynamoStore::new(
            &stack::config(&stack.endpoint),
            stack.table.clone(),
            SignedDuration::from_hours(24),
            true,
        );
        let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
        let at = |n: usize| {
            now - SignedDuration::from_secs(600) + SignedDuration::from_millis(n.try_into().unwrap())
        };
        let records: Vec<Record> = (0..count).map(|n| event(at(n))).collect();
        for result in join_all(records.iter().map(|record| store.record(record, WITHIN))).await {
            result.unwrap();
        }
        for result in join_all(records.iter().map(|record| store.settle(record, true, now))).await {
            result.unwrap();
        }
        records
    }

    /// How many items of the table, or entries of its indexes, have one of these texts in an attribute.
    async fn stored_with(&self, texts: &[&str]) -> usize {
        let stack = &self.deployment.aws.stack;
        tests::items_with(&stack.dynamodb, &stack.table, texts).await
    }

    /// The messages on a queue, once so many are there.
    async fn envelopes(&self, provider: &str, expected: usize) -> Vec<Value> {
        let messages = self.deployment.messages(provider, expected).await;
        messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect()
    }
}

#[tokio::test]
async fn records_are_listed_shown_and_searched() {
    let operated = Operated::start().await;
    let host = Host::start().await;
    let _function = operated.deployment.function(&host, "umaaas");
    let provider = named("umaaas");
    let sample = |file: &str| provider.samples.iter().find(|sample| sample.file == file).unwrap();
    let payment = provider.body(sample("incoming_payment")).unwrap();
    let test = provider.body(sample("test")).unwrap();
    let id =
        |body: &str| serde_json::from_str::<Value>(body).unwrap()["webhookId"].as_str().unwrap().to_owned();
    let completed = json!({
        "webhookId": format!("Webhook:{}", unique()), "type": "INCOMING_PAYMENT", "timestamp": "2026-11-02T09:25:10Z",
        "transaction": {"id": "Transaction:0193a1c4-7d10-7b02-0000-000000000c05", "type": "INCOMING", "status": "COMPLETED"},
    });
    for body in [&test, &payment, &completed.to_string()] {
        assert_eq!(host.invoke(umaaas_event("/umaaas", body)).await.unwrap().status, 200);
        host.idle(1).await;
    }
    let sent = operated.deployment.messages("umaaas", 3).await;

    // newest first, in pages
    let done = operated.run(&["records", "list", "--json"]).await;
    let all: Listing = done.json();
    assert_eq!((done.status, all.records.len(), &all.next), (Some(0), 3, &None));
    let ids: Vec<&str> = all.records.iter().map(|line| line.id.as_str()).collect();
    assert_eq!(ids, [&id(&completed.to_string()), &id(&payment), &id(&test)]);
    assert_eq!(all.records[1].decision.as_deref(), Some("approve"));
    assert_eq!((all.records[1].state.as_deref(), all.records[1].attempts), (Some("forwarded"), Some(1)));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let mut arguments = vec!["records", "list", "--json", "--limit", "1"];
        arguments.extend(after.iter().flat_map(|after: &String| ["--after", after.as_str()]));
        let page: Listing = operated.run(&arguments).await.json();
        paged.extend(page.records);
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(paged, all.records);
    let kinds: Listing = operated.run(&["records", "list", "--json", "--kind", "umaaas.test"]).await.json();
    assert_eq!(kinds.records.iter().map(|line| &line.id).collect::<Vec<_>>(), [&id(&test)]);
    let none = operated.run(&["records", "list", "--decision", "reject"]).await;
    assert_eq!((none.status, none.out.lines().count()), (Some(3), 1), "only the headings: {none:?}");
    let text = operated.run(&["records", "list", "--decision", "approve"]).await.out;
    assert_eq!(
        stable(&text, &[&id(&payment)]),
        "received  kind  reply  decision  state  id  subject\n\
         TIME  umaaas.incoming_payment  200  approve  forwarded  ID0  \
         Transaction:0193a1c4-7d10-7b02-0000-000000000c05\n"
    );

    // one record, with what else is about the same payment, and its message
    operated.deployment.proxy.take_calls();
    let done = operated.run(&["records", "show", &id(&payment)]).await;
    let calls = operated.deployment.proxy.take_calls();
    assert!(!calls.iter().any(|call| call == "Scan" || call.contains("Message")), "{calls:?}");
    for (personal, whose) in [
        ("Ada Sender", "a name"),
        ("1985-06-15", "a birthday"),
        ("$ada@", "an address"),
        ("18d3e5f7b4a9c2", "a user"),
    ] {
        assert!(!done.out.contains(personal), "{whose}: {}", done.out);
    }
    let text = stable(&done.out, &[&id(&payment), &id(&completed.to_string())]);
    let mut paragraphs = text.split("\n\n");
    assert_eq!(
        paragraphs.next().unwrap(),
        "key  umaaas#INCOMING_PAYMENT#ID0\nkind  umaaas.incoming_payment\nid  ID0\n\
         subject  Transaction:0193a1c4-7d10-7b02-0000-000000000c05\nstate  forwarded"
    );
    let steps: Vec<&str> = paragraphs.next().unwrap().lines().collect();
    let begins = [
        "when  what",
        "TIME  occurred  by the provider's clock",
        "TIME  received  at /umaaas, delivery ",
        "verified  the signature is by the newest key; the body is as documented",
        "decided  approve by ",
        "answered  HTTP 200; Lambda took it within 5 seconds of the request",
        "TIME  forwarded  1 attempt",
        "TIME  expires  DynamoDB deletes it after that",
    ];
    assert_eq!(steps.len(), begins.len(), "{steps:?}");
    for (step, begin) in steps.iter().zip(begins) {
        assert!(step.starts_with(begin), "{step}: {begin}");
    }
    assert!(paragraphs.next().unwrap().contains("ID1"), "{text}");
    let shown: Shown =
        serde_json::from_str(&operated.run(&["records", "show", &id(&payment), "--json"]).await.out).unwrap();
    assert_eq!((&shown.record, shown.timeline.len()), (&all.records[1], begins.len() - 1));
    assert_eq!(shown.related, [paged.remove(0)]);
    assert_eq!(shown.message["data"]["transaction"]["counterpartyInformation"]["fullName"], "***");
    let done = operated.run(&["records", "show", &all.records[1].key, "--reveal", "--json"]).await;
    let whole = sent.iter().find(|message| message.contains(&id(&payment))).unwrap();
    assert!(done.out.contains(whole.as_str()), "as it was sent, byte for byte: {}", done.out);
    assert_eq!(operated.run(&["records", "show", "nobody"]).await.status, Some(3));

    // a subject through the index; what no index has by reading the table, which it says
    operated.deployment.proxy.take_calls();
    let subject = all.records[1].subject.as_deref().unwrap();
    let done = operated.run(&["records", "search", "--subject", subject, "--json"]).await;
    let found: Found = done.json();
    assert_eq!(found.records.iter().rev().collect::<Vec<_>>(), all.records[..2].iter().collect::<Vec<_>>());
    assert_eq!(
        (operated.deployment.proxy.take_calls(), done.err.as_str()),
        (vec!["Query".into(), "BatchGetItem".into()], "")
    );
    let done = operated.run(&["records", "search", "--id", &id(&test), "--json"]).await;
    assert_eq!(done.json::<Found>().records.len(), 1);
    assert!(operated.deployment.proxy.take_calls().contains(&"Scan".to_owned()));
    assert!(
        done.err.contains("reading the whole table") && done.err.contains("3 records read, 1 found"),
        "{}",
        done.err
    );
    let done = operated.run(&["records", "search", "--where", "transaction.status=PENDING", "--json"]).await;
    assert_eq!(done.json::<Found>().records.len(), 1);
    for wrong in [
        &["records", "search"][..],
        &["records", "search", "--where", "x"],
        &["records", "list", "--since", "x"],
    ] {
        assert_eq!(operated.run(wrong).await.status, Some(2), "{wrong:?}");
    }
    figures(&operated).await;
}

/// Following and counting what is there.
async fn figures(operated: &Operated) {
    operated.deployment.proxy.take_calls();
    let done = operated.run(&["tail", "--since", "1h", "--count", "3", "--json"]).await;
    let lines: Vec<Line> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((done.status, lines.len()), (Some(0), 3));
    assert!(lines.iter().is_sorted_by_key(|line| line.received_at.0), "in the order of receipt");
    let calls = operated.deployment.proxy.take_calls();
    assert!(
        calls.iter().all(|call| call == "Query" || call == "BatchGetItem"),
        "it takes nothing off a queue: {calls:?}"
    );

    let done = operated.run(&["stats", "--json"]).await;
    let stats: Stats = done.json();
    assert!((1..=2).contains(&stats.hours.len()), "{stats:?}");
    assert_eq!((&stats.total["records"], &stats.total["decisions"]), (&json!(3), &json!({"approve": 1})));
    assert_eq!(
        (&stats.total["replies"], &stats.total["states"]),
        (&json!({"200": 3}), &json!({"forwarded": 3}))
    );
    assert!(stats.total["toQueueMillis"]["p99"].as_u64().unwrap() < 60_000, "{stats:?}");
    let text = operated.run(&["stats"]).await.out;
    assert!(
        text.starts_with("hour (UTC)") && text.contains("\ntogether") && text.contains('\u{2588}'),
        "{text}"
    );
    assert_eq!(operated.run(&["stats", "--provider", "weavr"]).await.status, Some(3));
}

#[tokio::test]
async fn a_replay_is_exactly_what_was_chosen() {
    let operated = Operated::start().await;
    let records = operated.fill(12).await;
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();

    // a dry run sends nothing
    let done = operated.run(&["replay", ids[3], ids[1], "--dry-run", "--json"]).await;
    let dry: Replayed = done.json();
    assert_eq!((done.status, dry.dry_run, dry.chosen, dry.sent), (Some(0), true, 2, 0));
    assert!(operated.envelopes("umaaas", 0).await.is_empty());

    // twice replayed is twice delivered, under one id
    let mut deliveries = BTreeSet::new();
    for _ in 0..2 {
        let done = operated.run(&["replay", ids[3], ids[1], "--json"]).await;
        let replayed: Replayed = done.json();
        assert_eq!((done.status, replayed.chosen, replayed.sent, replayed.unsent.len()), (Some(0), 2, 2, 0));
        assert!(!replayed.stopped && replayed.after.is_none() && replayed.statuses.is_empty());
        let messages = operated.envelopes("umaaas", 2).await;
        assert_eq!(
            messages.iter().map(|message| message["id"].as_str().unwrap()).collect::<Vec<_>>(),
            [ids[1], ids[3]]
        );
        for message in &messages {
            assert_eq!(message["replayof"], "the first");
            assert!(message["deliveryid"].as_str().unwrap().contains(&replayed.run), "{message}");
            deliveries.insert(message["deliveryid"].to_string());
        }
    }
    assert_eq!(deliveries.len(), 4, "each has a delivery id of its own");

    // a run that goes on sends nothing twice
    let go_on = ["replay", ids[5], "--run", "run-1"];
    assert_eq!(operated.run(&go_on).await.status, Some(0));
    assert_eq!(operated.run(&go_on).await.status, Some(0));
    let messages = operated.deployment.messages("umaaas", 1).await;
    assert_eq!(messages.len(), 1, "the queue remembers the run");
    assert_eq!(provider_bytes(&messages[0]), records[5].payload);

    // by subject, by time and kind
    let subject = records[7].subject.as_deref().unwrap();
    assert_eq!(operated.run(&["replay", "--subject", subject]).await.status, Some(0));
    let [message] = &operated.envelopes("umaaas", 1).await[..] else { panic!("one message") };
    assert_eq!(message["id"], ids[7]);
    let (since, until) = (records[4].received_at.to_string(), records[9].received_at.to_string());
    let period =
        ["replay", "--since", &since, "--until", &until, "--kind", "umaaas.*", "--state", "forwarded"];
    assert_eq!(operated.run(&period).await.status, Some(0));
    let messages = operated.envelopes("umaaas", 5).await;
    assert_eq!(
        messages.iter().map(|message| message["id"].as_str().unwrap()).collect::<BTreeSet<_>>(),
        ids[4..9].iter().copied().collect()
    );
    assert_eq!(operated.run(&["replay", "--since", "1h", "--kind", "weavr.*"]).await.status, Some(3));
    assert_eq!(operated.run(&["replay"]).await.status, Some(1), "nothing is chosen");
    assert_eq!(operated.run(&["replay", "nobody"]).await.status, Some(1));

    // what cannot be sent is named, and the rest is sent
    let stack = &operated.deployment.aws.stack;
    let gone = stack.dynamodb.update_item().table_name(&stack.table);
    let gone = gone.key("pk", AttributeValue::S(records[0].key.clone())).update_expression("REMOVE payload");
    gone.send().await.unwrap();
    let done = operated.run(&["replay", ids[0], ids[2]]).await;
    assert_eq!(done.status, Some(5));
    assert!(done.err.contains(&format!("not sent: {}: its body is gone", records[0].key)), "{}", done.err);
    assert_eq!(operated.envelopes("umaaas", 1).await.len(), 1);
    to_an_address(&operated, &records[2]).await;
}

/// To an address the webhook itself goes, as the provider would send it now.
async fn to_an_address(operated: &Operated, record: &Record) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while !seen.ends_with(b"}") {
            let count = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8(seen).unwrap()
    });
    let done = operated.run(&["replay", &record.id, "--to", &url, "--json"]).await;
    let replayed: Replayed = done.json();
    assert_eq!((done.status, replayed.sent, replayed.statuses), (Some(0), 1, BTreeMap::from([(200, 1)])));
    let request = server.join().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /umaaas/test-webhook HTTP/1.1\r\n"), "{head}");
    assert_eq!(body.as_bytes(), record.payload);
    let mut delivery = Delivery::new("/umaaas/test-webhook", body.to_owned());
    let signature = head.lines().find_map(|line| line.strip_prefix("x-umaaas-signature: ")).unwrap();
    delivery.headers.insert("x-umaaas-signature", signature.parse().unwrap());
    let secrets = named("umaaas").signing_key().keys();
    verify::Verifier::new(umaaas::SIGNATURE).verify(delivery, &secrets).unwrap();
    assert!(operated.envelopes("umaaas", 0).await.is_empty(), "nothing goes to the queue");
    for (to, why) in [
        ("http://example.com", "only https://"),
        ("https://example.com", "WEBHOOKS_SIGNING_SECRET"),
        ("ftp://example.com", "does not begin with"),
        ("nowhere", "does not begin with"),
    ] {
        let done = operated.run(&["replay", &record.id, "--to", to]).await;
        assert!(done.status == Some(1) && done.err.contains(why), "{to}: {done:?}");
    }
}

#[tokio::test]
async fn a_large_replay_is_asked_for_twice_and_goes_on_after_an_interruption() {
    let operated = Operated::start().await;
    let records = operated.fill(101).await;
    let since = records[0].received_at.to_string();
    let done = operated.run(&["replay", "--since", &since]).await;
    assert_eq!(done.status, Some(4));
    assert!(done.err.contains("101 events") && done.err.contains("--yes"), "{}", done.err);
    assert!(operated.envelopes("umaaas", 0).await.is_empty());

    // Ctrl-C in the middle
    let mut command = operated.command(&["replay", "--since", &since, "--yes", "--rate", "20", "--json"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = running.id().unwrap().to_string();
    let first = operated.deployment.messages("umaaas", 20).await;
    let interrupt = Command::new("kill").args(["-INT", &process]).status().await.unwrap();
    assert!(interrupt.success());
    let output = tokio::time::timeout(WITHIN, running.wait_with_output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(130), "{err}");
    let replayed: Replayed = serde_json::from_str(&out).unwrap();
    assert!(replayed.stopped && replayed.sent < 101 && replayed.sent >= first.len(), "{replayed:?}");

    // what it says goes on, and nothing is sent twice or not at all
    let command = err.lines().find_map(|line| line.trim().strip_prefix("cargo webhooks ")).expect(&err);
    assert!(command.contains(&format!("--run {}", replayed.run)), "{command}");
    let words: Vec<&str> = command.split(' ').collect();
    let done = operated.run(&words).await;
    assert_eq!(done.status, Some(0), "{done:?}");
    let mut messages: Vec<Value> =
        first.iter().map(|message| serde_json::from_str(message).unwrap()).collect();
    messages.extend(operated.envelopes("umaaas", 101 - first.len()).await);
    let ids: BTreeSet<&str> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!((messages.len(), ids.len()), (101, 101));
}

#[tokio::test]
async fn a_bookmark_remembers_what_was_sent() {
    let operated = Operated::start().await;
    let last = ["replay", "--since", "LAST", "--bookmark", &operated.bookmark];
    let old = operated.fill(3).await;
    // a dry run is no run
    assert_eq!(operated.run(&[&last[..], &["--dry-run"]].concat()).await.status, Some(0));
    assert_eq!(operated.run(&last).await.status, Some(0));
    assert_eq!(operated.envelopes("umaaas", 3).await.len(), 3);
    let done = operated.run(&last).await;
    assert_eq!(done.status, Some(3), "they are read again, and not sent again: {done:?}");
    // one that arrives late, between those that were sent
    let late = operated.fill(1).await;
    assert_eq!(operated.run(&last).await.status, Some(0));
    let [message] = &operated.envelopes("umaaas", 1).await[..] else { panic!("one message") };
    assert_eq!(message["id"], late[0].id);
    let text = std::fs::read_to_string(&operated.bookmark).unwrap();
    assert!(!text.contains(&old[0].id), "no ids are left in files: {text}");
    std::fs::remove_dir_all(std::path::Path::new(&operated.bookmark).parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_persons_data_is_found_exported_and_erased() {
    let operated = Operated::start().await;
    let host = Host::start().await;
    let _function = operated.deployment.function(&host, "weavr-consumers");
    let address = format!("ada{}@example.com", unique());
    let activated = signed_event(
        "weavr",
        "/weavr/consumers/consumer_activated/watch",
        &format!(r#"{{"emailAddress":"{address}","actionDoneBy":"ADMIN"}}"#),
    );
    // so long that it is stored compressed
    let note = "x".repeat(40_000);
    let kyc = signed_event(
        "weavr",
        "/weavr/consumers/kyc/watch",
        &format!(r#"{{"consumerId":"7","consumerEmail":"{address}","status":"APPROVED","note":"{note}"}}"#),
    );
    let other =
        signed_event("weavr", "/weavr/consumers/kyc/watch", r#"{"consumerId":"8","status":"APPROVED"}"#);
    for event in [&activated, &kyc, &other] {
        assert_eq!(host.invoke(event.clone()).await.unwrap().status, 200);
        host.idle(1).await;
    }
    let messages = operated.deployment.messages("weavr", 3).await;
    assert_eq!(operated.stored_with(&[&address]).await, 2, "one of them compressed");

    let done = operated.run_with(&["person", "find", "--json"], &address).await;
    let found: PersonFound = done.json();
    assert_eq!((done.status, found.records.len(), &found.receiver), (Some(0), 2, &None));
    assert!(!done.out.contains(&address) && !done.err.contains(&address));
    assert!(done.err.contains("no receiver directory is looked at: give --directory-table"), "{}", done.err);
    let at = operated.run_with(&["person", "find", "--at", "consumerEmail", "--json"], &address).await;
    assert_eq!(at.json::<PersonFound>().records, found.records[1..]);
    let at = operated.run_with(&["person", "find", "--at", "status"], &address).await;
    assert_eq!(at.status, Some(3), "the value is in another field");
    assert_eq!(operated.run_with(&["person", "find", "--at", "a..b"], &address).await.status, Some(1));
    let done = operated.run_with(&["person", "export"], &format!("{address}\n")).await;
    for (line, record) in done.out.lines().zip(&found.records) {
        let exported: ExportedRecord = serde_json::from_str(line).unwrap();
        assert_eq!(&exported.record, record);
        assert!(messages.contains(&exported.message.get().to_owned()), "as it was sent: {line}");
    }
    assert_eq!(done.out.lines().count(), 2);
    let done = operated.run_with(&["person", "erase"], &address).await;
    assert!(done.status == Some(4) && done.err.contains("2 of 2 records would be erased"), "{done:?}");
    let done = operated.run_with(&["person", "erase", "--yes", "--max", "1"], &address).await;
    assert!(done.status == Some(4) && done.err.contains("give --max"), "{done:?}");
    assert_eq!(operated.stored_with(&[&address]).await, 2, "nothing is erased");

    // one that is pending stays as it is
    let left = operated.hold_pending(&found.records[0].key).await;
    let done = operated.run_with(&["person", "erase", "--yes", "--json"], &address).await;
    let report: Erased = done.json();
    assert!(done.status == Some(5) && done.err.contains("is pending"), "{done:?}");
    assert_eq!((report.done, report.found, report.erased, report.refused.pending), (true, 2, 1, 1));
    assert_eq!(report.keys, [found.records[1].key.as_str()]);
    left.settle().await;
    let done = operated.run_with(&["person", "erase", "--yes"], &address).await;
    assert!(done.status == Some(0) && done.err.contains("1 of 1 records is erased"), "{done:?}");
    for command in ["find", "export", "erase"] {
        assert_eq!(operated.run_with(&["person", command], &address).await.status, Some(3), "{command}");
    }

    // nothing personal is left in the table, and a redelivery is still one
    assert_eq!(operated.stored_with(&[&address, &sha256_hex(address.as_bytes())]).await, 0);
    let before = operated.deployment.records("").await;
    for event in [activated, kyc] {
        assert_eq!(host.invoke(event).await.unwrap().status, 200);
        host.idle(1).await;
    }
    assert!(operated.envelopes("weavr", 0).await.is_empty(), "recorded once");
    assert_eq!(operated.deployment.records("").await, before, "nothing is stored again");
    let done = operated.run(&["records", "show", &found.records[0].key]).await;
    assert!(done.out.contains("  erased  ") && done.out.contains("the body is gone"), "{}", done.out);
    assert_eq!(operated.run(&["replay", &found.records[0].key]).await.status, Some(5));
    assert_eq!(operated.run_with(&["person", "find"], " ").await.status, Some(1));
}

/// The law demands to keep decisions about payments, and the receiver directory has what no record has.
#[tokio::test]
async fn a_decided_payment_is_erased_for_a_reason_only() {
    let operated = Operated::start().await;
    let host = Host::start().await;
    let _function = operated.deployment.function(&host, "umaaas");
    let stack = &operated.deployment.aws.stack;
    let directory = format!("receivers-{}", unique());
    stack::create_directory(&stack.dynamodb, &directory).await.unwrap();
    let user = format!("user-{}", unique());
    for (user, name) in [(&user, "Grace Receiver"), (&"somebody else".to_owned(), "Alan Other")] {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = stack.dynamodb.put_item().table_name(&directory).item("platformUserId", text(user));
        put.item("FULL_NAME", text(name)).send().await.unwrap();
    }
    let payment = |status: &str| {
        let body = json!({
            "webhookId": format!("Webhook:{}", unique()), "type": "INCOMING_PAYMENT", "timestamp": "2026-11-02T09:25:10Z",
            "transaction": {"id": format!("Transaction:{}", unique()), "type": "INCOMING", "status": status,
                "platformUserId": user, "counterpartyInformation": {"fullName": "Ada Sender"}},
        });
        umaaas_event("/umaaas", &body.to_string())
    };
    let (decided, completed) = (payment("PENDING"), payment("COMPLETED"));
    for event in [&decided, &completed] {
        host.invoke(event.clone()).await.unwrap();
        host.idle(1).await;
    }
    assert_eq!(operated.deployment.messages("umaaas", 2).await.len(), 2);
    let personal = ["Ada Sender", user.as_str()];
    assert_eq!(operated.stored_with(&personal).await, 2);

    let with = |words: &[&'static str]| {
        let words = [&["person"], words].concat();
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.extend(["--directory-table".to_owned(), directory.clone()]);
        words
    };
    let run = async |words: &[&'static str], input: &str| {
        let words = with(words);
        operated.run_with(&words.iter().map(String::as_str).collect::<Vec<_>>(), input).await
    };
    let found: PersonFound = run(&["find", "--json"], &user).await.json();
    let receiver = found.receiver.unwrap();
    assert_eq!((found.records.len(), &receiver.table), (2, &directory));
    assert_eq!(receiver.facts, ["FULL_NAME", "platformUserId"]);
    let exported = run(&["export"], &user).await.out;
    let entry: Value = serde_json::from_str(exported.lines().last().unwrap()).unwrap();
    assert_eq!(entry, json!({"receiver": {"FULL_NAME": "Grace Receiver", "platformUserId": user}}));

    // without a reason the decision stays
    let done = run(&["erase", "--yes", "--json"], &user).await;
    let report: Erased = done.json();
    assert_eq!((done.status, report.erased, report.overridden), (Some(5), 1, 0));
    assert_eq!((report.refused.retained, report.refused.held, report.receiver), (1, 0, true));
    assert_eq!(report.reason, None);
    assert!(done.err.contains("--decided-retention"), "{}", done.err);
    assert_eq!(operated.stored_with(&personal).await, 1);
    let entries = stack.dynamodb.scan().table_name(&directory).send().await.unwrap().items.unwrap();
    assert_eq!(entries.len(), 1, "the other one stays");
    for (reason, why) in [(" ", "needs a reason"), (user.as_str(), "must not name the person")] {
        let done = operated.run_with(&["person", "erase", "--yes", "--override", reason], &user).await;
        assert!(done.status == Some(1) && done.err.contains(why), "{done:?}");
    }
    assert_eq!(run(&["erase", "--yes", "--override"], &user).await.status, Some(2), "a reason is text");
    let days = operated.run_with(&["person", "erase", "--decided-retention", "0", "--json"], &user).await;
    let report: Erased = days.json();
    assert_eq!((days.status, report.done, report.erased), (Some(4), false, 1), "a time that is over");

    // with one it is erased, and the reason stays
    let restored = operated.deployment.records("").await;
    let reason = "a test, no customer";
    let done = operated.run_with(&["person", "erase", "--yes", "--json", "--override", reason], &user).await;
    let report: Erased = done.json();
    assert_eq!((done.status, report.erased, report.overridden), (Some(0), 1, 1));
    assert_eq!((report.reason.as_deref(), report.gone, report.unreadable), (Some(reason), 0, 0));
    assert!(done.err.contains(reason), "{}", done.err);
    assert_eq!(operated.stored_with(&personal).await, 0);
    let shown = operated.run(&["records", "show", &report.keys[0]]).await;
    assert!(shown.out.contains(&format!("was erased because: {reason}")), "{}", shown.out);

    // after a restore the data is there again: the report names the records, and no value is needed
    let erased = operated.deployment.records("").await;
    let key = AttributeValue::S(report.keys[0].clone());
    let item = restored[&report.keys[0]].clone();
    stack.dynamodb.put_item().table_name(&stack.table).set_item(Some(item)).send().await.unwrap();
    assert_eq!(operated.stored_with(&personal).await, 1);
    let file = local_stack::scratch().join(format!("erased-{}.json", unique()));
    std::fs::write(&file, &done.out).unwrap();
    let again = ["person", "erase", "--json", "--again", file.to_str().unwrap()];
    assert_eq!(operated.run(&again).await.status, Some(4), "--yes");
    let done = operated.run(&[&again[..], &["--yes"]].concat()).await;
    let repeated: Erased = done.json();
    assert_eq!((done.status, repeated.overridden, &repeated.keys), (Some(0), 1, &report.keys), "{done:?}");
    assert_eq!(repeated.reason, report.reason);
    assert_eq!(operated.stored_with(&personal).await, 0);
    assert_eq!(operated.run(&[&again[..], &["--yes"]].concat()).await.status, Some(3), "all are erased");
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(operated.run(&again).await.status, Some(1));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(operated.deployment.records("").await.len(), erased.len());
    let item = stack.dynamodb.get_item().table_name(&stack.table).key("pk", key).send().await.unwrap().item;
    assert_eq!(item.unwrap()["erased_reason"], AttributeValue::S(reason.into()));

    // both are still known: the decision is repeated, and nothing is stored again
    let before = operated.deployment.records("").await;
    for event in [decided, completed] {
        assert_eq!(host.invoke(event).await.unwrap().status, 409);
        host.idle(1).await;
    }
    assert_eq!(operated.deployment.records("").await, before);
    assert!(operated.envelopes("umaaas", 0).await.is_empty());
}

/// An empty table, a missing permission, a wrong profile, region or table: each ends with its status and says what to
/// look at.
#[tokio::test]
async fn what_goes_wrong_is_said_plainly() {
    let operated = Operated::start().await;
    let reading: [&[&str]; 8] = [
        &["records", "list"],
        &["records", "show", "Webhook:1"],
        &["records", "search", "--subject", "Transaction:1"],
        &["records", "search", "--id", "Webhook:1"],
        &["replay", "--since", "1h"],
        &["conflicts", "list"],
        &["person", "find"],
        &["stats"],
    ];
    for command in reading {
        let done = operated.run_with(command, "ada@example.com").await;
        assert_eq!(done.status, Some(3), "nothing is there: {command:?}: {done:?}");
    }
    // not a single word on standard output but JSON, for scripts
    let empty: Listing = operated.run(&["records", "list", "--json"]).await.json();
    assert_eq!((empty.records.len(), empty.next), (0, None));

    let refuse = ["GetItem", "BatchGetItem", "Query", "Scan"].map(|operation| Rule {
        operation,
        fault: Fault::Refuse { error: "AccessDeniedException", holding: "" },
        times: None,
    });
    operated.deployment.proxy.set(refuse);
    for command in reading {
        let done = operated.run_with(command, "ada@example.com").await;
        assert_eq!(done.status, Some(1), "{command:?}: {done:?}");
        assert!(
            done.err.contains("a permission is missing") && done.err.contains("AccessDeniedException"),
            "{command:?}: {}",
            done.err
        );
        assert_eq!(done.out, "", "{command:?}");
    }
    operated.deployment.proxy.set([]);

    let refused = |operation| Rule {
        operation,
        fault: Fault::Refuse { error: "AccessDenied", holding: "" },
        times: None,
    };
    operated.deployment.proxy.set([refused("ReceiveMessage")]);
    let done = operated.run(&["dlq", "peek", "--provider", "umaaas"]).await;
    assert!(done.status == Some(1) && done.err.contains("a permission is missing"), "{done:?}");
    operated.deployment.proxy.set([]);

    // in the middle of a replay: it says where it stood, and goes on when the permission is there
    let records = operated.fill(30).await;
    let passes = Rule { operation: "SendMessageBatch", fault: Fault::Delay(Duration::ZERO), times: Some(1) };
    operated.deployment.proxy.set([passes, refused("SendMessageBatch"), refused("SendMessage")]);
    let since = records[0].received_at.to_string();
    let done = operated.run(&["replay", "--since", &since]).await;
    assert!(
        done.status == Some(5) && done.err.contains("AccessDenied") && done.err.contains("10 of 30 are sent"),
        "{done:?}"
    );
    operated.deployment.proxy.set([]);
    let go_on = done.err.lines().find_map(|line| line.trim().strip_prefix("cargo webhooks ")).unwrap();
    assert_eq!(operated.run(&go_on.split(' ').collect::<Vec<_>>()).await.status, Some(0));
    let messages = operated.envelopes("umaaas", 30).await;
    let ids: BTreeSet<&str> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
    assert_eq!((messages.len(), ids.len()), (30, 30));

    let failing = async |what: &str, expected: &str, set: &dyn Fn(&mut Command)| {
        let mut command = operated.command(&["records", "list"]);
        let nothing = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
        command.envs(nothing.map(|name| (name, "/dev/null"))).env("AWS_EC2_METADATA_DISABLED", "true");
        set(&mut command);
        let output = tokio::time::timeout(WITHIN, command.output()).await.expect("it ends").unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && err.contains(expected), "{what}: {err}");
    };
    failing("a wrong profile", "no usable credentials: look at the profile", &|command| {
        command.args(["--profile", "nobody"]);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    })
    .await;
    failing("a wrong table", "there is no such table or index", &|command| {
        let mut other = Command::new(binaries().join("webhooks"));
        other.args(["--table", "nowhere", "--region", stack::REGION, "records", "list"]);
        other.env("AWS_ENDPOINT_URL", &operated.deployment.proxy.endpoint);
        other.env("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY);
        *command = other;
    })
    .await;
    failing("no region", "no region", &|command| {
        let mut other = Command::new(binaries().join("webhooks"));
        other.args(["--table", "nowhere", "records", "list"]).env("AWS_EC2_METADATA_DISABLED", "true");
        other.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").env("AWS_CONFIG_FILE", "/dev/null");
        other.env("AWS_ACCESS_KEY_ID", stack::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", stack::ACCESS_KEY);
        *command = other;
    })
    .await;
    failing("nobody answers", "Connection refused", &|command| {
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    })
    .await;
}

/// A table was restored to an earlier time beside this one: what is missing here is copied, and what is here stays.
#[tokio::test]
async fn what_is_missing_is_copied_from_a_restored_table() {
    let operated = Operated::start().await;
    let scheduled = Host::start().await;
    let _reconciler = operated.deployment.function(&scheduled, "reconciler");
    let stack = &operated.deployment.aws.stack;
    // more than one call reads
    let mut records = Vec::new();
    for _ in 0..4 {
        records.extend(operated.fill(60).await);
    }
    // one of them was not forwarded yet at the time of the restore
    let pending = event(Timestamp::now() - SignedDuration::from_mins(5));
    let config = stack::config(&stack.endpoint);
    let store = DynamoStore::new(&config, stack.table.clone(), SignedDuration::from_hours(24), true);
    store.record(&pending, WITHIN).await.unwrap();
    let restored = format!("{}-restored", stack.table);
    stack::create_table(&stack.dynamodb, &restored).await.unwrap();
    for (key, item) in operated.deployment.records("").await {
        let put = stack.dynamodb.put_item().table_name(&restored).set_item(Some(item));
        put.send().await.unwrap();
        // all but ten are lost, one has changed since
        if !records[..10].iter().any(|record| record.key == key) {
            let delete = stack.dynamodb.delete_item().table_name(&stack.table);
            delete.key("pk", AttributeValue::S(key)).send().await.unwrap();
        }
    }
    let erased = &records[3];
    let done = operated.run_with(&["person", "erase", "--yes"], &erased.id).await;
    assert_eq!(done.status, Some(0), "{done:?}");
    let kept = operated.deployment.records("").await;
    assert_eq!(kept.len(), 10);

    let copy = ["records", "copy", "--from", &restored];
    let done = operated.run(&copy).await;
    assert!(done.status == Some(4) && done.err.contains("241 read, 231 missing here, 0 copied"), "{done:?}");
    assert_eq!(operated.deployment.records("").await, kept, "it counts only");
    let done = operated.run(&[&copy[..], &["--yes", "--json"]].concat()).await;
    let copied: Value = done.json();
    assert_eq!((done.status, copied), (Some(0), json!({"read": 241, "missing": 231, "copied": 231})));
    let now = operated.deployment.records("").await;
    assert_eq!(now.len(), 241);
    for (key, item) in kept {
        assert_eq!(now[&key], item, "what is here stays, an erasure too");
    }
    assert_eq!(operated.run(&copy).await.status, Some(3), "nothing is missing any more");

    // what was pending then is forwarded again, under its id
    assert_eq!(scheduled.invoke_raw(json!({})).await.unwrap()["forwarded"], 1);
    let [message] = &operated.envelopes("umaaas", 1).await[..] else { panic!("one message") };
    assert_eq!(message["id"], pending.id);
    let itself = operated.run(&["records", "copy", "--from", &stack.table]).await;
    assert!(itself.status == Some(1) && itself.err.contains("the table itself"), "{itself:?}");
}

/// A record whose state somebody has changed.
struct Changed<'a> {
    operated: &'a Operated,
    key: String,
}

impl Changed<'_> {
    async fn set(&self, state: &str) {
        let stack = &self.operated.deployment.aws.stack;
        let update = stack.dynamodb.update_item().table_name(&stack.table);
        let update =
            update.key("pk", AttributeValue::S(self.key.clone())).update_expression("SET #state = :state");
        let update = update.expression_attribute_names("#state", "state");
        update.expression_attribute_values(":state", AttributeValue::S(state.into())).send().await.unwrap();
    }

    async fn settle(self) {
        self.set("forwarded").await;
    }
}

impl Operated {
    /// Makes a forwarded record pending, as if the queue did not have it.
    async fn hold_pending(&self, key: &str) -> Changed<'_> {
        let changed = Changed { operated: self, key: key.to_owned() };
        changed.set("pending").await;
        changed
    }
}

#[tokio::test]
async fn held_conflicts_are_released_or_discarded() {
    let operated = Operated::start().await;
    let (corporates, others, scheduled) = (Host::start().await, Host::start().await, Host::start().await);
    let _corporates = operated.deployment.function(&corporates, "weavr-corporates");
    let _others = operated.deployment.function(&others, "weavr-other");
    let _reconciler = operated.deployment.function(&scheduled, "reconciler");
    assert_eq!(operated.run(&["conflicts", "list"]).await.status, Some(3));
    for n in 0..2 {
        let body = format!(r#"{{"emailAddress":"ada{}@example.com","actionDoneBy":"ADMIN"}}"#, unique());
        let genuine = signed_event("weavr", "/weavr/corporates/corporate_deactivated/watch", &body);
        let mut elsewhere = genuine.clone();
        let path = format!("/weavr/elsewhere/{n}");
        elsewhere["rawPath"] = json!(path);
        elsewhere["requestContext"]["http"]["path"] = json!(path);
        assert_eq!(corporates.invoke(genuine).await.unwrap().status, 200);
        corporates.idle(1).await;
        assert_eq!(others.invoke(elsewhere).await.unwrap().status, 200);
        others.idle(1).await;
    }
    assert_eq!(operated.envelopes("weavr", 2).await.len(), 2);

    let done = operated.run(&["conflicts", "list", "--json"]).await;
    let held: Found = done.json();
    assert_eq!((done.status, held.records.len()), (Some(0), 2));
    let [first, second] = &held.records[..] else { panic!("two") };
    assert_eq!(
        (first.state.as_deref(), first.path.as_deref()),
        (Some("conflict"), Some("/weavr/elsewhere/0"))
    );
    assert!(first.id.starts_with(&format!("{}#", first.conflict_of.as_deref().unwrap())));
    // both sides, and nobody's address
    let done = operated.run(&["conflicts", "show", &first.id, "--json"]).await;
    let shown: Vec<Shown> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        shown.iter().map(|one| one.record.state.as_deref()).collect::<Vec<_>>(),
        [Some("conflict"), Some("forwarded")]
    );
    assert!(!done.out.contains("@example.com"));
    // a held one is not replayed
    assert_eq!(operated.run(&["replay", &first.key]).await.status, Some(1));

    assert_eq!(operated.run(&["conflicts", "release", &first.key]).await.status, Some(0));
    let done = operated.run(&["conflicts", "discard", &second.id]).await;
    assert!(done.status == Some(4) && done.err.contains("--yes"), "{done:?}");
    assert_eq!(operated.run(&["conflicts", "discard", &second.id, "--yes"]).await.status, Some(0));
    scheduled.invoke_raw(json!({})).await.unwrap();
    let [message] = &operated.envelopes("weavr", 1).await[..] else { panic!("one message") };
    assert_eq!(message["id"], first.id);
    for key in [&first.key, &second.key] {
        assert_eq!(operated.run(&["conflicts", "release", key]).await.status, Some(3));
        assert_eq!(operated.run(&["conflicts", "discard", key, "--yes"]).await.status, Some(3));
    }
    assert_eq!(operated.run(&["conflicts", "list"]).await.status, Some(3));
}

#[tokio::test]
async fn dead_letters_are_looked_at_and_moved_back() {
    let operated = Operated::start().await;
    let stack = &operated.deployment.aws.stack;
    let queue = stack.queue(named("umaaas"));
    let record = event(Timestamp::now());
    for n in 0..3 {
        let body =
            ingest::Message::new(&Record { id: format!("{}-{n}", record.id), ..record.clone() }, true).body;
        let message = stack.sqs.send_message().queue_url(&queue.dead_letters_url).message_body(body);
        let message = message.message_group_id(format!("{n}")).message_deduplication_id(unique());
        message.send().await.unwrap();
    }
    for _ in 0..2 {
        let done = operated.run(&["dlq", "peek", "--provider", "umaaas", "--json"]).await;
        let peeked: Value = done.json();
        let messages = peeked["messages"].as_array().unwrap();
        let ids: BTreeSet<&str> = messages.iter().map(|message| message["id"].as_str().unwrap()).collect();
        assert_eq!((messages.len(), ids.len()), (3, 3), "they stay where they are");
        assert_eq!(messages[0]["data"]["name"], "***", "{messages:?}");
    }
    let done = operated.run(&["dlq", "peek", "--provider", "umaaas", "--max", "1", "--reveal"]).await;
    assert!(done.out.starts_with("sent ") && done.out.contains(r#""name": "Ada""#), "{}", done.out);

    let done = operated.run(&["dlq", "redrive", "--provider", "umaaas", "--max", "1"]).await;
    assert_eq!((done.status, done.err.lines().last()), (Some(0), Some("1 moved")));
    assert_eq!(operated.run(&["dlq", "redrive", "--provider", "umaaas"]).await.status, Some(0));
    assert_eq!(operated.envelopes("umaaas", 3).await.len(), 3);
    assert_eq!(operated.run(&["dlq", "redrive", "--provider", "umaaas"]).await.status, Some(3));
    assert_eq!(operated.run(&["dlq", "peek", "--provider", "umaaas"]).await.status, Some(3));
}

/// An event of its own, in the past.
fn event(received_at: Timestamp) -> Record {
    let id = format!("Webhook:{}", unique());
    let (key, subject) = (format!("umaaas#TEST#{id}"), Some(format!("Subject:{id}")));
    let payload = format!(r#"{{"webhookId": "{id}", "type": "TEST", "name": "Ada"}}"#);
    Record {
        kind: "umaaas.test".into(),
        source: "/umaaas/test-webhook".into(),
        id,
        subject,
        path: "/umaaas/test-webhook".into(),
        delivery_id: "the first".into(),
        ..memory::record(&key, payload, received_at)
    }
}

/// Output without what differs from run to run: ids become ID0 and so on, times TIME, and two spaces part columns.
fn stable(text: &str, ids: &[&str]) -> String {
    let numbered = ids.iter().enumerate();
    let text = numbered.fold(text.to_owned(), |text, (n, id)| text.replace(id, &format!("ID{n}")));
    let is_time = |cell: &str| cell.ends_with('Z') && cell.parse::<Timestamp>().is_ok();
    let cells = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(|cell| if is_time(cell) { "TIME" } else { cell }).collect::<Vec<_>>().join("  ")
    };
    text.lines().map(|line| cells(line) + "\n").collect()
}
