//! Queries over what is recorded, and the few changes that people make to it: listing by time, everything about one subject, one record with its history and its
//! message, and a search that reads the whole table.
//!
//! This is for people's tools. No function uses it, and no call of a delivery reads the indexes `by_time` and
//! `by_subject` that it reads. Both are eventually consistent: a record is in them a moment after it was written.

mod copying;
mod entry;
mod held;
mod listing;
mod person;
mod position;
mod receivers;
mod search;
mod statistics;
mod stored;
mod switch;
mod timeline;

pub use copying::Copied;
pub use entry::{Current, Entry, Listed};
pub use held::Changed;
pub use listing::{Filter, Listing, Order, Page};
pub use person::{Erased, Erasure, Person};
pub use position::{NoPosition, Position};
pub use receivers::{Receiver, Receivers};
pub use search::{Condition, NoCondition, Progress, Query};
pub use statistics::{Hour, Latency, Statistics};
pub use stored::Stored;
pub use switch::DecisionSwitch;
pub use timeline::Step;

use std::error::Error;

use aws::item::Item;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;
use ingest::{LEDGER, PortError, TALLY};

/// The records in one table.
#[derive(Clone, Debug)]
pub struct Records {
    client: Client,
    table: String,
}

impl Records {
    /// The records in a table. `config` says in which region it is and who asks.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }
}

/// A query failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// DynamoDB refused a call or did not answer.
    #[error("cannot {doing}")]
    Call {
        /// What was to be done, as in `read the index by_time`.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// No version of this code has written a record like this.
    #[error("the record {key} cannot be read")]
    Unreadable {
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: PortError,
    },
}

/// What the keys of items begin with that are no records. `policy#` is reserved: nothing writes it yet.
const NO_RECORDS: [&str; 4] = ["control#", LEDGER, TALLY, "policy#"];

/// Whether an item of the table is a record of an event.
fn is_record(item: &Item) -> bool {
    let key = key_of(item);
    !key.is_empty() && !NO_RECORDS.iter().any(|prefix| key.starts_with(prefix))
}

/// A call that failed.
fn failed<E, R>(doing: &'static str) -> impl FnOnce(SdkError<E, R>) -> RecordsError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| RecordsError::Call { doing, source: explained(error) }
}

/// Why a call to DynamoDB or SQS failed, for the person who asked for it. The SDK's own texts leave out what the service
/// says, and name the last place where credentials were looked for.
pub fn explained<E, R>(error: SdkError<E, R>) -> Box<dyn Error + Send + Sync>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if let Some(code) = error.code() {
        let message = error.message().unwrap_or("no further explanation");
        return match code {
            "AccessDeniedException" | "AccessDenied" => {
                format!("a permission is missing: {message} ({code}); infra/cli/README.md lists what commands need")
            }
            "ResourceNotFoundException" => {
                format!("there is no such table or index in this account and region: {message} ({code})")
            }
            _ => format!("{message} ({code})"),
        }
        .into();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    if text.contains("credential") {
        return format!(
            "no usable credentials: look at the profile and the AWS_ variables; `aws sts get-caller-identity` with the \
             same profile says more ({text})"
        )
        .into();
    }
    if ["missing signing region", "Missing Region"].iter().any(|missing| text.contains(missing)) {
        return "no region is given, and the profile has none".into();
    }
    error.into()
}

/// Whether a conditional write was done. It was not where its condition does not hold.
fn written<T, E, R>(result: Result<T, SdkError<E, R>>, doing: &'static str) -> Result<bool, RecordsError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failed(doing)(error)),
    }
}

/// The key of an item, or of an entry of an index.
fn key_of(item: &Item) -> String {
    item.get("pk").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default()
}
