//! `cargo webhooks dlq`: what the consumer could not handle.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use clap::Subcommand;
use ingest::sha256_hex;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{MASK, Progress, masked, print, print_json, table};
use crate::target::Target;

/// How long a message is out of the queue while it is looked at or moved.
const AWAY: Duration = Duration::from_secs(60);

/// How many messages one call takes.
const MAX_BATCH: usize = 10;

#[derive(Subcommand)]
pub(crate) enum DlqCommand {
    /// Shows dead letters, and leaves them where they are
    #[command(after_help = "\
Examples:
  cargo webhooks dlq peek --provider umaaas
  cargo webhooks dlq peek --provider weavr --max 100 --json | jq -r '.messages[].id'")]
    Peek {
        /// Whose queue, as in umaaas
        #[arg(long, value_name = "NAME")]
        provider: String,
        /// How many at most
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        max: usize,
        /// Shows personal data too: the body as the provider sent it
        #[arg(long)]
        reveal: bool,
        /// Prints one JSON object: `messages`
        #[arg(long)]
        json: bool,
    },
    /// Moves dead letters back to their queue. Each leaves the dead letters only when the queue has it
    #[command(after_help = "\
Examples:
  cargo webhooks dlq redrive --provider umaaas
  cargo webhooks dlq redrive --provider umaaas --max 1    # one first, to see whether the consumer takes it")]
    Redrive {
        /// Whose queue, as in umaaas
        #[arg(long, value_name = "NAME")]
        provider: String,
        /// How many at most; all unless given
        #[arg(long, value_name = "COUNT")]
        max: Option<usize>,
    },
}

/// Runs it.
pub(crate) async fn run(target: &Target, command: DlqCommand) -> Result<Exit> {
    let sqs = Client::new(&target.config);
    match command {
        DlqCommand::Peek { provider, max, reveal, json } => {
            let dead_letters = dead_letters_of(&sqs, target.queue(&provider)?).await?;
            peek(&sqs, &dead_letters, max, reveal, json).await
        }
        DlqCommand::Redrive { provider, max } => {
            let queue = target.queue(&provider)?;
            let dead_letters = dead_letters_of(&sqs, queue).await?;
            redrive(&sqs, &dead_letters, queue, max.unwrap_or(usize::MAX)).await
        }
    }
}

/// What could not be done, and why.
fn failed<E, R>(what: impl Display + Send + Sync + 'static) -> impl FnOnce(SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| anyhow!(records::explained(error)).context(what)
}

/// The dead-letter queue of a queue, as the queue itself names it.
pub(crate) async fn dead_letters_of(sqs: &Client, queue: &str) -> Result<String> {
    let attributes =
        sqs.get_queue_attributes().queue_url(queue).attribute_names(QueueAttributeName::RedrivePolicy);
    let attributes = attributes.send().await.map_err(failed(format!("cannot read the queue {queue}")))?;
    let policy = attributes.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
    let policy: Value = serde_json::from_str(policy.context("the queue has no dead-letter queue")?)?;
    let arn = policy["deadLetterTargetArn"].as_str().context("the queue's redrive policy names no queue")?;
    // arn:aws:sqs:region:account:name
    let mut parts = arn.rsplit(':');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let found = sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
    found
        .map_err(failed(format!("cannot find the queue {name}")))?
        .queue_url
        .context("a queue without an address")
}

async fn receive(sqs: &Client, queue: &str, count: usize) -> Result<Vec<Message>> {
    let call = sqs
        .receive_message()
        .queue_url(queue)
        .max_number_of_messages(i32::try_from(count.min(MAX_BATCH))?)
        .visibility_timeout(i32::try_from(AWAY.as_secs())?)
        .wait_time_seconds(1)
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All);
    Ok(call
        .send()
        .await
        .map_err(failed("cannot receive from the dead-letter queue"))?
        .messages
        .unwrap_or_default())
}

