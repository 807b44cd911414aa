//! Proves who sent a delivery.
//!
//! [`Delivery`] is what arrived; [`Verified<Delivery>`](Verified) is what a provider signed. Only
//! [`Verifier::verify`] makes the second out of the first, so a function that takes a `Verified<_>`
//! cannot be reached by a forgery. Parsing, recording and replying are other crates' work; nothing
//! here reads a clock, does I/O or knows AWS.
//!
//! ```
//! use verify::{Delivery, Encoding, Part, Scheme, Secrets, Verifier};
//!
//! const SCHEME: Scheme = Scheme { header: "x-signature", encoding: Encoding::Hex, signed: &[Part::Body] };
//!
//! let secrets = Secrets::parse_list("newest,previous").unwrap();
//! let mut delivery = Delivery::new("/hooks", br#"{"amount":1}"#.to_vec());
//! delivery.headers.insert("x-signature", SCHEME.sign(&delivery, secrets.newest()).unwrap().parse().unwrap());
//!
//! let verified = Verifier::new(SCHEME).verify(delivery, &secrets).unwrap();
//! assert_eq!(verified.body.as_ref(), br#"{"amount":1}"#);
//! ```

mod delivery;
mod freshness;
mod refusal;
mod scheme;
mod secret;
mod verifier;

pub use delivery::Delivery;
pub use freshness::{FUTURE_SKEW, Stale, Tolerance};
pub use refusal::Refusal;
pub use scheme::{Encoding, Part, Scheme};
pub use secret::{NoSecret, Secret, Secrets, is_invisible};
pub use verifier::{Verified, Verifier};
