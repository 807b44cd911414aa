//! Receives the webhooks of Weavr.
//!
//! | module | says |
//! |---|---|
//! | `signature` | how Weavr signs a delivery, and which of its signatures is demanded |
//! | `kinds` | which webhooks there are, which function has which, and what their bodies hold |
//! | `identify` | which event a body is about |
//! | `replies` | what Weavr is answered |
//!
//! The path that calls them is [`ingest::Receiver`].

mod identify;
mod kinds;
mod replies;
mod signature;

use aws::{Environment, SettingsError};
use ingest::{Decision, Event, Outcome, Provider, Reply};
use jiff::Timestamp;
use verify::{Delivery, Secrets, Tolerance, Verified};

pub use kinds::{Family, KINDS, Kind, UNKNOWN};
pub use signature::{Demand, SIGNATURE_V1, SIGNATURE_V2};

/// The provider, as one of its functions runs it.
#[derive(Debug)]
pub struct Weavr {
    family: Family,
    demand: Demand,
    secrets: Secrets,
    tolerance: Option<Tolerance>,
}

impl Weavr {
    /// A provider that serves one family with these API keys; `tolerance` bounds the age of a
    /// delivery.
    #[must_use]
    pub fn new(family: Family, demand: Demand, secrets: Secrets, tolerance: Option<Tolerance>) -> Self {
        Self { family, demand, secrets, tolerance }
    }

    /// A provider from `WEAVR_API_KEYS`, `WEAVR_SIGNATURE` and `WEAVR_TIMESTAMP_TOLERANCE_SECONDS`.
    ///
    /// # Errors
    /// [`SettingsError`] that names the variable.
    pub fn from_environment(environment: &Environment, family: Family) -> Result<Self, SettingsError> {
        let secrets = environment.secrets("WEAVR_API_KEYS")?;
        let demand = Demand::from_environment(environment)?;
        Ok(Self::new(family, demand, secrets, environment.tolerance("WEAVR_TIMESTAMP_TOLERANCE_SECONDS")?))
    }
}

impl Provider for Weavr {
    const NAME: &'static str = "weavr";

    fn serves(&self, path: &str) -> bool {
        self.family.serves(path)
    }

    fn verify(&self, delivery: Delivery, _now: Timestamp) -> Result<Verified<Delivery>, Outcome> {
        self.demand.verify(delivery, &self.secrets)
    }

    fn identify(&self, delivery: &Verified<Delivery>, now: Timestamp) -> Result<Event, Outcome> {
        identify::identify(delivery, self.tolerance, now)
    }

    fn decide(&self, _event: &Event) -> Option<Decision> {
        None
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
