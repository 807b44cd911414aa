//! From the environment to the event loop.

use std::process::ExitCode;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use ingest::{Provider, Receiver};
use jiff::Timestamp;
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::service_fn;

use crate::gateway::{GatewayEvent, GatewayResponse};
use crate::{DynamoStore, Environment, SettingsError, SqsSink, log};

/// Runs one provider's function until Lambda ends it. A wrong environment is logged and ends the
/// process, which Lambda reports as a failed start.
pub async fn run<P: Provider + 'static>(
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> ExitCode {
    let environment = Environment::of_process();
    log::init(&environment);
    let receiver = match receiver(&environment, provider).await {
        Ok(receiver) => Arc::new(receiver),
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let handler = service_fn(move |event: LambdaEvent<GatewayEvent>| {
        let receiver = Arc::clone(&receiver);
        async move {
            let delivery_id = event.context.request_id;
            let GatewayEvent { request, format } = event.payload;
            let (reply, report) = receiver.receive(request, delivery_id.clone()).await;
            log::delivery(P::NAME, &delivery_id, &report);
            Ok::<_, lambda_runtime::Error>(GatewayResponse { reply, format })
        }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

async fn receiver<P: Provider>(
    environment: &Environment,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> Result<Receiver<P, DynamoStore, SqsSink>, SettingsError> {
    let provider = provider(environment)?;
    let table = environment.required("EVENTS_TABLE", "the DynamoDB table of records")?;
    let queue_url = environment.required("QUEUE_URL", "the URL of the provider's SQS queue")?;
    let retention = environment.retention()?;
    let keep_payload = environment.keep_payload()?;
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    Ok(Receiver {
        provider,
        store: DynamoStore::new(&config, table, retention, keep_payload),
        sink: SqsSink::new(&config, queue_url),
        clock: Timestamp::now,
    })
}
