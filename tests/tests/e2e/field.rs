//! The built functions with unusual input from real use: events of every gateway and events that no gateway
//! sent, and calls that AWS refuses because of clock skew or expired credentials.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tests::{
    Deployment, Fault, Function, Host, Rule, named, post, provider_bytes, umaaas_event, unique, wait_for,
};
use verify::Delivery;

const WITHIN: Duration = Duration::from_secs(20);

fn delivery() -> Value {
    let body = json!({"webhookId": unique(), "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"});
    umaaas_event("/umaaas", &body.to_string())
}

fn refuse(operation: &'static str, error: &'static str, times: Option<usize>) -> Rule {
    Rule { operation, fault: Fault::Refuse { error, holding: "" }, times }
}

#[tokio::test]
async fn a_call_refused_because_of_clock_skew_is_retried() {
    let deployment = Deployment::start_alone().await;
    let host = Host::start().await;
    let _function = deployment.function(&host, "umaaas");
    host.idle(1).await;
    for error in ["InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"] {
        for operation in ["PutItem", "SendMessage", "UpdateItem"] {
            deployment.proxy.take_calls();
            deployment.proxy.set([refuse(operation, error, Some(2))]);
            assert_eq!(host.invoke(delivery()).await.unwrap().status, 200, "{operation} {error}");
            host.idle(1).await;
            let calls = deployment.proxy.take_calls();
            let tries = calls.iter().filter(|call| *call == operation).count();
            assert_eq!((tries, calls.len()), (3, 5), "{operation} {error}: {calls:?}");
            assert_eq!(deployment.messages("umaaas", 1).await.len(), 1, "{operation} {error}");
        }
    }
    // when every retry is refused, the reply is 503 within the budget
    deployment.proxy.set([refuse("PutItem", "InvalidSignatureException", None)]);
    let answer = host.invoke(delivery()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    // a call that is refused for any other reason is not retried
    deployment.proxy.take_calls();
    deployment.proxy.set([refuse("PutItem", "AccessDeniedException", None)]);
    assert_eq!(host.invoke(delivery()).await.unwrap().status, 503);
    assert_eq!(deployment.proxy.take_calls(), ["PutItem"]);
}

#[tokio::test]
async fn expired_credentials_end_the_process_after_the_reply() {
    let deployment = Deployment::start().await;
    for (operation, status) in [("PutItem", 503), ("SendMessage", 200), ("UpdateItem", 200)] {
        let host = Host::start().await;
        let mut function = deployment.function(&host, "umaaas");
        host.idle(1).await;
        assert_eq!(host.invoke(delivery()).await.unwrap().status, 200);
        host.idle(1).await;
        deployment.proxy.set([refuse(operation, "ExpiredTokenException", None)]);
        assert_eq!(host.invoke(delivery()).await.unwrap().status, status, "{operation}");
        wait_for("the process ends", WITHIN, async || function.exited().is_some()).await;
        assert!(!function.exited().unwrap().success());
        let log = function.log();
        assert!(log.contains("the credentials have expired") && log.contains("\"outcome\":"), "{log}");
        deployment.proxy.set([]);
        // a new process has new credentials
        let host = Host::start().await;
        let _function = deployment.function(&host, "umaaas");
        assert_eq!(host.invoke(delivery()).await.unwrap().status, 200, "{operation}");
    }
}

/// The events in `events/umaaas/gateway`: the events that AWS documents, with a webhook in them. All contain
/// the same body.
const GATEWAYS: [(&str, &str); 6] = [
    ("HTTP API, 2.0", include_str!("../../../events/umaaas/gateway/test.format-2.0.json")),
    ("HTTP API, 1.0", include_str!("../../../events/umaaas/gateway/test.format-1.0.json")),
    ("function URL", include_str!("../../../events/umaaas/gateway/test.function-url.json")),
    ("REST API", include_str!("../../../events/umaaas/gateway/test.rest-api.json")),
    ("load balancer", include_str!("../../../events/umaaas/gateway/test.load-balancer.json")),
    (
        "load balancer, multi-value",
        include_str!("../../../events/umaaas/gateway/test.load-balancer-multi-value.json"),
    ),
];

/// A gateway's event with a new webhook in it, and the body of that webhook.
fn new_event(gateway: &str) -> (Value, String) {
    let (_, event) = GATEWAYS.iter().find(|(name, _)| *name == gateway).unwrap();
    let mut event: Value = serde_json::from_str(event).unwrap();
    let body =
        json!({"webhookId": unique(), "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"}).to_string();
    event["body"] =
        if event["isBase64Encoded"] == true { BASE64.encode(&body).into() } else { body.clone().into() };
    let signature = umaaas_event("/umaaas", &body)["headers"]["x-umaaas-signature"].clone();
    for (field, signature) in [("headers", signature.clone()), ("multiValueHeaders", json!([signature]))] {
        let Some(headers) = event.get_mut(field).and_then(Value::as_object_mut) else { continue };
        for (_, value) in
            headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("x-umaaas-signature"))
        {
            *value = signature.clone();
        }
    }
    (event, body)
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Asserts that a response has the format that its gateway expects, with these headers.
fn assert_form(gateway: &str, response: &Value, headers: &[(&str, &str)]) {
    let mut fields = vec!["body", "headers", "isBase64Encoded", "multiValueHeaders", "statusCode"];
    match gateway {
        "HTTP API, 2.0" | "function URL" => fields.push("cookies"),
        "load balancer" | "load balancer, multi-value" => fields.push("statusDescription"),
        _ => {}
    }
    assert_eq!(names(response), fields.into_iter().collect(), "{gateway}: {response}");
    let multi_value = gateway == "load balancer, multi-value";
    let written: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), if multi_value { json!([value]) } else { json!(value) }))
        .collect();
    let (used, other) =
        if multi_value { ("multiValueHeaders", "headers") } else { ("headers", "multiValueHeaders") };
    assert_eq!(response[used], Value::Object(written), "{gateway}");
    assert_eq!(response[other], json!({}), "{gateway}");
    if gateway.starts_with("load balancer") {
        let status = response["statusCode"].to_string();
        assert!(
            response["statusDescription"].as_str().unwrap().starts_with(&status),
            "{gateway}: {response}"
        );
    }
}

