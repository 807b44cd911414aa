//! The store in DynamoDB: one item per event; every write is conditional.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, KeysAndAttributes, Put, ReturnValue,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use aws_types::SdkConfig;
use ingest::{
    Backlog, Base, Claim, Counted, Counts, Due, DuePage, Limits, Operation, PortError, Record, Recorded,
    RecordedDecision, State, Store, UnreadableEntry,
};
use jiff::{SignedDuration, Timestamp};

use crate::budget;
use crate::connect;
use crate::counts::{counts_of, ledger_item, tally_item, token};
use crate::failure::failure;
use crate::item::{Fields, Item, claim_of, due, earlier, item, millis, text, written};
use crate::variables::EVENTS_TABLE;
use crate::{Environment, SettingsError};

/// The key is free, or its record is settled and has expired. DynamoDB deletes expired items late, so an
/// expired item may still be in the table.
const FREE: &str = "attribute_not_exists(pk) OR (#state = :forwarded AND expires_at < :now)";

/// The base record is the one that the conflict was compared with, and no conflict with it has a final
/// decision.
const UNDECIDED: &str = "delivery_id = :base AND attribute_not_exists(decided_later)";

/// The first wait before a transaction is retried after a conflict with another transaction, or after
/// throttling. Each further wait is twice as long.
const AFTER_CONTENTION: Duration = Duration::from_millis(20);

/// The record is still pending, and its `due_at` is the one that the caller read.
const PENDING_AS_SEEN: &str = "#state = :pending AND due_at = :seen";

/// The record is still pending, and this delivery wrote it.
const OURS_AND_PENDING: &str = "#state = :pending AND delivery_id = :delivery_id";

/// Records in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    table: String,
    retention: SignedDuration,
    keep_payload: bool,
    recording: Client,
    settling: Client,
    counting: Client,
}

impl DynamoStore {
    /// A store in one table. Settled records expire after `retention`. Without `keep_payload`, settling
    /// removes the body from the record, and the event can no longer be sent again.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, retention: SignedDuration, keep_payload: bool) -> Self {
        Self {
            table,
            retention,
            keep_payload,
            recording: budget::RECORD.dynamodb(config),
            settling: budget::SETTLE.dynamodb(config),
            counting: budget::LIMITS.dynamodb(config),
        }
    }

    /// A store from `EVENTS_TABLE`, `RETENTION_DAYS` and `KEEP_PAYLOAD`.
    ///
    /// # Errors
    /// [`SettingsError`] with the name of the variable that is missing or wrong.
    pub(crate) fn from_environment(
        environment: &Environment,
        config: &SdkConfig,
    ) -> Result<Self, SettingsError> {
        let table = environment.required(&EVENTS_TABLE)?;
        Ok(Self::new(config, table, environment.retention()?, environment.keep_payload()?))
    }

    /// Opens a connection, so that the first delivery does not wait for it.
    pub(crate) async fn connect(&self) {
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());
        let ping = self.recording.list_tables().customize().mutate_request(connect::ping);
        connect::within_budget("DynamoDB", ping.config_override(once).send()).await;
    }

    fn expires_at(&self, now: Timestamp) -> AttributeValue {
        let expiry = now.saturating_add(self.retention).unwrap_or(Timestamp::MAX);
        AttributeValue::N(expiry.as_second().to_string())
    }
}

