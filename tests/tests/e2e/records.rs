//! Queries over what is recorded, on two emulators of DynamoDB: listings that skip and repeat nothing while records are
//! written, everything about a subject, and one record with its message.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::time::Duration;

use aws::DynamoStore;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use ingest::{
    Base, Decision, Message, Record, Recorded, Repetition, State, Store, StoredPayload, TIME_SHARDS, Verdict,
    memory, sha256_hex,
};
use jiff::{SignedDuration, Timestamp};
use local_stack::stack;
use records::{Changed, Condition, Entry, Erased, Erasure, Filter, Order, Page, Person, Query, Records};
use serde_json::json;
use tests::{Deployment, FaultProxy, Host, LocalAws, LocalDynamo, items_with, umaaas_event, unique};

const WITHIN: Duration = Duration::from_secs(60);
const RETENTION: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn in_dynamodb() {
    let aws = LocalAws::start().await;
    queries(&aws.stack.endpoint, &aws.stack.dynamodb, &aws.stack.table).await;
}

/// On an emulator that shares no code with the other one.
#[tokio::test]
async fn in_dynoxide() {
    let dynamo = LocalDynamo::start().await;
    queries(&dynamo.endpoint, &dynamo.dynamodb, &dynamo.table).await;
}

async fn queries(endpoint: &str, dynamodb: &Client, table: &str) {
    let proxy = FaultProxy::start(endpoint).await;
    let config = stack::config(&proxy.endpoint);
    let store = DynamoStore::new(&config, table.to_owned(), RETENTION, true);
    let records = Records::new(&config, table.to_owned());
    listing(&store, &records).await;
    while_records_are_written(&store, &records).await;
    one_record(&store, &records, dynamodb, table, &proxy).await;
    searching(&store, &records, &proxy).await;
    holding(&store, &records).await;
    erasing(&store, &records, dynamodb, table).await;
}

/// In order, over days and shards, whatever the size of a page is.
async fn listing(store: &DynamoStore, records: &Records) {
    let first: Timestamp = "2026-03-01T23:59:59.990Z".parse().unwrap();
    // three days, and an empty one between them; and always three in one millisecond
    let times =
        (0..60).map(|n| first + SignedDuration::from_millis(n / 3) + SignedDuration::from_hours(n / 40 * 48));
    let (mut written, mut settled) = (Vec::new(), Vec::new());
    for (n, received_at) in times.enumerate() {
        let decision = (n % 4 == 0).then(|| Decision::new(Verdict::Approve));
        let record =
            Record { decision, reply: if n % 5 == 0 { 403 } else { 200 }, ..event("T:1", received_at) };
        store.record(&record, WITHIN).await.unwrap();
        if n % 2 == 0 {
            store.settle(&record, true, received_at).await.unwrap();
            settled.push(record.key.clone());
        }
        written.push(record);
    }
    settled.sort();
    let shards: BTreeSet<String> = written.iter().map(Record::time_shard).collect();
    assert!(shards.len() > usize::from(TIME_SHARDS) * 2, "three days in several shards: {shards:?}");
    written.sort_by(|one, other| (one.received_at, &one.key).cmp(&(other.received_at, &other.key)));
    let keys = |records: &[&Record]| records.iter().map(|record| record.key.clone()).collect::<Vec<_>>();
    let all = Filter::between(first, first + SignedDuration::from_hours(72));
    for limit in [1, 7, 60, 1000] {
        let forwards = pages(records, &all, Order::OldestFirst, limit).await;
        assert_eq!(forwards, keys(&written.iter().collect::<Vec<_>>()), "{limit} a page");
        let backwards = pages(records, &all, Order::NewestFirst, limit).await;
        assert_eq!(backwards, keys(&written.iter().rev().collect::<Vec<_>>()), "{limit} a page");
    }

    // what a filter leaves out does not shorten a page
    let chosen = |fits: &dyn Fn(usize, &Record) -> bool| {
        let fitting = written.iter().enumerate().filter(|(n, record)| fits(*n, record));
        keys(&fitting.map(|(_, record)| record).collect::<Vec<_>>())
    };
    let approved = Filter { decision: Some("approve".into()), ..all.clone() };
    let expected = chosen(&|_, record| record.decision.is_some());
    assert_eq!(pages(records, &approved, Order::OldestFirst, 4).await, expected);
    let refused = Filter {
        reply: Some(403),
        kind: Some("umaaas.*".into()),
        provider: Some("umaaas".into()),
        ..all.clone()
    };
    let expected = chosen(&|_, record| record.reply == 403);
    assert_eq!(pages(records, &refused, Order::OldestFirst, 4).await, expected);
    let pending = Filter { state: Some(State::Pending), ..all.clone() };
    let expected = chosen(&|_, record| settled.binary_search(&record.key).is_err());
    assert_eq!(
        (expected.len(), pages(records, &pending, Order::OldestFirst, 4).await),
        (30, expected.clone())
    );
    let backwards: Vec<String> = expected.into_iter().rev().collect();
    assert_eq!(pages(records, &pending, Order::NewestFirst, 7).await, backwards);
    let forwarded = Filter { state: Some(State::Forwarded), ..all.clone() };
    assert_eq!(pages(records, &forwarded, Order::NewestFirst, 4).await.len(), 30);
    for nothing in [
        Filter { kind: Some("umaaas.test".into()), ..all.clone() },
        Filter { provider: Some("weavr".into()), ..all.clone() },
        Filter::between(first + SignedDuration::from_hours(1), first + SignedDuration::from_hours(47)),
        Filter::between(first, first),
    ] {
        assert_eq!(pages(records, &nothing, Order::NewestFirst, 4).await, [""; 0], "{nothing:?}");
    }
    // the beginning belongs to a time, the end does not
    let last = written.last().unwrap().received_at;
    assert_eq!(pages(records, &Filter::between(first, last), Order::NewestFirst, 9).await.len(), 57);
}

