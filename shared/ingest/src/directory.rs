//! Facts about the receiver of a payment. Some providers request them with the approval.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde_json::Value;

use crate::PortError;

/// The facts that a payment requests about its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedFacts {
    /// The receiver's id on the user's own platform. Without this id no fact can be looked up.
    pub user: Option<String>,
    /// The facts, in the provider's vocabulary and order. At least one.
    pub fields: Vec<RequestedField>,
}

/// One requested fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedField {
    /// Its name, as in `NATIONALITY`.
    pub name: String,
    /// Whether an approval without it would be incomplete.
    pub mandatory: bool,
}

/// Facts about one receiver, by name. They are personal data: the reply contains them, and nothing else does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Facts(pub BTreeMap<String, Value>);

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Facts").field(&self.0.keys()).finish()
    }
}

/// Something that knows facts about receivers.
pub trait Directory: Send + Sync {
    /// The facts with these names about one user. Unknown facts are left out. `None` when the user is unknown.
    ///
    /// # Errors
    /// [`PortError`] when the directory did not answer `within` this time.
    fn facts(
        &self,
        user: &str,
        names: &[&str],
        within: Duration,
    ) -> impl Future<Output = Result<Option<Facts>, PortError>> + Send;
}