impl DynamoStore {
    async fn put(&self, record: &Record) -> Result<Recorded, PortError> {
        let written = self
            .recording
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(record)))
            .condition_expression(FREE)
            .expression_attribute_names("#state", "state")
            .set_expression_attribute_values(Some(free_values(record)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match written {
            Ok(_) => Ok(Recorded::Now),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = error.into_err() else {
                    return Err(PortError::new(
                        Operation::Record,
                        "the condition failed, but the error has no details",
                    ));
                };
                earlier(refused.item.unwrap_or_default()).map(|earlier| Recorded::Before(Box::new(earlier)))
            }
            Err(error) => Err(failure(Operation::Record, &error)),
        }
    }

    /// Writes a record in one transaction with everything that belongs to it. A conflict has a base, the record it
    /// conflicts with. A final decision is stored in the base; for any other decision the transaction only checks that
    /// the base has no final one yet.
    ///
    /// Counts are written in the same transaction. If they have changed, or another transaction uses them, they have to
    /// be read again.
    async fn put_all(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        counts: Option<&Counts>,
    ) -> Result<Counted, PortError> {
        let operation = if base.is_some() { Operation::RecordConflict } else { Operation::Record };
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item(record)))
            .condition_expression(FREE)
            .expression_attribute_names("#state", "state")
            .set_expression_attribute_values(Some(free_values(record)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| PortError::new(operation, error))?;
        let mut parts = vec![TransactWriteItem::builder().put(put).build()];
        parts.extend(base.map(|base| self.on_base(record, base)).transpose()?);
        parts.extend(counts.map(|counts| self.on_counts(counts)).transpose()?.into_iter().flatten());
        let token = counts.map(|counts| token(Some(record), counts));
        let refused = |reasons| {
            Ok(match refusal(operation, reasons, base.is_some())? {
                Refusal::Recorded(refused) => Some(Counted::Recorded(refused)),
                Refusal::Contended if counts.is_some() => Some(Counted::Changed),
                Refusal::Contended | Refusal::Throttled => None,
            })
        };
        let refused = transact(&self.recording, operation, parts, token.as_deref(), refused).await?;
        if refused == Some(Counted::Changed) {
            pause(token.as_deref()).await;
        }
        Ok(refused.unwrap_or(Counted::Recorded(RecordedDecision::Now)))
    }

    /// Writes counts alone. Returns false when they have changed, or another transaction uses them.
    async fn put_counts(&self, counts: &Counts) -> Result<bool, PortError> {
        let (parts, token) = (self.on_counts(counts)?, token(None, counts));
        let refused = |reasons: Vec<_>| Ok(is_contended(Operation::Limits, &reasons)?.then_some(()));
        let refused = transact(&self.settling, Operation::Limits, parts, Some(&token), refused).await?;
        if refused.is_some() {
            pause(Some(&token)).await;
        }
        Ok(refused.is_none())
    }

    /// One write for the ledger and for each tally, provided that its version is the one that was read.
    fn on_counts(&self, counts: &Counts) -> Result<Vec<TransactWriteItem>, PortError> {
        let ledger = (ledger_item(&counts.ledger), counts.ledger.version);
        let tallies = counts.tallies.iter().map(|tally| (tally_item(tally), tally.version));
        let put = |(item, version): (Item, u64)| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = if version == 0 {
                put.condition_expression("attribute_not_exists(pk)")
            } else {
                put.condition_expression("version = :version")
                    .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
            };
            let put = put.build().map_err(|error| PortError::new(Operation::Limits, error))?;
            Ok(TransactWriteItem::builder().put(put).build())
        };
        [ledger].into_iter().chain(tallies).map(put).collect()
    }

    /// Reads a ledger and tallies with one call. What DynamoDB did not process is read again.
    async fn get_counts(&self, ledger: &str, tallies: &[&str]) -> Result<Option<Counts>, PortError> {
        let key = |key: &&str| Item::from([("pk".into(), text(key))]);
        let keys = [ledger].iter().chain(tallies).map(key).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let wanted = wanted.map_err(|error| PortError::new(Operation::Limits, error))?;
        let mut wanted = Some([(self.table.clone(), wanted)].into());
        let (mut items, mut wait) = (Vec::new(), AFTER_CONTENTION);
        loop {
            let call = self.counting.batch_get_item().set_request_items(wanted);
            let found = call.send().await.map_err(|error| failure(Operation::Limits, &error))?;
            items.extend(found.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted = found.unprocessed_keys.filter(|keys| !keys.is_empty());
            if wanted.is_none() {
                return Ok(counts_of(ledger, tallies, items));
            }
            // The caller limits the time of this loop.
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    fn on_base(&self, conflict: &Record, base: &Base<'_>) -> Result<TransactWriteItem, PortError> {
        let key = Item::from([("pk".into(), text(base.key))]);
        let seen = (":base", text(base.delivery_id));
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let wrong = |error| PortError::new(Operation::RecordConflict, error);
        Ok(match conflict.decision.as_ref().filter(|decision| decision.is_final()) {
            Some(decision) => {
                let update = Update::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .update_expression("SET decided_later = :decision")
                    .condition_expression(UNDECIDED)
                    .expression_attribute_values(seen.0, seen.1)
                    .expression_attribute_values(":decision", AttributeValue::S(written(decision)))
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(wrong)?;
                TransactWriteItem::builder().update(update).build()
            }
            None => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(key))
                    .condition_expression(UNDECIDED)
                    .expression_attribute_values(seen.0, seen.1)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(wrong)?;
                TransactWriteItem::builder().condition_check(check).build()
            }
        })
    }
}

