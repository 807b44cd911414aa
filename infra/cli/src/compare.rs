//! `cargo webhooks compare`: a provider's list of transactions against the events that are recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use ingest::any_time;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use local_stack::senders::Sender;
use local_stack::table::aligned;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::connection::{Connection, ConnectionOptions};
use crate::kinds;
use crate::print::{Colour, coloured, harmless, line, print};

/// The fields that providers have a transaction's id in, in this order. A dot leads into an object.
const ID_FIELDS: [&str; 6] =
    ["transactionId", "transaction_id", "transaction.id", "transaction.transactionId", "id.id", "id"];

/// The fields that providers have a transaction's time in, in this order.
const TIME_FIELDS: [&str; 12] = [
    "transactionTimestamp",
    "creationTimestamp",
    "executionTimestamp",
    "createdAt",
    "created_at",
    "settlementTime",
    "settledAt",
    "publishedTimestamp",
    "timestamp",
    "date",
    "time",
    "transaction.createdAt",
];

/// Whether the subject of a kind's events is a transaction.
const SUBJECTS: [(&str, bool); 20] = [
    ("umaaas.test", false),
    ("umaaas.bulk_upload", false),
    ("umaaas.incoming_payment", true),
    ("umaaas.outgoing_payment", true),
    ("umaaas.invitation_claimed", false),
    ("weavr.corporates.activated", false),
    ("weavr.corporates.deactivated", false),
    ("weavr.corporates.kyb", false),
    ("weavr.corporates.beneficiary", false),
    ("weavr.consumers.activated", false),
    ("weavr.consumers.deactivated", false),
    ("weavr.consumers.kyc", false),
    ("weavr.managed_accounts.deposit", true),
    ("weavr.managed_accounts.update", false),
    ("weavr.managed_cards.authorisation", true),
    ("weavr.managed_cards.settlement", true),
    ("weavr.managed_cards.adjustment", true),
    ("weavr.transfers.transaction", true),
    ("weavr.send.transaction", true),
    ("weavr.outgoing_wire_transfers.transaction", true),
];

/// Say which transactions of a day have no event here, and which events no transaction.
///
/// The file is what the provider's API or dashboard exports: JSON Lines, a JSON list (or one object with it),
/// or CSV with a heading. A row's time decides whether it is of the day; a row without a time counts as one
/// of the day. Transactions are looked for among all events of the provider, so an event that came a day
/// later counts. Without --table it asks `cargo dev`. The whole table is read.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks compare umaaas --transactions export.csv --day 2026-11-02
  cargo webhooks compare weavr --transactions day.jsonl --day 2026-11-02 --kind weavr.managed_cards --json
  cargo webhooks compare umaaas --transactions export.csv --day 2026-11-02 --table \"$(output TableName)\" \\
    --id-field 'Transaction ID' --time-field 'Created (UTC)' --utc-offset +01:00

Exit status: 0, each has its counterpart; 1, some have not; 2, wrong usage, or an input that cannot be
read.")]
pub(crate) struct Options {
    /// Whose transactions: umaaas, weavr
    #[arg(value_parser = kinds::provider)]
    provider: &'static Sender,
    /// The provider's list
    #[arg(long, value_name = "FILE")]
    transactions: PathBuf,
    /// The day, as in 2026-11-02
    #[arg(long)]
    day: Date,
    /// The difference to UTC of the day, and of times in the file that do not say it: +01:00, -05:30
    #[arg(long, default_value = "+00:00", value_name = "OFFSET")]
    #[arg(allow_hyphen_values = true, value_parser = offset)]
    utc_offset: Offset,
    /// The field with the id; found by its usual names unless given
    #[arg(long, value_name = "NAME")]
    id_field: Option<String>,
    /// The field with the time; found by its usual names unless given
    #[arg(long, value_name = "NAME")]
    time_field: Option<String>,
    /// Only events whose type begins with this
    #[arg(long, value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    connection: ConnectionOptions,
    /// The table; that of `cargo dev` unless given
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A transaction, as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Transaction {
    id: String,
    /// The line of the file, or the position in its list.
    line: usize,
    #[serde(serialize_with = "written")]
    time: Option<Timestamp>,
}

/// An event, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct OurEvent {
    /// The transaction.
    subject: String,
    #[serde(rename = "type")]
    kind: String,
    id: String,
    /// When it happened; when it was received, if it does not say so.
    #[serde(serialize_with = "written")]
    time: Timestamp,
    state: String,
}