#[tokio::test]
async fn every_gateway() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let function = deployment.function(&host, "umaaas");
    let json_body = [("content-type", "application/json")];

    // the files unchanged: the same webhook, delivered six times
    let mut statuses = Vec::new();
    for (_, event) in GATEWAYS {
        statuses.push(host.invoke(serde_json::from_str(event).unwrap()).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409]);
    host.idle(1).await;
    assert_eq!(deployment.messages("umaaas", 1).await.len(), 1);

    for (gateway, _) in GATEWAYS {
        let (event, body) = new_event(gateway);
        let response = host.invoke_raw(event.clone()).await.unwrap();
        assert_eq!(response["statusCode"], 200, "{gateway}: {response}");
        assert_form(gateway, &response, &[]);
        host.idle(1).await;
        let messages = deployment.messages("umaaas", 1).await;
        assert_eq!(messages.len(), 1, "{gateway}");
        assert_eq!(provider_bytes(&messages[0]), body.as_bytes(), "{gateway}: byte for byte");

        let again = host.invoke_raw(event.clone()).await.unwrap();
        assert_eq!(again["statusCode"], 409, "{gateway}");
        assert_form(gateway, &again, &json_body);

        // the reply to a refused delivery has the same format
        let mut forged = event.clone();
        forged["body"] = if event["isBase64Encoded"] == true { json!("e30=") } else { json!("{}") };
        let mut undecodable = event.clone();
        undecodable["isBase64Encoded"] = json!(true);
        undecodable["body"] = json!("not base64!");
        for (event, status) in [(forged, 401), (undecodable, 400)] {
            let response = host.invoke_raw(event).await.unwrap();
            assert_eq!(response["statusCode"], status, "{gateway}");
            assert_form(gateway, &response, &json_body);
            let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
            assert!(body["code"].is_string() && body["message"].is_string(), "{gateway}: {body}");
        }
        // two values of the signature header, for gateways that send them as separate values
        if let Some(lines) = event.get("multiValueHeaders").and_then(Value::as_object) {
            let name =
                lines.keys().find(|name| name.eq_ignore_ascii_case("x-umaaas-signature")).unwrap().clone();
            let (mut twice, _) = new_event(gateway);
            let value = twice["multiValueHeaders"][&name][0].clone();
            twice["multiValueHeaders"][&name] = json!([value, value]);
            assert_eq!(host.invoke_raw(twice).await.unwrap()["statusCode"], 401, "{gateway}");
        }
        host.idle(1).await;
        assert!(deployment.messages("umaaas", 0).await.is_empty(), "{gateway}");
    }
    assert_quiet(&function);
}

