//! The sink that sends messages to SQS.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::RequestId;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use aws_types::SdkConfig;
use ingest::{BatchSink, MAX_MESSAGE_BYTES, Message, Operation, PortError, Sink, Unsent};
use tokio::time::Instant;

use crate::budget::Budget;
use crate::connect;
use crate::failure::failure;
use crate::time_refusal::TimeRefusal;

/// How many messages one `SendMessageBatch` call can have.
const MAX_BATCH: usize = 10;

/// Sends messages to one SQS queue.
#[derive(Clone, Debug)]
pub struct SqsSink {
    queue_url: String,
    fifo: bool,
    client: Client,
}

impl SqsSink {
    /// A sink for one queue. A queue whose name ends in `.fifo` is a FIFO queue (a rule of SQS). `budget`
    /// limits the time of each call.
    #[must_use]
    pub fn new(config: &SdkConfig, queue_url: String, budget: Budget) -> Self {
        let config = Builder::from(config)
            .timeout_config(budget.timeouts())
            .retry_config(Budget::retries())
            .retry_classifier(TimeRefusal);
        Self { fifo: queue_url.ends_with(".fifo"), queue_url, client: Client::from_conf(config.build()) }
    }
}

impl SqsSink {
    /// Opens a connection, so that the first message does not wait for it.
    pub(crate) async fn connect(&self) {
        let once = aws_sdk_sqs::Config::builder().retry_config(RetryConfig::disabled());
        let ping = self.client.list_queues().customize().mutate_request(connect::ping);
        connect::within_budget("SQS", ping.config_override(once).send()).await;
    }
}

impl Sink for SqsSink {
    async fn forward(&self, message: &Message) -> Result<(), PortError> {
        let (group_id, deduplication_id) = self.fifo_ids(message);
        self.client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(&message.body)
            .set_message_attributes(Some(attributes(message)?))
            .set_message_group_id(group_id)
            .set_message_deduplication_id(deduplication_id)
            .send()
            .await
            .map_err(|error| failure(Operation::Forward, &error))?;
        Ok(())
    }
}

impl BatchSink for SqsSink {
    async fn forward_batch(&self, messages: &[Message], within: Duration) -> Vec<Result<(), Unsent>> {
        let ends = Instant::now() + within;
        let mut results = Vec::with_capacity(messages.len());
        for batch in batches(messages) {
            results.extend(self.send(batch, ends).await);
            if let Some(Err(Unsent::Queue(error))) = results.last() {
                // No further call to a queue that does not answer: the caller has a deadline and other work.
                let reason = error.source.to_string();
                let unsent =
                    || Err(Unsent::Queue(PortError::unavailable(Operation::Forward, reason.clone())));
                results.resize_with(messages.len(), unsent);
                break;
            }
        }
        results
    }
}

/// Why a call sent none of its messages.
#[derive(Debug)]
enum CallError {
    /// The queue refused the request.
    Refused(PortError),
    /// The queue does not answer, fails, or throttles.
    Queue(PortError),
    /// The time was over before the call began, or before it had an answer.
    OutOfTime,
}

impl From<CallError> for Unsent {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => Self::Message(error),
            CallError::Queue(error) => Self::Queue(error),
            CallError::OutOfTime => Self::Message(PortError::new(
                Operation::Forward,
                "the time for the page was over: the message was not sent, or had no answer yet",
            )),
        }
    }
}

impl SqsSink {
    /// Sends a batch that fits one call. The results are in the order of the messages. When the queue does
    /// not answer, the last result is [`Unsent::Queue`], and the messages after it have no result.
    ///
    /// SQS can refuse a whole call because of one message. The messages of a refused call are sent one by
    /// one, so that only that message fails.
    async fn send(&self, batch: &[Message], ends: Instant) -> Vec<Result<(), Unsent>> {
        let refused = match self.send_batch(batch, ends).await {
            Ok(results) => return results,
            Err(CallError::Refused(error)) => error,
            Err(CallError::Queue(error)) => return vec![Err(Unsent::Queue(error))],
            Err(CallError::OutOfTime) => {
                return batch.iter().map(|_| Err(CallError::OutOfTime.into())).collect();
            }
        };
        let error = refused.chain();
        tracing::warn!(
            error,
            messages = batch.len(),
            "the queue refused a whole batch; its messages are sent one by one"
        );
        let mut results = Vec::with_capacity(batch.len());
        for message in batch {
            let result = self.send_one(message, ends).await.map_err(Unsent::from);
            let silent = matches!(result, Err(Unsent::Queue(_)));
            results.push(result);
            if silent {
                break;
            }
        }
        results
    }

    async fn send_one(&self, message: &Message, ends: Instant) -> Result<(), CallError> {
        let (group_id, deduplication_id) = self.fifo_ids(message);
        let call = self
            .client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(&message.body)
            .set_message_attributes(Some(attributes(message).map_err(CallError::Refused)?))
            .set_message_group_id(group_id)
            .set_message_deduplication_id(deduplication_id);
        before(ends, call.send()).await.map(|_| ())
    }

