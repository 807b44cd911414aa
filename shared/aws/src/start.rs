//! From the environment to the event loop.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_types::SdkConfig;
use ingest::{Arrival, Breakers, Provider, Receiver};
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
use crate::{DynamoDirectory, DynamoStore, Environment, SettingsError, SqsSink, budget, line, log, metrics};

/// Runs one provider's function until Lambda ends it. `keys` says which variables have the provider's keys. A wrong environment is logged and ends the
/// process, which Lambda reports as a failed start.
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
                let renewed = receiver.secrets.renew(Timestamp::now());
                let (report, ()) = tokio::join!(receiver.finish(received, confirmed), renewed);
                line::write(P::NAME, &delivery_id, &report);
            };
            (response, rest)
        },
    )
    .await
}

/// Everything that a delivery needs, with its connections open and its secrets read: what takes time is
/// done at once, and while Lambda does not count it.
async fn receiver<P: Provider>(
    environment: &Environment,
    keys: KeyVariables,
    provider: impl FnOnce(&Environment) -> Result<P, SettingsError>,
) -> Result<Receiver<P, ProviderSecrets, DynamoStore, SqsSink, DynamoDirectory>, SettingsError> {
    let queue_url = environment.required(&QUEUE_URL)?;
    let config = sdk_config(environment)?;
    let secrets = ProviderSecrets::from_environment(environment, &config, P::NAME, keys)?;
    let store = DynamoStore::from_environment(environment, &config)?;
    let sink = SqsSink::new(&config, queue_url, budget::FORWARD);
    let directory = DynamoDirectory::from_environment(environment, &config, P::NAME);
    let connect = environment.flag(&CONNECT_AT_START)?;
    let ready = async {
        let connections = async {
            if connect {
                tokio::join!(store.connect(), sink.connect());
            }
        };
        tokio::join!(secrets.load(Timestamp::now()), connections)
    };
    // The provider's own part is computation: it goes on while the others wait for answers.
    let (_, provider) = tokio::join!(ready, async { provider(environment) });
    Ok(Receiver {
        provider: provider?,
        secrets,
        store,
        sink,
        directory,
        clock: Timestamp::now,
        breakers: Breakers::default(),
    })
}

/// The id of a trace, from the header that says more about it (`Root=1-...;Parent=...;Sampled=1`).
fn trace_root(header: &str) -> Option<String> {
    let root = header.split(';').find_map(|part| part.strip_prefix("Root="))?;
    // `1-`, 8 digits, `-`, 24 digits (X-Ray, "Tracing header"); the header may have come from outside.
    let fits = root.len() == 35 && root.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    fits.then(|| root.to_owned())
}

/// What became of an answer when it was posted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posted {
    /// Whether Lambda took it.
    taken: bool,
    /// When that was known.
    at: Timestamp,
}

impl Posted {
    /// Whether the answer to a delivery has left in time for its provider, as far as we can know: Lambda took
    /// it, and the gateway's time for the request was less than [`PROVIDER_DEADLINE`](budget::PROVIDER_DEADLINE)
    /// ago. By a clock that differs from the gateway's that is not known.
    fn is_in_time(self, arrival: Arrival) -> bool {
        let under_way = arrival.reached_gateway_at.unwrap_or(arrival.received_at).duration_until(self.at);
        self.taken && under_way >= -CLOCKS_DIFFER && under_way.unsigned_abs() <= budget::PROVIDER_DEADLINE
    }
}

/// How far two clocks of one region may differ and still be right: both are kept to milliseconds.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(1);

/// Reads the environment, builds what the function needs from it, and hands it every event. What
/// `handle` returns is the answer, and what is to be done when the answer has left.
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
        // Boxed, or the type of the whole path would nest deeper than the compiler follows.
        let handled = Box::pin(handle(Arc::clone(&built), event));
        let after = after.clone();
        async move {
            let (answer, rest) = handled.await;
            after.set(rest);
            Ok::<_, lambda_runtime::Error>(answer)
        }
    });
    // Around the part of the runtime that handles an event and posts its answer.
    let layer = MapFutureLayer::new(|posted| after.clone().run_after(posted));
    match lambda_runtime::Runtime::new(handler).layer(layer).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

/// What is to be done when an answer has left, before the next event is asked for.
///
/// Lambda passes an answer on when the runtime posts it, and freezes the function when the runtime asks
/// for the next event (and not before). Between the two the function runs at nobody's expense but its own:
/// the sender does not wait, and nothing is lost to a freeze. One event is handled at a time, so there is
/// one thing to do at the most.
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

    /// Waits until the answer is posted, then does the rest.
    ///
    /// # Errors
    /// Those of posting; and when our credentials have expired: then the process has to end.
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

/// The SDK's settings, from the variables that Lambda gives every function. The SDK's own loader would
/// also look for profiles, roles and instances, where a function has none: that is megabytes of code and a
/// good part of the start.
///
/// All clients made from them share one HTTP client and its connections: left to itself each would open,
/// and at a cold start wait for, its own.
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