/// A time as text. (jiff has this behind a feature that the functions do not need.)
fn written<S: Serializer>(
    time: &(impl Copy + Into<Option<Timestamp>>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let time: Option<Timestamp> = (*time).into();
    time.map(|time| time.to_string()).serialize(serializer)
}

/// What has no counterpart.
#[derive(Debug, Serialize)]
struct Comparison {
    /// How many transactions of the day there are.
    transactions: usize,
    /// How many transactions our events of the day are about.
    with_events: usize,
    /// Transactions of the day that no event is about.
    without_event: Vec<Transaction>,
    /// Events of the day about a transaction that is not in the list.
    without_transaction: Vec<OurEvent>,
}

/// Runs the command. `true`: each has its counterpart.
pub(crate) async fn run(options: Options) -> Result<bool> {
    let Options { provider, day, utc_offset, kind, json, .. } = &options;
    let listed = transactions(&options)?;
    let connection = options.connection.connect(options.table.is_some())?;
    let table_name = connection.table(options.table.as_deref())?;
    eprintln!("reading the table {table_name}");
    let mut events = events(&connection, table_name, provider).await?;
    if let Some(kind) = kind {
        events.retain(|event| event.kind.starts_with(kind.as_str()));
    }
    let of_day = |time: Timestamp| utc_offset.to_datetime(time).date() == *day;
    let comparison = compare(listed, events, of_day);
    if *json {
        let mut document = serde_json::to_value(&comparison)?;
        document["day"] = json!(day.to_string());
        line(&document.to_string());
    } else {
        show(&comparison);
    }
    Ok(comparison.without_event.is_empty() && comparison.without_transaction.is_empty())
}

fn compare(
    listed: Vec<Transaction>,
    events: Vec<OurEvent>,
    of_day: impl Fn(Timestamp) -> bool,
) -> Comparison {
    let known: BTreeSet<&str> = listed.iter().map(|transaction| transaction.id.as_str()).collect();
    let about: BTreeSet<&str> = events.iter().map(|event| event.subject.as_str()).collect();
    // Several rows may be about one transaction.
    let mut transactions = BTreeMap::new();
    for transaction in listed.iter().filter(|transaction| transaction.time.is_none_or(&of_day)) {
        transactions.entry(transaction.id.as_str()).or_insert(transaction);
    }
    let of_the_day = || events.iter().filter(|event| of_day(event.time));
    let missing = transactions.values().filter(|transaction| !about.contains(transaction.id.as_str()));
    Comparison {
        transactions: transactions.len(),
        with_events: of_the_day().map(|event| event.subject.as_str()).collect::<BTreeSet<_>>().len(),
        without_event: missing.copied().cloned().collect(),
        without_transaction: of_the_day()
            .filter(|event| !known.contains(event.subject.as_str()))
            .cloned()
            .collect(),
    }
}

fn show(comparison: &Comparison) {
    let Comparison { transactions, with_events, without_event, without_transaction } = comparison;
    line(&format!("{transactions} transactions in the list, {with_events} with events of the day here"));
    let heading = |count: usize, text: &str| {
        let colour = if count == 0 { Colour::Green } else { Colour::Red };
        line(&format!("\n{}", coloured(&format!("{count} {text}"), colour)));
    };
    heading(without_event.len(), "transactions without an event");
    let rows = without_event.iter().map(|transaction| {
        let time = transaction.time.map_or("no time".to_owned(), |time| time.to_string());
        [format!("  {}", harmless(&transaction.id)), time, format!("row {}", transaction.line)]
    });
    print(&aligned(&rows.collect::<Vec<_>>()));
    heading(without_transaction.len(), "events without a transaction");
    let rows = without_transaction.iter().map(|event| {
        [
            format!("  {}", harmless(&event.subject)),
            event.time.to_string(),
            event.kind.clone(),
            harmless(&event.id),
            event.state.clone(),
        ]
    });
    print(&aligned(&rows.collect::<Vec<_>>()));
}

/// Every event of a provider that is about a transaction. This is the one place here that reads records.
async fn events(connection: &Connection, table: &str, provider: &Sender) -> Result<Vec<OurEvent>> {
    let mut events = Vec::new();
    let mut pages = connection
        .dynamodb
        .scan()
        .table_name(table)
        .filter_expression("begins_with(pk, :provider) AND attribute_exists(subject)")
        .projection_expression("#subject, #kind, #id, #state, occurred_at, received_at")
        .expression_attribute_names("#subject", "subject")
        .expression_attribute_names("#kind", "kind")
        .expression_attribute_names("#id", "id")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":provider", AttributeValue::S(format!("{}#", provider.name)))
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.context("cannot read the table")?;
        events.extend(
            page.items().iter().filter_map(event).filter(|event| is_about_a_transaction(&event.kind)),
        );
    }
    Ok(events)
}

