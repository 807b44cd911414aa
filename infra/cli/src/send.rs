//! `cargo webhooks send`: a signed sample, sent as the provider would send it.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use http::Request;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use local_stack::keys::SigningKey;
use local_stack::table::aligned;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use verify::Delivery;

use crate::json_text::Node;
use crate::kinds::Named;
use crate::print::{Colour, coloured, harmless, line, print};
use crate::request::{self, base, is_local};
use crate::secret_options::{Otherwise, SecretOptions};
use crate::target::{Address, TargetOptions};

/// How long a reply may take. On this machine a function may have to be built first.
const LOCAL_WITHIN: Duration = Duration::from_secs(120);
/// How long a reply may take elsewhere: the gateway waits no longer.
const WITHIN: Duration = Duration::from_secs(35);
/// After how long the wait is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(5);

/// How many events may be under way at once with `--rate`.
const AT_ONCE: usize = 200;

/// After these the event is recorded.
const ACKNOWLEDGED: [u16; 5] = [200, 202, 403, 409, 422];

/// A time of sending that is too old for every tolerance.
const LONG_AGO: &str = "2000-01-01T00:00:00Z";
const LONG_AGO_MILLISECONDS: u64 = 946_684_800_000;

/// Sends a signed webhook, and prints status, time and reply.
///
/// Without --url and --stack it goes to `cargo dev`. The body is that of a sample, as a new event: it has an id and a
/// time of its own. For an address on this machine the secret is that of `cargo dev`; for any other it is
/// read from stdin unless an option says otherwise. Grid, and UMAaaS since 2025-05-30, sign with a private key: give
/// one in PEM whose public key the receiver has.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks send --list
  cargo webhooks send umaaas.incoming_payment --set transaction.receivedAmount.amount=200000
  cargo webhooks send weavr.managed_cards.settlement --duplicate
  cargo webhooks send umaaas.test --repeat 100 --rate 20 --json
  cargo webhooks send umaaas.test --stack payment-webhooks --secret-stack
  printf %s \"$secret\" | cargo webhooks send umaaas.test --url https://hooks.example.com
  cargo webhooks send grid.test --url https://hooks.example.com --secret-stdin < private-key.pem

With --set, PATH has dots between names and positions in lists, and VALUE is JSON, or else a text.

Exit status: 0, every reply is the documented one (of an edited body: any after which the event is recorded);
1, another reply; 2, wrong usage, an input that cannot be read, or nobody answers.")]
pub(crate) struct Options {
    /// Which sample, as in the list
    #[arg(value_name = "KIND", required_unless_present = "list")]
    kind: Option<String>,
    /// Show the kinds
    #[arg(long, conflicts_with_all = ["set", "file"])]
    list: bool,
    /// Change a field of the body
    #[arg(long, value_name = "PATH=VALUE", value_parser = Edit::parse)]
    set: Vec<Edit>,
    /// Send the body in this file, at the kind's path
    #[arg(long, value_name = "BODY")]
    file: Option<PathBuf>,
    /// Send the file as it is: with its own id and time
    #[arg(long, requires = "file")]
    as_is: bool,
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    repeat: u32,
    /// How many events a second; one after the other unless given
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    #[command(flatten)]
    variant: Variant,
    #[command(flatten)]
    secret: SecretOptions,
    /// The status that the last delivery of each event has to get
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..=599))]
    expect: Option<u16>,
    /// Print JSON: one object a line, of --list one list
    #[arg(long)]
    json: bool,
}

/// What is special about the delivery.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(multiple = false)]
struct Variant {
    /// Send the event twice, byte for byte
    #[arg(long)]
    duplicate: bool,
    /// Send the event, then another one with its identity: other content, or (Weavr) another path
    #[arg(long)]
    conflict: bool,
    /// Sign with a guess instead of the secret
    #[arg(long)]
    forge: bool,
    /// Date it in the year 2000, so that it is too old for every tolerance
    #[arg(long)]
    stale: bool,
    /// Sign with a secret that the receiver does not have yet, then send it again with the right one
    #[arg(long)]
    late_secret: bool,
}

