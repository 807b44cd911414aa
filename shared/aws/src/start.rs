//! Starts a function: reads its environment, builds what it needs and runs the event loop.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use ingest::{Arrival, Breakers, Provider, Receiver, Switch};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::tower::util::MapFutureLayer;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::CREDENTIALS_EXPIRED;
use crate::gateway::{GatewayEvent, GatewayRequest, GatewayResponse};
use crate::secrets::{KeyVariables, ProviderSecrets};
use crate::variables::{
    AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_REGION, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    AWS_USE_DUALSTACK_ENDPOINT, AWS_USE_FIPS_ENDPOINT, CONNECT_AT_START, QUEUE_URL,
};
use crate::{
    DynamoControl, DynamoDirectory, DynamoStore, Environment, SettingsError, SqsSink, budget, line, log,
    metrics,
};

/// Runs one provider's function until Lambda ends it. `keys` says which variables have the provider's keys. A missing
/// or invalid variable is logged and ends the process, which Lambda reports as a failed start.
pub async fn run<P: Provider + 'static>(
    keys: impl FnOnce(&Environment) -> Result<KeyVariables, SettingsError>,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> ExitCode {
    serve(
        async |environment| receiver(environment, keys(environment)?, provider).await,
        |receiver, event: LambdaEvent<GatewayEvent>| async move {
            let delivery_id = event.context.request_id;
            let delivery = match event.payload.http {
                Some(GatewayRequest { mut request, format }) => {
                    request.trace_id = event.context.xray_trace_id.as_deref().and_then(trace_root);
                    let (reply, received) = receiver.receive(request, delivery_id.clone()).await;
                    Some((GatewayResponse { reply, format }, received))
                }
                None => {
                    tracing::info!(delivery_id, "the event is not an HTTP request; answered with null");
                    None
                }
            };
            let (response, received) = delivery.unzip();
            let rest = move |answer: Posted| async move {
                let Some(received) = received else { return };
                let confirmed = answer.is_in_time(received.arrival());
                let now = Timestamp::now();
                let latest = now.max(received.arrival().latest());
                let (report, (), ()) = tokio::join!(
                    receiver.finish(received, confirmed),
                    receiver.secrets.renew(now),
                    receiver.switch.refresh(latest, budget::CONTROL.total),
                );
                line::write(P::NAME, &delivery_id, &report);
            };
            (response, rest)
        },
    )
    .await
}

/// Builds everything that a delivery needs. Reading the secrets and opening the connections run concurrently,
/// in Lambda's initialization phase, before the first delivery.
async fn receiver<P: Provider>(
    environment: &Environment,
    keys: KeyVariables,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> Result<Receiver<P, ProviderSecrets, DynamoStore, SqsSink, DynamoDirectory, DynamoControl>, SettingsError>
{
    let queue_url = environment.required(&QUEUE_URL)?;
    let config = sdk_config(environment)?;
    let secrets = ProviderSecrets::from_environment(environment, &config, P::NAME, keys)?;
    let store = DynamoStore::from_environment(environment, &config)?;
    let sink = SqsSink::new(&config, queue_url, budget::FORWARD);
    let directory = DynamoDirectory::from_environment(environment, &config, P::NAME);
    let switch = Switch::new(DynamoControl::from_environment(environment, &config)?);
    let connect = environment.flag(&CONNECT_AT_START)?;
    let ready = async {
        let dynamodb = async {
            if connect {
                store.connect().await;
            }
            // On the same connection: a second one would cost another handshake.
            if P::DECIDES {
                switch.load(Timestamp::now(), budget::CONTROL.total).await;
            }
        };
        let sqs = async {
            if connect {
                sink.connect().await;
            }
        };
        tokio::join!(secrets.load(Timestamp::now()), dynamodb, sqs)
    };
    // Building the provider only computes, so it runs while the calls above wait for answers.
    let (_, provider) = tokio::join!(ready, async { provider(environment) });
    Ok(Receiver {
        provider: provider?,
        secrets,
        store,
        sink,
        directory,
        switch,
        clock: Timestamp::now,
        breakers: Breakers::default(),
    })
}

/// The trace id in an X-Ray tracing header (`Root=1-...;Parent=...;Sampled=1`). `None` when it is missing or
/// malformed.
fn trace_root(header: &str) -> Option<String> {
    let root = header.split(';').find_map(|part| part.strip_prefix("Root="))?;
    // `1-`, 8 digits, `-`, 24 digits (X-Ray documentation, "Tracing header"). Checked because the header can
    // come from the sender of the request.
    let fits = root.len() == 35 && root.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    fits.then(|| root.to_owned())
}

/// The result of posting a response to the Runtime API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posted {
    /// Whether Lambda accepted the response.
    taken: bool,
    /// When posting ended.
    at: Timestamp,
}

impl Posted {
    /// Whether the response to a delivery was posted within the provider's deadline, as far as this process
    /// can know: Lambda accepted it, at most [`PROVIDER_DEADLINE`](budget::PROVIDER_DEADLINE) after the
    /// request reached the gateway. False when the gateway's time is later than ours by more than
    /// [`CLOCKS_DIFFER`]: the clocks then cannot be compared.
    fn is_in_time(self, arrival: Arrival) -> bool {
        let under_way = arrival.reached_gateway_at.unwrap_or(arrival.received_at).duration_until(self.at);
        self.taken && under_way >= -CLOCKS_DIFFER && under_way.unsigned_abs() <= budget::PROVIDER_DEADLINE
    }
}

