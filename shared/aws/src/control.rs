//! The switch that stops all decisions, in the table of records: one item, which people write with
//! `cargo webhooks decisions`.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use ingest::{Control, Operation, PortError};

use crate::budget;
use crate::failure::failure;
use crate::variables::EVENTS_TABLE;
use crate::{Environment, SettingsError};

/// The key of the switch's item. Without an item, decisions are made.
pub const DECISIONS: &str = "control#decisions";

/// The attribute that says whether decisions are stopped (BOOL).
pub const STOPPED: &str = "stopped";

/// Reads the switch from a DynamoDB table.
#[derive(Debug)]
pub struct DynamoControl {
    table: String,
    client: Client,
}

impl DynamoControl {
    /// The switch in one table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { table, client: budget::CONTROL.dynamodb(config) }
    }

    /// The switch in `EVENTS_TABLE`.
    pub(crate) fn from_environment(
        environment: &Environment,
        config: &SdkConfig,
    ) -> Result<Self, SettingsError> {
        Ok(Self::new(config, environment.required(&EVENTS_TABLE)?))
    }

    async fn read(&self) -> Result<bool, PortError> {
        let get = self.client.get_item().table_name(&self.table);
        let get = get
            .key("pk", AttributeValue::S(DECISIONS.to_owned()))
            .projection_expression(format!("pk, {STOPPED}"));
        let read = get.consistent_read(true).send().await;
        let item = read.map_err(|error| failure(Operation::Control, &error))?.item;
        // An item that does not say so clearly stops them: somebody meant something by it.
        Ok(item.is_some_and(|item| item.get(STOPPED) != Some(&AttributeValue::Bool(false))))
    }
}

impl Control for DynamoControl {
    async fn is_stopped(&self, within: Duration) -> Result<bool, PortError> {
        budget::within(within, Operation::Control, self.read()).await
    }
}
