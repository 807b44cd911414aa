//! What commands print: tables, JSON, colours on a terminal only, and personal data masked.

use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use local_stack::table::aligned;
use serde_json::Value;

use crate::print::harmless;

/// Stands for a value that is not shown.
pub(crate) const MASK: &str = "***";

/// Fields of bodies whose values are shown: what an event is and about what, never whose it is. Three values are masked
/// under these names too:
///
/// - a `code` that is not in one of [`CODES`]: whoever has the code of an invitation can claim it, so it is a secret;
/// - whatever stands in an object about a person ([`PERSONS`]): an `id` or a `type` there may be that of a passport;
/// - a text with an `@`, which is an address of a person under any name.
///
/// An `id` elsewhere is shown: it is the provider's name for a transaction, an account or a customer, without which
/// nobody could look the event up, and says nothing to those who cannot ask the provider.
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

/// Objects whose `code` is the code of a currency or an error.
const CODES: &[&str] = &["currency", "error", "errors"];

/// Objects about a person or an institution, in which the sender may put anything.
const PERSONS: &[&str] =
    &["address", "counterpartyinformation", "identification", "identifier", "beneficiary", "person"];

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
    let rows =
        rows.iter().map(|row| row.iter().map(|cell| harmless(cell).replace(['\n', '\t'], " ")).collect());
    aligned(&std::iter::once(headings).chain(rows).collect::<Vec<Vec<String>>>())
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
    masked_in(body, "", false)
}

/// The same for the value of a field `within`, which is about a person or not.
fn masked_in(value: &Value, within: &str, of_person: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let folded = name.to_lowercase().replace('_', "");
                let is_scalar = !value.is_object() && !value.is_array();
                let shown = is_scalar
                    && !of_person
                    && SHOWN.contains(&folded.as_str())
                    && (folded != "code" || CODES.contains(&within))
                    && value.as_str().is_none_or(|text| !text.contains('@'));
                let of_person = of_person || PERSONS.contains(&folded.as_str());
                (name.clone(), if shown { value.clone() } else { masked_in(value, &folded, of_person) })
            });
            Value::Object(fields.collect())
        }
        Value::Array(list) => {
            Value::Array(list.iter().map(|value| masked_in(value, within, of_person)).collect())
        }
        Value::Null | Value::Bool(_) => value.clone(),
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

    #[test]
    fn codes_that_give_access_are_masked_and_codes_of_errors_and_currencies_are_not() {
        let body = json!({
            "code": "7h2k9qd4",
            "data": {"code": "019542f5", "status": "CLAIMED", "amountToSend": {"currency": {"code": "USD"}}},
            "errors": [{"correlationId": "row 1", "error": {"code": "invalid_csv_format"}}, {"code": "failed"}],
        });
        let expected = json!({
            "code": "***",
            "data": {"code": "***", "status": "CLAIMED", "amountToSend": {"currency": {"code": "USD"}}},
            "errors": [{"correlationId": "***", "error": {"code": "invalid_csv_format"}}, {"code": "failed"}],
        });
        assert_eq!(masked(&body), expected);
    }

    #[test]
    fn ids_are_shown_unless_they_are_those_of_a_person() {
        let body = json!({
            "id": "Webhook:1", "accountId": "ada@example.com",
            "data": {
                "id": "Transaction:1", "type": "INCOMING",
                "counterpartyInformation": {"id": "X1234567", "TYPE": "passport", "FI_ADDRESS": {"code": "10115"}},
                "Identification": [{"id": 7, "final": true}], "address": {"country": "DE", "id": null},
            },
        });
        let expected = json!({
            "id": "Webhook:1", "accountId": "***",
            "data": {
                "id": "Transaction:1", "type": "INCOMING",
                "counterpartyInformation": {"id": "***", "TYPE": "***", "FI_ADDRESS": {"code": "***"}},
                "Identification": [{"id": "***", "final": true}], "address": {"country": "***", "id": null},
            },
        });
        assert_eq!(masked(&body), expected);
    }
}