/// Makes a transaction: again as long as it is canceled for something that passes soon. Returns what `refused` makes of
/// the reasons for which it was canceled, or `None` when it is written. The caller limits the time.
async fn transact<T>(
    client: &Client,
    operation: Operation,
    parts: Vec<TransactWriteItem>,
    token: Option<&str>,
    refused: impl Fn(Vec<CancellationReason>) -> Result<Option<T>, PortError>,
) -> Result<Option<T>, PortError> {
    let mut wait = AFTER_CONTENTION;
    loop {
        let call = client.transact_write_items().set_transact_items(Some(parts.clone()));
        match call.set_client_request_token(token.map(str::to_owned)).send().await {
            Ok(_) => return Ok(None),
            Err(SdkError::ServiceError(error)) if error.err().is_transaction_canceled_exception() => {
                let TransactWriteItemsError::TransactionCanceledException(canceled) = error.into_err() else {
                    return Err(PortError::new(operation, "canceled, but the error has no details"));
                };
                if let Some(refused) = refused(canceled.cancellation_reasons.unwrap_or_default())? {
                    return Ok(Some(refused));
                }
            }
            Err(error) => return Err(failure(operation, &error)),
        }
        // Another transaction uses one of the items, or the table is throttled: both pass soon.
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

/// Why a transaction was canceled.
enum Refusal {
    /// The record or its base refused it.
    Recorded(RecordedDecision),
    /// A count has changed, or another transaction uses one of the items.
    Contended,
    /// The table is throttled.
    Throttled,
}

const CHECK_FAILED: &str = "ConditionalCheckFailed";

/// Why the transaction of a record was canceled. `reasons` has one entry for the record, one for the base of a conflict,
/// and one for each count, in this order.
fn refusal(
    operation: Operation,
    reasons: Vec<CancellationReason>,
    has_base: bool,
) -> Result<Refusal, PortError> {
    let failed = |reason: &CancellationReason| reason.code() == Some(CHECK_FAILED);
    let mut reasons = reasons.into_iter();
    let unreadable = || PortError::new(operation, "canceled without a reason for each item");
    let record = reasons.next().ok_or_else(unreadable)?;
    let base = if has_base { Some(reasons.next().ok_or_else(unreadable)?) } else { None };
    if !failed(&record) && !base.as_ref().is_some_and(failed) {
        let rest: Vec<CancellationReason> = [record].into_iter().chain(base).chain(reasons).collect();
        let contended = is_contended(operation, &rest)?;
        return Ok(if contended { Refusal::Contended } else { Refusal::Throttled });
    }
    let before = failed(&record).then(|| earlier(record.item.unwrap_or_default())).transpose()?;
    let decided = match base.filter(failed) {
        Some(base) => {
            let mut base = Fields(base.item.unwrap_or_default());
            let key = base.optional_text("pk").unwrap_or_default();
            let replaced = "another record has replaced the one it conflicts with";
            let decided = base.decision("decided_later", &key);
            Some(decided.ok_or_else(|| PortError::new(Operation::RecordConflict, replaced))?)
        }
        None => None,
    };
    let (before, decided) = (before.map(Box::new), decided.map(Box::new));
    Ok(Refusal::Recorded(RecordedDecision::Not { before, decided }))
}

/// Whether a transaction was canceled because of another transaction. If not, the table is throttled.
fn is_contended(operation: Operation, reasons: &[CancellationReason]) -> Result<bool, PortError> {
    let passing = ["None", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let contention = [CHECK_FAILED, "TransactionConflict"];
    let codes = || reasons.iter().filter_map(CancellationReason::code);
    match codes().find(|code| !passing.contains(code) && !contention.contains(code)) {
        Some(code) => Err(PortError::new(operation, format!("canceled: {code}"))),
        None => Ok(codes().any(|code| contention.contains(&code))),
    }
}

/// Waits up to 64 ms, a different time for each transaction, so that two that conflicted do not conflict again.
async fn pause(token: Option<&str>) {
    let digits = token.and_then(|token| u64::from_str_radix(token.get(..2)?, 16).ok());
    tokio::time::sleep(Duration::from_millis(digits.unwrap_or_default() / 4)).await;
}

/// The values in [`FREE`].
fn free_values(record: &Record) -> Item {
    let now = AttributeValue::N(record.received_at.as_second().to_string());
    Item::from([(":forwarded".into(), text(State::Forwarded.name())), (":now".into(), now)])
}

impl Store for DynamoStore {
    async fn record(&self, record: &Record, within: Duration) -> Result<Recorded, PortError> {
        budget::within(within, Operation::Record, self.put(record)).await
    }

    async fn record_decision(
        &self,
        conflict: &Record,
        base: &Base<'_>,
        within: Duration,
    ) -> Result<RecordedDecision, PortError> {
        match budget::within(within, Operation::RecordConflict, self.put_all(conflict, Some(base), None))
            .await?
        {
            Counted::Recorded(recorded) => Ok(recorded),
            Counted::Changed => {
                Err(PortError::new(Operation::RecordConflict, "canceled because of its counts"))
            }
        }
    }

    async fn settle(&self, record: &Record, reply_confirmed: bool, now: Timestamp) -> Result<(), PortError> {
        let dropped = if self.keep_payload { "" } else { ", payload, #encoding" };
        let mut update = self
            .settling
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&record.key))
            .update_expression(format!(
                "SET #state = :forwarded, forwarded_at = :now, expires_at = :expires_at, \
                 reply_confirmed = :confirmed \
                 REMOVE pending_shard, due_at{dropped}"
            ))
            .condition_expression(OURS_AND_PENDING)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":forwarded", text(State::Forwarded.name()))
            .expression_attribute_values(":pending", text(State::Pending.name()))
            .expression_attribute_values(":delivery_id", text(&record.delivery_id))
            .expression_attribute_values(":now", millis(now))
            .expression_attribute_values(":confirmed", AttributeValue::Bool(reply_confirmed))
            .expression_attribute_values(":expires_at", self.expires_at(now));
        if !self.keep_payload {
            update = update.expression_attribute_names("#encoding", "encoding");
        }
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(failure(Operation::Settle, &error)),
        }
    }
}

