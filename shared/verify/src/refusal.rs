//! Why a delivery was refused.

use crate::Algorithm;

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A header that the scheme needs is absent.
    #[error("the {header} header is missing")]
    Missing {
        /// Which header.
        header: &'static str,
    },
    /// A header occurs more than once, or several values stand in it.
    #[error("the {header} header occurs more than once")]
    Repeated {
        /// Which header.
        header: &'static str,
    },
    /// The header does not hold a signature: its length is wrong, or it is not in the scheme's form.
    #[error("the {header} header is not {} in the documented encoding", algorithm.signature())]
    Malformed {
        /// Which header.
        header: &'static str,
        /// What the header should hold a signature by.
        algorithm: Algorithm,
    },
    /// The header is a JSON object with a version that is not known.
    #[error("the {header} header has an unknown version")]
    UnknownVersion {
        /// Which header.
        header: &'static str,
    },
    /// The header looks like a signature by another algorithm. Probably the sender and this deployment are
    /// configured for different schemes. Only the shape of the header was examined: no signature was checked.
    #[error("the {header} header looks like {}, but the scheme takes {}", found.signature(), configured.signature())]
    OtherScheme {
        /// Which header.
        header: &'static str,
        /// What the header looks like.
        found: Algorithm,
        /// What the scheme takes.
        configured: Algorithm,
    },
    /// The signature is well-formed, but none of the valid keys made it.
    #[error("the {header} header does not match")]
    Mismatch {
        /// Which header.
        header: &'static str,
    },
}

impl Refusal {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Repeated { .. } => "repeated",
            Self::Malformed { .. } => "malformed",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::OtherScheme { .. } => "other_scheme",
            Self::Mismatch { .. } => "mismatch",
        }
    }
}
