//! Runs built functions like Lambda: behind a Runtime API, with one invocation at a time per instance.

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
use local_stack::process::{Process, Program};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};

use crate::{unique, usage, wait_for};

/// A Lambda Runtime API. All functions that are started on it take events from the same line.
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
    /// How many instances are waiting for an event.
    idle: AtomicUsize,
    init_errors: Mutex<Vec<String>>,
    /// Whether the Runtime API refuses every response with status 410, as if it were too late.
    too_late: AtomicBool,
}

/// An invocation that has no response yet.
#[derive(Debug)]
struct Waiting {
    handed_out: Option<Instant>,
    answer: oneshot::Sender<Result<Exchange, String>>,
}

/// How often functions have asked for an event, and the time of the last request.
#[derive(Clone, Copy, Debug, Default)]
struct Polls {
    count: usize,
    last: Option<Instant>,
}

/// An invocation, as the Runtime API sees it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When a function received the event.
    pub handed_out: Instant,
    /// When the function's response arrived.
    pub responded: Instant,
    /// The response.
    pub response: Value,
}

/// How long an invocation may take. In the longest one, a test freezes the function for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// The reply that the gateway would send to the provider.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Value,
    /// The body.
    pub body: String,
    /// The time from sending the event to the reply.
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

    /// Sends an event of API Gateway to a function and returns the reply. `Err` is a failed invocation, which
    /// the gateway would answer with 500.
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

    /// Waits until this many instances have finished all their work, also the work after a reply, and ask for
    /// the next event.
    pub async fn idle(&self, instances: usize) {
        let idle = || self.state.idle.load(Ordering::SeqCst);
        wait_for("the functions are done", ANSWER_WITHIN, async || idle() >= instances).await;
    }

    /// Sends any event to a function and returns the response.
    pub async fn invoke_raw(&self, event: Value) -> Result<Value, String> {
        Ok(self.exchange(event.to_string().into()).await?.response)
    }

    /// Sends any event, given as JSON, to a function, and returns the response with its times.
    pub async fn exchange(&self, event: Bytes) -> Result<Exchange, String> {
        self.exchange_as(unique(), event).await
    }

    /// Like [`exchange`](Self::exchange), with a request id that the caller chooses. Lambda never uses a
    /// request id twice, but emulators and proxies do.
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

    /// Sets whether the Runtime API refuses responses from now on, as Lambda does after an invocation has
    /// timed out. The tests still get the responses.
    pub fn refuse_answers(&self, refuse: bool) {
        self.state.too_late.store(refuse, Ordering::SeqCst);
    }

    /// The address of this Runtime API, for `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How often functions have asked for an event.
    pub fn polls(&self) -> usize {
        self.state.polls.borrow().count
    }

    /// Waits until functions have asked for an event `count` times, and returns the time of the last request.
    pub async fn polled(&self, count: usize) -> Instant {
        let mut polls = self.state.polls.subscribe();
        let polls = polls.wait_for(|polls| polls.count >= count).await.unwrap();
        polls.last.unwrap()
    }

    /// The errors that functions have reported because they could not start.
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

/// One running instance of a function. Dropping the value ends the instance.
#[derive(Debug)]
pub struct Function {
    process: Process,
    log: PathBuf,
}

impl Function {
    /// Starts an instance of a built binary.
    pub fn start(host: &Host, binary: &str, environment: &[(String, String)]) -> Self {
        let log = local_stack::scratch().join(format!("{binary}-{}.log", unique()));
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

    /// The exit status, or `None` while the instance is running.
    pub fn exited(&mut self) -> Option<std::process::ExitStatus> {
        self.process.exited().unwrap()
    }

    /// Kills the instance at once (SIGKILL).
    pub fn kill(mut self) {
        self.process.stop();
    }

    /// Suspends the instance (SIGSTOP), as Lambda freezes a function between two events.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Resumes a suspended instance (SIGCONT).
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// The peak memory of the instance so far, in KB.
    pub fn peak_memory_kb(&self) -> usize {
        usage::peak_memory_kb(&self.pid())
    }

    fn signal(&self, signal: &str) {
        let status = std::process::Command::new("kill").arg(signal).arg(self.pid()).status();
        assert!(status.unwrap().success());
    }

    /// The process id of the instance, which is the only child of its supervisor.
    fn pid(&self) -> String {
        let supervisor = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"));
        children.unwrap().trim().to_owned()
    }

    /// Everything that the instance has logged.
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

/// The folder in which cargo puts the workspace's development binaries. It is found from the path of this
/// test program.
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

/// Counts a waiting instance until the value is dropped. So an instance that is killed while it waits no
/// longer counts.
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
        // Lambda sends this header, and its Python client requires it
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
