//! UMAaaS.
