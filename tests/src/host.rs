//! Runs built functions as Lambda would: behind a Runtime API, one invocation at a time.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use local::process::{Process, Program};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};

use crate::{unique, usage, wait_for};

/// A Lambda Runtime API. Every function that is started on it takes from the same line of requests.
#[derive(Clone, Debug)]
pub struct Host {
    address: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    line: Mutex<VecDeque<(String, Bytes)>>,
    grown: Notify,
    waiting: Mutex<HashMap<String, Waiting>>,
    polls: watch::Sender<Polls>,
    /// How many instances ask for an event right now.
    idle: AtomicUsize,
    init_errors: Mutex<Vec<String>>,
    /// Whether functions hear that their answers came too late.
    too_late: AtomicBool,
}

/// An invocation that is not answered yet.
#[derive(Debug)]
struct Waiting {
    handed_out: Option<Instant>,
    answer: oneshot::Sender<Result<Exchange, String>>,
}

/// How often a function has asked for an event, and when it did last.
#[derive(Clone, Copy, Debug, Default)]
struct Polls {
    count: usize,
    last: Option<Instant>,
}

/// An invocation, as the Runtime API sees it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When a function got the event.
    pub handed_out: Instant,
    /// When its response was there.
    pub responded: Instant,
    /// The response.
    pub response: Value,
}

/// How long an invocation may take. The longest has a function that is frozen for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// What the gateway would answer to the provider.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Value,
    /// The body.
    pub body: String,
    /// From the request to the answer.
    pub took: Duration,
}

impl Host {
    /// Starts listening on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Self { address: listener.local_addr().unwrap().to_string(), state: Arc::default() };
        let state = Arc::clone(&host.state);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let state = Arc::clone(&state);
                let service = hyper::service::service_fn(move |request| serve(Arc::clone(&state), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        host
    }

    /// Sends one event of API Gateway through a function. `Err` is a failed invocation, which the
    /// gateway would answer with 500.
    pub async fn invoke(&self, event: Value) -> Result<Answer, String> {
        let started = Instant::now();
        let response = self.invoke_raw(event).await?;
        Ok(Answer {
            status: u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap(),
            headers: response["headers"].clone(),
            body: response["body"].as_str().unwrap().to_owned(),
            took: started.elapsed(),
        })
    }

    /// Waits until so many instances have done all their work, that behind a reply too, and ask for the
    /// next event.
    pub async fn idle(&self, instances: usize) {
        let idle = || self.state.idle.load(Ordering::SeqCst);
        wait_for("the functions are done", ANSWER_WITHIN, async || idle() >= instances).await;
    }

    /// Sends any event through a function.
    pub async fn invoke_raw(&self, event: Value) -> Result<Value, String> {
        Ok(self.exchange(event.to_string().into()).await?.response)
    }

    /// Sends any event, which is JSON, through a function, and takes the times.
    pub async fn exchange(&self, event: Bytes) -> Result<Exchange, String> {
        self.exchange_as(unique(), event).await
    }

    /// The same, under a request id that the caller chooses. Lambda never gives one to two invocations;
    /// emulators and proxies do.
    pub async fn exchange_as(&self, id: String, event: Bytes) -> Result<Exchange, String> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.state.waiting).insert(id.clone(), Waiting { handed_out: None, answer: sender });
        lock(&self.state.line).push_back((id, event));
        self.state.grown.notify_one();
        tokio::time::timeout(ANSWER_WITHIN, receiver)
            .await
            .unwrap_or_else(|_| {
                panic!("no answer within {ANSWER_WITHIN:?}; init errors: {:?}", lock(&self.state.init_errors))
            })
            .map_err(|_| "the host is gone".to_owned())?
    }

    /// Whether functions hear from now on that their answers came too late, as Lambda says of an invocation
    /// that has timed out. The tests get the answers all the same.
    pub fn refuse_answers(&self, refuse: bool) {
        self.state.too_late.store(refuse, Ordering::SeqCst);
    }

    /// Its address, for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How often functions have asked for an event.
    pub fn polls(&self) -> usize {
        self.state.polls.borrow().count
    }

    /// Waits until functions have asked for an event that often, and says when they did last.
    pub async fn polled(&self, count: usize) -> Instant {
        let mut polls = self.state.polls.subscribe();
        let polls = polls.wait_for(|polls| polls.count >= count).await.unwrap();
        polls.last.unwrap()
    }

    /// What functions that could not start have said.
    pub fn init_errors(&self) -> Vec<String> {
        lock(&self.state.init_errors).clone()
    }
}

