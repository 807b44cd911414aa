//! Adapters to AWS: what `ingest` needs from outside, and what a function's `main` calls.
//!
//! | module | holds |
//! |---|---|
//! | `start` | [`run`]: from the environment to the event loop |
//! | `settings` | reading the environment, and refusing what is wrong in it |
//! | `gateway` | API Gateway's events (payload formats 1.0 and 2.0) in, responses out |
//! | `dynamodb`, `sqs` | the ports [`DynamoStore`] and [`SqsSink`] |
//! | `budget` | how long every call may take, and the deadline that binds them |
//! | `log` | one JSON line per delivery |

pub mod budget;
mod dynamodb;
pub mod gateway;
mod log;
mod settings;
mod sqs;
mod start;

pub use dynamodb::DynamoStore;
pub use settings::{Environment, SettingsError};
pub use sqs::SqsSink;
pub use start::run;
