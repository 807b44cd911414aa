//! The Lambda function behind `POST /grid`.

use std::process::ExitCode;

use webhook_grid::{Grid, PUBLIC_KEYS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    aws::run(|_| Ok(PUBLIC_KEYS), Grid::from_environment).await
}