    /// Sends messages in one call. The results are in the order of the messages.
    async fn send_batch(
        &self,
        messages: &[Message],
        ends: Instant,
    ) -> Result<Vec<Result<(), Unsent>>, CallError> {
        let mut call = self.client.send_message_batch().queue_url(&self.queue_url);
        for (index, message) in messages.iter().enumerate() {
            let (group_id, deduplication_id) = self.fifo_ids(message);
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_attributes(Some(attributes(message).map_err(CallError::Refused)?))
                .set_message_group_id(group_id)
                .set_message_deduplication_id(deduplication_id)
                .build()
                .map_err(|error| CallError::Refused(PortError::new(Operation::Forward, error)))?;
            call = call.entries(entry);
        }
        let answer = before(ends, call.send()).await?;
        // A message counts as sent only if the answer lists it as successful.
        let unsent = |reason: String| Err(Unsent::Message(PortError::new(Operation::Forward, reason)));
        let mut results: Vec<_> =
            messages.iter().map(|_| unsent("the queue did not confirm it".to_owned())).collect();
        for sent in answer.successful() {
            if let Some(result) = sent.id().parse().ok().and_then(|index: usize| results.get_mut(index)) {
                *result = Ok(());
            }
        }
        for failed in answer.failed() {
            if let Some(result) = failed.id().parse().ok().and_then(|index: usize| results.get_mut(index)) {
                *result = unsent(format!("the queue refused it: {}", failed.code()));
            }
        }
        Ok(results)
    }

    /// The message group id and the deduplication id: a FIFO queue requires them, a standard queue refuses
    /// them.
    fn fifo_ids(&self, message: &Message) -> (Option<String>, Option<String>) {
        let ids = self.fifo.then(|| (message.group_id.clone(), message.deduplication_id.clone()));
        ids.unzip()
    }
}

/// Makes a call to the queue that must end before the time `ends`. After that time no call is made.
async fn before<T, E>(
    ends: Instant,
    call: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, CallError>
where
    E: ProvideErrorMetadata + RequestId,
{
    if Instant::now() >= ends {
        return Err(CallError::OutOfTime);
    }
    let answer = tokio::time::timeout_at(ends, call).await.map_err(|_| CallError::OutOfTime)?;
    answer.map_err(|error| {
        let reason = failure(Operation::Forward, &error);
        if reason.unavailable { CallError::Queue(reason) } else { CallError::Refused(reason) }
    })
}

/// Splits messages into batches that fit one call: at most ten messages and [`MAX_MESSAGE_BYTES`] together.
fn batches(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(MAX_BATCH).take_while(|message| {
            bytes += message.size();
            bytes <= MAX_MESSAGE_BYTES
        });
        // A message that alone is too large is a batch of its own; the queue then refuses only that message.
        let count = fits.count().max(1).min(rest.len());
        let (batch, left) = rest.split_at(count);
        rest = left;
        (!batch.is_empty()).then_some(batch)
    })
}

fn attributes(message: &Message) -> Result<HashMap<String, MessageAttributeValue>, PortError> {
    let attribute = |(name, value): &(&'static str, String)| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
        Ok(((*name).to_owned(), value.map_err(|error| PortError::new(Operation::Forward, error))?))
    };
    message.attributes.iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Message {
        let empty = Message {
            body: String::new(),
            attributes: ["source", "type", "id"].map(|name| (name, "x".to_owned())),
            group_id: "g".into(),
            deduplication_id: "d".into(),
        };
        Message { body: "x".repeat(size - empty.size()), ..empty }
    }

    #[test]
    fn batches_by_count_and_by_bytes() {
        let split = |sizes: &[usize]| {
            let messages: Vec<Message> = sizes.iter().map(|size| message(*size)).collect();
            batches(&messages).map(<[_]>::len).collect::<Vec<_>>()
        };
        let all = MAX_MESSAGE_BYTES;
        assert_eq!(split(&[]), [0; 0]);
        assert_eq!(split(&[100; 25]), [10, 10, 5]);
        assert_eq!(split(&[all, all]), [1, 1]);
        assert_eq!(split(&[all / 2, all / 2, 100]), [2, 1]);
        assert_eq!(split(&[all / 2, all / 2 + 1, 100]), [1, 2]);
        assert_eq!(split(&[all + 1, 100]), [1, 1], "too large: alone");
    }

    /// Whoever counts failures of the queue sees the same for every message, whether there was a call for it or not.
    #[tokio::test]
    async fn a_queue_that_does_not_answer_is_unavailable_for_every_message() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let config = SdkConfig::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new("eu-central-1"))
            .credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(
                aws_sdk_sqs::config::Credentials::new("x", "x", None, None, "test"),
            ))
            .endpoint_url(format!("http://{}", nobody.unwrap()))
            .build();
        let sink = SqsSink::new(
            &config,
            "http://queue/000000000000/x.fifo".to_owned(),
            crate::budget::FORWARD_BATCH,
        );
        let messages: Vec<Message> = (0..25).map(|_| message(100)).collect();
        let results = sink.forward_batch(&messages, Duration::from_secs(20)).await;
        assert_eq!(results.len(), messages.len());
        for result in results {
            let Err(Unsent::Queue(error)) = result else { panic!("{result:?}") };
            assert!(error.unavailable && error.chain().contains("not sent"), "{}", error.chain());
        }
    }
}