/// The clock skew within which the gateway's clock and ours are still trusted. Clocks in one region usually
/// differ by milliseconds.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(1);

/// Reads the environment, builds the function's state with `build`, and calls `handle` for every event.
/// `handle` returns the response to the event, and the work to do after the response has been posted.
pub(crate) async fn serve<T, Event, Answer, Handled, Rest, After>(
    build: impl AsyncFnOnce(&Environment) -> Result<T, SettingsError>,
    handle: impl Fn(Arc<T>, LambdaEvent<Event>) -> Handled,
) -> ExitCode
where
    Event: DeserializeOwned,
    Answer: Serialize,
    Handled: Future<Output = (Answer, Rest)>,
    Rest: FnOnce(Posted) -> After + Send + 'static,
    After: Future<Output = ()> + Send + 'static,
{
    let environment = Environment::of_process();
    let built = match log::init(&environment) {
        Ok(()) => {
            metrics::init(&environment);
            build(&environment).await
        }
        Err(error) => Err(error),
    };
    let built = match built {
        Ok(built) => Arc::new(built),
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let after = AfterAnswer::default();
    let handler = service_fn(|event| {
        // Boxed: otherwise the nested future type exceeds the compiler's recursion limit.
        let handled = Box::pin(handle(Arc::clone(&built), event));
        let after = after.clone();
        async move {
            let (answer, rest) = handled.await;
            after.set(rest);
            Ok::<_, lambda_runtime::Error>(answer)
        }
    });
    // The layer wraps the service of the runtime that handles an event and posts its response.
    let layer = MapFutureLayer::new(|posted| after.clone().run_after(posted));
    match lambda_runtime::Runtime::new(handler).layer(layer).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

/// The work to do after a response has been posted and before the runtime asks for the next event.
///
/// Lambda passes a response on when the runtime posts it, and does not freeze the function before the runtime
/// asks for the next event. Work between the two does not delay the sender, and no freeze interrupts it. One
/// event is handled at a time, so there is at most one such piece of work.
#[derive(Clone, Default)]
struct AfterAnswer(Arc<Mutex<Option<ToDo>>>);

type ToDo = Box<dyn FnOnce(Posted) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl AfterAnswer {
    fn set<After: Future<Output = ()> + Send + 'static>(
        &self,
        rest: impl FnOnce(Posted) -> After + Send + 'static,
    ) {
        let rest: ToDo = Box::new(|posted| Box::pin(rest(posted)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }

    /// Waits until the response is posted, then does the work.
    ///
    /// # Errors
    /// The errors of posting. Also an error when the function's credentials have expired: it ends the
    /// process, and Lambda gives new credentials to a new process.
    async fn run_after<T>(
        self,
        posting: impl Future<Output = Result<T, lambda_runtime::Error>>,
    ) -> Result<T, lambda_runtime::Error> {
        log::REJECTED.store(false, Ordering::Relaxed);
        let result = posting.await;
        let taken = result.is_ok() && !log::REJECTED.load(Ordering::Relaxed);
        let rest = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(rest) = rest {
            rest(Posted { taken, at: Timestamp::now() }).await;
        }
        if CREDENTIALS_EXPIRED.load(Ordering::Relaxed) {
            return Err("the credentials have expired; Lambda starts another process with new ones".into());
        }
        result
    }
}

/// The SDK's settings, from the variables that Lambda gives every function. The SDK's own loader
/// (`aws-config`) is not used: it also looks for profiles, roles and instance metadata, which a function does
/// not have, and so adds megabytes of code and a good part of the start-up time.
///
/// All clients made from these settings share one HTTP client and its connections. Otherwise each client
/// would open its own connection, and wait for it at a cold start.
pub(crate) fn sdk_config(environment: &Environment) -> Result<SdkConfig, SettingsError> {
    let credentials = Credentials::new(
        environment.required(&AWS_ACCESS_KEY_ID)?,
        environment.required(&AWS_SECRET_ACCESS_KEY)?,
        environment.optional(&AWS_SESSION_TOKEN),
        None,
        "environment",
    );
    let http = Builder::new().tls_provider(Tls::Rustls(CryptoMode::AwsLc)).build_https();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(environment.required(&AWS_REGION)?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .use_fips(environment.flag(&AWS_USE_FIPS_ENDPOINT)?)
        .use_dual_stack(environment.flag(&AWS_USE_DUALSTACK_ENDPOINT)?)
        .http_client(http);
    config.set_endpoint_url(environment.optional(&AWS_ENDPOINT_URL));
    Ok(config.build())
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
            ("Self=1-a;Root=1-b", None),
            ("Root=1-5759e988-bd862e3fe1be46a99427279\u{e9}", None),
            ("Sampled=0", None),
            ("", None),
        ] {
            assert_eq!(trace_root(header).as_deref(), root, "{header}");
        }
    }
}
