//! The functions behind one address, as API Gateway would have them: `cargo lambda watch`.
//!
//! Which path goes to which function is in `[workspace.metadata.lambda.watch.router]`. All functions
//! get one environment; `[package.metadata.lambda.watch.env]` of a function's package overrides it,
//! which is how a second provider gets its own `QUEUE_URL`. (An emulated queue's address may name
//! any host: only `AWS_ENDPOINT_URL` says where it is.)

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};

use crate::port;
use crate::process::{Process, Program};
use crate::progress;
use crate::providers::PROVIDERS;
use crate::tools::Tools;

/// Where `cargo dev` has it, unless told otherwise.
pub const DEFAULT_PORT: u16 = 9000;

/// How long it may take until it listens; it builds nothing before that.
const START_WITHIN: Duration = Duration::from_secs(60);

/// What cargo lambda watch logs of a function that ended.
const FUNCTION_ENDED: &[&str] = &["ERROR command exited", "ERROR command killed"];

/// How the functions are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where they listen on 127.0.0.1; 0 is any free port.
    pub port: u16,
    /// How many instances of each function there may be at once. One instance serves one request.
    pub concurrency: usize,
    /// Whether a change to the code builds and restarts them.
    pub reload: bool,
    /// Their environment.
    pub environment: Vec<(String, String)>,
}

/// Running functions. Dropping it ends them.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    port: u16,
    log: PathBuf,
    /// On a port of its own choice there is a new log every time.
    removes_log: bool,
}

/// Builds the functions, with cargo's own progress on stderr.
///
/// # Errors
/// They do not build.
pub async fn build() -> Result<()> {
    let binaries = PROVIDERS.iter().flat_map(|provider| provider.binaries).chain(&["reconciler"]);
    build_binaries(&binaries.copied().collect::<Vec<_>>(), "dev").await
}

/// Builds binaries of the workspace in a profile of cargo's.
///
/// # Errors
/// They do not build.
pub async fn build_binaries(binaries: &[&str], profile: &str) -> Result<()> {
    progress::step("building the functions");
    // No `--package`: `cargo lambda watch` runs `cargo run --bin ...` for the whole workspace, and
    // another choice of packages may mean other features, and everything built again.
    cargo_environment(Program::new("cargo"))
        .args(["build", "--profile", profile])
        .args(binaries.iter().flat_map(|binary| ["--bin", binary]))
        .run("cargo build")
        .await
}

/// The address of functions that listen on a port.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Watch {
    /// Starts it and waits until it listens. A function starts with its first request; it is to be
    /// [built](build) by then, or that request waits for the build.
    ///
    /// # Errors
    /// It ends or does not listen; the error shows the end of its log.
    pub async fn start(tools: &Tools, options: &Options) -> Result<Self> {
        let port = if options.port == 0 { port::free()? } else { options.port };
        let log = crate::scratch().join(format!("watch-{port}.log"));
        let program = cargo_environment(Program::new(tools.program("cargo-lambda")))
            .args(["lambda", "watch", "--invoke-address", "127.0.0.1"])
            .args(["--invoke-port", &port.to_string()])
            .args(["--concurrency", &options.concurrency.to_string()])
            .args((!options.reload).then_some("--ignore-changes"))
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .log(&log);
        let mut watch = Self { process: program.start()?, port, log, removes_log: options.port == 0 };
        match watch.listening().await {
            Ok(()) => Ok(watch),
            Err(error) => bail!("{error}\n{}", watch.log_tail()),
        }
    }

    async fn listening(&mut self) -> Result<()> {
        let started = Instant::now();
        while !port::answers(self.port) {
            self.ensure_running()?;
            if started.elapsed() > START_WITHIN {
                bail!("cargo lambda watch does not listen on port {} after {START_WITHIN:?}", self.port);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.ensure_running()
    }

    /// The address that stands for the API Gateway's.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The file that its output and the functions' logs go to.
    pub fn log(&self) -> &PathBuf {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(20)
    }

    /// Complains when it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.process.exited()? {
            Some(status) => bail!("cargo lambda watch ended ({status})"),
            None => Ok(()),
        }
    }

    /// Waits until a function, or all of this, ends unasked. Nobody else says so: requests to a function
    /// that is gone just wait.
    pub async fn failure(&mut self) -> Error {
        loop {
            if let Err(error) = self.ensure_running() {
                return error;
            }
            let log = std::fs::read(&self.log).unwrap_or_default();
            if FUNCTION_ENDED.iter().any(|said| String::from_utf8_lossy(&log).contains(said)) {
                return anyhow!("a function ended");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The leader of its processes.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it and all functions, and waits until they are gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.process.stop();
        // The log of a failed test is worth keeping.
        if self.removes_log && !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The environment as it was before an outer `cargo run` or `cargo test`, and without an AWS account.
pub fn cargo_environment(program: Program) -> Program {
    program.without_env(|name| set_by_cargo(name) || name.starts_with("AWS_"))
}

fn set_by_cargo(name: &str) -> bool {
    const NAMES: &[&str] = &["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    const PREFIXES: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_cargo_stay() {
        for hidden in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BIN_EXE_local"] {
            assert!(set_by_cargo(hidden), "{hidden}");
        }
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_NET_OFFLINE"] {
            assert!(!set_by_cargo(kept), "{kept}");
        }
    }
}
