//! What it costs to check a signature, by the size of the body.
//! `cargo bench -p webhook-verify --bench verify`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use webhook_verify::{Algorithm, Delivery, HeaderForm, Keys, Part, PublicKeys, Scheme, Secrets, Verifier};

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

/// The public-key scheme, by the size of the body and the number of keys: the key that fits is the last one.
fn verify_ecdsa(criterion: &mut Criterion) {
    let scheme = Scheme { form: HeaderForm::JsonOrBase64, algorithm: Algorithm::EcdsaP256Sha256, ..SCHEME };
    let pair = |()| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let pairs = [(), ()].map(pair);
    let pem = |pair: &EcdsaKeyPair| {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der.as_ref()))
    };
    let verifier = Verifier::new(scheme);
    let mut group = criterion.benchmark_group("verify ecdsa");
    for (bytes, count) in [(500, 1), (500, 2), (10_000, 1)] {
        let text: String = pairs[..count].iter().map(pem).collect();
        let keys: Keys = PublicKeys::parse_pem(&text).unwrap().into();
        let mut delivery = Delivery::new("/", "x".repeat(bytes));
        let signature = pairs[count - 1].sign(&SystemRandom::new(), &delivery.body).unwrap();
        let header = format!(r#"{{"v":"1","s":"{}"}}"#, BASE64.encode(signature.as_ref()));
        delivery.headers.insert(SCHEME.header, header.parse().unwrap());
        group.bench_function(BenchmarkId::new(format!("{count} keys"), bytes), |bench| {
            let given = || delivery.clone();
            let verified = |given| verifier.verify(black_box(given), &keys).unwrap();
            bench.iter_batched(given, verified, BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, verify, verify_ecdsa);
criterion_main!(benches);
