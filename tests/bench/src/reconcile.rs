//! The command `reconcile`: how fast the reconciler clears a backlog, and the cost of each record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use aws::DynamoStore;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use ingest::{Arrival, Provider as _, Record, Store};
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::SENDERS;
use local_stack::stack;
use tests::{Host, unique};
use umaaas::Umaaas;

use crate::candidates::Candidate;
use crate::canned::{Behind, Canned};
use crate::instance::Instance;
use crate::statistics::{ms, real};
use crate::table;

/// Measures the reconciler with each delay and prints the table.
pub async fn run(reconciler: &Candidate, records: usize, delays: &[u64]) -> Result<()> {
    let mut lines = Vec::new();
    for &delay in delays {
        let aws = Canned::start(Behind::Table).await?;
        leave_pending(&aws, records).await?;
        aws.take_calls();
        aws.delay(Duration::from_millis(delay));
        let host = Host::start().await;
        let mut instance = Instance::spawn(reconciler, &aws, &host)?;
        instance.unless_ended(host.polled(1)).await?;
        let (started, cpu) = (Instant::now(), instance.cpu());
        let mut runs = 0;
        while aws.records().1 > 0 {
            let run = instance.unless_ended(host.exchange(Bytes::from_static(b"{}"))).await?;
            runs += 1;
            let summary = run.map_err(|error| anyhow!(error))?.response;
            eprintln!("{delay} ms a call, run {runs}: {summary}");
        }
        let (took, cpu) = (started.elapsed(), instance.cpu() - cpu);
        let calls = aws.take_calls();
        let count = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
        let per_record = |number: usize| real(number) / real(records);
        lines.push(vec![
            delay.to_string(),
            runs.to_string(),
            format!("{:.0}", real(records) / took.as_secs_f64()),
            format!("{:.3}", per_record(calls.len())),
            format!("{:.3}", per_record(count("Query"))),
            format!("{:.3}", per_record(count("UpdateItem"))),
            format!("{:.3}", per_record(count("SendMessageBatch") + count("SendMessage"))),
            format!("{:.0}", per_record(calls.iter().map(|call| call.bytes).sum())),
            format!("{:.0}", ms(cpu) * 1000.0 / real(records)),
            format!("{:.1}", real(instance.peak_memory_kb()) / 1024.0),
        ]);
    }
    println!("{records} records that are due:\n");
    let headings = [
        "delay of a call ms",
        "runs",
        "records/s",
        "calls/record",
        "Query",
        "UpdateItem",
        "SendMessage(Batch)",
        "bytes/record",
        "CPU/record µs",
        "peak MB",
    ];
    table::print(&headings, &lines);
    Ok(())
}

/// Records events as the function does, with a time ten minutes ago, and does not forward them.
async fn leave_pending(aws: &Canned, count: usize) -> Result<()> {
    let provider = &SENDERS[0];
    let store = DynamoStore::new(
        &stack::config(&aws.endpoint),
        "webhook-events".into(),
        SignedDuration::from_hours(24),
        true,
    );
    let secrets = Arc::new(provider.signing_key().keys());
    let umaaas = Arc::new(Umaaas::new(None, None));
    let at = Timestamp::now() - SignedDuration::from_mins(10);
    let records = (0..count).map(|_| {
        let body =
            format!(r#"{{"webhookId":"{}","type":"TEST","timestamp":"2026-11-02T09:15:00Z"}}"#, unique());
        let delivery = provider.delivery("/umaaas/test-webhook", body, &provider.signing_key());
        let (umaaas, secrets, store) = (Arc::clone(&umaaas), Arc::clone(&secrets), store.clone());
        async move {
            let refused = |outcome: ingest::Outcome| anyhow!("{}", outcome.name());
            let delivery = umaaas.verify(delivery, &secrets).map_err(refused)?;
            let event = umaaas.identify(&delivery, Arrival::at(at)).map_err(refused)?.event;
            let record = Record::new(event, None, 200, unique(), at).context("too large")?;
            store.record(&record, aws::budget::RECORD.total).await?;
            anyhow::Ok(())
        }
    });
    stream::iter(records).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    Ok(())
}
