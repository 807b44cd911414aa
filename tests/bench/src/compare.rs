//! The command `compare`: a table with every candidate, for the same events and the same canned AWS.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::candidates::{Candidate, OURS};
use crate::canned::{Behind, Canned};
use crate::instance::{Instance, Start};
use crate::statistics::{median, median_of, ms, percentile, real};
use crate::table;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// The number of starts of each candidate.
    pub starts: usize,
    /// The number of rounds of warm events; in each round every candidate has one turn.
    pub rounds: usize,
    /// The number of events in a turn without delay. A turn with delay has a fifth of them.
    pub events: usize,
}

impl Amount {
    /// Enough for reliable figures.
    pub const FULL: Self = Self { starts: 11, rounds: 10, events: 100 };
    /// Enough to check that the command works.
    pub const QUICK: Self = Self { starts: 3, rounds: 2, events: 30 };
}

/// The measurements of one candidate.
#[derive(Debug, Default)]
struct Seen {
    init: Vec<Duration>,
    first_reply: Vec<Duration>,
    start_cpu: Vec<Duration>,
    /// The measurements of warm events, for each delay.
    warm: Vec<Warm>,
    peak_kb: usize,
}

/// Measurements of warm events with one delay.
#[derive(Clone, Debug, Default)]
pub struct Warm {
    /// The time to the response, for each event.
    pub reply: Vec<Duration>,
    /// The time to the next poll, for each event.
    pub cycle: Vec<Duration>,
    /// The processor time per event, for each turn.
    pub cpu: Vec<Duration>,
    /// The calls to AWS before the response, for each event.
    pub calls_before: Vec<usize>,
    /// All calls to AWS, for each event.
    pub calls: Vec<usize>,
    /// The bytes in the bodies of the calls, for each event.
    pub bytes: Vec<usize>,
}

/// Measures all candidates and prints the table.
pub async fn run(candidates: &[Candidate], amount: Amount, delays: &[u64]) -> Result<()> {
    let aws = Canned::start(Behind::Nothing).await?;
    let mut seen: Vec<Seen> = candidates.iter().map(|_| Seen::default()).collect();

    for round in 0..amount.starts {
        eprintln!("start {} of {}", round + 1, amount.starts);
        for turn in shuffled(candidates.len()) {
            let candidate = &candidates[turn];
            let started = Instance::start(candidate, &aws).await;
            let (_, start) = started.with_context(|| candidate.name.clone())?;
            seen[turn].started(&start);
        }
    }

    let mut instances = Vec::new();
    for candidate in candidates {
        let (mut instance, _) = Instance::start(candidate, &aws).await?;
        warm(&mut instance, candidate, &aws, 50).await?;
        instances.push(instance);
    }
    for &delay in delays {
        aws.delay(Duration::from_millis(delay));
        let events = if delay == 0 { amount.events } else { amount.events / 5 };
        seen.iter_mut().for_each(|seen| seen.warm.push(Warm::default()));
        for round in 0..amount.rounds {
            eprintln!("{delay} ms a call, round {} of {}", round + 1, amount.rounds);
            for turn in shuffled(candidates.len()) {
                let candidate = &candidates[turn];
                let warm = warm(&mut instances[turn], candidate, &aws, events).await;
                let warm = warm.with_context(|| candidate.name.clone())?;
                seen[turn].warm.last_mut().context("there is one")?.add(warm);
            }
        }
    }
    for (instance, seen) in instances.iter().zip(&mut seen) {
        seen.peak_kb = instance.peak_memory_kb();
    }
    drop(instances);
    print(candidates, &seen, delays)
}

/// A random order of the candidates, different each time, because a candidate that runs after a large one
/// starts with cold caches.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|turn| RandomState::new().hash_one(turn));
    order
}

