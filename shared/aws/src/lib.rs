//! Adapters to AWS: they implement the ports of `ingest`, and hold the functions that a function's `main`
//! calls.
//!
//! | module | holds |
//! |---|---|
//! | `start` | [`run`]: from the environment to the event loop |
//! | [`variables`] | the environment variables, each declared once |
//! | `settings` | reads the environment variables and refuses invalid values |
//! | `secrets` | the provider's secrets, from the environment or Secrets Manager |
//! | `gateway` | reads events of API Gateway, function URLs and load balancers; writes the responses |
//! | `dynamodb`, `sqs`, `directory`, [`control`] | the adapters [`DynamoStore`], [`SqsSink`], [`DynamoDirectory`] and [`DynamoControl`] |
//! | [`item`] | a record as an item of the table, and back |
//! | `connect` | opens connections at the start |
//! | `failure` | turns a failed call into an error for our log |
//! | `time_refusal` | retries calls that AWS refuses because of clock skew |
//! | `budget` | the time limit of every call, and the deadline that all limits together must fit |
//! | `reconcile` | [`run_reconciler`]: from the environment to the event loop, for the scheduled function |
//! | `line` | one JSON line per delivery: its log entry and its metrics |
//! | `log`, `metrics` | the subscriber of `tracing`; metrics in CloudWatch's embedded format |

pub mod budget;
mod connect;
pub mod control;
mod counts;
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

pub use control::DynamoControl;
pub use directory::{DIRECTORY_KEY, DynamoDirectory};
pub use dynamodb::DynamoStore;
pub use metrics::written_metrics;
pub use reconcile::run_reconciler;
pub use secrets::KeyVariables;
pub use settings::{Environment, SettingsError};
pub use sqs::SqsSink;
pub use start::run;
pub use variables::{Unset, Variable};
