//! Proves who sent a delivery.
//!
//! A [`Delivery`] is one POST as it arrived. A [`Verified<Delivery>`](Verified) is a delivery whose signature
//! was checked. Only [`Verifier::verify`] makes a `Verified`, so a forged delivery never reaches a function
//! that takes a `Verified`. Other crates parse, record and reply. This crate reads no clock, does no I/O and
//! does not depend on AWS.
//!
//! | type | holds |
//! |---|---|
//! | [`Scheme`] | how a provider signs: the header, its [`HeaderForm`], the [`Algorithm`], the signed [`Part`]s |
//! | [`Keys`] | the keys that are valid now, several during a rotation |
//! | [`Verifier`] | the scheme that is required, and one that is checked when its header is present |
//! | [`Refusal`] | why a delivery was refused |
//! | [`Tolerance`] | how old a delivery may be |
//!
//! [`Secret::sign`] signs like a sender, for tools and tests.
//!
//! ```
//! use webhook_verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Scheme, Secrets, Verifier};
//!
//! const SCHEME: Scheme = Scheme {
//!     header: "x-signature",
//!     form: HeaderForm::Hex,
//!     algorithm: Algorithm::HmacSha256,
//!     signed: &[Part::Body],
//! };
//!
//! let secrets = Secrets::parse_list("newest,previous").unwrap();
//! let mut delivery = Delivery::new("/hooks", br#"{"amount":1}"#.to_vec());
//! let signature = secrets.newest().sign(&SCHEME, &delivery).unwrap();
//! delivery.headers.insert(SCHEME.header, signature.parse().unwrap());
//!
//! let verified = Verifier::new(SCHEME).verify(delivery, &Keys::Hmac(secrets)).unwrap();
//! assert_eq!(verified.body.as_ref(), br#"{"amount":1}"#);
//! ```

mod delivery;
mod ecdsa;
mod form;
mod freshness;
mod keys;
mod public_key;
mod refusal;
mod scheme;
mod secret;
mod signing;
mod verifier;

pub use delivery::Delivery;
pub use form::HeaderForm;
pub use freshness::{FUTURE_SKEW, Stale, Tolerance};
pub use keys::Keys;
pub use public_key::{PublicKey, PublicKeyError, PublicKeys};
pub use refusal::Refusal;
pub use scheme::{Algorithm, Part, Scheme};
pub use secret::{NoSecret, Secret, Secrets, is_invisible};
pub use verifier::{Verified, Verifier};
