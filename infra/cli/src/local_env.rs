//! The running `cargo dev`, as other commands of this machine find it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use local_stack::env_file;

/// Where the local stack is described.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LocalOptions {
    /// What describes the local stack; `.local/env` unless given, which `cargo dev` writes
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

/// The variables of the local stack.
pub(crate) struct LocalEnv(HashMap<String, String>);

impl LocalOptions {
    /// Reads them.
    ///
    /// # Errors
    /// `cargo dev` has not been started here.
    pub(crate) fn read(&self) -> Result<LocalEnv> {
        let default = env_file::path();
        let path: &Path = self.env_file.as_deref().unwrap_or(&default);
        let variables = env_file::read(path).context("start `cargo dev` first, or name a deployed stack")?;
        Ok(LocalEnv(variables))
    }
}

impl LocalEnv {
    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable that has to be there.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn required(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("the description of the local stack has no {name}"))
    }

    /// The address that stands for the API Gateway's.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn url(&self) -> Result<&str> {
        self.required(env_file::URL)
    }
}
