//! Facts about the receiver of a payment, which some providers want to be told with an approval.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde_json::Value;

use crate::PortError;

/// What a payment asks about its receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedFacts {
    /// The receiver's id on the user's own platform. Without one, nothing can be looked up.
    pub user: Option<String>,
    /// The facts, in the provider's vocabulary and order. At least one.
    pub fields: Vec<RequestedField>,
}

/// One fact that a payment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedField {
    /// Its name, as in `NATIONALITY`.
    pub name: String,
    /// Whether an approval without it would be incomplete.
    pub mandatory: bool,
}

/// Facts about one receiver, by name. They are personal data: they go into one reply and nowhere else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Facts(pub BTreeMap<String, Value>);

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Facts").field(&self.0.keys()).finish()
    }
}

/// Something that knows facts about receivers.
pub trait Directory: Send + Sync {
    /// The facts of these names about one user; those that are not known are left out. `None` when the
    /// user is not known.
    ///
    /// # Errors
    /// [`PortError`] when there was no answer `within` this time.
    fn facts(
        &self,
        user: &str,
        names: &[&str],
        within: Duration,
    ) -> impl Future<Output = Result<Option<Facts>, PortError>> + Send;
}
