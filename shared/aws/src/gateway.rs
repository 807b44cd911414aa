//! Reads the events of HTTP gateways and writes the responses to them.
//!
//! Events and responses are types of `lambda_http` ([`lambda_http::aws_lambda_events`]): HTTP APIs and
//! function URLs (payload format 2.0), REST APIs and HTTP APIs that choose it (format 1.0), load balancers.
//!
//! The conversion of `lambda_http` into an `http::Request` is not used: it puts the stage in front of the
//! path, and panics on bad base64, on a host name with a space and on some query strings. Time to read an
//! event of 1 to 2 KB (release profile, one machine; `cargo bench -p webhook-aws --bench gateway`):
//!
//! | | format 2.0 | REST API | load balancer |
//! |---|---|---|---|
//! | the types of `lambda_http`, as here | 4 to 6 µs | 14 µs | 9 µs |
//! | `lenient`, after the types have failed | 15 to 22 µs | 20 µs | 15 µs |
//! | the conversion of `lambda_http` | 10 µs | 12 µs | 11 µs |
//! | types of our own with only the fields that are read | 4 µs | 6 µs | |
//!
//! `lambda_http` adds 115 KB (1 %) to a function, and neither a TLS stack nor an async runtime.
//!
//! An event that the types of `lambda_http` refuse (a header that is null, a time that is text) may still be
//! a genuine delivery: `lenient` reads it field by field. When a necessary field cannot be read, the request
//! has no body and is answered with 400. An event that is not HTTP at all is answered with null. No JSON
//! event makes an invocation fail.

mod lenient;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use ingest::{Reply, Request};
use jiff::Timestamp;
use lambda_http::aws_lambda_events::alb::{AlbTargetGroupRequest, AlbTargetGroupResponse};
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse,
};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The event of one invocation: any JSON.
#[derive(Debug)]
pub struct GatewayEvent {
    /// The HTTP request in it; `None` when no HTTP gateway sent the event (a warm-up ping, a schedule).
    pub http: Option<GatewayRequest>,
}

/// An HTTP request that a gateway passed on.
#[derive(Debug)]
pub struct GatewayRequest {
    /// The request. Its path still contains a stage or base path; `ingest` ignores everything before the
    /// provider's name.
    pub request: Request,
    /// The format of the event, in which the gateway also expects the response.
    pub format: Format,
}

/// The format of events and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Payload format 1.0: REST APIs, and HTTP APIs that are configured for it.
    V1,
    /// Payload format 2.0: HTTP APIs and function URLs.
    V2,
    /// Load balancers.
    LoadBalancer,
    /// Load balancers whose target group has multi-value headers enabled.
    LoadBalancerMultiValue,
}

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|event| Self { http: read(event.get()) })
    }
}

/// Tries each format in turn; first the one that the SAM template uses. Each type requires a field that only
/// its format has: `requestContext.http`, `requestContext.httpMethod`, `requestContext.elb`.
fn read(event: &str) -> Option<GatewayRequest> {
    // Parse errors are not logged, because they quote the event.
    if let Ok(event) = serde_json::from_str(event) {
        return Some(v2(event));
    }
    if let Ok(event) = serde_json::from_str(event) {
        return Some(v1(event));
    }
    if let Ok(event) = serde_json::from_str(event) {
        return Some(load_balancer(event));
    }
    lenient::read(event)
}

fn v2(event: ApiGatewayV2httpRequest) -> GatewayRequest {
    GatewayRequest {
        request: Request {
            method: event.request_context.http.method,
            path: event.raw_path.unwrap_or_default(),
            headers: event.headers,
            body: body(event.body, event.is_base64_encoded),
            reached_gateway_at: time(event.request_context.time_epoch),
            trace_id: None,
        },
        format: Format::V2,
    }
}

