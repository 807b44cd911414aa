//! Measures how long reading an event takes, for each gateway and body size, and how long the conversion of
//! `lambda_http` takes. Run: `cargo bench -p webhook-aws --bench gateway`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use webhook_aws::gateway::GatewayEvent;

const EVENTS: [(&str, &str); 3] = [
    ("2.0", include_str!("../../../events/umaaas/gateway/test.format-2.0.json")),
    ("REST", include_str!("../../../events/umaaas/gateway/test.rest-api.json")),
    ("load balancer", include_str!("../../../events/umaaas/gateway/test.load-balancer.json")),
];

fn gateway(criterion: &mut Criterion) {
    for bytes in [500, 100_000] {
        let mut group = criterion.benchmark_group(format!("a body of {bytes} bytes"));
        group.throughput(Throughput::Bytes(bytes.try_into().unwrap()));
        for (name, event) in EVENTS {
            let mut event: Value = serde_json::from_str(event).unwrap();
            event["body"] = format!(r#"{{"rows":"{}"}}"#, "0123456789".repeat(bytes / 10)).into();
            let typed = event.to_string();
            event["requestContext"]["timeEpoch"] = "now".into();
            event["headers"]["x-null"] = Value::Null;
            let refused = event.to_string();
            for (reading, event) in [("types", &typed), ("refused by the types", &refused)] {
                group.bench_function(BenchmarkId::new(reading, name), |bench| {
                    bench.iter(|| serde_json::from_str::<GatewayEvent>(black_box(event)).unwrap());
                });
            }
            group.bench_function(BenchmarkId::new("conversion of lambda_http", name), |bench| {
                bench.iter(|| lambda_http::request::from_str(black_box(&typed)).unwrap());
            });
        }
    }
}

criterion_group!(benches, gateway);
criterion_main!(benches);
