//! Receives the webhooks of Lightspark Grid.
//!
//! | module | contents |
//! |---|---|
//! | `signature` | how Grid signs a delivery |
//! | `kinds` | the webhooks, and the fields of their bodies |
//! | `identify` | identifies the event in a body |
//! | `decide` | whether an event needs a decision; [`decisions`] has which one it gets |
//! | `replies` | the HTTP reply to each outcome |
//!
//! [`ingest::Receiver`] calls these modules.

mod decide;
mod identify;
mod kinds;
mod replies;
mod signature;

use aws::variables::APPROVAL_POLICY;
use aws::{Environment, SettingsError, Unset, Variable};
use decisions::{Asking, Policy};
use ingest::{
    Arrival, Conflicts, Counting, Decision, Identified, Outcome, Provider, Reply, RequestedFacts, Totals,
};
use verify::{Delivery, Keys, Tolerance, Verified, Verifier};

pub use kinds::{KINDS, Kind, UNKNOWN};
pub use signature::{PUBLIC_KEYS, SIGNATURE};

/// The provider Grid, with its settings.
#[derive(Debug)]
pub struct Grid {
    tolerance: Option<Tolerance>,
    policy: Option<Policy>,
}

const TOLERANCE: Variable = Variable::new(
    "GRID_TIMESTAMP_TOLERANCE_SECONDS",
    Unset::Optional,
    "the oldest `timestamp` that is accepted, in seconds. Not set: any age. Grid retries for 7 days: a smaller value \
     refuses genuine webhooks. It must be shorter than the retention by more than 5 minutes",
);

/// The environment variables that this function reads in addition to those that every provider's function reads.
pub const VARIABLES: [Variable; 4] = [PUBLIC_KEYS.list, PUBLIC_KEYS.arn, TOLERANCE, APPROVAL_POLICY];

impl Grid {
    /// Creates the provider. `tolerance` limits the age of a delivery; `None` means no limit. Without a
    /// `policy` every payment that waits for approval is rejected.
    #[must_use]
    pub fn new(tolerance: Option<Tolerance>, policy: Option<Policy>) -> Self {
        Self { tolerance, policy }
    }

    /// The approval policy, if one is configured.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Creates the provider from `GRID_TIMESTAMP_TOLERANCE_SECONDS` and `APPROVAL_POLICY`.
    ///
    /// # Errors
    /// [`SettingsError`], which names the variable.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        let tolerance = environment.tolerance(&TOLERANCE)?;
        let policy = environment.loaded(&APPROVAL_POLICY, Policy::named)?;
        Ok(Self::new(tolerance, policy))
    }
}

impl Provider for Grid {
    const NAME: &'static str = "grid";
    /// The signature covers the whole body, so another body with the same id is another event and no replay.
    const CONFLICTS: Conflicts = Conflicts::Forward;
    const DECIDES: bool = true;
    type Payment = Asking;

    fn serves(&self, path: &str) -> bool {
        path == kinds::PATH
    }

    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        Verifier::new(SIGNATURE).verify(delivery, keys).map_err(Outcome::Refused)
    }

    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        arrival: Arrival,
    ) -> Result<Identified<Asking>, Outcome> {
        let limited = self.policy().is_some_and(Policy::has_limits);
        identify::identify(delivery, self.tolerance, arrival, limited)
    }

    fn counting(&self, asking: &Asking) -> Option<Counting> {
        decisions::counting(self.policy(), asking)
    }

    fn decide(&self, asking: &Asking, totals: Option<&Totals>) -> Decision {
        decide::decide(self.policy(), asking, totals)
    }

    fn requested<'a>(&self, asking: &'a Asking) -> Option<&'a RequestedFacts> {
        asking.requested()
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
