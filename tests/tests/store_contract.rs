//! The contract of a store, on the one in memory and on DynamoDB's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use aws::DynamoStore;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use futures_util::future::join_all;
use http::HeaderValue;
use ingest::memory::MemoryStore;
use ingest::{
    Backlog, DUE_AFTER, Decision, Due, Event, Message, PENDING_SHARDS, Record, Recorded, Store, Verdict,
};
use jiff::{SignedDuration, Timestamp};
use tests::{LocalAws, LocalDynamo, unique};
use umaaas::SIGNATURE;
use verify::{Delivery, Secrets, Verifier};

const RETENTION: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn in_memory() {
    contract(&MemoryStore::new(RETENTION)).await;
    backlog(&MemoryStore::new(RETENTION)).await;
}

#[tokio::test]
async fn in_dynamodb() {
    let aws = LocalAws::start().await;
    // first, on an empty table: it reads the whole index
    backlog(&dynamo_store(&aws, true)).await;
    contract(&dynamo_store(&aws, true)).await;
    items(&aws).await;
}

/// On an emulator that shares no code with the other one.
#[tokio::test]
async fn in_dynoxide() {
    let dynamo = LocalDynamo::start().await;
    let config = local::stack::config(&dynamo.endpoint);
    let store = || DynamoStore::new(&config, dynamo.table.clone(), RETENTION, true);
    backlog(&store()).await;
    contract(&store()).await;
}

/// What every store promises.
async fn contract(store: &impl Store) {
    let now = Timestamp::now();
    let minute = SignedDuration::from_mins(1);
    let duplicate = |decision| Ok::<_, String>(Recorded::Duplicate { decision });

    // one first, then duplicates that know the first decision, before and after it is settled
    let first = record(&unique(), "{}", Some(reject("first")), "a", now);
    let again =
        Record { decision: Some(Decision::new(Verdict::Approve)), delivery_id: "b".into(), ..first.clone() };
    assert_eq!(recorded(store, &first).await, Ok(Recorded::First));
    assert_eq!(recorded(store, &again).await, duplicate(Some(reject("first"))));
    store.settle(&first, now).await.unwrap();
    assert_eq!(recorded(store, &again).await, duplicate(Some(reject("first"))));

    // a first write whose answer was lost is still the first, when the SDK sends it again
    let lost = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &lost).await, Ok(Recorded::First));
    assert_eq!(recorded(store, &lost).await, Ok(Recorded::First));

    // another body under the key is a conflict, kept beside it, as often as it comes
    let other = record_with(&first, r#"{"other":"body"}"#, "c");
    for _ in 0..2 {
        assert_eq!(recorded(store, &other).await, Ok(Recorded::Conflict { decision: Some(reject("first")) }));
        store.keep_conflict(&other).await.unwrap();
    }

    // the key is free again once a settled record is over, and not before
    let late =
        |after: SignedDuration| Record { received_at: now + after, delivery_id: "d".into(), ..first.clone() };
    assert_eq!(recorded(store, &late(RETENTION - minute)).await, duplicate(Some(reject("first"))));
    assert_eq!(recorded(store, &late(RETENTION + minute)).await, Ok(Recorded::First));

    // a pending record is never over
    let pending = record(&unique(), "{}", None, "a", now);
    assert_eq!(recorded(store, &pending).await, Ok(Recorded::First));
    let much_later = Record { received_at: now + RETENTION * 9, delivery_id: "b".into(), ..pending.clone() };
    assert_eq!(recorded(store, &much_later).await, duplicate(None));

    // only the delivery that wrote a record settles it: after a foreign attempt it is still pending
    store.settle(&much_later, now).await.unwrap();
    assert_eq!(recorded(store, &much_later).await, duplicate(None));
    // settling twice, or what is not there, changes nothing
    store.settle(&pending, now).await.unwrap();
    store.settle(&pending, now + RETENTION * 5).await.unwrap();
    store.settle(&record(&unique(), "{}", None, "a", now), now).await.unwrap();
    assert_eq!(recorded(store, &much_later).await, Ok(Recorded::First), "the first settling set the expiry");

    // of many at once exactly one is first
    let key = unique();
    let rivals: Vec<Record> = (0..50).map(|n| record(&key, "{}", None, &n.to_string(), now)).collect();
    let results = join_all(rivals.iter().map(|rival| recorded(store, rival))).await;
    let firsts = results.iter().filter(|result| **result == Ok(Recorded::First)).count();
    assert_eq!((results.len(), firsts), (50, 1));
}

