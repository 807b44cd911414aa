//! What a person does about a held conflict.

use aws::item::millis;
use aws_sdk_dynamodb::types::AttributeValue;
use ingest::State;
use jiff::Timestamp;

use crate::{Records, RecordsError, written};

/// The record is still a held conflict.
const HELD: &str = "#state = :conflict";

/// Whether something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It has.
    Yes,
    /// It has not: the record is not held, or not there any more.
    NotHeld,
}

impl Records {
    /// Lets the reconciler forward a held conflict in its next run.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the record was changed.
    pub async fn release(&self, key: &str, now: Timestamp) -> Result<Changed, RecordsError> {
        let released = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .update_expression("SET #state = :pending, pending_shard = :shard, due_at = :now")
            .condition_expression(HELD)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":conflict", AttributeValue::S(State::Conflict.name().into()))
            .expression_attribute_values(":pending", AttributeValue::S(State::Pending.name().into()))
            .expression_attribute_values(":shard", AttributeValue::S("0".into()))
            .expression_attribute_values(":now", millis(now))
            .send()
            .await;
        Ok(if written(released, "release a conflict")? { Changed::Yes } else { Changed::NotHeld })
    }

    /// Deletes a held conflict. If the same comes again, it is held again.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the record was deleted.
    pub async fn discard(&self, key: &str) -> Result<Changed, RecordsError> {
        let discarded = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.to_owned()))
            .condition_expression(HELD)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":conflict", AttributeValue::S(State::Conflict.name().into()))
            .send()
            .await;
        Ok(if written(discarded, "discard a conflict")? { Changed::Yes } else { Changed::NotHeld })
    }
}
