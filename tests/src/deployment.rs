//! The functions of one deployment and a local AWS, with a [`FaultProxy`] between the functions and AWS.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use local_stack::senders::{SENDERS, Sender};
use local_stack::watch;
use serde_json::Value;

use crate::{FaultProxy, Function, Host, LocalAws, post, valid_envelope};

/// A deployment. Every function that is started in it calls AWS through the proxy.
#[derive(Debug)]
pub struct Deployment {
    /// The local AWS with the records and the queues.
    pub aws: LocalAws,
    /// The proxy that the functions call instead of AWS.
    pub proxy: FaultProxy,
}

impl Deployment {
    /// Builds the functions, and starts the local AWS and the proxy.
    pub async fn start() -> Self {
        Self::on(LocalAws::start().await).await
    }

    /// Like [`start`](Self::start), for a test that measures time: see [`LocalAws::start_alone`].
    pub async fn start_alone() -> Self {
        Self::on(LocalAws::start_alone().await).await
    }

    async fn on(aws: LocalAws) -> Self {
        watch::build().await.unwrap();
        let proxy = FaultProxy::start(&aws.stack.endpoint).await;
        Self { aws, proxy }
    }

    /// Starts one instance of a function.
    pub fn function(&self, host: &Host, binary: &str) -> Function {
        self.function_with(host, binary, &[])
    }

    /// Starts one instance of a function with additional environment variables.
    pub fn function_with(&self, host: &Host, binary: &str, variables: &[(&str, &str)]) -> Function {
        let stack = &self.aws.stack;
        let owner = SENDERS.iter().find(|provider| provider.binaries.contains(&binary));
        let mut environment =
            owner.map_or_else(|| stack.shared_environment(), |provider| stack.environment(provider));
        let variables = variables.iter().copied().chain([("AWS_ENDPOINT_URL", self.proxy.endpoint.as_str())]);
        environment.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Function::start(host, binary, &environment)
    }

    /// Makes every pending record due, as if enough time had passed: sets `due_at` to the past.
    pub async fn pass_time(&self) {
        let stack = &self.aws.stack;
        let past = AttributeValue::N((Timestamp::now().as_millisecond() - 1).to_string());
        for item in self.index().await {
            let update = stack.dynamodb.update_item().table_name(&stack.table).key("pk", item["pk"].clone());
            let update = update
                .update_expression("SET due_at = :past")
                .expression_attribute_values(":past", past.clone());
            update.send().await.unwrap();
        }
    }

    /// How many records are pending.
    pub async fn pending(&self) -> usize {
        self.index().await.len()
    }

    async fn index(&self) -> Vec<HashMap<String, AttributeValue>> {
        let stack = &self.aws.stack;
        let scan = stack.dynamodb.scan().table_name(&stack.table).index_name("pending");
        scan.send().await.unwrap().items.unwrap_or_default()
    }

    /// All records whose key begins with `prefix`, by key.
    pub async fn records(&self, prefix: &str) -> BTreeMap<String, HashMap<String, AttributeValue>> {
        let stack = &self.aws.stack;
        let scan = stack.dynamodb.scan().table_name(&stack.table).consistent_read(true);
        let scan = scan.filter_expression("begins_with(pk, :prefix)");
        let scan = scan.expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        let items = scan.send().await.unwrap().items.unwrap_or_default();
        items.into_iter().map(|item| (item["pk"].as_s().unwrap().clone(), item)).collect()
    }

    /// Waits until a provider's queue has `expected` messages, and returns the bodies of all messages on it.
    pub async fn messages(&self, provider: &str, expected: usize) -> Vec<String> {
        let queue = self.aws.stack.queue(named(provider));
        let mut messages = queue.receive(expected, Duration::from_secs(10)).await.unwrap();
        messages.extend(queue.receive(usize::MAX, Duration::from_millis(300)).await.unwrap());
        let bodies = messages.into_iter().map(|message| message.body.unwrap());
        bodies.inspect(|body| valid_envelope(body).unwrap()).collect()
    }

    /// Waits until a provider's queue has `expected` messages, and returns the number of messages for each
    /// event id.
    pub async fn arrived(&self, provider: &str, expected: usize) -> BTreeMap<String, usize> {
        let mut arrived = BTreeMap::new();
        for body in self.messages(provider, expected).await {
            let envelope: Value = serde_json::from_str(&body).unwrap();
            *arrived.entry(envelope["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        arrived
    }
}

/// The provider with this name.
pub fn named(provider: &str) -> &'static Sender {
    Sender::named(provider).unwrap()
}

/// A signed delivery to UMAaaS's function, as an event of API Gateway.
pub fn umaaas_event(path: &str, body: &str) -> Value {
    signed_event("umaaas", path, body)
}

/// A signed delivery of a provider, as an event of API Gateway.
pub fn signed_event(provider: &str, path: &str, body: &str) -> Value {
    let provider = named(provider);
    let delivery = provider.delivery(path, body.to_owned(), &provider.signing_key());
    post(path, &delivery.headers, body)
}
