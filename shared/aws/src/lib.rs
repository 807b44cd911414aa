//! Adapters to AWS.
