//! Calls of AWS services that have no SDK here: an SDK for each would be a tenth of everything that is built, for one
//! or two operations. The calls are signed by AWS's own crate.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::config::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use aws_types::SdkConfig;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;

use crate::output::MASK;
use crate::print::harmless;
use crate::request;

/// How long a call may take.
const WITHIN: Duration = Duration::from_secs(20);

/// An operation of a service with the query protocol: parameters in a form, the answer in XML.
pub(crate) struct Query<'a> {
    /// The service, as in the name of its host and in signatures.
    pub service: &'a str,
    /// The version of its API.
    pub version: &'a str,
    /// The operation.
    pub action: &'a str,
    /// Its parameters.
    pub parameters: &'a [(&'a str, &'a str)],
}

impl Query<'_> {
    /// Calls it, and returns the XML.
    ///
    /// # Errors
    /// Nobody answers, or the service refuses; the error has its reason.
    pub(crate) async fn call(&self, config: &SdkConfig) -> Result<String> {
        let fixed = [("Action", self.action), ("Version", self.version)];
        let pairs =
            fixed.iter().chain(self.parameters).map(|(name, value)| format!("{name}={}", encoded(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let content_type = ("content-type", "application/x-www-form-urlencoded");
        called(config, self.service, Method::POST, "/", &[content_type], body).await
    }
}

/// Calls an operation of CloudWatch, by its JSON protocol.
///
/// # Errors
/// As for [`Query::call`].
pub(crate) async fn cloudwatch(config: &SdkConfig, operation: &str, parameters: &Value) -> Result<Value> {
    let target = format!("GraniteServiceVersion20100801.{operation}");
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &target)];
    let answer = called(config, "monitoring", Method::POST, "/", &headers, parameters.to_string()).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Reads a resource of a service with the REST protocol.
///
/// # Errors
/// As for [`Query::call`].
pub(crate) async fn get(config: &SdkConfig, service: &str, path: &str) -> Result<String> {
    called(config, service, Method::GET, path, &[], String::new()).await
}

async fn called(
    config: &SdkConfig,
    service: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<String> {
    let region = config.region().context("no region")?.as_ref();
    let base = match config.endpoint_url() {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => host(service, region),
    };
    let url = format!("{base}{path}");
    let credentials = config.credentials_provider().context("no credentials")?;
    let credentials = credentials.provide_credentials().await.context("no credentials")?;
    let token = credentials.session_token().map(str::to_owned);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let signable = SignableRequest::new(
        method.as_str(),
        &*url,
        headers.iter().copied(),
        SignableBody::Bytes(body.as_bytes()),
    )?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    let mut request = Request::builder().method(method).uri(&url);
    for (name, value) in instructions.headers().chain(headers.iter().copied()) {
        request = request.header(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let response = request::send(request.body(Bytes::from(body))?, WITHIN).await?.response;
    let answer = String::from_utf8_lossy(response.body()).into_owned();
    if response.status() != StatusCode::OK {
        // A service that does not accept a signature quotes what was signed, the session's token too.
        let mut reason = error_in(&answer);
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            reason = reason.replace(&token, MASK);
        }
        bail!("{service} answers {}: {}", response.status().as_u16(), harmless(&reason));
    }
    Ok(answer)
}

/// The address of a service.
pub(crate) fn host(service: &str, region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://{service}.{region}.amazonaws.com{suffix}")
}

/// A value in a form: everything but what RFC 3986 leaves unreserved is escaped.
fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(one).collect()
}

/// Reads what stands at a path of elements in a document; the path begins below the root.
///
/// # Errors
/// It is not XML.
pub(crate) fn at(
    answer: &str,
    path: &[&str],
    found: &mut dyn FnMut(&mut ScopedDecoder<'_, '_>) -> Result<()>,
) -> Result<()> {
    let mut document = Document::new(answer);
    below(&mut document.root_element()?, path, found)
}

/// Calls `found` for each element at a path below another one.
pub(crate) fn below(
    element: &mut ScopedDecoder<'_, '_>,
    path: &[&str],
    found: &mut dyn FnMut(&mut ScopedDecoder<'_, '_>) -> Result<()>,
) -> Result<()> {
    let Some((name, rest)) = path.split_first() else { return found(element) };
    while let Some(mut child) = element.next_tag() {
        if child.start_el().matches(name) {
            below(&mut child, rest, found)?;
        }
    }
    Ok(())
}

/// The texts of an element's children, by their names. Children that have children are left out.
///
/// # Errors
/// It is not XML.
pub(crate) fn fields(element: &mut ScopedDecoder<'_, '_>) -> Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while let Some(mut field) = element.next_tag() {
        let name = field.start_el().local().to_owned();
        if let Ok(text) = try_data(&mut field) {
            fields.push((name, text.into_owned()));
        }
    }
    Ok(fields)
}

/// The values of a field, of what [`fields`] has read.
pub(crate) fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// Why a service has refused: `ErrorResponse/Error/Message` in XML, `message` in JSON, or the beginning of what it says.
fn error_in(answer: &str) -> String {
    let mut message = None;
    let _ = at(answer, &["Error", "Message"], &mut |text| {
        message = Some(try_data(text)?.into_owned());
        Ok(())
    });
    let json: Option<Value> = serde_json::from_str(answer).ok();
    let json = json.and_then(|json| Some(json.get("message").or(json.get("Message"))?.as_str()?.to_owned()));
    let reason = message.or(json).unwrap_or_else(|| answer.to_owned());
    reason.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_errors() {
        assert_eq!(encoded("a b&c=\u{e9}:/~"), "a%20b%26c%3D%C3%A9%3A%2F~");
        let error = "<ErrorResponse><Error><Code>ValidationError</Code><Message>no such stack</Message></Error></ErrorResponse>";
        assert_eq!(error_in(error), "no such stack");
        assert_eq!(error_in(r#"{"__type":"AccessDenied","message":"no"}"#), "no");
        assert_eq!(error_in("not XML"), "not XML");
        let signature = "<ErrorResponse><Error><Message>It does not match.\n\nThe string was\nx-amz-security-token:t</Message></Error></ErrorResponse>";
        assert_eq!(error_in(signature), "It does not match.");
        assert_eq!(host("sns", "cn-north-1"), "https://sns.cn-north-1.amazonaws.com.cn");
    }
}
