//! `cargo webhooks replay`: recorded events, sent again. The event keeps its id, each message says `replayof`, and
//! nothing is decided again.
//!
//! A run has an id. Within a run the messages are always the same, so that a run that is resumed sends nothing twice
//! that a FIFO queue still remembers (five minutes).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws::SqsSink;
use aws::budget::Budget;
use clap::Args;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderValue};
use ingest::{BatchSink as _, Message, State, sha256_hex};
use jiff::{SignedDuration, Timestamp};
use local_stack::keys::SigningKey;
use local_stack::senders::Sender;
use records::{Entry, Filter, Order, Position, Records, Stored};
use serde::{Deserialize, Serialize};
use serde_json::json;
use verify::Secret;

use crate::choice::{Choice, When, period, when};
use crate::exit::Exit;
use crate::inspect::{key_prefixes, lines};
use crate::output::{Progress, coloured, print, print_json};
use crate::target::Target;
use crate::{request, sign};

/// How many events are sent without `--yes`.
const WITHOUT_YES: usize = 100;

/// How much `--since LAST` reads again: a record can be in the index later than one that arrived after it.
const READ_AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// How many messages one call to a queue takes.
const BATCH: usize = 10;

/// How long one call to a queue, or one POST, may take.
const CALL: Budget = Budget { total: Duration::from_secs(20), attempt: Duration::from_secs(8) };

/// The variable with the secret that signs what is posted to an address other than this machine's.
const SECRET_VARIABLE: &str = "WEBHOOKS_SIGNING_SECRET";

#[derive(Args)]
#[command(after_help = "\
Events are sent in the order of receipt. More than 100 need --yes. A held conflict is never sent: release it instead.
A message has the event's id, `replayof` and a deliveryid of its own; events/README.md says how a consumer that
remembers ids handles one on purpose.

Examples:
  cargo webhooks replay Webhook:0193a1c4-0001
  cargo webhooks replay --subject Transaction:0193a1c4-0002 --dry-run
  cargo webhooks replay --since 2026-11-25T08:00:00Z --until 2026-11-25T09:00:00Z --kind 'umaaas.*' --yes
  cargo webhooks replay --since LAST                # what is new since the last time, from a bookmark
  cargo webhooks replay --since 1h --to http://127.0.0.1:9000    # webhooks, signed again, to the local stack")]
pub(crate) struct ReplayOptions {
    /// Ids of events, or keys of records
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// About this transaction, instrument or identity
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    subject: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// From this time on: 2026-11-25T08:30:00Z, 2026-11-25, 30m, 2h, 7d; LAST is where the last such run ended
    #[arg(long, value_name = "TIME|LAST", value_parser = since, conflicts_with = "ids")]
    since: Option<Since>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = when, conflicts_with = "ids")]
    until: Option<When>,
    /// Where to: `queue`, or an address that the webhooks are posted to
    #[arg(long, value_name = "queue|URL", default_value = "queue")]
    to: String,
    /// Shows what would be sent, and sends nothing
    #[arg(long)]
    dry_run: bool,
    /// Sends more than 100 events
    #[arg(long)]
    yes: bool,
    /// How many events a second at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Goes on with this run
    #[arg(long, value_name = "ID", value_parser = run_id)]
    run: Option<String>,
    /// Goes on after this event, as the interrupted run said
    #[arg(long, value_name = "NEXT")]
    after: Option<Position>,
    /// The file with where the last run of `--since LAST` ended; one for each table unless given
    #[arg(long, value_name = "FILE")]
    bookmark: Option<PathBuf>,
    /// Prints one JSON object: `run`, and counts
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Time(When),
    Last,
}

fn since(text: &str) -> Result<Since, String> {
    if text == "LAST" { Ok(Since::Last) } else { when(text).map(Since::Time) }
}

/// It stands in delivery ids.
fn run_id(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=64).contains(&text.len()) && text.chars().all(valid) {
        Ok(text.to_owned())
    } else {
        Err("a run's id has 1 to 64 letters, digits and -".to_owned())
    }
}

