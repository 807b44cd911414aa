//! Checks what a consumer may rely on in a message: the schema, and the provider's exact bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::read::GzDecoder;
use jsonschema::Validator;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The compiled schema. It is compiled only once, because that takes longer than checking many messages.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../events/envelope.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Checks a message's body against `events/envelope.schema.json`.
///
/// # Errors
/// A description of every violation.
pub fn valid_envelope(message: &str) -> Result<(), String> {
    let envelope = Value::Object(fields(message).map_err(|error| error.to_string())?);
    let wrong: Vec<String> =
        SCHEMA.iter_errors(&envelope).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// The envelope's fields. An object in `data` is replaced by an empty one, because the provider's body can
/// contain JSON that a [`Value`] cannot represent, such as very deep nesting. The schema only says that
/// `data` is an object.
fn fields(message: &str) -> serde_json::Result<Map<String, Value>> {
    let raw: BTreeMap<String, &RawValue> = serde_json::from_str(message)?;
    raw.into_iter()
        .map(|(name, value)| {
            let text = if name == "data" && value.get().starts_with('{') { "{}" } else { value.get() };
            Ok((name, serde_json::from_str(text)?))
        })
        .collect()
}

/// Extracts the provider's bytes from a message, as a consumer does.
pub fn provider_bytes(message: &str) -> Vec<u8> {
    if let Some((_, data)) = message.split_once(r#","data":"#) {
        return data.strip_suffix('}').unwrap().into();
    }
    let envelope = fields(message).unwrap();
    let bytes = BASE64_STANDARD.decode(envelope["data_base64"].as_str().unwrap()).unwrap();
    if !envelope.contains_key("dataencoding") {
        return bytes;
    }
    let mut body = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut body).unwrap();
    body
}