/// What a store promises to a reconciler.
async fn backlog(store: &(impl Store + Backlog)) {
    let now = Timestamp::now();
    let due_by = |time| async move {
        let mut due = Vec::new();
        for shard in 0..PENDING_SHARDS {
            due.extend(store.due(shard, time, None, 100).await.unwrap());
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
        store.record(record).await.unwrap();
    }

    // due is what is pending and old enough, oldest first in each shard, page by page
    assert!(due_by(oldest).await.is_empty(), "90 seconds belong to the first attempt");
    assert_eq!(due_by(oldest + DUE_AFTER).await.len(), 1);
    let all = due_by(now).await;
    assert_eq!(all.len(), 30);
    let shard: u8 = all[0].shard.parse().unwrap();
    let of_shard: Vec<Due> = all.iter().filter(|due| due.shard == all[0].shard).cloned().collect();
    assert!(of_shard.is_sorted_by_key(|due| due.due_at));
    let mut paged = Vec::new();
    while let Some(due) = store.due(shard, now, paged.last().cloned(), 1).await.unwrap().pop() {
        paged.push(due);
    }
    assert_eq!(paged, of_shard);

    // one of two claims wins, gets the whole record, and has it to itself until the claim runs out
    let due = &all[0];
    let until = now + DUE_AFTER;
    let claimed = store.claim(due, until).await.unwrap().unwrap();
    let original = records.iter().find(|record| record.key == due.key).unwrap();
    assert_eq!(Message::new(&claimed), Message::new(original), "the same message in every byte");
    assert_eq!((claimed.attempts, &claimed.payload), (2, &original.payload));
    assert!(store.claim(due, until).await.unwrap().is_none());
    assert_eq!(due_by(now).await.len(), 29);
    assert_eq!(due_by(until).await.len(), 30, "a claimer that never comes back loses it");

    // postponed, but only while the claim holds
    let later = now + SignedDuration::from_hours(1);
    store.postpone(&claimed, until, later).await.unwrap();
    store.postpone(&claimed, until, now).await.unwrap();
    assert_eq!(due_by(until).await.len(), 29);
    assert_eq!(due_by(later).await.len(), 30);

    // settled is settled: by a claimer, and by a late first attempt, which has the same delivery id
    store.settle(&claimed, now).await.unwrap();
    store.settle(original, now).await.unwrap();
    assert_eq!(due_by(later).await.len(), 29);
    let postponed = Due { due_at: later, ..due.clone() };
    assert!(store.claim(&postponed, until).await.unwrap().is_none(), "nothing to claim any more");
    for record in &records {
        store.settle(record, now).await.unwrap();
    }
    assert!(due_by(later).await.is_empty());
}

/// What the items are made of, in each state.
async fn items(aws: &LocalAws) {
    let now = Timestamp::from_millisecond(1_793_610_901_234).unwrap();
    let read = async |key: &str| -> HashMap<String, AttributeValue> {
        let key = AttributeValue::S(key.to_owned());
        let get = aws.stack.dynamodb.get_item().table_name(&aws.stack.table).key("pk", key);
        get.consistent_read(true).send().await.unwrap().item.unwrap_or_default()
    };
    let names = |item: &HashMap<String, AttributeValue>| {
        let mut names: Vec<String> = item.keys().cloned().collect();
        names.sort();
        names.join(" ")
    };
    let store = dynamo_store(aws, true);

    let record = record(&unique(), r#"{"a":"€"}"#, Some(reject("r")), "a", now);
    store.record(&record).await.unwrap();
    let pending = read(&record.key).await;
    assert_eq!(
        names(&pending),
        "attempts decision delivery_id due_at id kind occurred_at path payload payload_sha256 pending_shard pk \
         received_at reply source state subject trace_id version"
    );
    assert_eq!(pending["state"], AttributeValue::S("pending".into()));
    assert_eq!(pending["payload"].as_b().unwrap().as_ref(), r#"{"a":"€"}"#.as_bytes());
    let due_at = (now + DUE_AFTER).as_millisecond().to_string();
    assert_eq!(pending["due_at"], AttributeValue::N(due_at.clone()));
    let pending_now = aws
        .stack
        .dynamodb
        .query()
        .table_name(&aws.stack.table)
        .index_name("pending")
        .key_condition_expression("pending_shard = :shard AND due_at <= :due")
        .expression_attribute_values(":shard", pending["pending_shard"].clone())
        .expression_attribute_values(":due", AttributeValue::N(due_at));
    assert_eq!(
        pending_now.clone().send().await.unwrap().items()[0]["pk"],
        AttributeValue::S(record.key.clone())
    );

    store.settle(&record, now).await.unwrap();
    let forwarded = read(&record.key).await;
    assert_eq!(
        names(&forwarded),
        "attempts decision delivery_id expires_at forwarded_at id kind occurred_at path payload payload_sha256 pk \
         received_at reply source state subject trace_id version"
    );
    assert_eq!(forwarded["state"], AttributeValue::S("forwarded".into()));
    assert_eq!(forwarded["expires_at"], AttributeValue::N((now + RETENTION).as_second().to_string()));
    assert_eq!(forwarded["attempts"], AttributeValue::N("1".into()));
    assert!(pending_now.send().await.unwrap().items().is_empty(), "gone from the index");

    let other = record_with(&record, "{}", "b");
    store.keep_conflict(&other).await.unwrap();
    let conflict = read(&other.conflict_key()).await;
    assert_eq!(conflict["state"], AttributeValue::S("conflict".into()));
    assert!(!conflict.contains_key("due_at") && conflict.contains_key("expires_at"));

    // a large body is stored compressed; without KEEP_PAYLOAD it goes when it is settled
    let store = dynamo_store(aws, false);
    let large = record_with(&record, &format!(r#"{{"a":"{}"}}"#, "large ".repeat(500_000)), "a");
    let large = Record { key: unique(), ..large };
    store.record(&large).await.unwrap();
    let compressed = read(&large.key).await;
    assert_eq!(compressed["encoding"], AttributeValue::S("gzip".into()));
    assert!(compressed["payload"].as_b().unwrap().as_ref().len() < 30_000);
    store.settle(&large, now).await.unwrap();
    let settled = read(&large.key).await;
    assert!(!settled.contains_key("payload") && !settled.contains_key("encoding"));
    assert_eq!(settled["payload_sha256"], AttributeValue::S(large.stored.sha256));
}

fn dynamo_store(aws: &LocalAws, keep_payload: bool) -> DynamoStore {
    let config = local::stack::config(&aws.stack.endpoint);
    DynamoStore::new(&config, aws.stack.table.clone(), RETENTION, keep_payload)
}

async fn recorded(store: &impl Store, record: &Record) -> Result<Recorded, String> {
    store.record(record).await.map_err(|error| error.chain())
}

fn reject(reason: &str) -> Decision {
    Decision::new(Verdict::Reject { reason: reason.into(), message: "…".into() })
}

fn record(key: &str, body: &str, decision: Option<Decision>, delivery_id: &str, now: Timestamp) -> Record {
    let secrets = Secrets::parse_list("key").unwrap();
    let mut delivery = Delivery::new("/umaaas", Bytes::copy_from_slice(body.as_bytes()));
    let signature = SIGNATURE.sign(&delivery, secrets.newest()).unwrap();
    delivery.headers.insert(SIGNATURE.header, HeaderValue::try_from(signature).unwrap());
    let verified = Verifier::new(SIGNATURE).verify(delivery, &secrets).unwrap();
    let event = Event {
        kind: "umaaas.incoming_payment",
        key: key.to_owned(),
        id: "Webhook:1".into(),
        source: "/umaaas/incoming-payment",
        subject: Some("Transaction:1".into()),
        occurred_at: Some(now),
        path: "/umaaas".into(),
        call_ref: None,
        drift: vec![],
        payload: verified.payload(),
    };
    let record = Record::new(event, decision, 200, delivery_id.to_owned(), now).unwrap();
    record.traced(Some("1-5759e988-bd862e3fe1be46a994272793".into()))
}

/// The same event with another body, by another delivery.
fn record_with(first: &Record, body: &str, delivery_id: &str) -> Record {
    record(&first.key, body, first.decision.clone(), delivery_id, first.received_at)
}
