//! `cargo webhooks stats`: counts, decisions and latencies by the hour.

use anyhow::Result;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use records::{Hour, Latency, Order, Statistics};
use serde_json::{Value, json};

use crate::choice::{Choice, PeriodOptions, When};
use crate::exit::Exit;
use crate::output::{Progress, print, print_json, table};
use crate::target::Target;

/// How many records are read at a time.
const PAGE: usize = 1000;

#[derive(Args)]
pub(crate) struct StatsOptions {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    period: PeriodOptions,
    /// Prints one JSON object: `hours` and `total`
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) async fn run(target: &Target, options: StatsOptions) -> Result<Exit> {
    let a_day = When::Ago(SignedDuration::from_hours(24));
    let (since, until) = options.period.period(Some(a_day))?;
    let (records, filter) = (target.records(), options.choice.filter(since, until));
    let (mut statistics, mut shown, mut after, mut read) = (Statistics::default(), Progress::new(), None, 0);
    loop {
        let page = records.list(&filter, Order::OldestFirst, after, PAGE).await?;
        page.records.iter().for_each(|listed| statistics.add(listed));
        read += page.records.len();
        after = page.next;
        let Some(position) = &after else { break };
        shown.say(|| format!("{read} records read, up to {}", position.received_at));
    }
    if options.json {
        print_json(&as_json(&statistics))?;
    } else {
        print(&as_text(&statistics))?;
    }
    Ok(if read == 0 { Exit::Nothing } else { Exit::Done })
}

fn as_json(statistics: &Statistics) -> Value {
    let figures = |hour: &Hour| {
        let millis = |latency: Latency| {
            let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99]
                .map(|one| one.as_secs() * 1000 + i64::from(one.subsec_millis()));
            json!({ "p50": p50, "p95": p95, "p99": p99 })
        };
        json!({
            "records": hour.records, "providers": hour.providers, "replies": hour.replies,
            "decisions": hour.decisions, "states": hour.states, "toQueueMillis": hour.latency().map(millis),
        })
    };
    let hours = statistics.hours.iter().map(|(at, hour)| {
        let mut line = figures(hour);
        line["hour"] = at.to_string().into();
        line
    });
    json!({ "hours": hours.collect::<Vec<_>>(), "total": figures(&statistics.total()) })
}

fn as_text(statistics: &Statistics) -> String {
    let row = |name: String, hour: &Hour| {
        let count = |name: &str| hour.decisions.get(name).copied().unwrap_or_default().to_string();
        let in_state = |name: &str| hour.states.get(name).copied().unwrap_or_default().to_string();
        let mut row = vec![name, hour.records.to_string()];
        row.extend(["approve", "reject", "request_information"].map(count));
        row.extend(["pending", "conflict"].map(in_state));
        let latency = hour.latency().map(|latency| [latency.p50, latency.p95, latency.p99].map(seconds));
        row.extend(latency.unwrap_or_default());
        row
    };
    let mut rows: Vec<Vec<String>> =
        statistics.hours.iter().map(|(at, hour)| row(at.strftime("%F %H:00").to_string(), hour)).collect();
    rows.push(row("together".to_owned(), &statistics.total()));
    let headings = [
        "hour (UTC)",
        "records",
        "approve",
        "reject",
        "ask",
        "pending",
        "held",
        "to queue p50",
        "p95",
        "p99",
    ];
    format!("{}\nrecords by the hour  {}\n", table(&headings, &rows), sparkline(statistics))
}

fn seconds(latency: SignedDuration) -> String {
    format!("{:.3} s", latency.as_secs_f64())
}

/// A bar for each hour, those without records too.
fn sparkline(statistics: &Statistics) -> String {
    const BARS: [char; 8] =
        ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];
    let most = statistics.hours.values().map(|hour| hour.records).max().unwrap_or_default().max(1);
    let mut line = String::new();
    let mut last: Option<Timestamp> = None;
    for (at, hour) in &statistics.hours {
        let between = last.map_or(0, |last| at.duration_since(last).as_hours() - 1);
        // Nobody looks at more than a month of hours at once.
        line.extend((0..between.min(24 * 31)).map(|_| ' '));
        line.push(BARS[(hour.records * (BARS.len() - 1)).div_ceil(most).min(BARS.len() - 1)]);
        last = Some(*at);
    }
    line
}

#[cfg(test)]
mod tests {
    use ingest::State;
    use records::{Current, Entry, Listed};

    use super::*;

    #[test]
    fn a_table_and_a_line() {
        let mut statistics = Statistics::default();
        for (hour, count) in [(0, 1), (1, 8), (4, 4)] {
            for n in 0..count {
                let received_at = Timestamp::from_second(1_795_564_800 + hour * 3600 + n).unwrap();
                let entry = Entry {
                    key: "umaaas#TEST#1".into(),
                    kind: "umaaas.test".into(),
                    id: "1".into(),
                    subject: None,
                    received_at,
                    reply: 200,
                    decision: None,
                };
                let forwarded_at = Some(received_at + SignedDuration::from_millis(40));
                let current =
                    Some(Current { state: State::Forwarded, occurred_at: None, forwarded_at, attempts: 1 });
                statistics.add(&Listed { entry, current });
            }
        }
        let expected = "\
hour (UTC)        records  approve  reject  ask  pending  held  to queue p50  p95      p99
2026-11-25 00:00  1        0        0       0    0        0     0.040 s       0.040 s  0.040 s
2026-11-25 01:00  8        0        0       0    0        0     0.040 s       0.040 s  0.040 s
2026-11-25 04:00  4        0        0       0    0        0     0.040 s       0.040 s  0.040 s
together          13       0        0       0    0        0     0.040 s       0.040 s  0.040 s

records by the hour  \u{2582}\u{2588}  \u{2585}
";
        assert_eq!(as_text(&statistics), expected);
    }
}