/// A change of one field of an event.
#[derive(Debug)]
enum Change {
    To(Value),
    /// Sets the field to the time this many seconds before the event is sent, in epoch milliseconds.
    ToTime(i64),
    ToTimeAsText(i64),
    Removed,
}

impl Change {
    fn apply(&self, event: &mut Value, field: &str) {
        let millis = |ago: &i64| (Timestamp::now() - SignedDuration::from_secs(*ago)).as_millisecond();
        let (parent, name) = field.rsplit_once('/').unwrap();
        if event.pointer(parent).is_none() {
            event[parent.trim_start_matches('/')] = json!({});
        }
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let value = match self {
            Self::To(value) => value.clone(),
            Self::ToTime(ago) => millis(ago).into(),
            Self::ToTimeAsText(ago) => millis(ago).to_string().into(),
            Self::Removed => {
                parent.remove(name);
                return;
            }
        };
        parent.insert(name.to_owned(), value);
    }
}

/// A genuine webhook is accepted although a gateway or another sender added or changed fields of the event.
#[tokio::test]
async fn genuine_webhooks_in_unusual_events_are_accepted() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let function = deployment.function(&host, "umaaas");
    // The last field: whether the message says that the reply left in time. That is measured from the
    // gateway's time, or from ours when the event has none. The time in the files is long ago.
    let mut cases: Vec<(&str, &str, Change, bool)> = Vec::new();
    for (gateway, _) in &GATEWAYS[..4] {
        let time = match *gateway {
            "HTTP API, 2.0" | "function URL" => "/requestContext/timeEpoch",
            _ => "/requestContext/requestTimeEpoch",
        };
        cases.extend([
            (*gateway, "/headers/x-null", Change::To(Value::Null), false),
            (*gateway, "/headers/x-number", Change::To(json!(1)), false),
            (*gateway, time, Change::ToTime(0), true),
            (*gateway, time, Change::ToTimeAsText(0), true),
            (*gateway, time, Change::ToTime(60), false),
            (*gateway, time, Change::ToTimeAsText(60), false),
            (*gateway, time, Change::To(json!("just now")), true),
            (*gateway, time, Change::To(Value::Null), true),
            (*gateway, time, Change::Removed, true),
        ]);
    }
    for (gateway, _) in &GATEWAYS[4..] {
        cases.push((*gateway, "/headers/x-null", Change::To(Value::Null), true));
        cases.push((*gateway, "/isBase64Encoded", Change::To(Value::Null), true));
    }
    for (gateway, field, value) in [
        // paths with a stage or a base path
        ("HTTP API, 2.0", "/rawPath", json!("/prod/umaaas/test-webhook")),
        ("HTTP API, 2.0", "/rawPath", json!("/umaaas/umaaas/test-webhook")),
        ("HTTP API, 2.0", "/rawPath", json!("/hooks/v1//umaaas/")),
        ("HTTP API, 1.0", "/path", json!("/prod/umaaas/test-webhook")),
        ("REST API", "/path", json!("/umaaas/umaaas")),
        // other fields of the documented event
        ("HTTP API, 2.0", "/cookies", json!(["cookie1", "cookie2"])),
        (
            "HTTP API, 2.0",
            "/queryStringParameters",
            json!({"parameter1": "value1,value2", "parameter2": "value"}),
        ),
        ("HTTP API, 2.0", "/stageVariables", json!({"stageVariable1": "value1", "stageVariable2": "value2"})),
        ("HTTP API, 2.0", "/pathParameters", json!({"proxy": "test-webhook"})),
        (
            "HTTP API, 2.0",
            "/requestContext/authorizer",
            json!({"jwt": {"claims": {"claim1": "value1"}, "scopes": ["scope1"]}}),
        ),
        (
            "HTTP API, 2.0",
            "/requestContext/authentication",
            json!({"clientCert": {
                "clientCertPem": "CERT_CONTENT", "subjectDN": "www.example.com", "issuerDN": "Example issuer",
                "serialNumber": "a1:a1:a1:a1:a1:a1:a1:a1",
                "validity": {"notBefore": "May 28 12:30:02 2019 GMT", "notAfter": "Aug  5 09:36:04 2021 GMT"}
            }}),
        ),
        (
            "function URL",
            "/requestContext/authorizer",
            json!({"iam": {
                "accessKey": "AKIA...", "accountId": "111122223333", "callerId": "AIDA...",
                "cognitoIdentity": null, "principalOrgId": null,
                "userArn": "arn:aws:iam::111122223333:user/example-user", "userId": "AIDA..."
            }}),
        ),
        // changes that no documentation describes
        ("HTTP API, 2.0", "/headers/host", json!("a host with spaces")),
        ("HTTP API, 2.0", "/headers/bad name", json!("a")),
        ("HTTP API, 2.0", "/headers/x-bell", json!("\u{7}")),
        ("HTTP API, 2.0", "/rawQueryString", json!("%&=&&%zz")),
        ("HTTP API, 2.0", "/queryStringParameters", json!([1])),
        ("REST API", "/queryStringParameters", json!({"a": null})),
        ("REST API", "/pathParameters", json!({"proxy": 1})),
        ("REST API", "/multiValueHeaders", Value::Null),
        ("REST API", "/multiValueHeaders", json!({})),
    ] {
        cases.push((gateway, field, Change::To(value), false));
    }
    println!("{} odd events", cases.len());
    for (gateway, field, change, in_time) in cases {
        let what = format!("{gateway} {field} {change:?}");
        let (mut event, _) = new_event(gateway);
        change.apply(&mut event, field);
        assert_eq!(host.invoke(event).await.unwrap().status, 200, "{what}");
        host.idle(1).await;
        let messages = deployment.messages("umaaas", 1).await;
        let message: Value = serde_json::from_str(&messages[0]).unwrap();
        assert_eq!(message["replyconfirmed"], in_time, "{what}");
        assert!(message["path"].as_str().unwrap().starts_with("/umaaas"), "{what}: {}", message["path"]);
    }

    // no request context
    let (mut event, _) = new_event("REST API");
    event.as_object_mut().unwrap().remove("requestContext");
    assert_eq!(host.invoke(event).await.unwrap().status, 200);
    assert_quiet(&function);
}

