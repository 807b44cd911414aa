//! The verifier, and the type that only the verifier makes.

use std::ops::Deref;

use bytes::Bytes;

use crate::{Delivery, Keys, Refusal, Scheme};

/// A value whose sender has been proven. Only [`Verifier::verify`] makes one from a delivery.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    key_position: usize,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Verified<T> {
    /// The position of the key that signed it among the valid ones, counted from 0, which is the newest. During a
    /// rotation it tells whether the sender has the new key.
    #[must_use]
    pub fn key_position(&self) -> usize {
        self.key_position
    }
}

impl Verified<Delivery> {
    /// The body of a verified delivery, which is verified too.
    #[must_use]
    pub fn payload(&self) -> Verified<Bytes> {
        Verified { value: self.value.body.clone(), key_position: self.key_position }
    }
}

/// Decides whether a delivery is genuine.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    required: Scheme,
    when_present: Option<Scheme>,
}

impl Verifier {
    /// A verifier that requires a signature by the scheme `required`.
    #[must_use]
    pub const fn new(required: Scheme) -> Self {
        Self { required, when_present: None }
    }

    /// Also checks `scheme` on every delivery that has its header. A wrong second signature is refused, a
    /// missing one is accepted.
    #[must_use]
    pub const fn and_when_present(mut self, scheme: Scheme) -> Self {
        self.when_present = Some(scheme);
        self
    }

    /// Checks the signature over the exact bytes that were received, with each valid key.
    ///
    /// # Errors
    /// A [`Refusal`] that says what was wrong. It never contains the expected signature.
    pub fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Refusal> {
        let key_position = self.required.check(&delivery, keys)?;
        if let Some(scheme) = &self.when_present
            && delivery.headers.contains_key(scheme.header)
        {
            scheme.check(&delivery, keys)?;
        }
        Ok(Verified { value: delivery, key_position })
    }
}
