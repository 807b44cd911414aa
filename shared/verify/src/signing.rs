//! Signing as a sender does, for tools and tests. Only a shared secret can sign: the receiver of a public key
//! does not have the private key. Nothing that verifies a delivery calls this module.

use hmac::Mac;

use crate::scheme::hmac;
use crate::{Algorithm, Delivery, Refusal, Scheme, Secret};

impl Secret {
    /// Signs a delivery as its sender would. Returns the value of the scheme's header.
    ///
    /// # Errors
    /// [`Refusal`] when a header that is part of what is signed is missing or repeated.
    pub fn sign(&self, scheme: &Scheme, delivery: &Delivery) -> Result<String, Refusal> {
        let signed = scheme.signed_bytes(delivery)?;
        let signature = match scheme.algorithm {
            Algorithm::HmacSha256 => hmac(&signed, self).finalize().into_bytes(),
        };
        Ok(scheme.form.write(&signature))
    }
}
