//! How a signature is written in its header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::{Delivery, Refusal};

/// How a signature is written in its header, and how two values in one header look there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderForm {
    /// Hexadecimal, in upper or lower case. A comma separates two values.
    Hex,
    /// Base64 with the standard alphabet and padding (RFC 4648, section 4). A comma separates two values.
    Base64,
}

impl HeaderForm {
    /// The signature's bytes, decoded from the header.
    ///
    /// # Errors
    /// [`Refusal::Missing`], [`Refusal::Repeated`] or [`Refusal::Malformed`].
    pub(crate) fn read(self, delivery: &Delivery, header: &'static str) -> Result<Vec<u8>, Refusal> {
        let text = match self {
            Self::Hex | Self::Base64 => delivery.unjoined(header)?,
        };
        let text = text.ok_or(Refusal::Missing { header })?;
        let signature = match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        };
        signature.ok_or(Refusal::Malformed { header })
    }

    /// The header's value for a signature.
    pub(crate) fn write(self, signature: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(signature),
            Self::Base64 => BASE64.encode(signature),
        }
    }
}
