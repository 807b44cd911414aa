//! The receiver directory in DynamoDB: a table that belongs to the deployer, with one item per user.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use ingest::{Directory, Facts, Operation, PortError};
use jiff::Timestamp;
use serde_json::Value;

use crate::budget;
use crate::failure::failure;
use crate::variables::RECEIVER_DIRECTORY_TABLE;
use crate::{Environment, metrics};

/// The name of the partition key of a receiver directory: the receiver's id on the user's own platform.
pub const DIRECTORY_KEY: &str = "platformUserId";

/// Facts about receivers in a DynamoDB table. An item has one attribute per fact; the attribute has the
/// provider's name of the fact. Without a table, no facts are found.
#[derive(Debug)]
pub struct DynamoDirectory {
    provider: &'static str,
    table: Option<String>,
    client: Client,
}

impl DynamoDirectory {
    /// A directory in one table.
    #[must_use]
    pub fn new(config: &SdkConfig, provider: &'static str, table: Option<String>) -> Self {
        Self { provider, table, client: budget::DIRECTORY.dynamodb(config) }
    }

    /// The directory that `RECEIVER_DIRECTORY_TABLE` names.
    pub(crate) fn from_environment(
        environment: &Environment,
        config: &SdkConfig,
        provider: &'static str,
    ) -> Self {
        Self::new(config, provider, environment.optional(&RECEIVER_DIRECTORY_TABLE))
    }

    async fn get(&self, table: &str, user: &str, names: &[&str]) -> Result<Option<Facts>, PortError> {
        let aliases: Vec<String> = (0..names.len()).map(|n| format!("#f{n}")).collect();
        let mut call = self
            .client
            .get_item()
            .table_name(table)
            .key(DIRECTORY_KEY, AttributeValue::S(user.to_owned()))
            .projection_expression(aliases.join(", "));
        for (alias, name) in aliases.into_iter().zip(names) {
            call = call.expression_attribute_names(alias, *name);
        }
        let found = call.send().await.map_err(|error| failure(Operation::Directory, &error))?;
        Ok(found.item.map(|item| facts(&item)))
    }
}

impl Directory for DynamoDirectory {
    async fn facts(&self, user: &str, names: &[&str], within: Duration) -> Result<Option<Facts>, PortError> {
        let Some(table) = &self.table else { return Ok(None) };
        let found = budget::within(within, Operation::Directory, self.get(table, user, names)).await;
        found.inspect_err(|error| {
            let cause = error.chain();
            tracing::error!(provider = self.provider, cause, "the receiver directory did not answer");
            metrics::failure(Timestamp::now(), self.provider, Operation::Directory);
        })
    }
}

/// The attributes of an item as JSON. Blank texts and types that JSON does not have are left out.
fn facts(item: &HashMap<String, AttributeValue>) -> Facts {
    Facts(item.iter().filter_map(|(name, value)| Some((name.clone(), json(value)?))).collect())
}

fn json(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::S(text) if text.trim().is_empty() => return None,
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        // A number that `serde_json` cannot represent stays a text.
        AttributeValue::N(number) => {
            number.parse().map_or_else(|_| Value::String(number.clone()), Value::Number)
        }
        // Nothing is no fact: without this a mandatory fact would seem to be there.
        AttributeValue::M(fields) => {
            let facts = Some(facts(fields).0).filter(|facts| !facts.is_empty())?;
            Value::Object(facts.into_iter().collect())
        }
        AttributeValue::L(items) => list(items.iter().filter_map(json).collect())?,
        AttributeValue::Ss(texts) => {
            let texts = texts.iter().filter(|text| !text.trim().is_empty());
            list(texts.cloned().map(Value::String).collect())?
        }
        _ => return None,
    })
}

/// A list with something in it.
fn list(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_become_json() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = HashMap::from([
            ("NATIONALITY".to_owned(), text("DE")),
            ("BLANK".to_owned(), text(" ")),
            ("NOTHING".to_owned(), AttributeValue::Null(true)),
            ("COUNT".to_owned(), AttributeValue::N("7".to_owned())),
            ("ACTIVE".to_owned(), AttributeValue::Bool(true)),
            (
                "POSTAL_ADDRESS".to_owned(),
                AttributeValue::M(HashMap::from([("city".to_owned(), text("Ulm"))])),
            ),
            ("NAMES".to_owned(), AttributeValue::L(vec![text("Ada"), text("")])),
        ]);
        let expected = json!({
            "NATIONALITY": "DE", "COUNT": 7, "ACTIVE": true, "POSTAL_ADDRESS": {"city": "Ulm"}, "NAMES": ["Ada"],
        });
        assert_eq!(Value::Object(facts(&item).0.into_iter().collect()), expected);
    }
}
