//! The keys that signatures are checked with.

use crate::{PublicKeys, Secrets};

/// All keys of one provider that are valid now. All of them are of one sort, the one that the scheme's
/// [`Algorithm`](crate::Algorithm) takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Shared secrets, for [`Algorithm::HmacSha256`](crate::Algorithm::HmacSha256).
    Hmac(Secrets),
    /// Public keys, for [`Algorithm::EcdsaP256Sha256`](crate::Algorithm::EcdsaP256Sha256).
    EcdsaP256(PublicKeys),
}

impl From<Secrets> for Keys {
    fn from(secrets: Secrets) -> Self {
        Self::Hmac(secrets)
    }
}

impl From<PublicKeys> for Keys {
    fn from(keys: PublicKeys) -> Self {
        Self::EcdsaP256(keys)
    }
}
