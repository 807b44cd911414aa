//! The receiver directory: a table of the deployer's own with facts about receivers, which functions read and people
//! find, export and erase a person's entry in.

use std::fmt;

use aws::DIRECTORY_KEY;
use aws::item::Item;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value};

use crate::{RecordsError, failed};

/// A receiver directory.
#[derive(Clone, Debug)]
pub struct Receivers {
    client: Client,
    table: String,
}

/// What a directory has about one person, by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver(pub Map<String, Value>);

/// Names only: the values are personal data.
impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.0.keys()).finish()
    }
}

impl Receivers {
    /// The directory in a table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    /// The name of its table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The entry of a user of the platform. One call, which reads one item.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn get(&self, user: &str) -> Result<Option<Receiver>, RecordsError> {
        let get = self.client.get_item().table_name(&self.table).key(DIRECTORY_KEY, key(user));
        let found = get.consistent_read(true).send().await;
        let found = found.map_err(failed("read the receiver directory"))?.item;
        Ok(found.map(|item| Receiver(object(item))))
    }

    /// Deletes the entry of a user, and says whether there was one.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the entry was deleted.
    pub async fn erase(&self, user: &str) -> Result<bool, RecordsError> {
        let delete = self.client.delete_item().table_name(&self.table).key(DIRECTORY_KEY, key(user));
        let deleted = delete.return_values(ReturnValue::AllOld).send().await;
        let deleted = deleted.map_err(failed("erase an entry of the receiver directory"))?;
        Ok(deleted.attributes.is_some())
    }
}

fn key(user: &str) -> AttributeValue {
    AttributeValue::S(user.to_owned())
}

fn object(item: Item) -> Map<String, Value> {
    item.into_iter().map(|(name, value)| (name, json(value))).collect()
}

/// Every attribute as JSON; bytes in base64. Nothing is left out: the person gets what is stored.
fn json(value: AttributeValue) -> Value {
    let bytes = |blob: aws_sdk_dynamodb::primitives::Blob| Value::String(BASE64.encode(blob));
    // A number that `serde_json` would round stays a text.
    let number = |text: String| match text.parse::<Number>() {
        Ok(number) if number.to_string() == text => Value::Number(number),
        _ => Value::String(text),
    };
    match value {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(text) => number(text),
        AttributeValue::B(blob) => bytes(blob),
        AttributeValue::Bool(flag) => Value::Bool(flag),
        AttributeValue::M(fields) => Value::Object(object(fields)),
        AttributeValue::L(items) => Value::Array(items.into_iter().map(json).collect()),
        AttributeValue::Ss(texts) => Value::Array(texts.into_iter().map(Value::String).collect()),
        AttributeValue::Ns(numbers) => Value::Array(numbers.into_iter().map(number).collect()),
        AttributeValue::Bs(blobs) => Value::Array(blobs.into_iter().map(bytes).collect()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::primitives::Blob;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_left_out() {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item = HashMap::from([
            ("BLANK".to_owned(), text(" ")),
            ("NOTHING".to_owned(), AttributeValue::Null(true)),
            ("COUNT".to_owned(), AttributeValue::N("7".to_owned())),
            ("PHOTO".to_owned(), AttributeValue::B(Blob::new(b"abc".to_vec()))),
            ("ACTIVE".to_owned(), AttributeValue::Bool(true)),
            ("NAMES".to_owned(), AttributeValue::Ss(vec!["Ada".to_owned()])),
            ("ADDRESS".to_owned(), AttributeValue::M(HashMap::from([("city".to_owned(), text("Ulm"))]))),
            (
                "YEARS".to_owned(),
                AttributeValue::L(vec![AttributeValue::Ns(vec!["1985".to_owned(), "1e400".to_owned()])]),
            ),
        ]);
        let expected = json!({
            "BLANK": " ", "NOTHING": null, "COUNT": 7, "PHOTO": "YWJj", "ACTIVE": true, "NAMES": ["Ada"],
            "ADDRESS": {"city": "Ulm"}, "YEARS": [[1985, "1e400"]],
        });
        let receiver = Receiver(object(item));
        assert_eq!(Value::Object(receiver.0.clone()), expected);
        assert!(!format!("{receiver:?}").contains("Ada"));
    }
}