/// A POST as API Gateway passes it on (payload format 2.0).
pub fn post(path: &str, headers: &http::HeaderMap, body: &str) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"stage": "$default", "http": {"method": "POST", "path": path}},
        "body": body,
        "isBase64Encoded": false,
    })
}

/// One running instance of a function. Dropping it ends it.
#[derive(Debug)]
pub struct Function {
    process: Process,
    log: PathBuf,
}

impl Function {
    /// Starts an instance of a built binary.
    pub fn start(host: &Host, binary: &str, environment: &[(String, String)]) -> Self {
        let log = local::scratch().join(format!("{binary}-{}.log", unique()));
        let process = Program::new(binaries().join(binary))
            .without_env(|name| name.starts_with("AWS_"))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", host.address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", binary),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("RUST_BACKTRACE", "0"),
            ])
            .log(&log)
            .grace(Duration::ZERO)
            .start()
            .unwrap();
        Self { process, log }
    }

    /// Whether it has ended, and how.
    pub fn exited(&mut self) -> Option<std::process::ExitStatus> {
        self.process.exited().unwrap()
    }

    /// Kills it where it stands (SIGKILL).
    pub fn kill(mut self) {
        self.process.stop();
    }

    /// Stops it where it stands, as Lambda freezes a function between two events.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// The most memory it has had so far, in KB.
    pub fn peak_memory_kb(&self) -> usize {
        usage::peak_memory_kb(&self.pid())
    }

    fn signal(&self, signal: &str) {
        let status = std::process::Command::new("kill").arg(signal).arg(self.pid()).status();
        assert!(status.unwrap().success());
    }

    /// Its process id: it is the only child of its supervisor.
    fn pid(&self) -> String {
        let supervisor = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.unwrap().trim().to_owned()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.stop();
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// Where cargo puts the workspace's binaries: beside the folder of this test.
pub fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().join("debug")
}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let path = parts.uri.path().trim_start_matches("/2018-06-01/runtime").to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    Ok(match (parts.method, segments.as_slice()) {
        (Method::GET, ["invocation", "next"]) => next(&state).await,
        (Method::POST, ["invocation", id, "response"]) => {
            let responded = Instant::now();
            finish(&state, id, responded, serde_json::from_slice(&body).map_err(|error| error.to_string()))
        }
        (Method::POST, ["invocation", id, "error"]) => {
            finish(&state, id, Instant::now(), Err(String::from_utf8_lossy(&body).into_owned()))
        }
        (Method::POST, ["init", "error"]) => {
            lock(&state.init_errors).push(String::from_utf8_lossy(&body).into_owned());
            accepted()
        }
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()).unwrap(),
    })
}

/// Counts as long as it is there: an instance that is killed while it waits is not idle.
struct Idle<'a>(&'a AtomicUsize);

impl<'a> Idle<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn next(state: &State) -> Response<Full<Bytes>> {
    let _idle = Idle::new(&state.idle);
    let now = Instant::now();
    state.polls.send_modify(|polls| *polls = Polls { count: polls.count + 1, last: Some(now) });
    let (id, event) = loop {
        if let Some(first) = lock(&state.line).pop_front() {
            break first;
        }
        state.grown.notified().await;
    };
    if !lock(&state.line).is_empty() {
        state.grown.notify_one();
    }
    if let Some(waiting) = lock(&state.waiting).get_mut(&id) {
        waiting.handed_out = Some(Instant::now());
    }
    let deadline = jiff::Timestamp::now().as_millisecond() + 60_000;
    Response::builder()
        // as Lambda does; its Python client ends without one
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline)
        .header(
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:000000000000:function:local",
        )
        .header("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000")
        .body(Full::from(event))
        .unwrap()
}

fn finish(
    state: &State,
    id: &str,
    responded: Instant,
    result: Result<Value, String>,
) -> Response<Full<Bytes>> {
    if let Some(Waiting { handed_out, answer }) = lock(&state.waiting).remove(id) {
        let handed_out = handed_out.unwrap_or(responded);
        let _ = answer.send(result.map(|response| Exchange { handed_out, responded, response }));
    }
    if state.too_late.load(Ordering::SeqCst) {
        return Response::builder().status(StatusCode::GONE).body(Full::default()).unwrap();
    }
    accepted()
}

fn accepted() -> Response<Full<Bytes>> {
    Response::builder().status(StatusCode::ACCEPTED).body(Full::from(r#"{"status":"OK"}"#)).unwrap()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
