//! From the environment to the event loop.

use std::process::ExitCode;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use ingest::{Provider, Receiver};
use jiff::Timestamp;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gateway::{GatewayEvent, GatewayResponse};
use crate::{DynamoStore, Environment, SettingsError, SqsSink, budget, log};

/// Runs one provider's function until Lambda ends it. A wrong environment is logged and ends the
/// process, which Lambda reports as a failed start.
pub async fn run<P: Provider + 'static>(
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> ExitCode {
    serve(
        async |environment| receiver(environment, provider(environment)?).await,
        |receiver, event: LambdaEvent<GatewayEvent>| async move {
            let delivery_id = event.context.request_id;
            let GatewayEvent { request, format } = event.payload;
            let (reply, report) = receiver.receive(request, delivery_id.clone()).await;
            log::delivery(P::NAME, &delivery_id, &report);
            GatewayResponse { reply, format }
        },
    )
    .await
}

async fn receiver<P>(
    environment: &Environment,
    provider: P,
) -> Result<Receiver<P, DynamoStore, SqsSink>, SettingsError> {
    let queue_url = environment.required("QUEUE_URL", "the URL of the provider's SQS queue")?;
    let config = sdk_config().await;
    Ok(Receiver {
        provider,
        store: DynamoStore::from_environment(environment, &config)?,
        sink: SqsSink::new(&config, queue_url, budget::FORWARD),
        clock: Timestamp::now,
    })
}

/// Reads the environment, builds what the function needs from it, and hands it every event.
pub(crate) async fn serve<T, Event, Answer, Handled>(
    build: impl AsyncFnOnce(&Environment) -> Result<T, SettingsError>,
    handle: impl Fn(Arc<T>, LambdaEvent<Event>) -> Handled,
) -> ExitCode
where
    Event: DeserializeOwned,
    Answer: Serialize,
    Handled: Future<Output = Answer>,
{
    let environment = Environment::of_process();
    let built = match log::init(&environment) {
        Ok(()) => build(&environment).await,
        Err(error) => Err(error),
    };
    let built = match built {
        Ok(built) => Arc::new(built),
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let handler = service_fn(|event| {
        // Boxed, or the type of the whole path would nest deeper than the compiler follows.
        let handled = Box::pin(handle(Arc::clone(&built), event));
        async { Ok::<_, lambda_runtime::Error>(handled.await) }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

/// The SDK's own settings. All clients made from them share one HTTP client and its connections:
/// left to itself each would open, and at a cold start wait for, its own.
pub(crate) async fn sdk_config() -> SdkConfig {
    let http = Builder::new().tls_provider(Tls::Rustls(CryptoMode::AwsLc)).build_https();
    aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await
}
