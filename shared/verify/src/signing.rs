//! Signing as a sender does, for tools and tests. Only a shared secret can sign: the receiver of a public key
//! does not have the private key. Nothing that verifies a delivery calls this module.

use hmac::Mac;

use crate::scheme::hmac;
use crate::{Algorithm, Delivery, Refusal, Scheme, Secret};

impl Secret {
    /// Signs a delivery as its sender would. Returns the value of the scheme's header.
    ///
    /// # Errors
    /// [`Refusal`] when a header that is part of what is signed is missing or repeated, and
    /// [`Refusal::OtherScheme`] when the scheme takes the signature of a private key.
    pub fn sign(&self, scheme: &Scheme, delivery: &Delivery) -> Result<String, Refusal> {
        let signed = scheme.signed_bytes(delivery)?;
        let signature = match scheme.algorithm {
            Algorithm::HmacSha256 => hmac(&signed, self).finalize().into_bytes(),
            Algorithm::EcdsaP256Sha256 => {
                let found = Algorithm::HmacSha256;
                return Err(Refusal::OtherScheme {
                    header: scheme.header,
                    found,
                    configured: scheme.algorithm,
                });
            }
        };
        Ok(scheme.form.write(&signature))
    }
}
