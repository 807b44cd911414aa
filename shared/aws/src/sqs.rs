//! The sink in SQS.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::types::MessageAttributeValue;
use ingest::{Message, PortError, Sink};

use crate::budget::{self, Budget};

/// Messages into one SQS queue.
#[derive(Clone, Debug)]
pub struct SqsSink {
    queue_url: String,
    fifo: bool,
    client: Client,
}

impl SqsSink {
    /// A sink in one queue; a name that ends in `.fifo` is a FIFO queue (SQS's own rule).
    #[must_use]
    pub fn new(config: &SdkConfig, queue_url: String) -> Self {
        let config =
            Builder::from(config).timeout_config(budget::FORWARD.timeouts()).retry_config(Budget::retries());
        Self { fifo: queue_url.ends_with(".fifo"), queue_url, client: Client::from_conf(config.build()) }
    }
}

impl Sink for SqsSink {
    async fn forward(&self, message: &Message) -> Result<(), PortError> {
        let mut send = self.client.send_message().queue_url(&self.queue_url).message_body(&message.body);
        for (name, value) in &message.attributes {
            send = send.message_attributes(*name, string(value)?);
        }
        if self.fifo {
            send =
                send.message_group_id(&message.group_id).message_deduplication_id(&message.deduplication_id);
        }
        send.send().await.map_err(|error| PortError::new("forward", error))?;
        Ok(())
    }
}

fn string(value: &str) -> Result<MessageAttributeValue, PortError> {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .map_err(|error| PortError::new("forward", error))
}