/// A reader that turns pages while others write sees each record that was there once.
async fn while_records_are_written(store: &DynamoStore, records: &Records) {
    let now: Timestamp = "2026-05-01T12:00:00Z".parse().unwrap();
    let at = |millis| now + SignedDuration::from_millis(millis);
    let mut there = BTreeSet::new();
    for n in 0..40 {
        let record = event("T:2", at(n / 2));
        store.record(&record, WITHIN).await.unwrap();
        there.insert(record.key);
    }
    let all = Filter::between(now, at(1_000_000));
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let (mut seen, mut after) = (Vec::new(), None);
        for turn in 0.. {
            let Page { records: page, next } = records.list(&all, order, after, 3).await.unwrap();
            seen.extend(page.iter().map(|listed| listed.entry.key.clone()));
            after = next;
            if after.is_none() {
                break;
            }
            // another arrives, later than all others, and one that was seen is settled
            let record = event("T:2", at(500_000 + turn));
            store.record(&record, WITHIN).await.unwrap();
            let settled = Record { key: seen[0].clone(), ..event("T:2", now) };
            store.settle(&settled, true, now).await.unwrap();
            assert!(turn < 100, "it comes to an end");
        }
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(once.len(), seen.len(), "{order:?} repeats nothing");
        assert!(there.is_subset(&once), "{order:?} skips nothing");
        there = once;
        // for the other order, what has arrived meanwhile
        let late = pages(records, &all, Order::OldestFirst, 1000).await;
        there.extend(late);
    }
}

