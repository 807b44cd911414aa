//! API Gateway's events in, responses out.
//!
//! Reads payload format 2.0 and 1.0, of HTTP and REST APIs. `lambda_http` has the types; its own
//! conversion to a request is not used, because it panics on a body with bad base64 and puts the
//! stage's name in front of the path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, Method};
use ingest::{Reply, Request};
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayV2httpRequest};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

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

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: Option<String>,
        }

        let event = Box::<RawValue>::deserialize(deserializer)?;
        let version = serde_json::from_str(event.get()).map(|Version { version }| version);
        let read = match version.as_ref().map(Option::as_deref) {
            Ok(Some("2.0")) => serde_json::from_str(event.get()).map(|event| (format_2(event), Format::V2)),
            _ => serde_json::from_str(event.get()).map(|event| (format_1(event), Format::V1)),
        };
        let (request, format) =
            read.map_err(|error| D::Error::custom(format_args!("not an event of API Gateway: {error}")))?;
        Ok(Self { request, format })
    }
}

fn format_2(event: ApiGatewayV2httpRequest) -> Request {
    Request {
        method: event.request_context.http.method,
        path: without_stage(event.raw_path.unwrap_or_default(), event.request_context.stage.as_deref()),
        headers: event.headers,
        body: body(event.body, event.is_base64_encoded),
    }
}

fn format_1(event: ApiGatewayProxyRequest) -> Request {
    let path = event.path.unwrap_or_default();
    // REST APIs never have the stage in `path`; HTTP APIs do, and repeat it in the context.
    let stage = event.request_context.stage.filter(|_| event.request_context.path.as_deref() == Some(&path));
    Request {
        method: event.http_method,
        path: without_stage(path, stage.as_deref()),
        headers: all_lines(event.multi_value_headers, event.headers),
        body: body(event.body, event.is_base64_encoded),
    }
}

/// The path below the stage.
fn without_stage(path: String, stage: Option<&str>) -> String {
    let Some(stage) = stage.filter(|stage| *stage != DEFAULT_STAGE) else { return path };
    match path.strip_prefix('/').and_then(|rest| rest.strip_prefix(stage)) {
        Some(rest) if rest.starts_with('/') => rest.to_owned(),
        _ => path,
    }
}

/// Format 1.0 has every header twice over: all lines, and the last line. The first has it all.
fn all_lines(lines: HeaderMap, last: HeaderMap) -> HeaderMap {
    if lines.is_empty() { last } else { lines }
}

fn body(body: Option<String>, is_base64: bool) -> Option<Bytes> {
    let body = body.unwrap_or_default();
    if is_base64 { BASE64.decode(body).ok().map(Bytes::from) } else { Some(Bytes::from(body)) }
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
            "requestContext": {"stage": "$default", "http": {"method": "POST", "path": "/umaaas"}},
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
            "requestContext": {"stage": "prod", "path": "/prod/umaaas", "httpMethod": "POST"},
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
