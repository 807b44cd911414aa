//! Signature schemes, declared rather than coded: which header carries the digest, how the digest
//! is written, and what was signed. Every scheme is an HMAC-SHA256 under a shared secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Delivery, Refusal, Secret, Secrets};

/// One way to sign a delivery with HMAC-SHA256.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// The header that carries the digest, in lower case. Header names have no case.
    pub header: &'static str,
    /// How the digest is written there.
    pub encoding: Encoding,
    /// What is signed, joined without separators.
    pub signed: &'static [Part],
}

/// How a digest is written in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, in either case.
    Hex,
    /// Base64 with the standard alphabet and padding.
    Base64,
}

/// A piece of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The body, byte for byte.
    Body,
    /// The text of a header that has to be there once and holds no comma, such as a timestamp.
    Header(&'static str),
    /// The text of a header that may be absent, which signs as nothing.
    OptionalHeader(&'static str),
}

impl Scheme {
    /// Checks this scheme's signature on a delivery. Comparison is constant-time, on the decoded
    /// digest.
    ///
    /// # Errors
    /// A [`Refusal`], see there.
    pub fn check(&self, delivery: &Delivery, secrets: &Secrets) -> Result<(), Refusal> {
        let header = self.header;
        let text = delivery.unjoined(header)?.ok_or(Refusal::Missing { header })?;
        let digest = self.encoding.decode(text).ok_or(Refusal::Malformed { header })?;
        for secret in secrets.iter() {
            if self.mac(delivery, secret)?.verify_slice(&digest).is_ok() {
                return Ok(());
            }
        }
        Err(Refusal::Mismatch { header })
    }

    /// Signs a delivery as its sender would: the value of this scheme's header.
    ///
    /// # Errors
    /// [`Refusal`] when a header that is part of what is signed is missing or repeated.
    pub fn sign(&self, delivery: &Delivery, secret: &Secret) -> Result<String, Refusal> {
        let digest = self.mac(delivery, secret)?.finalize().into_bytes();
        Ok(match self.encoding {
            Encoding::Hex => hex::encode(digest),
            Encoding::Base64 => BASE64.encode(digest),
        })
    }

    fn mac(&self, delivery: &Delivery, secret: &Secret) -> Result<Hmac<Sha256>, Refusal> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC takes keys of any length");
        for part in self.signed {
            match *part {
                Part::Body => mac.update(&delivery.body),
                Part::Header(header) => {
                    mac.update(delivery.unjoined(header)?.ok_or(Refusal::Missing { header })?);
                }
                Part::OptionalHeader(header) => mac.update(delivery.single(header)?.unwrap_or_default()),
            }
        }
        Ok(mac)
    }
}

impl Encoding {
    /// The digest, or nothing when the text is not exactly one.
    fn decode(self, text: &[u8]) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        match self {
            Self::Hex => hex::decode_to_slice(text, &mut digest).ok()?,
            Self::Base64 => digest = BASE64.decode(text).ok()?.try_into().ok()?,
        }
        Some(digest)
    }
}
