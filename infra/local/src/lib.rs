//! The whole service on this machine: its tools, [`ministack`] as DynamoDB and SQS, the functions behind
//! `cargo lambda watch`, and signed samples. `cargo dev` runs all of it; the tests use the parts they need.
//!
//! Each program that is started here is represented by a value, such as [`watch::Watch`]. The program ends
//! when the value is dropped, and also when this process is killed: see [`process`].

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub mod client;
pub mod deployment;
pub mod env_file;
pub mod keys;
pub mod ministack;
pub mod port;
pub mod process;
pub mod progress;
pub mod python;
pub mod sam;
pub mod sample_check;
pub mod senders;
pub mod stack;
pub mod table;
pub mod tools;
pub mod watch;

/// The workspace's root.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().nth(2).expect("this crate is two folders below the root").to_owned()
    });
    &ROOT
}

/// The folder for logs and other files of a run. Git ignores it.
pub fn scratch() -> PathBuf {
    root().join(".local")
}
