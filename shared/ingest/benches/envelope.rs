//! What it costs to make a record and its message, by the size of the body.
//! `cargo bench -p webhook-ingest --bench envelope`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use verify::{Algorithm, Delivery, HeaderForm, Part, Scheme, Secrets, Verified, Verifier};
use webhook_ingest::{Event, Message, Record};

fn envelope(criterion: &mut Criterion) {
    for bytes in [500, 10_000, 1_000_000] {
        let event = event(&body(bytes));
        let record = |event| Record::new(event, None, 200, "delivery".into(), Timestamp::UNIX_EPOCH).unwrap();
        let mut group = criterion.benchmark_group("ingest");
        group.throughput(Throughput::Bytes(bytes.try_into().unwrap()));
        group.bench_function(BenchmarkId::new("Record::new", bytes), |bench| {
            bench.iter_batched(|| event.clone(), record, BatchSize::SmallInput);
        });
        let record = record(event.clone());
        group.bench_function(BenchmarkId::new("Message::new", bytes), |bench| {
            bench.iter(|| Message::new(black_box(&record), true));
        });
    }
}

fn event(body: &str) -> Event {
    Event {
        kind: "umaaas.test".into(),
        key: "umaaas#TEST#1".into(),
        id: "Webhook:0193a1c4-7d10-7b02-0000-0000000000b1".into(),
        source: "/umaaas/test-webhook",
        subject: None,
        occurred_at: Some(Timestamp::UNIX_EPOCH),
        published_at: None,
        path: "/umaaas".into(),
        call_ref: None,
        drift: Vec::new(),
        content_sha256: webhook_ingest::sha256_hex(body.as_bytes()),
        payload: verified(body).payload(),
    }
}

fn verified(body: &str) -> Verified<Delivery> {
    let scheme = Scheme {
        header: "x-signature",
        form: HeaderForm::Hex,
        algorithm: Algorithm::HmacSha256,
        signed: &[Part::Body],
    };
    let secrets = Secrets::parse_list("key").unwrap();
    let mut delivery = Delivery::new("/", body.to_owned());
    let signature = secrets.newest().sign(&scheme, &delivery).unwrap();
    delivery.headers.insert(scheme.header, signature.parse().unwrap());
    Verifier::new(scheme).verify(delivery, &secrets.into()).unwrap()
}

/// A list whose rows are all different.
fn body(bytes: usize) -> String {
    let mut body =
        r#"{"webhookId":"1","type":"TEST","timestamp":"2026-11-02T09:15:00Z","rows":[0"#.to_owned();
    let mut row = 0_u32;
    while body.len() + 40 < bytes {
        row += 1;
        write!(body, r#",{{"row":{row},"id":"{:04x}"}}"#, row.wrapping_mul(0x9e37_79b9) >> 16).unwrap();
    }
    body + "]}"
}

criterion_group!(benches, envelope);
criterion_main!(benches);
