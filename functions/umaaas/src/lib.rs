//! Receives the webhooks of Lightspark UMAaaS.
//!
//! | module | says |
//! |---|---|
//! | `signature` | how UMAaaS signs a delivery |
//! | `kinds` | which webhooks there are, and what their bodies hold |
//! | `identify` | which event a body is about |
//! | `decide` | whether an event asks for a decision, and what to answer |
//! | `policy`, `policy_literals` | the rules for that answer, and what they cannot say |
//! | `policy_request`, `body`, `countries`, `forms`, `spelling` | what the rules see of a payment |
//! | `replies` | what UMAaaS is answered |
//!
//! The path that calls them is [`ingest::Receiver`].

mod body;
mod countries;
mod decide;
mod forms;
mod identify;
mod kinds;
mod policy;
mod policy_literals;
mod policy_request;
mod replies;
mod signature;
mod spelling;

use aws::{Environment, SecretVariables, SettingsError};
use ingest::{Arrival, Conflicts, Decision, Identified, Outcome, Provider, Reply, RequestedFacts};
use verify::{Delivery, Keys, Tolerance, Verified, Verifier};

pub use decide::Asking;
pub use kinds::{KINDS, Kind, UNKNOWN};
pub use policy::{Policy, PolicyError};
pub use signature::SIGNATURE;

/// The provider, as a function runs it.
#[derive(Debug)]
pub struct Umaaas {
    tolerance: Option<Tolerance>,
    policy: Option<Policy>,
}

/// The variables with its secrets.
pub const SECRETS: SecretVariables =
    SecretVariables { list: "UMAAAS_WEBHOOK_SECRETS", arn: "UMAAAS_WEBHOOK_SECRETS_ARN" };

impl Umaaas {
    /// A provider. `tolerance` bounds the age of a delivery; without a `policy` every payment that waits
    /// for approval is rejected.
    #[must_use]
    pub fn new(tolerance: Option<Tolerance>, policy: Option<Policy>) -> Self {
        Self { tolerance, policy }
    }

    /// The policy that decides.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// A provider from `UMAAAS_TIMESTAMP_TOLERANCE_SECONDS` and `APPROVAL_POLICY`.
    ///
    /// # Errors
    /// [`SettingsError`] that names the variable.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        let tolerance = environment.tolerance("UMAAAS_TIMESTAMP_TOLERANCE_SECONDS")?;
        Ok(Self::new(tolerance, policy(environment)?))
    }
}

/// The policy that `APPROVAL_POLICY` names: the sample, or a file.
fn policy(environment: &Environment) -> Result<Option<Policy>, SettingsError> {
    let name = "APPROVAL_POLICY";
    let Some(value) = environment.optional(name) else { return Ok(None) };
    let policy = match value.trim() {
        "sample" => Policy::sample(),
        file => Policy::load(file),
    };
    policy.map(Some).map_err(|error| SettingsError::Invalid { name, expected: error.to_string() })
}

impl Provider for Umaaas {
    const NAME: &'static str = "umaaas";
    /// The whole body is signed, so another one under the same id is another event.
    const CONFLICTS: Conflicts = Conflicts::Forward;
    type Payment = Asking;

    fn serves(&self, path: &str) -> bool {
        path == kinds::ANY_KIND || KINDS.iter().any(|kind| kind.path == path)
    }

    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        Verifier::new(SIGNATURE).verify(delivery, keys).map_err(Outcome::Refused)
    }

    fn identify(
        &self,
        delivery: &Verified<Delivery>,
        arrival: Arrival,
    ) -> Result<Identified<Asking>, Outcome> {
        identify::identify(delivery, self.tolerance, arrival)
    }

    fn decide(&self, asking: &Asking) -> Decision {
        decide::decide(self.policy(), asking)
    }

    fn requested<'a>(&self, asking: &'a Asking) -> Option<&'a RequestedFacts> {
        asking.payment()?.requested()
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
