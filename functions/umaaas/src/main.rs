//! The Lambda function behind `POST /umaaas` and the paths below it.

use std::process::ExitCode;

use webhook_umaaas::{Signing, Umaaas};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run(Signing::keys, Umaaas::from_environment).await
}
