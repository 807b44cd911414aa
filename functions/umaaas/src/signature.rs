//! How UMAaaS signs, in the header `X-UMAaas-Signature` (UMAaaS `WebhooksApi`, "Authentication"). The version of
//! the API decides which of two signatures the header has, and a deployment accepts one of them.

use aws::{Environment, KeyVariables, SettingsError, Unset, Variable};
use verify::{Algorithm, HeaderForm, Part, Scheme};

/// The signature of the 2025-04-19 API: the hex HMAC-SHA256 of the raw body under the webhook secret.
pub const SIGNATURE: Scheme = Scheme {
    header: "x-umaaas-signature",
    form: HeaderForm::Hex,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Body],
};

/// The signature since the API of 2025-05-30: ECDSA P-256 with SHA-256 over the raw body, as for Grid.
pub const SIGNATURE_ECDSA: Scheme =
    Scheme { form: HeaderForm::JsonOrBase64, algorithm: Algorithm::EcdsaP256Sha256, ..SIGNATURE };

/// The environment variables for the webhook secrets.
pub const SECRETS: KeyVariables =
    KeyVariables::secrets("UMAAAS_WEBHOOK_SECRETS", "UMAAAS_WEBHOOK_SECRETS_ARN");

/// The environment variables for the public keys.
pub const PUBLIC_KEYS: KeyVariables =
    KeyVariables::public_keys("UMAAAS_PUBLIC_KEYS", "UMAAAS_PUBLIC_KEYS_ARN");

pub(crate) const UMAAAS_SIGNATURE: Variable = Variable::new(
    "UMAAAS_SIGNATURE",
    Unset::Default("hmac"),
    "`hmac`: UMAaaS signs with a secret (API of 2025-04-19); of the variables with keys, only those with secrets count. \
     `ecdsa`: UMAaaS signs with a private key (API since 2025-05-30); only those with public keys count. The other \
     signature is refused, with the reason `other_scheme`",
);

/// Which of the two signatures is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// [`SIGNATURE`], checked with [`SECRETS`].
    #[default]
    Hmac,
    /// [`SIGNATURE_ECDSA`], checked with [`PUBLIC_KEYS`].
    Ecdsa,
}

impl Signing {
    /// The choice in `UMAAAS_SIGNATURE`.
    pub(crate) fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        match environment.required(&UMAAAS_SIGNATURE)?.trim() {
            "hmac" => Ok(Self::Hmac),
            "ecdsa" => Ok(Self::Ecdsa),
            _ => Err(UMAAAS_SIGNATURE.wrong("hmac or ecdsa")),
        }
    }

    /// The variables with the keys for the signature that `UMAAAS_SIGNATURE` names.
    ///
    /// # Errors
    /// [`SettingsError`], which names the variable.
    pub fn keys(environment: &Environment) -> Result<KeyVariables, SettingsError> {
        Ok(match Self::from_environment(environment)? {
            Self::Hmac => SECRETS,
            Self::Ecdsa => PUBLIC_KEYS,
        })
    }

    /// The scheme of the signature.
    pub(crate) fn scheme(self) -> Scheme {
        match self {
            Self::Hmac => SIGNATURE,
            Self::Ecdsa => SIGNATURE_ECDSA,
        }
    }
}
