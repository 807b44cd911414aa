//! `cargo webhooks compare`: a provider's list of transactions against the events that are recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use ingest::any_time;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use local_stack::senders::Sender;
use local_stack::table::aligned;
use records::{Entry, Filter, Listed, Order, Records};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::kinds;
use crate::output::Progress;
use crate::print::{Colour, coloured, harmless, line, print};
use crate::target::TargetOptions;

/// How long after its day an event may arrive: UMAaaS and Grid retry for 7 days, Weavr's support resends on request.
const LATE: SignedDuration = SignedDuration::from_hours(8 * 24);

/// How many entries of the index one look takes.
const PAGE: usize = 1000;

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

/// Whether the subject of a kind's events is a transaction. All kinds of one of Grid's resources are one entry.
const SUBJECTS: [(&str, bool); 35] = [
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
    ("grid.outgoing_payment", true),
    ("grid.incoming_payment", true),
    ("grid.card_transaction", true),
    ("grid.wallet_operation", true),
    ("grid.customer", false),
    ("grid.verification", false),
    ("grid.external_account", false),
    ("grid.internal_account", false),
    ("grid.invitation", false),
    ("grid.bulk_upload", false),
    ("grid.agent_action", false),
    ("grid.card", false),
    ("grid.sweep", false),
    ("grid.test", false),
    ("grid.unknown", false),
];

/// Says which transactions of a day have no event here, and which events no transaction.
///
/// The file is what the provider's API or dashboard exports: JSON Lines, a JSON list (or one object with it),
/// or CSV with a heading. A row's time decides whether it is of the day; a row without a time counts as one
/// of the day. An event counts for a transaction on whatever day it came. Events of the day are those that happened on
/// it, if they arrived within eight days. Only indexes are read.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo webhooks compare umaaas --transactions export.csv --day 2026-11-02
  cargo webhooks compare weavr --transactions day.jsonl --day 2026-11-02 --kind weavr.managed_cards --json
  cargo webhooks compare grid --transactions export.csv --day 2026-11-02 --stack payment-webhooks \\
    --id-field 'Transaction ID' --time-field 'Created (UTC)' --utc-offset +01:00

Exit status: 0, each has its counterpart; 1, some have not; 2, wrong usage, or an input that cannot be
read.")]
pub(crate) struct Options {
    /// Whose transactions: umaaas, weavr, grid
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
    /// How many of them an event is about.
    with_events: usize,
    /// Transactions of the day that no event is about.
    without_event: Vec<Transaction>,
    /// Events of the day about a transaction that is not in the list.
    without_transaction: Vec<OurEvent>,
}

/// Runs the command. `true`: each has its counterpart.
pub(crate) async fn run(options: Options, target: &TargetOptions) -> Result<bool> {
    let listed = transactions(&options)?;
    let records = target.resolve().await?.records();
    let comparison = compare(&records, &options, &listed).await?;
    if options.json {
        let mut document = serde_json::to_value(&comparison)?;
        document["day"] = json!(options.day.to_string());
        line(&document.to_string());
    } else {
        show(&comparison);
    }
    Ok(comparison.without_event.is_empty() && comparison.without_transaction.is_empty())
}

async fn compare(records: &Records, options: &Options, listed: &[Transaction]) -> Result<Comparison> {
    let Options { day, utc_offset, kind, .. } = options;
    let of_day = |time: Timestamp| utc_offset.to_datetime(time).date() == *day;
    let is_wanted = |entry: &Entry| {
        is_about_a_transaction(&entry.kind)
            && kind.as_ref().is_none_or(|kind| entry.kind.starts_with(kind.as_str()))
    };
    let known: BTreeSet<&str> = listed.iter().map(|transaction| transaction.id.as_str()).collect();
    // Several rows may be about one transaction.
    let mut of_the_day = BTreeMap::new();
    for transaction in listed.iter().filter(|transaction| transaction.time.is_none_or(of_day)) {
        of_the_day.entry(transaction.id.as_str()).or_insert(transaction);
    }

    let begin = utc_offset.to_timestamp(day.to_datetime(Time::midnight()))?;
    let end = begin.saturating_add(SignedDuration::from_hours(24))?.saturating_add(LATE)?;
    let filter = Filter { provider: Some(options.provider.name.to_owned()), ..Filter::between(begin, end) };
    let mut listing = records.listing(&filter, Order::OldestFirst, None, PAGE);
    let (mut about, mut without, mut read, mut shown) = (BTreeSet::new(), Vec::new(), 0, Progress::new());
    loop {
        let entries = listing.take(PAGE).await?;
        if entries.is_empty() {
            break;
        }
        read += entries.len();
        shown.say(|| format!("{read} events read"));
        for entry in entries.into_iter().filter(is_wanted) {
            let Some(subject) = entry.subject.clone() else { continue };
            if !known.contains(&*subject) {
                without.push(entry);
            }
            about.insert(subject);
        }
    }
    // The index does not say when an event happened.
    let without = records.with_states(without).await?;
    let mut without_event = Vec::new();
    for transaction in of_the_day.values().copied().filter(|transaction| !about.contains(&transaction.id)) {
        shown.say(|| "looking for transactions by their ids".to_owned());
        if !records.related(&transaction.id).await?.iter().any(is_wanted) {
            without_event.push(transaction.clone());
        }
    }
    Ok(Comparison {
        transactions: of_the_day.len(),
        with_events: of_the_day.len() - without_event.len(),
        without_event,
        without_transaction: without.iter().map(OurEvent::of).filter(|event| of_day(event.time)).collect(),
    })
}

impl OurEvent {
    fn of(listed: &Listed) -> Self {
        let Listed { entry, current } = listed;
        let occurred = current.as_ref().and_then(|current| current.occurred_at);
        Self {
            subject: entry.subject.clone().unwrap_or_default(),
            kind: entry.kind.clone(),
            id: entry.id.clone(),
            time: occurred.unwrap_or(entry.received_at),
            state: current.as_ref().map_or("gone", |current| current.state.name()).to_owned(),
        }
    }
}

fn show(comparison: &Comparison) {
    let Comparison { transactions, with_events, without_event, without_transaction } = comparison;
    line(&format!(
        "{transactions} transactions of the day in the list, {with_events} of them with an event here"
    ));
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

/// A kind that is not known may be about a transaction.
fn is_about_a_transaction(kind: &str) -> bool {
    let resource = kind.rsplit_once('.').map_or(kind, |(resource, _)| resource);
    let known = |name: &str| SUBJECTS.iter().find(|(known, _)| *known == name);
    known(kind).or_else(|| known(resource)).is_none_or(|(_, transaction)| *transaction)
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
        let resource = |name: &'static str| match name.rsplit_once('.') {
            Some((resource, _)) if resource != "grid" => resource,
            _ => name,
        };
        let resources = grid::KINDS.iter().map(|kind| resource(kind.name)).chain([grid::UNKNOWN]);
        let sorted: BTreeSet<&str> = SUBJECTS.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(sorted, kinds.chain(resources).collect());
        assert!(is_about_a_transaction("weavr.unknown") && is_about_a_transaction("grid.new_thing.done"));
        assert!(
            is_about_a_transaction("grid.incoming_payment.held") && !is_about_a_transaction("grid.card.new")
        );
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
}
