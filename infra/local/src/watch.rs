//! Runs the functions behind one address, like API Gateway, with `cargo lambda watch`.
//!
//! `[workspace.metadata.lambda.watch.router]` defines which path goes to which function. All functions get
//! the same environment; `[package.metadata.lambda.watch.env]` in a function's package overrides it. This is
//! how a second provider gets its own `QUEUE_URL`. (The host in an emulated queue's address does not matter:
//! calls go to `AWS_ENDPOINT_URL`.)

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};

use crate::port;
use crate::process::{Process, Program};
use crate::progress;
use crate::senders::SENDERS;
use crate::tools::Tools;

/// The port that `cargo dev` uses without `--port`.
pub const DEFAULT_PORT: u16 = 9000;

/// How long cargo lambda watch may take until it listens. It builds no function before that.
const START_WITHIN: Duration = Duration::from_secs(60);

/// What cargo lambda watch logs when a function has ended.
const FUNCTION_ENDED: &[&str] = &["ERROR command exited", "ERROR command killed"];

/// How the functions are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 means any free port.
    pub port: u16,
    /// The maximum number of instances of each function. One instance handles one request at a time.
    pub concurrency: usize,
    /// Whether the functions are rebuilt and restarted when the code changes.
    pub reload: bool,
    /// The environment variables of the functions.
    pub environment: Vec<(String, String)>,
}

/// The running functions. Dropping the value ends them.
#[derive(Debug)]
pub struct Watch {
    process: Process,
    port: u16,
    log: PathBuf,
    /// Whether the log is removed when the functions end: so when the port was chosen automatically, because
    /// every start then makes a new log.
    removes_log: bool,
}

/// Builds the functions. Cargo shows its progress on stderr.
///
/// # Errors
/// The build fails.
pub async fn build() -> Result<()> {
    let binaries = SENDERS.iter().flat_map(|provider| provider.binaries).chain(&["reconciler"]);
    build_binaries(&binaries.copied().collect::<Vec<_>>(), "dev").await
}

/// Builds binaries of the workspace with a cargo profile.
///
/// # Errors
/// The build fails.
pub async fn build_binaries(binaries: &[&str], profile: &str) -> Result<()> {
    progress::step("building the functions");
    // No `--package`: `cargo lambda watch` runs `cargo run --bin ...` for the whole workspace. A build of
    // other packages may select other features, and cargo would then build everything again.
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
    /// Starts cargo lambda watch and waits until it listens. A function starts with its first request; call
    /// [`build`] before, so that this request does not wait for the build.
    ///
    /// # Errors
    /// Cargo lambda watch ends or does not listen; the error contains the end of its log.
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

    /// The address of the functions, in place of the API Gateway URL.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// The file with the output of cargo lambda watch and of the functions.
    pub fn log(&self) -> &PathBuf {
        &self.log
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(20)
    }

    /// Checks that cargo lambda watch is running.
    ///
    /// # Errors
    /// Cargo lambda watch has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.process.exited()? {
            Some(status) => bail!("cargo lambda watch ended ({status})"),
            None => Ok(()),
        }
    }

    /// Waits until a function or cargo lambda watch ends unexpectedly, and returns that as an error. Without
    /// this check a sender does not notice: a request to a function that has ended gets no answer.
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

    /// The process id of the group leader of all processes.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends cargo lambda watch and all functions, and waits until they have ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.process.stop();
        // Keep the log of a failed test.
        if self.removes_log && !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// Removes from a program's environment the variables that an outer `cargo run` or `cargo test` has set, and
/// all AWS settings.
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
    fn settings_of_cargo_are_kept() {
        for hidden in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_BIN_EXE_local"] {
            assert!(set_by_cargo(hidden), "{hidden}");
        }
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_NET_OFFLINE"] {
            assert!(!set_by_cargo(kept), "{kept}");
        }
    }
}
