//! Measures the time to verify `signature-v2` and to identify the event of a webhook.
//! `cargo bench -p webhook-weavr --bench identify`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ingest::{Arrival, Provider};
use jiff::Timestamp;
use verify::{Delivery, Keys, Secrets};
use webhook_weavr::{Demand, Family, SIGNATURE_V1, SIGNATURE_V2, Weavr};

fn identify(criterion: &mut Criterion) {
    let secrets = Secrets::parse_list("key").unwrap();
    let weavr = Weavr::new(Family::ManagedAccounts, Demand::V2, None);
    let body = include_str!("../../../events/weavr/managed_accounts.deposit.json");
    let mut delivery = Delivery::new("/weavr/managed_accounts/deposits/watch", body);
    delivery.headers.insert("published-timestamp", "1762074900000".parse().unwrap());
    for scheme in [SIGNATURE_V1, SIGNATURE_V2] {
        let signature = secrets.newest().sign(&scheme, &delivery).unwrap();
        delivery.headers.insert(scheme.header, signature.parse().unwrap());
    }
    let now = Timestamp::UNIX_EPOCH;
    let keys = Keys::Hmac(secrets);
    criterion.bench_function("weavr/verify/a deposit", |bench| {
        let given = || delivery.clone();
        bench.iter_batched(given, |given| weavr.verify(black_box(given), &keys), BatchSize::SmallInput);
    });
    let verified = weavr.verify(delivery.clone(), &keys).unwrap();
    criterion.bench_function("weavr/identify/a deposit", |bench| {
        bench.iter(|| weavr.identify(black_box(&verified), Arrival::at(now)).unwrap());
    });
}

criterion_group!(benches, identify);
criterion_main!(benches);
