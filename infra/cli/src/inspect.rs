//! `cargo webhooks records`: listing, showing and searching what is recorded.

use std::num::NonZeroU32;

use anyhow::Result;
use clap::{Args, Subcommand};
use ingest::Record;
use jiff::Timestamp;
use local_stack::senders::SENDERS;
use records::{Condition, Copied, Entry, Listed, Order, Position, Query, Records, Step, Stored};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::choice::{Choice, PeriodOptions};
use crate::exit::Exit;
use crate::output::{Progress, coloured, masked, print, print_json, table};
use crate::print::harmless;
use crate::target::Target;

/// How many records about the same subject are shown beside a record. A busy subject can have any number.
const MAX_RELATED: u16 = 100;

#[derive(Subcommand)]
pub(crate) enum RecordsCommand {
    /// Lists records, the newest first
    #[command(after_help = "\
Examples:
  cargo webhooks records list
  cargo webhooks records list --kind 'umaaas.*' --decision reject --since 24h
  cargo webhooks records list --state pending --json | jq '.records[].id'
  cargo webhooks records list --limit 500 --after NEXT    # NEXT is what the last page printed")]
    List(ListOptions),
    /// Shows one record: what happened to it, what else is about the same subject, and its message
    #[command(after_help = "\
Examples:
  cargo webhooks records show Webhook:0193a1c4-0001
  cargo webhooks records show 'umaaas#TEST#Webhook:0193a1c4-0001' --reveal
  cargo webhooks records show Webhook:0193a1c4-0001 --json | jq .timeline")]
    Show {
        /// The event's id, or the record's key
        id: String,
        /// Shows personal data too: the body as the provider sent it
        #[arg(long)]
        reveal: bool,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Searches: by subject through an index, otherwise by reading the whole table
    #[command(after_help = "\
Examples:
  cargo webhooks records search --subject Transaction:0193a1c4-0002    # an index: costs next to nothing
  cargo webhooks records search --id Webhook:1                         # reads the whole table
  cargo webhooks records search --where transaction.status=PENDING --units-per-second 50")]
    Search(SearchOptions),
    /// Copies records that are missing here from a restored table, and changes nothing that is here
    #[command(after_help = "\
infra/operating.md, \"Restore the table\", says what happens to the copied records.

Examples:
  cargo webhooks records copy --from webhook-events-restored          # how many are missing
  cargo webhooks records copy --from webhook-events-restored --yes")]
    Copy {
        /// The table with the records
        #[arg(long, value_name = "TABLE")]
        from: String,
        /// Does it; without this it counts
        #[arg(long)]
        yes: bool,
        /// At most this many read units a second, each of 8 KB, of the other table
        #[arg(long, value_name = "UNITS", default_value = "100")]
        units_per_second: NonZeroU32,
        /// Prints one JSON object: `read`, `missing`, `copied`
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    period: PeriodOptions,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Goes on where an earlier page ended
    #[arg(long, value_name = "NEXT")]
    after: Option<Position>,
    /// Prints one JSON object: `records` and `next`
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = true, args = ["subject", "id", "conditions"])]
pub(crate) struct SearchOptions {
    /// About this transaction, instrument or identity, as in `subject` of the message
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// With this event id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// With this value in the body, as in transaction.status=PENDING; can be given more than once
    #[arg(long = "where", value_name = "PATH=VALUE")]
    conditions: Vec<Condition>,
    /// At most this many read units a second, each of 8 KB, while the table is read
    #[arg(long, value_name = "UNITS", default_value = "100")]
    units_per_second: NonZeroU32,
    /// Prints one JSON object: `records`
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) async fn run(target: &Target, command: RecordsCommand) -> Result<Exit> {
    match command {
        RecordsCommand::List(options) => list(&target.records(), options).await,
        RecordsCommand::Show { id, reveal, json } => show(&target.records(), &id, reveal, json).await,
        RecordsCommand::Search(options) => search(&target.records(), options).await,
        RecordsCommand::Copy { from, yes, units_per_second, json } => {
            anyhow::ensure!(from != target.table, "--from is the table itself");
            let from = Records::new(&target.config, from);
            copy(&target.records(), &from, yes, units_per_second, json).await
        }
    }
}

async fn copy(
    records: &Records,
    from: &Records,
    yes: bool,
    units_per_second: NonZeroU32,
    json: bool,
) -> Result<Exit> {
    eprintln!("reading the whole other table, at most {units_per_second} read units a second");
    let mut shown = Progress::new();
    let progress = |so_far: Copied| {
        shown.say(|| {
            format!("{} read, {} missing here, {:.0} units", so_far.read, so_far.missing, so_far.units)
        });
    };
    let Copied { read, missing, .. } =
        records.copy_missing(from, !yes, units_per_second.get(), progress).await?;
    let copied = if yes { missing } else { 0 };
    eprintln!("{read} read, {missing} missing here, {copied} copied");
    if json {
        print_json(&json!({ "read": read, "missing": missing, "copied": copied }))?;
    }
    if missing == 0 {
        return Ok(Exit::Nothing);
    }
    if !yes {
        eprintln!("nothing is copied yet: give --yes");
        return Ok(Exit::Refused);
    }
    Ok(Exit::Done)
}

async fn list(records: &Records, options: ListOptions) -> Result<Exit> {
    let (since, until) = options.period.period(None)?;
    let filter = options.choice.filter(since, until);
    let page = records.list(&filter, Order::NewestFirst, options.after, options.limit.into()).await?;
    if options.json {
        let next = page.next.as_ref().map(ToString::to_string);
        let lines: Vec<Value> = page.records.iter().map(listed_json).collect();
        print_json(&json!({ "records": lines, "next": next }))?;
    } else {
        print(&coloured(lines(&page.records)))?;
        if let Some(next) = &page.next {
            eprintln!("there are more: --after {next}");
        }
    }
    Ok(if page.records.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// Shows the records with an id. With several of them, each.
pub(crate) async fn show(records: &Records, id: &str, reveal: bool, json: bool) -> Result<Exit> {
    let found = records.find(id, &key_prefixes()).await?;
    if found.is_empty() {
        eprintln!("no record has this key or id; `records search --id` reads the whole table for it");
        return Ok(Exit::Nothing);
    }
    for stored in found {
        let subject = stored.record.subject.clone().unwrap_or_default();
        let (mut related, more) = records.latest_related(&subject, MAX_RELATED).await?;
        related.retain(|entry| entry.key != stored.record.key);
        let related = records.with_states(related).await?;
        if more {
            eprintln!(
                "there are more about the same subject than the latest {MAX_RELATED}: records search --subject"
            );
        }
        if json {
            print(&format!("{}\n", shown_json(&stored, &related, reveal)?))?;
        } else {
            print(&coloured(shown(&stored, &related, reveal)?))?;
        }
    }
    Ok(Exit::Done)
}

async fn search(records: &Records, options: SearchOptions) -> Result<Exit> {
    let SearchOptions { subject, id, conditions, units_per_second, json } = options;
    let entries = if let Some(subject) = &subject {
        by_subject(records, subject, id.as_deref(), &conditions).await?
    } else {
        let query = Query { id, conditions, ..Query::default() };
        scanned(records, &query, units_per_second).await?.iter().map(Stored::entry).collect()
    };
    let listed = records.with_states(entries).await?;
    if json {
        print_json(&json!({ "records": listed.iter().map(listed_json).collect::<Vec<_>>() }))?;
    } else {
        print(&coloured(lines(&listed)))?;
    }
    Ok(if listed.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// Through the index; the records themselves are read only if something about their bodies is asked.
async fn by_subject(
    records: &Records,
    subject: &str,
    id: Option<&str>,
    conditions: &[Condition],
) -> Result<Vec<Entry>> {
    let mut entries = records.related(subject).await?;
    entries.retain(|entry| id.is_none_or(|id| entry.id == id));
    if conditions.is_empty() {
        return Ok(entries);
    }
    let mut chosen = Vec::new();
    for entry in entries {
        let stored = records.get(&entry.key).await?;
        if stored.is_some_and(|stored| conditions.iter().all(|one| one.holds(&stored.record.payload))) {
            chosen.push(entry);
        }
    }
    Ok(chosen)
}

/// Reads the whole table, and says so. The oldest is first.
pub(crate) async fn scanned(
    records: &Records,
    query: &Query,
    units_per_second: NonZeroU32,
) -> Result<Vec<Stored>> {
    eprintln!("no index has this: reading the whole table, at most {units_per_second} read units a second");
    let (mut found, mut shown) = (Vec::new(), Progress::new());
    let done = records
        .search(
            query,
            units_per_second.get(),
            |stored| found.push(stored),
            |so_far| {
                shown.say(|| {
                    format!("{} read, {} found, {:.0} units", so_far.scanned, so_far.found, so_far.units)
                });
                true
            },
        )
        .await?;
    eprintln!("{} records read, {} found, {:.0} units", done.scanned, done.found, done.units);
    if done.unreadable > 0 {
        eprintln!("{} records cannot be read and were left out", done.unreadable);
    }
    found.sort_by_key(|stored| Position::of(&stored.entry()));
    Ok(found)
}

/// What the keys of event ids begin with. A type that is not known is a part of its id.
pub(crate) fn key_prefixes() -> Vec<String> {
    let umaaas = umaaas::KINDS.iter().map(|kind| format!("umaaas#{}#", kind.wire));
    let grid = grid::KINDS.iter().map(|kind| format!("grid#{}#", kind.wire));
    let whole = SENDERS.iter().map(|provider| format!("{}#", provider.name));
    umaaas.chain(grid).chain(whole).collect()
}

/// A listing as a table.
pub(crate) fn lines(records: &[Listed]) -> String {
    let row = |listed: &Listed| {
        let entry = &listed.entry;
        vec![
            written(entry.received_at),
            entry.kind.clone(),
            entry.reply.to_string(),
            decision_of(entry),
            state_of(listed).to_owned(),
            entry.id.clone(),
            entry.subject.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    table(&["received", "kind", "reply", "decision", "state", "id", "subject"], &rows)
}

/// A line of a listing in JSON.
pub(crate) fn listed_json(listed: &Listed) -> Value {
    let entry = &listed.entry;
    let current = listed.current.as_ref();
    json!({
        "key": entry.key,
        "provider": entry.provider(),
        "kind": entry.kind,
        "id": entry.id,
        "subject": entry.subject,
        "receivedAt": entry.received_at.to_string(),
        "reply": entry.reply,
        "decision": entry.decision.as_ref().map(ingest::Decision::name),
        "reason": entry.decision.as_ref().and_then(ingest::Decision::reason),
        "state": current.map(|current| current.state.name()),
        "forwardedAt": current.and_then(|current| current.forwarded_at).map(|at| at.to_string()),
        "attempts": current.map(|current| current.attempts),
    })
}

fn decision_of(entry: &Entry) -> String {
    let Some(decision) = &entry.decision else { return String::new() };
    match decision.reason() {
        Some(reason) => format!("{} ({reason})", decision.name()),
        None => decision.name().to_owned(),
    }
}

fn state_of(listed: &Listed) -> &'static str {
    listed.current.as_ref().map_or("gone", |current| current.state.name())
}

/// A time to the millisecond, in UTC.
pub(crate) fn written(time: Timestamp) -> String {
    time.strftime("%FT%T.%3fZ").to_string()
}

fn shown(stored: &Stored, related: &[Listed], reveal: bool) -> Result<String> {
    let record = &stored.record;
    let Record { key, kind, id, .. } = record;
    let mut text = harmless(&format!("key      {key}\nkind     {kind}\nid       {id}\n"));
    if let Some(subject) = &record.subject {
        text += &harmless(&format!("subject  {subject}\n"));
    }
    text += &format!("state    {}\n\n", stored.state.name());
    let steps = stored.timeline();
    let rows = steps
        .into_iter()
        .map(|Step { at, step, detail }| vec![at.map(written).unwrap_or_default(), step.to_owned(), detail]);
    text += &table(&["when", "what", ""], &rows.collect::<Vec<_>>());
    if !related.is_empty() {
        text += &format!("\nabout the same subject:\n{}", lines(related));
    }
    match stored.message() {
        None => text += "\nthe body is gone, and with it the message\n",
        Some(message) if reveal => text += &format!("\nthe message:\n{}\n", message.body),
        Some(message) => {
            let message = masked_message(&message.body)?;
            text += &format!(
                "\nthe message (--reveal shows the body):\n{}\n",
                serde_json::to_string_pretty(&message)?
            );
        }
    }
    Ok(text)
}

/// The message as it is goes in as it is: its bytes are the provider's.
fn shown_json(stored: &Stored, related: &[Listed], reveal: bool) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Shown {
        record: Value,
        timeline: Vec<Value>,
        related: Vec<Value>,
        message: Option<Box<RawValue>>,
    }
    let step = |Step { at, step, detail }| json!({ "at": at.map(|at| at.to_string()), "step": step, "detail": detail });
    let message = match stored.message() {
        None => None,
        Some(message) if reveal => Some(RawValue::from_string(message.body)?),
        Some(message) => Some(RawValue::from_string(masked_message(&message.body)?.to_string())?),
    };
    let shown = Shown {
        record: listed_json(&stored.listed()),
        timeline: stored.timeline().into_iter().map(step).collect(),
        related: related.iter().map(listed_json).collect(),
        message,
    };
    Ok(serde_json::to_string(&shown)?)
}

/// A message whose body is masked.
fn masked_message(message: &str) -> Result<Value> {
    let mut message: Value = serde_json::from_str(message)?;
    for name in ["data", "data_base64"] {
        if let Some(data) = message.get_mut(name) {
            *data = masked(data);
        }
    }
    Ok(message)
}
