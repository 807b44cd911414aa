//! `cargo webhooks person`: what is recorded about a person. The value that names the person is read from standard
//! input, so that it is in no shell's history and no list of processes.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use ingest::State;
use jiff::{SignedDuration, Timestamp};
use records::{Erased, Erasure, Listed, Person, Receiver, Receivers, Records, Stored};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::inspect::{lines, listed_json};
use crate::output::{Progress, coloured, print, print_json};
use crate::target::Target;

/// How long a record with a decision about a payment is kept, in days: five years. Obliged entities keep records of
/// transactions for five years: Directive (EU) 2015/849, article 40, and from July 2027 Regulation (EU) 2024/1624,
/// article 77.
const DECIDED_RETENTION_DAYS: u16 = 1826;

/// The longest reason. It is stored with each record.
const MAX_REASON_BYTES: usize = 500;

/// The variable of `.local/env` and of the functions.
const DIRECTORY_VARIABLE: &str = "RECEIVER_DIRECTORY_TABLE";

/// The parameter of the stack.
const DIRECTORY_PARAMETER: &str = "ReceiverDirectoryTable";

#[derive(Subcommand)]
pub(crate) enum PersonCommand {
    /// Lists the records about a person
    #[command(after_help = "\
Examples:
  printf %s ada@example.com | cargo webhooks person find
  printf %s user-7 | cargo webhooks person find --directory-table receivers --json
  printf %s 7 | cargo webhooks person find --at consumerId")]
    Find {
        #[command(flatten)]
        reading: Reading,
        /// Prints one JSON object: `records`, and `receiver` with the names of the facts in the directory
        #[arg(long)]
        json: bool,
    },
    /// Prints everything that is recorded about a person, in JSON Lines: each record with its message and whole body,
    /// then the entry in the receiver directory
    #[command(after_help = "\
Example:
  printf %s ada@example.com | cargo webhooks person export > ada.jsonl")]
    Export {
        #[command(flatten)]
        reading: Reading,
    },
    /// Erases the bodies of all records about a person, and the entry in the receiver directory
    #[command(after_help = "\
Keys, ids, digests, times and decisions stay, so that a redelivery is still recognised. Messages on queues, backups and
consumers' own data are not touched. A record stays as it is when the queue does not have it yet, when it is held, and
when it is the decision about a payment and the law demands to keep it (--decided-retention).

Examples:
  printf %s ada@example.com | cargo webhooks person erase                # how many would be erased
  printf %s ada@example.com | cargo webhooks person erase --yes
  printf %s ada@example.com | cargo webhooks person erase --yes --json > erased.json
  printf %s ada@example.com | cargo webhooks person erase --yes --override 'test data, no customer; ticket 4711'
  cargo webhooks person erase --yes --again erased.json                  # after a restore: the same records")]
    Erase {
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        erasing: Erasing,
    },
}

#[derive(Args)]
pub(crate) struct Reading {
    /// Only records whose body has the value in this field, as in consumer.email or items.0.name
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    /// The table of the receiver directory, if the stack does not say it; the value is looked up there as a platform
    /// user id
    #[arg(long, value_name = "NAME")]
    directory_table: Option<String>,
    /// At most this many read units a second, each of 8 KB, while the table is read
    #[arg(long, value_name = "UNITS", default_value = "100")]
    units_per_second: NonZeroU32,
}

