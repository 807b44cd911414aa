//! The scheduled Lambda function that forwards what an interrupted delivery left behind.

use std::process::ExitCode;

/// Each provider, by the first part of its records' keys, and the variable with its queue's URL.
const QUEUES: [(&str, &str); 2] = [("umaaas", "UMAAAS_QUEUE_URL"), ("weavr", "WEAVR_QUEUE_URL")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run_reconciler(&QUEUES).await
}
