//! The contract of a store, checked for the in-memory store and the DynamoDB store.

use std::collections::HashMap;
use std::time::Duration;

use aws::DynamoStore;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::future::join_all;
use http::HeaderValue;
use ingest::memory::MemoryStore;
use ingest::{
    Arrival, Backlog, Base, Claim, Counted, Counting, Counts, DUE_AFTER, Decision, Due, Earlier, Event,
    Ledger, Limit, Limits, Message, Operation, PENDING_SHARDS, Record, Recorded, RecordedDecision,
    Repetition, Store, Tally, Total, Verdict, sha256_hex,
};
use jiff::{SignedDuration, Timestamp};
use tests::{LocalAws, LocalDynamo, unique};
use umaaas::SIGNATURE;
use verify::{Delivery, Secrets, Verifier};

const RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// How long a call may take. Long, because many calls run at the same time on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    contract(&MemoryStore::new(RETENTION)).await;
    limits(&MemoryStore::new(RETENTION)).await;
    backlog(&MemoryStore::new(RETENTION)).await;
}

#[tokio::test]
async fn the_dynamodb_store_keeps_the_contract_on_ministack() {
    let aws = LocalAws::start().await;
    in_table(&aws.stack.endpoint, &aws.stack.dynamodb, &aws.stack.table).await;
}

/// On a second emulator, which shares no code with ministack.
#[tokio::test]
async fn the_dynamodb_store_keeps_the_contract_on_dynoxide() {
    let dynamo = LocalDynamo::start().await;
    in_table(&dynamo.endpoint, &dynamo.dynamodb, &dynamo.table).await;
}

async fn in_table(endpoint: &str, dynamodb: &Client, table: &str) {
    let config = local_stack::stack::config(endpoint);
    let store = |keep_payload: bool| DynamoStore::new(&config, table.to_owned(), RETENTION, keep_payload);
    // `backlog` runs first because it reads the whole index and needs an empty table
    backlog(&store(true)).await;
    contract(&store(true)).await;
    limits(&store(true)).await;
    seven_of_fifty(&[store(true), store(true), store(true)]).await;
    items(dynamodb, table, &store).await;
    unreadable(&store(true), dynamodb, table).await;
}

/// The rules that every store must follow.
async fn contract(store: &impl Store) {
    repetition(store).await;
    settling(store).await;
    conflicts(store).await;
    final_decisions(store).await;
    many_at_once(store).await;
}

/// What one approval of a payment of `amount` would count towards the limits `keys`.
fn counting(amount: i64, keys: &[&str]) -> Counting {
    let limit = |key: &&str| Limit { name: (*key).to_owned(), key: (*key).to_owned(), hours: 24 };
    Counting { amount, limits: keys.iter().map(limit).collect() }
}

