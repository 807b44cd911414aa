//! One HTTP request, over TLS where the address says so, with the TLS stack of the functions.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider as Tls;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::HeaderMap;

/// Posts a body. Returns the status and the start of what came back.
pub(crate) async fn post(
    url: &str,
    headers: &HeaderMap,
    body: Vec<u8>,
    within: Duration,
) -> Result<(u16, Vec<u8>)> {
    let mut request = http::Request::post(url).body(SdkBody::from(body))?;
    *request.headers_mut() = headers.clone();
    let request = HttpRequest::try_from(request).map_err(|error| anyhow!(error))?;
    let connector = Connector::builder().tls_provider(Tls::Rustls(CryptoMode::AwsLc)).build();
    let exchange = async {
        let response = connector.call(request).await.map_err(|error| anyhow!(error))?;
        let status = response.status().as_u16();
        let body = aws_smithy_types::byte_stream::ByteStream::new(response.into_body()).collect().await?;
        Ok::<_, anyhow::Error>((status, body.to_vec()))
    };
    let answer = tokio::time::timeout(within, exchange).await;
    answer
        .with_context(|| format!("no answer from {url} within {} s", within.as_secs()))?
        .with_context(|| format!("no answer from {url}"))
}
