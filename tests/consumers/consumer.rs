use std::collections::HashSet;
use std::io::Read;

use aws_sdk_sqs::Client;
use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::read::GzDecoder;
use serde_json::Value;

/// Handles the messages on the queue. Keep `seen` in your database, and update it in the same
/// transaction as what `handle` writes: then both are stored, or neither.
pub async fn consume(
    sqs: &Client,
    queue_url: &str,
    seen: &mut HashSet<String>,
    mut handle: impl AsyncFnMut(&Value, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let poll = sqs.receive_message().queue_url(queue_url).max_number_of_messages(10).wait_time_seconds(20);
    for message in poll.send().await?.messages() {
        let text = message.body().unwrap_or_default();
        let (envelope, data) = match text.split_once(r#","data":"#) {
            // `data` is the last field
            Some((envelope, data)) => (format!("{envelope}}}"), data.strip_suffix('}').unwrap_or(data)),
            None => (text.to_owned(), ""),
        };
        let event: Value = serde_json::from_str(&envelope)?;
        let mut body = data.as_bytes().to_vec();
        if let Some(encoded) = event["data_base64"].as_str() {
            body = BASE64_STANDARD.decode(encoded)?;
        }
        if event["dataencoding"] == "gzip" {
            GzDecoder::new(std::mem::take(&mut body).as_slice()).read_to_end(&mut body)?;
        }
        let key = format!("{} {} {}", event["source"], event["type"], event["id"]);
        if !seen.contains(&key) {
            handle(&event, &body).await?;
            seen.insert(key);
        }
        let receipt = message.receipt_handle().unwrap_or_default();
        sqs.delete_message().queue_url(queue_url).receipt_handle(receipt).send().await?;
    }
    Ok(())
}
