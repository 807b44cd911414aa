//! A canned AWS for the few calls that the candidates make. It answers at once or after a set delay, and
//! counts the calls. Every condition holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A running canned AWS.
#[derive(Clone, Debug)]
pub struct Canned {
    /// The address, for `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// With TLS: a file with the certificates that clients must trust, the one of this server included.
    pub trust: Option<PathBuf>,
    state: Arc<State>,
}

/// What answers the calls.
#[derive(Clone, Debug)]
pub enum Behind {
    /// Fixed answers.
    Nothing,
    /// An in-memory table with the index of pending records.
    Table,
    /// Another endpoint, of the form `http://host:port`. The canned AWS only counts the calls and passes them
    /// on.
    Endpoint(String),
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The operation, such as `PutItem`.
    pub operation: String,
    /// When the call arrived.
    pub at: Instant,
    /// The size of the call's body, in bytes.
    pub bytes: usize,
}

#[derive(Debug)]
struct State {
    behind: Behind,
    delay_micros: AtomicU64,
    calls: Mutex<Vec<Call>>,
    table: Mutex<Table>,
}

impl Canned {
    /// Starts a canned AWS on a free port of 127.0.0.1.
    pub async fn start(behind: Behind) -> Result<Self> {
        Self::serve(behind, None).await
    }

    /// Starts a canned AWS with TLS and a new certificate.
    pub async fn start_tls() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let trust = trusted(&made.cert.pem())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut canned = Self::serve(Behind::Nothing, Some(acceptor)).await?;
        canned.trust = Some(trust);
        Ok(canned)
    }

    async fn serve(behind: Behind, tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", listener.local_addr()?);
        let state = Arc::new(State {
            behind,
            delay_micros: AtomicU64::new(0),
            calls: Mutex::default(),
            table: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => connection(state, stream).await,
                        Some(tls) => {
                            // a new connection takes two more round trips: one for TCP, one for the TLS
                            // handshake
                            state.wait(2).await;
                            if let Ok(stream) = tls.accept(stream).await {
                                connection(state, stream).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self { endpoint, trust: None, state })
    }

    /// Sets how long every call takes.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.state.delay_micros.store(micros, Ordering::Relaxed);
    }

    /// The calls since the last call of this method.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.state.calls))
    }

    /// The number of records in the table, and the number of pending ones.
    pub fn records(&self) -> (usize, usize) {
        let table = lock(&self.state.table);
        (table.items.len(), table.pending.len())
    }
}

