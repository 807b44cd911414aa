//! The scheduled Lambda function that forwards the records that interrupted deliveries left pending.

use std::process::ExitCode;

/// Each provider (the first part of its records' keys), and the environment variable with its queue URL.
const QUEUES: [(&str, &str); 2] = [("umaaas", "UMAAAS_QUEUE_URL"), ("weavr", "WEAVR_QUEUE_URL")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run_reconciler(&QUEUES).await
}
