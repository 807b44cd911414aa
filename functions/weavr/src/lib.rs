//! Receives the webhooks of Weavr.
//!
//! | module | contents |
//! |---|---|
//! | `signature` | how Weavr signs a delivery, and which signature we require |
//! | `kinds` | the webhooks, their functions, and the fields of their bodies |
//! | `paths` | all paths that Weavr publishes |
//! | `identify` | identifies the event in a body |
//! | `replies` | the HTTP reply to each outcome |
//!
//! [`ingest::Receiver`] calls these modules.

mod identify;
mod kinds;
mod paths;
mod replies;
mod signature;

use std::convert::Infallible;

use aws::{Environment, KeyVariables, SettingsError, Unset, Variable};
use ingest::{Arrival, Conflicts, Decision, Identified, Outcome, Provider, Reply, RequestedFacts, Totals};
use verify::{Delivery, Keys, Tolerance, Verified};

pub use kinds::{Family, KINDS, Kind, UNKNOWN};
pub use signature::{Demand, SIGNATURE_V1, SIGNATURE_V2};

/// The provider Weavr, with the settings of one function.
#[derive(Debug)]
pub struct Weavr {
    family: Family,
    demand: Demand,
    tolerance: Option<Tolerance>,
}

/// The environment variables for the API keys.
pub const SECRETS: KeyVariables = KeyVariables::secrets("WEAVR_API_KEYS", "WEAVR_API_KEYS_ARN");

const TOLERANCE: Variable = Variable::new(
    "WEAVR_TIMESTAMP_TOLERANCE_SECONDS",
    Unset::Optional,
    "the oldest `published-timestamp` that is accepted, in seconds. Not set: any age. Weavr retries for 4 h 20 min: a \
     smaller value refuses genuine webhooks. It must be shorter than the retention by more than 5 minutes",
);

/// The environment variables that only functions of Weavr read.
pub const VARIABLES: [Variable; 4] = [SECRETS.list, SECRETS.arn, TOLERANCE, signature::DEMAND];

impl Weavr {
    /// Creates the provider for one family. `tolerance` limits the age of a delivery; `None` means no limit.
    #[must_use]
    pub fn new(family: Family, demand: Demand, tolerance: Option<Tolerance>) -> Self {
        Self { family, demand, tolerance }
    }

    /// Creates the provider from `WEAVR_SIGNATURE` and `WEAVR_TIMESTAMP_TOLERANCE_SECONDS`.
    ///
    /// # Errors
    /// [`SettingsError`], which names the variable.
    pub fn from_environment(environment: &Environment, family: Family) -> Result<Self, SettingsError> {
        let demand = Demand::from_environment(environment)?;
        Ok(Self::new(family, demand, environment.tolerance(&TOLERANCE)?))
    }
}

impl Provider for Weavr {
    const NAME: &'static str = "weavr";
    /// No signature covers the path, so the same delivery at another path may be a replay.
    const CONFLICTS: Conflicts = Conflicts::Hold;
    const DECIDES: bool = false;
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

    fn decide(&self, never: &Infallible, _totals: Option<&Totals>) -> Decision {
        match *never {}
    }

    fn requested<'a>(&self, never: &'a Infallible) -> Option<&'a RequestedFacts> {
        match *never {}
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
