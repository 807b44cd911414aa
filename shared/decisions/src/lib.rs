//! Decides about payments that wait for approval, for every provider whose reply approves or rejects them.
//!
//! | module | contents |
//! |---|---|
//! | `layout` | where a provider's bodies have the fields of a payment: [`Layout`] |
//! | `asks` | which bodies ask for a decision |
//! | `decide` | the question of a webhook, and the decision about it: [`Asking`] |
//! | `policy`, `policy_literals` | the rules for that decision; a check of their literals |
//! | `explain` | why a policy decides as it does: [`Explanation`] |
//! | `replies` | the replies that tell a decision, and those with an error |
//! | `bundle`, `lists`, `rates`, `limits` | the folder with a policy, and what its rules read beside a payment |
//! | `policy_request`, `body`, `countries`, `forms`, `spelling` | what the rules see of a payment |
//! | `derived`, `fold` | what is computed for the rules that read it: texts in which spelling makes no difference, times |
//!
//! Nothing here does I/O, except that [`Policy::load`] and [`Policy::files`] read the policy's files. `policies/README.md`
//! is the guide for the authors of policies.

mod asks;
mod body;
mod bundle;
mod countries;
mod decide;
mod derived;
mod explain;
mod fold;
mod forms;
mod layout;
mod limits;
mod lists;
mod policy;
mod policy_literals;
mod policy_request;
mod rates;
mod replies;
#[cfg(test)]
mod screening;
mod spelling;

pub use asks::{
    Asks, Direction, direction, folded, is_informational, is_pending, is_undone, may_credit, members, says,
    transactions,
};
pub use body::{Content, Value};
pub use decide::{Asking, counting, decide};
pub use explain::{ExplainedRule, Explanation, Fit};
pub use layout::Layout;
pub use policy::{ListSummary, Policy, PolicyError};
pub use policy_request::{Payment, Undecidable};
pub use replies::{decided, duplicate, error};