/// Writes a file with our certificate and the system's certificates, because a function on AWS reads about as
/// many.
fn trusted(ours: &str) -> Result<PathBuf> {
    const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
    let system = std::fs::read_to_string(Path::new(SYSTEM)).unwrap_or_default();
    let path = local_stack::scratch().join(format!("figures-{}.pem", std::process::id()));
    std::fs::create_dir_all(local_stack::scratch())?;
    std::fs::write(&path, format!("{system}\n{ours}"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

impl Drop for State {
    fn drop(&mut self) {
        let _ =
            std::fs::remove_file(local_stack::scratch().join(format!("figures-{}.pem", std::process::id())));
    }
}

impl State {
    async fn wait(&self, times: u32) {
        let delay = Duration::from_micros(self.delay_micros.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay * times).await;
        }
    }
}

async fn connection(state: Arc<State>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = hyper::service::service_fn(move |request| call(Arc::clone(&state), request));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Handles one call. An error closes the connection without an answer.
async fn call(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
    lock(&state.calls).push(Call { operation: operation.clone(), at, bytes: body.len() });
    state.wait(1).await;
    if let Behind::Endpoint(endpoint) = &state.behind {
        let address = endpoint.trim_start_matches("http://");
        return Ok(local_stack::client::forward(address, Request::from_parts(parts, body))
            .await?
            .map(Full::new));
    }
    let answer = match operation.as_str() {
        "SendMessage" => sent(&serde_json::from_slice(&body)?),
        "SendMessageBatch" => sent_batch(&serde_json::from_slice(&body)?),
        "GetSecretValue" => json!({
            "ARN": "arn:aws:secretsmanager:eu-central-1:000000000000:secret:canned", "Name": "canned",
            "VersionId": "00000000-0000-0000-0000-000000000000", "SecretString": SECRET,
        }),
        "PutItem" | "UpdateItem" | "GetItem" | "DeleteItem" | "Query" => match state.behind {
            Behind::Table => lock(&state.table).answer(&operation, &serde_json::from_slice(&body)?)?,
            _ if operation == "Query" => json!({"Items": [], "Count": 0, "ScannedCount": 0}),
            _ => json!({}),
        },
        other => bail!("no answer to {other}"),
    };
    let content_type = parts.headers.get("content-type").cloned();
    let mut response = Response::new(Full::from(answer.to_string()));
    if let Some(content_type) = content_type {
        response.headers_mut().insert("content-type", content_type);
    }
    Ok(response)
}

/// The value of every secret.
pub const SECRET: &str = "local-umaaas-secret";

fn sent(message: &Value) -> Value {
    let mut answer = json!({
        "MessageId": "00000000-0000-0000-0000-000000000000",
        "SequenceNumber": "18849496460467696128",
        "MD5OfMessageBody": hex::encode(Md5::digest(message["MessageBody"].as_str().unwrap_or_default())),
    });
    if let Some(attributes) = message["MessageAttributes"].as_object() {
        answer["MD5OfMessageAttributes"] = md5_of(attributes).into();
    }
    answer
}

fn sent_batch(batch: &Value) -> Value {
    let entries = batch["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let successful = entries.iter().map(|entry| {
        let mut answer = sent(entry);
        answer["Id"] = entry["Id"].clone();
        answer
    });
    json!({"Successful": successful.collect::<Vec<_>>(), "Failed": []})
}

/// SQS's MD5 digest of string attributes, ordered by name. Each attribute is its name, its type, a byte 1 for
/// a string, and its value; name, type and value are preceded by their lengths.
fn md5_of(attributes: &Map<String, Value>) -> String {
    let mut digest = Md5::new();
    let by_name: BTreeMap<_, _> = attributes.iter().collect();
    for (name, attribute) in by_name {
        let field = |field: &str| attribute[field].as_str().unwrap_or_default();
        for (before, text) in
            [(&[][..], name.as_str()), (&[], field("DataType")), (&[1], field("StringValue"))]
        {
            digest.update(before);
            digest.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            digest.update(text);
        }
    }
    hex::encode(digest.finalize())
}

/// Records by key, and the index of the pending records by shard, time and key.
#[derive(Debug, Default)]
struct Table {
    items: BTreeMap<String, Map<String, Value>>,
    pending: BTreeMap<(String, u64, String), ()>,
}

impl Table {
    fn answer(&mut self, operation: &str, call: &Value) -> Result<Value> {
        let text = |value: &Value| value["S"].as_str().map(str::to_owned).context("no text");
        match operation {
            "PutItem" => {
                let item = call["Item"].as_object().context("no item")?.clone();
                self.put(text(&call["Item"]["pk"])?, item);
                Ok(json!({}))
            }
            "UpdateItem" => {
                let key = text(&call["Key"]["pk"])?;
                let mut item = self.items.get(&key).context("no such record")?.clone();
                update(&mut item, call)?;
                self.put(key, item.clone());
                Ok(if call["ReturnValues"] == "ALL_NEW" { json!({"Attributes": item}) } else { json!({}) })
            }
            "Query" => self.query(call),
            other => bail!("the table in memory has no {other}"),
        }
    }

    fn put(&mut self, key: String, item: Map<String, Value>) {
        if let Some(entry) = self.items.get(&key).and_then(|old| entry(&key, old)) {
            self.pending.remove(&entry);
        }
        if let Some(entry) = entry(&key, &item) {
            self.pending.insert(entry, ());
        }
        self.items.insert(key, item);
    }

    /// The only query that the functions make: the entries of a shard up to a time, oldest first.
    fn query(&self, call: &Value) -> Result<Value> {
        let values = call["ExpressionAttributeValues"].as_object().context("no values")?;
        let value = |kind: &str| values.values().find_map(|value| value[kind].as_str());
        let shard = value("S").context("no shard")?.to_owned();
        let until: u64 = value("N").context("no time")?.parse()?;
        let from = match entry_of(&call["ExclusiveStartKey"]) {
            Some((shard, due, key)) => (shard, due, key + "\0"),
            None => (shard.clone(), 0, String::new()),
        };
        let limit = usize::try_from(call["Limit"].as_u64().unwrap_or(u64::MAX))?;
        let due = self.pending.range(from..(shard, until + 1, String::new()));
        let mut items: Vec<Value> =
            due.take(limit.saturating_add(1)).map(|(entry, ())| keys(entry)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let mut answer = json!({"Count": items.len(), "ScannedCount": items.len()});
        if let (true, Some(last)) = (more, items.last()) {
            answer["LastEvaluatedKey"] = last.clone();
        }
        answer["Items"] = items.into();
        Ok(answer)
    }
}

fn entry(key: &str, item: &Map<String, Value>) -> Option<(String, u64, String)> {
    let shard = item.get("pending_shard")?["S"].as_str()?.to_owned();
    Some((shard, item.get("due_at")?["N"].as_str()?.parse().ok()?, key.to_owned()))
}

fn entry_of(key: &Value) -> Option<(String, u64, String)> {
    entry(key["pk"]["S"].as_str()?, key.as_object()?)
}

fn keys((shard, due, key): &(String, u64, String)) -> Value {
    json!({"pk": {"S": key}, "pending_shard": {"S": shard}, "due_at": {"N": due.to_string()}})
}

/// Applies an update expression of the form `SET a = :x, b = :y REMOVE c, d ADD e :n`.
fn update(item: &mut Map<String, Value>, call: &Value) -> Result<()> {
    let expression = call["UpdateExpression"].as_str().context("no update")?;
    let name = |name: &str| call["ExpressionAttributeNames"][name].as_str().unwrap_or(name).to_owned();
    let value = |placeholder: &str| call["ExpressionAttributeValues"][placeholder].clone();
    let mut clause = "";
    let mut words = expression.split([' ', ',']).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match (word, clause) {
            ("SET" | "REMOVE" | "ADD", _) => clause = word,
            (attribute, "SET") => {
                let equals = words.next();
                let operand = words.next().filter(|operand| equals == Some("=") && operand.starts_with(':'));
                item.insert(name(attribute), value(operand.context("an update of another form")?));
            }
            (attribute, "REMOVE") => {
                item.remove(&name(attribute));
            }
            (attribute, "ADD") => {
                let number =
                    |value: &Value| value["N"].as_str().and_then(|digits| digits.parse::<i64>().ok());
                let attribute = name(attribute);
                let old = item.get(&attribute).and_then(number).unwrap_or(0);
                let more = number(&value(words.next().unwrap_or_default())).context("no number to add")?;
                item.insert(attribute, json!({"N": (old + more).to_string()}));
            }
            _ => bail!("an update of another form: {expression}"),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
