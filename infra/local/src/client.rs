//! A small HTTP client that sends exactly the headers and bytes it is given.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Sends a request to an `http://` address and reads the whole response, with any status. A header that is in
/// the request twice is sent twice.
///
/// # Errors
/// There is no answer within the time, or the answer is not HTTP.
pub async fn send(request: Request<Bytes>, within: Duration) -> Result<Response<Bytes>> {
    let address = request.uri().to_string();
    tokio::time::timeout(within, exchange(request))
        .await
        .with_context(|| format!("no answer from {address} within {} s", within.as_secs()))?
        .with_context(|| format!("no answer from {address}"))
}

async fn exchange(request: Request<Bytes>) -> Result<Response<Bytes>> {
    let (mut parts, body) = request.into_parts();
    ensure!(parts.uri.scheme_str() == Some("http"), "this client supports only http:// addresses");
    let authority = parts.uri.authority().context("the address has no host")?.clone();
    parts.uri = parts.uri.path_and_query().context("the address has no path")?.clone().into();
    parts.headers.insert(HOST, authority.as_str().parse()?);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));

    let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    forward(&address, Request::from_parts(parts, body)).await
}

/// Sends a request unchanged to a `host:port`, over a new connection, and reads the whole response.
///
/// # Errors
/// There is no answer, or the answer is not HTTP.
pub async fn forward(address: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
    over(TcpStream::connect(address).await?, request).await
}

/// Sends a request unchanged over a connection that is open, and reads the whole response.
///
/// # Errors
/// There is no answer, or the answer is not HTTP.
pub async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn headers_go_out_as_given() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/a/path?q=1", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"body") {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno").unwrap();
            String::from_utf8(seen).unwrap()
        });
        let request = Request::post(address)
            .header("x-signature", "one")
            .header("x-signature", "two")
            .body(Bytes::from_static(b"body"))
            .unwrap();
        let response = send(request, Duration::from_secs(10)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (401, b"no".as_slice()));

        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /a/path?q=1 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("x-signature: one\r\n") && seen.contains("x-signature: two\r\n"), "{seen}");
    }

    #[tokio::test]
    async fn a_closed_port_is_an_error_with_the_address() {
        let port = crate::port::free().unwrap();
        let request = Request::get(format!("http://127.0.0.1:{port}/")).body(Bytes::new()).unwrap();
        let error = send(request, Duration::from_secs(10)).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
}
