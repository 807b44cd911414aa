//! What it costs to check a signature, by the size of the body.
//! `cargo bench -p webhook-verify --bench verify`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use webhook_verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Scheme, Secrets, Verifier};

const SCHEME: Scheme = Scheme {
    header: "x-signature",
    form: HeaderForm::Hex,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Body],
};

fn verify(criterion: &mut Criterion) {
    let secrets = Secrets::parse_list("key").unwrap();
    let keys = Keys::Hmac(secrets.clone());
    let verifier = Verifier::new(SCHEME);
    let mut group = criterion.benchmark_group("verify");
    for bytes in [500, 10_000, 1_000_000] {
        let mut delivery = Delivery::new("/", "x".repeat(bytes));
        let signature = secrets.newest().sign(&SCHEME, &delivery).unwrap();
        delivery.headers.insert(SCHEME.header, signature.parse().unwrap());
        group.throughput(Throughput::Bytes(bytes.try_into().unwrap()));
        group.bench_function(BenchmarkId::from_parameter(bytes), |bench| {
            let given = || delivery.clone();
            bench.iter_batched(
                given,
                |given| verifier.verify(black_box(given), &keys),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
