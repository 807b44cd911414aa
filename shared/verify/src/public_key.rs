//! The public keys that a sender's signatures are checked with. During a rotation several are valid, newest
//! first.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::is_invisible;

/// One public key on the curve P-256. `Debug` prints the first eight bytes of the SHA-256 of its DER form.
#[derive(Clone)]
pub struct PublicKey(ParsedPublicKey);

/// All public keys that are valid now: at least one, newest first.
///
/// ```
/// use webhook_verify::{PublicKeyError, PublicKeys};
///
/// let text = "
/// -----BEGIN PUBLIC KEY-----
/// MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsLrLOjINj/tNUt232hPjnI6ciTjC
/// mwzt3TYOBdUND47+yarcvksAaT5snDBa/wOYMsrjmgsG9x+5LDCbfhEbww==
/// -----END PUBLIC KEY-----
/// ";
/// assert_eq!(PublicKeys::parse_pem(text).unwrap().iter().count(), 1);
///
/// let text = text.replace("PUBLIC", "PRIVATE");
/// assert!(matches!(PublicKeys::parse_pem(&text), Err(PublicKeyError::OtherKind { block: 1, .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeys(Vec<PublicKey>);

/// Why a text is not a list of public keys. Blocks are counted from 1. No variant holds any part of the text.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublicKeyError {
    /// The text is empty.
    #[error("a list of public keys needs at least one PEM block `PUBLIC KEY`")]
    Empty,
    /// Something that is not a PEM block stands before, between or after the blocks.
    #[error("PEM block {block} should begin with `-----BEGIN PUBLIC KEY-----`, and other text stands there")]
    NotPem {
        /// The block that should begin there.
        block: usize,
    },
    /// A PEM block holds something else than a public key, such as a private key or a certificate.
    #[error("PEM block {block} is {found}, and has to be a `PUBLIC KEY`")]
    OtherKind {
        /// Which block.
        block: usize,
        /// What it is.
        found: &'static str,
    },
    /// A PEM block has no end.
    #[error("PEM block {block} has no `-----END PUBLIC KEY-----`")]
    Unfinished {
        /// Which block.
        block: usize,
    },
    /// The text of a PEM block is not base64. That may be because a part of it is missing.
    #[error("PEM block {block} is not valid base64")]
    NotBase64 {
        /// Which block.
        block: usize,
    },
    /// The bytes of a PEM block are not one complete `SubjectPublicKeyInfo`.
    #[error("PEM block {block} is truncated, or is no public key in DER")]
    NotPublicKeyInfo {
        /// Which block.
        block: usize,
    },
    /// A public key for another curve or algorithm.
    #[error("PEM block {block} holds {found}, and has to hold a key on the curve P-256")]
    OtherAlgorithm {
        /// Which block.
        block: usize,
        /// Which sort of key it holds.
        found: &'static str,
    },
    /// A public key that says it is on P-256, and is not a point on this curve.
    #[error("PEM block {block} holds no valid point on the curve P-256")]
    NotOnCurve {
        /// Which block.
        block: usize,
    },
}