/// One `--set`.
#[derive(Clone, Debug)]
struct Edit {
    path: Vec<String>,
    value: Value,
}

/// One delivery, and the statuses that it may get.
struct Planned {
    what: &'static str,
    delivery: Delivery,
    expected: Vec<u16>,
}

/// Everything that makes an event.
struct Plan {
    named: Named,
    /// The text that every event is made from.
    body: String,
    /// Whether it is sent as it is.
    as_is: bool,
    edits: Vec<Edit>,
    variant: Variant,
    key: SigningKey,
    expect: Option<u16>,
    /// Whether the body is no sample any more.
    edited: bool,
    /// What a stale delivery may get.
    stale: Vec<u16>,
}

/// What all deliveries share.
struct Receiver {
    url: String,
    within: Duration,
    json: bool,
    kind: String,
}

/// Runs the command. `true`: every reply was one of the expected ones.
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    if options.list {
        list(options.json);
        return Ok(true);
    }
    let named = Named::find(options.kind.as_deref().unwrap_or_default())?;
    let Address { base: url, local } = target.address().await?;
    let otherwise = if is_local(&url) { Otherwise::Local } else { Otherwise::Stdin };
    let key = options.secret.read(named.provider, otherwise, target).await?.signing_key()?;
    // Whoever gets a signed delivery can post it again.
    ensure!(
        is_local(&url) || url.starts_with("https://"),
        "{url}: only https:// to another machine, because the delivery is signed"
    );
    if options.secret.is_of_stack() && !is_local(&url) {
        let own = target.stack().await?.and_then(|stack| stack.outputs.get("UmaaasUrl").cloned());
        let own = own.map(|own| base(&own)).transpose()?;
        ensure!(
            own.as_ref() == Some(&url),
            "{url} is not the stack's own address, and must not get its signature"
        );
    }
    let tolerance = format!("{}_TIMESTAMP_TOLERANCE_SECONDS", named.provider.name.to_uppercase());
    // `cargo dev` takes any age, unless it is told otherwise. The template does not.
    let any_age = local.is_some_and(|local| local.get(&tolerance).is_none_or(|value| value == "0"));
    let stale = vec![if any_age { named.sample.status } else { 401 }];

    let plan = Plan {
        body: body(named, options.file.as_ref())?,
        edited: options.file.is_some() || !options.set.is_empty(),
        as_is: options.as_is,
        named,
        edits: options.set,
        variant: options.variant,
        key,
        expect: options.expect,
        stale,
    };
    // A mistake in the edits shows before anything is sent.
    plan.event()?;
    let within = if is_local(&url) { LOCAL_WITHIN } else { WITHIN };
    eprintln!("posting to {url}{}", named.sample.path);
    let receiver = Arc::new(Receiver { url, within, json: options.json, kind: named.name() });
    send_all(&plan, &receiver, options.repeat, options.rate).await
}

async fn send_all(plan: &Plan, receiver: &Arc<Receiver>, repeat: u32, rate: Option<f64>) -> Result<bool> {
    let started = Instant::now();
    let mut under_way = JoinSet::new();
    let mut as_expected = true;
    for number in 1..=repeat {
        let at_once = if rate.is_some() { AT_ONCE } else { 1 };
        while under_way.len() >= at_once {
            as_expected &= under_way.join_next().await.context("it has just been there")???;
        }
        if let Some(rate) = rate {
            let due = Duration::try_from_secs_f64(f64::from(number - 1) / rate)?;
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
        }
        let event = plan.event()?;
        let receiver = Arc::clone(receiver);
        under_way.spawn(async move { receiver.deliver(number, event).await });
    }
    while let Some(done) = under_way.join_next().await {
        as_expected &= done??;
    }
    if repeat > 1 {
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{repeat} events in {seconds:.1} s, {:.1} a second", f64::from(repeat) / seconds);
    }
    Ok(as_expected)
}

