//! SHA-256, as keys, ids and records have it.

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The SHA-256 of a document without one range of its bytes, in lower-case hexadecimal.
pub(crate) fn sha256_hex_without(document: &[u8], range: std::ops::Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&document[..range.start]);
    hash.update(&document[range.end..]);
    hex::encode(hash.finalize())
}