impl Limits for DynamoStore {
    async fn counts(
        &self,
        ledger: &str,
        tallies: &[&str],
        within: Duration,
    ) -> Result<Option<Counts>, PortError> {
        budget::within(within, Operation::Limits, self.get_counts(ledger, tallies)).await
    }

    async fn record_counted(
        &self,
        record: &Record,
        base: Option<&Base<'_>>,
        counts: &Counts,
        within: Duration,
    ) -> Result<Counted, PortError> {
        let operation = if base.is_some() { Operation::RecordConflict } else { Operation::Record };
        budget::within(within, operation, self.put_all(record, base, Some(counts))).await
    }

    async fn change(&self, counts: &Counts, within: Duration) -> Result<bool, PortError> {
        budget::within(within, Operation::Limits, self.put_counts(counts)).await
    }
}

impl Backlog for DynamoStore {
    type Cursor = Item;

    async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        after: Option<Item>,
        limit: usize,
    ) -> Result<DuePage<Item>, PortError> {
        let page = self
            .settling
            .query()
            .table_name(&self.table)
            .index_name("pending")
            .key_condition_expression("pending_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(&shard.to_string()))
            .expression_attribute_values(":now", millis(now))
            .set_exclusive_start_key(after)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| failure(Operation::ReadIndex, &error))?;
        // Unreadable entries, even a whole page of them, do not block the entries after them: the next page
        // begins at the table's own `last_evaluated_key`, not after the last readable entry.
        let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
        for entry in page.items.unwrap_or_default() {
            let key = entry.get("pk").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
            match due(entry) {
                Ok(due) => entries.push(due),
                Err(error) => unreadable.push(UnreadableEntry { key, error }),
            }
        }
        Ok(DuePage { entries, unreadable, next: page.last_evaluated_key })
    }

    /// One update that also returns the item. The condition and the returned item come from the table itself,
    /// not from the index, which can be out of date.
    async fn claim(&self, due: &Due, until: Timestamp) -> Result<Claim, PortError> {
        let claimed = self
            .settling
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&due.key))
            .update_expression("SET due_at = :until ADD attempts :one")
            .condition_expression(PENDING_AS_SEEN)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":pending", text(State::Pending.name()))
            .expression_attribute_values(":seen", millis(due.due_at))
            .expression_attribute_values(":until", millis(until))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match claimed {
            Ok(claimed) => Ok(claim_of(claimed.attributes.unwrap_or_default())),
            Err(error) if is_refused(&error) => Ok(Claim::Taken),
            Err(error) => Err(failure(Operation::Claim, &error)),
        }
    }

    async fn postpone(
        &self,
        record: &Record,
        claimed_until: Timestamp,
        to: Timestamp,
    ) -> Result<(), PortError> {
        let postponed = self
            .settling
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&record.key))
            .update_expression("SET due_at = :to")
            .condition_expression(PENDING_AS_SEEN)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":pending", text(State::Pending.name()))
            .expression_attribute_values(":seen", millis(claimed_until))
            .expression_attribute_values(":to", millis(to))
            .send()
            .await;
        match postponed {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(failure(Operation::Postpone, &error)),
        }
    }
}

/// Whether an update failed because its condition did not hold.
fn is_refused(error: &SdkError<UpdateItemError>) -> bool {
    error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception)
}
