//! Runs the consumers that `events/README.md` shows. Each handles every event once, with the provider's exact
//! bytes, in every form of the message and when a message is delivered several times.

#[path = "../../consumers/consumer.rs"]
mod consumer;

use std::collections::{BTreeMap, HashSet};
use std::process::Command;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use base64::prelude::{BASE64_STANDARD, Engine};
use ingest::{Message, Record, memory};
use jiff::Timestamp;
use local_stack::stack::{ACCESS_KEY, REGION, Stack};
use local_stack::tools::Tools;
use serde_json::Value;
use tests::{LocalAws, unique, valid_envelope};

/// The id of the event that both consumers fail to handle at first.
const FAILS_ONCE: &str = "fails-once";

/// The handled events: their bodies, by type and id.
type Handled = BTreeMap<(String, String), Vec<Vec<u8>>>;

#[test]
fn the_readme_shows_them() {
    let readme = std::fs::read_to_string(local_stack::root().join("events/README.md")).unwrap();
    for (language, consumer) in [
        ("rust", include_str!("../../consumers/consumer.rs")),
        ("python", include_str!("../../consumers/consumer.py")),
    ] {
        assert!(readme.contains(&format!("```{language}\n{consumer}```\n")), "tests/consumers: {language}");
    }
}

#[tokio::test]
async fn each_event_once_with_its_exact_bytes() {
    let aws = LocalAws::start().await;
    let stack = &aws.stack;
    let expected: Handled =
        events().into_iter().map(|(kind, id, body)| ((kind.into(), id.into()), vec![body.into()])).collect();

    let queue = filled_queue(stack).await;
    let mut seen = HashSet::new();
    let (mut handled, mut failed) = (Handled::new(), false);
    while remaining(stack, &queue).await > 0 {
        let consumed =
            consumer::consume(&stack.sqs, &queue, &mut seen, async |event: &Value, body: &[u8]| {
                if event["id"] == FAILS_ONCE && !std::mem::replace(&mut failed, true) {
                    anyhow::bail!("not now");
                }
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                handled.entry((text("type"), text("id"))).or_default().push(body.to_owned());
                Ok(())
            });
        if let Err(error) = consumed.await {
            assert_eq!(error.to_string(), "not now");
        }
    }
    assert!(failed);
    assert!(handled == expected, "Rust: {:?}", handled.keys());

    let queue = filled_queue(stack).await;
    let handled = python(stack, &queue).await;
    assert!(handled == expected, "Python: {:?}", handled.keys());
    assert_eq!(remaining(stack, &queue).await, 0);
}

/// Type, id and body of the events. Two of them have the same id and different types, as UMAaaS sends them.
fn events() -> [(&'static str, &'static str, String); 6] {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    [
        (
            "umaaas.test",
            "plain",
            "{ \"n\" : 1.0,\n\"\\u20ac\":\"€ }\", \"a\" : {\"x\":1,\"data\":2}}\n".into(),
        ),
        ("umaaas.bulk_upload", "plain", "{}".into()),
        ("umaaas.test", "base64", "{\"a\":\"\u{fffe}\"}".into()),
        ("umaaas.test", FAILS_ONCE, "{\"b\":2}".into()),
        ("umaaas.test", "gzip", format!("{{\"a\":\"{}\"}}", "large ".repeat(400_000))),
        ("umaaas.test", "deep", deep),
    ]
}

/// A queue with the message of every event, and with some messages twice.
async fn filled_queue(stack: &Stack) -> String {
    // a standard queue, because a FIFO queue would drop duplicates
    let create = stack.sqs.create_queue().queue_name(unique());
    let queue = create.attributes(QueueAttributeName::VisibilityTimeout, "2").send().await.unwrap();
    let url = queue.queue_url.unwrap();
    let (mut plain, mut base64, mut gzip) = (0, 0, 0);
    for (n, (kind, id, body)) in events().into_iter().enumerate() {
        let message = Message::new(&record(kind, id, body), true).body;
        valid_envelope(&message).unwrap();
        match (message.contains(r#","data":"#), message.contains(r#","dataencoding":"gzip","#)) {
            (true, _) => plain += 1,
            (false, false) => base64 += 1,
            (false, true) => gzip += 1,
        }
        for _ in 0..=n % 3 {
            stack.sqs.send_message().queue_url(&url).message_body(&message).send().await.unwrap();
        }
    }
    assert_eq!((plain, base64, gzip), (4, 1, 1));
    url
}

fn record(kind: &str, id: &str, body: String) -> Record {
    Record {
        kind: kind.into(),
        id: id.into(),
        source: "/umaaas".into(),
        subject: Some("x,\"data\":y".into()),
        path: "/umaaas".into(),
        ..memory::record(&format!("{kind}#{id}"), body, Timestamp::UNIX_EPOCH)
    }
}

/// The number of messages that have not been deleted.
async fn remaining(stack: &Stack, queue: &str) -> u32 {
    let counts = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let attributes =
        stack.sqs.get_queue_attributes().queue_url(queue).set_attribute_names(Some(counts.to_vec()));
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    counts.iter().map(|count| attributes[count].parse::<u32>().unwrap()).sum()
}

/// Runs the Python consumer until the queue is empty.
async fn python(stack: &Stack, queue: &str) -> Handled {
    const RUN: &str = r#"
import base64, boto3, sqlite3, sys
import consumer

url, fails_once = sys.argv[1:]
sqs = boto3.client("sqs")
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE seen (event TEXT PRIMARY KEY)")
db.execute("CREATE TABLE handled (type TEXT, id TEXT, body BLOB)")
failed = []

def handle(db, event, body):
    db.execute("INSERT INTO handled VALUES (?, ?, ?)", [event["type"], event["id"], body])
    if event["id"] == fails_once and not failed:
        failed.append(event)
        raise RuntimeError("not now")

def remaining():
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())

while remaining():
    try:
        consumer.consume(sqs, url, db, handle)
    except RuntimeError:
        pass
assert failed
for kind, id, body in db.execute("SELECT * FROM handled"):
    print(kind, id, base64.b64encode(body).decode())
"#;
    let python = Tools::install().await.unwrap().program("python");
    let mut command = Command::new(python);
    command
        .args(["-c", RUN, queue, FAILS_ONCE])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/consumers"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_ENDPOINT_URL", &stack.endpoint)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(Duration::from_secs(120), run).await.unwrap().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut handled = Handled::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let [kind, id, body] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
        let body = BASE64_STANDARD.decode(body).unwrap();
        handled.entry((kind.to_owned(), id.to_owned())).or_default().push(body);
    }
    handled
}
