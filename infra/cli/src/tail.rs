//! `cargo webhooks tail`: new records as they arrive, by the index of records by time. It takes nothing off a queue.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use records::{Listed, Order};

use crate::choice::{Choice, When, when};
use crate::exit::Exit;
use crate::inspect::{lines, listed_json};
use crate::output::{coloured, print, print_json};
use crate::target::Target;

/// How much is read again each time: a record is in the index a moment after the time that it was received at.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// How many records are read at a time.
const PAGE: usize = 100;

#[derive(Args)]
pub(crate) struct TailOptions {
    #[command(flatten)]
    choice: Choice,
    /// From this time on; from now on unless given
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Ends after so many records
    #[arg(long, value_name = "COUNT", value_parser = count)]
    count: Option<usize>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Prints one JSON object for each record
    #[arg(long)]
    json: bool,
}

fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "a count is a whole number from 1 on".to_owned())
}

/// Runs it, until Ctrl-C.
pub(crate) async fn run(target: &Target, options: TailOptions) -> Result<Exit> {
    tokio::select! {
        done = follow(target, &options) => done,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

async fn follow(target: &Target, options: &TailOptions) -> Result<Exit> {
    let records = target.records();
    let now = Timestamp::now();
    let begin = options.since.map_or(now, |since| since.time(now));
    let (mut since, mut seen, mut shown) = (begin, HashSet::new(), 0);
    loop {
        let look = Timestamp::now();
        let filter = options.choice.filter(since, look.saturating_add(OVERLAP)?);
        let mut after = None;
        loop {
            let page = records.list(&filter, Order::OldestFirst, after, PAGE).await?;
            let mut new = page.records;
            new.retain(|listed| seen.insert((listed.entry.received_at, listed.entry.key.clone())));
            new.truncate(options.count.map_or(usize::MAX, |count| count - shown));
            show(&new, shown == 0, options.json)?;
            shown += new.len();
            if options.count == Some(shown) {
                return Ok(Exit::Done);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        since = look.saturating_sub(OVERLAP)?.max(begin);
        seen.retain(|(received_at, _)| *received_at >= since);
        tokio::time::sleep(Duration::from_secs(options.every.into())).await;
    }
}

/// What is new, the first time under headings.
fn show(new: &[Listed], is_first: bool, json: bool) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    if json {
        return new.iter().try_for_each(|listed| print_json(&listed_json(listed)));
    }
    let text = lines(new);
    let text: String = text.split_inclusive('\n').skip(usize::from(!is_first)).collect();
    print(&coloured(text))
}
