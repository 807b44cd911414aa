//! `cargo webhooks listen`: an address on this machine that shows what is posted to it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use local_stack::senders::SENDERS;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::diagnose::{Capture, Demand, Diagnosis, Freshness, diagnose, provider_of};
use crate::json_text::{self, Node};
use crate::print::{harmless, line};
use crate::secret_options::{KeyMaterial, Otherwise, SecretOptions};
use crate::target::TargetOptions;
use crate::verify;

/// The largest body that is shown, in bytes. API Gateway takes no larger one.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// How long a client may take for its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

/// Listens on 127.0.0.1 and shows every request: method, path, headers, body.
///
/// With a secret it also says whether the request verifies, for the providers it knows. It records nothing
/// and decides nothing. Nothing is masked, because it is local: the output has signatures and personal data
/// in it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks listen
  cargo webhooks listen --port 9100 --secret-local --status 503
  cargo webhooks listen --stack payment-webhooks --secret-stack
  cargo webhooks listen --port 0 --count 1 --json      (any free port; ends after one request)

Exit status: 0, also after Ctrl-C; 1, with a secret: a request did not verify; 2, wrong usage, or the port is
taken.")]
pub(crate) struct Options {
    /// The port on 127.0.0.1; 0 is any free one
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// The status of every reply
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// End after so many requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Weavr: which signature has to be there, as in WEAVR_SIGNATURE
    #[arg(long, value_enum, default_value_t)]
    scheme: Demand,
    #[command(flatten)]
    secret: SecretOptions,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// What every request is handled with.
struct Listener {
    status: StatusCode,
    scheme: Demand,
    /// By provider. Empty when nothing is verified.
    material: HashMap<&'static str, KeyMaterial>,
    json: bool,
    /// Says of each request whether it is as it should be.
    seen: mpsc::UnboundedSender<bool>,
}

/// Runs the command. `true`: no request failed to verify.
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (seen, mut results) = mpsc::unbounded_channel();
    let listener = Arc::new(Listener {
        status: StatusCode::from_u16(options.status)?,
        scheme: options.scheme,
        material: material(&options.secret, target).await?,
        json: options.json,
        seen,
    });
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.with_context(|| {
        format!("port {} on 127.0.0.1 cannot be used; choose another with --port", options.port)
    })?;
    eprintln!("listening on http://{}", socket.local_addr()?);
    eprintln!("nothing is masked, because this is local: signatures and personal data are in the output");

    let (mut count, mut all_verify) = (0, true);
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            accepted = socket.accept() => {
                // One connection that fails is the client's affair.
                let Ok((stream, _)) = accepted else { continue };
                let listener = Arc::clone(&listener);
                let service = service_fn(move |request| answer(Arc::clone(&listener), request));
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
            Some(verifies) = results.recv() => {
                count += 1;
                all_verify &= verifies;
                if Some(count) == options.count {
                    // The last reply is still on its way.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    break;
                }
            }
        }
    }
    // Requests that were answered in the moment in which the command was told to end.
    while let Ok(verifies) = results.try_recv() {
        count += 1;
        all_verify &= verifies;
    }
    eprintln!("{count} requests");
    Ok(all_verify)
}

async fn material(
    options: &SecretOptions,
    target: &TargetOptions,
) -> Result<HashMap<&'static str, KeyMaterial>> {
    let mut material = HashMap::new();
    if options.is_by_provider() {
        for provider in SENDERS {
            material.insert(provider.name, options.read(provider, Otherwise::Local, target).await?);
        }
    } else if options.is_given() {
        // It is read once, and tried for each provider that can sign so and whose headers a request has.
        let given = options.read_any()?;
        let fitting = SENDERS.iter().filter(|provider| given.fits(provider));
        material.extend(fitting.map(|provider| (provider.name, given.clone())));
    }
    Ok(material)
}

async fn answer(
    listener: Arc<Listener>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let verifies = listener.show(&parts, body.to_bytes());
            *response.status_mut() = listener.status;
            // Nobody waits for it when the command is about to end.
            let _ = listener.seen.send(verifies);
        }
        Err(error) => {
            eprintln!(
                "{} {}: the body cannot be read: {error}",
                parts.method,
                harmless(&parts.uri.to_string())
            );
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        }
    }
    Ok(response)
}

impl Listener {
    /// Shows a request. `false`: it should verify, and does not.
    fn show(&self, parts: &Parts, body: Bytes) -> bool {
        let now = Timestamp::now();
        let diagnosis = self.diagnose(parts, body.clone(), now);
        if self.json {
            let headers: Vec<Value> = parts
                .headers
                .iter()
                .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
                .collect();
            let object = json!({
                "time": now.to_string(), "method": parts.method.as_str(), "path": parts.uri.to_string(),
                "headers": headers, "body": String::from_utf8_lossy(&body), "verification": diagnosis,
            });
            line(&object.to_string());
        } else {
            let mut text = format!("\n{now}  {} {}\n", parts.method, parts.uri);
            for (name, value) in &parts.headers {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            text.push_str(&format!("\n{}", pretty(&body)));
            let text = harmless(&text);
            match &diagnosis {
                Some(diagnosis) => line(&format!("{text}\n{}", verify::text(diagnosis))),
                None if self.material.is_empty() => line(&text),
                None => line(&format!("{text}\nno header of a known provider: nothing to verify")),
            }
        }
        diagnosis.is_none_or(|diagnosis| diagnosis.verifies)
    }

    /// `None` when there is no secret, or no signature of a known provider.
    fn diagnose(&self, parts: &Parts, body: Bytes, now: Timestamp) -> Option<Diagnosis> {
        let provider = provider_of(&parts.headers)?;
        let material = self.material.get(provider.name)?;
        let capture = Capture { provider, demand: self.scheme, headers: parts.headers.clone(), body };
        Some(diagnose(&capture, material, Freshness { received_at: now, tolerance: None }))
    }
}

fn pretty(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match Node::parse(&text) {
        _ if body.is_empty() => "(no body)\n".to_owned(),
        Some(node) => node.write(json_text::PRETTY) + "\n",
        None => format!("{text}\n"),
    }
}
