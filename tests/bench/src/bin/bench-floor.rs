//! The minimum that a webhook function can do: check the HMAC and answer. No record, no queue, no SDK.

#![expect(clippy::expect_used, reason = "a function without its settings cannot start")]

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    body: &'static str,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let secret = std::env::var("UMAAAS_WEBHOOK_SECRETS").expect("UMAAAS_WEBHOOK_SECRETS is set");
    let handler = service_fn(|event: LambdaEvent<Event>| {
        let genuine = verify(&secret, &event.payload);
        async move { Ok::<_, Error>(Response { status_code: if genuine { 200 } else { 401 }, body: "" }) }
    });
    lambda_runtime::run(handler).await
}

fn verify(secret: &str, event: &Event) -> bool {
    let Ok(digest) = hex::decode(&event.headers.signature) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(event.body.as_bytes());
    mac.verify_slice(&digest).is_ok()
}
