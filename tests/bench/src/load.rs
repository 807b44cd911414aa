//! The command `load`: events per second of one instance, by the size of the body, and of several instances.

use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tests::Host;

use crate::candidates::{Candidate, body_of};
use crate::canned::{Behind, Canned};
use crate::instance::Instance;
use crate::statistics::{median, ms, real};
use crate::table;

/// The sizes of the bodies in bytes, each with a divisor: the number of events is divided by it.
const SIZES: &[(usize, usize)] = &[(500, 1), (10_000, 2), (100_000, 5), (1_000_000, 20)];

/// Measures the candidates and prints the tables.
pub async fn run(candidates: &[Candidate], events: usize) -> Result<()> {
    let aws = Canned::start(Behind::Nothing).await?;
    println!("One instance, one event after the other:\n");
    let mut lines = Vec::new();
    for candidate in candidates {
        for (bytes, share) in SIZES {
            let line = one(candidate, &aws, *bytes, events / share).await;
            lines.push(line.with_context(|| candidate.name.clone())?);
        }
    }
    let headings = [
        "",
        "body",
        "events/s",
        "reply p50 ms",
        "cycle p50 ms",
        "CPU/event ms",
        "calls",
        "bytes to AWS",
        "peak MB",
    ];
    table::print(&headings, &lines);

    println!("\nSeveral instances, each always busy, bodies of 0.5 KB:\n");
    let mut lines = Vec::new();
    for candidate in candidates {
        for instances in [1, 2, 4, 8] {
            let line = several(candidate, &aws, instances, events * 2).await;
            lines.push(line.with_context(|| candidate.name.clone())?);
        }
    }
    table::print(&["", "instances", "events/s", "CPU/event ms"], &lines);
    Ok(())
}

async fn one(candidate: &Candidate, aws: &Canned, bytes: usize, events: usize) -> Result<Vec<String>> {
    let (mut instance, _) = Instance::start(candidate, aws).await?;
    for _ in 0..10 {
        instance.handle(candidate.event_of(bytes)?).await?;
    }
    let events: Vec<Bytes> = (0..events).map(|_| candidate.event_of(bytes)).collect::<Result<_>>()?;
    let (count, size) = (events.len(), body_of(bytes).len());
    aws.take_calls();
    let (started, cpu) = (Instant::now(), instance.cpu());
    let (mut reply, mut cycle) = (Vec::new(), Vec::new());
    for event in events {
        let times = instance.handle(event).await?;
        reply.push(times.reply);
        cycle.push(times.cycle);
    }
    let (took, cpu) = (started.elapsed(), instance.cpu() - cpu);
    let calls = aws.take_calls();
    let sent: usize = calls.iter().map(|call| call.bytes).sum();
    Ok(vec![
        candidate.name.clone(),
        size.to_string(),
        format!("{:.0}", real(count) / took.as_secs_f64()),
        format!("{:.2}", ms(median(&reply))),
        format!("{:.2}", ms(median(&cycle))),
        format!("{:.2}", ms(cpu) / real(count)),
        format!("{:.1}", real(calls.len()) / real(count)),
        format!("{:.0}", real(sent) / real(count)),
        format!("{:.1}", real(instance.peak_memory_kb()) / 1024.0),
    ])
}

async fn several(
    candidate: &Candidate,
    aws: &Canned,
    instances: usize,
    events: usize,
) -> Result<Vec<String>> {
    let host = Host::start().await;
    let running =
        (0..instances).map(|_| Instance::spawn(candidate, aws, &host)).collect::<Result<Vec<_>>>()?;
    send(&host, candidate, instances, instances * 20).await?;
    let cpu = || running.iter().map(Instance::cpu).sum::<std::time::Duration>();
    let before = cpu();
    let took = send(&host, candidate, instances, events).await?;
    let cpu = cpu() - before;
    aws.take_calls();
    Ok(vec![
        candidate.name.clone(),
        instances.to_string(),
        format!("{:.0}", real(events) / took.as_secs_f64()),
        format!("{:.2}", ms(cpu) / real(events)),
    ])
}

/// Sends events such that every instance always has an event and one more event is waiting.
async fn send(
    host: &Host,
    candidate: &Candidate,
    instances: usize,
    count: usize,
) -> Result<std::time::Duration> {
    let events: Vec<Bytes> = (0..count).map(|_| candidate.event_of(500)).collect::<Result<_>>()?;
    let started = Instant::now();
    stream::iter(events)
        .map(|event| async {
            let exchange = host.exchange(event).await.map_err(|error| anyhow!(error))?;
            ensure!(exchange.response["statusCode"] == 200, "{}", exchange.response);
            Ok(())
        })
        .buffer_unordered(instances + 1)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(started.elapsed())
}
