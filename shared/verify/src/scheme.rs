//! Signature schemes, declared rather than coded: which header carries the digest, how the digest
//! is written, and what was signed. Every scheme is an HMAC-SHA256 under a shared secret.

use std::ops::Deref;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Delivery, Secret, Secrets};

/// Something whose sender has been proven. [`Verifier::verify`] is the only function that makes one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Verified<Delivery> {
    /// The body alone, still proven.
    #[must_use]
    pub fn payload(&self) -> Verified<Bytes> {
        Verified(self.0.body.clone())
    }
}

/// Decides whether a delivery is genuine.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    required: Scheme,
    when_present: Option<Scheme>,
}

impl Verifier {
    /// A verifier that demands a signature under `required`.
    #[must_use]
    pub const fn new(required: Scheme) -> Self {
        Self { required, when_present: None }
    }

    /// Also checks `scheme` on every delivery that carries its header: a second signature that is
    /// there must be right.
    #[must_use]
    pub const fn and_when_present(mut self, scheme: Scheme) -> Self {
        self.when_present = Some(scheme);
        self
    }

    /// Checks the signature over the exact bytes received, under each valid secret.
    ///
    /// # Errors
    /// A [`Refusal`] that says what was wrong, and never what would have been right.
    pub fn verify(&self, delivery: Delivery, secrets: &Secrets) -> Result<Verified<Delivery>, Refusal> {
        self.required.check(&delivery, secrets)?;
        if let Some(scheme) = &self.when_present
            && delivery.headers.contains_key(scheme.header)
        {
            scheme.check(&delivery, secrets)?;
        }
        Ok(Verified(delivery))
    }
}

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

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A header that the scheme needs is absent.
    #[error("the {header} header is missing")]
    Missing {
        /// Which header.
        header: &'static str,
    },
    /// A header occurs more than once, or arrives joined by a comma.
    #[error("the {header} header occurs more than once")]
    Repeated {
        /// Which header.
        header: &'static str,
    },
    /// A digest that is not one: wrong length, or not in the scheme's encoding.
    #[error("the {header} header is not a SHA-256 digest in the documented encoding")]
    Malformed {
        /// Which header.
        header: &'static str,
    },
    /// A well-formed digest that no valid secret produces.
    #[error("the {header} header does not match")]
    Mismatch {
        /// Which header.
        header: &'static str,
    },
}

impl Refusal {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Repeated { .. } => "repeated",
            Self::Malformed { .. } => "malformed",
            Self::Mismatch { .. } => "mismatch",
        }
    }
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
