//! `cargo webhooks tail`: new records as they arrive, by the index of records by time. It takes nothing off a queue.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use records::Order;

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
    #[arg(long, value_name = "COUNT")]
    count: Option<usize>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Prints one JSON object for each record
    #[arg(long)]
    json: bool,
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
    let (mut since, mut seen, mut count) = (begin, HashSet::new(), 0);
    loop {
        let look = Timestamp::now();
        let filter = options.choice.filter(since, look.saturating_add(OVERLAP)?);
        let mut after = None;
        loop {
            let page = records.list(&filter, Order::OldestFirst, after, PAGE).await?;
            for listed in page.records {
                if !seen.insert((listed.entry.received_at, listed.entry.key.clone())) {
                    continue;
                }
                if options.json {
                    print_json(&listed_json(&listed))?;
                } else {
                    let text = lines(&[listed]);
                    let skipped = usize::from(count > 0);
                    let text: String = text.split_inclusive('\n').skip(skipped).collect();
                    print(&coloured(text))?;
                }
                count += 1;
                if options.count == Some(count) {
                    return Ok(Exit::Done);
                }
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