async fn peek(sqs: &Client, queue: &str, max: usize, reveal: bool, json: bool) -> Result<Exit> {
    let mut messages = Vec::new();
    let read = async {
        while messages.len() < max {
            let batch = receive(sqs, queue, max - messages.len()).await?;
            if batch.is_empty() {
                break;
            }
            messages.extend(batch);
        }
        Ok::<_, anyhow::Error>(())
    }
    .await;
    // Back at once, the last first, so that a FIFO group stays in order.
    for message in messages.iter().rev() {
        let handle = message.receipt_handle().unwrap_or_default();
        let back =
            sqs.change_message_visibility().queue_url(queue).receipt_handle(handle).visibility_timeout(0);
        back.send().await.map_err(failed("a message comes back in a minute, not at once"))?;
    }
    read?;
    let seen: Vec<Value> = messages.iter().map(|message| described(message, reveal)).collect();
    if json {
        print_json(&json!({ "messages": seen }))?;
    } else {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names = ["sentAt", "receives", "type", "id", "subject"];
        let rows: Vec<_> = seen.iter().map(|one| names.map(|name| text(&one[name])).to_vec()).collect();
        print(&table(&["sent", "received", "kind", "id", "subject"], &rows))?;
        if reveal {
            for message in &messages {
                print(&format!("{}\n", message.body().unwrap_or_default()))?;
            }
        }
    }
    Ok(if seen.is_empty() { Exit::Nothing } else { Exit::Done })
}

fn described(message: &Message, reveal: bool) -> Value {
    let body: Value = message.body().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let data = if reveal { body["data"].clone() } else { masked(&body["data"]) };
    let system = |name| message.attributes().and_then(|all| all.get(&name)).cloned();
    let sent_at = system(MessageSystemAttributeName::SentTimestamp);
    let sent_at = sent_at.and_then(|millis| jiff::Timestamp::from_millisecond(millis.parse().ok()?).ok());
    json!({
        "messageId": message.message_id(),
        "sentAt": sent_at.map(|at| at.to_string()),
        "receives": system(MessageSystemAttributeName::ApproximateReceiveCount),
        "source": body["source"], "type": body["type"], "id": body["id"], "subject": body["subject"],
        "data": if body["data_base64"].is_null() { data } else { json!(MASK) },
    })
}

async fn redrive(sqs: &Client, from: &str, to: &str, max: usize) -> Result<Exit> {
    ensure!(from != to, "the queue is its own dead-letter queue");
    let (mut moved, mut shown) = (0, Progress::new());
    while moved < max {
        let batch = receive(sqs, from, max - moved).await?;
        if batch.is_empty() {
            break;
        }
        for message in batch {
            send_again(sqs, to, &message).await?;
            let handle = message.receipt_handle().unwrap_or_default();
            let deleted = sqs.delete_message().queue_url(from).receipt_handle(handle).send().await;
            let twice = "a message is in both queues now: a later redrive sends it once more";
            deleted.map_err(failed(twice))?;
            moved += 1;
        }
        shown.say(|| format!("{moved} moved"));
    }
    eprintln!("{moved} moved");
    Ok(if moved == 0 { Exit::Nothing } else { Exit::Done })
}

async fn send_again(sqs: &Client, queue: &str, message: &Message) -> Result<()> {
    let mut call = sqs
        .send_message()
        .queue_url(queue)
        .message_body(message.body().context("a message without a body")?)
        .set_message_attributes(message.message_attributes().cloned());
    let group = message.attributes().and_then(|all| all.get(&MessageSystemAttributeName::MessageGroupId));
    if let Some(group) = group.filter(|_| queue.ends_with(".fifo")) {
        // The first one's could still be remembered, and the message would be lost.
        let id = sha256_hex(format!("{}#redrive", message.message_id().unwrap_or_default()).as_bytes());
        call = call.message_group_id(group).message_deduplication_id(id);
    }
    call.send().await.map_err(failed("cannot send to the queue"))?;
    Ok(())
}
