//! Adapters to AWS: what `ingest` needs from outside, and what a function's `main` calls.
//!
//! | module | holds |
//! |---|---|
//! | `start` | [`run`]: from the environment to the event loop |
//! | [`variables`] | the environment variables, each declared once |
//! | `settings` | reading the environment, and refusing what is wrong in it |
//! | `secrets` | the provider's secrets, from the environment or Secrets Manager |
//! | `gateway` | the events of API Gateway, function URLs and load balancers in, responses out |
//! | `dynamodb`, `sqs` | the ports [`DynamoStore`] and [`SqsSink`] |
//! | [`item`] | a record as an item of the table, and back |
//! | `connect` | opening connections at the start |
//! | `failure` | what a failed call says in our log |
//! | `budget` | how long every call may take, and the deadline that binds them |
//! | `reconcile` | [`run_reconciler`]: the same for the scheduled function |
//! | `line` | one JSON line per delivery: its log entry and its metrics |
//! | `log`, `metrics` | the subscriber of `tracing`; metrics in CloudWatch's embedded format |

pub mod budget;
mod connect;
mod directory;
mod dynamodb;
mod failure;
pub mod gateway;
pub mod item;
mod line;
mod log;
mod metrics;
mod reconcile;
pub mod secrets;
mod settings;
mod sqs;
mod start;
mod time_refusal;
pub mod variables;

pub use directory::DynamoDirectory;
pub use dynamodb::DynamoStore;
pub use metrics::written_metrics;
pub use reconcile::run_reconciler;
pub use secrets::SecretVariables;
pub use settings::{Environment, SettingsError};
pub use sqs::SqsSink;
pub use start::run;
pub use variables::{Unset, Variable};
