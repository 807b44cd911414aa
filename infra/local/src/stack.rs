//! The AWS resources that the functions need: the table and the queues, as the SAM template declares them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, QueueAttributeName};
use aws_types::SdkConfig;
use serde_json::json;

use crate::senders::{SENDERS, Sender};

/// The indexes of the events table: name, hash key, sort key.
pub const INDEXES: [(&str, &str, &str); 3] = [
    ("pending", "pending_shard", "due_at"),
    ("by_subject", "subject", "received_at"),
    ("by_time", "time_shard", "received_at"),
];

/// The emulated region.
pub const REGION: &str = "eu-central-1";

/// How long a queue keeps a message, in seconds: 14 days, as in the template.
pub const MESSAGE_RETENTION_SECONDS: u64 = 1_209_600;

/// The access key and the secret key for the emulated AWS.
pub const ACCESS_KEY: &str = "local";

/// A table and a queue for each provider, on one endpoint.
#[derive(Clone, Debug)]
pub struct Stack {
    /// A client of the table's database.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// A client of the queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The table's name.
    pub table: String,
    /// The address of the emulated AWS.
    pub endpoint: String,
    queues: Vec<(&'static str, Queue)>,
}

/// A queue and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The address that functions send to.
    pub url: String,
    /// The address of the dead-letter queue, for messages that a consumer received several times without
    /// deleting them.
    pub dead_letters_url: String,
    sqs: aws_sdk_sqs::Client,
}

impl Stack {
    /// Creates the resources that are missing. Stacks with different suffixes share an endpoint but no
    /// resources. The suffix of the default stack is empty.
    ///
    /// # Errors
    /// The endpoint does not answer, or has a queue of that name with other attributes.
    pub async fn create(endpoint: &str, suffix: &str) -> Result<Self> {
        let config = config(endpoint);
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        let sqs = aws_sdk_sqs::Client::new(&config);
        let table = format!("webhook-events{suffix}");
        create_table(&dynamodb, &table).await.with_context(|| format!("cannot create the table {table}"))?;
        let mut queues = Vec::new();
        for provider in SENDERS {
            let name = format!("{}{suffix}", provider.name);
            let queue = Queue::create(&sqs, &name).await;
            queues.push((
                provider.name,
                queue.with_context(|| format!("cannot create the queue {name}.fifo"))?,
            ));
        }
        Ok(Self { dynamodb, sqs, table, endpoint: endpoint.to_owned(), queues })
    }

    /// The queue of a provider.
    pub fn queue(&self, provider: &Sender) -> &Queue {
        let (_, queue) = self
            .queues
            .iter()
            .find(|(name, _)| *name == provider.name)
            .expect("every provider has its queue");
        queue
    }

    /// One environment for the functions of all providers. For a variable that several providers have, the
    /// first provider's value is used. [`watch`](crate::watch) describes how the others get their own
    /// `QUEUE_URL`.
    pub fn shared_environment(&self) -> Vec<(String, String)> {
        let mut shared: Vec<(String, String)> = Vec::new();
        for (name, value) in SENDERS.iter().flat_map(|provider| self.environment(provider)) {
            if !shared.iter().any(|(known, _)| *known == name) {
                shared.push((name, value));
            }
        }
        shared
    }

    /// The environment of a provider's functions, with the provider's queue variable for the reconciler.
    pub fn environment(&self, provider: &Sender) -> Vec<(String, String)> {
        let reconciler_queue = format!("{}_QUEUE_URL", provider.name.to_uppercase());
        let secret = provider.secret();
        let mut variables = vec![
            ("EVENTS_TABLE", self.table.as_str()),
            (reconciler_queue.as_str(), &self.queue(provider).url),
            ("QUEUE_URL", &self.queue(provider).url),
            (provider.keys_variable, secret.as_str()),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY),
        ];
        variables.extend(provider.variables);
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl Queue {
    /// A queue that already exists.
    pub fn at(sqs: &aws_sdk_sqs::Client, url: &str, dead_letters_url: &str) -> Self {
        Self { url: url.to_owned(), dead_letters_url: dead_letters_url.to_owned(), sqs: sqs.clone() }
    }

    /// Receives and deletes messages until there are `count`, or the time `within` is over.
    ///
    /// # Errors
    /// The queue does not answer, or refuses a call.
    pub async fn receive(&self, count: usize, within: Duration) -> Result<Vec<Message>> {
        const LONGEST_POLL: Duration = Duration::from_secs(2);

        let deadline = Instant::now() + within;
        let mut messages = Vec::new();
        while messages.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let batch = i32::try_from((count - messages.len()).min(10)).expect("at most ten");
            let poll = self
                .sqs
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(batch)
                .wait_time_seconds(i32::try_from(left.min(LONGEST_POLL).as_secs()).expect("a few seconds"))
                .message_attribute_names("All")
                .message_system_attribute_names("All".into())
                .send();
            let received = poll.await.context("cannot receive from the queue")?.messages.unwrap_or_default();
            let nothing = received.is_empty();
            if !nothing {
                self.delete(&received).await?;
            }
            messages.extend(received);
            if nothing {
                // SQS waits in whole seconds: the rest of the time, below a second, would be a wait of 0
                // seconds.
                tokio::time::sleep(left.min(Duration::from_millis(50))).await;
            }
        }
        Ok(messages)
    }

