//! Why a delivery was refused.

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
    /// The header does not hold a digest: its length is wrong, or it is not in the scheme's encoding.
    #[error("the {header} header is not a SHA-256 digest in the documented encoding")]
    Malformed {
        /// Which header.
        header: &'static str,
    },
    /// The digest is well-formed, but none of the valid keys made it.
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
            Self::Mismatch { .. } => "mismatch",
        }
    }
}
