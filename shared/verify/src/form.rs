//! How a signature is written in its header.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The longest header that [`HeaderForm::JsonOrBase64`] reads, in bytes. One with a P-256 signature has about
/// 120.
const MAX_JSON_BYTES: usize = 1024;

/// How a signature is written in its header, and how two values in one header look there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderForm {
    /// Hexadecimal, in upper or lower case. A comma separates two values.
    Hex,
    /// Base64 with the standard alphabet and padding (RFC 4648, section 4). A comma separates two values.
    Base64,
    /// A JSON object `{"v": 1, "s": "<base64>"}` or `{"version": 1, "signature": "<base64>"}`, or the base64
    /// alone. The version is `1` or `"1"`. Other members are ignored. The header has at most 1,024 bytes. The
    /// object contains commas, so two values are recognised differently: a comma or an object follows the first
    /// object, or the base64 alone contains a comma.
    ///
    /// Source: the webhook pages of Lightspark Grid and its demo application, 2026-08-21.
    JsonOrBase64,
}

/// Why a header's text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Several values stand in it.
    Repeated,
    /// It is not in the form.
    Malformed,
    /// It has a version that this code does not know.
    UnknownVersion,
}

impl HeaderForm {
    /// The signature's bytes, decoded from the header's text.
    pub(crate) fn read(self, text: &[u8]) -> Result<Vec<u8>, Unreadable> {
        match self {
            Self::JsonOrBase64 => json_or_base64(text.trim_ascii()),
            Self::Hex | Self::Base64 if text.contains(&b',') => Err(Unreadable::Repeated),
            Self::Hex => hex::decode(text).map_err(|_| Unreadable::Malformed),
            Self::Base64 => base64(text),
        }
    }

    /// The header's text for a signature.
    pub(crate) fn write(self, signature: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(signature),
            Self::Base64 => BASE64.encode(signature),
            Self::JsonOrBase64 => format!(r#"{{"v":"1","s":"{}"}}"#, BASE64.encode(signature)),
        }
    }
}

/// The members of the object that are read. Each name may occur once.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    v: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<Cow<'a, str>>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
}

fn json_or_base64(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
    if text.len() > MAX_JSON_BYTES {
        return Err(Unreadable::Malformed);
    }
    if text.first() != Some(&b'{') {
        return HeaderForm::Base64.read(text);
    }
    let mut values = Deserializer::from_slice(text).into_iter::<&RawValue>();
    let object = values.next().and_then(Result::ok).ok_or(Unreadable::Malformed)?;
    match text[values.byte_offset()..].trim_ascii_start().first() {
        None => {}
        Some(b',' | b'{') => return Err(Unreadable::Repeated),
        Some(_) => return Err(Unreadable::Malformed),
    }
    let members: Members<'_> = serde_json::from_str(object.get()).map_err(|_| Unreadable::Malformed)?;
    let (version, short, long) = match members {
        Members { v: Some(version), s, version: None, signature } => (version, s, signature),
        Members { v: None, s, version: Some(version), signature } => (version, signature, s),
        _ => return Err(Unreadable::Malformed),
    };
    if !matches!(version.get(), "1" | r#""1""#) {
        return Err(Unreadable::UnknownVersion);
    }
    match (short, long) {
        (Some(signature), None) => base64(signature.as_bytes()),
        _ => Err(Unreadable::Malformed),
    }
}

fn base64(text: &[u8]) -> Result<Vec<u8>, Unreadable> {
    BASE64.decode(text).map_err(|_| Unreadable::Malformed)
}

