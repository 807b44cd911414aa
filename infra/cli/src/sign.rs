//! `cargo webhooks sign`: the headers that a provider would send with a body.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use http::HeaderMap;
use local_stack::senders::Sender;
use serde_json::{Map, Value, json};
use verify::Delivery;

use crate::kinds;
use crate::print::{line, print};
use crate::secret_options::{Otherwise, SecretOptions};
use crate::target::TargetOptions;

/// Prints the headers that a provider would send with a body, and a line for curl.
///
/// The secret is read from stdin unless an option says otherwise; of a provider that signs with a private key, the
/// private key in PEM.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks sign umaaas --secret-local --body events/umaaas/test.json
  printf %s \"$key\" | cargo webhooks sign weavr --body body.json --path /weavr/send/watch \\
    --url https://hooks.example.com
  SECRET=... cargo webhooks sign umaaas --secret-env SECRET --body body.json --json
  cargo webhooks sign grid --secret-stdin --body body.json < private-key.pem

Exit status: 0; 2, wrong usage or an input that cannot be read.")]
pub(crate) struct Options {
    /// As whom: umaaas, weavr, grid
    #[arg(value_parser = kinds::provider)]
    provider: &'static Sender,
    /// The body; it is signed byte for byte
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// The path in the line for curl. No signature covers it
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Weavr: the header published-timestamp, in milliseconds; now unless given
    #[arg(long, value_name = "MILLISECONDS")]
    timestamp: Option<u64>,
    /// Weavr: the header call-ref
    #[arg(long, value_name = "TEXT")]
    call_ref: Option<String>,
    #[command(flatten)]
    secret: SecretOptions,
    /// Print JSON: {"headers": {...}, "curl": "..."}
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    let Options { provider, body, path, timestamp, call_ref, secret, json } = options;
    ensure!(
        provider.name == "weavr" || (timestamp.is_none() && call_ref.is_none()),
        "--timestamp and --call-ref are headers of weavr"
    );
    let path = path.as_deref().unwrap_or(provider.samples[0].path);
    ensure!(path.starts_with('/'), "--path begins with a slash");
    let bytes = std::fs::read(&body).with_context(|| body.display().to_string())?;
    let key = secret.read(provider, Otherwise::Stdin, target).await?.signing_key()?;
    let url = target.address().await?.base;

    let mut delivery = Delivery::new(path, bytes);
    if let Some(timestamp) = timestamp {
        delivery.headers.insert("published-timestamp", timestamp.into());
    }
    if let Some(reference) = call_ref {
        let value = reference.parse().context("--call-ref: a header cannot have this text")?;
        delivery.headers.insert("call-ref", value);
    }
    (provider.sign)(&mut delivery, &key);
    let curl = curl(&format!("{url}{path}"), &delivery.headers, &body.display().to_string());
    if json {
        line(&json!({ "headers": object(&delivery.headers), "curl": curl }).to_string());
    } else {
        for (name, value) in &delivery.headers {
            line(&format!("{name}: {}", value.to_str().unwrap_or_default()));
        }
        print(&format!("\n{curl}\n"));
    }
    Ok(true)
}

fn object(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
        .collect()
}

fn curl(url: &str, headers: &HeaderMap, file: &str) -> String {
    let mut line = format!("curl -i {} -H 'content-type: application/json'", quoted(url));
    for (name, value) in headers {
        let header = format!("{name}: {}", value.to_str().unwrap_or_default());
        line.push_str(&format!(" -H {}", quoted(&header)));
    }
    line + &format!(" --data-binary {}", quoted(&format!("@{file}")))
}

/// A word for a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        for text in ["a", "it's", "$(date)", "a \"b\" `c`", "''"] {
            let echo = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .output();
            assert_eq!(String::from_utf8(echo.unwrap().stdout).unwrap(), text);
        }
    }
}
