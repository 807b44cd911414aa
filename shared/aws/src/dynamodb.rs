//! The store in DynamoDB: one item an event, every write conditional.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use ingest::{Earlier, PortError, Record, Recorded, State, Store, VERSION};
use jiff::{SignedDuration, Timestamp};

use crate::budget::{self, Budget};

/// A free key, or one whose record is over. DynamoDB deletes expired items late, so a settled
/// record past its expiry counts as gone.
const FREE: &str = "attribute_not_exists(pk) OR (#state = :forwarded AND expires_at < :now)";

/// The record is still to be settled, and it is the one this delivery wrote.
const OURS_AND_PENDING: &str = "#state = :pending AND delivery_id = :delivery_id";

type Item = HashMap<String, AttributeValue>;

/// Records in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    table: String,
    retention: SignedDuration,
    keep_payload: bool,
    recording: Client,
    settling: Client,
}

impl DynamoStore {
    /// A store in one table. Settled records stay for `retention`; without `keep_payload` they lose
    /// their body, and can no longer be sent again.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, retention: SignedDuration, keep_payload: bool) -> Self {
        let client = |budget: Budget| {
            let config =
                Builder::from(config).timeout_config(budget.timeouts()).retry_config(Budget::retries());
            Client::from_conf(config.build())
        };
        Self {
            table,
            retention,
            keep_payload,
            recording: client(budget::RECORD),
            settling: client(budget::SETTLE),
        }
    }

    fn expires_at(&self, now: Timestamp) -> AttributeValue {
        let expiry = now.saturating_add(self.retention).unwrap_or(Timestamp::MAX);
        AttributeValue::N(expiry.as_second().to_string())
    }
}

impl Store for DynamoStore {
    async fn record(&self, record: &Record) -> Result<Recorded, PortError> {
        let mut item = item(record, &record.key, State::Pending);
        item.insert("pending_shard".into(), AttributeValue::S(record.pending_shard()));
        item.insert("due_at".into(), millis(record.due_at()));
        let written = self
            .recording
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(FREE)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":forwarded", text(State::Forwarded.name()))
            .expression_attribute_values(
                ":now",
                AttributeValue::N(record.received_at.as_second().to_string()),
            )
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match written {
            Ok(_) => Ok(Recorded::First),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                    return Err(PortError::new("record", "the condition failed without saying so"));
                };
                Ok(record.after(earlier(refused.item.unwrap_or_default())?))
            }
            Err(error) => Err(PortError::new("record", error)),
        }
    }

    async fn keep_conflict(&self, record: &Record) -> Result<(), PortError> {
        let mut item = item(record, &record.conflict_key(), State::Conflict);
        item.insert("expires_at".into(), self.expires_at(record.received_at));
        let kept = self
            .settling
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match kept {
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                Ok(())
            }
            Err(error) => Err(PortError::new("keep the conflicting body", error)),
            Ok(_) => Ok(()),
        }
    }

    async fn settle(&self, record: &Record, now: Timestamp) -> Result<(), PortError> {
        let dropped = if self.keep_payload { "" } else { ", payload, #encoding" };
        let mut update = self
            .settling
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&record.key))
            .update_expression(format!(
                "SET #state = :forwarded, forwarded_at = :now, expires_at = :expires_at, attempts = attempts + :one \
                 REMOVE pending_shard, due_at{dropped}"
            ))
            .condition_expression(OURS_AND_PENDING)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":forwarded", text(State::Forwarded.name()))
            .expression_attribute_values(":pending", text(State::Pending.name()))
            .expression_attribute_values(":delivery_id", text(&record.delivery_id))
            .expression_attribute_values(":now", millis(now))
            .expression_attribute_values(":expires_at", self.expires_at(now))
            .expression_attribute_values(":one", AttributeValue::N("1".into()));
        if !self.keep_payload {
            update = update.expression_attribute_names("#encoding", "encoding");
        }
        match update.send().await {
            Err(SdkError::ServiceError(error))
                if matches!(error.err(), UpdateItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(())
            }
            Err(error) => Err(PortError::new("settle", error)),
            Ok(_) => Ok(()),
        }
    }
}

/// A record as an item. Everything that its message is made of is in it.
fn item(record: &Record, key: &str, state: State) -> Item {
    let mut item = Item::from([
        ("pk".into(), text(key)),
        ("version".into(), AttributeValue::N(VERSION.to_string())),
        ("state".into(), text(state.name())),
        ("kind".into(), text(&record.kind)),
        ("id".into(), text(&record.id)),
        ("source".into(), text(&record.source)),
        ("path".into(), text(&record.path)),
        ("reply".into(), AttributeValue::N(record.reply.to_string())),
        ("delivery_id".into(), text(&record.delivery_id)),
        ("received_at".into(), millis(record.received_at)),
        ("attempts".into(), AttributeValue::N("0".into())),
        ("payload".into(), AttributeValue::B(Blob::new(record.stored.bytes.clone()))),
        ("payload_sha256".into(), text(&record.stored.sha256)),
    ]);
    let decision =
        record.decision.as_ref().map(|decision| serde_json::to_string(decision).unwrap_or_default());
    let optional = [
        ("encoding", record.stored.encoding.map(str::to_owned)),
        ("subject", record.subject.clone()),
        ("occurred_at", record.occurred_at.map(|time| time.to_string())),
        ("call_ref", record.call_ref.clone()),
        ("decision", decision),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            item.insert(name.into(), AttributeValue::S(value));
        }
    }
    if !record.drift.is_empty() {
        item.insert(
            "drift".into(),
            AttributeValue::L(record.drift.iter().map(|entry| text(entry)).collect()),
        );
    }
    item
}

/// What the item that stood in the way says about itself.
fn earlier(mut item: Item) -> Result<Earlier, PortError> {
    let mut string = |name: &str| match item.remove(name) {
        Some(AttributeValue::S(value)) => Some(value),
        _ => None,
    };
    let incomplete = || PortError::new("record", "the record under this key cannot be read");
    Ok(Earlier {
        delivery_id: string("delivery_id").ok_or_else(incomplete)?,
        payload_sha256: string("payload_sha256").ok_or_else(incomplete)?,
        decision: match string("decision") {
            Some(decision) => {
                Some(serde_json::from_str(&decision).map_err(|error| PortError::new("record", error))?)
            }
            None => None,
        },
    })
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// Epoch milliseconds.
fn millis(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_millisecond().to_string())
}
