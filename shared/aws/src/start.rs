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
use crate::secrets::{ProviderSecrets, SecretVariables};
use crate::{DynamoStore, Environment, SettingsError, SqsSink, budget, log};

/// Runs one provider's function until Lambda ends it. A wrong environment is logged and ends the
/// process, which Lambda reports as a failed start.
pub async fn run<P: Provider + 'static>(
    secrets: SecretVariables,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> ExitCode {
    serve(
        async |environment| receiver(environment, secrets, provider).await,
        |receiver, event: LambdaEvent<GatewayEvent>| async move {
            let delivery_id = event.context.request_id;
            let GatewayEvent { mut request, format } = event.payload;
            request.trace_id = event.context.xray_trace_id.as_deref().and_then(trace_root);
            let (reply, report) = receiver.receive(request, delivery_id.clone()).await;
            log::delivery(P::NAME, &delivery_id, &report);
            GatewayResponse { reply, format }
        },
    )
    .await
}

/// Everything that a delivery needs, with its connections open and its secrets read: what takes time is
/// done at once, and while Lambda does not count it.
async fn receiver<P: Provider>(
    environment: &Environment,
    secrets: SecretVariables,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> Result<Receiver<P, ProviderSecrets, DynamoStore, SqsSink>, SettingsError> {
    let queue_url = environment.required("QUEUE_URL", "the URL of the provider's SQS queue")?;
    let config = sdk_config().await;
    let secrets = ProviderSecrets::from_environment(environment, &config, P::NAME, secrets)?;
    let store = DynamoStore::from_environment(environment, &config)?;
    let sink = SqsSink::new(&config, queue_url, budget::FORWARD);
    let ready = async { tokio::join!(secrets.load(Timestamp::now()), store.connect(), sink.connect()) };
    // The provider's own part is computation: it goes on while the others wait for answers.
    let (_, provider) = tokio::join!(ready, async { provider(environment) });
    Ok(Receiver { provider: provider?, secrets, store, sink, clock: Timestamp::now })
}

/// The id of a trace, from the header that says more about it (`Root=1-...;Parent=...;Sampled=1`).
fn trace_root(header: &str) -> Option<String> {
    header.split(';').find_map(|part| part.strip_prefix("Root=")).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces() {
        for (header, root) in [
            (
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
                Some("1-5759e988-bd862e3fe1be46a994272793"),
            ),
            ("Self=1-a;Root=1-b", Some("1-b")),
            ("Sampled=0", None),
            ("", None),
        ] {
            assert_eq!(trace_root(header).as_deref(), root, "{header}");
        }
    }
}
