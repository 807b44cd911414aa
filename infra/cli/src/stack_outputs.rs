//! The outputs of a CloudFormation stack. One call of one operation, signed here: the SDK of CloudFormation would be a
//! tenth of everything that is built, for this alone.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_sdk_sqs::config::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use aws_types::SdkConfig;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};

use crate::request;

/// How long the call may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Reads them.
pub(crate) async fn of(config: &SdkConfig, stack: &str) -> Result<HashMap<String, String>> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ensure!(stack.chars().all(valid), "{stack} is no name of a stack");
    let region = config.region().context("no region: give --region, or set one in the profile")?.as_ref();
    let url = match config.endpoint_url() {
        Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
        None if region.starts_with("cn-") => format!("https://cloudformation.{region}.amazonaws.com.cn/"),
        None => format!("https://cloudformation.{region}.amazonaws.com/"),
    };
    let body = format!("Action=DescribeStacks&Version=2010-05-15&StackName={stack}");
    let headers = signed(config, region, &url, &body).await?;
    let mut request = Request::post(&url).body(body.into())?;
    *request.headers_mut() = headers;
    let response = request::send(request, WITHIN).await?.response;
    let (status, answer) = (response.status(), String::from_utf8_lossy(response.body()));
    if status != StatusCode::OK {
        let why = error_in(&answer).unwrap_or_default();
        bail!("cannot read the stack {stack}: HTTP {}, {why}", status.as_u16());
    }
    outputs_in(&answer).with_context(|| format!("cannot read the stack {stack}"))
}

async fn signed(config: &SdkConfig, region: &str, url: &str, body: &str) -> Result<HeaderMap> {
    let credentials = config.credentials_provider().context("no credentials")?;
    let identity = credentials.provide_credentials().await.context("no credentials")?.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("cloudformation")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let content_type = ("content-type", "application/x-www-form-urlencoded");
    let request =
        SignableRequest::new("POST", url, [content_type].into_iter(), SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let all = instructions.headers().chain([content_type]);
    all.map(|(name, value)| Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?))).collect()
}

/// `DescribeStacksResponse/DescribeStacksResult/Stacks/member/Outputs/member/{OutputKey,OutputValue}`.
fn outputs_in(answer: &str) -> Result<HashMap<String, String>> {
    let mut document = Document::new(answer);
    let mut outputs = HashMap::new();
    let mut root = document.root_element()?;
    below(&mut root, &["DescribeStacksResult", "Stacks", "member", "Outputs", "member"], &mut |output| {
        let (mut key, mut value) = (None, None);
        while let Some(mut field) = output.next_tag() {
            if field.start_el().matches("OutputKey") {
                key = Some(try_data(&mut field)?.into_owned());
            } else if field.start_el().matches("OutputValue") {
                value = Some(try_data(&mut field)?.into_owned());
            }
        }
        if let (Some(key), Some(value)) = (key, value) {
            outputs.insert(key, value);
        }
        Ok(())
    })?;
    ensure!(!outputs.is_empty(), "it has no outputs");
    Ok(outputs)
}

/// `ErrorResponse/Error/Message`.
fn error_in(answer: &str) -> Option<String> {
    let mut document = Document::new(answer);
    let mut root = document.root_element().ok()?;
    let mut message = None;
    let found = below(&mut root, &["Error", "Message"], &mut |text| {
        message = Some(try_data(text)?.into_owned());
        Ok(())
    });
    found.ok()?;
    message
}

/// Calls `found` for each element at a path.
fn below(
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

/// What the output of a provider is called, as in `UmaaasQueueUrl`.
pub(crate) fn name(provider: &str, what: &str) -> Result<String> {
    let (first, rest) = provider.split_at_checked(1).ok_or_else(|| anyhow!("a provider without a name"))?;
    Ok(format!("{}{rest}{what}", first.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_errors() {
        let answer = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <DescribeStacksResult><Stacks><member><StackName>s</StackName><Outputs>
              <member><OutputKey>TableName</OutputKey><OutputValue>a&amp;b</OutputValue></member>
              <member><Description>d</Description><OutputKey>UmaaasQueueUrl</OutputKey><OutputValue>u</OutputValue></member>
            </Outputs><Parameters><member><OutputKey>no</OutputKey></member></Parameters></member></Stacks>
            </DescribeStacksResult></DescribeStacksResponse>"#;
        let outputs = outputs_in(answer).unwrap();
        assert_eq!((outputs.len(), &*outputs["TableName"]), (2, "a&b"));
        assert_eq!(outputs[&name("umaaas", "QueueUrl").unwrap()], "u");
        let nothing = "<DescribeStacksResponse><DescribeStacksResult/></DescribeStacksResponse>";
        assert!(outputs_in(nothing).unwrap_err().to_string().contains("no outputs"));
        let error = "<ErrorResponse><Error><Code>ValidationError</Code><Message>no such stack</Message></Error></ErrorResponse>";
        assert_eq!(error_in(error).as_deref(), Some("no such stack"));
        assert_eq!(error_in("not XML"), None);
    }
}
