//! The command `tls`: what TLS adds to a start. It measures the same candidates when they call AWS over HTTP
//! and over HTTPS.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::candidates::Candidate;
use crate::canned::{Behind, Canned};
use crate::compare::{Amount, Warm, warm};
use crate::instance::Instance;
use crate::statistics::{median, ms};
use crate::table;

/// Measures the candidates and prints the table. A call takes `delay`. With TLS, each of the two round trips
/// of a new connection takes `delay` too.
pub async fn run(candidates: &[Candidate], amount: Amount, delay: Duration) -> Result<()> {
    let aws = [("HTTP", Canned::start(Behind::Nothing).await?), ("HTTPS", Canned::start_tls().await?)];
    aws.iter().for_each(|(_, aws)| aws.delay(delay));
    let mut starts =
        vec![(Vec::new(), Vec::new(), Vec::new(), Warm::default()); candidates.len() * aws.len()];
    for round in 0..amount.starts {
        eprintln!("start {} of {}", round + 1, amount.starts);
        let pairs = candidates.iter().flat_map(|candidate| aws.iter().map(move |aws| (candidate, aws)));
        for ((candidate, (_, aws)), (init, first, cpu, warmed)) in pairs.zip(&mut starts) {
            let started = Instance::start(candidate, aws).await;
            let (mut instance, start) = started.with_context(|| candidate.name.clone())?;
            init.push(start.init);
            first.push(start.first_reply);
            cpu.push(start.cpu);
            *warmed = warm(&mut instance, candidate, aws, amount.events).await?;
        }
    }
    let pairs = candidates.iter().flat_map(|candidate| aws.iter().map(move |aws| (candidate, aws)));
    let lines: Vec<Vec<String>> = pairs
        .zip(&starts)
        .map(|((candidate, (protocol, _)), (init, first, cpu, warm))| {
            let after: Vec<Duration> =
                first.iter().zip(init).map(|(first, init)| first.saturating_sub(*init)).collect();
            vec![
                format!("{}, {protocol}", candidate.name),
                format!("{:.1}", ms(median(init))),
                format!("{:.1}", ms(median(&after))),
                format!("{:.1}", ms(median(first))),
                format!("{:.1}", ms(median(cpu))),
                format!("{:.2}", ms(median(&warm.reply))),
                format!("{:.2}", ms(median(&warm.cycle))),
            ]
        })
        .collect();
    let headings =
        ["", "init ms", "first event ms", "both ms", "CPU of both ms", "warm reply p50 ms", "cycle p50 ms"];
    table::print(&headings, &lines);
    Ok(())
}
