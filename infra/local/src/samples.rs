//! Signed samples: one of every kind, a duplicate and a forgery, and whether what came of them is
//! what the documentation says.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;
use verify::{Delivery, Secret};

use crate::client;
use crate::providers::{Provider, Sample};
use crate::stack::Queue;

/// How long a reply may take. The first one of a function starts it, and waits for its turn when
/// another cargo is building.
const REPLY_WITHIN: Duration = Duration::from_secs(120);

/// How long after the last reply the messages may take.
const MESSAGES_WITHIN: Duration = Duration::from_secs(15);

/// How long to look for a message that should not be there.
const SURPLUS_WITHIN: Duration = Duration::from_secs(1);

/// One line of the table: what was posted, what must come of it, and what came.
#[derive(Debug)]
pub struct Row {
    name: String,
    body: Bytes,
    id: String,
    expected: Outcome,
    actual: Outcome,
}

/// What comes of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    status: u16,
    messages: Vec<Arrived>,
}

/// A message, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrived {
    kind: String,
    decision: Option<String>,
    /// Whether its data is the posted body, byte for byte.
    exact: bool,
}

/// Posts a provider's samples to `url`, then a duplicate and a forgery of the first, and reads what
/// they put on the queue.
///
/// # Errors
/// A sample is missing, somebody does not answer. An answer that is not the documented one is not an
/// error here, see [`Row::is_as_documented`].
pub async fn run(provider: &Provider, url: &str, queue: &Queue) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for sample in provider.samples {
        let body = sample_body(provider, sample)?;
        rows.push(post(provider, url, sample.file, sample, body, Case::Genuine).await?);
    }
    if let Some(first) = provider.samples.first() {
        let again = rows[0].body.clone();
        rows.push(post(provider, url, "the first, again", first, again, Case::Duplicate).await?);
        let body = sample_body(provider, first)?;
        rows.push(post(provider, url, "a forgery", first, body, Case::Forgery).await?);
    }

    let expected = rows.iter().map(|row| row.expected.messages.len()).sum();
    let mut messages = queue.receive(expected, MESSAGES_WITHIN).await?;
    messages.extend(queue.receive(usize::MAX, SURPLUS_WITHIN).await?);
    for message in messages {
        assign(&mut rows, message.body.as_deref().unwrap_or_default());
    }
    Ok(rows)
}

/// Prints the table.
pub fn table(rows: &[Row]) -> impl fmt::Display {
    let mut lines = vec![["", "sent", "status", "expected", "on the queue", ""].map(str::to_owned)];
    for row in rows {
        let verdict = if row.is_as_documented() { "ok" } else { "WRONG" };
        let as_expected = row.actual.messages == row.expected.messages;
        lines.push([
            verdict.to_owned(),
            row.name.clone(),
            row.actual.status.to_string(),
            row.expected.status.to_string(),
            describe(&row.actual.messages),
            if as_expected {
                String::new()
            } else {
                format!("expected: {}", describe(&row.expected.messages))
            },
        ]);
    }
    aligned(&lines)
}

impl Row {
    /// Whether status and message are the documented ones.
    pub fn is_as_documented(&self) -> bool {
        self.actual == self.expected
    }

    fn new(name: &str, sample: &Sample, body: Bytes, id: String, case: Case) -> Self {
        let accepted = Arrived {
            kind: sample.kind.to_owned(),
            decision: sample.decision.map(str::to_owned),
            exact: true,
        };
        let expected = match case {
            Case::Genuine => Outcome { status: sample.status, messages: vec![accepted] },
            Case::Duplicate => Outcome { status: 409, messages: vec![] },
            Case::Forgery => Outcome { status: 401, messages: vec![] },
        };
        Self { name: name.to_owned(), body, id, expected, actual: Outcome::default() }
    }

    /// A message that belongs to nothing that was sent.
    fn surplus(message: Arrived) -> Self {
        Self {
            name: "(nobody sent this)".to_owned(),
            body: Bytes::new(),
            id: String::new(),
            expected: Outcome::default(),
            actual: Outcome { status: 0, messages: vec![message] },
        }
    }
}

/// Why a row is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Genuine,
    Duplicate,
    Forgery,
}

/// A sample's body under an id of its own, so that no run is a duplicate of another. Nothing else in
/// it changes.
fn sample_body(provider: &Provider, sample: &Sample) -> Result<Bytes> {
    let path = crate::root().join("events").join(provider.name).join(format!("{}.json", sample.file));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let id = field(text.as_bytes(), provider.id_field).with_context(|| path.display().to_string())?;
    let unique = RandomState::new().hash_one(&id);
    Ok(text.replace(&format!("\"{id}\""), &format!("\"{id}-{unique:016x}\"")).into())
}

fn field(body: &[u8], name: &str) -> Result<String> {
    let body: HashMap<String, Value> = serde_json::from_slice(body)?;
    let value = body.get(name).and_then(Value::as_str);
    Ok(value.with_context(|| format!("there is no text field {name}"))?.to_owned())
}

async fn post(
    provider: &Provider,
    url: &str,
    name: &str,
    sample: &Sample,
    body: Bytes,
    case: Case,
) -> Result<Row> {
    let secret = match case {
        Case::Genuine | Case::Duplicate => provider.signing_secret(),
        Case::Forgery => Secret::new("a guess").context("a secret is not empty")?,
    };
    let id = field(&body, provider.id_field)?;
    let mut row = Row::new(name, sample, body.clone(), id, case);
    row.actual.status = send(url, provider.delivery(sample.path, body, &secret)).await?;
    Ok(row)
}

