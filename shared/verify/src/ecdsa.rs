//! ECDSA with P-256 and SHA-256: the shape of a signature, and its check with a public key.

use aws_lc_rs::digest::{Context, Digest, SHA256};

use crate::PublicKey;

/// The most bytes of a number modulo the order of P-256.
const NUMBER_BYTES: usize = 32;

/// The SHA-256 of the pieces, one after the other.
pub(crate) fn digest(signed: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for piece in signed {
        context.update(piece);
    }
    context.finish()
}

/// Whether a signature verifies with a key. A signature with a high `s` is genuine too: signers choose `s` or its
/// complement at random unless they normalise it.
pub(crate) fn verifies(key: &PublicKey, digest: &Digest, signature: &[u8]) -> bool {
    key.parsed().verify_digest_sig(digest, signature).is_ok()
}

/// Whether bytes have the shape of a signature for P-256: `Ecdsa-Sig-Value` (RFC 3279, section 2.2.3) in DER,
/// two positive numbers of at most 32 bytes, and nothing after them. This does not check the signature.
pub(crate) fn is_signature(der: &[u8]) -> bool {
    // The two numbers take at most 70 bytes, so DER writes the length in one byte.
    let [0x30, length, numbers @ ..] = der else { return false };
    usize::from(*length) == numbers.len() && after_number(numbers).and_then(after_number) == Some(&[])
}

/// The bytes after a positive INTEGER in DER. `None` when the bytes do not begin with such a number.
fn after_number(der: &[u8]) -> Option<&[u8]> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    let magnitude = match number {
        // DER allows a leading zero byte only before a byte of 0x80 or more, which would make the number negative.
        [0, magnitude @ ..] if magnitude.first() >= Some(&0x80) => magnitude,
        [1..0x80, ..] => number,
        _ => return None,
    };
    (magnitude.len() <= NUMBER_BYTES).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let number = |bytes: &[u8]| [&[2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
        let pair = |r: &[u8], s: &[u8]| {
            let numbers = [number(r), number(s)].concat();
            [vec![0x30, u8::try_from(numbers.len()).unwrap()], numbers].concat()
        };
        let long = [[0].as_slice(), &[0xff; 32]].concat();
        for (r, s, expected) in [
            ([1].as_slice(), [1].as_slice(), true),
            (&[0x7f; 32], &[0x7f; 32], true),
            (&long, &long, true),
            (&[0, 0x80], &[1], true),
            (&[0], &[1], false),
            (&[1], &[0], false),
            (&[], &[1], false),
            (&[0x80], &[1], false),
            (&[0, 0x7f], &[1], false),
            (&[0, 0], &[1], false),
            (&[1; 33], &[1], false),
            (&[1], &[[0].as_slice(), &[0xff; 33]].concat(), false),
        ] {
            assert_eq!(is_signature(&pair(r, s)), expected, "{r:x?} {s:x?}");
        }
        let good = pair(&[0x7f; 32], &long);
        for end in 0..good.len() {
            assert!(!is_signature(&good[..end]), "{end}");
        }
        assert!(!is_signature(&[good.as_slice(), &[0]].concat()));
        // lengths in BER, a number too many, and another type of number
        for other in [
            &[0x30, 0x81, 6, 2, 1, 1, 2, 1, 1][..],
            &[0x30, 7, 2, 0x81, 1, 1, 2, 1, 1],
            &[0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0],
            &[0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1],
            &[0x30, 6, 2, 1, 1, 10, 1, 1],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
        ] {
            assert!(!is_signature(other), "{other:x?}");
        }
    }
}
