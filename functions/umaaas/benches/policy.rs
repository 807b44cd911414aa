//! Measures the time that the approval policy needs: for one decision, and at start-up.
//! `cargo bench -p webhook-umaaas --bench policy`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use decisions::Asking;
use ingest::{Arrival, Provider};
use jiff::Timestamp;
use verify::{Delivery, Secrets};
use webhook_umaaas::{Policy, SIGNATURE, Umaaas};

fn policy(criterion: &mut Criterion) {
    // A function parses the policy once, during its cold start. So this first time matters, and not the mean
    // of the warm runs below.
    let start = Instant::now();
    let policy = Policy::sample().unwrap();
    println!("parse and validate the sample, the first time: {:?}", start.elapsed());
    let umaaas = Umaaas::new(None, Some(policy));
    let payment = payment(&umaaas, include_str!("../../../events/umaaas/incoming_payment.json"));
    assert_eq!(umaaas.decide(&payment, Some(&ingest::Totals::new())).name(), "approve");

    criterion.bench_function("decide about a payment by the sample", |bench| {
        bench.iter(|| umaaas.decide(black_box(&payment), Some(&ingest::Totals::new())));
    });
    criterion.bench_function("parse and validate the sample", |bench| bench.iter(Policy::sample));
}

fn payment(umaaas: &Umaaas, body: &'static str) -> Asking {
    let mut delivery = Delivery::new("/umaaas", body.as_bytes());
    let secrets = Secrets::parse_list("key").unwrap();
    let signature = secrets.newest().sign(&SIGNATURE, &delivery).unwrap();
    delivery.headers.insert(SIGNATURE.header, signature.parse().unwrap());
    let delivery = umaaas.verify(delivery, &secrets.into()).unwrap();
    umaaas.identify(&delivery, Arrival::at(Timestamp::UNIX_EPOCH)).unwrap().payment.unwrap()
}

criterion_group!(benches, policy);
criterion_main!(benches);
