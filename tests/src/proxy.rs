//! A proxy between a function and AWS that injects faults into the calls of chosen operations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call reaches AWS this much later, so its answer is late too.
    Delay(Duration),
    /// The call reaches AWS, but its answer is lost; the connection stays open.
    LoseAnswer,
    /// The call does not reach AWS and gets no answer; the connection stays open.
    Hang,
    /// The call does not reach AWS; the connection is closed.
    Drop,
    /// The call does not reach AWS; the answer is a throttling error.
    Throttle,
    /// Of the items that have one value in this attribute, only so many are written each second. Further calls do not
    /// reach AWS and are throttled, as when the attribute is the partition key of an index.
    ThrottleAbove {
        /// The name of the attribute, a text.
        attribute: &'static str,
        /// How many writes of one value reach AWS in a second.
        a_second: usize,
    },
    /// A call whose body contains a text does not reach AWS; the answer is an error, such as
    /// `AccessDeniedException`.
    Refuse {
        /// The error code.
        error: &'static str,
        /// The text. An empty text matches every call.
        holding: &'static str,
    },
    /// The call does not reach AWS; the answer is an internal server error.
    Fail,
    /// The call does not reach AWS; the answer says that the transaction conflicts with another one. No
    /// emulator gives this answer by itself.
    Contend,
}

/// Which calls get which fault.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The operation, such as `PutItem`.
    pub operation: &'static str,
    /// The fault.
    pub fault: Fault,
    /// How many calls get the fault; `None` for all.
    pub times: Option<usize>,
}

impl Rule {
    fn is_for(&self, operation: &str, body: &[u8]) -> bool {
        let holds = match self.fault {
            Fault::Refuse { holding, .. } => String::from_utf8_lossy(body).contains(holding),
            _ => true,
        };
        self.operation == operation && self.times != Some(0) && holds
    }
}

/// A call that arrived at the proxy.
#[derive(Clone, Debug)]
pub struct Call {
    /// The version of the service's API and the operation, such as `DynamoDB_20120810.PutItem`.
    pub target: String,
    /// The parameters of the call.
    pub parameters: Value,
}

impl Call {
    /// The operation, such as `PutItem`.
    pub fn operation(&self) -> &str {
        self.target.rsplit('.').next().unwrap_or_default()
    }
}

/// A running proxy.
#[derive(Clone, Debug)]
pub struct FaultProxy {
    /// The address of the proxy, to use instead of the address of AWS.
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
    /// When the current second of a value began, and how many writes of it there have been since then.
    seconds: Mutex<HashMap<String, (Instant, usize)>>,
}

impl FaultProxy {
    /// Starts a proxy in front of `target`, an address of the form `http://host:port`.
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
            seconds: Mutex::default(),
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

    /// Replaces the rules. The first rule that matches a call applies.
    pub fn set(&self, rules: impl IntoIterator<Item = Rule>) {
        *self.state.rules.lock().unwrap() = rules.into_iter().collect();
    }

    /// How many calls have been left without an answer so far, by [`Fault::Hang`] or [`Fault::LoseAnswer`].
    pub fn held(&self) -> usize {
        self.state.held.load(Ordering::SeqCst)
    }

    /// How many pings there have been: GET requests that only open a connection.
    pub fn pings(&self) -> usize {
        self.state.pings.load(Ordering::SeqCst)
    }

    /// The operations that have been called since the last call of this method, in order.
    /// [Pings](Self::pings) are left out.
    pub fn take_calls(&self) -> Vec<String> {
        self.take_whole_calls().iter().map(|call| call.operation().to_owned()).collect()
    }

    /// Like [`take_calls`](Self::take_calls), with the parameters of each call.
    pub fn take_whole_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.calls.lock().unwrap())
    }
}

impl State {
    /// Never returns, so the call gets no answer.
    async fn hold<T>(&self) -> T {
        self.held.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    /// The fault of a call with this body. Counts it.
    fn fault(&self, operation: &str, body: &[u8]) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| rule.is_for(operation, body))?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault)
    }

    /// Counts a write of this value, and says whether it is one too many for this second.
    fn is_above(&self, value: &str, a_second: usize) -> bool {
        let mut seconds = self.seconds.lock().unwrap();
        let (began, count) = seconds.entry(value.to_owned()).or_insert((Instant::now(), 0));
        if began.elapsed() >= Duration::from_secs(1) {
            (*began, *count) = (Instant::now(), 0);
        }
        if *count == a_second {
            return true;
        }
        *count += 1;
        false
    }
}

/// Handles one call. An error closes the connection without an answer.
async fn call(state: Arc<State>, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let target = target.unwrap_or_default().to_owned();
    let call = Call { target, parameters: serde_json::from_slice(&body).unwrap_or_default() };
    let fault = state.fault(call.operation(), &body);
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
        Some(Fault::ThrottleAbove { attribute, a_second }) => {
            let parameters: Value = serde_json::from_slice(request.body()).unwrap_or_default();
            let value = parameters["Item"][attribute]["S"].as_str();
            if value.is_some_and(|value| state.is_above(value, a_second)) {
                answer(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException")
            } else {
                forward(&state.target, request).await
            }
        }
        Some(Fault::Refuse { error, .. }) => answer(StatusCode::BAD_REQUEST, error),
        Some(Fault::Contend) => contention(request.body()),
        Some(Fault::Fail) => answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
    }
}

async fn forward(target: &str, request: Request<Bytes>) -> anyhow::Result<Response<Full<Bytes>>> {
    Ok(local_stack::client::forward(target, request).await?.map(Full::new))
}

/// The last item of a transaction is the one that another transaction uses.
fn contention(body: &[u8]) -> anyhow::Result<Response<Full<Bytes>>> {
    let parameters: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = parameters["TransactItems"].as_array().map_or(2, Vec::len);
    let mut reasons = vec![json!({"Code": "None"}); items];
    reasons[items - 1] = json!({"Code": "TransactionConflict", "Message": "injected"});
    let error = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body = json!({
        "__type": error,
        "Message": "injected",
        "CancellationReasons": reasons,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule counts the calls that get its fault, and no others: a call with another operation or body leaves the
    /// rule as it is, and the next rule may apply to it.
    #[tokio::test]
    async fn a_rule_counts_the_calls_that_get_its_fault() {
        let proxy = FaultProxy::start("http://127.0.0.1:1").await;
        let refuse = |holding| Fault::Refuse { error: "AccessDeniedException", holding };
        let rule = |operation, fault, times| Rule { operation, fault, times };
        proxy.set([
            rule("PutItem", refuse("one"), Some(1)),
            rule("PutItem", refuse(""), Some(2)),
            rule("PutItem", Fault::Hang, None),
            rule("GetItem", Fault::Drop, Some(1)),
        ]);
        for (operation, body, expected) in [
            ("PutItem", "two", Some(refuse(""))),
            ("GetItem", "one", Some(Fault::Drop)),
            ("GetItem", "one", None),
            ("PutItem", "one", Some(refuse("one"))),
            ("PutItem", "one", Some(refuse(""))),
            ("PutItem", "one", Some(Fault::Hang)),
            ("PutItem", "one", Some(Fault::Hang)),
        ] {
            assert_eq!(proxy.state.fault(operation, body.as_bytes()), expected, "{operation} {body}");
        }
    }
}
