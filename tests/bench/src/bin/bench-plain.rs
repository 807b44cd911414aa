//! The simplest implementation of the same function: checks the HMAC, makes one conditional write, sends one
//! message, then answers. It uses the SDK's defaults.
//!
//! Unlike this project, it loses a message that cannot be sent after the write.

#![expect(clippy::expect_used, reason = "a function without its settings cannot start")]

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::types::AttributeValue;
use hmac::{Hmac, KeyInit, Mac};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

#[derive(Deserialize)]
struct Event {
    headers: Headers,
    body: String,
}

#[derive(Deserialize)]
struct Headers {
    #[serde(rename = "x-umaaas-signature")]
    signature: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    webhook_id: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    body: &'static str,
}

struct Receiver {
    secret: String,
    table: String,
    queue_url: String,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).expect("the settings are there");
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let receiver = Receiver {
        secret: variable("UMAAAS_WEBHOOK_SECRETS"),
        table: variable("EVENTS_TABLE"),
        queue_url: variable("QUEUE_URL"),
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
    };
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| receiver.receive(event.payload))).await
}

impl Receiver {
    async fn receive(&self, event: Event) -> Result<Response, Error> {
        if !self.verify(&event) {
            return Ok(Response { status_code: 401, body: "" });
        }
        let webhook: Webhook = serde_json::from_str(&event.body)?;
        let key = format!("{}#{}", webhook.kind, webhook.webhook_id);
        let written = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(key))
            .item("body", AttributeValue::S(event.body.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        if let Err(error) = written {
            let error = error.into_service_error();
            if error.is_conditional_check_failed_exception() {
                return Ok(Response { status_code: 409, body: "" });
            }
            return Err(error.into());
        }
        self.sqs
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(event.body)
            .message_group_id(&webhook.kind)
            .message_deduplication_id(&webhook.webhook_id)
            .send()
            .await?;
        Ok(Response { status_code: 200, body: "" })
    }

    fn verify(&self, event: &Event) -> bool {
        let Ok(digest) = hex::decode(&event.headers.signature) else { return false };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(event.body.as_bytes());
        mac.verify_slice(&digest).is_ok()
    }
}
