//! Signature schemes. A provider declares its scheme as data and writes no cryptography. A scheme has three
//! independent parts: what is signed ([`Part`]), how the signature is written in its header ([`HeaderForm`]),
//! and the [`Algorithm`].

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::form::{self, Unreadable};
use crate::{Delivery, HeaderForm, Keys, Refusal, Secret, ecdsa};

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
    /// ECDSA on the curve P-256 with SHA-256, checked with a public key ([`Keys::EcdsaP256`]); FIPS 186-5.
    /// The signature is an `Ecdsa-Sig-Value` in DER (RFC 3279, section 2.2.3), 8 to 72 bytes. High and low
    /// `s` are equally valid.
    EcdsaP256Sha256,
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

impl Algorithm {
    /// What a signature by this algorithm is called in messages.
    pub(crate) fn signature(self) -> &'static str {
        match self {
            Self::HmacSha256 => "a SHA-256 digest",
            Self::EcdsaP256Sha256 => "an ECDSA P-256 signature",
        }
    }

    /// Whether bytes have the shape of a signature by this algorithm.
    fn could_have_made(self, signature: &[u8]) -> bool {
        match self {
            Self::HmacSha256 => signature.len() == 32,
            Self::EcdsaP256Sha256 => ecdsa::is_signature(signature),
        }
    }
}

impl Scheme {
    /// Checks this scheme's signature on a delivery with each of the keys. Returns the position of the key that made it,
    /// counted from 0, which is the newest.
    ///
    /// # Errors
    /// A [`Refusal`]. Keys of another sort than the [`Algorithm`] takes are a [`Refusal::Mismatch`], because
    /// none of them made the signature.
    pub fn check(&self, delivery: &Delivery, keys: &Keys) -> Result<usize, Refusal> {
        let signature = self.signature(delivery)?;
        let signed = self.signed_bytes(delivery)?;
        let position = match (self.algorithm, keys) {
            (Algorithm::HmacSha256, Keys::Hmac(secrets)) => {
                secrets.iter().position(|secret| hmac(&signed, secret).verify_slice(&signature).is_ok())
            }
            (Algorithm::EcdsaP256Sha256, Keys::EcdsaP256(keys)) => {
                let digest = ecdsa::digest(&signed);
                keys.iter().position(|key| ecdsa::verifies(key, &digest, &signature))
            }
            (Algorithm::HmacSha256, Keys::EcdsaP256(_)) | (Algorithm::EcdsaP256Sha256, Keys::Hmac(_)) => None,
        };
        position.ok_or(Refusal::Mismatch { header: self.header })
    }

    /// The signature's bytes from the header. They have the shape that the algorithm makes.
    fn signature(&self, delivery: &Delivery) -> Result<Vec<u8>, Refusal> {
        let Self { header, form, algorithm, .. } = *self;
        let text = delivery.single(header)?.ok_or(Refusal::Missing { header })?;
        let unreadable = match form.read(text) {
            Ok(signature) if algorithm.could_have_made(&signature) => return Ok(signature),
            Ok(_) => Unreadable::Malformed,
            Err(unreadable) => unreadable,
        };
        Err(match (self.looks_like_another(text), unreadable) {
            (Some(found), _) => Refusal::OtherScheme { header, found, configured: algorithm },
            (None, Unreadable::Repeated) => Refusal::Repeated { header },
            (None, Unreadable::Malformed) => Refusal::Malformed { header, algorithm },
            (None, Unreadable::UnknownVersion) => Refusal::UnknownVersion { header },
        })
    }

    /// Whether a header that this scheme cannot read looks like a signature by another algorithm, and by which:
    /// the decoded bytes have the shape of its signature, or the header is a JSON object and this scheme's form
    /// is not.
    fn looks_like_another(&self, text: &[u8]) -> Option<Algorithm> {
        let (other, forms) = match self.algorithm {
            Algorithm::HmacSha256 => (Algorithm::EcdsaP256Sha256, &[HeaderForm::JsonOrBase64][..]),
            Algorithm::EcdsaP256Sha256 => {
                (Algorithm::HmacSha256, &[HeaderForm::Hex, HeaderForm::JsonOrBase64][..])
            }
        };
        let shaped =
            || forms.iter().any(|form| form.read(text).is_ok_and(|bytes| other.could_have_made(&bytes)));
        let json = other == Algorithm::EcdsaP256Sha256
            && self.form != HeaderForm::JsonOrBase64
            && form::is_json_object(text);
        (json || shaped()).then_some(other)
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
