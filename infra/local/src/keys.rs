//! What the local stack signs webhooks with: a secret that is known to everybody, or a private key that is made at the
//! first run and stays in `.local`.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use verify::{Delivery, HeaderForm, Keys, Part, PublicKeys, Scheme, Secret, Secrets};

/// What a provider signs with here.
#[derive(Clone, Copy, Debug)]
pub enum Credential {
    /// This secret. It protects nothing.
    Secret(&'static str),
    /// The private key of the local stack.
    PrivateKey,
}

/// A key that signs deliveries.
#[derive(Clone)]
pub enum SigningKey {
    /// A shared secret.
    Secret(Secret),
    /// A private key on the curve P-256.
    Private(Arc<EcdsaKeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "SigningKey::Secret(…)",
            Self::Private(_) => "SigningKey::Private(…)",
        })
    }
}

impl Credential {
    /// The key that signs.
    #[must_use]
    pub fn signing_key(self) -> SigningKey {
        match self {
            Self::Secret(secret) => SigningKey::secret(secret),
            Self::PrivateKey => SigningKey::local(),
        }
    }

    /// Another key of the same sort, which no function knows.
    #[must_use]
    pub fn another(self) -> SigningKey {
        match self {
            Self::Secret(_) => SigningKey::secret("a guess"),
            Self::PrivateKey => SigningKey::new_private(),
        }
    }

    /// What functions are given to check signatures with: the secret, or the public key in PEM on one line.
    #[must_use]
    pub fn for_functions(self) -> String {
        match self {
            Self::Secret(secret) => secret.to_owned(),
            Self::PrivateKey => {
                self.signing_key().public_key().unwrap_or_default().replace('\n', " ").trim().to_owned()
            }
        }
    }

    /// What a shell signs with: the secret, or the file of the private key.
    #[must_use]
    pub fn for_shell(self) -> String {
        match self {
            Self::Secret(secret) => secret.to_owned(),
            Self::PrivateKey => {
                let _ = LazyLock::force(&LOCAL_KEY);
                private_key_file().display().to_string()
            }
        }
    }
}

impl SigningKey {
    /// The private key of the local stack.
    #[must_use]
    pub fn local() -> Self {
        LOCAL_KEY.clone()
    }

    /// A shared secret from its text.
    ///
    /// # Panics
    /// When no character of the text is visible.
    #[must_use]
    pub fn secret(text: &str) -> Self {
        Self::Secret(Secret::new(text).expect("a secret is not empty"))
    }

    /// A new private key.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new_private() -> Self {
        Self::Private(Arc::new(new_key()))
    }

    /// A private key in PEM, as openssl writes it: `EC PRIVATE KEY` (RFC 5915) or `PRIVATE KEY` (PKCS #8).
    ///
    /// # Errors
    /// It is no private key on the curve P-256. The error has nothing of the text.
    pub fn from_pem(text: &str) -> Result<Self> {
        let after = text.find(" PRIVATE KEY-----").context("there is no private key in the text")?;
        let body = text[after..].split("-----").nth(1).unwrap_or_default();
        let base64: String = body.split_whitespace().collect();
        let der = BASE64.decode(base64).ok().context("the private key is not in PEM")?;
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der);
        Ok(Self::Private(Arc::new(key.ok().context("the private key is none of the curve P-256")?)))
    }

    /// Signs a delivery as its sender would. Returns the value of the scheme's header.
    ///
    /// # Panics
    /// When the scheme takes another sort of key, or a header that is signed is missing.
    #[must_use]
    pub fn sign(&self, scheme: &Scheme, delivery: &Delivery) -> String {
        match self {
            Self::Secret(secret) => secret.sign(scheme, delivery).expect("all that is signed is there"),
            Self::Private(key) => {
                assert!(scheme.signed == [Part::Body] && scheme.form == HeaderForm::JsonOrBase64);
                let signature = key.sign(&SystemRandom::new(), &delivery.body).expect("a key of P-256 signs");
                format!(r#"{{"v":"1","s":"{}"}}"#, BASE64.encode(signature.as_ref()))
            }
        }
    }

    /// Signs a delivery and puts the signature into the scheme's header.
    ///
    /// # Panics
    /// As [`sign`](Self::sign).
    pub fn add_to(&self, delivery: &mut Delivery, scheme: &Scheme) {
        let signature = self.sign(scheme, delivery).parse().expect("every form is fit for a header");
        delivery.headers.insert(scheme.header, signature);
    }

    /// The keys that verify what this key signs.
    ///
    /// # Panics
    /// When a public key that was made here cannot be read.
    #[must_use]
    pub fn keys(&self) -> Keys {
        match self {
            Self::Secret(secret) => Secrets::new(secret.clone(), vec![]).into(),
            Self::Private(_) => {
                let pem = self.public_key().unwrap_or_default();
                PublicKeys::parse_pem(&pem).expect("a public key in PEM").into()
            }
        }
    }

    /// The private key in PEM. `None` of a secret.
    ///
    /// # Panics
    /// When a key that was made or read here cannot be written.
    #[must_use]
    pub fn private_key(&self) -> Option<String> {
        let Self::Private(key) = self else { return None };
        let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().expect("the key can be written");
        Some(pem("EC PRIVATE KEY", der.as_ref()))
    }

    /// The public key in PEM. `None` of a secret.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        let Self::Private(key) = self else { return None };
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().expect("the key has a public part");
        Some(pem("PUBLIC KEY", der.as_ref()))
    }
}

