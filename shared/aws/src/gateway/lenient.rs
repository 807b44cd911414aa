//! Reads events field by field when the types of `lambda_http` refuse them.
//!
//! Events from test tools and proxies and hand-written events can contain what gateways never send: a header
//! that is null or a number, a time that is text, no request context. Such an event is accepted as a request
//! when its method, path, headers and body can be read. Its signature is then checked like any other.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingest::{Object, Request};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{Format, GatewayRequest};

/// An HTTP event has at least one of these fields, or one of [`OF_HTTP_CONTEXT`] in its request context.
const OF_HTTP: [&str; 5] = ["rawPath", "path", "httpMethod", "headers", "multiValueHeaders"];
/// Fields of the request context of HTTP events. A context without them proves nothing: the event of a Lambda
/// destination has a request context too.
const OF_HTTP_CONTEXT: [&str; 3] = ["http", "httpMethod", "elb"];

/// Reads an event; `None` when it is not HTTP. When the path or the method is missing, the headers are not an
/// object, or the body is not a text, the returned request has no body. It is then answered with 400, or with
/// 404 when no function serves its path.
pub(super) fn read(event: &str) -> Option<GatewayRequest> {
    let event = Object::parse(event.as_bytes())?;
    let context = event.object("requestContext");
    let in_context = |name| context.as_ref().and_then(|context| context.get(name));
    let is_http = OF_HTTP.iter().any(|name| event.get(name).is_some())
        || OF_HTTP_CONTEXT.iter().any(|name| in_context(name).is_some());
    if !is_http {
        return None;
    }
    let format = if in_context("elb").is_some() {
        Format::of_load_balancer(event.get("multiValueHeaders").is_some())
    } else if event.get("rawPath").is_some() || in_context("http").is_some() {
        Format::V2
    } else {
        Format::V1
    };
    let http = context.as_ref().and_then(|context| context.object("http"));
    let method = http.and_then(|http| http.text("method")).or_else(|| event.text("httpMethod"));
    let path = event.text("rawPath").or_else(|| event.text("path"));
    let headers = headers(&event);
    let complete = method.is_some() && path.is_some() && headers.is_some();
    Some(GatewayRequest {
        request: Request {
            // A method that does not parse becomes TRACE, which the path answers with 405.
            method: method.map_or(Method::POST, |name| name.parse().unwrap_or(Method::TRACE)),
            path: path.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            body: body(&event).filter(|_| complete),
            reached_gateway_at: context.as_ref().and_then(reached_gateway_at),
            trace_id: None,
        },
        format,
    })
}

/// All headers, possibly none; `None` when `headers` or `multiValueHeaders` is present but not an object.
fn headers(event: &Object<'_>) -> Option<HeaderMap> {
    let [multi_value, single] = ["multiValueHeaders", "headers"].map(|name| match event.get(name) {
        Some(_) => event.object(name).map(|headers| lines(&headers)),
        None => Some(HeaderMap::new()),
    });
    Some(super::all_lines(multi_value?, single?))
}

/// The headers that are valid in HTTP. Invalid ones are left out: they cannot be signature headers.
fn lines(headers: &Object<'_>) -> HeaderMap {
    let mut lines = HeaderMap::new();
    for (name, value) in headers.fields() {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        let values = serde_json::from_str::<Vec<&RawValue>>(value.get()).unwrap_or_else(|_| vec![value]);
        for value in values.into_iter().filter_map(line) {
            lines.append(&name, value);
        }
    }
    lines
}

/// The value of a header: a text, or a number exactly as the JSON contains it. `None` for any other type and
/// for a value that is invalid in HTTP.
fn line(value: &RawValue) -> Option<HeaderValue> {
    let raw = value.get();
    let is_number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let text = if is_number { raw.to_owned() } else { serde_json::from_str(raw).ok()? };
    HeaderValue::try_from(text).ok()
}

fn body(event: &Object<'_>) -> Option<Bytes> {
    let text = match event.get("body") {
        Some(_) => Some(event.text("body")?),
        None => None,
    };
    let is_base64 = match event.get("isBase64Encoded").map(RawValue::get) {
        None | Some("false" | "\"false\"") => false,
        Some("true" | "\"true\"") => true,
        Some(_) => return None,
    };
    super::body(text, is_base64)
}

/// Reads the time at which the gateway received the request: epoch milliseconds, as a number or a text.
fn reached_gateway_at(context: &Object<'_>) -> Option<Timestamp> {
    let time = ["timeEpoch", "requestTimeEpoch"].into_iter().find_map(|name| context.text_or_digits(name))?;
    super::time(time.trim().parse().ok()?)
}
