//! All functions with the real `cargo lambda watch`: the tests send signed requests over HTTP and read the
//! messages from SQS.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use local_stack::senders::{SENDERS, Sender};
use local_stack::tools::Tools;
use local_stack::watch::{self, Watch};
use local_stack::{client, sample_check};
use serde_json::Value;
use tests::{LocalAws, unique, valid_envelope};

const WITHIN: Duration = Duration::from_secs(60);

fn umaaas() -> &'static Sender {
    Sender::named("umaaas").unwrap()
}

async fn post(url: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::post(format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client::send(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap(), WITHIN).await.unwrap()
}

fn signature(body: &str) -> String {
    let delivery = verify::Delivery::new("/", body.as_bytes().to_vec());
    umaaas().signing_key().sign(&::umaaas::SIGNATURE, &delivery)
}

fn code(response: &Response<Bytes>) -> String {
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn signed_webhooks_arrive_on_the_queue() {
    let aws = LocalAws::start().await;
    watch::build().await.unwrap();
    let options = watch::Options {
        port: 0,
        concurrency: 8,
        reload: false,
        environment: aws.stack.shared_environment(),
    };
    let watch = Watch::start(&Tools::install().await.unwrap(), &options).await.unwrap();
    let (url, queue) = (watch.url(), aws.stack.queue(umaaas()));

    // every kind, a duplicate and a forgery: checks status, type, decision and the provider's exact bytes
    let mut delivered = 0;
    for provider in SENDERS {
        let rows = sample_check::run(provider, &url, aws.stack.queue(provider)).await.unwrap();
        println!("{}", sample_check::table(&rows));
        assert!(rows.len() > provider.samples.len() && rows.iter().all(sample_check::Row::is_as_documented));
        for message in rows.iter().flat_map(sample_check::Row::messages) {
            valid_envelope(message).unwrap();
        }
        delivered += rows.len();
    }

    // fifty concurrent deliveries of one event: one is accepted, and one message arrives
    let body = format!(r#"{{"webhookId":"{}","type":"TEST","timestamp":"2026-11-02T09:15:00Z"}}"#, unique());
    let signed = signature(&body);
    let headers = [("X-UMAaas-Signature", signed.as_str())];
    let replies = join_all((0..50).map(|_| post(&url, "/umaaas", &body, &headers))).await;
    let count = |status| replies.iter().filter(|reply| reply.status() == status).count();
    assert_eq!((count(200), count(409)), (1, 49));
    let messages = queue.receive(2, Duration::from_secs(3)).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].body().unwrap().ends_with(&format!("\"data\":{body}}}")));
    let attribute = |name: &str| messages[0].message_attributes().unwrap()[name].string_value().unwrap();
    assert_eq!(attribute("type"), "umaaas.test");
    assert_eq!(attribute("source"), "/umaaas/test-webhook");

    // twenty concurrent deliveries of a PENDING payment: one makes the decision, and all others repeat it
    let pending = umaaas().samples.iter().find(|sample| sample.file == "incoming_payment").unwrap();
    let body = umaaas().body(pending).unwrap();
    let signed = signature(&body);
    let headers = [("X-UMAaas-Signature", signed.as_str())];
    let replies = join_all((0..20).map(|_| post(&url, "/umaaas", &body, &headers))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status() == 200).count(), 1);
    for refused in replies.iter().filter(|reply| reply.status() != 200) {
        let body: Value = serde_json::from_slice(refused.body()).unwrap();
        assert_eq!((refused.status().as_u16(), &body["details"]["decision"]), (409, &Value::from("approve")));
    }
    assert_eq!(queue.receive(2, Duration::from_secs(2)).await.unwrap().len(), 1);

    // variants in a gateway's event: another spelling of the header name, text that is not ASCII, and a body
    // in base64 because its content type is not text
    let odd = format!(
        "{{\"b\" : 1.0,\"€\":\"\\u20ac é\",\"webhookId\":\"{}\",\"type\":\"TEST\",\"timestamp\":\"t\"}}\n",
        unique()
    );
    let signed = signature(&odd);
    // API Gateway joins repeated headers; `cargo lambda watch` would drop the first one, so they are joined
    // here
    let joined = format!("{signed}, {signed}");
    let twice = post(&url, "/umaaas", &odd, &[("x-umaaas-signature", &joined)]).await;
    assert_eq!((twice.status().as_u16(), code(&twice).as_str()), (401, "invalid_signature"));
    let binary = [("X-UMAaaS-Signature", signed.as_str()), ("content-type", "application/octet-stream")];
    assert_eq!(post(&url, "/umaaas/test-webhook", &odd, &binary).await.status(), 200);
    let messages = queue.receive(1, WITHIN).await.unwrap();
    valid_envelope(messages[0].body().unwrap()).unwrap();
    assert!(messages[0].body().unwrap().ends_with(&format!("\"data\":{odd}}}")), "byte for byte");

    for (path, body, expected) in [
        ("/umaaas/unknown", "{}", (404, "not_found")),
        ("/umaaas", "not json", (400, "invalid_webhook")),
        ("/umaaas", "{}", (400, "invalid_webhook")),
    ] {
        let reply = post(&url, path, body, &[("X-UMAaas-Signature", &signature(body))]).await;
        assert_eq!((reply.status().as_u16(), code(&reply).as_str()), expected, "{path} {body}");
    }
    let get = Request::get(format!("{url}/umaaas")).body(Bytes::new()).unwrap();
    let reply = client::send(get, WITHIN).await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["allow"].to_str().unwrap()), (405, "POST"));

    // one JSON line per delivery, without bodies, signatures or secrets
    let log = std::fs::read_to_string(watch.log()).unwrap();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let deliveries = lines.iter().filter(|line| line["target"] == "delivery").count();
    assert!(deliveries >= 50 + delivered, "{deliveries}");
    for secret in [umaaas().secret().as_str(), &signed, "Ada Sender", "1985-06-15"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
