//! `cargo webhooks doctor`: a checklist of the local stack or of a deployed one.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::{IndexStatus, KeySchemaElement, TableStatus, TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderMap, Request};
use ingest::PENDING_TOO_OLD;
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::{SENDERS, Sender};
use local_stack::stack::MESSAGE_RETENTION_SECONDS;
use serde::Serialize;
use serde_json::Value;
use verify::FUTURE_SKEW;

use crate::connection::{Connection, ConnectionOptions};
use crate::kinds;
use crate::print::{Colour, coloured, harmless, line, span};
use crate::request::{self, base, is_local};
use crate::secret_options::SecretTexts;

/// The index of pending records, with its keys.
const PENDING: (&str, &str, &str) = ("pending", "pending_shard", "due_at");

/// How many pending records are looked at.
const MAX_PENDING: usize = 500;

/// How far our clock may be from another one before it is said, and before it is a fault. A `Date` has whole
/// seconds.
const SKEW_WARNING: SignedDuration = SignedDuration::from_secs(30);

/// The largest message that is put on a queue, in bytes.
const MESSAGE_BYTES: u64 = 1_048_576;

/// How long the template's queues keep a message, in seconds.
const RETENTION: u64 = MESSAGE_RETENTION_SECONDS;
/// A consumer that does not run is an alarm after a day. A message has to be there for longer than that.
const RETENTION_AT_LEAST: u64 = 86_400;

/// How often a message may be received before it is a dead letter; the template has 5.
const RECEIVES: std::ops::RangeInclusive<u64> = 3..=100;

/// `RETENTION_DAYS` where it is not set.
const RETENTION_DAYS: u64 = 90;

const LOCAL_WITHIN: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_secs(35);

/// Go through a checklist: every line is ok, a warning, failed or not checked, and says what to do.
///
/// Without options it checks `cargo dev` on this machine. A deployed stack is named by --table, --queue and
/// --url, with AWS credentials and AWS_REGION in the environment. Nothing is recorded. In a deployed stack
/// each function is sent one request without a signature: twice within five minutes is enough for the alarm
/// `weavr-signature-failures`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks doctor
  cargo webhooks doctor --json | jq '.[] | select(.status == \"failed\")'
  cargo webhooks doctor --table \"$(output TableName)\" --url \"$(output UmaaasUrl)\" \\
    --queue \"$(output UmaaasQueueUrl)\" --queue \"$(output WeavrQueueUrl)\" \\
    --secret-arn \"$(output UmaaasSecretArn)\" --secret-arn \"$(output WeavrSecretArn)\" \\
    --retention-days 90 --tolerance-seconds 691200

Exit status: 0, nothing failed; 1, something failed; 2, wrong usage, or no stack is known.")]
pub(crate) struct Options {
    /// The table of a deployed stack
    #[arg(long, value_name = "NAME", requires_all = ["queue", "url"])]
    table: Option<String>,
    /// A queue of it; once for each
    #[arg(long, value_name = "URL", requires_all = ["table", "url"])]
    queue: Vec<String>,
    /// The address that the providers have
    #[arg(long, value_name = "URL", requires_all = ["table", "queue"])]
    url: Option<String>,
    /// Only this provider; once for each. All of them unless given
    #[arg(long, value_name = "NAME", value_parser = kinds::provider)]
    provider: Vec<&'static Sender>,
    /// A provider's secret in Secrets Manager; once for each
    #[arg(long, value_name = "ARN", requires = "table")]
    secret_arn: Vec<String>,
    /// RetentionDays of the stack
    #[arg(long, value_name = "DAYS", requires = "table")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    retention_days: Option<u64>,
    /// The longest tolerance of the stack
    #[arg(long, value_name = "SECONDS", requires = "table")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=3_153_600_000))]
    tolerance_seconds: Option<u64>,
    #[command(flatten)]
    connection: ConnectionOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warning,
    Failed,
    NotChecked,
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    check: String,
    status: Status,
    found: String,
    /// What to do, unless it is ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// The checklist, printed as it grows.
struct Checklist {
    checks: Vec<Check>,
    json: bool,
}

/// Runs the command. `true`: nothing failed.
pub(crate) async fn run(options: Options) -> Result<bool> {
    let connection = options.connection.connect(options.table.is_some())?;
    let table = connection.table(options.table.as_deref())?;
    let url = match (&options.url, &connection.local) {
        (Some(url), _) => base(url)?,
        (None, Some(local)) => base(local.url()?)?,
        (None, None) => anyhow::bail!("name the address with --url"),
    };
    let all = || SENDERS.iter().collect();
    let providers: Vec<&Sender> = if options.provider.is_empty() { all() } else { options.provider.clone() };
    let mut list = Checklist { checks: vec![], json: options.json };
    routes(&mut list, &providers, &url, connection.local.is_some()).await?;
    clock_of_aws(&mut list, &connection.address).await?;
    secrets(&mut list, &providers, &connection, &options.secret_arn, &url).await?;
    table_checks(&mut list, &connection, table).await;
    for queue in queues(&providers, &connection, &options.queue) {
        queue_checks(&mut list, &connection, &queue).await;
    }
    list.add(pending(&connection, table).await.unwrap_or_else(|error| unreadable("pending records", &error)));
    list.add(retention(&connection, &options));
    only_in_aws(&mut list, connection.local.is_some());
    Ok(list.end())
}

impl Checklist {
    fn add(&mut self, check: Check) {
        if !self.json {
            let (word, colour) = match check.status {
                Status::Ok => ("ok         ", Colour::Green),
                Status::Warning => ("warning    ", Colour::Yellow),
                Status::Failed => ("FAILED     ", Colour::Red),
                Status::NotChecked => ("not checked", Colour::Yellow),
            };
            line(&format!("{}  {:<40}  {}", coloured(word, colour), check.check, harmless(&check.found)));
            if let Some(advice) = &check.advice {
                line(&format!("{:13}{advice}", ""));
            }
        }
        self.checks.push(check);
    }

