//! A proxy between a function and AWS that breaks what it is told to break, by operation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It arrives, and its answer leaves, this much later.
    Delay(Duration),
    /// It arrives, and its answer never leaves; the connection stays open.
    LoseAnswer,
    /// It never arrives, and nothing answers; the connection stays open.
    Hang,
    /// It never arrives; the connection is closed.
    Drop,
    /// It never arrives; the service says that there are too many calls.
    Throttle,
    /// It never arrives, if its body holds a text (and any does an empty one); the service refuses it with an
    /// error, as in `AccessDeniedException`.
    Refuse {
        /// The error.
        error: &'static str,
        /// The text.
        holding: &'static str,
    },
    /// It never arrives; the service fails.
    Fail,
    /// It never arrives; the service says that another transaction has one of two items. No emulator says so.
    Contend,
}

/// Which calls a fault hits.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The operation, as in `PutItem`.
    pub operation: &'static str,
    /// What goes wrong.
    pub fault: Fault,
    /// How often; `None` for always.
    pub times: Option<usize>,
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service's version of its interface and the operation, as in `DynamoDB_20120810.PutItem`.
    pub target: String,
    /// What it was called with.
    pub parameters: Value,
}

impl Call {
    /// The operation, as in `PutItem`.
    pub fn operation(&self) -> &str {
        self.target.rsplit('.').next().unwrap_or_default()
    }
}

/// A running proxy.
#[derive(Clone, Debug)]
pub struct FaultProxy {
    /// Its address, in place of AWS's.
    pub endpoint: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: String,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
    held: AtomicUsize,
    pings: AtomicUsize,
}

impl FaultProxy {
    /// Starts one in front of an address of the form `http://host:port`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let target = target.strip_prefix("http://").unwrap().to_owned();
        let state = Arc::new(State {
            target,
            rules: Mutex::default(),
            calls: Mutex::default(),
            held: AtomicUsize::new(0),
            pings: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let state = Arc::clone(&serving);
                let service = hyper::service::service_fn(move |request| call(Arc::clone(&state), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { endpoint, state }
    }

    /// Replaces the rules; the first that fits a call counts.
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        *self.state.rules.lock().unwrap() = rules.into_iter().collect();
    }

    /// How many calls have been held back so far: at [`Fault::Hang`] before they arrived, at
    /// [`Fault::LoseAnswer`] after.
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::SeqCst)
    }

    /// How many GETs there have been, which open a connection and ask for nothing.
    pub fn pings(&self) -> usize {
        self.state.pings.load(Ordering::SeqCst)
    }

    /// The operations that have been called, in order, since the last time this was asked. A
    /// [ping](Self::pings) is none.
    pub fn take_calls(&self) -> Vec<String> {
        self.take_whole_calls().iter().map(|call| call.operation().to_owned()).collect()
    }

    /// The same with all that they said.
    pub fn take_whole_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.calls.lock().unwrap())
    }
}

impl State {
    /// Never answers.
    async fn hold<T>(&self) -> T {
        self.held.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    fn fault(&self, operation: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.operation == operation && rule.times != Some(0))?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault)
    }
}

/// One call. An error closes the connection without an answer.
async fn call(state: Arc<State>, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.unwrap_or_default().to_owned();
    let call = Call { target, parameters: serde_json::from_slice(&body).unwrap_or_default() };
    let fault = state.fault(call.operation());
    if parts.method == Method::GET {
        state.pings.fetch_add(1, Ordering::SeqCst);
    } else {
        state.calls.lock().unwrap().push(call);
    }
    let request = Request::from_parts(parts, body);
    match fault {
        None => forward(&state.target, request).await,
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            forward(&state.target, request).await
        }
        Some(Fault::LoseAnswer) => {
            forward(&state.target, request).await?;
            state.hold().await
        }
        Some(Fault::Hang) => state.hold().await,
        Some(Fault::Drop) => anyhow::bail!("dropped"),
        Some(Fault::Throttle) => answer(StatusCode::BAD_REQUEST, "ThrottlingException"),
        Some(Fault::Refuse { error, holding }) => {
            if String::from_utf8_lossy(request.body()).contains(holding) {
                answer(StatusCode::BAD_REQUEST, error)
            } else {
                forward(&state.target, request).await
            }
        }
        Some(Fault::Contend) => contention(),
        Some(Fault::Fail) => answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    }
}

async fn forward(target: &str, request: Request<Bytes>) -> anyhow::Result<Response<Full<Bytes>>> {
    Ok(local::client::forward(target, request).await?.map(Full::new))
}

fn contention() -> anyhow::Result<Response<Full<Bytes>>> {
    let error = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body = json!({
        "__type": error,
        "Message": "injected",
        "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "injected"}],
    });
    Ok(Response::builder()
        .status(StatusCode::BAD_REQUEST)
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::from(body.to_string()))?)
}

fn answer(status: StatusCode, error: &str) -> anyhow::Result<Response<Full<Bytes>>> {
    let body = format!(r#"{{"__type":"com.amazonaws.service#{error}","message":"injected"}}"#);
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-errortype", error)
        .body(Full::from(body))?)
}
