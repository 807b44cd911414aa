//! The sink in SQS.

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

/// How many messages one call takes.
const MAX_BATCH: usize = 10;

/// Messages into one SQS queue.
#[derive(Clone, Debug)]
pub struct SqsSink {
    queue_url: String,
    fifo: bool,
    client: Client,
}

impl SqsSink {
    /// A sink in one queue; a name that ends in `.fifo` is a FIFO queue (SQS's own rule). Each call
    /// may take as long as `budget` says.
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
    /// Opens the connection that the first message would otherwise wait for.
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
                // A queue that does not answer is not asked again: the caller has other work and a deadline.
                let reason = error.source.to_string();
                let unsent = || Err(Unsent::Queue(PortError::new(Operation::Forward, reason.clone())));
                results.resize_with(messages.len(), unsent);
                break;
            }
        }
        results
    }
}

/// Why a whole call took nothing.
#[derive(Debug)]
enum CallError {
    /// The queue refused what was asked of it.
    Refused(PortError),
    /// The queue does not answer, fails, or throttles.
    Queue(PortError),
    /// There was no time for it, or not enough.
    OutOfTime,
}

impl From<CallError> for Unsent {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => Self::Message(error),
            CallError::Queue(error) => Self::Queue(error),
            CallError::OutOfTime => Self::Message(PortError::new(
                Operation::Forward,
                "the time for its page was over: it was not sent, or had no answer yet",
            )),
        }
    }
}

impl SqsSink {
    /// Sends what fits one call. The results are in the order of the messages; there are fewer when the last
    /// one is [`Unsent::Queue`].
    ///
    /// A call that is refused as a whole can be refused because of one message. Its messages are then sent
    /// one by one, so that this one fails alone.
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
        tracing::warn!(error, messages = batch.len(), "a batch was refused as a whole: sent one by one");
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

    /// Sends messages in one call; the results are in their order.
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
        // Only what the answer names as sent was sent.
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

    /// What a FIFO queue needs, and another queue refuses.
    fn fifo_ids(&self, message: &Message) -> (Option<String>, Option<String>) {
        let ids = self.fifo.then(|| (message.group_id.clone(), message.deduplication_id.clone()));
        ids.unzip()
    }
}

/// A call to the queue that has to end before a time. It is not begun after it.
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

/// Splits messages by what one call takes: ten, and together no more than one message may have.
fn batches(messages: &[Message]) -> impl Iterator<Item = &[Message]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(MAX_BATCH).take_while(|message| {
            bytes += message.size();
            bytes <= MAX_MESSAGE_BYTES
        });
        // One that is too large by itself goes alone, and the queue says so.
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
}
