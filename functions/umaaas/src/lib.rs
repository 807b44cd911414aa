//! Receives the webhooks of Lightspark UMAaaS.
//!
//! | module | contents |
//! |---|---|
//! | `signature` | how UMAaaS signs a delivery |
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
use decisions::Asking;
use ingest::{
    Arrival, Conflicts, Counting, Decision, Identified, Outcome, Provider, Reply, RequestedFacts, Totals,
};
use verify::{Delivery, Keys, Tolerance, Verified, Verifier};

pub use decisions::Policy;
pub use kinds::{KINDS, Kind, UNKNOWN};
pub use signature::{PUBLIC_KEYS, SECRETS, SIGNATURE, SIGNATURE_ECDSA, Signing};

/// The provider UMAaaS, with its settings.
#[derive(Debug)]
pub struct Umaaas {
    signing: Signing,
    tolerance: Option<Tolerance>,
    policy: Option<Policy>,
}

const TOLERANCE: Variable = Variable::new(
    "UMAAAS_TIMESTAMP_TOLERANCE_SECONDS",
    Unset::Optional,
    "the oldest `timestamp` that is accepted, in seconds. Not set: any age. UMAaaS retries for 7 days: a smaller value \
     refuses genuine webhooks. It must be shorter than the retention by more than 5 minutes",
);

/// The environment variables that this function reads in addition to those that every provider's function reads.
pub const VARIABLES: [Variable; 7] = [
    signature::UMAAAS_SIGNATURE,
    SECRETS.list,
    SECRETS.arn,
    PUBLIC_KEYS.list,
    PUBLIC_KEYS.arn,
    TOLERANCE,
    APPROVAL_POLICY,
];

impl Umaaas {
    /// Creates the provider. `tolerance` limits the age of a delivery; `None` means no limit. Without a
    /// `policy` every payment that waits for approval is rejected. The signature is [`Signing::Hmac`].
    #[must_use]
    pub fn new(tolerance: Option<Tolerance>, policy: Option<Policy>) -> Self {
        Self { signing: Signing::default(), tolerance, policy }
    }

    /// The same provider, which accepts the other signature.
    #[must_use]
    pub fn signing(self, signing: Signing) -> Self {
        Self { signing, ..self }
    }

    /// The approval policy, if one is configured.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    /// Creates the provider from `UMAAAS_SIGNATURE`, `UMAAAS_TIMESTAMP_TOLERANCE_SECONDS` and `APPROVAL_POLICY`.
    ///
    /// # Errors
    /// [`SettingsError`], which names the variable.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        let tolerance = environment.tolerance(&TOLERANCE)?;
        let policy = environment.loaded(&APPROVAL_POLICY, Policy::named)?;
        Ok(Self::new(tolerance, policy).signing(Signing::from_environment(environment)?))
    }
}

impl Provider for Umaaas {
    const NAME: &'static str = "umaaas";
    /// The signature covers the whole body, so another body with the same id is another event and no replay.
    const CONFLICTS: Conflicts = Conflicts::Forward;
    const DECIDES: bool = true;
    type Payment = Asking;

    fn serves(&self, path: &str) -> bool {
        path == kinds::ANY_KIND || KINDS.iter().any(|kind| kind.path == path)
    }

    fn verify(&self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        Verifier::new(self.signing.scheme()).verify(delivery, keys).map_err(Outcome::Refused)
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
        decisions::decide(self.policy(), asking, totals)
    }

    fn requested<'a>(&self, asking: &'a Asking) -> Option<&'a RequestedFacts> {
        asking.requested()
    }

    fn reply(&self, outcome: &Outcome) -> Reply {
        replies::reply(outcome)
    }
}
