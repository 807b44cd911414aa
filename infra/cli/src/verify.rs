//! `cargo webhooks verify`: whether a captured request verifies, and if not, why.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::Sender;
use serde_json::Value;

use crate::diagnose::{Capture, Demand, Diagnosis, Freshness, diagnose};
use crate::kinds;
use crate::print::{Colour, coloured, harmless, line};
use crate::secret_options::{Otherwise, SecretOptions};
use crate::target::TargetOptions;

/// Says whether a captured request verifies, and if not, why.
///
/// It checks as a function does. If that fails, it tries the usual mistakes and names the one that fits:
/// another secret, a body that was written anew or altered, another encoding, other signed content, a header
/// that is there twice. The secret is read from stdin unless an option says otherwise; of a provider that signs with a
/// private key, its public keys in PEM.
#[derive(Args)]
#[command(after_help = "\
Examples:
  printf %s \"$secret\" | cargo webhooks verify umaaas --headers headers.txt --body body.json
  SECRET=... cargo webhooks verify weavr --secret-env SECRET --body body.json \\
    -H 'published-timestamp: 1793612075500' -H 'signature-v2: WSyqIUcK01Fi...'
  cargo webhooks verify umaaas --secret-local --headers headers.txt --body body.json --json
  cargo webhooks verify grid --stack payment-webhooks --secret-stack --headers headers.txt --body body.json

Exit status: 0, it verifies; 1, it does not; 2, wrong usage or an input that cannot be read.")]
pub(crate) struct Options {
    /// Who sent it: umaaas, weavr, grid
    #[arg(value_parser = kinds::provider)]
    provider: &'static Sender,
    /// The headers: lines `Name: value` (also as `curl -v` prints them), or a JSON object
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// A header; once for each
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body, byte for byte
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// Weavr: which signature has to be there, as in WEAVR_SIGNATURE
    #[arg(long, value_enum, default_value_t)]
    scheme: Demand,
    /// How old it may have been when it arrived, in seconds; the template's tolerances are in
    /// infra/configuration.md
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32))]
    tolerance: Option<u32>,
    /// When it arrived, as in 2026-11-02T09:15:00Z; now unless given
    #[arg(long, value_name = "TIME")]
    received_at: Option<Timestamp>,
    #[command(flatten)]
    secret: SecretOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. `true`: it verifies.
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    let mut headers = match &options.headers {
        Some(file) => read_headers(file)?,
        None => HeaderMap::new(),
    };
    for header in &options.header {
        let (name, value) =
            parse_line(header).with_context(|| format!("-H: not `Name: value`: {header:?}"))?;
        headers.append(name, value);
    }
    ensure!(!headers.is_empty(), "there is no header: give --headers or -H");
    let body = std::fs::read(&options.body).with_context(|| options.body.display().to_string())?;
    let material = options.secret.read(options.provider, Otherwise::Stdin, target).await?;
    let freshness = Freshness {
        received_at: options.received_at.unwrap_or_else(Timestamp::now),
        tolerance: options.tolerance.map(|seconds| SignedDuration::from_secs(seconds.into())),
    };
    let capture =
        Capture { provider: options.provider, demand: options.scheme, headers, body: Bytes::from(body) };
    let diagnosis = diagnose(&capture, &material, freshness);
    line(&if options.json { serde_json::to_string(&diagnosis)? } else { text(&diagnosis) });
    Ok(diagnosis.verifies)
}

/// A diagnosis for people.
pub(crate) fn text(diagnosis: &Diagnosis) -> String {
    let mut lines = vec![if diagnosis.verifies {
        coloured("it verifies", Colour::Green)
    } else {
        coloured("it does not verify", Colour::Red)
    }];
    for reason in &diagnosis.reasons {
        lines.push(format!("  {}: {}", reason.reason, harmless(&reason.found)));
        lines.push(format!("    {}", reason.advice));
    }
    lines.extend(diagnosis.notes.iter().map(|note| format!("  {}", harmless(note))));
    lines.join("\n")
}

fn read_headers(file: &Path) -> Result<HeaderMap> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
    if text.trim_start().starts_with('{') {
        return headers_of_json(&text).with_context(|| name.to_string());
    }
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().enumerate() {
        // as `curl -v` prints what was sent and received
        let line = line.trim_start_matches(['<', '>']).trim();
        let request_line = index == 0 && (line.contains(" HTTP/") || line.starts_with("HTTP/"));
        if line.is_empty() || request_line {
            continue;
        }
        let (header, value) =
            parse_line(line).with_context(|| format!("{name}: line {} is not `Name: value`", index + 1))?;
        headers.append(header, value);
    }
    Ok(headers)
}

/// As API Gateway's events have them, also `{"headers": {...}}`.
fn headers_of_json(text: &str) -> Result<HeaderMap> {
    let document: Value = serde_json::from_str(text)?;
    let object = document.get("headers").filter(|headers| headers.is_object()).unwrap_or(&document);
    let mut headers = HeaderMap::new();
    for (name, value) in object.as_object().context("not a JSON object")? {
        let values = match value {
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        };
        for value in values {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => bail!("the value of `{name}` is not a text"),
            };
            let name: HeaderName = name.parse().with_context(|| format!("not a header's name: {name:?}"))?;
            headers.append(name, HeaderValue::from_str(&value)?);
        }
    }
    Ok(headers)
}

fn parse_line(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, HeaderValue::from_str(value.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_every_form() {
        let file = std::env::temp_dir().join(format!("webhooks-headers-{}", std::process::id()));
        for text in [
            "X-A: 1\nx-b:  two \n",
            "POST /umaaas HTTP/1.1\r\nX-A: 1\r\nX-B: two\r\n\r\n",
            "> POST /umaaas HTTP/1.1\n> x-a: 1\n> x-b: two\n>\n",
            r#"{"X-A": 1, "x-b": "two"}"#,
            r#"{"version": "2.0", "headers": {"x-a": "1", "x-b": ["two"]}}"#,
        ] {
            std::fs::write(&file, text).unwrap();
            let headers = read_headers(&file).unwrap();
            assert_eq!(
                (headers.len(), &headers["x-a"], &headers["x-b"]),
                (2, &"1".parse().unwrap(), &"two".parse().unwrap()),
                "{text}"
            );
        }
        std::fs::write(&file, r#"{"x-a": ["1", "2"]}"#).unwrap();
        assert_eq!(read_headers(&file).unwrap().get_all("x-a").iter().count(), 2);
        for (wrong, expected) in [
            ("x-a: 1\nno colon", "line 2"),
            ("x a: 1", "line 1"),
            (r#"{"x-a": {}}"#, "`x-a`"),
            (r#"{"x-a": 1"#, "EOF"),
        ] {
            std::fs::write(&file, wrong).unwrap();
            let error = format!("{:#}", read_headers(&file).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}