fn v1(event: ApiGatewayProxyRequest) -> GatewayRequest {
    GatewayRequest {
        request: Request {
            method: event.http_method,
            path: event.path.unwrap_or_default(),
            headers: all_lines(event.multi_value_headers, event.headers),
            body: body(event.body, event.is_base64_encoded),
            reached_gateway_at: time(event.request_context.request_time_epoch),
            trace_id: None,
        },
        format: Format::V1,
    }
}

fn load_balancer(event: AlbTargetGroupRequest) -> GatewayRequest {
    let format = Format::of_load_balancer(!event.multi_value_headers.is_empty());
    GatewayRequest {
        request: Request {
            method: event.http_method,
            path: event.path.unwrap_or_default(),
            headers: all_lines(event.multi_value_headers, event.headers),
            body: body(event.body, event.is_base64_encoded),
            // the events of load balancers contain no time
            reached_gateway_at: None,
            trace_id: None,
        },
        format,
    }
}

impl Format {
    fn of_load_balancer(multi_value: bool) -> Self {
        if multi_value { Self::LoadBalancerMultiValue } else { Self::LoadBalancer }
    }
}

/// Format 1.0 has every header twice: `multiValueHeaders` with all values, and `headers` with only the last
/// value.
fn all_lines(multi_value: HeaderMap, single: HeaderMap) -> HeaderMap {
    if multi_value.is_empty() { single } else { multi_value }
}

/// The exact bytes of the body; `None` when its base64 is invalid.
fn body(body: Option<String>, is_base64: bool) -> Option<Bytes> {
    let body = body.unwrap_or_default();
    if is_base64 { BASE64.decode(body).ok().map(Bytes::from) } else { Some(Bytes::from(body)) }
}

/// A time from epoch milliseconds. `None` for 0, which the types of `lambda_http` contain for an absent time.
fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

/// A response, in the format of the event it answers.
#[derive(Debug)]
pub struct GatewayResponse {
    /// The reply to the provider.
    pub reply: Reply,
    /// The format that the gateway expects.
    pub format: Format,
}

impl Serialize for GatewayResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reply, format } = self;
        let status_code = i64::from(reply.status);
        let headers = headers(reply);
        let body = Some(reply.body.clone().into());
        match format {
            Format::V1 => {
                let mut response = ApiGatewayProxyResponse::default();
                (response.status_code, response.headers, response.body) = (status_code, headers, body);
                response.serialize(serializer)
            }
            Format::V2 => {
                let mut response = ApiGatewayV2httpResponse::default();
                (response.status_code, response.headers, response.body) = (status_code, headers, body);
                response.serialize(serializer)
            }
            Format::LoadBalancer => {
                let mut response = AlbTargetGroupResponse::default();
                response.status_description = status_description(reply.status);
                (response.status_code, response.headers, response.body) = (status_code, headers, body);
                response.serialize(serializer)
            }
            Format::LoadBalancerMultiValue => {
                let mut response = AlbTargetGroupResponse::default();
                response.status_description = status_description(reply.status);
                (response.status_code, response.multi_value_headers, response.body) =
                    (status_code, headers, body);
                response.serialize(serializer)
            }
        }
    }
}

fn headers(reply: &Reply) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !reply.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(seconds) = reply.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if reply.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    headers
}

