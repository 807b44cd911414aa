//! `cargo webhooks conflicts`: what is held until a person decides.

use std::num::NonZeroU32;

use anyhow::Result;
use clap::Subcommand;
use ingest::State;
use jiff::Timestamp;
use records::{Changed, Listed, Query, Records, Stored};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::inspect::{key_prefixes, lines, listed_json, scanned, show};
use crate::output::{coloured, print, print_json};
use crate::target::Target;

#[derive(Subcommand)]
pub(crate) enum ConflictsCommand {
    /// Lists what is held, the oldest first. Reads the whole table: no index has the state
    #[command(after_help = "\
Examples:
  cargo webhooks conflicts list
  cargo webhooks conflicts list --json | jq -r '.records[].key'")]
    List {
        /// At most this many read units a second, each of 8 KB, while the table is read
        #[arg(long, value_name = "UNITS", default_value = "100")]
        units_per_second: NonZeroU32,
        /// Prints one JSON object: `records`
        #[arg(long)]
        json: bool,
    },
    /// Shows a held event and the one that it conflicts with
    #[command(after_help = "\
Example:
  cargo webhooks conflicts show 'weavr#0c5f...#9b1d...'")]
    Show {
        /// The record's key, or the event's id
        id: String,
        /// Shows personal data too: the bodies as the provider sent them
        #[arg(long)]
        reveal: bool,
        /// Prints a JSON object for each
        #[arg(long)]
        json: bool,
    },
    /// Releases a held event: the reconciler forwards it within a minute
    #[command(after_help = "\
Example:
  cargo webhooks conflicts release 'weavr#0c5f...#9b1d...'")]
    Release {
        /// The record's key, or the event's id
        id: String,
    },
    /// Deletes a held event. Its record and its body are gone then
    #[command(after_help = "\
Example:
  cargo webhooks conflicts discard 'weavr#0c5f...#9b1d...' --yes")]
    Discard {
        /// The record's key, or the event's id
        id: String,
        /// Does it; without this nothing is deleted
        #[arg(long)]
        yes: bool,
    },
}

/// Runs it.
pub(crate) async fn run(target: &Target, command: ConflictsCommand) -> Result<Exit> {
    let records = target.records();
    match command {
        ConflictsCommand::List { units_per_second, json } => list(&records, units_per_second, json).await,
        ConflictsCommand::Show { id, reveal, json } => {
            let Some(held) = held(&records, &id).await? else { return Ok(Exit::Nothing) };
            show(&records, &held.record.key, reveal, json).await?;
            match held.record.key.rsplit_once('#') {
                Some((first, _)) => show(&records, first, reveal, json).await,
                None => Ok(Exit::Nothing),
            }
        }
        ConflictsCommand::Release { id } => {
            let Some(held) = held(&records, &id).await? else { return Ok(Exit::Nothing) };
            let changed = records.release(&held.record.key, Timestamp::now()).await?;
            Ok(reported(changed, "released: the reconciler forwards it in its next run"))
        }
        ConflictsCommand::Discard { id, yes } => {
            let Some(held) = held(&records, &id).await? else { return Ok(Exit::Nothing) };
            if !yes {
                eprintln!("{} would be deleted; give --yes to delete it", held.record.key);
                return Ok(Exit::Refused);
            }
            Ok(reported(records.discard(&held.record.key).await?, "discarded"))
        }
    }
}

async fn list(records: &Records, units_per_second: NonZeroU32, json: bool) -> Result<Exit> {
    let query = Query { state: Some(State::Conflict), ..Query::default() };
    let held = scanned(records, &query, units_per_second).await?;
    let listed: Vec<Listed> = held.iter().map(Stored::listed).collect();
    if json {
        let with_path = |(held, listed): (&Stored, &Listed)| {
            let mut line = listed_json(listed);
            line["path"] = held.record.path.clone().into();
            line["conflictOf"] = held.record.conflict_of.clone().into();
            line
        };
        let lines: Vec<Value> = held.iter().zip(&listed).map(with_path).collect();
        print_json(&json!({ "records": lines }))?;
    } else {
        print(&coloured(lines(&listed)))?;
        for held in &held {
            print(&format!("{}\n    posted to {}\n", held.record.key, held.record.path))?;
        }
    }
    Ok(if listed.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// The held record with a key or an id.
async fn held(records: &Records, id: &str) -> Result<Option<Stored>> {
    let found = records.find(id, &key_prefixes()).await?;
    let held = found.into_iter().find(|stored| stored.state == State::Conflict);
    if held.is_none() {
        eprintln!("{id} is not held");
    }
    Ok(held)
}

fn reported(changed: Changed, done: &str) -> Exit {
    match changed {
        Changed::Yes => {
            eprintln!("{done}");
            Exit::Done
        }
        Changed::NotHeld => {
            eprintln!("it is not held any more: nothing was changed");
            Exit::Nothing
        }
    }
}
