//! API Gateway's events in, responses out.
//!
//! Reads payload formats 2.0 and 1.0, of HTTP and REST APIs: the few fields that a delivery is made
//! of. (`lambda_http`, made for this, panics on a body with bad base64, puts the stage's name in front
//! of the path, and fails the invocation on a header line or method it does not like.)

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingest::{Reply, Request};
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The name of the stage that leaves no trace in the path.
const DEFAULT_STAGE: &str = "$default";

/// One invocation by API Gateway.
#[derive(Debug)]
pub struct GatewayEvent {
    /// The HTTP request.
    pub request: Request,
    /// How the gateway wrote it, and expects the response.
    pub format: Format,
}

/// The payload format of events and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// REST APIs, and HTTP APIs that choose it.
    V1,
    /// HTTP APIs.
    V2,
}

/// The fields of both formats that are read.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    // format 2.0
    raw_path: Option<String>,
    // format 1.0
    path: Option<String>,
    http_method: Option<String>,
    multi_value_headers: Option<HashMap<String, Vec<String>>>,
    // both
    headers: Option<HashMap<String, String>>,
    request_context: Context,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(serde::Deserialize)]
struct Context {
    stage: Option<String>,
    path: Option<String>,
    http: Option<Http>,
    /// Epoch milliseconds; `timeEpoch` in format 2.0.
    #[serde(rename = "requestTimeEpoch", alias = "timeEpoch")]
    request_time_epoch: Option<i64>,
}

#[derive(serde::Deserialize)]
struct Http {
    method: String,
}

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not the parser's own words: they would quote the event, and go into the log.
        let other = || D::Error::custom("not an event of API Gateway");
        let event = Event::deserialize(deserializer).map_err(|_| other())?;
        let reached_gateway_at =
            event.request_context.request_time_epoch.and_then(|time| Timestamp::from_millisecond(time).ok());
        match (event.raw_path, event.request_context.http, event.path, event.http_method) {
            (Some(path), Some(http), _, _) => Ok(Self {
                request: Request {
                    method: method(&http.method),
                    path: without_stage(path, event.request_context.stage.as_deref()),
                    headers: lines(event.headers.unwrap_or_default()),
                    body: body(event.body, event.is_base64_encoded),
                    reached_gateway_at,
                    trace_id: None,
                },
                format: Format::V2,
            }),
            (_, _, Some(path), Some(http_method)) => {
                // REST APIs never have the stage in `path`; HTTP APIs do, and repeat it in the context.
                let staged = event.request_context.path.as_ref() == Some(&path);
                let stage = event.request_context.stage.filter(|_| staged);
                Ok(Self {
                    request: Request {
                        method: method(&http_method),
                        path: without_stage(path, stage.as_deref()),
                        // Every header is there twice over: all its lines, and the last one.
                        headers: match event.multi_value_headers {
                            Some(all) if !all.is_empty() => {
                                lines(all.into_iter().flat_map(|(name, values)| {
                                    values.into_iter().map(move |value| (name.clone(), value))
                                }))
                            }
                            _ => lines(event.headers.unwrap_or_default()),
                        },
                        body: body(event.body, event.is_base64_encoded),
                        reached_gateway_at,
                        trace_id: None,
                    },
                    format: Format::V1,
                })
            }
            _ => Err(other()),
        }
    }
}

/// One that there is not becomes one that no webhook has.
fn method(name: &str) -> Method {
    name.parse().unwrap_or(Method::TRACE)
}

/// The header lines that HTTP allows; no other can be a signature.
fn lines(lines: impl IntoIterator<Item = (String, String)>) -> HeaderMap {
    let parsed = lines.into_iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in parsed {
        headers.append(name, value);
    }
    headers
}

/// The path below the stage.
fn without_stage(path: String, stage: Option<&str>) -> String {
    let Some(stage) = stage.filter(|stage| *stage != DEFAULT_STAGE) else { return path };
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => path,
    }
}

fn body(body: Option<String>, is_base64: Option<bool>) -> Option<Bytes> {
    let body = body.unwrap_or_default();
    if is_base64 == Some(true) { BASE64.decode(body).ok().map(Bytes::from) } else { Some(Bytes::from(body)) }
}

/// A response, in the format of the event it answers.
#[derive(Debug)]
pub struct GatewayResponse {
    /// What is answered.
    pub reply: Reply,
    /// How the gateway expects it.
    pub format: Format,
}