/// Asserts that the function has logged no error about the events.
fn assert_quiet(function: &Function) {
    let log = function.log();
    assert!(!log.contains(r#""level":"ERROR""#) && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn an_event_that_is_not_http_is_answered_with_null() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let function = deployment.function(&host, "umaaas");
    host.idle(1).await;
    deployment.proxy.take_calls();
    let secret = "nobody-may-read-this-in-a-log";
    let events = [
        json!({}),
        json!(null),
        json!([]),
        json!([{"path": "/umaaas"}]),
        json!(secret),
        json!("ping"),
        json!(0),
        json!(true),
        json!({"source": "serverless-plugin-warmup"}),
        json!({"key1": "value1", "key2": secret, "key3": "value3"}),
        json!({"warmer": true, "concurrency": 3}),
        json!({
            "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
            "source": "aws.events", "account": "123456789012", "time": "2026-11-02T09:15:00Z",
            "region": "eu-west-1", "resources": ["arn:aws:events:eu-west-1:123456789012:rule/warm"], "detail": {}
        }),
        json!({"Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "receiptHandle": "AQEB", "body": secret,
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue", "awsRegion": "eu-west-1"
        }]}),
        json!({
            "version": "1.0", "timestamp": "2026-11-02T09:15:00Z",
            "requestContext": {"requestId": "e4b46cbf", "functionArn": "arn", "condition": "RetriesExhausted"},
            "requestPayload": secret, "responseContext": {"statusCode": 200}, "responsePayload": null
        }),
    ];
    for (count, event) in events.iter().enumerate() {
        assert_eq!(host.invoke_raw(event.clone()).await, Ok(Value::Null), "{event}");
        host.idle(1).await;
        let log = function.log();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let lines: Vec<&Value> =
            lines.iter().filter(|line| line.to_string().contains("not an HTTP request")).collect();
        assert_eq!(lines.len(), count + 1, "{event}: {log}");
        assert!(lines.iter().all(|line| line["level"] == "INFO" && line["delivery_id"].is_string()), "{log}");
    }
    let log = function.log();
    assert!(!log.contains(secret) && !log.contains("Deliveries"), "{log}");
    assert_eq!(deployment.proxy.take_calls(), [""; 0], "no call to AWS");

    assert_eq!(host.invoke(delivery()).await.unwrap().status, 200);
    host.idle(1).await;
    assert_eq!(deployment.messages("umaaas", 1).await.len(), 1);
    assert_eq!(function.log().matches(r#""outcome":"accepted""#).count(), 1);
    assert_quiet(&function);
}

#[tokio::test]
async fn an_incomplete_http_event_is_answered_with_400() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let function = deployment.function(&host, "umaaas");
    let mut count = 0;
    for (gateway, _) in GATEWAYS {
        let method = match gateway {
            "HTTP API, 2.0" | "function URL" => "/requestContext/http",
            _ => "/httpMethod",
        };
        let headers = if gateway.ends_with("multi-value") { "/multiValueHeaders" } else { "/headers" };
        for (field, value) in [
            (method, Value::Null),
            (method, json!(1)),
            ("/body", json!(1)),
            ("/body", json!({"webhookId": "1"})),
            ("/body", json!([])),
            (headers, json!([])),
            (headers, json!("x-umaaas-signature: ab")),
            (headers, json!([["x-umaaas-signature", "ab"]])),
            ("/isBase64Encoded", json!("perhaps")),
        ] {
            let (mut event, _) = new_event(gateway);
            *event.pointer_mut(field).unwrap() = value.clone();
            let response = host.invoke_raw(event).await.unwrap();
            assert_eq!(response["statusCode"], 400, "{gateway} {field} {value}: {response}");
            let body: Value = serde_json::from_str(response["body"].as_str().unwrap()).unwrap();
            assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
            count += 1;
        }
    }
    // no method and no request context
    let response = host.invoke_raw(json!({"path": "/umaaas", "headers": {}, "body": "{}"})).await.unwrap();
    assert_eq!(response["statusCode"], 400, "{response}");
    // an invalid method counts as another method than POST
    let (mut event, _) = new_event("REST API");
    event["httpMethod"] = json!("PO ST");
    assert_eq!(host.invoke(event).await.unwrap().status, 405);
    // no function serves an event without a path
    let (mut event, _) = new_event("REST API");
    event["path"] = json!(null);
    assert_eq!(host.invoke(event).await.unwrap().status, 404);

    host.idle(1).await;
    assert_eq!(function.log().matches(r#""outcome":"unreadable""#).count(), count + 1, "each is counted");
    assert!(deployment.messages("umaaas", 0).await.is_empty());
    assert_eq!(host.invoke(delivery()).await.unwrap().status, 200);
    assert_quiet(&function);
}

/// One unusual delivery and its expected result.
struct Row {
    what: &'static str,
    provider: &'static str,
    /// The path of the request.
    path: &'static str,
    /// Headers that are not signed.
    headers: &'static [(&'static str, &'static str)],
    /// The body. [`SENT`] in it is replaced by the time of sending.
    body: String,
    /// How far the sender's clock is ahead of the function's.
    sent: SignedDuration,
    /// How far the gateway's clock is ahead of the function's; `None` when the event has no time.
    gateway: Option<SignedDuration>,
    /// The expected status of the reply.
    status: u16,
    /// The type of the expected message; `None` when no message may be on the queue.
    kind: Option<&'static str>,
    /// The field that the message's `drift` names; `None` without drift.
    drift: Option<&'static str>,
}

const CONTENT_ENCODING: &str = "content-encoding";
const NOW: SignedDuration = SignedDuration::ZERO;
const SENT: &str = "<sent>";
const MARK: &str = "\u{feff}";

impl Row {
    fn umaaas(what: &'static str) -> Self {
        Self {
            what,
            provider: "umaaas",
            path: "/umaaas",
            headers: &[],
            body: test_body(SENT),
            sent: NOW,
            gateway: None,
            status: 200,
            kind: Some("umaaas.test"),
            drift: None,
        }
    }

    fn weavr(what: &'static str) -> Self {
        Self {
            provider: "weavr",
            path: "/weavr/managed_cards/settlements/watch",
            body: settlement(),
            kind: Some("weavr.managed_cards.settlement"),
            ..Self::umaaas(what)
        }
    }

    /// The same for Grid, whose body differs in one name.
    fn of_grid(&self) -> Self {
        Self {
            provider: "grid",
            path: "/grid",
            body: self.body.replace("webhookId", "id"),
            kind: self.kind.map(|_| "grid.test"),
            ..*self
        }
    }

    fn refused(self, status: u16) -> Self {
        Self { status, kind: None, ..self }
    }

    fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, drift: Some(CONTENT_ENCODING), ..self }
    }

    fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The event, as the gateway passes it on, and its body.
    fn event(&self) -> (Value, String) {
        let provider = named(self.provider);
        let now = Timestamp::now();
        let sent = now + self.sent;
        let body = self.body.replace(SENT, &sent.to_string());
        let mut delivery = Delivery::new(self.path, body.clone());
        if self.provider == "weavr" {
            delivery.headers.insert("published-timestamp", sent.as_millisecond().into());
        }
        (provider.sign)(&mut delivery, &provider.signing_key());
        for (name, value) in self.headers {
            delivery.headers.insert(*name, value.parse().unwrap());
        }
        let mut event = post(self.path, &delivery.headers, &body);
        if let Some(ahead) = self.gateway {
            event["requestContext"]["timeEpoch"] = (now + ahead).as_millisecond().into();
        }
        (event, body)
    }
}

fn test_body(timestamp: &str) -> String {
    json!({"webhookId": unique(), "type": "TEST", "timestamp": timestamp}).to_string()
}

/// A body as Weavr sends it, of a new event.
fn settlement() -> String {
    let provider = named("weavr");
    let sample = provider.samples.iter().find(|sample| sample.file == "managed_cards.settlement").unwrap();
    provider.body(sample).unwrap()
}

/// The current time in one of the formats that senders use.
fn written(form: &str) -> String {
    Timestamp::now().strftime(form).to_string()
}

fn rows() -> Vec<Row> {
    let ahead = SignedDuration::from_secs;
    let mut rows = Vec::new();
    // Content-Encoding: a JSON object is accepted with any value of the header
    for headers in [
        &[(CONTENT_ENCODING, "UTF-8")] as &[_],
        &[(CONTENT_ENCODING, "")],
        &[(CONTENT_ENCODING, "gzip")],
        &[(CONTENT_ENCODING, "br, gzip")],
        &[(CONTENT_ENCODING, "aws-chunked")],
    ] {
        rows.push(Row::umaaas("a Content-Encoding").headers(headers));
        rows.push(Row::weavr("a Content-Encoding").headers(headers));
    }
    for (headers, status) in [
        (&[(CONTENT_ENCODING, "gzip")] as &[_], 415),
        (&[(CONTENT_ENCODING, "X-GZIP")], 415),
        (&[(CONTENT_ENCODING, "UTF-8")], 400),
        (&[(CONTENT_ENCODING, "")], 400),
        (&[], 400),
    ] {
        rows.push(Row::umaaas("no JSON object").headers(headers).body("[1]").refused(status));
        rows.push(Row::weavr("no JSON object").headers(headers).body("not JSON").refused(status));
    }
    // byte order marks
    rows.push(Row::umaaas("a byte order mark").body(format!("{MARK}{}", test_body(SENT))));
    rows.push(Row::weavr("a byte order mark").body(format!("{MARK}{}", settlement())));
    rows.push(Row::umaaas("two byte order marks").body(format!("{MARK}{MARK}{{}}")).refused(400));
    // times in the body, under a tolerance
    for (form, drift) in [
        ("%Y-%m-%dT%H:%M:%SZ", None),
        ("%Y-%m-%dT%H:%M:%S.123456789012345Z", None),
        ("%Y-%m-%dT%H:%M:%S.1+00:00", None),
        ("%Y-%m-%dt%H:%M:%Sz", None),
        ("%Y-%m-%dT%H:%M:%S", Some("timestamp")),
        ("%Y-%m-%d %H:%M:%S", Some("timestamp")),
        ("%Y-%m-%dT%H:%M:%S+0000", Some("timestamp")),
        ("%d/%m/%Y", Some("timestamp")),
        ("", Some("timestamp")),
    ] {
        rows.push(Row { drift, ..Row::umaaas("a written time").body(test_body(&written(form))) });
    }
    for form in ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456789012345Z"] {
        rows.push(Row::umaaas("an old time").body(test_body(form)).refused(401));
    }
    // paths
    for (path, status) in [
        ("/umaaas/", 200),
        ("//umaaas", 200),
        ("/hooks/umaaas", 200),
        ("/umaaas/umaaas/test-webhook", 200),
        ("/umaaas//test-webhook//", 200),
        ("/prod/umaaas/test-webhook", 200),
        ("/umaaas/nothing-here", 404),
        ("/umaaas-2", 404),
        ("/", 404),
    ] {
        let row = Row { path, ..Row::umaaas("a path") };
        rows.push(if status == 200 { row } else { row.refused(status) });
    }
    for path in [
        "/weavr/managed_cards/settlements/watch/",
        "//weavr//managed_cards/settlements//watch",
        "/prod/weavr/managed_cards/settlements/watch",
    ] {
        rows.push(Row { path, ..Row::weavr("a path") });
    }
    // clocks, under a tolerance of a week
    for (sent, gateway, status) in [
        // Our clock is behind the gateway's clock: the later time decides whether a delivery is too new.
        (ahead(310), Some(ahead(310)), 200),
        (ahead(600), Some(ahead(310)), 200),
        (ahead(4 * 3600), Some(ahead(4 * 3600)), 200),
        (ahead(650), Some(ahead(310)), 503),
        (ahead(310), None, 503),
        // Our clock is ahead of the gateway's clock: the earlier time decides whether a delivery is too old.
        (ahead(-604_700), Some(ahead(-310)), 200),
        (ahead(-605_000), Some(ahead(-310)), 200),
        (ahead(-605_200), Some(ahead(-310)), 401),
        (ahead(-605_000), None, 401),
    ] {
        let row = Row { sent, gateway, ..Row::weavr("clocks") };
        rows.push(if status == 200 { row } else { row.refused(status) });
        // UMAaaS has the time of sending in the body. A delivery that is too new gets 401 there, not 503.
        let status = if status == 503 { 401 } else { status };
        let sent = if sent.is_negative() { sent - ahead(691_200 - 604_800) } else { sent };
        let row = Row { sent, gateway, ..Row::umaaas("clocks") };
        rows.push(if status == 200 { row } else { row.refused(status) });
    }
    // Grid is answered as UMAaaS is
    let of_grid: Vec<Row> = rows.iter().filter(|row| row.path == "/umaaas").map(Row::of_grid).collect();
    rows.extend(of_grid);
    for (path, status) in [
        ("/grid/", 200),
        ("//grid", 200),
        ("/hooks/grid", 200),
        ("/grid/grid", 200),
        ("/grid/nothing-here", 404),
        ("/grid-2", 404),
    ] {
        let row = Row { path, ..Row::umaaas("a path").of_grid() };
        rows.push(if status == 200 { row } else { row.refused(status) });
    }
    rows
}

