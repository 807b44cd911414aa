//! Signature schemes. A provider declares its scheme as data and writes no cryptography. A scheme has three
//! independent parts: what is signed ([`Part`]), how the signature is written in its header ([`HeaderForm`]),
//! and the [`Algorithm`].

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Delivery, HeaderForm, Keys, Refusal, Secret};

/// One way to sign a delivery.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// The header that carries the signature, in lower case. Header names are case-insensitive.
    pub header: &'static str,
    /// How the signature is written in that header.
    pub form: HeaderForm,
    /// How the signature is made, and with which sort of key.
    pub algorithm: Algorithm,
    /// What is signed: these parts, one after the other, without separators.
    pub signed: &'static [Part],
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 under a shared secret ([`Keys::Hmac`]); RFC 2104. The signature has 32 bytes.
    HmacSha256,
}

/// A piece of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The body, byte for byte.
    Body,
    /// The text of a header that must occur exactly once and contain no comma, such as a timestamp.
    Header(&'static str),
    /// The text of a header that may be absent. An absent header adds no bytes.
    OptionalHeader(&'static str),
}

impl Scheme {
    /// Checks this scheme's signature on a delivery with each of the keys.
    ///
    /// # Errors
    /// A [`Refusal`]. Keys of another sort than the [`Algorithm`] takes are a [`Refusal::Mismatch`], because
    /// none of them made the signature.
    pub fn check(&self, delivery: &Delivery, keys: &Keys) -> Result<(), Refusal> {
        let header = self.header;
        let signature = self.form.read(delivery, header)?;
        let genuine = match self.algorithm {
            Algorithm::HmacSha256 => {
                let digest: [u8; 32] = signature.try_into().map_err(|_| Refusal::Malformed { header })?;
                let signed = self.signed_bytes(delivery)?;
                let Keys::Hmac(secrets) = keys;
                secrets.iter().any(|secret| hmac(&signed, secret).verify_slice(&digest).is_ok())
            }
        };
        if genuine { Ok(()) } else { Err(Refusal::Mismatch { header }) }
    }

    /// The bytes that are signed, in pieces and in order.
    ///
    /// # Errors
    /// [`Refusal`] when a header that is signed is missing or repeated.
    pub(crate) fn signed_bytes<'d>(&self, delivery: &'d Delivery) -> Result<Vec<&'d [u8]>, Refusal> {
        let bytes = |part: &Part| match *part {
            Part::Body => Ok(delivery.body.as_ref()),
            Part::Header(header) => delivery.unjoined(header)?.ok_or(Refusal::Missing { header }),
            Part::OptionalHeader(header) => Ok(delivery.single(header)?.unwrap_or_default()),
        };
        self.signed.iter().map(bytes).collect()
    }
}

/// The HMAC of the pieces under a secret. The caller compares it in constant time with `verify_slice`.
pub(crate) fn hmac(signed: &[&[u8]], secret: &Secret) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC takes keys of any length");
    for piece in signed {
        mac.update(piece);
    }
    mac
}
