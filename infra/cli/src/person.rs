//! `cargo webhooks person`: what is recorded about a person. The value that names the person is read from standard
//! input, so that it is in no shell's history and no list of processes.

use std::io::{IsTerminal, Read};
use std::num::NonZeroU32;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use records::{Erased, Listed, Records, Stored};
use serde_json::json;
use serde_json::value::RawValue;

use crate::exit::Exit;
use crate::inspect::{lines, listed_json};
use crate::output::{Progress, coloured, print, print_json};
use crate::target::Target;

#[derive(Subcommand)]
pub(crate) enum PersonCommand {
    /// Lists the records about a person
    #[command(after_help = "\
Example:
  printf %s ada@example.com | cargo webhooks person find")]
    Find {
        #[command(flatten)]
        reading: Reading,
        /// Prints one JSON object: `records`
        #[arg(long)]
        json: bool,
    },
    /// Prints the messages of all records about a person, with their whole bodies, one a line
    #[command(after_help = "\
Example:
  printf %s ada@example.com | cargo webhooks person export > ada.jsonl")]
    Export {
        #[command(flatten)]
        reading: Reading,
    },
    /// Erases the bodies of all records about a person
    #[command(after_help = "\
Digests, ids and decisions stay, so that a redelivery is still recognised. Messages on queues, backups and consumers'
own data are not touched. A record that the queue does not have yet, or that is held, is left as it is.

Example:
  printf %s ada@example.com | cargo webhooks person erase --yes")]
    Erase {
        #[command(flatten)]
        reading: Reading,
        /// Does it; without this it says how many records would be erased
        #[arg(long)]
        yes: bool,
        /// Refuse to erase more records than this: a short number, or a word, may be in the bodies of others too
        #[arg(long, value_name = "N", default_value_t = 100)]
        max: usize,
    },
}

#[derive(Args)]
pub(crate) struct Reading {
    /// At most this many read units a second, each of 8 KB, while the table is read
    #[arg(long, value_name = "UNITS", default_value = "100")]
    units_per_second: NonZeroU32,
}

/// Runs it.
pub(crate) async fn run(target: &Target, command: PersonCommand) -> Result<Exit> {
    let records = target.records();
    let (PersonCommand::Find { reading, .. }
    | PersonCommand::Export { reading }
    | PersonCommand::Erase { reading, .. }) = &command;
    let found = about(&records, &value()?, reading.units_per_second).await?;
    if found.is_empty() {
        return Ok(Exit::Nothing);
    }
    match command {
        PersonCommand::Find { json, .. } => {
            let listed: Vec<Listed> = found.iter().map(Stored::listed).collect();
            if json {
                print_json(&json!({ "records": listed.iter().map(listed_json).collect::<Vec<_>>() }))?;
            } else {
                print(&coloured(lines(&listed)))?;
            }
            Ok(Exit::Done)
        }
        PersonCommand::Export { .. } => export(&found),
        PersonCommand::Erase { yes, max, .. } => erase(&records, &found, yes, max).await,
    }
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

async fn about(records: &Records, value: &str, units_per_second: NonZeroU32) -> Result<Vec<Stored>> {
    eprintln!("reading the whole table, at most {units_per_second} read units a second");
    let mut shown = Progress::new();
    let progress = |so_far: records::Progress| {
        shown.say(|| format!("{} read, {:.0} units", so_far.scanned, so_far.units));
        true
    };
    let (found, read) = records.about_person(value, units_per_second.get(), progress).await?;
    eprintln!("{} records read, {} are about this person", read.scanned, read.found);
    if read.unreadable > 0 {
        eprintln!(
            "{} records cannot be read: whether they are about this person is not known",
            read.unreadable
        );
    }
    Ok(found)
}

fn export(found: &[Stored]) -> Result<Exit> {
    #[derive(serde::Serialize)]
    struct Line {
        key: String,
        state: &'static str,
        message: Option<Box<RawValue>>,
    }
    for stored in found {
        let message = stored.message().map(|message| RawValue::from_string(message.body)).transpose()?;
        let line = Line { key: stored.record.key.clone(), state: stored.state.name(), message };
        print(&format!("{}\n", serde_json::to_string(&line)?))?;
    }
    Ok(Exit::Done)
}

async fn erase(records: &Records, found: &[Stored], yes: bool, max: usize) -> Result<Exit> {
    if found.len() > max {
        let count = found.len();
        eprintln!("{count} records, more than {max}: look at them with `person find`, then give --max");
        return Ok(Exit::Refused);
    }
    if !yes {
        eprintln!("{} records would be erased; give --yes to erase them", found.len());
        return Ok(Exit::Refused);
    }
    let (mut erased, mut left) = (0, 0);
    for stored in found {
        match records.erase(&stored.record.key, Timestamp::now()).await? {
            Erased::Yes => erased += 1,
            Erased::Gone => {}
            Erased::NotForwarded => {
                eprintln!("left as it is: {} is {}", stored.record.key, stored.state.name());
                left += 1;
            }
        }
    }
    eprintln!("{erased} erased");
    Ok(if left == 0 { Exit::Done } else { Exit::Partly })
}