#[tokio::test]
async fn unusual_deliveries_get_the_right_reply_and_message() {
    let deployment = Deployment::start().await;
    let (umaaas, weavr, grid) = (Host::start().await, Host::start().await, Host::start().await);
    let tolerances = [
        ("UMAAAS_TIMESTAMP_TOLERANCE_SECONDS", "691200"),
        ("GRID_TIMESTAMP_TOLERANCE_SECONDS", "691200"),
        ("WEAVR_TIMESTAMP_TOLERANCE_SECONDS", "604800"),
    ];
    let functions = [
        deployment.function_with(&umaaas, "umaaas", &tolerances),
        deployment.function_with(&weavr, "weavr-managed-cards", &tolerances),
        deployment.function_with(&grid, "grid", &tolerances),
    ];
    let rows = rows();
    println!("{} rows", rows.len());
    for row in rows {
        let host = match row.provider {
            "umaaas" => &umaaas,
            "grid" => &grid,
            _ => &weavr,
        };
        let what = format!(
            "{} of {}: {} {:?} {:?} sent {} by a gateway {:?}",
            row.what, row.provider, row.path, row.headers, row.body, row.sent, row.gateway
        );
        let (event, body) = row.event();
        let answer = host.invoke(event).await.unwrap();
        assert_eq!(answer.status, row.status, "{what}: {}", answer.body);
        host.idle(1).await;
        let messages = deployment.messages(row.provider, usize::from(row.kind.is_some())).await;
        let Some(kind) = row.kind else {
            assert!(messages.is_empty(), "{what}: {messages:?}");
            continue;
        };
        assert_eq!(messages.len(), 1, "{what}");
        assert_eq!(provider_bytes(&messages[0]), body.as_bytes(), "{what}: byte for byte");
        let message: Value = serde_json::from_str(&messages[0]).unwrap();
        assert_eq!(message["type"], kind, "{what}");
        assert_eq!(message.get("data_base64").is_some(), row.body.starts_with(MARK), "{what}");
        let drift = message["drift"].as_str().map(|drift| drift.split(':').next().unwrap());
        assert_eq!(drift, row.drift, "{what}: {}", message["drift"]);
    }
    functions.iter().for_each(assert_quiet);
}

