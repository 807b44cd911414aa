//! The secrets that a sender may have signed with. During a rotation several are valid, newest first.

use std::fmt;

/// How a key in PEM begins. A public key is public: as an HMAC secret it would let everybody sign.
const PEM: &str = "-----BEGIN";

/// One shared secret. `Debug` prints a placeholder instead of the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret from its text. [Invisible](is_invisible) characters at both ends are removed, because editors
    /// and consoles add them. `None` when no other character is left, and for a key in PEM.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim_matches(is_invisible);
        (!text.is_empty() && !text.contains(PEM)).then(|| Self(text.to_owned()))
    }

    /// The key bytes: the text in UTF-8, as UMAaaS and Weavr define it.
    pub(crate) fn key(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether a character is white space, a control character, or a mark without width: U+00AD, U+200B to
/// U+200F, U+202A to U+202E, U+2060 to U+2064, U+FEFF.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    const MARKS: [std::ops::RangeInclusive<char>; 5] = [
        '\u{ad}'..='\u{ad}',
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{2064}',
        '\u{feff}'..='\u{feff}',
    ];
    c.is_whitespace() || c.is_control() || MARKS.iter().any(|marks| marks.contains(&c))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// All secrets that are valid now: at least one, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    newest: Secret,
    older: Vec<Secret>,
}

/// A list that has no secret, or an entry that is empty or a key in PEM.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a list of secrets needs at least one, and none of them may be empty or a key in PEM")]
pub struct NoSecret;

impl Secrets {
    /// Reads a comma-separated list, newest first.
    ///
    /// # Errors
    /// [`NoSecret`] for an empty list, for an empty entry (an empty HMAC key would accept a signature that
    /// anybody can compute), and for a key in PEM.
    pub fn parse_list(list: &str) -> Result<Self, NoSecret> {
        let mut all = list.split(',').map(|entry| Secret::new(entry).ok_or(NoSecret));
        let newest = all.next().ok_or(NoSecret)??;
        Ok(Self { newest, older: all.collect::<Result<_, _>>()? })
    }

    /// The newest secret, and the older ones that are still valid.
    #[must_use]
    pub fn new(newest: Secret, older: Vec<Secret>) -> Self {
        Self { newest, older }
    }

    /// The secret that the sender signs with after the rotation.
    #[must_use]
    pub fn newest(&self) -> &Secret {
        &self.newest
    }

    /// Every valid secret, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let both = Secrets::parse_list(" new , old\n").unwrap();
        assert_eq!(both.iter().map(Secret::key).collect::<Vec<_>>(), [b"new".as_slice(), b"old"]);
        for marked in ["\u{feff}new,old", "\u{200b}new\u{feff} ,\u{2060} old\u{ad}", "new\0,\told"] {
            assert_eq!(Secrets::parse_list(marked).as_ref(), Ok(&both), "{marked:?}");
        }
        let pem = "-----BEGIN PUBLIC KEY----- MFkw -----END PUBLIC KEY-----";
        let after = format!("a, {pem}");
        for empty in ["", " ", "\u{feff}", "a,\u{200b}", ",", "a,", ",a", "a,,b", pem, &after] {
            assert_eq!(Secrets::parse_list(empty), Err(NoSecret), "{empty:?}");
        }
    }

    #[test]
    fn never_shown() {
        assert!(!format!("{:?}", Secrets::parse_list("hunter2,old-one").unwrap()).contains("hunter2"));
    }
}
