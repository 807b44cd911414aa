//! Opens connections at the start, because DNS look-up, TCP and TLS take longer than a call itself. All
//! clients share one connection pool, so every client can use a connection that another client opened.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpRequest;

/// How long the start waits for a connection. If opening it takes longer, the first delivery opens it within
/// that delivery's own time limits.
const WITHIN: Duration = Duration::from_millis(600);

/// Turns a request into `GET /`. DynamoDB and SQS answer it with their health status, and it needs no
/// permission.
pub(crate) fn ping(request: &mut HttpRequest) {
    let address = request.uri().to_owned();
    // An address that does not parse is ignored here: the call itself then fails with that error.
    let _ = request.set_method("GET").and_then(|()| request.set_uri(root_of(&address)));
    *request.body_mut() = "".into();
    for name in ["x-amz-target", "content-type", "content-length"] {
        request.headers_mut().remove(name);
    }
}

/// Waits for any answer, at most [`WITHIN`]. The SDK cannot parse the answer to a ping and returns an error,
/// which is ignored: the connection is open. For the same reason the caller disables retries.
pub(crate) async fn within_budget<T, E>(service: &str, answer: impl Future<Output = Result<T, E>>) {
    if tokio::time::timeout(WITHIN, answer).await.is_err() {
        tracing::warn!(service, "no connection at the start");
    }
}

/// The address without its path.
fn root_of(address: &str) -> String {
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address[host..].find(['/', '?']).map_or(address.len(), |path| host + path);
    format!("{}/", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        for (address, root) in [
            ("https://sqs.eu-central-1.amazonaws.com", "https://sqs.eu-central-1.amazonaws.com/"),
            ("https://a.example/b/c?d", "https://a.example/"),
            ("http://127.0.0.1:4566/", "http://127.0.0.1:4566/"),
            ("/only/a/path", "/"),
        ] {
            assert_eq!(root_of(address), root);
        }
    }

    #[test]
    fn a_ping_has_no_operation_and_no_body() {
        let mut request = HttpRequest::new("{\"Limit\":1}".into());
        request.set_method("POST").unwrap();
        request.set_uri("http://127.0.0.1:4566/").unwrap();
        request.headers_mut().insert("x-amz-target", "DynamoDB_20120810.ListTables");
        ping(&mut request);
        assert_eq!((request.method(), request.uri()), ("GET", "http://127.0.0.1:4566/"));
        assert!(request.headers().get("x-amz-target").is_none());
        assert_eq!(request.body().bytes(), Some(b"".as_slice()));
    }
}
