//! What commands print: tables, JSON, colours on a terminal only, and personal data masked.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use local_stack::table::aligned;
use serde_json::Value;

/// Stands for a value that is not shown.
pub(crate) const MASK: &str = "***";

/// Fields of bodies whose values are shown: what an event is and about what, never whose it is.
const SHOWN: &[&str] = &[
    "accountid",
    "code",
    "createdat",
    "currency",
    "id",
    "kyblevel",
    "kyclevel",
    "occurredat",
    "publishedtimestamp",
    "settledat",
    "settlementtime",
    "status",
    "timestamp",
    "transactionid",
    "type",
    "updatedat",
    "webhookid",
];

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// The same for a value in JSON, on one line.
pub(crate) fn print_json(value: &Value) -> Result<()> {
    print(&format!("{value}\n"))
}

/// Rows under their headings, in columns. The last column is as long as it is.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    aligned(&std::iter::once(&headings).chain(rows).collect::<Vec<_>>())
}

/// Colours the words of a text for a terminal, and leaves it alone elsewhere.
pub(crate) fn coloured(text: String) -> String {
    let plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain { text } else { painted(&text) }
}

/// States and decisions in the colours of a traffic light.
fn painted(text: &str) -> String {
    const COLOURS: [(&str, u8); 6] = [
        ("forwarded", 32),
        ("approve", 32),
        ("pending", 33),
        ("request_information", 33),
        ("conflict", 31),
        ("reject", 31),
    ];
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| match COLOURS.iter().find(|(known, _)| *known == word) {
            Some((_, colour)) => format!("\u{1b}[{colour}m{word}\u{1b}[0m"),
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

/// A body with every value masked, except those of fields that say nothing about a person.
pub(crate) fn masked(body: &Value) -> Value {
    match body {
        Value::Object(fields) => {
            let shown = |name: &str| SHOWN.contains(&name.to_lowercase().replace('_', "").as_str());
            let fields = fields.iter().map(|(name, value)| {
                let is_scalar = !value.is_object() && !value.is_array();
                let value = if is_scalar && shown(name) { value.clone() } else { masked(value) };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(masked).collect()),
        Value::Null | Value::Bool(_) => body.clone(),
        Value::String(_) | Value::Number(_) => Value::String(MASK.to_owned()),
    }
}

/// Says on standard error how far something is: at once, then every two seconds.
#[derive(Debug)]
pub(crate) struct Progress {
    next: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() }
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if Instant::now() >= self.next {
            eprintln!("{}", text());
            self.next = Instant::now() + Duration::from_secs(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns() {
        let rows =
            [vec!["1".to_owned(), "\u{20ac}".to_owned()], vec!["long".to_owned(), "two words".to_owned()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\n1     \u{20ac}\nlong  two words\n");
    }

    #[test]
    fn colours() {
        assert_eq!(painted("a  pending b\n"), "a  \u{1b}[33mpending\u{1b}[0m b\n");
        assert_eq!(painted("rejected\n"), "rejected\n");
    }

    #[test]
    fn persons_are_masked() {
        let body = json!({
            "webhookId": "W:1", "emailAddress": "ada@example.com", "amount": 12, "final": true,
            "transaction": {"id": "T:1", "status": "PENDING", "name": ["Ada"], "type": {"id": 7, "of": "x"}},
        });
        let expected = json!({
            "webhookId": "W:1", "emailAddress": "***", "amount": "***", "final": true,
            "transaction": {"id": "T:1", "status": "PENDING", "name": ["***"], "type": {"id": 7, "of": "***"}},
        });
        assert_eq!(masked(&body), expected);
        assert_eq!(masked(&json!("text")), json!("***"));
    }
}
