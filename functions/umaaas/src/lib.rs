//! Receives the webhooks of Lightspark UMAaaS.
//!
//! | module | says |
//! |---|---|
//! | `signature` | how UMAaaS signs a delivery |
//! | `kinds` | which webhooks there are, and what their bodies hold |
//! | `identify` | which event a body is about |
//! | `decide` | what to answer to a payment that waits for approval |
//! | `replies` | what UMAaaS is answered |
//!
//! The path that calls them is [`ingest::Receiver`].

mod decide;
mod identify;
mod kinds;
mod replies;
mod signature;

use aws::{Environment, SettingsError};
use ingest::{Decision, Event, Outcome, Provider, Reply};
use jiff::Timestamp;
use verify::{Delivery, Secrets, Tolerance, Verified, Verifier};

pub use kinds::{KINDS, Kind, UNKNOWN};
pub use signature::SIGNATURE;

/// The provider, as a function runs it.
#[derive(Debug)]
pub struct Umaaas {
    verifier: Verifier,
    tolerance: Option<Tolerance>,
}

impl Umaaas {
    /// A provider with these secrets; `tolerance` bounds the age of a delivery.
    #[must_use]
    pub fn new(secrets: Secrets, tolerance: Option<Tolerance>) -> Self {
        Self { verifier: Verifier::new(SIGNATURE, secrets), tolerance }
    }

    /// A provider from `UMAAAS_WEBHOOK_SECRETS` and `UMAAAS_TIMESTAMP_TOLERANCE_SECONDS`.
    ///
    /// # Errors
    /// [`SettingsError`] that names the variable.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        let secrets = environment.secrets("UMAAAS_WEBHOOK_SECRETS")?;
        Ok(Self::new(secrets, environment.tolerance("UMAAAS_TIMESTAMP_TOLERANCE_SECONDS")?))
    }
}

impl Provider for Umaaas {
    const NAME: &'static str = "umaaas";

    fn serves(&self, path: &str) -> bool {
        path == kinds::ANY_KIND || KINDS.iter().any(|kind| kind.path == path)
    }

    fn verify(&self, delivery: Delivery, _now: Timestamp) -> Result<Verified<Delivery>, Outcome> {
        self.verifier.verify(delivery).map_err(Outcome::Refused)
    }

    fn identify(&self, delivery: &Verified<Delivery>, now: Timestamp) -> Result<Event, Outcome> {
        identify::identify(delivery, self.tolerance, now)
    }

    fn decide(&self, event: &Event) -> Option<Decision> {
        decide::decide(event)
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