fn event(item: &HashMap<String, AttributeValue>) -> Option<OurEvent> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let received = item.get("received_at")?.as_n().ok()?.parse().ok()?;
    let occurred = text("occurred_at").and_then(|time| time.parse().ok());
    Some(OurEvent {
        subject: text("subject")?,
        kind: text("kind")?,
        id: text("id")?,
        time: occurred.or(Timestamp::from_millisecond(received).ok())?,
        state: text("state")?,
    })
}

/// A kind that is not known may be about a transaction.
fn is_about_a_transaction(kind: &str) -> bool {
    SUBJECTS.iter().find(|(known, _)| *known == kind).is_none_or(|(_, transaction)| *transaction)
}

fn transactions(options: &Options) -> Result<Vec<Transaction>> {
    let path = &options.transactions;
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| name.to_string())?;
    let rows = rows(path, &bytes).with_context(|| name.to_string())?;
    let first = &rows.first().with_context(|| format!("{name}: there is no transaction in it"))?.1;
    let id_field = field(first, options.id_field.as_deref(), &ID_FIELDS).with_context(|| {
        format!(
            "{name}: no field with the transaction's id; name it with --id-field. The fields are {}",
            names(first)
        )
    })?;
    let time_field = field(first, options.time_field.as_deref(), &TIME_FIELDS);
    if let (Some(given), None) = (&options.time_field, &time_field) {
        bail!("{name}: there is no field `{given}`. The fields are {}", names(first));
    }
    let transaction = |(line, row): &(usize, Value)| {
        let id = at(row, &id_field).and_then(text).filter(|id| !id.is_empty());
        let id = id.with_context(|| format!("{name}: row {line} has no `{id_field}`"))?;
        let time =
            match time_field.as_deref().and_then(|field| at(row, field)).and_then(text) {
                Some(text) if !text.is_empty() => {
                    let time = time(&text, options.utc_offset);
                    Some(time.with_context(|| {
                        format!("{name}: row {line}: `{text}` is no time that can be read")
                    })?)
                }
                _ => None,
            };
        Ok(Transaction { id, line: *line, time })
    };
    rows.iter().map(transaction).collect()
}

/// The rows of a file, as JSON, each with its line or position.
fn rows(path: &Path, bytes: &[u8]) -> Result<Vec<(usize, Value)>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    match bytes.trim_ascii_start().first() {
        Some(b'[') if !csv => {
            let list: Vec<Value> = serde_json::from_slice(bytes)?;
            Ok(list.into_iter().enumerate().map(|(index, row)| (index + 1, row)).collect())
        }
        Some(b'{') if !csv => {
            if let Ok(Value::Object(page)) = serde_json::from_slice(bytes)
                && let Some(list) = page.values().find_map(Value::as_array)
                && list.iter().all(Value::is_object)
            {
                return Ok(list.iter().cloned().enumerate().map(|(index, row)| (index + 1, row)).collect());
            }
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            lines
                .filter(|(_, line)| !line.trim_ascii().is_empty())
                .map(|(index, line)| {
                    let row = serde_json::from_slice(line);
                    Ok((index + 1, row.with_context(|| format!("line {} is not JSON", index + 1))?))
                })
                .collect()
        }
        _ => {
            let mut reader = csv::Reader::from_reader(bytes);
            let heading = reader.headers()?.clone();
            ensure!(heading.iter().any(|name| !name.is_empty()), "neither JSON nor CSV with a heading");
            let mut rows = Vec::new();
            for record in reader.records() {
                let record = record?;
                let line = record.position().map_or(0, csv::Position::line);
                let cells =
                    heading.iter().map(str::to_owned).zip(record.iter().map(|cell| json!(cell.trim())));
                rows.push((usize::try_from(line)?, Value::Object(cells.collect())));
            }
            Ok(rows)
        }
    }
}

/// The field that was given, or the first of the usual ones, if a row has it.
fn field(row: &Value, given: Option<&str>, usual: &[&str]) -> Option<String> {
    let has = |name: &&str| at(row, name).and_then(text).is_some();
    match given {
        Some(given) => has(&given).then(|| given.to_owned()),
        None => usual.iter().copied().find(has).map(str::to_owned),
    }
}

/// A field by its name; if there is none, by its path.
fn at<'a>(row: &'a Value, name: &str) -> Option<&'a Value> {
    row.get(name).or_else(|| name.split('.').try_fold(row, |value, name| value.get(name)))
}

/// Ids are numbers in some exports and texts in others.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn names(row: &Value) -> String {
    let names = row.as_object().map(|row| row.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    harmless(&names.join(", "))
}

fn time(text: &str, offset: Offset) -> Option<Timestamp> {
    let civil = || offset.to_timestamp(text.trim().parse::<DateTime>().ok()?).ok();
    any_time(text).or_else(civil)
}