/// The function starts and accepts genuine deliveries although people or consoles wrote a variable or a file
/// in an unusual way (white space, for example).
#[tokio::test]
async fn unusual_spellings_of_settings_are_accepted() {
    let deployment = Deployment::start().await;
    let policy = local_stack::scratch().join(format!("{}.cedar", unique()));
    let permit = "@id(\"all\")\npermit (principal, action, resource);\n";
    std::fs::write(&policy, format!("{MARK}{permit}")).unwrap();
    let marked_policy = policy.to_str().unwrap();
    let secret = named("umaaas").secret();
    let marked = format!("{MARK}{secret}\u{200b}");
    let both = format!("other\u{2060} ,\u{a0}{secret}\n");
    for (name, value) in [
        ("UMAAAS_WEBHOOK_SECRETS", marked.as_str()),
        ("UMAAAS_WEBHOOK_SECRETS", both.as_str()),
        ("LOG_LEVEL", "WARNING"),
        ("LOG_LEVEL", "Critical"),
        ("AWS_LAMBDA_LOG_LEVEL", "FATAL"),
        ("APPROVAL_POLICY", marked_policy),
    ] {
        let host = Host::start().await;
        let function = deployment.function_with(&host, "umaaas", &[(name, value)]);
        let id = unique();
        let body =
            std::fs::read_to_string(local_stack::root().join("events/umaaas/incoming_payment.json")).unwrap();
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["webhookId"] = json!(id);
        assert_eq!(
            host.invoke(umaaas_event("/umaaas", &body.to_string())).await.unwrap().status,
            200,
            "{name} {value:?}"
        );
        host.idle(1).await;
        let message: Value = serde_json::from_str(&deployment.messages("umaaas", 1).await[0]).unwrap();
        assert_eq!(message["decision"], "approve", "{name} {value:?}");
        let decided_by_all = message["decisionpolicies"].to_string().contains("all");
        assert_eq!(decided_by_all, name == "APPROVAL_POLICY", "{name}: {}", message["decisionpolicies"]);
        assert!(function.log().contains(r#""outcome":"accepted""#), "the line is written at any level");
    }
    std::fs::remove_file(policy).unwrap();
}

/// Emulators and proxies can use one request id for two invocations. When the second body is another event,
/// its write must not be mistaken for a retry of the first write.
#[tokio::test]
async fn a_reused_request_id_hides_no_event() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let _function = deployment.function(&host, "umaaas");
    let (webhook, request) = (unique(), unique());
    let mut statuses = Vec::new();
    for n in [1, 2, 2, 1, 3] {
        let body = json!({"webhookId": webhook, "type": "TEST", "timestamp": "2026-11-02T09:15:00Z", "n": n});
        let event = umaaas_event("/umaaas", &body.to_string()).to_string();
        let exchange = host.exchange_as(request.clone(), event.into()).await.unwrap();
        statuses.push(exchange.response["statusCode"].as_u64().unwrap());
        host.idle(1).await;
    }
    // The same body with the same request id looks like a retry of our own write, so it gets 200.
    assert_eq!(statuses, [200, 409, 409, 200, 409]);
    let arrived = deployment.arrived("umaaas", 3).await;
    assert_eq!(arrived.len(), 3, "{arrived:?}");
    let conflicts: Vec<_> = arrived.keys().filter(|id| id.starts_with(&format!("{webhook}#"))).collect();
    assert_eq!(conflicts.len(), 2, "{arrived:?}");
}
