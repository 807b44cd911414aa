//! `cargo webhooks doctor`: a checklist of the local stack or of a deployed one.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::{
    IndexStatus, KeySchemaElement, PointInTimeRecoveryStatus, TableStatus, TimeToLiveStatus,
};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderMap, Request};
use ingest::PENDING_TOO_OLD;
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::{SENDERS, Sender};
use local_stack::stack::{INDEXES, MESSAGE_RETENTION_SECONDS};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use verify::FUTURE_SKEW;

use crate::aws_call::{self, Query, field, fields};
use crate::dead_letters::dead_letters_of;
use crate::kinds;
use crate::print::{Colour, coloured, harmless, line, span};
use crate::request::{self, is_local};
use crate::secret_options::{KeyMaterial, SecretTexts};
use crate::stack_description::{StackDescription, name};
use crate::target::{LocalEnv, Target, TargetOptions};

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

/// With fewer concurrent functions a burst of webhooks is throttled. New accounts have ten.
const LEAST_CONCURRENCY: f64 = 100.0;

const LOCAL_WITHIN: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_secs(35);

/// Goes through a checklist: every line is ok, a warning, failed or not checked, and says what to do.
///
/// Without options it checks `cargo dev` on this machine, with --stack a deployed stack. Of one that is named by
/// --table, --queue and --url it cannot see the parameters, the alarms and the quotas. Nothing is recorded. In a
/// deployed stack each function is sent one request without a signature: twice within five minutes is enough for the
/// alarm `weavr-signature-failures`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks doctor
  cargo webhooks doctor --json | jq '.[] | select(.status == \"failed\")'
  cargo webhooks doctor --stack payment-webhooks
  cargo webhooks doctor --table webhook-events --url https://hooks.example.com \\
    --queue umaaas=https://sqs.eu-central-1.amazonaws.com/123456789012/umaaas.fifo \\
    --secret-arn arn:aws:secretsmanager:... --retention-days 90 --tolerance-seconds 691200