/// Where the last run of `--since LAST` ended, and what of the last minutes it has sent.
#[derive(Debug, Serialize, Deserialize)]
struct Bookmark {
    /// In RFC 3339.
    until: String,
    /// Hex SHA-256 of the keys.
    sent: Vec<String>,
}

/// What became of a run.
#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    /// What was not sent, and why.
    unsent: Vec<(String, String)>,
    statuses: BTreeMap<u16, usize>,
    /// Where it stopped, if it did.
    stopped: Option<Stopped>,
}

#[derive(Debug)]
struct Stopped {
    /// The last event that is done with.
    after: Option<Position>,
    /// What stopped it. `None` is Ctrl-C.
    error: Option<String>,
}

/// Runs it.
pub(crate) async fn run(target: &Target, options: ReplayOptions) -> Result<Exit> {
    let destination = Destination::new(target, &options.to)?;
    let plan = Plan::new(target, &options).await?;
    let run = options.run.clone().unwrap_or_else(new_run);
    let remaining: Vec<&Entry> =
        plan.entries.iter().filter(|entry| options.after.as_ref() < Some(&Position::of(entry))).collect();
    if remaining.is_empty() {
        eprintln!("nothing to send");
        plan.finish(&options)?;
        report(&options, &run, 0, &Outcome::default())?;
        return Ok(Exit::Nothing);
    }
    if options.dry_run {
        if !options.json {
            let listed = target.records().with_states(remaining.iter().copied().cloned().collect()).await?;
            print(&coloured(lines(&listed)))?;
        }
        eprintln!("{} would be sent to {}", remaining.len(), options.to);
        report(&options, &run, remaining.len(), &Outcome::default())?;
        return Ok(Exit::Done);
    }
    if remaining.len() > WITHOUT_YES && !options.yes {
        eprintln!("{} events would be sent, which is more than {WITHOUT_YES}: give --yes", remaining.len());
        return Ok(Exit::Refused);
    }
    eprintln!("run {run}: {} events to {}", remaining.len(), options.to);
    let outcome = send(&target.records(), &destination, &remaining, &run, options.rate).await;
    report(&options, &run, remaining.len(), &outcome)?;
    for (key, reason) in &outcome.unsent {
        eprintln!("not sent: {key}: {reason}");
    }
    match &outcome.stopped {
        Some(Stopped { after, error }) => {
            let why = error.as_deref().unwrap_or("Ctrl-C");
            eprintln!("stopped ({why}): {} of {} are sent. To go on:", outcome.sent, remaining.len());
            eprintln!("  {}", resumed(&options, &plan, &run, after.as_ref()));
            Ok(if error.is_some() { Exit::Partly } else { Exit::Interrupted })
        }
        None if outcome.unsent.is_empty() => {
            plan.finish(&options)?;
            eprintln!("{} sent", outcome.sent);
            Ok(Exit::Done)
        }
        None => {
            eprintln!("{} of {} sent", outcome.sent, remaining.len());
            Ok(Exit::Partly)
        }
    }
}

fn report(options: &ReplayOptions, run: &str, chosen: usize, outcome: &Outcome) -> Result<()> {
    if !options.json {
        return Ok(());
    }
    let stopped = outcome.stopped.as_ref();
    let after = stopped.and_then(|stopped| stopped.after.as_ref()).map(ToString::to_string);
    print_json(&json!({
        "run": run,
        "dryRun": options.dry_run,
        "chosen": chosen,
        "sent": outcome.sent,
        "unsent": outcome.unsent.iter().map(|(key, reason)| json!({ "key": key, "reason": reason })).collect::<Vec<_>>(),
        "statuses": outcome.statuses,
        "stopped": stopped.is_some(),
        "after": after,
    }))
}

/// What a run sends.
struct Plan {
    /// In the order of receipt.
    entries: Vec<Entry>,
    /// The time that was chosen, if one was.
    period: Option<(Timestamp, Timestamp)>,
    /// Where the bookmark of `--since LAST` is, and what it says after this run.
    bookmark: Option<(PathBuf, Bookmark)>,
}

