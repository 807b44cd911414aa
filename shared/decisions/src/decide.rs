//! The question of a webhook, and the decision about it. The reply 200 approves a payment that waits. So every
//! payment that is not certainly approved is rejected.

use ingest::{Counting, Decision, RequestedFacts, Totals};

use crate::asks::Asks;
use crate::policy::{Policy, reject, undecided};
use crate::policy_request::{Payment, Undecidable};

/// A webhook that needs a decision before it can be answered 200.
#[derive(Debug)]
pub struct Asking(Question);

#[derive(Debug)]
enum Question {
    /// A payment, or the reason why a policy cannot decide about it.
    Payment(Box<Result<Payment, Undecidable>>),
    /// A webhook that may be a payment that waits, but is not of the known kind.
    Unknown,
}

impl Asking {
    /// The question to decide, or `None` when there is none. `read` parses the payment, if one is needed.
    pub fn new(asks: Asks, read: impl FnOnce() -> Result<Payment, Undecidable>) -> Option<Self> {
        match asks {
            Asks::Nothing => None,
            Asks::Approval => Some(Self(Question::Payment(Box::new(read())))),
            Asks::Unclear => Some(Self(Question::Unknown)),
        }
    }

    /// The payment, if a policy can decide about one.
    pub(crate) fn payment(&self) -> Option<&Payment> {
        match &self.0 {
            Question::Payment(payment) => payment.as_ref().as_ref().ok(),
            Question::Unknown => None,
        }
    }

    /// The facts about the receiver that the provider wants with an approval, if a policy can decide about the
    /// payment.
    #[must_use]
    pub fn requested(&self) -> Option<&RequestedFacts> {
        self.payment()?.requested()
    }
}

/// What a webhook counts as, if it is approved and the policy reads limits before it decides.
#[must_use]
pub fn counting(policy: Option<&Policy>, asking: &Asking) -> Option<Counting> {
    policy?.counting(asking.payment()?)
}

/// Decides about a webhook. `totals` has what was counted before, as [`counting`] says; `None` when that cannot be read.
/// What a policy cannot decide is rejected.
#[must_use]
pub fn decide(policy: Option<&Policy>, asking: &Asking, totals: Option<&Totals>) -> Decision {
    let payment = match &asking.0 {
        Question::Payment(payment) => payment,
        Question::Unknown => {
            let message = "This kind of payment webhook is not supported yet.";
            return Decision::new(reject("unknown_kind", message));
        }
    };
    let Some(policy) = policy else {
        return Decision::new(reject("no_policy", "No approval policy is configured."));
    };
    match payment.as_ref() {
        Ok(payment) => policy.decide(payment, totals),
        Err(undecidable) => {
            Decision { policy_hash: Some(policy.hash().to_owned()), ..Decision::new(undecided(undecidable)) }
        }
    }
}