/// The private key of the local stack: made at the first run, and the same in all later ones.
static LOCAL_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| local_key().unwrap_or_else(|error| panic!("no private key: {error:#}")));

fn private_key_file() -> PathBuf {
    crate::scratch().join("private-key.pem")
}

/// Reads the key's file, and makes it first if there is none. Two processes that do so at once get the same key.
fn local_key() -> Result<SigningKey> {
    let file = private_key_file();
    if !file.is_file() {
        std::fs::create_dir_all(crate::scratch())?;
        let own = file.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&own, SigningKey::new_private().private_key().unwrap_or_default())?;
        let linked = std::fs::hard_link(&own, &file);
        std::fs::remove_file(&own)?;
        ensure!(linked.is_ok() || file.is_file(), "cannot write {}", file.display());
    }
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    SigningKey::from_pem(&text).with_context(|| format!("{} is of no use; delete it", file.display()))
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("the system has random numbers")
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signs_verifies_with_its_own_keys_only() {
        for credential in [Credential::Secret("s"), Credential::PrivateKey] {
            let (key, other) = (credential.signing_key(), credential.another());
            let scheme = match key {
                SigningKey::Secret(_) => umaaas::SIGNATURE,
                SigningKey::Private(_) => grid::SIGNATURE,
            };
            let mut delivery = Delivery::new("/", "{}");
            delivery.headers.insert(scheme.header, key.sign(&scheme, &delivery).parse().unwrap());
            assert!(scheme.check(&delivery, &key.keys()).is_ok());
            assert!(scheme.check(&delivery, &other.keys()).is_err());
            let text = format!("{key:?}");
            assert!(text.ends_with("(…)"), "{text}");
        }
        let again = Credential::PrivateKey.for_functions();
        assert_eq!(again, Credential::PrivateKey.for_functions());
        assert!(!again.contains('\n') && PublicKeys::parse_pem(&again).is_ok());
    }

    #[test]
    fn a_key_of_openssl_is_read() {
        for arguments in [
            &["ecparam", "-name", "prime256v1", "-genkey", "-noout"][..],
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ] {
            let made = std::process::Command::new("openssl").args(arguments).output().unwrap();
            let text = String::from_utf8(made.stdout).unwrap();
            let key = SigningKey::from_pem(&text).unwrap();
            let again = SigningKey::from_pem(&key.private_key().unwrap()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
        }
        for wrong in
            ["", "-----BEGIN PUBLIC KEY-----", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
        {
            assert!(SigningKey::from_pem(wrong).is_err(), "{wrong}");
        }
    }
}