impl Receiver {
    /// Sends the deliveries of one event, one after the other.
    async fn deliver(&self, number: u32, event: Vec<Planned>) -> Result<bool> {
        let mut as_expected = true;
        for planned in event {
            let Planned { what, delivery, expected } = planned;
            let mut request = Request::post(format!("{}{}", self.url, delivery.path)).body(delivery.body)?;
            *request.headers_mut() = delivery.headers;
            request.headers_mut().insert(CONTENT_TYPE, "application/json".parse()?);
            let answer = tokio::select! {
                answer = request::send(request, self.within) => answer,
                never = explain_later(&self.url) => match never {},
            };
            let answer = answer.map_err(|error| {
                if is_local(&self.url) { error.context("is `cargo dev` running?") } else { error }
            })?;
            let status = answer.response.status().as_u16();
            let good =
                if expected.is_empty() { ACKNOWLEDGED.contains(&status) } else { expected.contains(&status) };
            as_expected &= good;
            let reply = String::from_utf8_lossy(answer.response.body()).into_owned();
            let milliseconds = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX);
            if self.json {
                let object = json!({
                    "event": number, "kind": self.kind, "sent": what, "path": delivery.path, "status": status,
                    "expected": expected, "as_expected": good, "milliseconds": milliseconds, "reply": reply,
                });
                line(&object.to_string());
            } else {
                let colour = if good { Colour::Green } else { Colour::Red };
                let verdict = coloured(if good { "ok   " } else { "WRONG" }, colour);
                let other = if good || expected.is_empty() {
                    String::new()
                } else {
                    format!(
                        "  expected {}",
                        expected.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
                    )
                };
                let reply = harmless(reply.trim());
                line(
                    format!(
                        "{verdict}  {number:>4}  {what:<16}  {status}{other}  {milliseconds:>5} ms  {reply}"
                    )
                    .trim_end(),
                );
            }
        }
        Ok(as_expected)
    }
}

/// Explains a long wait once, and then waits for ever.
async fn explain_later(url: &str) -> Infallible {
    tokio::time::sleep(EXPLAIN_AFTER).await;
    let why = if is_local(url) { "; a function may have to be built first" } else { "" };
    eprintln!("still waiting for a reply{why}");
    std::future::pending().await
}

impl Plan {
    /// A new event, and how it is delivered.
    fn event(&self) -> Result<Vec<Planned>> {
        let Named { provider, sample } = self.named;
        let weavr = provider.name == "weavr";
        let mut body = self.body.clone();
        if !self.as_is {
            body = match (provider.renew)(&body) {
                Ok(renewed) => now(&renewed).unwrap_or(renewed),
                // Somebody wants to see what comes of such a body.
                Err(_) => body,
            };
        }
        if self.variant.stale && !weavr {
            body = replaced(&body, "timestamp", &format!("{LONG_AGO:?}")).unwrap_or(body);
        }
        let body = edited(&body, &self.edits)?;

        let sent_at = if self.variant.stale { LONG_AGO_MILLISECONDS } else { next_millisecond() };
        let deliver = |path: &str, body: &str, key: &SigningKey| {
            let mut delivery = Delivery::new(path, body.to_owned());
            if weavr {
                delivery.headers.insert("published-timestamp", sent_at.into());
            }
            (provider.sign)(&mut delivery, key);
            delivery
        };
        let accepted = if self.edited { vec![] } else { vec![sample.status] };
        let guess = || {
            let text = format!("a guess {:016x}", RandomState::new().hash_one(&body));
            match self.key {
                SigningKey::Secret(_) => SigningKey::secret(&text),
                SigningKey::Private(_) => SigningKey::new_private(),
            }
        };
        let planned =
            |what, delivery, expected: &[u16]| Planned { what, delivery, expected: expected.to_vec() };
        let genuine = || deliver(sample.path, &body, &self.key);
        let Variant { duplicate, conflict, forge, stale, late_secret } = self.variant;
        let mut deliveries = if duplicate {
            let again = planned("the same again", genuine(), &[provider.duplicate_status]);
            vec![planned("the event", genuine(), &accepted), again]
        } else if conflict {
            let other = if weavr {
                let other = provider.samples.iter().find(|other| other.path != sample.path);
                deliver(other.context("there is one path only")?.path, &body, &self.key)
            } else {
                deliver(sample.path, &format!("{body}\n"), &self.key)
            };
            let expected = if self.edited { vec![] } else { vec![provider.duplicate_status] };
            vec![planned("the event", genuine(), &accepted), planned("a conflict", other, &expected)]
        } else if forge {
            vec![planned("a forgery", deliver(sample.path, &body, &guess()), &[provider.forgery_status])]
        } else if stale {
            vec![planned("a stale event", genuine(), &self.stale)]
        } else if late_secret {
            let early = deliver(sample.path, &body, &guess());
            vec![
                planned("a new secret", early, &[provider.forgery_status]),
                planned("sent again", genuine(), &accepted),
            ]
        } else {
            vec![planned("the event", genuine(), &accepted)]
        };
        if let (Some(expect), Some(last)) = (self.expect, deliveries.last_mut()) {
            last.expected = vec![expect];
        }
        Ok(deliveries)
    }
}