impl Plan {
    async fn new(target: &Target, options: &ReplayOptions) -> Result<Self> {
        let records = target.records();
        ensure!(
            options.choice.state.map(State::from) != Some(State::Conflict),
            "a held conflict is never sent: release it"
        );
        if !options.ids.is_empty() {
            ensure!(options.choice.is_empty(), "an id says which event it is: no other choice goes with it");
            let entries = Self::of_ids(&records, &options.ids).await?;
            return Ok(Self { entries, period: None, bookmark: None });
        }
        let everything = options.choice.is_empty() && options.since.is_none() && options.subject.is_none();
        ensure!(!everything, "which events? Give ids, --subject, --since, or another choice");
        let last_of_subject = options.since == Some(Since::Last) && options.subject.is_some();
        ensure!(!last_of_subject, "--since LAST goes through everything, not through a --subject");
        let from = match options.since {
            Some(Since::Last) => return Self::since_last(target, options).await,
            Some(Since::Time(when)) => Some(when),
            None => None,
        };
        let (since, until) = period(from, options.until)?;
        let filter = options.choice.filter(since, until);
        let entries = match &options.subject {
            Some(subject) => {
                let mut related = records.related(subject).await?;
                related.retain(|entry| filter.admits(entry));
                chosen(&records, &filter, related).await?
            }
            None => Self::listed(&records, &filter).await?,
        };
        Ok(Self { entries, period: Some((since, until)), bookmark: None })
    }

    async fn of_ids(records: &Records, ids: &[String]) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for id in ids {
            let found = records.find(id, &key_prefixes()).await?;
            ensure!(!found.is_empty(), "no record has the key or id {id}");
            for stored in found {
                ensure!(stored.state != State::Conflict, "{id} is held: release it instead");
                entries.push(stored.entry());
            }
        }
        sorted(&mut entries);
        Ok(entries)
    }

    /// All of a time, with progress.
    async fn listed(records: &Records, filter: &Filter) -> Result<Vec<Entry>> {
        if filter.state == Some(State::Pending) {
            let page = records.list(filter, Order::OldestFirst, None, usize::MAX).await?;
            return Ok(page.records.into_iter().map(|one| one.entry).collect());
        }
        let (mut entries, mut shown) = (Vec::new(), Progress::new());
        let mut listing = records.listing(filter, Order::OldestFirst, None, 1000);
        loop {
            let page = listing.take(1000).await?;
            let Some(last) = page.last() else { break };
            let up_to = last.received_at;
            entries.extend(chosen(records, filter, page).await?);
            shown.say(|| format!("{} found, up to {up_to}", entries.len()));
        }
        Ok(entries)
    }

    async fn since_last(target: &Target, options: &ReplayOptions) -> Result<Self> {
        let file = match &options.bookmark {
            Some(file) => file.clone(),
            None => bookmark_of(&target.table)?,
        };
        let last: Bookmark = match std::fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).with_context(|| file.display().to_string())?,
            Err(_) => {
                eprintln!("there is no bookmark yet: the last {} minutes", READ_AGAIN.as_mins());
                Bookmark { until: Timestamp::now().to_string(), sent: Vec::new() }
            }
        };
        let ended: Timestamp = last.until.parse().with_context(|| file.display().to_string())?;
        let (since, until) = period(Some(When::At(ended.saturating_sub(READ_AGAIN)?)), options.until)?;
        let filter = options.choice.filter(since, until);
        let mut entries = Self::listed(&target.records(), &filter).await?;
        let recent = until.saturating_sub(READ_AGAIN)?;
        // Only the digests of keys are kept: ids of events are nobody's business in a home folder.
        let digest = |entry: &Entry| sha256_hex(entry.key.as_bytes());
        let sent = entries.iter().filter(|entry| entry.received_at >= recent).map(digest).collect();
        entries.retain(|entry| !last.sent.contains(&digest(entry)));
        let bookmark = Some((file, Bookmark { until: until.to_string(), sent }));
        Ok(Self { entries, period: Some((since, until)), bookmark })
    }

    /// Everything is sent: the next run begins here.
    fn finish(&self, options: &ReplayOptions) -> Result<()> {
        let Some((file, bookmark)) = self.bookmark.as_ref().filter(|_| !options.dry_run) else {
            return Ok(());
        };
        let folder = file.parent().context("the bookmark's file has no folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot write {}", folder.display()))?;
        // In one step: a half-written bookmark would be none.
        let new = file.with_extension("new");
        std::fs::write(&new, serde_json::to_string(bookmark)?)
            .and_then(|()| std::fs::rename(&new, file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Those that are not held, and in the state that was asked for.
async fn chosen(records: &Records, filter: &Filter, entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let listed = records.with_states(entries).await?.into_iter();
    let fits = |is: State| is != State::Conflict && filter.state.is_none_or(|state| state == is);
    let fitting = listed.filter(|one| one.current.as_ref().is_some_and(|current| fits(current.state)));
    Ok(fitting.map(|one| one.entry).collect())
}

fn sorted(entries: &mut Vec<Entry>) {
    entries.sort_by_key(Position::of);
    entries.dedup_by(|one, other| one.key == other.key);
}

/// `~/.local/state/payment-webhooks/<table>.json`
fn bookmark_of(table: &str) -> Result<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir().context("no home folder: give --bookmark")?.join(".local").join("state"),
    };
    Ok(state.join("payment-webhooks").join(format!("{table}.json")))
}

