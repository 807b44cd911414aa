//! Measures the time to identify the event of a webhook, and to decide about the event without a policy.
//! `cargo bench -p webhook-umaaas --bench identify`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ingest::{Arrival, Provider};
use jiff::Timestamp;
use verify::{Delivery, Secrets, Verified};
use webhook_umaaas::{SIGNATURE, Umaaas};

fn identify(criterion: &mut Criterion) {
    let umaaas = Umaaas::new(None, None);
    let mut group = criterion.benchmark_group("umaaas");
    let payment = |status: &str| {
        let payment = include_str!("../../../events/umaaas/incoming_payment.json");
        payment.replace("\"PENDING\"", &format!("\"{status}\""))
    };
    let bodies = [
        ("an incoming payment".to_owned(), payment("PENDING")),
        ("500 bytes".to_owned(), body(500)),
        ("10 KB".to_owned(), body(10_000)),
        ("1 MB".to_owned(), body(1_000_000)),
    ];
    for (name, body) in bodies {
        let delivery = verified(&umaaas, &body);
        group.throughput(Throughput::Bytes(body.len().try_into().unwrap()));
        group.bench_function(BenchmarkId::new("identify", name), |bench| {
            bench.iter(|| umaaas.identify(black_box(&delivery), Arrival::at(Timestamp::UNIX_EPOCH)).unwrap());
        });
    }
    drop(group);

    // The benchmark `policy` measures decisions by the sample policy.
    for (name, status) in [("no policy", "PENDING"), ("informational", "COMPLETED")] {
        let delivery = verified(&umaaas, &payment(status));
        let identified = umaaas.identify(&delivery, Arrival::at(Timestamp::UNIX_EPOCH)).unwrap();
        criterion.bench_function(&format!("umaaas/decide/{name}"), |bench| {
            bench.iter(|| {
                black_box(&identified.payment)
                    .as_ref()
                    .map(|payment| umaaas.decide(payment, Some(&ingest::Totals::new())))
            });
        });
    }
}

fn verified(umaaas: &Umaaas, body: &str) -> Verified<Delivery> {
    let mut delivery = Delivery::new("/umaaas", body.to_owned());
    let secrets = Secrets::parse_list("key").unwrap();
    let signature = secrets.newest().sign(&SIGNATURE, &delivery).unwrap();
    delivery.headers.insert(SIGNATURE.header, signature.parse().unwrap());
    umaaas.verify(delivery, &secrets.into()).unwrap()
}

/// A body of about this many bytes, with a list whose rows are all different.
fn body(bytes: usize) -> String {
    let mut body =
        r#"{"webhookId":"1","type":"BULK_UPLOAD","timestamp":"2026-11-02T09:15:00Z","errors":[0"#.to_owned();
    let mut row = 0_u32;
    while body.len() + 40 < bytes {
        row += 1;
        write!(body, r#",{{"row":{row},"id":"{:04x}"}}"#, row.wrapping_mul(0x9e37_79b9) >> 16).unwrap();
    }
    body + "]}"
}

criterion_group!(benches, identify);
criterion_main!(benches);
