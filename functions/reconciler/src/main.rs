//! The scheduled Lambda function that forwards the records that interrupted deliveries left pending.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run_reconciler(&webhook_reconciler::QUEUES).await
}
