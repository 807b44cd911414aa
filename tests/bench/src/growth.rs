//! The command `growth`: measures whether an event costs more when the table has more records. It runs
//! against ministack, an emulator that keeps the table in memory.

use anyhow::{Context, Result};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tests::{LocalAws, unique};

use crate::candidates::Candidate;
use crate::canned::{Behind, Canned};
use crate::compare::warm;
use crate::instance::Instance;
use crate::statistics::{median, ms, real};
use crate::table;

/// The number of records in the table, and the number of pending ones, for each step.
const STEPS: &[(usize, usize)] = &[(0, 0), (10_000, 0), (100_000, 0), (120_000, 20_000)];
const QUICK_STEPS: &[(usize, usize)] = &[(0, 0), (1_000, 0), (2_000, 1_000)];

/// Measures the candidate at each step and prints the table.
pub async fn run(candidate: &Candidate, quick: bool, events: usize) -> Result<()> {
    let aws = LocalAws::start().await;
    let counting = Canned::start(Behind::Endpoint(aws.stack.endpoint.clone())).await?;
    let mut candidate = candidate.clone();
    for (name, value) in aws.stack.environment(&local_stack::senders::SENDERS[0]) {
        if ["EVENTS_TABLE", "QUEUE_URL"].contains(&name.as_str()) {
            candidate.environment.push((name, value));
        }
    }
    let mut lines = Vec::new();
    let (mut records, mut backlog) = (0, 0);
    for &(all, pending) in if quick { QUICK_STEPS } else { STEPS } {
        fill(&aws, pending - backlog, true).await?;
        fill(&aws, (all - pending) - (records - backlog), false).await?;
        (records, backlog) = (all, pending);
        let (mut instance, _) = Instance::start(&candidate, &counting).await?;
        warm(&mut instance, &candidate, &counting, 20).await?;
        let seen = warm(&mut instance, &candidate, &counting, events).await?;
        let mean = |values: &[usize]| real(values.iter().sum()) / real(values.len());
        lines.push(vec![
            all.to_string(),
            pending.to_string(),
            format!("{:.2}", mean(&seen.calls)),
            format!("{:.0}", mean(&seen.bytes)),
            format!("{:.0}", ms(median(&seen.cpu)) * 1000.0),
            format!("{:.1}", ms(median(&seen.reply))),
            format!("{:.1}", ms(median(&seen.cycle))),
        ]);
        eprintln!("{all} records, {pending} pending: done");
    }
    let headings = [
        "records",
        "of them pending",
        "calls",
        "bytes to AWS",
        "CPU/event µs",
        "reply p50 ms",
        "cycle p50 ms",
    ];
    table::print(&headings, &lines);
    Ok(())
}

/// Puts records into the table, 25 per call.
async fn fill(aws: &LocalAws, count: usize, pending: bool) -> Result<()> {
    let batches = (0..count).step_by(25).map(|from| {
        let writes: Result<Vec<_>> = (from..count.min(from + 25)).map(|_| write(pending)).collect();
        async {
            let call = aws.stack.dynamodb.batch_write_item().request_items(&aws.stack.table, writes?);
            call.send().await.context("cannot fill the table")?;
            anyhow::Ok(())
        }
    });
    stream::iter(batches).buffer_unordered(4).try_collect::<Vec<()>>().await?;
    Ok(())
}

fn write(pending: bool) -> Result<WriteRequest> {
    let key = unique();
    let now = Timestamp::now();
    let millis = |time: Timestamp| AttributeValue::N(time.as_millisecond().to_string());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let body = format!(r#"{{"webhookId":"{key}","type":"TEST","timestamp":"{now}"}}"#);
    let mut put = PutRequest::builder()
        .item("pk", text(&format!("umaaas#TEST#{key}")))
        .item("version", AttributeValue::N("1".into()))
        .item("state", text(if pending { "pending" } else { "forwarded" }))
        .item("kind", text("umaaas.test"))
        .item("id", text(&key))
        .item("source", text("/umaaas/test-webhook"))
        .item("path", text("/umaaas/test-webhook"))
        .item("delivery_id", text(&key))
        .item("received_at", millis(now))
        .item("payload", AttributeValue::B(Blob::new(body)));
    if pending {
        // not due during the measurement
        let due = now + SignedDuration::from_hours(24);
        put = put.item("pending_shard", text(&(key.len() % 8).to_string())).item("due_at", millis(due));
    }
    Ok(WriteRequest::builder().put_request(put.build()?).build())
}
