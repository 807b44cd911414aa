//! Ministack starts on a free port, serves the stack's table and queues, and leaves no processes or open
//! ports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use local_stack::ministack::Ministack;
use local_stack::port;
use local_stack::senders::SENDERS;
use local_stack::stack::Stack;
use local_stack::tools::Tools;

#[tokio::test]
async fn a_stack_works_and_leaves_no_process() {
    let ministack = start().await;
    let (id, endpoint) = (ministack.id(), ministack.endpoint());
    assert_only_loopback(&endpoint);

    let stack = Stack::create(&endpoint, "").await.unwrap();
    Stack::create(&endpoint, "").await.expect("creating it again changes nothing");
    let other = Stack::create(&endpoint, "-other").await.unwrap();
    assert_ne!(stack.table, other.table);

    table_is_as_designed(&stack).await;
    for provider in SENDERS {
        messages_go_through(&stack, provider.name, stack.queue(provider)).await;
        let nothing = other.queue(provider).receive(1, Duration::from_millis(200)).await.unwrap();
        assert!(nothing.is_empty(), "the other stack has its own queue");
    }

    ministack.stop();
    assert_gone(id, &endpoint);
}

#[tokio::test]
async fn a_panic_leaves_no_process() {
    let ministack = start().await;
    let (id, endpoint) = (ministack.id(), ministack.endpoint());
    let unwound = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _ministack = ministack;
        panic!("as a failing test does");
    }));
    assert!(unwound.is_err());
    assert_gone(id, &endpoint);
    let port = endpoint.rsplit(':').next().unwrap();
    std::fs::remove_dir_all(local_stack::scratch().join(format!("ministack-{port}")))
        .expect("its log is kept");
}

#[tokio::test]
async fn a_taken_port_is_an_error_with_the_log() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let tools = Tools::install().await.unwrap();
    let error = format!("{:#}", Ministack::start(&tools, port).await.unwrap_err());
    assert!(error.contains("already in use"), "{error}");
    std::fs::remove_dir_all(local_stack::scratch().join(format!("ministack-{port}"))).unwrap();
}

async fn start() -> Ministack {
    let tools = Tools::install().await.unwrap();
    Ministack::start(&tools, 0).await.unwrap()
}

async fn table_is_as_designed(stack: &Stack) {
    let table = stack.dynamodb.describe_table().table_name(&stack.table).send().await.unwrap();
    let table = table.table.unwrap();
    let keys: Vec<_> = table.key_schema().iter().map(|key| key.attribute_name()).collect();
    assert_eq!(keys, ["pk"]);
    let indexes = table.global_secondary_indexes().iter().map(|index| {
        let keys: Vec<_> = index.key_schema().iter().map(|key| key.attribute_name()).collect();
        let others = index.projection().map(|projection| projection.non_key_attributes()).unwrap_or_default();
        format!("{}: {} with {}", index.index_name().unwrap(), keys.join(", "), others.join(", "))
    });
    let mut indexes: Vec<String> = indexes.collect();
    indexes.sort();
    let expected = [
        "by_subject: subject, received_at with kind, id, reply, decision",
        "by_time: time_shard, received_at with kind, id, reply, decision, subject",
        "pending: pending_shard, due_at with ",
    ];
    assert_eq!(indexes, expected);

    let expiry = stack.dynamodb.describe_time_to_live().table_name(&stack.table).send().await.unwrap();
    let expiry = expiry.time_to_live_description.unwrap();
    assert_eq!(expiry.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    assert_eq!(expiry.attribute_name.as_deref(), Some("expires_at"));

    let put = || {
        stack
            .dynamodb
            .put_item()
            .table_name(&stack.table)
            .item("pk", AttributeValue::S("one".to_owned()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
    };
    put().await.expect("the first write");
    assert!(put().await.unwrap_err().into_service_error().is_conditional_check_failed_exception());
}

async fn messages_go_through(stack: &Stack, name: &str, queue: &local_stack::stack::Queue) {
    assert!(queue.url.ends_with(&format!("/{name}.fifo")), "{}", queue.url);
    assert!(queue.dead_letters_url.ends_with(&format!("/{name}-dead-letters.fifo")));
    let attributes = stack.sqs.get_queue_attributes().queue_url(&queue.url).attribute_names("All".into());
    let attributes = attributes.send().await.unwrap().attributes.unwrap();
    assert!(attributes[&QueueAttributeName::RedrivePolicy].contains(&format!("{name}-dead-letters.fifo")));

    let bodies: Vec<String> = (0..12).map(|number| format!("€ {number}")).collect();
    for (number, body) in bodies.iter().enumerate() {
        let message = stack.sqs.send_message().queue_url(&queue.url).message_body(body);
        let message =
            message.message_group_id(format!("group {}", number % 2)).message_deduplication_id(body);
        message.send().await.unwrap();
    }
    let received = queue.receive(bodies.len(), Duration::from_secs(20)).await.unwrap();
    let mut received: Vec<String> = received.into_iter().filter_map(|message| message.body).collect();
    received.sort_unstable();
    let mut bodies = bodies;
    bodies.sort_unstable();
    assert_eq!(received, bodies);
    assert!(queue.receive(1, Duration::from_secs(1)).await.unwrap().is_empty(), "they are deleted");
}

/// Asserts that only this machine can reach the port: all its listeners are on 127.0.0.1.
fn assert_only_loopback(endpoint: &str) {
    let Ok(sockets) = Command::new("ss").args(["-Hltn"]).output() else { return };
    let port = endpoint.rsplit(':').next().unwrap();
    let sockets = String::from_utf8_lossy(&sockets.stdout).into_owned();
    for line in sockets.lines().filter(|line| line.contains(&format!(":{port} "))) {
        assert!(line.contains(&format!("127.0.0.1:{port} ")), "{line}");
    }
}

fn assert_gone(leader: u32, endpoint: &str) {
    let groups = Command::new("ps").args(["-A", "-o", "pgid="]).output().unwrap().stdout;
    let groups = String::from_utf8_lossy(&groups).into_owned();
    assert!(!groups.lines().any(|group| group.trim() == leader.to_string()), "processes are left");
    assert!(!port::answers(endpoint.rsplit(':').next().unwrap().parse().unwrap()), "the port is still open");
}