impl Edit {
    fn parse(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("PATH=VALUE is needed")?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err("PATH is names with dots between them".to_owned());
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { path, value })
    }

    fn apply(&self, body: &mut Value) -> Result<()> {
        let mut place = body;
        for name in &self.path {
            place = match place {
                Value::Object(members) => members.entry(name.clone()).or_insert(Value::Null),
                Value::Array(entries) => {
                    let length = entries.len();
                    let index = name.parse::<usize>().ok().filter(|index| *index <= length);
                    let index = index.with_context(|| {
                        format!(
                            "--set {}: `{name}` is no position in a list of {length}",
                            self.path.join(".")
                        )
                    })?;
                    if index == length {
                        entries.push(Value::Null);
                    }
                    &mut entries[index]
                }
                absent @ Value::Null => {
                    *absent = Value::Object(Map::new());
                    absent
                        .as_object_mut()
                        .context("it has just been made")?
                        .entry(name.clone())
                        .or_insert(Value::Null)
                }
                _ => {
                    bail!("--set {}: there is nothing inside the value before `{name}`", self.path.join("."))
                }
            };
        }
        *place = self.value.clone();
        Ok(())
    }
}

/// The body with the edits. Without any it stays as it is, byte for byte.
fn edited(body: &str, edits: &[Edit]) -> Result<String> {
    if edits.is_empty() {
        return Ok(body.to_owned());
    }
    let mut value: Value = serde_json::from_str(body).context("--set needs a body in JSON")?;
    edits.iter().try_for_each(|edit| edit.apply(&mut value))?;
    Ok(serde_json::to_string_pretty(&value)?)
}

fn body(named: Named, file: Option<&PathBuf>) -> Result<String> {
    let sample = || local_stack::root().join(named.provider.file(named.sample));
    let path = file.cloned().unwrap_or_else(sample);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    ensure!(!bytes.is_empty(), "{}: the file is empty", path.display());
    String::from_utf8(bytes).with_context(|| path.display().to_string())
}

/// The body with the time of now as its `timestamp`, where it has one.
fn now(body: &str) -> Option<String> {
    let now = Timestamp::from_second(Timestamp::now().as_second()).ok()?;
    replaced(body, "timestamp", &format!("\"{now}\""))
}

