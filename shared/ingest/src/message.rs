//! The message that goes to the queue: a CloudEvents 1.0 envelope in JSON that contains the provider's body
//! unchanged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::digest::sha256_hex;
use crate::json::BYTE_ORDER_MARK;
use crate::record::gzip;
use crate::{Decision, Record, Verdict};

/// The largest message that SQS takes, attributes included.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// The part of [`MAX_MESSAGE_BYTES`] that is reserved for the message attributes: three names and types, two
/// short values, and an id of at most 529 bytes (512, and 17 that a conflict's id has in addition).
const ATTRIBUTE_BYTES: usize = 1024;

/// The earliest time that RFC 3339 can express. An earlier time is left out of the envelope.
const YEAR_ZERO: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// One message. Messages of one record differ only in `replyconfirmed`, unless they are [replays](Message::replay).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The envelope.
    pub body: String,
    /// Attributes that a consumer can filter by without parsing the body.
    pub attributes: [(&'static str, String); 3],
    /// The FIFO group: all events about one subject are in one group.
    pub group_id: String,
    /// The FIFO deduplication id: the same for every attempt to send this event.
    pub deduplication_id: String,
}

/// The envelope without its data. The order of fields is the order in the message.
#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    receivedat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    publishedat: Option<String>,
    deliveryid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceid: Option<&'a str>,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callref: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflictof: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayof: Option<&'a str>,
    reply: u16,
    replyconfirmed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisionreason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requiredfields: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisionpolicies: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policyhash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisionmicros: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<String>,
}

impl Message {
    /// The message about a recorded event. `reply_confirmed` is true when Lambda took the reply within 5
    /// seconds of the gateway's request time.
    #[must_use]
    pub fn new(record: &Record, reply_confirmed: bool) -> Self {
        let deduplication_id = sha256_hex(record.key.as_bytes());
        Self::delivered(record, reply_confirmed, &record.delivery_id, None, deduplication_id)
    }

    /// The message about a recorded event, sent again because somebody asked for it. It has the same id, and it says
    /// which delivery it repeats. `run` names the replay: within one run the message is always the same, so a run that
    /// is resumed sends nothing twice that a FIFO queue still remembers.
    #[must_use]
    pub fn replay(record: &Record, reply_confirmed: bool, run: &str) -> Self {
        let deduplication_id = sha256_hex(format!("{}#{run}", record.key).as_bytes());
        let delivery_id = format!("replay-{run}-{}", &deduplication_id[..16]);
        Self::delivered(record, reply_confirmed, &delivery_id, Some(&record.delivery_id), deduplication_id)
    }

    fn delivered(
        record: &Record,
        reply_confirmed: bool,
        delivery_id: &str,
        replay_of: Option<&str>,
        deduplication_id: String,
    ) -> Self {
        let decision = record.decision.as_ref();
        let fields = match decision.map(|decision| &decision.verdict) {
            Some(Verdict::RequestInformation { required_fields }) => Some(required_fields.join(",")),
            _ => None,
        };
        let policies = decision.map(|decision| decision.policies.join(",")).filter(|ids| !ids.is_empty());
        let envelope = Envelope {
            specversion: "1.0",
            id: &record.id,
            source: &record.source,
            kind: &record.kind,
            subject: record.subject.as_deref(),
            time: record.occurred_at.and_then(written),
            datacontenttype: "application/json",
            receivedat: record.received_at.to_string(),
            publishedat: record.published_at.and_then(written),
            deliveryid: delivery_id,
            traceid: record.trace_id.as_deref(),
            path: &record.path,
            callref: record.call_ref.as_deref(),
            conflictof: record.conflict_of.as_deref(),
            replayof: replay_of,
            reply: record.reply,
            replyconfirmed: reply_confirmed,
            decision: decision.map(Decision::name),
            decisionreason: decision.and_then(Decision::reason),
            requiredfields: fields,
            decisionpolicies: policies,
            policyhash: decision.and_then(|decision| decision.policy_hash.as_deref()),
            decisionmicros: decision.and_then(|decision| decision.micros),
            drift: (!record.drift.is_empty()).then(|| record.drift.join("; ")),
        };
        let envelope = serde_json::to_string(&envelope).expect("strings serialise");
        let about = record.subject.as_ref().unwrap_or(&record.id);
        Self {
            body: with_data(escape_refused(envelope), &record.payload),
            attributes: [
                ("source", record.source.clone()),
                ("type", record.kind.clone()),
                ("id", attribute(&record.id)),
            ],
            group_id: sha256_hex(format!("{}{about}", record.source).as_bytes()),
            deduplication_id,
        }
    }
}

impl Message {
    /// The size in bytes as SQS counts it: the body, and each attribute's name, type and value.
    #[must_use]
    pub fn size(&self) -> usize {
        let attributes =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len());
        self.body.len() + attributes.sum::<usize>()
    }
}

/// A time in RFC 3339. `None` for a time before [`YEAR_ZERO`].
fn written(time: Timestamp) -> Option<String> {
    (time >= YEAR_ZERO).then(|| time.to_string())
}

/// Puts the body into the envelope: unchanged; in base64 when SQS would refuse its characters, or when not every
/// parser would take it as JSON; compressed and in base64 when the message would be too large.
fn with_data(mut envelope: String, payload: &[u8]) -> String {
    envelope.pop(); // the closing brace
    let room = MAX_MESSAGE_BYTES - ATTRIBUTE_BYTES;
    match std::str::from_utf8(payload) {
        // A byte order mark inside the envelope would make it invalid JSON.
        Ok(text)
            if !payload.starts_with(BYTE_ORDER_MARK)
                && queue_accepts(text)
                && is_json(text)
                && envelope.len() + text.len() + 16 <= room =>
        {
            envelope.push_str(r#","data":"#);
            envelope.push_str(text);
        }
        _ if envelope.len() + payload.len().div_ceil(3) * 4 + 32 <= room => {
            envelope.push_str(r#","data_base64":""#);
            BASE64.encode_string(payload, &mut envelope);
            envelope.push('"');
        }
        _ => {
            envelope.push_str(r#","dataencoding":"gzip","data_base64":""#);
            BASE64.encode_string(gzip(payload), &mut envelope);
            envelope.push('"');
        }
    }
    envelope.push('}');
    envelope
}

/// Whether a text is JSON to everybody. The parser of [`Object`](crate::Object) is more tolerant: it takes a field
/// name with a raw control character in it.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Whether SQS accepts every character of a text. SQS accepts the characters of XML 1.0: tab, line feed,
/// carriage return, and everything from U+0020 except U+FFFE and U+FFFF.
#[must_use]
pub fn queue_accepts(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..))
}

/// Escapes U+FFFE and U+FFFF, which SQS refuses. The envelope contains strings of the sender (ids, paths), and
/// JSON escapes only control characters.
fn escape_refused(envelope: String) -> String {
    if queue_accepts(&envelope) {
        return envelope;
    }
    envelope.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// The value of the `id` attribute. SQS has no escapes there, so an id that SQS would refuse, or an empty id,
/// is replaced by its hex SHA-256.
fn attribute(id: &str) -> String {
    if id.is_empty() || !queue_accepts(id) { sha256_hex(id.as_bytes()) } else { id.to_owned() }
}
