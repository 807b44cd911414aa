//! Receives the webhooks of Weavr.
//!
//! | module | says |
//! |---|---|
//! | `signature` | how Weavr signs a delivery, and which of its signatures is demanded |
//! | `kinds` | which webhooks there are, which function has which, and what their bodies hold |
//! | `paths` | which paths Weavr publishes |
//! | `identify` | which event a body is about |
//! | `replies` | what Weavr is answered |
//!
//! The path that calls them is [`ingest::Receiver`].

mod identify;
mod kinds;
mod paths;
mod replies;
mod signature;

use std::convert::Infallible;

use aws::{Environment, SecretVariables, SettingsError};
use ingest::{Arrival, Conflicts, Decision, Identified, Outcome, Provider, Reply, RequestedFacts};
use verify::{Delivery, Keys, Tolerance, Verified};

pub use kinds::{Family, KINDS, Kind, UNKNOWN};
pub use signature::{Demand, SIGNATURE_V1, SIGNATURE_V2};

/// The provider, as one of its functions runs it.
#[derive(Debug)]
pub struct Weavr {
    family: Family,
    demand: Demand,
    tolerance: Option<Tolerance>,
}

/// The variables with its API keys.
pub const SECRETS: SecretVariables = SecretVariables { list: "WEAVR_API_KEYS", arn: "WEAVR_API_KEYS_ARN" };

impl Weavr {
    /// A provider that serves one family; `tolerance` bounds the age of a delivery.
    #[must_use]
    pub fn new(family: Family, demand: Demand, tolerance: Option<Tolerance>) -> Self {
        Self { family, demand, tolerance }
    }

    /// A provider from `WEAVR_SIGNATURE` and `WEAVR_TIMESTAMP_TOLERANCE_SECONDS`.
    ///
    /// # Errors
    /// [`SettingsError`] that names the variable.
    pub fn from_environment(environment: &Environment, family: Family) -> Result<Self, SettingsError> {
        let demand = Demand::from_environment(environment)?;
        Ok(Self::new(family, demand, environment.tolerance("WEAVR_TIMESTAMP_TOLERANCE_SECONDS")?))
    }
}

impl Provider for Weavr {
    const NAME: &'static str = "weavr";
    /// No signature covers the path, so the same delivery at another path may be a replay.
    const CONFLICTS: Conflicts = Conflicts::Hold;
    /// No webhook of Weavr asks for a decision.
    type Payment = Infallible;

    fn serves(&self, path: &str) -> bool {
        self.family.serves(path)
    }

    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        self.demand.verify(delivery, keys)
    }

    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        arrival: Arrival,
    ) -> Result<Identified<Infallible>, Outcome> {
        identify::identify(delivery, self.tolerance, arrival)
    }

    fn decide(&self, never: &Infallible) -> Decision {
        match *never {}
    }

    fn requested<'a>(&self, never: &'a Infallible) -> Option<&'a RequestedFacts> {
        match *never {}
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