/// `+01:00`, `-05:30`, `+02`.
fn offset(text: &str) -> Result<Offset, String> {
    let parsed = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
        let number = |text: &str, most: i32| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i32>().ok().filter(|number| digits && *number <= most)
        };
        let (hours, minutes) = (number(hours, 14)?, number(minutes, 59)?);
        Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()
    };
    parsed().ok_or_else(|| "an offset is needed, as in +01:00".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_sorted() {
        let kinds =
            umaaas::KINDS.iter().map(|kind| kind.name).chain(weavr::KINDS.iter().map(|kind| kind.name));
        let sorted: BTreeSet<&str> = SUBJECTS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(sorted, kinds.collect());
        assert!(is_about_a_transaction("weavr.unknown"));
    }

    #[test]
    fn rows_of_every_format() {
        let row = json!({"id": "1", "createdAt": "2026-11-02"});
        for (file, text) in [
            ("a.jsonl", "{\"id\": \"1\", \"createdAt\": \"2026-11-02\"}\n\n"),
            ("a", "\u{feff}[{\"id\": \"1\", \"createdAt\": \"2026-11-02\"}]"),
            ("a.json", "{\"next\": null, \"data\": [\n{\"id\": \"1\", \"createdAt\": \"2026-11-02\"}]}"),
            ("a.csv", "id,createdAt\n1,2026-11-02\n"),
            ("a.txt", "\"id\",\"createdAt\"\r\n\"1\",\" 2026-11-02 \"\r\n"),
        ] {
            let rows = rows(Path::new(file), text.as_bytes()).unwrap();
            assert_eq!(rows.iter().map(|(_, row)| row).collect::<Vec<_>>(), [&row], "{file}");
        }
        for (file, wrong) in [("a", "{\"id\": 1}\n{"), ("a", "[1"), ("a.csv", "id,b\n1\n"), ("a", "")] {
            assert!(rows(Path::new(file), wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_are_found() {
        for (row, expected) in [
            (json!({"transactionId": 12, "id": "x"}), Some("12")),
            (json!({"transaction": {"id": "a"}}), Some("a")),
            (json!({"id": {"id": "b", "type": "t"}}), Some("b")),
            (json!({"id": 112_311_420_066_430_976_u64}), Some("112311420066430976")),
            (json!({"other": 1}), None),
        ] {
            let found = field(&row, None, &ID_FIELDS).and_then(|name| text(at(&row, &name)?));
            assert_eq!(found.as_deref(), expected, "{row}");
        }
        let row = json!({"a.b": "flat", "c": {"d": "deep"}});
        assert_eq!((at(&row, "a.b"), at(&row, "c.d")), (Some(&json!("flat")), Some(&json!("deep"))));
    }

    #[test]
    fn times() {
        let malta = offset("+01:00").unwrap();
        let expected = "2026-11-02T09:00:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-11-02T09:00:00Z",
            "2026-11-02T10:00:00+01:00",
            "1793610000000",
            "1793610000",
            "2026-11-02 10:00:00",
            "2026-11-02T10:00",
        ] {
            assert_eq!(time(text, malta), Some(expected), "{text}");
        }
        assert_eq!((time("yesterday", malta), time("", malta)), (None, None));
    }

    #[test]
    fn offsets() {
        for (text, seconds) in [("+00:00", 0), ("+01:00", 3_600), ("-05:30", -19_800), ("+02", 7_200)] {
            assert_eq!(offset(text).unwrap().seconds(), seconds, "{text}");
        }
        for wrong in ["", "+", "1", "+1", "+01:60", "+15", "+01:0", "Z", "é"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_has_no_counterpart() {
        let day = "2026-11-02T12:00:00Z".parse::<Timestamp>().unwrap();
        let next = "2026-11-03T00:00:00Z".parse::<Timestamp>().unwrap();
        let transaction = |id: &str, time| Transaction { id: id.to_owned(), line: 1, time };
        let event = |subject: &str, time| OurEvent {
            subject: subject.to_owned(),
            kind: "k".to_owned(),
            id: "e".to_owned(),
            time,
            state: "forwarded".to_owned(),
        };
        let listed = vec![
            transaction("both", Some(day)),
            transaction("both", Some(day)),
            transaction("late event", Some(day)),
            transaction("no event", None),
            transaction("another day", Some(next)),
            transaction("listed on another day", Some(next)),
        ];
        let events = vec![
            event("both", day),
            event("late event", next),
            event("listed on another day", day),
            event("no transaction", day),
            event("of another day", next),
        ];
        let found = compare(listed, events, |time| time < next);
        let ids = |all: &[Transaction]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found.without_event), ["no event"]);
        let subjects: Vec<&str> = found.without_transaction.iter().map(|one| one.subject.as_str()).collect();
        assert_eq!(subjects, ["no transaction"]);
        assert_eq!((found.transactions, found.with_events), (3, 3));
    }
}
