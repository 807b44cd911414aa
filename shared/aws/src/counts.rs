//! The ledgers and tallies of limits as items of the table, and back.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use ingest::{Bucket, Count, Counts, Ledger, Record, Tally, Total, sha256_hex};
use jiff::Timestamp;

use crate::item::{Item, number, text, written};

/// The item of a ledger, with the next version.
pub(crate) fn ledger_item(ledger: &Ledger) -> Item {
    let counts = serde_json::to_string(&ledger.counts).unwrap_or_default();
    Item::from([
        ("pk".into(), text(&ledger.key)),
        ("version".into(), numeric(ledger.version + 1)),
        ("counts".into(), AttributeValue::S(counts)),
        ("expires_at".into(), numeric(ledger.expires_at().as_second())),
    ])
}

/// The item of a tally, with the next version.
pub(crate) fn tally_item(tally: &Tally) -> Item {
    let bucket = |(bucket, total): (&Bucket, &Total)| {
        let total = [("sum".to_owned(), numeric(total.sum)), ("count".to_owned(), numeric(total.count))];
        (bucket.to_string(), AttributeValue::M(total.into()))
    };
    Item::from([
        ("pk".into(), text(&tally.key)),
        ("version".into(), numeric(tally.version + 1)),
        ("hours".into(), numeric(tally.hours)),
        ("buckets".into(), AttributeValue::M(tally.buckets.iter().map(bucket).collect())),
        ("expires_at".into(), numeric(tally.expires_at().as_second())),
    ])
}

/// The ledger and tallies with these keys, from the items that exist. `None` when one of the items does not have the
/// form that this code writes.
pub(crate) fn counts_of(ledger: &str, tallies: &[&str], items: Vec<Item>) -> Option<Counts> {
    let mut found = BTreeMap::new();
    for item in items {
        found.insert(item.get("pk")?.as_s().ok()?.clone(), item);
    }
    let ledger = match found.remove(ledger) {
        Some(item) => read_ledger(ledger, &item)?,
        None => Ledger::empty(ledger),
    };
    let tally = |key: &&str| match found.get(*key) {
        Some(item) => read_tally(key, item),
        None => Some(Tally::empty(key)),
    };
    Some(Counts { ledger, tallies: tallies.iter().map(tally).collect::<Option<_>>()? })
}

fn read_ledger(key: &str, item: &Item) -> Option<Ledger> {
    let counts: Vec<Count> = serde_json::from_str(item.get("counts")?.as_s().ok()?).ok()?;
    let version = number(item, "version")?;
    let expires_at = Timestamp::from_second(number(item, "expires_at")?).ok()?;
    Some(Ledger { until: Some(Ledger::until(expires_at)), version, counts, ..Ledger::empty(key) })
}

fn read_tally(key: &str, item: &Item) -> Option<Tally> {
    let bucket = |(name, total): (&String, &AttributeValue)| {
        let total = total.as_m().ok()?;
        Some((name.parse().ok()?, Total { sum: number(total, "sum")?, count: number(total, "count")? }))
    };
    let buckets = item.get("buckets")?.as_m().ok()?.iter().map(bucket).collect::<Option<_>>()?;
    Some(Tally {
        version: number(item, "version")?,
        hours: number(item, "hours")?,
        buckets,
        ..Tally::empty(key)
    })
}

fn numeric(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The token of a transaction: the same for each attempt of one call, and different for a call that writes anything
/// else. DynamoDB refuses a known token with other contents, so the versions are part of it.
pub(crate) fn token(record: Option<&Record>, counts: &Counts) -> String {
    let record = record.map(|record| {
        (&record.key, &record.delivery_id, &record.stored.sha256, record.decision.as_ref().map(written))
    });
    let mut token = sha256_hex(format!("{record:?} {counts:?}").as_bytes());
    token.truncate(36);
    token
}

#[cfg(test)]
mod tests {
    use ingest::{Arrival, Counting, Limit};

    use super::*;

    fn counts() -> Counts {
        let now = Arrival::at(Timestamp::from_second(1_790_000_000).unwrap());
        let limit = |name: &str, hours| Limit { name: name.to_owned(), key: format!("limit#{name}"), hours };
        let counting = Counting { amount: i64::MAX, limits: vec![limit("a", 24), limit("b", 744)] };
        let tallies = ["limit#a", "limit#b"].map(Tally::empty).to_vec();
        Counts { ledger: Ledger::empty("decision#x#1"), tallies }.with(&counting, now)
    }

    fn items(counts: &Counts) -> Vec<Item> {
        let tallies = counts.tallies.iter().map(tally_item);
        tallies.chain([ledger_item(&counts.ledger)]).collect()
    }

    #[test]
    fn items_read_back_with_the_next_version() {
        let written = counts();
        let read = counts_of("decision#x#1", &["limit#b", "limit#a"], items(&written)).unwrap();
        let ledger = Ledger { version: 1, ..written.ledger };
        let tallies: Vec<Tally> =
            written.tallies.into_iter().rev().map(|tally| Tally { version: 1, ..tally }).collect();
        assert_eq!(read, Counts { ledger, tallies });
        assert_eq!(counts_of("l", &["t"], vec![]).unwrap().tallies, [Tally::empty("t")]);
    }

    /// Nothing that is damaged counts as zero.
    #[test]
    fn a_damaged_item_is_not_read() {
        for (item, name) in [0, 1, 2].into_iter().flat_map(|item| {
            let names: Vec<String> = items(&counts())[item].keys().cloned().collect();
            // When a tally expires is only for the table.
            let names = names.into_iter().filter(move |name| item == 2 || name != "expires_at");
            names.map(move |name| (item, name))
        }) {
            let mut damaged = items(&counts());
            damaged[item].remove(&name);
            assert_eq!(counts_of("decision#x#1", &["limit#a", "limit#b"], damaged), None, "{name}");
        }
    }

    #[test]
    fn a_token_differs_with_everything_that_is_written() {
        let counts = counts();
        let record = ingest::memory::record("umaaas#1", "{}", Timestamp::UNIX_EPOCH);
        let first = token(Some(&record), &counts);
        assert_eq!((first.len(), &first), (36, &token(Some(&record.clone()), &counts)));
        let ledger = Ledger { version: 1, ..counts.ledger.clone() };
        let later = Counts { ledger, ..counts.clone() };
        let another = Record { delivery_id: "another".into(), ..record.clone() };
        for other in [token(None, &counts), token(Some(&another), &counts), token(Some(&record), &later)] {
            assert_ne!(other, first);
        }
    }
}