/// A name that no other run has.
fn new_run() -> String {
    let now = Timestamp::now();
    let unique = sha256_hex(format!("{} {}", now.as_nanosecond(), std::process::id()).as_bytes());
    format!("{}-{}", now.strftime("%Y%m%d%H%M%S"), &unique[..8])
}

/// Where events are sent.
enum Destination<'a> {
    Queues(&'a Target),
    Url(Url),
}

struct Url {
    base: String,
    /// The secret, if there is one; the local stack has one for each provider.
    secret: Option<SigningKey>,
    is_here: bool,
}

impl<'a> Destination<'a> {
    fn new(target: &'a Target, to: &str) -> Result<Self> {
        if to == "queue" {
            return Ok(Self::Queues(target));
        }
        let address: http::Uri =
            to.parse().with_context(|| format!("{to} is neither `queue` nor an address"))?;
        ensure!(
            matches!(address.scheme_str(), Some("http" | "https")),
            "{to} does not begin with http:// or https://"
        );
        ensure!(address.host().is_some(), "{to} has no host");
        let is_here = request::is_local(to);
        ensure!(is_here || address.scheme_str() == Some("https"), "{to}: only https:// to another machine");
        let base = to.trim_end_matches('/').to_owned();
        if target.local.is_none() && target.url == Some(request::base(to)?) {
            bail!(
                "{to} is the deployment that has recorded these events: it would answer each as a redelivery"
            );
        }
        let secret = std::env::var(SECRET_VARIABLE)
            .ok()
            .and_then(|secret| Secret::new(&secret))
            .map(SigningKey::Secret);
        ensure!(
            is_here || secret.is_some(),
            "{SECRET_VARIABLE} has to hold the secret that signs what is posted to {to}"
        );
        Ok(Self::Url(Url { base, secret, is_here }))
    }
}