impl Serialize for GatewayResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { reply, format } = self;
        let mut headers = serde_json::Map::new();
        if !reply.body.is_empty() {
            headers.insert("content-type".into(), "application/json".into());
        }
        if let Some(seconds) = reply.retry_after {
            headers.insert("retry-after".into(), seconds.to_string().into());
        }
        if reply.status == 405 {
            headers.insert("allow".into(), Method::POST.as_str().into());
        }
        let mut response = serializer.serialize_map(None)?;
        response.serialize_entry("statusCode", &reply.status)?;
        response.serialize_entry("headers", &headers)?;
        response.serialize_entry("body", &reply.body)?;
        response.serialize_entry("isBase64Encoded", &false)?;
        if *format == Format::V2 {
            // Optional to API Gateway, not to cargo-lambda; in format 1.0 it would be an error (502).
            response.serialize_entry("cookies", &[(); 0])?;
        }
        response.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(event: &Value) -> Request {
        serde_json::from_str::<GatewayEvent>(&event.to_string()).unwrap().request
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
    fn when_it_reached_the_gateway() {
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
    fn the_stage_is_not_part_of_the_path() {
        let staged = |stage: &str, path: &str| {
            read(&format_2(&[("/requestContext/stage", json!(stage)), ("/rawPath", json!(path))])).path
        };
        assert_eq!(staged("$default", "/umaaas/test-webhook"), "/umaaas/test-webhook");
        assert_eq!(staged("prod", "/prod/umaaas/test-webhook"), "/umaaas/test-webhook");
        assert_eq!(staged("prod", "/umaaas"), "/umaaas", "behind a custom domain");
        assert_eq!(staged("uma", "/umaaas"), "/umaaas", "a stage that only looks alike");
        assert_eq!(read(&format_1(&[])).path, "/umaaas", "REST API");
        let rest =
            [("/requestContext/stage", json!("umaaas")), ("/requestContext/path", json!("/umaaas/umaaas"))];
        assert_eq!(read(&format_1(&rest)).path, "/umaaas", "REST API with a stage of the path's name");
        let http = [("/path", json!("/prod/umaaas"))];
        assert_eq!(read(&format_1(&http)).path, "/umaaas", "HTTP API with format 1.0");
    }

    #[test]
    fn every_header_line_arrives_once() {
        let headers = read(&format_1(&[])).headers;
        assert_eq!(headers.get_all("x-umaaas-signature").iter().collect::<Vec<_>>(), ["first", "second"]);
        let headers = read(&format_1(&[("/multiValueHeaders", json!({}))])).headers;
        assert_eq!(headers.get_all("x-umaaas-signature").iter().collect::<Vec<_>>(), ["second"]);
    }

    #[test]
    fn other_events_are_an_error_that_says_so() {
        for event in ["{}", "[]", "null", "1", r#"{"version":"2.0"}"#, r#"{"source":"aws.events"}"#] {
            let error = serde_json::from_str::<GatewayEvent>(event).unwrap_err().to_string();
            assert!(error.contains("not an event of API Gateway"), "{event}: {error}");
        }
    }

    #[test]
    fn what_is_not_http_is_left_out() {
        let mut event = format_2(&[("/requestContext/http/method", json!("PO ST"))]);
        event["headers"] = json!({"": "a", "bad name": "b", "x@y": "c", "x-bell": "\u{7}", "x-good": "é"});
        let request = read(&event);
        assert_eq!(request.method, Method::TRACE);
        assert_eq!(request.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-good"]);
    }

    #[test]
    fn responses() {
        let response = |reply, format| serde_json::to_value(GatewayResponse { reply, format }).unwrap();
        let empty = json!({"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": false});
        assert_eq!(response(Reply::empty(200), Format::V1), empty);
        let mut with_cookies = empty;
        with_cookies["cookies"] = json!([]);
        assert_eq!(response(Reply::empty(200), Format::V2), with_cookies);
        assert_eq!(
            response(Reply::json(503, &json!({"message": "later"})), Format::V1)["headers"],
            json!({"content-type": "application/json", "retry-after": "30"})
        );
        assert_eq!(response(Reply::empty(405), Format::V1)["headers"], json!({"allow": "POST"}));
    }
}
