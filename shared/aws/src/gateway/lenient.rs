//! Events that the types of `lambda_http` refuse, read field by field.
//!
//! Test tools, proxies and hand-written events hold what gateways never send: a header that is null or a number,
//! a time that is text, no request context. A delivery is taken where everything it needs can be read; its
//! signature decides about the rest.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ingest::{Object, Request};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::{Format, GatewayRequest};

/// An HTTP event has at least one of these fields,
const OF_HTTP: [&str; 5] = ["rawPath", "path", "httpMethod", "headers", "multiValueHeaders"];
/// or its request context one of these. (The context alone says nothing: a Lambda destination's event has one.)
const OF_HTTP_CONTEXT: [&str; 3] = ["http", "httpMethod", "elb"];

/// Reads an event; `None` when it is not HTTP. A request without a path or a method, with headers that are no
/// object or with a body that is no text, has no body: it is answered with 400, or with 404 where nothing is
/// served at its path.
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

/// The header lines, of which there may be none; `None` when a field of headers is no object.
fn headers(event: &Object<'_>) -> Option<HeaderMap> {
    let [multi_value, single] = ["multiValueHeaders", "headers"].map(|name| match event.get(name) {
        Some(_) => event.object(name).map(|headers| lines(&headers)),
        None => Some(HeaderMap::new()),
    });
    Some(super::all_lines(multi_value?, single?))
}

/// The header lines that HTTP allows; no other can be a signature.
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

/// The value of a header line: a text, or a number as it is written.
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

/// The request's time in epoch milliseconds, as a number or as text.
fn reached_gateway_at(context: &Object<'_>) -> Option<Timestamp> {
    let time = ["timeEpoch", "requestTimeEpoch"].into_iter().find_map(|name| context.text_or_digits(name))?;
    super::time(time.trim().parse().ok()?)
}