/// Sends events in order, until all are sent, a queue does not answer, or somebody presses Ctrl-C.
async fn send(
    records: &Records,
    destination: &Destination<'_>,
    entries: &[&Entry],
    run: &str,
    rate: u32,
) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    let listening = tokio::spawn({
        let interrupted = Arc::clone(&interrupted);
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.store(true, Ordering::SeqCst);
            }
        }
    });
    let (mut outcome, mut shown, mut after) = (Outcome::default(), Progress::new(), None);
    let started = tokio::time::Instant::now();
    for (number, batch) in entries.chunks(BATCH).enumerate() {
        if interrupted.load(Ordering::SeqCst) {
            outcome.stopped = Some(Stopped { after, error: None });
            break;
        }
        if let Err(error) = send_batch(records, destination, batch, run, &mut outcome).await {
            outcome.stopped = Some(Stopped { after, error: Some(format!("{error:#}")) });
            break;
        }
        after = batch.last().map(|entry| Position::of(entry));
        let done = (number + 1) * BATCH;
        shown.say(|| format!("{} of {} sent", outcome.sent, entries.len()));
        if done < entries.len() {
            let due = Duration::from_secs(1) * u32::try_from(done).unwrap_or(u32::MAX) / rate;
            tokio::time::sleep_until(started + due).await;
        }
    }
    listening.abort();
    outcome
}

/// Sends some events. An error is one that the next events would meet too.
async fn send_batch(
    records: &Records,
    destination: &Destination<'_>,
    batch: &[&Entry],
    run: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut events = Vec::new();
    for entry in batch {
        let unsent = match records.get(&entry.key).await {
            Ok(Some(stored)) if stored.state == State::Conflict => "it is held",
            Ok(Some(stored)) if !stored.has_body => "its body is gone",
            Ok(Some(stored)) => {
                events.push((*entry, stored));
                continue;
            }
            Ok(None) => "it is gone",
            Err(records::RecordsError::Unreadable { .. }) => "it cannot be read",
            Err(error) => return Err(error.into()),
        };
        outcome.unsent.push((entry.key.clone(), unsent.to_owned()));
    }
    match destination {
        Destination::Queues(target) => send_to_queues(target, &events, run, outcome).await,
        Destination::Url(url) => {
            for (entry, stored) in &events {
                let status = url.post(entry.provider(), stored).await?;
                *outcome.statuses.entry(status).or_default() += 1;
                if matches!(status, 200..=299 | 403 | 409 | 422) {
                    outcome.sent += 1;
                } else {
                    outcome.unsent.push((entry.key.clone(), format!("HTTP {status}")));
                }
            }
            Ok(())
        }
    }
}

async fn send_to_queues(
    target: &Target,
    events: &[(&Entry, Stored)],
    run: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut by_provider: BTreeMap<&str, Vec<(&str, Message)>> = BTreeMap::new();
    for (entry, stored) in events {
        let message = stored.replay(run).context("its body is gone")?;
        by_provider.entry(entry.provider()).or_default().push((&entry.key, message));
    }
    for (provider, keyed) in by_provider {
        let sink = SqsSink::new(&target.config, target.queue(provider)?.to_owned(), CALL);
        let (keys, messages): (Vec<&str>, Vec<Message>) = keyed.into_iter().unzip();
        for (key, result) in keys.into_iter().zip(sink.forward_batch(&messages, CALL.total).await) {
            match result {
                Ok(()) => outcome.sent += 1,
                Err(ingest::Unsent::Message(error)) if !is_for_all(&error.chain()) => {
                    outcome.unsent.push((key.to_owned(), error.chain()));
                }
                Err(ingest::Unsent::Message(error) | ingest::Unsent::Queue(error)) => {
                    bail!("the queue of {provider}: {}", error.chain())
                }
            }
        }
    }
    Ok(())
}

/// Whether the queue refuses each message for the same reason: the caller may not send, or there is no such queue.
fn is_for_all(error: &str) -> bool {
    ["AccessDenied", "NonExistentQueue", "QueueDoesNotExist", "InvalidClientTokenId", "ExpiredToken"]
        .iter()
        .any(|code| error.contains(code))
}

