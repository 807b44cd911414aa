//! The Lambda function behind Weavr's webhooks about sends.

use std::process::ExitCode;

use webhook_weavr::{Family, Weavr};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run(|_| Ok(webhook_weavr::SECRETS), |environment| Weavr::from_environment(environment, Family::Send))
        .await
}