async fn send(url: &str, delivery: Delivery) -> Result<u16> {
    let mut request = Request::post(format!("{url}{}", delivery.path)).body(delivery.body)?;
    *request.headers_mut() = delivery.headers;
    request.headers_mut().insert(CONTENT_TYPE, "application/json".parse()?);
    Ok(client::send(request, REPLY_WITHIN).await?.status().as_u16())
}

/// The parts of a message that the table shows.
#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    decision: Option<String>,
}

/// Puts a message into the row that it came from: the first with its id that has none yet.
fn assign(rows: &mut Vec<Row>, message: &str) {
    let Ok(envelope) = serde_json::from_str::<Envelope>(message) else {
        rows.push(Row::surplus(Arrived { kind: "no envelope".to_owned(), decision: None, exact: false }));
        return;
    };
    let mut arrived = Arrived { kind: envelope.kind, decision: envelope.decision, exact: false };
    let mut same: Vec<&mut Row> = rows.iter_mut().filter(|row| row.id == envelope.id).collect();
    let first_free = same.iter().position(|row| row.actual.messages.is_empty());
    let place = first_free.unwrap_or(same.len().saturating_sub(1));
    match same.get_mut(place) {
        Some(row) => {
            arrived.exact = holds(message, &row.body);
            row.actual.messages.push(arrived);
        }
        None => rows.push(Row::surplus(arrived)),
    }
}

/// Whether a message's data is this body, white space and all.
fn holds(message: &str, body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|body| message.contains(&format!("\"data\":{body}")))
}

fn describe(messages: &[Arrived]) -> String {
    if messages.is_empty() {
        return "nothing".to_owned();
    }
    messages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(decision) = &self.decision {
            write!(f, ", {decision}")?;
        }
        if !self.exact {
            f.write_str(" (OTHER BYTES)")?;
        }
        Ok(())
    }
}

fn aligned(lines: &[[String; 6]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut table = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    const SAMPLE: Sample =
        Sample { file: "pay", path: "/p", status: 403, kind: "p.pay", decision: Some("reject") };

    #[test]
    fn every_provider_has_its_samples() {
        for provider in PROVIDERS {
            for sample in provider.samples {
                let (one, two) =
                    (sample_body(provider, sample).unwrap(), sample_body(provider, sample).unwrap());
                assert_ne!(one, two, "every run has events of its own");
                let ids = [one, two].map(|body| field(&body, provider.id_field).unwrap());
                assert_ne!(ids[0], ids[1]);
            }
        }
    }

    #[test]
    fn as_documented() {
        let mut rows = rows();
        assign(&mut rows, &message("1", Some("reject"), r#"{"id": "1"}"#));
        assert!(rows.iter().all(Row::is_as_documented), "{}", table(&rows));
        let table = table(&rows).to_string();
        assert_eq!(
            table,
            "    sent       status  expected  on the queue\n\
             ok  pay        403     403       p.pay, reject\n\
             ok  again      409     409       nothing\n\
             ok  a forgery  401     401       nothing\n"
        );
    }

    #[test]
    fn every_departure_is_seen() {
        let good = message("1", Some("reject"), r#"{"id": "1"}"#);
        let wrong: &[(&str, u16, &[&str], &[usize])] = &[
            ("another status", 200, &[&good], &[0]),
            ("no message", 403, &[], &[0]),
            ("another decision", 403, &[&message("1", Some("approve"), r#"{"id": "1"}"#)], &[0]),
            ("no decision", 403, &[&message("1", None, r#"{"id": "1"}"#)], &[0]),
            ("other bytes", 403, &[&message("1", Some("reject"), r#"{"id":"1"}"#)], &[0]),
            ("a message of the duplicate", 403, &[&good, &good], &[1]),
            ("a third message", 403, &[&good, &good, &good], &[1]),
            ("a message of the forgery", 403, &[&good, &message("2", None, "{}")], &[2]),
            ("a message of nobody", 403, &[&good, &message("3", None, "{}")], &[3]),
            ("not a message", 403, &[&good, "?"], &[3]),
        ];
        for (case, status, messages, expected) in wrong {
            let mut rows = rows();
            rows[0].actual.status = *status;
            for message in *messages {
                assign(&mut rows, message);
            }
            let found: Vec<usize> = (0..rows.len()).filter(|row| !rows[*row].is_as_documented()).collect();
            assert_eq!(&found, expected, "{case}\n{}", table(&rows));
            assert!(table(&rows).to_string().contains("WRONG"), "{case}");
        }
    }

    /// A genuine row, its duplicate and a forgery, answered as they should be.
    fn rows() -> Vec<Row> {
        let row = |name: &str, id: &str, case, status| {
            let body = format!("{{\"id\": \"{id}\"}}");
            let mut row = Row::new(name, &SAMPLE, body.into(), id.to_owned(), case);
            row.actual.status = status;
            row
        };
        vec![
            row("pay", "1", Case::Genuine, 403),
            row("again", "1", Case::Duplicate, 409),
            row("a forgery", "2", Case::Forgery, 401),
        ]
    }

    fn message(id: &str, decision: Option<&str>, data: &str) -> String {
        let decision = decision.map(|decision| format!(r#""decision":"{decision}","#)).unwrap_or_default();
        format!(r#"{{"id":"{id}","type":"p.pay",{decision}"data":{data}}}"#)
    }
}