Exit status: 0, nothing failed; 1, something failed; 2, wrong usage, or no stack is known.")]
pub(crate) struct Options {
    /// Only this provider; once for each. All of them unless given
    #[arg(long, value_name = "NAME", value_parser = kinds::provider)]
    provider: Vec<&'static Sender>,
    /// A provider's secret in Secrets Manager, beside those of --stack; once for each
    #[arg(long, value_name = "ARN")]
    secret_arn: Vec<String>,
    /// RetentionDays of the stack, instead of what --stack says
    #[arg(long, value_name = "DAYS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    retention_days: Option<u64>,
    /// The longest tolerance of the stack, instead of what --stack says
    #[arg(long, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=3_153_600_000))]
    tolerance_seconds: Option<u64>,
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
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    let target = target.resolve().await?;
    let all = || SENDERS.iter().collect();
    let providers: Vec<&Sender> = if options.provider.is_empty() { all() } else { options.provider.clone() };
    let mut list = Checklist { checks: vec![], json: options.json };
    match &target.url {
        Some(url) => routes(&mut list, &providers, url, target.local.is_some()).await?,
        None => list.add(check("address", Status::NotChecked, "it is not known", "give --url")),
    }
    clock_of_aws(&mut list, &target).await?;
    match &target.local {
        Some(local) => secrets_of_local(&mut list, &providers, local, target.url.as_deref()).await?,
        None => secrets(&mut list, &providers, &target, &options.secret_arn).await?,
    }
    table_checks(&mut list, &target).await;
    for provider in &providers {
        match target.queue(provider.name) {
            Ok(queue) => queue_checks(&mut list, &target, queue).await,
            Err(_) => list.add(check(
                format!("queue of {}", provider.name),
                Status::NotChecked,
                "it is not known",
                &format!("give --queue {}=URL", provider.name),
            )),
        }
    }
    list.add(pending(&target).await.unwrap_or_else(|error| unreadable("pending records", &error)));
    list.add(retention(&target, &providers, &options));
    match &target.stack {
        Some(stack) => {
            alarms(&mut list, &target, stack).await;
            list.add(concurrency(&target).await.unwrap_or_else(|error| unreadable(CONCURRENCY, &error)));
        }
        None => {
            let advice = if target.local.is_some() { "" } else { "give --stack" };
            for name in [ALARMS, CONCURRENCY] {
                list.add(check(name, Status::NotChecked, "there is no stack to ask", advice));
            }
        }
    }
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

async fn clock_of_aws(list: &mut Checklist, target: &Target) -> Result<()> {
    let name = "clock, by DynamoDB";
    let endpoint = target.config.endpoint_url().map(str::to_owned);
    let region = target.config.region().map(AsRef::as_ref).unwrap_or_default();
    let address = endpoint.unwrap_or_else(|| aws_call::host("dynamodb", region));
    let request = Request::get(format!("{}/", address.trim_end_matches('/'))).body(Bytes::new())?;
    list.add(match request::send(request, WITHIN).await {
        Ok(answer) => clock(name, answer.response.headers(), Timestamp::now()),
        Err(error) => unreadable(name, &error),
    });
    Ok(())
}

/// Whether the secrets of a deployed stack are fit for their providers.
async fn secrets(
    list: &mut Checklist,
    providers: &[&Sender],
    target: &Target,
    arns: &[String],
) -> Result<()> {
    let mut known: Vec<(String, String, Option<&Sender>)> = arns
        .iter()
        .map(|arn| (format!("secret {}", arn.rsplit(':').next().unwrap_or(arn)), arn.clone(), None))
        .collect();
    if let Some(stack) = &target.stack {
        for provider in providers {
            let arn = stack.outputs.get(&name(provider.name, "SecretArn")?);
            known.extend(
                arn.map(|arn| (format!("secret of {}", provider.name), arn.clone(), Some(*provider))),
            );
        }
    }
    let manager = aws_sdk_secretsmanager::Client::new(&target.config);
    for (name, arn, provider) in &known {
        let read = manager.get_secret_value().secret_id(arn).send().await;
        let secret = match read.context("cannot read the secret") {
            Ok(secret) => secret,
            Err(error) => {
                list.add(unreadable(name, &error));
                continue;
            }
        };
        let takes_key = provider.map(|provider| takes_key(provider, target.stack.as_ref()));
        list.add(secret_form(name, secret.secret_string(), takes_key));
    }
    if known.is_empty() {
        let advice = "name the secrets with --secret-arn, or the stack with --stack";
        list.add(check("secrets", Status::NotChecked, "they are not known", advice));
    }
    Ok(())
}

/// Whether the functions of a provider check signatures with a public key. UMAaaS has a parameter for that.
fn takes_key(provider: &Sender, stack: Option<&StackDescription>) -> bool {
    let signature = stack.and_then(|stack| stack.parameters.get("UmaaasSignature"));
    !provider.has_shared_secret()
        || (provider.name == "umaaas" && signature.is_some_and(|value| value == "ecdsa"))
}

/// Whether there are secrets, and whether the local functions have the same.
async fn secrets_of_local(
    list: &mut Checklist,
    providers: &[&Sender],
    local: &LocalEnv,
    url: Option<&str>,
) -> Result<()> {
    for provider in providers {
        let text = local.get(provider.keys_variable);
        list.add(secret_form(&format!("secret of {}", provider.name), text, Some(takes_key(provider, None))));
        let material = text.and_then(|text| KeyMaterial::parse(text.to_owned()).ok());
        let (Some(material), Some(url)) = (material.filter(|material| material.fits(provider)), url) else {
            continue;
        };
        let key = material.signing_key().unwrap_or_else(|_| provider.signing_key());
        // A signed body that is no event: it gets past the signature, and is not recorded.
        let delivery = provider.delivery(provider.samples[0].path, &b"[]"[..], &key);
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

/// Whether a text is fit to be what a provider's signatures are checked with. The text is never shown. `takes_key`:
/// whether that is a public key, if it is known.
fn secret_form(name: &str, text: Option<&str>, takes_key: Option<bool>) -> Check {
    let put =
        "put in the provider's secret, or its public key in PEM: infra/deploying.md, \"Put in the secrets\"";
    let failed = |found: String| check(name, Status::Failed, found, put);
    let Some(text) = text else {
        return failed("there is none".to_owned());
    };
    // The placeholder is in a list like every other secret.
    let texts = SecretTexts::parse(text.to_owned());
    if texts.as_ref().is_ok_and(|texts| texts.secrets.iter().any(|one| one == aws::secrets::PLACEHOLDER)) {
        return failed("it is still the placeholder".to_owned());
    }
    let material = match KeyMaterial::parse(text.to_owned()) {
        Ok(material) => material,
        Err(error) => return failed(format!("{error:#}")),
    };
    let secrets = match (&material, takes_key) {
        (KeyMaterial::Private(_), _) => {
            return failed("it is a private key, and must be the public one".to_owned());
        }
        (KeyMaterial::Public(_), Some(false)) => {
            return failed("it is a public key, and not a secret".to_owned());
        }
        (KeyMaterial::Secrets(_), Some(true)) => return failed("it is no public key in PEM".to_owned()),
        (KeyMaterial::Secrets(texts), _) => texts.secrets.as_slice(),
        (KeyMaterial::Public(_), _) => &[],
    };
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
    let found = match material.count() {
        (1, noun) => format!("there is one {noun}, and no placeholder"),
        (count, noun) => format!("there are {count} {noun}s, and no placeholder"),
    };
    check(name, Status::Ok, found, "")
}

async fn table_checks(list: &mut Checklist, target: &Target) {
    let (dynamodb, table) = (aws_sdk_dynamodb::Client::new(&target.config), &target.table);
    let described = dynamodb.describe_table().table_name(table).send().await;
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

    for (name, hash, range) in INDEXES {
        let mut indexes = description.global_secondary_indexes().iter();
        let index = indexes.find(|index| index.index_name() == Some(name));
        list.add(match index {
            None => check(format!("index {name}"), Status::Failed, "it is not there", create),
            Some(index) => {
                let keys = names(index.key_schema());
                let state = index.index_status().map_or("unknown", IndexStatus::as_str);
                let good = index.index_status() == Some(&IndexStatus::Active) && keys == [hash, range];
                let status = if good { Status::Ok } else { Status::Failed };
                let found = format!("it is {state}, its keys are {}", keys.join(", "));
                check(format!("index {name}"), status, found, create)
            }
        });
    }

    let expiry = dynamodb.describe_time_to_live().table_name(table).send().await;
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
    if target.local.is_none() {
        list.add(protection(description.deletion_protection_enabled() == Some(true)));
        let backups = dynamodb.describe_continuous_backups().table_name(table).send().await;
        list.add(match backups.context("cannot read the table's backups") {
            Ok(backups) => {
                let recovery = backups
                    .continuous_backups_description()
                    .and_then(|backups| backups.point_in_time_recovery_description())
                    .and_then(|recovery| recovery.point_in_time_recovery_status());
                recovery_check(recovery == Some(&PointInTimeRecoveryStatus::Enabled))
            }
            Err(error) => unreadable(RECOVERY, &error),
        });
    }
}

/// Whether somebody could delete the table by mistake.
fn protection(is_on: bool) -> Check {
    let (status, found) = if is_on { (Status::Ok, "on") } else { (Status::Warning, "off") };
    let advice =
        "switch it on (aws dynamodb update-table --deletion-protection-enabled): a restored table has none";
    check("deletion protection", status, found, advice)
}

const RECOVERY: &str = "point-in-time recovery";

fn recovery_check(is_on: bool) -> Check {
    let (status, found) = if is_on { (Status::Ok, "on") } else { (Status::Warning, "off") };
    let advice = "switch it on (aws dynamodb update-continuous-backups): a restored table has none, and without it what \
        is lost stays lost";
    check(RECOVERY, status, found, advice)
}

fn names(keys: &[KeySchemaElement]) -> Vec<&str> {
    keys.iter().map(KeySchemaElement::attribute_name).collect()
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

async fn queue_checks(list: &mut Checklist, target: &Target, url: &str) {
    let queue = url.rsplit('/').next().unwrap_or(url);
    let sqs = aws_sdk_sqs::Client::new(&target.config);
    let attributes = match Attributes::read(&sqs, url).await {
        Ok(attributes) => attributes,
        Err(error) => return list.add(unreadable(&format!("queue {queue}"), &error)),
    };
    list.add(queue_type(queue, &attributes));
    list.add(queue_limits(queue, &attributes));
    list.add(queue_size(queue, &attributes));
    match dead_letters(&sqs, url, &attributes).await {
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

/// The name of the dead-letter queue, and the attributes of that queue.
async fn dead_letters(
    sqs: &aws_sdk_sqs::Client,
    queue: &str,
    attributes: &Attributes,
) -> Result<Option<(String, Attributes)>> {
    if !attributes.0.contains_key(&QueueAttributeName::RedrivePolicy) {
        return Ok(None);
    }
    let url = dead_letters_of(sqs, queue).await?;
    let name = url.rsplit('/').next().unwrap_or(&url).to_owned();
    Ok(Some((name, Attributes::read(sqs, &url).await?)))
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
async fn pending(target: &Target) -> Result<Check> {
    let (dynamodb, table) = (aws_sdk_dynamodb::Client::new(&target.config), &target.table);
    let mut keys = Vec::new();
    let mut pages = dynamodb.scan().table_name(table).index_name(INDEXES[0].0).into_paginator().send();
    while let Some(page) = pages.next().await {
        let items = page.context("cannot read the index of pending records")?.items.unwrap_or_default();
        keys.extend(items.into_iter().filter_map(|mut item| item.remove("pk")));
        if keys.len() > MAX_PENDING {
            break;
        }
    }
    let mut oldest: Option<Timestamp> = None;
    for key in keys.iter().take(MAX_PENDING) {
        let read = dynamodb.get_item().table_name(table).key("pk", key.clone());
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
fn retention(target: &Target, providers: &[&Sender], options: &Options) -> Check {
    let check_name = "retention and tolerance";
    let setting = |variable: &str, parameter: &str| -> Option<u64> {
        target.setting(variable, parameter)?.parse().ok()
    };
    let is_known = target.local.is_some() || target.stack.is_some();
    let tolerances = providers.iter().filter_map(|provider| {
        let variable = format!("{}_TIMESTAMP_TOLERANCE_SECONDS", provider.name.to_uppercase());
        setting(&variable, &name(provider.name, "ToleranceSeconds").ok()?)
    });
    let days = options.retention_days.or_else(|| setting("RETENTION_DAYS", "RetentionDays"));
    let days = days.or(is_known.then_some(RETENTION_DAYS));
    let tolerance = options.tolerance_seconds.or_else(|| tolerances.max()).or(is_known.then_some(0));
    match days.zip(tolerance) {
        Some((days, tolerance)) => retention_check(check_name, days, tolerance),
        None => {
            let advice = "give --stack, or --retention-days and --tolerance-seconds";
            check(check_name, Status::NotChecked, "the stack's parameters are not known", advice)
        }
    }
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

const ALARMS: &str = "alarms";

/// An alarm, as CloudWatch describes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Alarm {
    alarm_name: String,
    state_value: String,
    alarm_actions: Vec<String>,
}

/// Whether there are alarms, whether one is on, and whether somebody hears them.
async fn alarms(list: &mut Checklist, target: &Target, stack: &StackDescription) {
    let found = match described_alarms(target, &format!("{}-", stack.name)).await {
        Ok(found) => found,
        Err(error) => return list.add(unreadable(ALARMS, &error)),
    };
    list.add(alarm_states(&stack.name, &found));
    let topics: BTreeSet<&String> = found
        .iter()
        .flat_map(|alarm| &alarm.alarm_actions)
        .filter(|action| action.contains(":sns:"))
        .collect();
    for topic in topics {
        let check_name = format!("subscribers of {}", topic.rsplit(':').next().unwrap_or(topic));
        list.add(match subscriptions(target, topic).await {
            Ok(subscriptions) => subscribers(check_name, &subscriptions),
            Err(error) => unreadable(&check_name, &error),
        });
    }
}

fn alarm_states(stack: &str, found: &[Alarm]) -> Check {
    let silent = found.iter().filter(|alarm| alarm.alarm_actions.is_empty()).count();
    let on: Vec<&str> = found
        .iter()
        .filter(|alarm| alarm.state_value == "ALARM")
        .map(|alarm| alarm.alarm_name.as_str())
        .collect();
    if found.is_empty() {
        let advice = "deploy the template again: nobody would be told of anything";
        return check(ALARMS, Status::Failed, format!("none is called {stack}-..."), advice);
    }
    if silent > 0 {
        let advice = "deploy the template again: every alarm of it has an action";
        return check(ALARMS, Status::Failed, format!("{silent} of {} tell nobody", found.len()), advice);
    }
    if !on.is_empty() {
        let advice = "infra/operating.md, \"Alarms\", says what each means and what to do";
        return check(ALARMS, Status::Failed, format!("on: {}", on.join(", ")), advice);
    }
    check(ALARMS, Status::Ok, format!("there are {}, and none is on", found.len()), "")
}

fn subscribers(check_name: String, subscriptions: &[String]) -> Check {
    // One that waits has the text `PendingConfirmation` there, one that has ended `Deleted`.
    let confirmed = subscriptions.iter().filter(|arn| arn.starts_with("arn:")).count();
    let found = format!("{confirmed} confirmed of {}", subscriptions.len());
    let status = if confirmed == 0 { Status::Failed } else { Status::Ok };
    let advice = "set AlarmEmail, or subscribe to the topic, and confirm: nobody hears the alarms";
    check(check_name, status, found, advice)
}

async fn described_alarms(target: &Target, prefix: &str) -> Result<Vec<Alarm>> {
    let (mut found, mut next) = (Vec::new(), Value::Null);
    loop {
        let mut parameters = json!({ "AlarmNamePrefix": prefix });
        if !next.is_null() {
            parameters["NextToken"] = next;
        }
        let answer = aws_call::cloudwatch(&target.config, "DescribeAlarms", &parameters).await;
        let mut answer = answer.context("cannot read the alarms")?;
        let page: Vec<Alarm> = serde_json::from_value(answer["MetricAlarms"].take())?;
        found.extend(page);
        next = answer["NextToken"].take();
        if next.is_null() {
            return Ok(found);
        }
    }
}

/// What stands for each subscription of a topic: its ARN, once it is confirmed.
async fn subscriptions(target: &Target, topic: &str) -> Result<Vec<String>> {
    let query = Query {
        service: "sns",
        version: "2010-03-31",
        action: "ListSubscriptionsByTopic",
        parameters: &[("TopicArn", topic)],
    };
    let answer = query.call(&target.config).await.context("cannot read the topic's subscriptions")?;
    let mut found = Vec::new();
    let path = ["ListSubscriptionsByTopicResult", "Subscriptions", "member"];
    aws_call::at(&answer, &path, &mut |member| {
        found.extend(field(&fields(member)?, "SubscriptionArn"));
        Ok(())
    })?;
    Ok(found)
}

const CONCURRENCY: &str = "concurrent functions";

/// The account's limit of functions at work at once, against the highest number of the last day.
async fn concurrency(target: &Target) -> Result<Check> {
    let settings = aws_call::get(&target.config, "lambda", "/2016-08-19/account-settings").await;
    let settings: Value = serde_json::from_str(&settings.context("cannot read the account's limits")?)?;
    let limit = settings["AccountLimit"]["ConcurrentExecutions"].as_f64().context("Lambda names no limit")?;
    let now = Timestamp::now();
    let parameters = json!({
        "Namespace": "AWS/Lambda", "MetricName": "ConcurrentExecutions", "Period": 3600, "Statistics": ["Maximum"],
        "StartTime": now.as_second() - 86_400, "EndTime": now.as_second(),
    });
    let answer = aws_call::cloudwatch(&target.config, "GetMetricStatistics", &parameters).await;
    let answer = answer.context("cannot read the metric ConcurrentExecutions")?;
    let points = answer["Datapoints"].as_array().into_iter().flatten();
    let peak = points.filter_map(|point| point["Maximum"].as_f64()).fold(0.0, f64::max);
    Ok(concurrency_check(limit, peak))
}

fn concurrency_check(limit: f64, peak: f64) -> Check {
    let found = format!("at most {peak} at once in the last day, and the account's limit is {limit}");
    let status = match peak / limit {
        _ if limit < LEAST_CONCURRENCY => Status::Warning,
        share if share >= 0.8 => Status::Failed,
        share if share >= 0.5 => Status::Warning,
        _ => Status::Ok,
    };
    let advice = "ask for a higher limit (Service Quotas, Lambda, Concurrent executions): at the limit the gateway \
        answers 503; infra/cost-and-scale.md says how many are needed";
    check(CONCURRENCY, status, found, advice)
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
            let check = secret_form("secret", text, Some(false));
            assert_eq!(check.status, expected, "{text:?}");
            assert!(!format!("{check:?}").contains("s3c"), "{check:?}");
        }
        let key = local_stack::keys::SigningKey::new_private();
        let (public, private) = (key.public_key().unwrap(), key.private_key().unwrap());
        for (text, takes_key, expected) in [
            (&*public, Some(true), Status::Ok),
            (&*public, None, Status::Ok),
            (&*public, Some(false), Status::Failed),
            (&*private, Some(true), Status::Failed),
            (&*private, None, Status::Failed),
            ("s3cret", Some(true), Status::Failed),
            ("s3cret", None, Status::Ok),
            ("-----BEGIN PUBLIC KEY-----", Some(true), Status::Failed),
        ] {
            let check = secret_form("secret", Some(text), takes_key);
            assert_eq!(check.status, expected, "{takes_key:?} {text}");
            assert!(!format!("{check:?}").contains(&private[40..60]), "{check:?}");
        }
    }

    #[test]
    fn alarms_and_their_subscribers() {
        let alarms = json!([
            { "AlarmName": "s-a", "StateValue": "OK", "AlarmActions": ["arn:aws:sns:r:1:t"], "Other": {} },
            { "AlarmName": "s-b", "StateValue": "ALARM", "AlarmActions": ["arn:aws:sns:r:1:t"] },
        ]);
        let found: Vec<Alarm> = serde_json::from_value(alarms).unwrap();
        let states = alarm_states("s", &found);
        assert_eq!((states.status, states.found.as_str()), (Status::Failed, "on: s-b"));
        assert_eq!(alarm_states("s", &found[..1]).status, Status::Ok);
        assert_eq!(alarm_states("s", &[]).status, Status::Failed);
        assert_eq!(alarm_states("s", &[Alarm::default()]).status, Status::Failed);
        for (arns, expected) in [
            (&[][..], Status::Failed),
            (&["PendingConfirmation"], Status::Failed),
            (&["PendingConfirmation", "arn:aws:sns:r:1:t:2"], Status::Ok),
        ] {
            let arns: Vec<String> = arns.iter().map(|arn| (*arn).to_owned()).collect();
            assert_eq!(subscribers("s".into(), &arns).status, expected, "{arns:?}");
        }
        for (limit, peak, expected) in [
            (1000.0, 0.0, Status::Ok),
            (1000.0, 500.0, Status::Warning),
            (1000.0, 800.0, Status::Failed),
            (10.0, 0.0, Status::Warning),
        ] {
            assert_eq!(concurrency_check(limit, peak).status, expected, "{limit} {peak}");
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