    fn end(self) -> bool {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        if self.json {
            line(&serde_json::to_string(&self.checks).expect("texts are JSON"));
        } else {
            line(&format!(
                "\n{} ok, {} warnings, {} failed, {} not checked",
                count(Status::Ok),
                count(Status::Warning),
                count(Status::Failed),
                count(Status::NotChecked)
            ));
        }
        count(Status::Failed) == 0
    }
}

fn check(name: impl Into<String>, status: Status, found: impl Into<String>, advice: &str) -> Check {
    let advice = (status != Status::Ok && !advice.is_empty()).then(|| advice.to_owned());
    Check { check: name.into(), status, found: found.into(), advice }
}

/// AWS did not say what a check needs to know.
fn unreadable(name: &str, error: &anyhow::Error) -> Check {
    let advice = "check the name, the region and the permissions; for the local stack, that `cargo dev` runs";
    check(name, Status::Failed, format!("{error:#}"), advice)
}

/// Whether every function answers, and refuses what has no signature.
async fn routes(list: &mut Checklist, providers: &[&Sender], url: &str, local: bool) -> Result<()> {
    if !local && url.starts_with("http://") && !is_local(url) {
        let advice = "give the providers an https:// address";
        list.add(check("address", Status::Warning, format!("{url} is not encrypted"), advice));
    }
    let mut clock_is_checked = false;
    for provider in providers {
        for binary in provider.binaries {
            let Some(path) = path_of(provider, binary) else { continue };
            eprintln!("asking {binary}");
            let request = Request::post(format!("{url}{path}"));
            let request = request.header(CONTENT_TYPE, "application/json").body(Bytes::from_static(b"{}"))?;
            match request::send(request, if local { LOCAL_WITHIN } else { WITHIN }).await {
                Ok(answer) => {
                    if !clock_is_checked {
                        list.add(check("address", Status::Ok, format!("{url} answers"), ""));
                        list.add(clock("clock, by the address", answer.response.headers(), Timestamp::now()));
                        clock_is_checked = true;
                    }
                    list.add(route(binary, answer.response.status().as_u16()));
                }
                Err(error) => {
                    let advice = if local {
                        "start `cargo dev`, or look at its output: does a function build?"
                    } else {
                        "check the address, its DNS record and its certificate"
                    };
                    let name =
                        if clock_is_checked { format!("route of {binary}") } else { "address".to_owned() };
                    list.add(check(name, Status::Failed, format!("{error:#}"), advice));
                    if !clock_is_checked {
                        // Nobody is there; the others would say the same.
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// A path that a function serves.
fn path_of(provider: &Sender, binary: &str) -> Option<&'static str> {
    if provider.name != "weavr" {
        return Some(provider.samples[0].path);
    }
    let kind = weavr::KINDS.iter().find(|kind| kind.family.binary() == binary);
    let other =
        || provider.samples.iter().find(|sample| sample.kind == weavr::UNKNOWN).map(|sample| sample.path);
    kind.map(|kind| kind.path).or_else(other)
}

/// What a request without a signature was answered.
fn route(binary: &str, status: u16) -> Check {
    let name = format!("route of {binary}");
    let found = format!("a request without a signature is answered {status}");
    let (grade, advice) = match status {
        401 => (Status::Ok, ""),
        400 => (Status::Warning, "401 is documented: something changes the request on its way"),
        503 => (
            Status::Failed,
            "the secret is the placeholder, or a setting is wrong: see `detail` in the function's log, \
                \"The provider \
             sees 503\" in infra/operating.md",
        ),
        403 => {
            (Status::Failed, "something before the function refuses it: a firewall, or the API's own rules")
        }
        404 => (Status::Failed, "no route: compare the address with the stack's outputs"),
        429 => (Status::Failed, "the gateway throttles: see ThrottlingRate in infra/configuration.md"),
        200..300 => {
            (Status::Failed, "a request without a signature must not be accepted: this is another service")
        }
        500.. => (Status::Failed, "the function crashed or did not start: see its log"),
        _ => (Status::Failed, "this is no documented reply: is the address the right one?"),
    };
    check(name, grade, found, advice)
}

/// What another clock says about ours.
fn clock(name: &str, headers: &HeaderMap, now: Timestamp) -> Check {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return check(name, Status::NotChecked, "the answer has no Date", "");
    };
    let skew = date.timestamp().duration_until(now);
    let found =
        format!("ours is {} s {}", skew.abs().as_secs(), if skew.is_negative() { "behind" } else { "ahead" });
    let status = match skew.abs() {
        skew if skew >= FUTURE_SKEW => Status::Failed,
        skew if skew >= SKEW_WARNING => Status::Warning,
        _ => Status::Ok,
    };
    check(name, status, found, "set the clock by NTP: AWS refuses requests that are signed with a wrong time")
}

async fn clock_of_aws(list: &mut Checklist, address: &str) -> Result<()> {
    let name = "clock, by DynamoDB";
    let request = Request::get(format!("{}/", address.trim_end_matches('/'))).body(Bytes::new())?;
    list.add(match request::send(request, WITHIN).await {
        Ok(answer) => clock(name, answer.response.headers(), Timestamp::now()),
        Err(error) => unreadable(name, &error),
    });
    Ok(())
}

/// Whether there are secrets, and whether the local functions have the same.
async fn secrets(
    list: &mut Checklist,
    providers: &[&Sender],
    connection: &Connection,
    arns: &[String],
    url: &str,
) -> Result<()> {
    let Some(local) = &connection.local else {
        for arn in arns {
            let name = format!("secret {}", arn.rsplit(':').next().unwrap_or(arn));
            let read = connection.secrets.get_secret_value().secret_id(arn).send().await;
            list.add(match read.context("cannot read the secret") {
                Ok(secret) => secret_form(&name, secret.secret_string()),
                Err(error) => unreadable(&name, &error),
            });
        }
        if arns.is_empty() {
            let advice = "name the secrets with --secret-arn";
            list.add(check("secrets", Status::NotChecked, "no --secret-arn", advice));
        }
        return Ok(());
    };
    for provider in providers {
        let secret = local.get(provider.keys_variable);
        let name = format!("secret of {}", provider.name);
        if provider.has_shared_secret() {
            list.add(secret_form(&name, secret));
        } else {
            list.add(public_key_form(&name, secret));
        }
        let Some(Ok(secrets)) = secret.map(|text| SecretTexts::parse(text.to_owned())) else { continue };
        // A signed body that is no event: it gets past the signature, and is not recorded.
        let mut delivery = verify::Delivery::new(provider.samples[0].path, &b"[]"[..]);
        (provider.sign)(&mut delivery, &secrets.signing_key(provider));
        let mut request = Request::post(format!("{url}{}", delivery.path)).body(delivery.body)?;
        *request.headers_mut() = delivery.headers;
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse()?);
        let name = format!("signature of {}", provider.name);
        list.add(match request::send(request, LOCAL_WITHIN).await {
            Ok(answer) => signed(&name, answer.response.status().as_u16()),
            Err(error) => unreadable(&name, &error),
        });
    }
    Ok(())
}

/// What a signed request that is no event was answered.
fn signed(name: &str, status: u16) -> Check {
    let found = format!("a signed request that is no event is answered {status}");
    match status {
        400 => check(name, Status::Ok, format!("{found}, so the signature is taken"), ""),
        401 | 503 => {
            let advice = "the functions have another secret: start `cargo dev` again";
            check(name, Status::Failed, found, advice)
        }
        _ => check(name, Status::Failed, found, "see the function's log"),
    }
}

/// Whether a text is fit to be the secret of a provider. The text is never shown.
fn secret_form(name: &str, text: Option<&str>) -> Check {
    let put = "put in the provider's secret: infra/deploying.md, \"Put in the secrets\"";
    let Some(text) = text else {
        return check(name, Status::Failed, "there is none", put);
    };
    let secrets = match SecretTexts::parse(text.to_owned()) {
        Ok(texts) => texts.secrets,
        Err(error) => return check(name, Status::Failed, format!("{error:#}"), put),
    };
    if secrets.iter().any(|secret| secret == aws::secrets::PLACEHOLDER) {
        return check(name, Status::Failed, "it is still the placeholder", put);
    }
    let quoted = |secret: &String| secret.starts_with(['"', '\'']) && secret.ends_with(['"', '\'']);
    if secrets.iter().any(quoted) {
        let advice = "put it in without the quotes, unless the provider's secret has them";
        return check(name, Status::Warning, "it has quotes around it", advice);
    }
    if secrets.iter().any(|secret| secret.contains(verify::is_invisible)) {
        let advice =
            "compare it with the provider's: a part of it was probably lost or added when it was copied";
        return check(name, Status::Warning, "it has white space or invisible characters in it", advice);
    }
    let found = match secrets.len() {
        1 => "there is one, and no placeholder".to_owned(),
        count => format!("there are {count}, and no placeholder"),
    };
    check(name, Status::Ok, found, "")
}

/// Whether a function has a public key that it can read.
fn public_key_form(name: &str, text: Option<&str>) -> Check {
    let put = "put in the provider's public key, in PEM";
    match text.map(verify::PublicKeys::parse_pem) {
        None => check(name, Status::Failed, "there is none", put),
        Some(Err(error)) => check(name, Status::Failed, error.to_string(), put),
        Some(Ok(_)) => check(name, Status::Ok, "there is a public key", ""),
    }
}

async fn table_checks(list: &mut Checklist, connection: &Connection, table: &str) {
    let described = connection.dynamodb.describe_table().table_name(table).send().await;
    let described = match described.context("cannot read the table's description") {
        Ok(described) => described.table,
        Err(error) => return list.add(unreadable("table", &error)),
    };
    let create = "deploy the template again: the functions cannot work with another table";
    let description =
        described.unwrap_or_else(|| aws_sdk_dynamodb::types::TableDescription::builder().build());
    let active = description.table_status() == Some(&TableStatus::Active);
    let keys = names(description.key_schema());
    let status = if active && keys == ["pk"] { Status::Ok } else { Status::Failed };
    let state = description.table_status().map_or("unknown", TableStatus::as_str);
    list.add(check("table", status, format!("{table} is {state}, its key is {}", keys.join(", ")), create));

    let (name, hash, range) = PENDING;
    let index = description.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
    list.add(match index {
        None => check(format!("index {name}"), Status::Failed, "it is not there", create),
        Some(index) => {
            let keys = names(index.key_schema());
            let state = index.index_status().map_or("unknown", IndexStatus::as_str);
            let good = index.index_status() == Some(&IndexStatus::Active) && keys == [hash, range];
            let status = if good { Status::Ok } else { Status::Failed };
            check(
                format!("index {name}"),
                status,
                format!("it is {state}, its keys are {}", keys.join(", ")),
                create,
            )
        }
    });

    let expiry = connection.dynamodb.describe_time_to_live().table_name(table).send().await;
    list.add(match expiry.context("cannot read the table's TTL") {
        Ok(expiry) => {
            let description = expiry.time_to_live_description();
            let attribute = description.and_then(|ttl| ttl.attribute_name()).unwrap_or("nothing");
            let on =
                description.and_then(|ttl| ttl.time_to_live_status()) == Some(&TimeToLiveStatus::Enabled);
            let status = if on && attribute == "expires_at" { Status::Ok } else { Status::Failed };
            let found = if on { format!("on, by {attribute}") } else { "off".to_owned() };
            check(
                "TTL",
                status,
                found,
                "switch it on with the attribute expires_at, or records stay for ever",
            )
        }
        Err(error) => unreadable("TTL", &error),
    });
}

fn names(keys: &[KeySchemaElement]) -> Vec<&str> {
    keys.iter().map(KeySchemaElement::attribute_name).collect()
}

/// The addresses of the queues.
fn queues(providers: &[&Sender], connection: &Connection, named: &[String]) -> Vec<String> {
    let Some(local) = &connection.local else { return named.to_vec() };
    let variable = |provider: &Sender| format!("{}_QUEUE_URL", provider.name.to_uppercase());
    providers.iter().filter_map(|provider| local.get(&variable(provider)).map(str::to_owned)).collect()
}

/// The attributes of a queue, by name.
struct Attributes(HashMap<QueueAttributeName, String>);

impl Attributes {
    async fn read(sqs: &aws_sdk_sqs::Client, url: &str) -> Result<Self> {
        let all =
            sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await;
        Ok(Self(all.context("cannot read the queue's attributes")?.attributes.unwrap_or_default()))
    }

    fn number(&self, name: &QueueAttributeName) -> Option<u64> {
        self.0.get(name)?.parse().ok()
    }

    fn is_fifo(&self) -> bool {
        self.0.get(&QueueAttributeName::FifoQueue).is_some_and(|value| value == "true")
    }
}

async fn queue_checks(list: &mut Checklist, connection: &Connection, url: &str) {
    let queue = url.rsplit('/').next().unwrap_or(url);
    let attributes = match Attributes::read(&connection.sqs, url).await {
        Ok(attributes) => attributes,
        Err(error) => return list.add(unreadable(&format!("queue {queue}"), &error)),
    };
    list.add(queue_type(queue, &attributes));
    list.add(queue_limits(queue, &attributes));
    list.add(queue_size(queue, &attributes));
    match dead_letters(connection, &attributes).await {
        Ok(Some((target, dead))) => dead_letter_checks(list, queue, &attributes, &target, &dead),
        Ok(None) => {
            let advice = "set a RedrivePolicy, as the template does: a message that cannot be handled would \
                hold up its \
                          group until it expires";
            list.add(check(format!("redrive of {queue}"), Status::Failed, "no dead-letter queue", advice));
        }
        Err(error) => list.add(unreadable(&format!("redrive of {queue}"), &error)),
    }
}

fn queue_type(queue: &str, attributes: &Attributes) -> Check {
    let (named, is) = (queue.ends_with(".fifo"), attributes.is_fifo());
    let found = if is { "FIFO" } else { "standard" };
    let status = if named == is { Status::Ok } else { Status::Failed };
    let advice = "functions tell a FIFO queue by its name, which ends with .fifo";
    check(format!("queue {queue}"), status, format!("its type is {found}"), advice)
}

fn queue_limits(queue: &str, attributes: &Attributes) -> Check {
    let seconds = attributes.number(&QueueAttributeName::MessageRetentionPeriod).unwrap_or_default();
    let status = match seconds {
        RETENTION.. => Status::Ok,
        seconds if seconds > RETENTION_AT_LEAST => Status::Warning,
        _ => Status::Failed,
    };
    let advice = "set MessageRetentionPeriod to 1209600 (14 days), as the template does: a message that \
        nobody handles in \
                  time is gone";
    check(format!("retention of {queue}"), status, format!("a message stays for {}", span(seconds)), advice)
}

fn queue_size(queue: &str, attributes: &Attributes) -> Check {
    let bytes = attributes.number(&QueueAttributeName::MaximumMessageSize).unwrap_or_default();
    let status = if bytes >= MESSAGE_BYTES { Status::Ok } else { Status::Failed };
    let advice = "set MaximumMessageSize to 1048576, as the template does: larger events stay pending";
    check(format!("size of {queue}"), status, format!("a message has at most {bytes} bytes"), advice)
}

/// The redrive policy's target, and the attributes of that queue.
async fn dead_letters(
    connection: &Connection,
    attributes: &Attributes,
) -> Result<Option<(String, Attributes)>> {
    let Some(policy) = attributes.0.get(&QueueAttributeName::RedrivePolicy) else { return Ok(None) };
    let policy: Value = serde_json::from_str(policy).context("the RedrivePolicy is not JSON")?;
    let arn = policy["deadLetterTargetArn"].as_str().context("the RedrivePolicy has no target")?;
    let mut parts = arn.rsplit(':');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let found =
        connection.sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account).send().await;
    let url = found.context("the dead-letter queue cannot be found")?.queue_url.unwrap_or_default();
    Ok(Some((name.to_owned(), Attributes::read(&connection.sqs, &url).await?)))
}

fn dead_letter_checks(
    list: &mut Checklist,
    queue: &str,
    attributes: &Attributes,
    target: &str,
    dead: &Attributes,
) {
    let receives = redrive_limit(attributes);
    let found = format!("to {target} after {} receives", receives.unwrap_or_default());
    let status = match receives {
        None => Status::Failed,
        Some(count) if RECEIVES.contains(&count) => Status::Ok,
        Some(_) => Status::Warning,
    };
    let advice = "set maxReceiveCount to 5, as the template does: with fewer a restart of the consumer \
        makes dead letters, \
                  with many a message that cannot be handled holds up its group";
    list.add(check(format!("redrive of {queue}"), status, found, advice));

    let of = |attributes: &Attributes| {
        attributes.number(&QueueAttributeName::MessageRetentionPeriod).unwrap_or_default()
    };
    let status = if of(dead) >= of(attributes) { Status::Ok } else { Status::Failed };
    let advice = "keep dead letters at least as long as messages: in a standard queue their age counts from \
        the first queue";
    list.add(check(
        format!("retention of {target}"),
        status,
        format!("a message stays for {}", span(of(dead))),
        advice,
    ));

    let count = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ]
    .iter()
    .map(|name| dead.number(name))
    .sum::<Option<u64>>();
    let name = format!("dead letters in {target}");
    list.add(match count {
        Some(0) => check(name, Status::Ok, "none", ""),
        Some(count) => {
            let advice =
                "repair the consumer, then redrive: infra/operating.md, \"Redrive the dead-letter queue\"";
            check(name, Status::Failed, format!("about {count}"), advice)
        }
        None => {
            check(name, Status::Failed, "the queue does not say how many there are", "check the permissions")
        }
    });
}

fn redrive_limit(attributes: &Attributes) -> Option<u64> {
    let policy: Value = serde_json::from_str(attributes.0.get(&QueueAttributeName::RedrivePolicy)?).ok()?;
    let count = &policy["maxReceiveCount"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok())
}

/// Whether events wait for longer than the reconciler should need.
async fn pending(connection: &Connection, table: &str) -> Result<Check> {
    let mut keys = Vec::new();
    let mut pages =
        connection.dynamodb.scan().table_name(table).index_name(PENDING.0).into_paginator().send();
    while let Some(page) = pages.next().await {
        let items = page.context("cannot read the index of pending records")?.items.unwrap_or_default();
        keys.extend(items.into_iter().filter_map(|mut item| item.remove("pk")));
        if keys.len() > MAX_PENDING {
            break;
        }
    }
    let mut oldest: Option<Timestamp> = None;
    for key in keys.iter().take(MAX_PENDING) {
        let read = connection.dynamodb.get_item().table_name(table).key("pk", key.clone());
        let read = read.projection_expression("received_at").consistent_read(true).send().await;
        let item = read.context("cannot read a pending record")?.item.unwrap_or_default();
        let received = item.get("received_at").and_then(|value| value.as_n().ok());
        let received = received.and_then(|text| Timestamp::from_millisecond(text.parse().ok()?).ok());
        oldest = oldest.into_iter().chain(received).min();
    }
    let age = oldest.map(|oldest| oldest.duration_until(Timestamp::now()));
    Ok(pending_check(keys.len(), age))
}

fn pending_check(count: usize, oldest: Option<SignedDuration>) -> Check {
    let name = "pending records";
    let advice = "see \"Pending records\" in infra/operating.md: the reconciler does not run, or a queue \
        cannot be written";
    let seconds = oldest.map(|age| u64::try_from(age.as_secs()).unwrap_or_default());
    let found = match (count, seconds) {
        (0, _) => return check(name, Status::Ok, "none", ""),
        (MAX_PENDING.., _) => return check(name, Status::Failed, format!("{MAX_PENDING} or more"), advice),
        (count, Some(seconds)) => format!("{count}, the oldest received {} ago", span(seconds)),
        // forwarded while they were read
        (count, None) => format!("{count}, of unknown age"),
    };
    let old = oldest.is_some_and(|age| age >= PENDING_TOO_OLD);
    check(name, if old { Status::Failed } else { Status::Ok }, found, advice)
}

/// Whether a repetition that is fresh enough to be taken always meets its record.
fn retention(connection: &Connection, options: &Options) -> Check {
    let name = "retention and tolerance";
    let (days, tolerance) = match &connection.local {
        None => match (options.retention_days, options.tolerance_seconds) {
            (Some(days), Some(tolerance)) => (days, tolerance),
            _ => {
                let advice = "give --retention-days and --tolerance-seconds";
                return check(name, Status::NotChecked, "the stack's parameters are not known", advice);
            }
        },
        Some(local) => {
            let number = |name: &str| local.get(name).and_then(|value| value.parse::<u64>().ok());
            let tolerances = SENDERS.iter().filter_map(|provider| {
                number(&format!("{}_TIMESTAMP_TOLERANCE_SECONDS", provider.name.to_uppercase()))
            });
            (number("RETENTION_DAYS").unwrap_or(RETENTION_DAYS), tolerances.max().unwrap_or_default())
        }
    };
    retention_check(name, days, tolerance)
}

fn retention_check(name: &str, days: u64, tolerance: u64) -> Check {
    let records = days.saturating_mul(86_400);
    let skew = FUTURE_SKEW.as_secs().unsigned_abs();
    let found = match tolerance {
        0 => format!("records stay for {days} days, and any age is accepted"),
        tolerance => format!("records stay for {days} days, and the tolerance is {}", span(tolerance)),
    };
    let status = if records > tolerance.saturating_add(skew) { Status::Ok } else { Status::Failed };
    check(
        name,
        status,
        found,
        "raise RetentionDays or lower the tolerance: a replay would count as a new event",
    )
}

/// What this command cannot see.
fn only_in_aws(list: &mut Checklist, local: bool) {
    for (name, advice) in [
        (
            "subscriber of the alarms",
            "`aws sns list-subscriptions` shows the address; PendingConfirmation means that nobody \
                confirmed the mail",
        ),
        (
            "quotas",
            "`aws lambda get-account-settings` shows the concurrency; infra/cost-and-scale.md says how much \
                is needed",
        ),
        ("reconciler's schedule", "the alarm pending-too-old is on while it does not run"),
    ] {
        list.add(if local {
            check(name, Status::NotChecked, "not checked locally", "")
        } else {
            check(name, Status::NotChecked, "not checked by this command", advice)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(QueueAttributeName, &str)]) -> Attributes {
        Attributes(pairs.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect())
    }

    #[test]
    fn every_function_has_a_path() {
        for provider in SENDERS {
            for binary in provider.binaries {
                assert!(path_of(provider, binary).is_some(), "{binary}");
            }
        }
    }

    #[test]
    fn replies_to_a_request_without_a_signature() {
        for (status, expected) in [
            (401, Status::Ok),
            (400, Status::Warning),
            (503, Status::Failed),
            (200, Status::Failed),
            (403, Status::Failed),
            (404, Status::Failed),
            (500, Status::Failed),
            (302, Status::Failed),
        ] {
            let check = route("umaaas", status);
            assert_eq!(
                (check.status, check.advice.is_some()),
                (expected, expected != Status::Ok),
                "{status}"
            );
        }
        for (status, expected) in
            [(400, Status::Ok), (401, Status::Failed), (503, Status::Failed), (200, Status::Failed)]
        {
            assert_eq!(signed("s", status).status, expected, "{status}");
        }
    }

    #[test]
    fn clocks() {
        let date: Timestamp = "2026-11-02T09:15:00Z".parse().unwrap();
        let headers = HeaderMap::from_iter([(DATE, "Mon, 02 Nov 2026 09:15:00 GMT".parse().unwrap())]);
        for (seconds, expected) in [
            (0, Status::Ok),
            (29, Status::Ok),
            (-29, Status::Ok),
            (30, Status::Warning),
            (-299, Status::Warning),
            (300, Status::Failed),
            (-300, Status::Failed),
            (-86_400, Status::Failed),
        ] {
            let now = date + SignedDuration::from_secs(seconds);
            assert_eq!(clock("c", &headers, now).status, expected, "{seconds}");
        }
        assert_eq!(clock("c", &HeaderMap::new(), date).status, Status::NotChecked);
    }

    #[test]
    fn forms_of_secrets() {
        for (text, expected) in [
            (None, Status::Failed),
            (Some(""), Status::Failed),
            (Some("replace-me"), Status::Failed),
            (Some(r#"{"current":"replace-me"}"#), Status::Failed),
            (Some(r#"{"current":"s3cret","previous":"replace-me"}"#), Status::Failed),
            (Some(r#"{"curent":"s3cret"}"#), Status::Failed),
            (Some("\"s3cret\""), Status::Warning),
            (Some("s3c ret"), Status::Warning),
            (Some("s3c\u{200b}ret"), Status::Warning),
            (Some("s3cret"), Status::Ok),
            (Some("s3cret\n"), Status::Ok),
            (Some(r#"{"current":"s3cret","previous":"0ld"}"#), Status::Ok),
        ] {
            let check = secret_form("secret", text);
            assert_eq!(check.status, expected, "{text:?}");
            assert!(!format!("{check:?}").contains("s3c"), "{check:?}");
        }
    }

    #[test]
    fn queues_of_every_sort() {
        use QueueAttributeName as Name;
        let fifo = attributes(&[(Name::FifoQueue, "true")]);
        assert_eq!(queue_type("a.fifo", &fifo).status, Status::Ok);
        assert_eq!(queue_type("a", &attributes(&[])).status, Status::Ok);
        assert_eq!(queue_type("a", &fifo).status, Status::Failed);
        for (seconds, expected) in [
            ("1209600", Status::Ok),
            ("345600", Status::Warning),
            ("86400", Status::Failed),
            ("60", Status::Failed),
        ] {
            let attributes = attributes(&[(Name::MessageRetentionPeriod, seconds)]);
            assert_eq!(queue_limits("a", &attributes).status, expected, "{seconds}");
        }
        for (bytes, expected) in [("1048576", Status::Ok), ("262144", Status::Failed)] {
            assert_eq!(queue_size("a", &attributes(&[(Name::MaximumMessageSize, bytes)])).status, expected);
        }
        let dead = |retention, waiting, taken| {
            attributes(&[
                (Name::MessageRetentionPeriod, retention),
                (Name::ApproximateNumberOfMessages, waiting),
                (Name::ApproximateNumberOfMessagesNotVisible, taken),
            ])
        };
        let good = r#"{"deadLetterTargetArn":"a","maxReceiveCount":5}"#;
        for (policy, dead, expected) in [
            (good, dead("1209600", "0", "0"), [Status::Ok; 3]),
            (r#"{"maxReceiveCount":"5"}"#, dead("1209600", "0", "0"), [Status::Ok; 3]),
            (
                r#"{"maxReceiveCount":1}"#,
                dead("1209600", "0", "0"),
                [Status::Warning, Status::Ok, Status::Ok],
            ),
            (
                r#"{"maxReceiveCount":1000}"#,
                dead("1209600", "0", "0"),
                [Status::Warning, Status::Ok, Status::Ok],
            ),
            ("{}", dead("1209600", "0", "0"), [Status::Failed, Status::Ok, Status::Ok]),
            (good, dead("60", "0", "0"), [Status::Ok, Status::Failed, Status::Ok]),
            (good, dead("1209600", "1", "0"), [Status::Ok, Status::Ok, Status::Failed]),
            (good, dead("1209600", "0", "1"), [Status::Ok, Status::Ok, Status::Failed]),
            (good, dead("1209600", "", "0"), [Status::Ok, Status::Ok, Status::Failed]),
        ] {
            let queue =
                attributes(&[(Name::RedrivePolicy, policy), (Name::MessageRetentionPeriod, "1209600")]);
            let mut list = Checklist { checks: vec![], json: true };
            dead_letter_checks(&mut list, "a", &queue, "dead", &dead);
            let found: Vec<Status> = list.checks.iter().map(|check| check.status).collect();
            assert_eq!(found, expected, "{policy}");
        }
    }

    #[test]
    fn waiting_records() {
        let age = |seconds| Some(SignedDuration::from_secs(seconds));
        for (count, oldest, expected) in [
            (0, None, Status::Ok),
            (3, age(299), Status::Ok),
            (3, None, Status::Ok),
            (3, age(300), Status::Failed),
            (MAX_PENDING, age(1), Status::Failed),
        ] {
            assert_eq!(pending_check(count, oldest).status, expected, "{count} {oldest:?}");
        }
    }

    #[test]
    fn records_outlive_what_is_fresh() {
        for (days, tolerance, expected) in [
            (90, 0, Status::Ok),
            (31, 2_592_000, Status::Ok),
            (8, 691_200, Status::Failed),
            (8, 690_900, Status::Failed),
            (8, 690_899, Status::Ok),
        ] {
            assert_eq!(retention_check("r", days, tolerance).status, expected, "{days} {tolerance}");
        }
    }
}
