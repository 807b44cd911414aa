//! The Lambda function behind `POST /umaaas` and the paths below it.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run(webhook_umaaas::SECRETS, webhook_umaaas::Umaaas::from_environment).await
}
