//! The keys that signatures are checked with.

use crate::Secrets;

/// All keys of one provider that are valid now. All of them are of one sort, the one that the scheme's
/// [`Algorithm`](crate::Algorithm) takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Shared secrets, for [`Algorithm::HmacSha256`](crate::Algorithm::HmacSha256).
    Hmac(Secrets),
}

impl From<Secrets> for Keys {
    fn from(secrets: Secrets) -> Self {
        Self::Hmac(secrets)
    }
}