#[derive(Args)]
pub(crate) struct Erasing {
    /// Does it; without this it says what would be erased
    #[arg(long)]
    yes: bool,
    /// Refuse to erase more records than this: a short number, or a word, may be in the bodies of others too
    #[arg(long, value_name = "N", default_value_t = 100)]
    max: usize,
    /// How many days a record with a decision about a payment has to be kept: five years, as laws against money
    /// laundering demand (EU: Directive 2015/849, article 40). Such a record is not erased without --override. The table
    /// itself keeps records for 90 days unless RETENTION_DAYS says otherwise
    #[arg(long, value_name = "DAYS", default_value_t = DECIDED_RETENTION_DAYS)]
    decided_retention: u16,
    /// Erase decisions within --decided-retention too, for this reason. It is kept in those records as `erased_reason`:
    /// do not name the person
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
    /// Erases the records that an earlier report (--json) names, as after a restore: no value is read, and the reason of
    /// that report counts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["at", "directory_table"])]
    again: Option<PathBuf>,
    /// Prints the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// What an earlier report says.
#[derive(Deserialize)]
struct Earlier {
    keys: Vec<String>,
    reason: Option<String>,
}

/// What is stored about a person.
struct Found {
    records: Vec<Stored>,
    /// How many records could not be read.
    unreadable: usize,
    receivers: Option<Receivers>,
    receiver: Option<Receiver>,
    /// What names the person. `None` where an earlier report names the records.
    value: Option<String>,
}

/// Runs it.
pub(crate) async fn run(target: &Target, mut command: PersonCommand) -> Result<Exit> {
    if let PersonCommand::Erase { erasing, .. } = &mut command
        && let Some(file) = erasing.again.take()
    {
        let found = named_in(&target.records(), &file, erasing).await?;
        return if found.records.is_empty() {
            eprintln!("all records of this report are erased or gone");
            Ok(Exit::Nothing)
        } else {
            erase(&target.records(), &found, erasing).await
        };
    }
    let (PersonCommand::Find { reading, .. }
    | PersonCommand::Export { reading }
    | PersonCommand::Erase { reading, .. }) = &command;
    let found = about(target, reading).await?;
    if found.records.is_empty() && found.receiver.is_none() {
        return Ok(Exit::Nothing);
    }
    match command {
        PersonCommand::Find { json, .. } => find(&found, json),
        PersonCommand::Export { .. } => export(&found),
        PersonCommand::Erase { erasing, .. } => erase(&target.records(), &found, &erasing).await,
    }
}

/// The records that an earlier report names and that have not been erased.
async fn named_in(records: &Records, file: &Path, erasing: &mut Erasing) -> Result<Found> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let report: Earlier = serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of `person erase --json`", file.display()))?;
    erasing.reason = erasing.reason.take().or(report.reason);
    let mut found = Vec::new();
    for key in &report.keys {
        found.extend(records.get(key).await?.filter(|stored| stored.erased_at.is_none()));
    }
    Ok(Found { records: found, unreadable: 0, receivers: None, receiver: None, value: None })
}

/// What names the person.
fn value() -> Result<String> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("a value that names the person, as bodies have it (an address, an id), then Ctrl-D:");
    }
    let mut value = String::new();
    input.read_to_string(&mut value).context("standard input is no text")?;
    let value = value.trim();
    ensure!(!value.is_empty(), "give a value that names the person on standard input");
    Ok(value.to_owned())
}

async fn about(target: &Target, reading: &Reading) -> Result<Found> {
    let value = value()?;
    let mut person = Person::new(&value);
    if let Some(path) = &reading.at {
        person = person.at(path).context("--at is a path, as in consumer.email")?;
    }
    let receivers = receivers(target, reading.directory_table.clone());
    let receiver = match &receivers {
        Some(receivers) => receivers.get(&value).await?,
        None => {
            eprintln!("no receiver directory is looked at: give --directory-table if there is one");
            None
        }
    };

    let units_per_second = reading.units_per_second;
    eprintln!("reading the whole table, at most {units_per_second} read units a second");
    let mut shown = Progress::new();
    let progress = |so_far: records::Progress| {
        shown.say(|| format!("{} read, {:.0} units", so_far.scanned, so_far.units));
        true
    };
    let (found, read) = target.records().about_person(&person, units_per_second.get(), progress).await?;
    eprintln!("{} records read, {} are about this person", read.scanned, read.found);
    if read.unreadable > 0 {
        eprintln!(
            "{} records cannot be read: whether they are about this person is not known",
            read.unreadable
        );
    }
    Ok(Found { records: found, unreadable: read.unreadable, receivers, receiver, value: Some(value) })
}

/// The directory that was named, or that the deployment has.
fn receivers(target: &Target, named: Option<String>) -> Option<Receivers> {
    let known = || target.setting(DIRECTORY_VARIABLE, DIRECTORY_PARAMETER).map(str::to_owned);
    Some(Receivers::new(&target.config, named.or_else(known)?))
}

fn find(found: &Found, json: bool) -> Result<Exit> {
    let listed: Vec<Listed> = found.records.iter().map(Stored::listed).collect();
    // An item has no order.
    let facts = found.receiver.as_ref().map(|receiver| receiver.0.keys().collect::<BTreeSet<_>>());
    if json {
        let table = found.receivers.as_ref().map(Receivers::table);
        print_json(&json!({
            "records": listed.iter().map(listed_json).collect::<Vec<_>>(),
            "receiver": facts.map(|facts| json!({ "table": table, "facts": facts })),
        }))?;
        return Ok(Exit::Done);
    }
    if !listed.is_empty() {
        print(&coloured(lines(&listed)))?;
    }
    if let Some(facts) = facts {
        let facts: Vec<&str> = facts.into_iter().map(String::as_str).collect();
        print(&format!("in the receiver directory: {}\n", facts.join(", ")))?;
    }
    Ok(Exit::Done)
}

