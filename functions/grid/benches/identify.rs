//! Measures the time to identify the event of a webhook, and to decide about the event without a policy.
//! `cargo bench -p webhook-grid --bench identify`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/sender/mod.rs"]
mod sender;

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ingest::{Arrival, Provider, Request};
use jiff::Timestamp;
use sender::Sender;
use verify::{Delivery, Verified};
use webhook_grid::Grid;

fn identify(criterion: &mut Criterion) {
    let grid = Grid::new(None, None);
    let mut group = criterion.benchmark_group("grid");
    let payment = |status: &str| {
        let payment = include_str!("../../../events/grid/incoming_payment.pending.json");
        payment.replace("\"PENDING\"", &format!("\"{status}\""))
    };
    let bodies = [
        ("an incoming payment".to_owned(), payment("PENDING")),
        ("500 bytes".to_owned(), body(500)),
        ("10 KB".to_owned(), body(10_000)),
        ("1 MB".to_owned(), body(1_000_000)),
    ];
    for (name, body) in bodies {
        let delivery = verified(&grid, &body);
        group.throughput(Throughput::Bytes(body.len().try_into().unwrap()));
        group.bench_function(BenchmarkId::new("identify", name), |bench| {
            bench.iter(|| grid.identify(black_box(&delivery), Arrival::at(Timestamp::UNIX_EPOCH)).unwrap());
        });
    }
    drop(group);

    // The benchmark `policy` of `webhook-umaaas` measures decisions by the sample policy.
    for (name, status) in [("no policy", "PENDING"), ("informational", "COMPLETED")] {
        let delivery = verified(&grid, &payment(status));
        let identified = grid.identify(&delivery, Arrival::at(Timestamp::UNIX_EPOCH)).unwrap();
        criterion.bench_function(&format!("grid/decide/{name}"), |bench| {
            bench.iter(|| {
                black_box(&identified.payment)
                    .as_ref()
                    .map(|payment| grid.decide(payment, Some(&ingest::Totals::new())))
            });
        });
    }
}

fn verified(grid: &Grid, body: &str) -> Verified<Delivery> {
    let sender = Sender::new();
    let Request { path, headers, body, .. } = sender.post(body);
    let keys = sender.receiver(Grid::new(None, None)).secrets;
    grid.verify(Delivery { path, headers, body: body.unwrap() }, &keys).unwrap()
}

/// A body of about this many bytes, with a list whose rows are all different.
fn body(bytes: usize) -> String {
    let envelope = r#"{"id":"1","type":"BULK_UPLOAD.COMPLETED","timestamp":"2026-11-02T09:15:00Z""#;
    let mut body = format!(r#"{envelope},"data":{{"id":"1","errors":[0"#);
    let mut row = 0_u32;
    while body.len() + 40 < bytes {
        row += 1;
        write!(body, r#",{{"row":{row},"id":"{:04x}"}}"#, row.wrapping_mul(0x9e37_79b9) >> 16).unwrap();
    }
    body + "]}}"
}

criterion_group!(benches, identify);
criterion_main!(benches);