    /// Deletes the messages of one poll, at most ten.
    async fn delete(&self, messages: &[Message]) -> Result<()> {
        let mut delete = self.sqs.delete_message_batch().queue_url(&self.url);
        for (index, message) in messages.iter().enumerate() {
            let handle = message.receipt_handle.clone().unwrap_or_default();
            let entry =
                DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle);
            delete = delete.entries(entry.build()?);
        }
        let deleted = delete.send().await.context("cannot delete from the queue")?;
        ensure!(deleted.failed().is_empty(), "cannot delete from the queue: {:?}", deleted.failed());
        Ok(())
    }

    /// Creates the queue and its dead-letter queue.
    async fn create(sqs: &aws_sdk_sqs::Client, name: &str) -> Result<Self> {
        let dead_letters_url = create_queue(sqs, &format!("{name}-dead-letters.fifo"), None).await?;
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(&dead_letters_url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        let arn = attributes.attributes().and_then(|all| all.get(&QueueAttributeName::QueueArn));
        let redrive =
            json!({ "deadLetterTargetArn": arn.context("a queue without an ARN")?, "maxReceiveCount": 5 });
        let url = create_queue(sqs, &format!("{name}.fifo"), Some(redrive.to_string())).await?;
        Ok(Self { url, dead_letters_url, sqs: sqs.clone() })
    }
}

/// Creates a receiver directory: a table with one item per user.
///
/// # Errors
/// The table cannot be created.
pub async fn create_directory(dynamodb: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    let user = "platformUserId";
    dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(user, ScalarAttributeType::S)?)
        .key_schema(key(user, KeyType::Hash)?)
        .send()
        .await?;
    Ok(())
}

/// The SDK settings for an emulated AWS. They do not depend on environment variables or `~/.aws`.
pub fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Creates the events table without queues, unless the table exists: for a DynamoDB emulator that has no SQS.
///
/// # Errors
/// The database does not answer, or refuses the table.
pub async fn create_table(dynamodb: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    let keys_only = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
    // What never changes after the first write, and is enough for a line of a listing.
    let listed = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(names))
            .build()
    };
    let of_subject = listed(&["kind", "id", "reply", "decision"]);
    let of_time = listed(&["kind", "id", "reply", "decision", "subject"]);
    let indexes = INDEXES.into_iter().zip([keys_only, of_subject, of_time]);
    let indexes = indexes.map(|((name, hash, range), projection)| index(name, hash, range, projection));
    let created = dynamodb
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("pending_shard", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("due_at", ScalarAttributeType::N)?)
        .attribute_definitions(attribute("subject", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("time_shard", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("received_at", ScalarAttributeType::N)?)
        .key_schema(key("pk", KeyType::Hash)?)
        .set_global_secondary_indexes(Some(indexes.collect::<Result<_>>()?))
        .send()
        .await;
    match created {
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {
            return Ok(());
        }
        created => created?,
    };
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires_at").build()?;
    dynamodb.update_time_to_live().table_name(name).time_to_live_specification(expiry).send().await?;
    Ok(())
}

fn index(name: &str, hash: &str, range: &str, projection: Projection) -> Result<GlobalSecondaryIndex> {
    Ok(GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(hash, KeyType::Hash)?)
        .key_schema(key(range, KeyType::Range)?)
        .projection(projection)
        .build()?)
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement> {
    Ok(KeySchemaElement::builder().attribute_name(name).key_type(kind).build()?)
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition> {
    Ok(AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?)
}

async fn create_queue(sqs: &aws_sdk_sqs::Client, name: &str, redrive: Option<String>) -> Result<String> {
    let mut request = sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::MessageRetentionPeriod, MESSAGE_RETENTION_SECONDS.to_string());
    if let Some(redrive) = redrive {
        request = request.attributes(QueueAttributeName::RedrivePolicy, redrive);
    }
    request.send().await?.queue_url.context("a queue without an address")
}