async fn one_record(
    store: &DynamoStore,
    records: &Records,
    dynamodb: &Client,
    table: &str,
    proxy: &FaultProxy,
) {
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
    let subject = format!("Transaction:{}", unique());
    let decision = Decision {
        policies: vec!["limit".into()],
        policy_hash: Some("0123456789abcdef".repeat(4)),
        micros: Some(41),
        ..Decision::new(Verdict::Reject { reason: "too_large".into(), message: "...".into() })
    };
    let first = Record { decision: Some(decision), reply: 403, ..event(&subject, now) };
    store.record(&first, WITHIN).await.unwrap();
    store.settle(&first, true, now + SignedDuration::from_millis(40)).await.unwrap();
    let conflict = Record { received_at: now + SignedDuration::from_secs(1), ..first.as_conflict() };
    store.record(&conflict, WITHIN).await.unwrap();

    // by key and by id; a conflict through what it conflicts with
    let prefixes = ["umaaas#TEST#".to_owned(), "weavr#".to_owned()];
    proxy.take_calls();
    for (text, key) in [(&first.key, &first.key), (&first.id, &first.key), (&conflict.id, &conflict.key)] {
        let found = records.find(text, &prefixes).await.unwrap();
        let found: Vec<_> = found.iter().map(|stored| &stored.record.key).collect();
        assert_eq!(found, [key], "{text}");
    }
    for nobody in ["nobody", "", &"x".repeat(2040), &"x".repeat(2049)] {
        assert!(records.find(nobody, &prefixes).await.unwrap().is_empty());
    }
    let related: Vec<String> =
        records.related(&subject).await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(related, [first.key.clone(), conflict.key.clone()], "in the order of receipt");
    for (limit, latest, more) in
        [(1, &related[1..], true), (2, &related[..], false), (9, &related[..], false)]
    {
        let (entries, is_more) = records.latest_related(&subject, limit).await.unwrap();
        assert_eq!(entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), latest);
        // DynamoDB may say that there is more when it has just read the last one.
        assert!(is_more == more || (limit == 2 && is_more), "{limit}");
    }
    assert_eq!(records.latest_related("", 9).await.unwrap(), (vec![], false));
    let calls = proxy.take_calls();
    // one record by its key, two through one call for all prefixes, what is related by an index
    assert!(calls.iter().all(|call| ["GetItem", "BatchGetItem", "Query"].contains(&&**call)), "{calls:?}");

    // the message as it was sent, and what happened
    let stored = records.get(&first.key).await.unwrap().unwrap();
    assert_eq!(stored.message(), Some(Message::new(&first, true)));
    let steps: Vec<String> =
        stored.timeline().into_iter().map(|step| format!("{}: {}", step.step, step.detail)).collect();
    assert_eq!(
        steps[..5],
        [
            "received: at /umaaas, delivery d",
            "verified: the signature fits; the body is as documented",
            "decided: reject (too_large) by limit of policy 0123456789ab in 41 \u{b5}s",
            "answered: HTTP 403; Lambda took it within 5 seconds of the request",
            "forwarded: 1 attempt",
        ]
    );
    assert_eq!(stored.timeline()[4].at, Some(now + SignedDuration::from_millis(40)));

    // a record of version 1 or 2 is in no listing by time, and is shown like any other
    let update = async |key: &str, expression: &str| {
        let call = dynamodb.update_item().table_name(table).key("pk", AttributeValue::S(key.to_owned()));
        call.update_expression(expression).send().await.unwrap();
    };
    update(&first.key, "REMOVE time_shard").await;
    let old = records.find(&first.id, &prefixes).await.unwrap();
    assert_eq!(old[0].message(), Some(Message::new(&first, true)));
    // a record whose body is gone is shown without its message
    update(&first.key, "REMOVE payload").await;
    let without = records.get(&first.key).await.unwrap().unwrap();
    assert_eq!((without.message(), without.replay("r"), without.has_body), (None, None, false));
    // and one that somebody has damaged is named
    update(&first.key, "REMOVE delivery_id").await;
    let error = records.get(&first.key).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the record {} cannot be read", first.key));
}

