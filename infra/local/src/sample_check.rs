//! Signed samples: one of every kind, a duplicate and a forgery, and whether what came of them is
//! what the documentation says.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use http::Request;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use verify::Delivery;

use crate::client;
use crate::senders::{Sample, Sender};
use crate::stack::Queue;
use crate::table::aligned;

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
    body: String,
    expected: Observed,
    actual: Observed,
    envelopes: Vec<String>,
}

/// What comes of a delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Observed {
    status: u16,
    messages: Vec<Arrived>,
}

/// A message that holds the posted body, in short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Arrived {
    #[serde(rename = "type")]
    kind: String,
    decision: Option<String>,
}

/// Posts a provider's samples to `url`, then a duplicate and a forgery of the first, and reads what
/// they put on the queue.
///
/// # Errors
/// A sample is missing, somebody does not answer. An answer that is not the documented one is not an
/// error here, see [`Row::is_as_documented`].
pub async fn run(provider: &Sender, url: &str, queue: &Queue) -> Result<Vec<Row>> {
    let key = provider.signing_key();
    let mut rows = Vec::new();
    let mut first = None;
    for sample in provider.samples {
        let body = provider.body(sample)?;
        let delivery = provider.delivery(sample.path, body.clone(), &key);
        first.get_or_insert((sample, delivery.clone(), body.clone()));
        rows.push(Row::new(sample.file, body, Observed::of(sample)).posted(url, delivery).await?);
    }
    if let Some((sample, delivery, body)) = first {
        let nothing = |status| Observed { status, messages: vec![] };
        let again = Row::new("the first, again", body, nothing(provider.duplicate_status));
        rows.push(again.posted(url, delivery).await?);
        let body = provider.body(sample)?;
        let delivery = provider.delivery(sample.path, body.clone(), &provider.credential.another());
        let forgery = Row::new("a forgery", body, nothing(provider.forgery_status));
        rows.push(forgery.posted(url, delivery).await?);
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

    /// The messages that came of it, whole.
    pub fn messages(&self) -> &[String] {
        &self.envelopes
    }

    fn new(name: &str, body: String, expected: Observed) -> Self {
        Self { name: name.to_owned(), body, expected, actual: Observed::default(), envelopes: vec![] }
    }

    async fn posted(mut self, url: &str, delivery: Delivery) -> Result<Self> {
        let mut request = Request::post(format!("{url}{}", delivery.path)).body(delivery.body)?;
        *request.headers_mut() = delivery.headers;
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse()?);
        self.actual.status = client::send(request, REPLY_WITHIN).await?.status().as_u16();
        Ok(self)
    }

    /// Whether a message's data is the posted body, byte for byte, white space and all.
    fn is_in(&self, message: &str) -> bool {
        let data = format!("\"data\":{}", self.body);
        // What follows is the envelope's.
        !self.body.is_empty()
            && message.split_once(&data).is_some_and(|(_, rest)| rest.starts_with(['}', ',']))
    }

    /// A message that holds nothing that was posted.
    fn surplus(message: Arrived) -> Self {
        Self {
            name: "(none of these)".to_owned(),
            body: String::new(),
            expected: Observed::default(),
            actual: Observed { status: 0, messages: vec![message] },
            envelopes: vec![],
        }
    }
}

impl Observed {
    fn of(sample: &Sample) -> Self {
        let message = Arrived { kind: sample.kind.to_owned(), decision: sample.decision.map(str::to_owned) };
        Self { status: sample.status, messages: vec![message] }
    }
}

/// Puts a message into the row whose body it holds: the first such that has none yet.
fn assign(rows: &mut Vec<Row>, message: &str) {
    let unreadable = Arrived { kind: "not an envelope".to_owned(), decision: None };
    let arrived = serde_json::from_str(message).unwrap_or(unreadable);
    let mut same: Vec<&mut Row> = rows.iter_mut().filter(|row| row.is_in(message)).collect();
    let free = same.iter().position(|row| row.actual.messages.is_empty());
    let place = free.unwrap_or(same.len().saturating_sub(1));
    match same.get_mut(place) {
        Some(row) => {
            row.actual.messages.push(arrived);
            row.envelopes.push(message.to_owned());
        }
        None => rows.push(Row::surplus(arrived)),
    }
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Sample =
        Sample { file: "pay", path: "/p", status: 403, kind: "p.pay", decision: Some("reject") };

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
            ("longer", 403, &[&message("1", Some("reject"), r#"{"id": "1"} "#)], &[0, 3]),
            ("other bytes", 403, &[&message("1", Some("reject"), r#"{"id":"1"}"#)], &[0, 3]),
            ("a message of the duplicate", 403, &[&good, &good], &[1]),
            ("a third message", 403, &[&good, &good, &good], &[1]),
            ("a message of the forgery", 403, &[&good, &message("2", None, r#"{"id": "2"}"#)], &[2]),
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
        let row = |name: &str, id: &str, expected: Observed| {
            let mut row = Row::new(name, format!("{{\"id\": \"{id}\"}}"), expected.clone());
            row.actual.status = expected.status;
            row
        };
        let nothing = |status| Observed { status, messages: vec![] };
        vec![
            row("pay", "1", Observed::of(&SAMPLE)),
            row("again", "1", nothing(409)),
            row("a forgery", "2", nothing(401)),
        ]
    }

    fn message(id: &str, decision: Option<&str>, data: &str) -> String {
        let decision = decision.map(|decision| format!(r#""decision":"{decision}","#)).unwrap_or_default();
        format!(r#"{{"id":"{id}","type":"p.pay",{decision}"data":{data}}}"#)
    }
}
