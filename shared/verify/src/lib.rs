//! Proves who sent a delivery.
//!
//! [`Delivery`] is what arrived; [`Verified<Delivery>`](Verified) is what a provider signed. Only
//! [`Verifier::verify`] makes the second out of the first, so a function that takes a `Verified<_>`
//! cannot be reached by a forgery. Parsing, recording and replying are other crates' work; nothing
//! here reads a clock, does I/O or knows AWS.
//!
//! ```
//! use verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Scheme, Secrets, Verifier};
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
mod form;
mod freshness;
mod keys;
mod refusal;
mod scheme;
mod secret;
mod signing;
mod verifier;

pub use delivery::Delivery;
pub use form::HeaderForm;
pub use freshness::{FUTURE_SKEW, Stale, Tolerance};
pub use keys::Keys;
pub use refusal::Refusal;
pub use scheme::{Algorithm, Part, Scheme};
pub use secret::{NoSecret, Secret, Secrets, is_invisible};
pub use verifier::{Verified, Verifier};
