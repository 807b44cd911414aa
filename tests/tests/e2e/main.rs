//! The end-to-end tests: they run the built functions against the protocols of DynamoDB, SQS and Secrets
//! Manager, with one module for each subject. They are one binary, because every test binary links the whole
//! AWS SDK.
//!
//! To run the tests of one module: `cargo test --workspace --test e2e -- nothing_lost::`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alarms;
mod breaker;
mod commands;
mod consumers;
mod decisions;
mod deploy;
mod envelope;
mod faults;
mod field;
mod grid;
mod hostile;
mod limits;
mod links;
mod load;
mod nothing_lost;
mod privileges;
mod properties;
mod reconcile;
mod records;
mod repetition;
mod scale;
mod secrets;
mod store_contract;
mod tools;
mod watch;