/// A status with its reason, such as `200 OK`: the format that load balancers require for
/// `statusDescription`.
fn status_description(status: u16) -> Option<String> {
    let reason = StatusCode::from_u16(status).ok()?.canonical_reason()?;
    Some(format!("{status} {reason}"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Method};
    use serde_json::{Value, json};

    use super::*;

    fn read(event: &Value) -> Request {
        serde_json::from_str::<GatewayEvent>(&event.to_string()).unwrap().http.unwrap().request
    }

    fn format_2(changes: &[(&str, Value)]) -> Value {
        let mut event = json!({
            "version": "2.0", "routeKey": "POST /umaaas", "rawPath": "/umaaas", "rawQueryString": "",
            "headers": {"content-type": "application/json", "x-umaaas-signature": "ab"},
            "requestContext": {"stage": "$default", "timeEpoch": 1_700_000_000_123_i64, "http": {"method": "POST", "path": "/umaaas"}},
            "body": "{\"a\":\"€\"}", "isBase64Encoded": false
        });
        apply(&mut event, changes);
        event
    }

    fn format_1(changes: &[(&str, Value)]) -> Value {
        let mut event = json!({
            "version": "1.0", "resource": "/umaaas", "path": "/umaaas", "httpMethod": "POST",
            "headers": {"X-UMAaas-Signature": "second"},
            "multiValueHeaders": {"X-UMAaas-Signature": ["first", "second"]},
            "requestContext": {"stage": "prod", "path": "/prod/umaaas", "httpMethod": "POST", "requestTimeEpoch": 1_700_000_000_123_i64},
            "body": "{}", "isBase64Encoded": false
        });
        apply(&mut event, changes);
        event
    }

    fn apply(event: &mut Value, changes: &[(&str, Value)]) {
        for (pointer, value) in changes {
            *event.pointer_mut(pointer).unwrap() = value.clone();
        }
    }

    #[test]
    fn the_body_is_the_senders_bytes() {
        let plain = read(&format_2(&[]));
        let encoded =
            read(&format_2(&[("/body", json!("eyJhIjoi4oKsIn0=")), ("/isBase64Encoded", json!(true))]));
        assert_eq!(plain.body.as_deref(), Some("{\"a\":\"€\"}".as_bytes()));
        assert_eq!(plain.body, encoded.body);
        assert_eq!(
            read(&format_1(&[("/body", json!("e30=")), ("/isBase64Encoded", json!(true))])).body.unwrap(),
            "{}"
        );
        assert_eq!(read(&format_2(&[("/body", Value::Null)])).body.unwrap(), "");
    }

    #[test]
    fn the_gateways_time_is_read() {
        let expected = Timestamp::from_millisecond(1_700_000_000_123).ok();
        assert_eq!(read(&format_2(&[])).reached_gateway_at, expected);
        assert_eq!(read(&format_1(&[])).reached_gateway_at, expected);
        let never = [("/requestContext/timeEpoch", json!(i64::MAX))];
        assert_eq!(read(&format_2(&never)).reached_gateway_at, None);
    }

    #[test]
    fn bad_base64_is_an_unreadable_body_and_no_panic() {
        for event in [format_2 as fn(&[(&str, Value)]) -> Value, format_1] {
            for body in ["%%%", "e30", "e3=", "\u{20ac}"] {
                let event = event(&[("/body", json!(body)), ("/isBase64Encoded", json!(true))]);
                assert_eq!(read(&event).body, None, "{body}");
            }
        }
    }

    #[test]
    fn paths_are_as_the_gateway_sent_them() {
        assert_eq!(read(&format_2(&[("/rawPath", json!("/prod/umaaas"))])).path, "/prod/umaaas");
        assert_eq!(read(&format_1(&[])).path, "/umaaas");
    }

    #[test]
    fn every_header_value_arrives_once() {
        let headers = read(&format_1(&[])).headers;
        assert_eq!(headers.get_all("x-umaaas-signature").iter().collect::<Vec<_>>(), ["first", "second"]);
        let headers = read(&format_1(&[("/multiValueHeaders", json!({}))])).headers;
        assert_eq!(headers.get_all("x-umaaas-signature").iter().collect::<Vec<_>>(), ["second"]);
    }

    #[test]
    fn events_that_are_not_http_are_no_requests() {
        for event in [
            "{}",
            "[]",
            "null",
            "1",
            r#""ping""#,
            r#"{"version":"2.0"}"#,
            r#"{"source":"aws.events"}"#,
            r#"{"path":null,"headers":null}"#,
            r#"{"requestContext":{"functionArn":"arn","condition":"Success"},"requestPayload":{}}"#,
            r#"{"\ud800":1e999}"#,
        ] {
            let read = serde_json::from_str::<GatewayEvent>(event).unwrap();
            assert!(read.http.is_none(), "{event}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(serde_json::from_str::<GatewayEvent>(&deep).unwrap().http.is_none());
    }

    /// Changes one field, in both formats, so that the types of `lambda_http` may refuse the event.
    #[test]
    fn events_that_the_types_refuse_are_read_leniently() {
        let time = Timestamp::from_millisecond(1_700_000_000_123).ok();
        for event in [format_2(&[]), format_1(&[])] {
            let expected = read(&event);
            for (field, value) in [
                ("/headers/x-null", Value::Null),
                ("/headers/bad name", json!("a")),
                ("/headers/x-object", json!({"a": 1})),
                ("/isBase64Encoded", Value::Null),
                ("/isBase64Encoded", json!("false")),
                ("/requestContext/timeEpoch", json!("1700000000123")),
                ("/requestContext/requestTimeEpoch", json!("1700000000123")),
                ("/requestContext/stage", json!(1)),
                ("/queryStringParameters", json!(["a"])),
                ("/cookies", json!("a")),
                ("/pathParameters", json!({"proxy": null})),
                ("/requestContext/authorizer", json!("none")),
            ] {
                let mut event = event.clone();
                let (parent, name) = field.rsplit_once('/').unwrap();
                let parent =
                    event.pointer_mut(parent).filter(|parent| parent.is_object() || parent.is_null());
                parent.unwrap()[name] = value;
                let request = read(&event);
                assert_eq!(request.headers, expected.headers, "{event}");
                assert_eq!(
                    (&request.method, &request.path, &request.body, request.reached_gateway_at),
                    (&expected.method, &expected.path, &expected.body, time),
                    "{event}"
                );
            }
        }
        for time in ["soon", "", "-1", "0", "1e3", "99999999999999999999"] {
            let event = format_2(&[("/requestContext/timeEpoch", json!(time))]);
            assert_eq!(read(&event).reached_gateway_at, None, "{time}");
        }
    }

    #[test]
    fn an_event_without_a_context() {
        for (mut event, format) in [(format_2(&[]), Format::V2), (format_1(&[]), Format::V1)] {
            event.as_object_mut().unwrap().remove("requestContext");
            event["httpMethod"] = json!("POST");
            let event = serde_json::from_str::<GatewayEvent>(&event.to_string()).unwrap().http.unwrap();
            assert_eq!((event.format, event.request.path.as_str()), (format, "/umaaas"));
            assert!(event.request.body.is_some() && !event.request.headers.is_empty());
            assert_eq!(event.request.reached_gateway_at, None);
        }
    }

    #[test]
    fn header_values_of_other_types() {
        let mut event = format_2(&[]);
        event["headers"] =
            json!({"x-number": 1_793_612_075_500_i64, "x-many": ["a", null, 2], "x-none": null});
        let headers = read(&event).headers;
        let all = |name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(all("x-number"), ["1793612075500"]);
        assert_eq!(all("x-many"), ["a", "2"]);
        assert_eq!(headers.keys_len(), 2);
    }

    #[test]
    fn a_request_without_a_necessary_field_has_no_body() {
        let wrong = [Value::Null, json!(1), json!([]), json!(true)];
        let required = |field: &'static str, values: &[Value]| {
            values.iter().map(|value| (field, value.clone())).collect::<Vec<_>>()
        };
        let fields = [
            required("/body", &[json!(1), json!([]), json!({}), json!(true)]),
            required("/headers", &wrong[1..]),
            required("/isBase64Encoded", &[json!(1), json!("yes"), json!([])]),
        ]
        .concat();
        let fields_2 =
            [required("/requestContext/http/method", &wrong), required("/rawPath", &wrong)].concat();
        let fields_1 = [required("/httpMethod", &wrong), required("/path", &wrong)].concat();
        let cases = [
            (format_2 as fn(&[(&str, Value)]) -> Value, [fields.clone(), fields_2].concat()),
            (format_1, [fields, fields_1].concat()),
        ];
        for (event, fields) in cases {
            for change in fields {
                // the types read a null path as an empty path, which no function serves
                let event = event(std::slice::from_ref(&change));
                let request = read(&event);
                assert!(request.body.is_none() || request.path.is_empty(), "{change:?}");
            }
        }
        let surrogate = r#"{"rawPath":"/umaaas","httpMethod":"POST","body":"\ud800"}"#;
        let event = serde_json::from_str::<GatewayEvent>(surrogate).unwrap().http.unwrap();
        assert_eq!(event.request.body, None, "a lone surrogate has no bytes");
    }

    #[test]
    fn load_balancers() {
        let event = |field: &str, headers: Value| {
            json!({
                "requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "POST", "path": "/umaaas",
                "queryStringParameters": {}, field: headers, "body": "{}", "isBase64Encoded": false
            })
        };
        for (field, value, format) in [
            ("headers", json!("a"), Format::LoadBalancer),
            ("headers", Value::Null, Format::LoadBalancer),
            ("multiValueHeaders", json!(["a", "b"]), Format::LoadBalancerMultiValue),
            ("multiValueHeaders", json!([null, 1]), Format::LoadBalancerMultiValue),
        ] {
            let event = event(field, json!({"x-a": value})).to_string();
            let event = serde_json::from_str::<GatewayEvent>(&event).unwrap().http.unwrap();
            assert_eq!(event.format, format, "{field} {value}");
            assert_eq!(event.request.path, "/umaaas");
            assert_eq!(event.request.body.as_deref(), Some(b"{}".as_slice()));
            assert_eq!(event.request.reached_gateway_at, None);
            let lines = event.request.headers.get_all("x-a").iter().count();
            assert_eq!(
                lines,
                value.as_array().map_or(usize::from(!value.is_null()), |all| {
                    all.iter().filter(|value| !value.is_null()).count()
                })
            );
        }
    }

    #[test]
    fn invalid_methods_and_headers_are_replaced_or_left_out() {
        let mut event = format_2(&[("/requestContext/http/method", json!("PO ST"))]);
        event["headers"] = json!({"": "a", "bad name": "b", "x@y": "c", "x-bell": "\u{7}", "x-good": "é"});
        let request = read(&event);
        assert_eq!(request.method, Method::TRACE);
        assert_eq!(request.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-good"]);
    }

    #[test]
    fn responses() {
        let response = |reply, format| serde_json::to_value(GatewayResponse { reply, format }).unwrap();
        let empty = json!({
            "statusCode": 200, "headers": {}, "multiValueHeaders": {}, "body": "", "isBase64Encoded": false
        });
        assert_eq!(response(Reply::empty(200), Format::V1), empty);
        let mut with_cookies = empty.clone();
        // API Gateway does not require `cookies`, but cargo-lambda does. In format 1.0 it would cause a 502.
        with_cookies["cookies"] = json!([]);
        assert_eq!(response(Reply::empty(200), Format::V2), with_cookies);
        let mut described = empty;
        described["statusDescription"] = json!("200 OK");
        assert_eq!(response(Reply::empty(200), Format::LoadBalancer), described);
        assert_eq!(response(Reply::empty(200), Format::LoadBalancerMultiValue), described);
        let unavailable = || Reply::json(503, &json!({"message": "later"}));
        let headers = json!({"content-type": "application/json", "retry-after": "30"});
        for format in [Format::V1, Format::V2, Format::LoadBalancer] {
            assert_eq!(response(unavailable(), format)["headers"], headers);
            assert_eq!(response(unavailable(), format)["multiValueHeaders"], json!({}));
        }
        let multi_value = response(unavailable(), Format::LoadBalancerMultiValue);
        assert_eq!(multi_value["headers"], json!({}));
        assert_eq!(
            multi_value["multiValueHeaders"],
            json!({"content-type": ["application/json"], "retry-after": ["30"]})
        );
        assert_eq!(multi_value["statusDescription"], "503 Service Unavailable");
        assert_eq!(response(Reply::empty(405), Format::V1)["headers"], json!({"allow": "POST"}));
    }
}