/// The rules for the counts of approvals.
async fn limits(store: &(impl Store + Limits)) {
    let now = Arrival::at(Timestamp::now());
    let (day, other) = (format!("limit#day#{}", unique()), format!("limit#other#{}", unique()));
    let keys = [day.as_str(), &other];
    let approve = || Some(Decision::new(Verdict::Approve));
    let payment = |n: u32| record(&unique(), &format!(r#"{{"n":{n}}}"#), approve(), "a", now.received_at);
    let read = async |ledger: &str| store.counts(ledger, &keys, WITHIN).await.unwrap().unwrap();
    let write = async |record: &Record, counts: &Counts| {
        let counted = store.record_counted(record, None, counts, WITHIN).await;
        counted.unwrap_or_else(|error| panic!("{}", error.chain()))
    };
    let ledger = || format!("decision#umaaas#{}", unique());

    // what was never written has the version 0
    let (first, second) = (ledger(), ledger());
    let nothing = read(&first).await;
    assert_eq!(nothing, Counts { ledger: Ledger::empty(&first), tallies: keys.map(Tally::empty).to_vec() });

    // the record and its counts are written together
    let paid = payment(1);
    let counted = nothing.with(&counting(i64::MAX - 1, &keys), now);
    assert_eq!(write(&paid, &counted).await, Counted::Recorded(RecordedDecision::Now));
    let written = read(&first).await;
    assert_eq!(written.ledger, Ledger { version: 1, ..counted.ledger.clone() });
    assert_eq!(written.tallies[0], Tally { version: 1, ..counted.tallies[0].clone() });
    assert_eq!(earlier(recorded(store, &paid).await), seen(&paid, None));

    // a repetition of that write, whose answer was lost, counts nothing and is told
    match write(&paid, &counted).await {
        Counted::Recorded(RecordedDecision::Now) => {}
        Counted::Recorded(RecordedDecision::Not { before: Some(before), decided: None }) => {
            assert_eq!(*before, seen(&paid, None));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&first).await, written);

    // counts that have changed meanwhile refuse the record; a key that is taken is told instead
    for stale in [
        Counts { ledger: Ledger::empty(&second), ..nothing.with(&counting(1, &keys), now) },
        Counts { ledger: Ledger { version: 7, ..Ledger::empty(&second) }, tallies: vec![] },
        Counts { ledger: Ledger::empty(&first), tallies: vec![] },
    ] {
        let late = payment(2);
        assert_eq!(write(&late, &stale).await, Counted::Changed, "{stale:?}");
        assert_eq!(recorded(store, &late).await, Recorded::Now, "it was not recorded");
        let again = Record { delivery_id: "b".into(), ..paid.clone() };
        let taken = RecordedDecision::Not { before: Some(Box::new(seen(&paid, None))), decided: None };
        assert_eq!(write(&again, &stale).await, Counted::Recorded(taken));
    }
    assert_eq!(read(&first).await, written);

    // a conflict that is a payment is counted in its transaction, and only while nothing is decided
    let base = record(&unique(), "{}", None, "a", now.received_at);
    assert_eq!(recorded(store, &base).await, Recorded::Now);
    let conflicting = |n: u32| {
        let other = record_with(&base, &format!(r#"{{"c":{n}}}"#), "c");
        Record { decision: approve(), ..other }.as_conflict()
    };
    let on = Base { key: &base.key, delivery_id: "a" };
    let decide = async |conflict: &Record, counts: &Counts| {
        store.record_counted(conflict, Some(&on), counts, WITHIN).await.unwrap()
    };
    assert_eq!(decide(&conflicting(1), &nothing.with(&counting(1, &keys), now)).await, Counted::Changed);
    let sum = read(&second).await.with(&counting(5, &keys), now);
    assert_eq!(decide(&conflicting(1), &sum).await, Counted::Recorded(RecordedDecision::Now));
    let third = ledger();
    let late = decide(&conflicting(2), &read(&third).await.with(&counting(5, &keys), now)).await;
    let decided = approve().map(Box::new);
    assert_eq!(late, Counted::Recorded(RecordedDecision::Not { before: None, decided }));
    assert_eq!(read(&third).await.ledger.version, 0);

    // counts are subtracted once, of several at the same time
    let before = read(&second).await;
    let total = |counts: &Counts| counts.totals(&counting(0, &keys), now)[&day];
    assert_eq!(total(&before), Total { sum: i64::MAX, count: 2 });
    let without = before.without().unwrap();
    let done = join_all((0..5).map(|_| store.change(&without, WITHIN))).await;
    // One that is told to have succeeded may be the repetition of the one that did.
    assert!(done.into_iter().any(Result::unwrap));
    let after = read(&second).await;
    assert_eq!((total(&after), after.without()), (Total { sum: i64::MAX, count: 1 }, None));
    assert_eq!((after.ledger.version, after.tallies[0].version), (2, before.tallies[0].version + 1));
}

/// Fifty payments at once, against a limit that admits seven: seven are approved and counted, through several stores.
async fn seven_of_fifty(stores: &[DynamoStore]) {
    let now = Arrival::at(Timestamp::now());
    let day = format!("limit#day#{}", unique());
    let pay = async |n: usize| {
        let store = &stores[n % stores.len()];
        let (key, ledger) = (unique(), format!("decision#umaaas#{}", unique()));
        for _ in 0..200 {
            let Ok(read) = store.counts(&ledger, &[&day], WITHIN).await else { continue };
            let read = read.unwrap();
            let approves = read.totals(&counting(1, &[&day]), now)[&day].count < 7;
            let decision = if approves { Decision::new(Verdict::Approve) } else { reject("limit") };
            let record = record(&key, "{}", Some(decision), &format!("d-{n}"), now.received_at);
            if !approves {
                assert_eq!(recorded(store, &record).await, Recorded::Now);
                return false;
            }
            let counts = read.with(&counting(1, &[&day]), now);
            match store.record_counted(&record, None, &counts, WITHIN).await.unwrap() {
                Counted::Recorded(RecordedDecision::Now) => return true,
                Counted::Recorded(not) => panic!("{not:?}"),
                Counted::Changed => {}
            }
        }
        panic!("it was never decided")
    };
    let begin = std::time::Instant::now();
    let approved = join_all((0..50).map(pay)).await;
    println!("fifty payments took {:?}", begin.elapsed());
    assert_eq!(approved.iter().filter(|approved| **approved).count(), 7);
    let read = stores[0].counts("decision#nobody", &[&day], WITHIN).await.unwrap().unwrap();
    assert_eq!(read.totals(&counting(0, &[&day]), now)[&day], Total { sum: 7, count: 7 });
    assert_eq!(read.tallies[0].version, 7);
}

async fn repetition(store: &impl Store) {
    let now = Timestamp::now();
    let minute = SignedDuration::from_mins(1);

    // one delivery is first; the others find its record with its decision, before and after it is settled
    let first = record(&unique(), "{}", Some(reject("first")), "a", now);
    let again =
        Record { decision: Some(Decision::new(Verdict::Approve)), delivery_id: "b".into(), ..first.clone() };
    assert_eq!(recorded(store, &first).await, Recorded::Now);
    for _ in 0..2 {
        let earlier = earlier(recorded(store, &again).await);
        assert_eq!(earlier, seen(&first, None));
        assert_eq!(again.repeats(&earlier), Repetition::Redelivery { restamped: false });
        store.settle(&first, true, now).await.unwrap();
    }

    // when the answer to the first write was lost, the SDK's retry still counts as the first write
    let lost = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &lost).await, Recorded::Now);
    assert_eq!(lost.repeats(&earlier(recorded(store, &lost).await)), Repetition::Ours);
    // another body with the same delivery id does not count as a retry
    let recycled = record_with(&lost, r#"{"other":"body"}"#, "a");
    assert_eq!(recycled.repeats(&earlier(recorded(store, &recycled).await)), Repetition::Conflict);
    let restamped = Record { content_sha256: lost.content_sha256.clone(), ..recycled };
    let repetition = restamped.repeats(&earlier(recorded(store, &restamped).await));
    assert_eq!(repetition, Repetition::Redelivery { restamped: true });

    // the key is free again after a settled record has expired, and not before
    let late =
        |after: SignedDuration| Record { received_at: now + after, delivery_id: "d".into(), ..first.clone() };
    assert_eq!(earlier(recorded(store, &late(RETENTION - minute)).await), seen(&first, None));
    assert_eq!(recorded(store, &late(RETENTION + minute)).await, Recorded::Now);

    // a pending record never expires
    let pending = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &pending).await, Recorded::Now);
    let much_later = Record { received_at: now + RETENTION * 9, delivery_id: "b".into(), ..pending.clone() };
    assert_eq!(earlier(recorded(store, &much_later).await), seen(&pending, None));
}

async fn settling(store: &impl Store) {
    let now = Timestamp::now();
    let pending = record(&unique(), "{}", None, "a", now);
    let much_later = Record { received_at: now + RETENTION * 9, delivery_id: "b".into(), ..pending.clone() };
    assert_eq!(recorded(store, &pending).await, Recorded::Now);
    // only the delivery that wrote a record can settle it: an attempt by another delivery changes nothing
    store.settle(&much_later, true, now).await.unwrap();
    assert_eq!(earlier(recorded(store, &much_later).await), seen(&pending, None));
    // settling a record twice, or settling a record that does not exist, changes nothing
    store.settle(&pending, true, now).await.unwrap();
    store.settle(&pending, true, now + RETENTION * 5).await.unwrap();
    store.settle(&record(&unique(), "{}", None, "a", now), true, now).await.unwrap();
    assert_eq!(recorded(store, &much_later).await, Recorded::Now, "the first settling set the expiry");
}

async fn conflicts(store: &impl Store) {
    let now = Timestamp::now();
    let first = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &first).await, Recorded::Now);

    // another content under the same key is a conflict; it gets its own record, once
    let other = record_with(&first, r#"{"other":"body"}"#, "b");
    let found = earlier(recorded(store, &other).await);
    assert_eq!((other.repeats(&found), &found), (Repetition::Conflict, &seen(&first, None)));
    let conflict = other.as_conflict();
    assert_eq!(conflict.key, format!("{}#{}", first.key, other.content_sha256));
    assert_eq!(conflict.id, format!("Webhook:1#{}", &other.content_sha256[..16]));
    assert_eq!(conflict.conflict_of.as_deref(), Some("Webhook:1"));
    assert_eq!(recorded(store, &conflict).await, Recorded::Now);
    assert_eq!(conflict.repeats(&earlier(recorded(store, &conflict).await)), Repetition::Ours);
    let again = Record { delivery_id: "c".into(), ..conflict.clone() };
    let repetition = again.repeats(&earlier(recorded(store, &again).await));
    assert_eq!(repetition, Repetition::Redelivery { restamped: false });
    // the conflict is settled separately
    store.settle(&conflict, true, now).await.unwrap();
    let later = Record { received_at: now + RETENTION * 2, delivery_id: "d".into(), ..conflict };
    assert_eq!(recorded(store, &later).await, Recorded::Now);

    // a held conflict never expires and cannot be settled
    let held = Record { held: true, ..record_with(&first, r#"{"held":true}"#, "e").as_conflict() };
    assert_eq!(recorded(store, &held).await, Recorded::Now);
    store.settle(&held, true, now).await.unwrap();
    let much_later = Record { received_at: now + RETENTION * 9, delivery_id: "f".into(), ..held.clone() };
    assert_eq!(earlier(recorded(store, &much_later).await), seen(&held, None));
}

async fn final_decisions(store: &impl Store) {
    let now = Timestamp::now();
    let approve = || Some(Decision::new(Verdict::Approve));
    let ask = || Some(Decision::new(Verdict::RequestInformation { required_fields: vec!["TAX_ID".into()] }));
    let not = |before: Option<Earlier>, decided: Option<Decision>| {
        let (before, decided) = (before.map(Box::new), decided.map(Box::new));
        RecordedDecision::Not { before, decided }
    };
    for first_decision in [None, ask()] {
        let first = record(&unique(), "{}", first_decision, "a", now);
        assert_eq!(recorded(store, &first).await, Recorded::Now);
        let conflict = |n: u32, decision: Option<Decision>| {
            let other = record_with(&first, &format!(r#"{{"n":{n}}}"#), &format!("c-{n}"));
            Record { decision, ..other }.as_conflict()
        };
        let base = Base { key: &first.key, delivery_id: &first.delivery_id };
        let decide = async |conflict: &Record| store.record_decision(conflict, &base, WITHIN).await.unwrap();

        // a request for information is no final decision
        let asked = conflict(1, ask());
        assert_eq!(decide(&asked).await, RecordedDecision::Now);
        assert_eq!(decide(&asked).await, not(Some(seen(&asked, None)), None));
        assert_eq!(earlier(recorded(store, &first).await), seen(&first, None));

        // one final decision is accepted and stored in the first record, settled or not
        let approved = conflict(2, approve());
        assert_eq!(decide(&approved).await, RecordedDecision::Now);
        assert_eq!(decide(&approved).await, not(Some(seen(&approved, None)), approve()));
        store.settle(&first, true, now).await.unwrap();
        let known = earlier(recorded(store, &first).await);
        assert_eq!(known, seen(&first, approve()));
        assert_eq!(known.final_decision(), approve().as_ref());

        // no later decision is accepted, neither a final one nor a request for information
        for late in [conflict(3, Some(reject("late"))), conflict(4, ask()), conflict(5, approve())] {
            assert_eq!(decide(&late).await, not(None, approve()));
            assert_eq!(recorded(store, &late).await, Recorded::Now, "the late conflict was not written");
        }
        assert_eq!(
            decide(&asked).await,
            not(Some(seen(&asked, None)), approve()),
            "both reasons are returned"
        );

        // the record that the conflict was compared with must still exist
        let undecided = record(&unique(), "{}", None, "a", now);
        assert_eq!(recorded(store, &undecided).await, Recorded::Now);
        let replaced = Base { key: &undecided.key, delivery_id: "another" };
        let gone = Base { key: &unique(), delivery_id: "a" };
        for base in [gone, replaced] {
            assert!(store.record_decision(&conflict(6, approve()), &base, WITHIN).await.is_err());
        }
        assert_eq!(
            recorded(store, &conflict(6, approve())).await,
            Recorded::Now,
            "the conflict was not written"
        );
    }
}

async fn many_at_once(store: &impl Store) {
    let now = Timestamp::now();
    // of many concurrent deliveries, exactly one is first
    let key = unique();
    let rivals: Vec<Record> = (0..50).map(|n| record(&key, "{}", None, &n.to_string(), now)).collect();
    let results = join_all(rivals.iter().map(|rival| recorded(store, rival))).await;
    let firsts = results.iter().filter(|result| **result == Recorded::Now).count();
    assert_eq!((results.len(), firsts), (50, 1));

    // of many concurrent final decisions, exactly one is accepted, and all other calls return it
    let first = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &first).await, Recorded::Now);
    let base = Base { key: &first.key, delivery_id: &first.delivery_id };
    let rivals: Vec<Record> = (0..50)
        .map(|n| {
            let other = record_with(&first, &format!(r#"{{"n":{n}}}"#), &n.to_string());
            Record { decision: Some(reject(&n.to_string())), ..other }.as_conflict()
        })
        .collect();
    let results = join_all(rivals.iter().map(|rival| store.record_decision(rival, &base, WITHIN))).await;
    let results: Vec<RecordedDecision> = results.into_iter().map(Result::unwrap).collect();
    let winners: Vec<&Record> = rivals
        .iter()
        .zip(&results)
        .filter_map(|(rival, result)| (*result == RecordedDecision::Now).then_some(rival))
        .collect();
    assert_eq!(winners.len(), 1);
    let decided = winners[0].decision.clone();
    for result in results.iter().filter(|result| **result != RecordedDecision::Now) {
        assert_eq!(*result, RecordedDecision::Not { before: None, decided: decided.clone().map(Box::new) });
    }
    assert_eq!(earlier(recorded(store, &first).await), seen(&first, decided));
}

/// The rules that a store must follow for the reconciler.
async fn backlog(store: &(impl Store + Backlog)) {
    let now = Timestamp::now();
    let due_by = |time| async move {
        let mut due = Vec::new();
        for shard in 0..PENDING_SHARDS {
            let page = store.due(shard, time, None, 100).await.unwrap();
            assert!(page.unreadable.is_empty() && page.next.is_none(), "{:?}", page.unreadable);
            due.extend(page.entries);
        }
        due
    };
    let oldest = now - SignedDuration::from_hours(1);
    let records: Vec<Record> = (0..30)
        .map(|n| {
            record(
                &unique(),
                &format!("{{\"n\":{n}}}"),
                Some(reject("r")),
                "a",
                oldest + SignedDuration::from_secs(n),
            )
        })
        .collect();
    for record in &records {
        store.record(record, WITHIN).await.unwrap();
    }

    // records are due when they are pending and old enough; each shard returns them oldest first, in pages
    assert!(due_by(oldest).await.is_empty(), "90 seconds belong to the first attempt");
    assert_eq!(due_by(oldest + DUE_AFTER).await.len(), 1);
    let all = due_by(now).await;
    assert_eq!(all.len(), 30);
    let shard: u8 = all[0].shard.parse().unwrap();
    let of_shard: Vec<Due> = all.iter().filter(|due| due.shard == all[0].shard).cloned().collect();
    assert!(of_shard.is_sorted_by_key(|due| due.due_at));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.due(shard, now, after, 1).await.unwrap();
        assert!(page.entries.len() <= 1);
        paged.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, of_shard);

    // one of two claims succeeds, returns the whole record, and excludes other claims until it expires
    let due = &all[0];
    let until = now + DUE_AFTER;
    let claimed = claimed(store.claim(due, until).await.unwrap());
    let original = records.iter().find(|record| record.key == due.key).unwrap();
    assert_eq!(Message::new(&claimed, true), Message::new(original, true), "the same message in every byte");
    assert_eq!((claimed.attempts, &claimed.payload), (2, &original.payload));
    assert!(matches!(store.claim(due, until).await.unwrap(), Claim::Taken));
    assert_eq!(due_by(now).await.len(), 29);
    assert_eq!(due_by(until).await.len(), 30, "an expired claim is lost");

    // a record can be postponed only while its claim has not expired
    let later = now + SignedDuration::from_hours(1);
    store.postpone(&claimed, until, later).await.unwrap();
    store.postpone(&claimed, until, now).await.unwrap();
    assert_eq!(due_by(until).await.len(), 29);
    assert_eq!(due_by(later).await.len(), 30);

    // a claimer can settle the record, and so can a late first attempt, because both have the same delivery
    // id
    store.settle(&claimed, false, now).await.unwrap();
    store.settle(original, true, now).await.unwrap();
    assert_eq!(due_by(later).await.len(), 29);
    let postponed = Due { due_at: later, ..due.clone() };
    let again = store.claim(&postponed, until).await.unwrap();
    assert!(matches!(again, Claim::Taken), "a settled record cannot be claimed: {again:?}");
    for record in &records {
        store.settle(record, true, now).await.unwrap();
    }
    assert!(due_by(later).await.is_empty());
}

/// The attributes of the items in each state.
async fn items(dynamodb: &Client, table: &str, store: &impl Fn(bool) -> DynamoStore) {
    let now = Timestamp::from_millisecond(1_793_610_901_234).unwrap();
    let read = async |key: &str| -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(key.to_owned());
        let get = dynamodb.get_item().table_name(table).key("pk", key);
        get.consistent_read(true).send().await.unwrap().item.unwrap_or_default()
    };
    let names = |item: &HashMap<String, AttributeValue>| {
        let mut names: Vec<String> = item.keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    let (keeping, dropping) = (store(true), store(false));
    let store = keeping;

    let record = record(&unique(), r#"{"a":"€"}"#, Some(reject("r")), "a", now);
    store.record(&record, WITHIN).await.unwrap();
    let pending = read(&record.key).await;
    assert_eq!(
        names(&pending),
        "attempts content_sha256 decision delivery_id due_at id kind occurred_at path payload payload_sha256 \
         pending_shard pk published_at received_at reply source state subject time_shard trace_id verified_by version"
    );
    assert_eq!(pending["state"], AttributeValue::S("pending".into()));
    assert_eq!(pending["payload"].as_b().unwrap().as_ref(), r#"{"a":"€"}"#.as_bytes());
    let due_at = (now + DUE_AFTER).as_millisecond().to_string();
    assert_eq!(pending["due_at"], AttributeValue::N(due_at.clone()));
    let pending_now = dynamodb
        .query()
        .table_name(table)
        .index_name("pending")
        .key_condition_expression("pending_shard = :shard AND due_at <= :due")
        .expression_attribute_values(":shard", pending["pending_shard"].clone())
        .expression_attribute_values(":due", AttributeValue::N(due_at));
    assert_eq!(
        pending_now.clone().send().await.unwrap().items()[0]["pk"],
        AttributeValue::S(record.key.clone())
    );

    store.settle(&record, true, now).await.unwrap();
    let forwarded = read(&record.key).await;
    assert_eq!(
        names(&forwarded),
        "attempts content_sha256 decision delivery_id expires_at forwarded_at id kind occurred_at path payload \
         payload_sha256 pk published_at received_at reply reply_confirmed source state subject time_shard trace_id \
         verified_by version"
    );
    assert_eq!(forwarded["state"], AttributeValue::S("forwarded".into()));
    assert_eq!(forwarded["expires_at"], AttributeValue::N((now + RETENTION).as_second().to_string()));
    assert_eq!(forwarded["attempts"], AttributeValue::N("1".into()));
    assert!(pending_now.send().await.unwrap().items().is_empty(), "gone from the index");

    // a held conflict is in no index and has no expiry
    let held = Record { held: true, ..record_with(&record, "{}", "b").as_conflict() };
    store.record(&held, WITHIN).await.unwrap();
    let conflict = read(&held.key).await;
    assert_eq!(conflict["state"], AttributeValue::S("conflict".into()));
    assert_eq!(conflict["conflict_of"], AttributeValue::S("Webhook:1".into()));
    for absent in ["due_at", "pending_shard", "expires_at"] {
        assert!(!conflict.contains_key(absent), "{absent}");
    }

    // an item of version 1 can be read: whole bodies are compared, and the message is the same
    let old = record_with(&record, r#"{"version":1}"#, "v1");
    let old = Record { key: unique(), received_at: now, ..old };
    store.record(&old, WITHIN).await.unwrap();
    let update = dynamodb.update_item().table_name(table);
    let update = update.key("pk", AttributeValue::S(old.key.clone()));
    let update = update.update_expression("SET version = :one REMOVE content_sha256");
    update.expression_attribute_values(":one", AttributeValue::N("1".into())).send().await.unwrap();
    let again = Record { delivery_id: "v2".into(), ..old.clone() };
    let repetition = again.repeats(&earlier(recorded(&store, &again).await));
    assert_eq!(repetition, Repetition::Redelivery { restamped: false });
    let other = Record { key: old.key.clone(), ..record_with(&record, "{}", "v2") };
    assert_eq!(other.repeats(&earlier(recorded(&store, &other).await)), Repetition::Conflict);
    let due = Due { key: old.key.clone(), due_at: old.due_at(), shard: old.pending_shard() };
    let claimed = claimed(store.claim(&due, now + DUE_AFTER).await.unwrap());
    assert_eq!(Message::new(&claimed, false), Message::new(&old, false));

    // a large body is stored compressed; without KEEP_PAYLOAD, settling removes the body
    let store = dropping;
    let large = record_with(&record, &format!(r#"{{"a":"{}"}}"#, "large ".repeat(500_000)), "a");
    let large = Record { key: unique(), ..large };
    store.record(&large, WITHIN).await.unwrap();
    let compressed = read(&large.key).await;
    assert_eq!(compressed["encoding"], AttributeValue::S("gzip".into()));
    assert!(compressed["payload"].as_b().unwrap().as_ref().len() < 30_000);
    store.settle(&large, true, now).await.unwrap();
    let settled = read(&large.key).await;
    assert!(!settled.contains_key("payload") && !settled.contains_key("encoding"));
    assert_eq!(settled["payload_sha256"], AttributeValue::S(large.stored.sha256));
}

/// A damaged item is reported with the name of the attribute, and does not block other records.
async fn unreadable(store: &DynamoStore, dynamodb: &Client, table: &str) {
    let now = Timestamp::now();
    let update = async |key: &str, expression: &str, values: &[(&str, AttributeValue)]| {
        let call = dynamodb.update_item().table_name(table).key("pk", AttributeValue::S(key.to_owned()));
        let values = (!values.is_empty())
            .then(|| values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        let call = call.update_expression(expression).set_expression_attribute_values(values);
        call.send().await.unwrap();
    };

    // more unreadable entries than fit a page, and a readable entry after them
    let mut damaged = Vec::new();
    for n in 0..12 {
        let broken = record(&unique(), "{}", None, "a", now);
        store.record(&broken, WITHIN).await.unwrap();
        let values = [
            (":shard", AttributeValue::S("0".into())),
            (":due", AttributeValue::N(format!("{}", f64::from(n) - 6.5))),
        ];
        update(&broken.key, "SET pending_shard = :shard, due_at = :due", &values).await;
        damaged.push(broken.key);
    }
    let behind = record(&unique(), "{}", None, "a", now - SignedDuration::from_hours(9));
    store.record(&behind, WITHIN).await.unwrap();
    update(&behind.key, "SET pending_shard = :shard", &[(":shard", AttributeValue::S("0".into()))]).await;
    let (mut entries, mut unreadable, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.due(0, now, after, 10).await.unwrap();
        entries.extend(page.entries);
        unreadable.extend(page.unreadable);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        unreadable.iter().map(|entry| &entry.key).collect::<Vec<_>>(),
        damaged.iter().collect::<Vec<_>>()
    );
    for entry in unreadable {
        let text = "read a record failed: its due_at is missing or not readable";
        assert_eq!((entry.error.operation, entry.error.chain().as_str()), (Operation::ReadRecord, text));
    }
    let mut due = entries.into_iter().find(|due| due.key == behind.key).unwrap();

    // a record that cannot be read is claimed, and its age is known if `received_at` can be read
    let damages = [("payload", "REMOVE payload", true), ("received_at", "REMOVE received_at", false)];
    for (attempts, (what, damage, dated)) in (2..).zip(damages) {
        update(&behind.key, damage, &[]).await;
        let until = due.due_at + DUE_AFTER;
        let claim = store.claim(&due, until).await.unwrap();
        let Claim::Unreadable { error, received_at, attempts: counted } = claim else {
            panic!("{what}: {claim:?}");
        };
        assert!(error.chain().contains("is missing or not readable"), "{}", error.chain());
        assert_eq!((received_at, counted), (dated.then_some(behind.received_at), attempts), "{what}");
        assert!(matches!(store.claim(&due, until).await.unwrap(), Claim::Taken), "it was claimed");
        due.due_at = until;
    }
}

fn claimed(claim: Claim) -> Record {
    let Claim::Claimed(record) = claim else { panic!("not claimed: {claim:?}") };
    *record
}

async fn recorded(store: &impl Store, record: &Record) -> Recorded {
    store.record(record, WITHIN).await.unwrap_or_else(|error| panic!("{}", error.chain()))
}

fn earlier(recorded: Recorded) -> Earlier {
    let Recorded::Before(earlier) = recorded else { panic!("its key was free") };
    *earlier
}

/// What a store must return about an existing record.
fn seen(record: &Record, decided_later: Option<Decision>) -> Earlier {
    Earlier {
        delivery_id: record.delivery_id.clone(),
        payload_sha256: record.stored.sha256.clone(),
        content_sha256: Some(record.content_sha256.clone()),
        occurred_at: record.occurred_at,
        decision: record.decision.clone(),
        decided_later,
    }
}

fn reject(reason: &str) -> Decision {
    Decision::new(Verdict::Reject { reason: reason.into(), message: "…".into() })
}

fn record(key: &str, body: &str, decision: Option<Decision>, delivery_id: &str, now: Timestamp) -> Record {
    let secrets = Secrets::parse_list("key").unwrap();
    let mut delivery = Delivery::new("/umaaas", Bytes::copy_from_slice(body.as_bytes()));
    let signature = secrets.newest().sign(&SIGNATURE, &delivery).unwrap();
    delivery.headers.insert(SIGNATURE.header, HeaderValue::try_from(signature).unwrap());
    let verified = Verifier::new(SIGNATURE).verify(delivery, &secrets.into()).unwrap();
    let event = Event {
        kind: "umaaas.incoming_payment".into(),
        key: key.to_owned(),
        id: "Webhook:1".into(),
        source: "/umaaas/incoming-payment",
        subject: Some("Transaction:1".into()),
        occurred_at: Some(now),
        published_at: Some(now),
        path: "/umaaas".into(),
        call_ref: None,
        drift: vec![],
        content_sha256: sha256_hex(body.as_bytes()),
        payload: verified.payload(),
    };
    let record = Record::new(event, decision, 200, delivery_id.to_owned(), now).unwrap();
    record.traced(Some("1-5759e988-bd862e3fe1be46a994272793".into()))
}

/// The same event with another body, from another delivery.
fn record_with(first: &Record, body: &str, delivery_id: &str) -> Record {
    record(&first.key, body, first.decision.clone(), delivery_id, first.received_at)
}