/// Sends warm events through an instance.
pub async fn warm(
    instance: &mut Instance,
    candidate: &Candidate,
    aws: &Canned,
    events: usize,
) -> Result<Warm> {
    let events = (0..events).map(|_| candidate.event()).collect::<Result<Vec<_>>>()?;
    let count = u32::try_from(events.len())?;
    let mut warm = Warm::default();
    aws.take_calls();
    let cpu = instance.cpu();
    for event in events {
        let times = instance.handle(event).await?;
        warm.reply.push(times.reply);
        warm.cycle.push(times.cycle);
        let calls = aws.take_calls();
        warm.calls_before.push(calls.iter().filter(|call| call.at < times.responded).count());
        warm.calls.push(calls.len());
        warm.bytes.push(calls.iter().map(|call| call.bytes).sum());
    }
    warm.cpu.push(instance.cpu().saturating_sub(cpu) / count.max(1));
    Ok(warm)
}

impl Warm {
    fn add(&mut self, more: Self) {
        self.reply.extend(more.reply);
        self.cycle.extend(more.cycle);
        self.cpu.extend(more.cpu);
        self.calls_before.extend(more.calls_before);
        self.calls.extend(more.calls);
        self.bytes.extend(more.bytes);
    }
}

impl Seen {
    fn started(&mut self, start: &Start) {
        self.init.push(start.init);
        self.first_reply.push(start.first_reply);
        self.start_cpu.push(start.cpu);
    }
}

/// The cells of a candidate: value, number of decimals, and whether the ratio to the cell of `umaaas` is
/// printed.
struct Line {
    cells: Vec<(f64, usize, bool)>,
    calls: String,
}

fn print(candidates: &[Candidate], seen: &[Seen], delays: &[u64]) -> Result<()> {
    let mut headings: Vec<String> =
        ["", "init ms", "first reply ms", "its CPU ms"].map(str::to_owned).to_vec();
    for delay in delays {
        let at = if *delay == 0 { String::new() } else { format!(" +{delay}") };
        headings.push(format!("reply{at} p50 ms"));
        headings.push(format!("reply{at} p99 ms"));
        headings.push(format!("cycle{at} p50 ms"));
    }
    headings.extend(
        ["CPU/event µs", "peak MB", "size MB", "zipped MB", "calls: reply + after", "bytes to AWS"]
            .map(str::to_owned),
    );
    let mut lines = Vec::new();
    for (candidate, seen) in candidates.iter().zip(seen) {
        let size = candidate.artifact.size()?;
        let mut cells = vec![
            (ms(median(&seen.init)), 1, true),
            (ms(median(&seen.first_reply)), 1, true),
            (ms(median(&seen.start_cpu)), 1, true),
        ];
        for warm in &seen.warm {
            cells.push((ms(median(&warm.reply)), 2, true));
            cells.push((ms(percentile(&warm.reply, 99)), 2, false));
            cells.push((ms(median(&warm.cycle)), 2, true));
        }
        let warm = seen.warm.first().context("there is a delay")?;
        cells.push((ms(median(&warm.cpu)) * 1000.0, 0, true));
        cells.push((real(seen.peak_kb) / 1024.0, 1, true));
        cells.push((real(size.plain) / 1e6, 2, true));
        cells.push((real(size.zipped) / 1e6, 2, true));
        cells.push((real(median_of(&warm.bytes)), 0, false));
        let (before, all) = (median_of(&warm.calls_before), median_of(&warm.calls));
        lines.push(Line { cells, calls: format!("{before} + {}", all - before) });
    }
    let ours = candidates.iter().position(|candidate| candidate.name == OURS).unwrap_or(0);
    let table: Vec<Vec<String>> = candidates
        .iter()
        .zip(&lines)
        .map(|(candidate, line)| {
            let mut cells = vec![candidate.name.clone()];
            for ((value, digits, compared), (base, _, _)) in line.cells.iter().zip(&lines[ours].cells) {
                let ratio = if *compared { format!(" (×{:.2})", value / base) } else { String::new() };
                cells.push(format!("{value:.digits$}{ratio}"));
            }
            cells.insert(cells.len() - 1, line.calls.clone());
            cells
        })
        .collect();
    table::print(&headings.iter().map(String::as_str).collect::<Vec<_>>(), &table);
    Ok(())
}
