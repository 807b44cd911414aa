//! The verifier, and the type that proves that it was asked.

use std::ops::Deref;

use bytes::Bytes;

use crate::{Delivery, Keys, Refusal, Scheme};

/// Something whose sender has been proven. [`Verifier::verify`] is the only function that makes one.
#[derive(Clone, Debug)]
pub struct Verified<T>(T);

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Verified<Delivery> {
    /// The body alone, still proven.
    #[must_use]
    pub fn payload(&self) -> Verified<Bytes> {
        Verified(self.0.body.clone())
    }
}

/// Decides whether a delivery is genuine.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    required: Scheme,
    when_present: Option<Scheme>,
}

impl Verifier {
    /// A verifier that demands a signature under `required`.
    #[must_use]
    pub const fn new(required: Scheme) -> Self {
        Self { required, when_present: None }
    }

    /// Also checks `scheme` on every delivery that carries its header: a second signature that is
    /// there must be right.
    #[must_use]
    pub const fn and_when_present(mut self, scheme: Scheme) -> Self {
        self.when_present = Some(scheme);
        self
    }

    /// Checks the signature over the exact bytes received, with each valid key.
    ///
    /// # Errors
    /// A [`Refusal`] that says what was wrong, and never what would have been right.
    pub fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Refusal> {
        self.required.check(&delivery, keys)?;
        if let Some(scheme) = &self.when_present
            && delivery.headers.contains_key(scheme.header)
        {
            scheme.check(&delivery, keys)?;
        }
        Ok(Verified(delivery))
    }
}