async fn searching(store: &DynamoStore, records: &Records, proxy: &FaultProxy) {
    let n = unique();
    let wanted = with_body(event("T:3", Timestamp::now()), &format!(r#"{{"a": {{"n": ["{n}"]}}}}"#));
    let other = with_body(event("T:3", Timestamp::now()), r#"{"a": {"n": ["other"]}}"#);
    for record in [&wanted, &other] {
        store.record(record, WITHIN).await.unwrap();
    }
    // more than one call reads
    let more: Vec<Record> = (0..100).map(|_| event("T:3", Timestamp::now())).collect();
    join_all(more.iter().map(|record| store.record(record, WITHIN))).await.into_iter().for_each(|done| {
        done.unwrap();
    });
    let condition: Condition = format!("a.n.0={n}").parse().unwrap();
    proxy.take_calls();
    for query in [
        Query { conditions: vec![condition], ..Query::default() },
        Query { id: Some(wanted.id.clone()), ..Query::default() },
        Query { id: Some(wanted.id.clone()), state: Some(State::Pending), ..Query::default() },
    ] {
        let (mut found, mut told) = (Vec::new(), 0);
        let stored = |stored: records::Stored| found.push(stored.record.key);
        let done = records.search(&query, 1_000_000, stored, |so_far| {
            told = so_far.scanned;
            true
        });
        let done = done.await.unwrap();
        assert_eq!(found, std::slice::from_ref(&wanted.key), "{query:?}");
        assert_eq!((done.found, told), (1, done.scanned));
        assert!(done.scanned > 200 && done.units > 0.0, "{done:?}");
    }
    assert!(proxy.take_calls().iter().all(|call| call == "Scan"));
    // it ends when it is told to, and keeps to its rate
    let all = Query::default();
    let begun = std::time::Instant::now();
    let first = records.search(&all, 1_000_000, |_| (), |_| false).await.unwrap();
    let (mut calls, mut units) = (0, 0.0);
    let limit = (first.units * 2.0).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    let slow = records.search(
        &all,
        limit as u32,
        |_| (),
        |so_far| {
            (calls, units) = (calls + 1, so_far.units);
            calls < 2
        },
    );
    slow.await.unwrap();
    assert_eq!(calls, 2);
    assert!(begun.elapsed() >= Duration::from_millis(400), "{units} units in {:?}", begun.elapsed());
}

async fn holding(store: &DynamoStore, records: &Records) {
    let hold = async || {
        let held = Record { held: true, ..event("T:4", Timestamp::now()).as_conflict() };
        store.record(&held, WITHIN).await.unwrap();
        held.key
    };
    let state = async |key: &str| records.get(key).await.unwrap().map(|stored| stored.state);
    let (released, discarded, now) = (hold().await, hold().await, Timestamp::now());
    assert_eq!(state(&released).await, Some(State::Conflict));
    assert_eq!(records.release(&released, now).await.unwrap(), Changed::Yes);
    assert_eq!(records.discard(&discarded).await.unwrap(), Changed::Yes);
    assert_eq!((state(&released).await, state(&discarded).await), (Some(State::Pending), None));
    let due = ingest::Backlog::due(store, 0, now + SignedDuration::from_secs(1), None, 1000).await.unwrap();
    assert!(due.entries.iter().any(|due| due.key == released), "the reconciler finds it");
    for key in [&released, &discarded] {
        assert_eq!(records.release(key, now).await.unwrap(), Changed::NotHeld);
        assert_eq!(records.discard(key).await.unwrap(), Changed::NotHeld);
    }
    assert_eq!(state(&released).await, Some(State::Pending));
}

/// Nothing of the person is left in any item or index, and a redelivery is still recognised.
async fn erasing(store: &DynamoStore, records: &Records, dynamodb: &Client, table: &str) {
    let address = format!("ada{}@example.com", unique());
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap();
    let years_ago = now - SignedDuration::from_hours(24 * 365 * 6);
    let body = format!(r#"{{"consumer": {{"email": "{address}"}}}}"#);
    let about = |received_at| Record {
        subject: Some(sha256_hex(address.as_bytes())),
        call_ref: Some(address.clone()),
        drift: vec![format!("{address}: is not documented")],
        ..with_body(event("T:5", received_at), &body)
    };
    let decided =
        |received_at| Record { decision: Some(Decision::new(Verdict::Approve)), ..about(received_at) };
    let long = format!(r#"{{"consumer": {{"email": "{address}"}}, "note": "{}"}}"#, "x".repeat(40_000));
    let compressed = compressed(with_body(about(now), &long));
    let informed = about(now);
    let (kept, old) = (decided(now), decided(years_ago));
    let (pending, held) = (about(now), Record { held: true, ..about(now).as_conflict() });
    for record in [&informed, &compressed, &kept, &old, &pending, &held] {
        store.record(record, WITHIN).await.unwrap();
    }
    for record in [&informed, &compressed, &kept, &old] {
        store.settle(record, true, now).await.unwrap();
    }
    let personal = [address.as_str(), &sha256_hex(address.as_bytes())];
    assert_eq!(items_with(dynamodb, table, &personal).await, 6);
    let found = async |person: Person| {
        let (found, read) = records.about_person(&person, 1_000_000, |_| true).await.unwrap();
        assert_eq!(found.len(), read.found);
        found.into_iter().map(|stored| stored.record.key).collect::<BTreeSet<String>>()
    };
    let all = [&informed, &compressed, &kept, &old, &pending, &held].map(|record| record.key.clone());
    let person = Person::new(&address);
    for (path, count) in [("consumer.email", 6), ("consumer", 0), ("email", 0), ("note", 0)] {
        assert_eq!(found(person.clone().at(path).unwrap()).await.len(), count, "{path}");
    }
    assert!(person.clone().at("").is_err());
    assert_eq!(found(person.clone()).await, BTreeSet::from(all));

    let keep_decided_since = now - SignedDuration::from_hours(24 * 1826);
    let erasure = Erasure { now, keep_decided_since, override_reason: None };
    for (record, expected) in [
        (&informed, Erased::Yes),
        (&compressed, Erased::Yes),
        (&old, Erased::Yes),
        (&kept, Erased::Retained),
        (&pending, Erased::NotForwarded(State::Pending)),
        (&held, Erased::NotForwarded(State::Conflict)),
        (&event("T:5", now), Erased::Gone),
    ] {
        // as it is foretold
        if let Some(stored) = records.get(&record.key).await.unwrap() {
            assert_eq!(erasure.of(&stored), expected, "{}", record.key);
        }
        for _ in 0..2 {
            assert_eq!(records.erase(&record.key, &erasure).await.unwrap(), expected, "{}", record.key);
        }
    }
    assert_eq!(items_with(dynamodb, table, &personal).await, 3);
    // a reason is for decisions alone, and what was erased before keeps its time
    let overriding =
        Erasure { now: now + SignedDuration::from_secs(9), override_reason: Some("a test"), ..erasure };
    for (record, expected, reason) in [
        (&informed, Erased::Yes, None),
        (&kept, Erased::Overridden, Some("a test")),
        (&pending, Erased::NotForwarded(State::Pending), None),
        (&held, Erased::NotForwarded(State::Conflict), None),
    ] {
        assert_eq!(records.erase(&record.key, &overriding).await.unwrap(), expected, "{}", record.key);
        let stored = records.get(&record.key).await.unwrap().unwrap();
        assert_eq!(stored.erased_reason.as_deref(), reason);
    }
    let at = async |record: &Record| records.get(&record.key).await.unwrap().unwrap().erased_at;
    assert_eq!((at(&informed).await, at(&kept).await), (Some(now), Some(overriding.now)));

    // what was pending or held is erased when it is not any more
    store.settle(&pending, true, now).await.unwrap();
    assert_eq!(records.discard(&held.key).await.unwrap(), Changed::Yes);
    assert_eq!(records.erase(&pending.key, &erasure).await.unwrap(), Erased::Yes);
    assert_eq!(items_with(dynamodb, table, &personal).await, 0);
    assert!(found(person).await.is_empty());
    for record in [&informed, &compressed, &kept, &old, &pending] {
        let again = Record { delivery_id: "another".into(), ..record.clone() };
        let Recorded::Before(earlier) = store.record(&again, WITHIN).await.unwrap() else { panic!("again") };
        assert_eq!(again.repeats(&earlier), Repetition::Redelivery { restamped: false });
        assert_eq!(earlier.decision, record.decision);
    }
    assert_eq!(items_with(dynamodb, table, &personal).await, 0, "nothing is stored again");
}

/// The tables in infra/personal-data.md name every attribute that the code writes, what `erase` leaves, and what the
/// indexes hold.
#[tokio::test]
async fn the_page_on_personal_data_names_every_attribute() {
    let page = std::fs::read_to_string(local_stack::root().join("infra/personal-data.md")).unwrap();
    let rows = |heading: &str| {
        let section = page.split_once(&format!("# {heading}\n")).unwrap().1.split("\n#").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let names = |text: &str| {
        text.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<BTreeSet<String>>()
    };

    let dynamo = LocalDynamo::start().await;
    let config = stack::config(&dynamo.endpoint);
    let store = DynamoStore::new(&config, dynamo.table.clone(), RETENTION, true);
    let records = Records::new(&config, dynamo.table.clone());
    let now = Timestamp::now();
    let base = compressed(Record {
        published_at: Some(now),
        trace_id: Some("1-trace".into()),
        verified_by: Some(1),
        occurred_at: Some(now),
        call_ref: Some("reference".into()),
        drift: vec!["a: is not documented".into()],
        ..event("T:6", now)
    });
    let decision = Some(Decision::new(Verdict::Approve));
    let conflict = Record { decision, content_sha256: "f".repeat(64), ..base.clone() }.as_conflict();
    let attributes = async || {
        let scan = dynamo.dynamodb.scan().table_name(&dynamo.table).send().await.unwrap();
        scan.items.unwrap().into_iter().flat_map(HashMap::into_keys).collect::<BTreeSet<String>>()
    };
    store.record(&base, WITHIN).await.unwrap();
    let on_base = Base { key: &base.key, delivery_id: &base.delivery_id };
    store.record_decision(&conflict, &on_base, WITHIN).await.unwrap();
    let mut written = attributes().await;
    for record in [&base, &conflict] {
        store.settle(record, true, now).await.unwrap();
    }
    written.extend(attributes().await);
    let erasure = Erasure { now, keep_decided_since: Timestamp::UNIX_EPOCH, override_reason: Some("a test") };
    for record in [&base, &conflict] {
        assert_eq!(records.erase(&record.key, &erasure).await.unwrap(), Erased::Overridden);
    }
    let left = attributes().await;
    written.extend(left.iter().cloned());

    let documented = rows("What a record holds");
    assert_eq!(
        documented.iter().map(|row| row[0].trim_matches('`').to_owned()).collect::<BTreeSet<_>>(),
        written
    );
    let stays =
        documented.iter().filter(|row| row[3] == "stays").map(|row| row[0].trim_matches('`').to_owned());
    assert_eq!(stays.collect::<BTreeSet<_>>(), left);

    let table =
        dynamo.dynamodb.describe_table().table_name(&dynamo.table).send().await.unwrap().table.unwrap();
    let indexes = table.global_secondary_indexes().iter().map(|index| {
        let keys = index.key_schema().iter().map(|key| key.attribute_name().to_owned());
        let others = index.projection().unwrap().non_key_attributes().iter().cloned();
        let held: BTreeSet<String> = keys.chain(others).chain(["pk".to_owned()]).collect();
        (index.index_name().unwrap().to_owned(), held)
    });
    let documented = rows("In the indexes").into_iter();
    let documented = documented.map(|row| (row[0].trim_matches('`').to_owned(), names(&row[1])));
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), indexes.collect());
}

/// The times in infra/personal-data.md are the template's.
#[test]
fn the_page_on_personal_data_has_the_times_of_the_template() {
    let read = |file: &str| std::fs::read_to_string(local_stack::root().join("infra").join(file)).unwrap();
    let (page, template, provider) = (read("personal-data.md"), read("template.yaml"), read("provider.yaml"));
    for parameter in ["RetentionDays", "LogRetentionDays"] {
        let (_, declared) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
        let (_, default) = declared.split_once("Default: \"").unwrap();
        let default = default.split('"').next().unwrap();
        assert!(page.contains(&format!("`{parameter}` ({default})")), "{parameter} is {default}");
    }
    let (_, declared) = template.split_once("\n  RetentionDays:\n").unwrap();
    let (_, limits) = declared.split_once("is a whole number from ").unwrap();
    let minimum = limits.split(' ').next().unwrap();
    assert!(
        page.contains(&format!("its minimum, {minimum}")) && page.contains(&format!("at least {minimum}"))
    );
    let seconds = stack::MESSAGE_RETENTION_SECONDS;
    assert_eq!(provider.matches(&format!("MessageRetentionPeriod: {seconds}")).count(), 2);
    assert!(page.contains(&format!("at most {} days |", seconds / 86_400)));
}

/// The two indexes cost one write each: no later write of a delivery or of the reconciler touches what is in them, and
/// none of their calls reads them.
#[tokio::test]
async fn only_the_first_write_touches_the_indexes() {
    let deployment = Deployment::start().await;
    let (host, scheduled) = (Host::start().await, Host::start().await);
    let _function = deployment.function(&host, "umaaas");
    let _reconciler = deployment.function(&scheduled, "reconciler");
    let stack = &deployment.aws.stack;
    let table = stack.dynamodb.describe_table().table_name(&stack.table).send().await.unwrap().table.unwrap();
    let people =
        table.global_secondary_indexes().iter().filter(|index| index.index_name() != Some("pending"));
    let mut held = BTreeSet::new();
    for index in people {
        held.extend(index.key_schema().iter().map(|key| key.attribute_name().to_owned()));
        held.extend(index.projection().unwrap().non_key_attributes().iter().cloned());
    }
    assert_eq!(held.len(), 7, "{held:?}");

    // an event, a payment that is decided twice under its key, and what the reconciler does with one left behind
    let payment = |amount: u32| {
        let body = json!({"webhookId": "W:1", "type": "INCOMING_PAYMENT", "timestamp": "2026-11-02T09:15:00Z",
            "transaction": {"id": "T:9", "type": "INCOMING", "status": "PENDING", "receivedAmount": {"amount": amount}}});
        umaaas_event("/umaaas", &body.to_string())
    };
    for event in [payment(1), payment(2), payment(3)] {
        host.invoke(event).await.unwrap();
        host.idle(1).await;
    }
    let left = event("T:9", Timestamp::now() - SignedDuration::from_mins(10));
    let config = stack::config(&stack.endpoint);
    let store = DynamoStore::new(&config, stack.table.clone(), RETENTION, true);
    store.record(&left, WITHIN).await.unwrap();
    assert_eq!(scheduled.invoke_raw(json!({})).await.unwrap()["forwarded"], 1);

    let calls = deployment.proxy.take_whole_calls();
    let mut updates = 0;
    for call in calls.iter().filter(|call| call.target.starts_with("DynamoDB")) {
        assert!(matches!(call.parameters["IndexName"].as_str(), None | Some("pending")), "{call:?}");
        let parts = call.parameters["TransactItems"].as_array().into_iter().flatten();
        let parts = parts.filter_map(|part| part.get("Update")).chain([&call.parameters]);
        for update in parts {
            let Some(expression) = update["UpdateExpression"].as_str() else { continue };
            updates += 1;
            let name =
                |word: &str| update["ExpressionAttributeNames"][word].as_str().unwrap_or(word).to_owned();
            let words = expression.split([' ', ',']).map(name);
            let touched: Vec<String> = words.filter(|word| held.contains(word)).collect();
            assert!(touched.is_empty(), "{expression}: {touched:?}");
        }
    }
    assert!(updates >= 5, "{updates} updates");
    // and every record is in both
    let records = Records::new(&config, stack.table.clone());
    let listed: Vec<Entry> = records.related("T:9").await.unwrap();
    assert_eq!(listed.len(), 4);
    let since = Timestamp::now() - SignedDuration::from_hours(1);
    let filter = Filter::between(since, Timestamp::now() + SignedDuration::from_hours(1));
    assert_eq!(pages(&records, &filter, Order::OldestFirst, 10).await.len(), 4);
}

/// The keys of a whole listing, page by page.
async fn pages(records: &Records, filter: &Filter, order: Order, limit: usize) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let Page { records: page, next } = records.list(filter, order, after, limit).await.unwrap();
        assert!(page.len() <= limit && (next.is_none() || page.len() == limit));
        keys.extend(page.into_iter().map(|listed| listed.entry.key));
        // a position survives being written down
        after = next.map(|next| next.to_string().parse().unwrap());
        if after.is_none() {
            return keys;
        }
    }
}

/// A record with a key of its own.
fn event(subject: &str, received_at: Timestamp) -> Record {
    let id = format!("Webhook:{}", unique());
    let key = format!("umaaas#TEST#{id}");
    Record {
        kind: "umaaas.incoming_payment".into(),
        id,
        source: "/umaaas/incoming-payment".into(),
        subject: Some(subject.to_owned()),
        path: "/umaaas".into(),
        delivery_id: "d".into(),
        ..memory::record(&key, r#"{"status": "PENDING"}"#, received_at)
    }
}

/// The same record as it is stored when its body is long.
fn compressed(record: Record) -> Record {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&record.payload).unwrap();
    let bytes = encoder.finish().unwrap().into();
    Record { stored: StoredPayload { bytes, encoding: Some("gzip"), ..record.stored.clone() }, ..record }
}

fn with_body(record: Record, body: &str) -> Record {
    let payload = Bytes::copy_from_slice(body.as_bytes());
    let stored = StoredPayload { bytes: payload.clone(), encoding: None, sha256: sha256_hex(&payload) };
    Record { payload, stored, ..record }
}