impl PublicKeys {
    /// Reads PEM blocks `PUBLIC KEY` (RFC 7468, section 13), one after the other, newest key first.
    ///
    /// White space is ignored everywhere. A text whose line ends became spaces in an environment variable is
    /// therefore accepted.
    ///
    /// # Errors
    /// [`PublicKeyError`] says which block is wrong and what was found in it. One wrong block fails the whole text:
    /// without this key, genuine deliveries would be refused.
    pub fn parse_pem(text: &str) -> Result<Self, PublicKeyError> {
        let mut keys = Vec::new();
        let mut rest = text.trim_matches(is_invisible);
        while !rest.is_empty() {
            let (der, after) = block(rest, keys.len() + 1)?;
            keys.push(PublicKey::from_der(&der, keys.len() + 1)?);
            rest = after.trim_start_matches(is_invisible);
        }
        if keys.is_empty() { Err(PublicKeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// Every valid key, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.iter()
    }
}

impl From<PublicKey> for PublicKeys {
    fn from(key: PublicKey) -> Self {
        Self(vec![key])
    }
}

/// The DER of the PEM block at the beginning of a text, and what follows the block.
fn block(text: &str, block: usize) -> Result<(Vec<u8>, &str), PublicKeyError> {
    let begun = text.strip_prefix("-----BEGIN ").and_then(|text| text.split_once("-----"));
    let (label, text) = begun.ok_or(PublicKeyError::NotPem { block })?;
    if label != "PUBLIC KEY" {
        return Err(PublicKeyError::OtherKind { block, found: kind(label) });
    }
    let unfinished = PublicKeyError::Unfinished { block };
    let (base64, text) = text.split_once("-----END PUBLIC KEY-----").ok_or(unfinished)?;
    if base64.contains("-----") {
        // The end of a later block.
        return Err(unfinished);
    }
    let base64: String = base64.chars().filter(|c| !is_invisible(*c)).collect();
    let der = BASE64.decode(base64).map_err(|_| PublicKeyError::NotBase64 { block })?;
    Ok((der, text))
}

/// What a PEM block with this label is.
fn kind(label: &str) -> &'static str {
    match label {
        _ if label.ends_with("PRIVATE KEY") => "a private key, which must stay with the sender",
        "RSA PUBLIC KEY" => "an RSA public key",
        _ if label.ends_with("CERTIFICATE") => "a certificate",
        _ if label.ends_with("CERTIFICATE REQUEST") => "a certificate request",
        _ if label.ends_with("PARAMETERS") => "a set of parameters without a key",
        _ => "of another kind",
    }
}

/// `AlgorithmIdentifier`s in DER, and what a key with one of them is (RFC 5480, RFC 8017, RFC 8410). Only the first
/// one is accepted.
const ALGORITHMS: [(&[u8], &str); 8] = [
    (b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "a P-256 key"),
    (b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", "a P-384 key"),
    (b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23", "a P-521 key"),
    (b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a", "a secp256k1 key"),
    (b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", "an RSA key"),
    (b"\x30\x05\x06\x03\x2b\x65\x70", "an Ed25519 key"),
    (b"\x30\x05\x06\x03\x2b\x65\x71", "an Ed448 key"),
    (b"\x30\x05\x06\x03\x2b\x65\x6e", "an X25519 key"),
];

/// The object identifier `id-ecPublicKey` in DER (RFC 5480, section 2.1.1).
const ELLIPTIC_CURVE: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";

impl PublicKey {
    /// A key from its `SubjectPublicKeyInfo`.
    fn from_der(der: &[u8], block: usize) -> Result<Self, PublicKeyError> {
        let info = sequence(der).ok_or(PublicKeyError::NotPublicKeyInfo { block })?;
        match ALGORITHMS.iter().position(|(identifier, _)| info.starts_with(identifier)) {
            Some(0) => {}
            Some(other) => {
                return Err(PublicKeyError::OtherAlgorithm { block, found: ALGORITHMS[other].1 });
            }
            None => {
                // The identifier begins with a tag and a length, which takes up to three bytes.
                let begins = info.windows(ELLIPTIC_CURVE.len()).take(5);
                let found = match info.first() {
                    Some(0x30) if begins.into_iter().any(|bytes| bytes == ELLIPTIC_CURVE) => {
                        "a key on another elliptic curve, or on one that is not named"
                    }
                    Some(0x30) => "a key for an unknown algorithm",
                    _ => return Err(PublicKeyError::NotPublicKeyInfo { block }),
                };
                return Err(PublicKeyError::OtherAlgorithm { block, found });
            }
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der)
            .map(Self)
            .map_err(|_| PublicKeyError::NotOnCurve { block })
    }

    /// The key as `aws-lc-rs` has it.
    pub(crate) fn parsed(&self) -> &ParsedPublicKey {
        &self.0
    }
}

/// The content of a SEQUENCE in DER that takes up all of the bytes.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (length, content) = match der {
        [0x30, length @ ..=0x7f, content @ ..] => (usize::from(*length), content),
        [0x30, 0x81, length, content @ ..] => (usize::from(*length), content),
        [0x30, 0x82, high, low, content @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), content),
        _ => return None,
    };
    (length == content.len()).then_some(content)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref() == other.0.as_ref()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = digest(&SHA256, self.0.as_ref());
        write!(f, "PublicKey({})", hex::encode(&digest.as_ref()[..8]))
    }
}