impl Url {
    /// Posts the webhook as the provider would, signed now.
    async fn post(&self, provider: &str, stored: &Stored) -> Result<u16> {
        let provider = Sender::named(provider).with_context(|| format!("nobody signs for {provider}"))?;
        let record = &stored.record;
        let secret = match &self.secret {
            Some(secret) => {
                ensure!(
                    provider.has_shared_secret(),
                    "{} signs with a private key: nobody else can",
                    provider.name
                );
                secret.clone()
            }
            None => {
                ensure!(self.is_here, "there is no secret");
                provider.signing_key()
            }
        };
        let delivery = provider.delivery(&record.path, record.payload.clone(), &secret);
        let mut request = Request::post(format!("{}{}", self.base, record.path)).body(delivery.body)?;
        *request.headers_mut() = delivery.headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request::send(request, CALL.total).await?.response.status().as_u16())
    }
}

/// The command that goes on with a run: with the same choice, at the times that it had.
fn resumed(options: &ReplayOptions, plan: &Plan, run: &str, after: Option<&Position>) -> String {
    let mut command = "cargo webhooks replay".to_owned();
    let mut add = |name: &str, value: &str| {
        let _ = write!(command, " {name} {}", quoted(value));
    };
    if let Some(subject) = &options.subject {
        add("--subject", subject);
    }
    let filter = options.choice.filter(Timestamp::MIN, Timestamp::MAX);
    let state = filter.state.map(|state| state.name().to_owned());
    let reply = filter.reply.map(|reply| reply.to_string());
    let named = [
        ("--provider", filter.provider),
        ("--kind", filter.kind),
        ("--state", state),
        ("--decision", filter.decision),
        ("--reply", reply),
    ];
    for (name, value) in named {
        value.iter().for_each(|value| add(name, value));
    }
    if let Some((since, until)) = plan.period {
        let since = if plan.bookmark.is_some() { "LAST".to_owned() } else { since.to_string() };
        add("--since", &since);
        add("--until", &until.to_string());
    }
    if options.to != "queue" {
        add("--to", &options.to);
    }
    if let Some(file) = &options.bookmark {
        add("--bookmark", &file.display().to_string());
    }
    add("--run", run);
    if let Some(after) = after {
        add("--after", &after.to_string());
    }
    if options.yes {
        command += " --yes";
    }
    for id in &options.ids {
        let _ = write!(command, " {}", quoted(id));
    }
    command
}

/// A word for a shell, in quotes only where it needs them.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { sign::quoted(word) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        options: ReplayOptions,
    }

    #[test]
    fn the_command_that_goes_on_is_the_same_choice() {
        let parse = |line: &[&str]| Whole::try_parse_from(["x"].iter().chain(line)).unwrap().options;
        let options = parse(&["--since", "2h", "--kind", "umaaas.*", "--state", "pending", "--yes"]);
        let (since, until) =
            ("2026-11-25T08:00:00Z".parse().unwrap(), "2026-11-25T10:00:00Z".parse().unwrap());
        let plan = Plan { entries: vec![], period: Some((since, until)), bookmark: None };
        let after = Position { received_at: since, key: "k".into() };
        let command = resumed(&options, &plan, "r-1", Some(&after));
        assert_eq!(
            command,
            format!(
                "cargo webhooks replay --kind 'umaaas.*' --state pending --since 2026-11-25T08:00:00Z \
                 --until 2026-11-25T10:00:00Z --run r-1 --after {after} --yes"
            )
        );
        // and it is a command
        let words: Vec<&str> = command.split(' ').skip(3).map(|word| word.trim_matches('\'')).collect();
        let again = parse(&words);
        assert_eq!((again.run.as_deref(), again.after), (Some("r-1"), Some(after)));

        let options = parse(&["it's", "b"]);
        let plan = Plan { entries: vec![], period: None, bookmark: None };
        assert_eq!(resumed(&options, &plan, "r", None), r"cargo webhooks replay --run r 'it'\''s' b");
        for wrong in
            [&["a", "--since", "1h"][..], &["--run", "a b", "x"], &["--since", "last"], &["--rate", "0", "x"]]
        {
            assert!(Whole::try_parse_from(["x"].iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_run_has_a_name_of_its_own() {
        let (one, other) = (new_run(), new_run());
        assert!(one != other && run_id(&one).is_ok(), "{one} {other}");
    }
}