/// The body with another value in one of its own members, and all other bytes as they are.
fn replaced(body: &str, name: &str, value: &str) -> Option<String> {
    let Node::Object(members) = Node::parse(body)? else { return None };
    let quoted = format!("\"{name}\"");
    let (_, old) = members.into_iter().find(|(name, _)| *name == quoted)?;
    let Node::Scalar(old) = old else { return None };
    let start = old.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    Some([body.get(..start)?, value, body.get(start + old.len()..)?].concat())
}

/// Now, and never the same twice: two of Weavr's events can differ in this alone.
fn next_millisecond() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let last = LAST.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number is needed")?;
    if rate.is_finite() && (0.001..=10_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("a number from 0.001 to 10000 is needed".to_owned())
    }
}

fn list(json: bool) {
    if json {
        let kinds: Vec<Value> = Named::all()
            .map(|named| {
                let Named { provider, sample } = named;
                json!({
                    "kind": named.name(), "type": sample.kind, "path": sample.path, "status": sample.status,
                    "file": provider.file(sample),
                })
            })
            .collect();
        return line(&Value::Array(kinds).to_string());
    }
    let heading = ["kind", "path", "reply", "sample"].map(str::to_owned);
    let rows = Named::all().map(|named| {
        let Named { provider, sample } = named;
        [named.name(), sample.path.to_owned(), sample.status.to_string(), provider.file(sample)]
    });
    print(&aligned(&[heading].into_iter().chain(rows).collect::<Vec<_>>()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_address_is_that_of_cargo_dev() {
        assert_eq!(
            crate::target::DEFAULT_URL,
            format!("http://127.0.0.1:{}", local_stack::watch::DEFAULT_PORT)
        );
    }

    #[test]
    fn edits() {
        let body = r#"{"a": {"b": [1, 2]}, "n": null, "s": "x"}"#;
        for (edit, expected) in [
            ("a.b.0=7", Some(r#"{"a":{"b":[7,2]},"n":null,"s":"x"}"#)),
            ("a.b.2=text", Some(r#"{"a":{"b":[1,2,"text"]},"n":null,"s":"x"}"#)),
            ("n.new.deep=true", Some(r#"{"a":{"b":[1,2]},"n":{"new":{"deep":true}},"s":"x"}"#)),
            ("s=", Some(r#"{"a":{"b":[1,2]},"n":null,"s":""}"#)),
            (r#"s="1=2""#, Some(r#"{"a":{"b":[1,2]},"n":null,"s":"1=2"}"#)),
            ("a.b.3=1", None),
            ("a.b.x=1", None),
            ("s.x=1", None),
        ] {
            let edited = edited(body, &[Edit::parse(edit).unwrap()]);
            match expected {
                Some(expected) => {
                    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                    assert_eq!(value(&edited.unwrap()), value(expected), "{edit}");
                }
                None => assert!(format!("{:#}", edited.unwrap_err()).contains("--set "), "{edit}"),
            }
        }
        for wrong in ["", "a", "=1", "a..b=1", ".a=1"] {
            assert!(Edit::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(edited(" not JSON", &[]).unwrap(), " not JSON");
    }

    #[test]
    fn one_member_is_replaced() {
        let body = " {\"x\": {\"timestamp\": \"1\"}, \"timestamp\" : \"1\" , \"y\":1.0}\n";
        let expected = " {\"x\": {\"timestamp\": \"1\"}, \"timestamp\" : 2 , \"y\":1.0}\n";
        assert_eq!(replaced(body, "timestamp", "2").as_deref(), Some(expected));
        for other in ["{}", "[]", "no", r#"{"timestamp": {}}"#] {
            assert_eq!(replaced(other, "timestamp", "2"), None, "{other}");
        }
    }

    #[test]
    fn no_millisecond_comes_twice() {
        let all: Vec<u64> = (0..100).map(|_| next_millisecond()).collect();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn rates() {
        assert_eq!((rate("2"), rate("0.5")), (Ok(2.0), Ok(0.5)));
        for wrong in ["", "0", "-1", "x", "inf", "NaN", "1e9"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