/// Whether a header's text is one JSON object, whatever its members.
pub(crate) fn is_json_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use Unreadable::{Malformed, Repeated, UnknownVersion};

    use super::*;

    #[test]
    fn json_or_base64() {
        let deep = format!(r#"{{"v":1,"s":"AQI=","x":{}"#, "[".repeat(900));
        let long = "A".repeat(33_000);
        for (text, expected) in [
            ("", Ok(vec![])),
            ("AQI=", Ok(vec![1, 2])),
            (r#"{"v":"1","s":"AQI="}"#, Ok(vec![1, 2])),
            (r#"{"v":1,"s":"AQI="}"#, Ok(vec![1, 2])),
            (r#" { "s" : "AQI=" , "v" : 1 } "#, Ok(vec![1, 2])),
            (r#"{"version":"1","signature":"AQI="}"#, Ok(vec![1, 2])),
            (r#"{"signature":"AQI=","version":1}"#, Ok(vec![1, 2])),
            (r#"{"v":1,"s":"\u0041QI="}"#, Ok(vec![1, 2])),
            (r#"{"v":1,"s":"AQI=","t":[{}],"t":"}"}"#, Ok(vec![1, 2])),
            // versions
            (r#"{"v":2,"s":"AQI="}"#, Err(UnknownVersion)),
            (r#"{"v":"2","s":"AQI="}"#, Err(UnknownVersion)),
            (r#"{"v":1.0,"s":"AQI="}"#, Err(UnknownVersion)),
            (r#"{"v":"01","s":"AQI="}"#, Err(UnknownVersion)),
            (r#"{"v":true,"s":"AQI="}"#, Err(UnknownVersion)),
            (r#"{"v":2,"sig":"in another form"}"#, Err(UnknownVersion)),
            (r#"{"version":0,"signature":"AQI="}"#, Err(UnknownVersion)),
            // several values
            ("AQI=,AQI=", Err(Repeated)),
            (r#"AQI=, {"v":1,"s":"AQI="}"#, Err(Repeated)),
            (r#"{"v":1,"s":"AQI="},{"v":1,"s":"AQI="}"#, Err(Repeated)),
            (r#"{"v":1,"s":"AQI="}, AQI="#, Err(Repeated)),
            (r#"{"v":1,"s":"AQI="}{"v":1,"s":"AQI="}"#, Err(Repeated)),
            (r#"{"v":2,"s":"AQI="} , x"#, Err(Repeated)),
            // no signature
            ("AQI", Err(Malformed)),
            ("AQI= x", Err(Malformed)),
            ("{", Err(Malformed)),
            ("{}", Err(Malformed)),
            ("[]", Err(Malformed)),
            (r#""AQI=""#, Err(Malformed)),
            (r#"{"s":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1}"#, Err(Malformed)),
            (r#"{"v":null,"s":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1,"s":5}"#, Err(Malformed)),
            (r#"{"v":1,"s":"?"}"#, Err(Malformed)),
            (r#"{"v":1,"s":"\ud800"}"#, Err(Malformed)),
            (r#"{"v":1,"s":"AQI="}x"#, Err(Malformed)),
            // each name once, and names of one form
            (r#"{"v":1,"v":1,"s":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1,"s":"AQI=","s":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1,"signature":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1,"s":"AQI=","signature":"AQI="}"#, Err(Malformed)),
            (r#"{"v":1,"s":"AQI=","version":1}"#, Err(Malformed)),
            (r#"{"V":1,"S":"AQI="}"#, Err(Malformed)),
            (deep.as_str(), Err(Malformed)),
            (long.as_str(), Err(Malformed)),
        ] {
            assert_eq!(HeaderForm::JsonOrBase64.read(text.as_bytes()), expected, "{text:.60}");
        }
        assert_eq!(HeaderForm::JsonOrBase64.read(b"{\"v\":1,\"s\":\"\xff\"}"), Err(Malformed));
    }

    #[test]
    fn what_is_written_is_read() {
        for form in [HeaderForm::Hex, HeaderForm::Base64, HeaderForm::JsonOrBase64] {
            assert_eq!(form.read(form.write(&[1, 2, 255]).as_bytes()), Ok(vec![1, 2, 255]));
        }
    }
}
