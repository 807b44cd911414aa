//! One request over `http://` or `https://`, with exactly the headers and bytes that it is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, Uri};
use local_stack::client;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A response, and how long it took.
pub(crate) struct Answer {
    pub response: Response<Bytes>,
    pub took: Duration,
}

/// Sends a request and reads the whole response, whatever its status.
///
/// # Errors
/// Nobody answers in time, the certificate is not valid, or the answer is not HTTP.
pub(crate) async fn send(request: Request<Bytes>, within: Duration) -> Result<Answer> {
    let started = Instant::now();
    let response = match request.uri().scheme_str() {
        Some("https") => {
            let address = request.uri().to_string();
            let answer = tokio::time::timeout(within, exchange(request)).await;
            let answer = answer.with_context(|| format!("no answer within {} s", within.as_secs()));
            answer.flatten().with_context(|| format!("no answer from {address}"))?
        }
        _ => client::send(request, within).await?,
    };
    Ok(Answer { response, took: started.elapsed() })
}

async fn exchange(request: Request<Bytes>) -> Result<Response<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().context("the address has no host")?.clone();
    parts.uri = parts.uri.path_and_query().context("the address has no path")?.clone().into();
    parts.headers.insert(HOST, authority.as_str().parse()?);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));

    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(443))).await?;
    let name = ServerName::try_from(authority.host().to_owned())?;
    let stream = TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await?;
    client::over(stream, Request::from_parts(parts, body)).await
}

/// With the certificates that this machine trusts.
fn tls() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ensure!(!roots.is_empty(), "this machine has no trusted certificates");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A base address, to which paths are added: without a path of its own where that is the provider's.
///
/// # Errors
/// It is not an `http://` or `https://` address, or has a query.
pub(crate) fn base(text: &str) -> Result<String> {
    let uri: Uri = text.parse().with_context(|| format!("{text}: not an address"))?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        bail!("{text}: an address begins with http:// or https:// and a host")
    };
    ensure!(uri.query().is_none(), "{text}: an address without a query is needed");
    ensure!(!authority.as_str().contains('@'), "an address without a password is needed");
    let path = uri.path().trim_end_matches('/');
    let path = local_stack::senders::SENDERS
        .iter()
        .find_map(|provider| path.strip_suffix(provider.name)?.strip_suffix('/'))
        .unwrap_or(path);
    // One spelling of an address, so that two can be compared.
    let authority = authority.as_str().to_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    Ok(format!("{scheme}://{}{path}", authority.strip_suffix(port).unwrap_or(&authority)))
}

/// Whether an address is on this machine.
pub(crate) fn is_local(address: &str) -> bool {
    let uri: Option<Uri> = address.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_addresses() {
        for (text, expected) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("https://a.example/umaaas", "https://a.example"),
            ("https://a.example/weavr/", "https://a.example"),
            ("https://a.example/prod/weavr", "https://a.example/prod"),
            ("https://a.example/notumaaas", "https://a.example/notumaaas"),
            ("https://A.Example:443/grid", "https://a.example"),
            ("http://a.example:443", "http://a.example:443"),
        ] {
            assert_eq!(base(text).unwrap(), expected, "{text}");
        }
        for wrong in [
            "",
            "a.example",
            "ftp://a.example",
            "/umaaas",
            "http://",
            "http://a b",
            "http://a/?q",
            "http://u:p@a/",
        ] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn local_addresses() {
        for (address, expected) in [
            ("http://127.0.0.1:9000", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("https://localhost.example", false),
            ("https://a.example/127.0.0.1", false),
        ] {
            assert_eq!(is_local(address), expected, "{address}");
        }
    }
}