fn export(found: &Found) -> Result<Exit> {
    #[derive(serde::Serialize)]
    struct Record {
        record: Value,
        message: Option<Box<RawValue>>,
    }
    #[derive(serde::Serialize)]
    struct Entry<'a> {
        receiver: &'a Map<String, Value>,
    }
    for stored in &found.records {
        let message = stored.message().map(|message| RawValue::from_string(message.body)).transpose()?;
        let line = Record { record: listed_json(&stored.listed()), message };
        print(&format!("{}\n", serde_json::to_string(&line)?))?;
    }
    if let Some(receiver) = &found.receiver {
        print(&format!("{}\n", serde_json::to_string(&Entry { receiver: &receiver.0 })?))?;
    }
    Ok(Exit::Done)
}

/// What became of the records.
#[derive(Default)]
struct Report {
    /// Their keys.
    erased: Vec<String>,
    overridden: usize,
    pending: usize,
    held: usize,
    retained: usize,
    gone: usize,
    receiver: bool,
}

impl Report {
    fn note(&mut self, key: &str, erased: Erased) {
        match erased {
            Erased::Yes => self.erased.push(key.to_owned()),
            Erased::Overridden => {
                self.erased.push(key.to_owned());
                self.overridden += 1;
            }
            Erased::NotForwarded(State::Conflict) => {
                eprintln!("stays as it is: {key} is held: release or discard it");
                self.held += 1;
            }
            Erased::NotForwarded(_) => {
                eprintln!("stays as it is: {key} is pending: the queue does not have it yet");
                self.pending += 1;
            }
            Erased::Retained => {
                eprintln!("stays as it is: {key} is a decision that has to be kept: --decided-retention");
                self.retained += 1;
            }
            Erased::Gone => self.gone += 1,
        }
    }

    fn refused(&self) -> usize {
        self.pending + self.held + self.retained
    }

    fn print(&self, found: &Found, erasing: &Erasing) -> Result<()> {
        let Self { erased, overridden, pending, held, retained, gone, receiver } = self;
        let is = |count: usize| match (erasing.yes, count) {
            (false, _) => "would be",
            (true, 1) => "is",
            (true, _) => "are",
        };
        eprintln!(
            "{} of {} records {} erased, {} {} not ({pending} pending, {held} held, {retained} to be kept), {gone} {} \
             gone",
            erased.len(),
            found.records.len(),
            is(erased.len()),
            self.refused(),
            is(self.refused()),
            is(*gone),
        );
        if let Some(reason) = erasing.reason.as_ref().filter(|_| *overridden > 0) {
            eprintln!("{overridden} of them although they had to be kept: {reason}");
        }
        if *receiver {
            eprintln!("the entry in the receiver directory {} erased", is(1));
        }
        if erasing.json {
            print_json(&json!({
                "done": erasing.yes,
                "found": found.records.len(),
                "erased": erased.len(),
                "overridden": overridden,
                "reason": erasing.reason,
                "refused": { "pending": pending, "held": held, "retained": retained },
                "gone": gone,
                "unreadable": found.unreadable,
                "receiver": receiver,
                "keys": erased,
            }))?;
        }
        Ok(())
    }
}

async fn erase(records: &Records, found: &Found, erasing: &Erasing) -> Result<Exit> {
    if found.records.len() > erasing.max {
        let (count, max) = (found.records.len(), erasing.max);
        eprintln!("{count} records, more than {max}: look at them with `person find`, then give --max");
        return Ok(Exit::Refused);
    }
    if let Some(reason) = &erasing.reason {
        let fits = !reason.trim().is_empty() && reason.len() <= MAX_REASON_BYTES;
        ensure!(fits, "--override needs a reason of at most {MAX_REASON_BYTES} bytes");
        let names = found.value.as_ref().is_some_and(|value| reason.contains(value));
        ensure!(!names, "the reason of --override must not name the person: it is kept");
    }
    let now = Timestamp::now();
    let retention = SignedDuration::from_hours(24 * i64::from(erasing.decided_retention));
    let erasure = Erasure {
        now,
        keep_decided_since: now.saturating_sub(retention)?,
        override_reason: erasing.reason.as_deref(),
    };
    let mut report = Report::default();
    if !erasing.yes {
        for stored in &found.records {
            report.note(&stored.record.key, erasure.of(stored));
        }
        report.receiver = found.receiver.is_some();
        report.print(found, erasing)?;
        eprintln!("nothing is erased yet: give --yes");
        return Ok(Exit::Refused);
    }
    let done = erase_all(records, found, &erasure, &mut report).await;
    report.print(found, erasing)?;
    done?;
    Ok(if report.refused() + found.unreadable == 0 { Exit::Done } else { Exit::Partly })
}

async fn erase_all(
    records: &Records,
    found: &Found,
    erasure: &Erasure<'_>,
    report: &mut Report,
) -> Result<()> {
    for stored in &found.records {
        let key = &stored.record.key;
        report.note(key, records.erase(key, erasure).await?);
    }
    if let (Some(receivers), Some(_), Some(user)) = (&found.receivers, &found.receiver, &found.value) {
        report.receiver = receivers.erase(user).await?;
    }
    Ok(())
}
