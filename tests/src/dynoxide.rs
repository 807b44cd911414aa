//! A second emulator of DynamoDB on 127.0.0.1. It shares no code with ministack, so a test that passes on
//! both does not depend on a bug of one emulator.
//!
//! [dynoxide](https://crates.io/crates/dynoxide-rs) could be linked as a library. It runs as a program,
//! because a dependency would add features to packages that the functions have too (tokio's `full` and
//! `parking_lot`, hyper-util's `server`), and cargo would build the functions with those features.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_dynamodb::Client;
use bytes::Bytes;
use http::Request;
use local_stack::process::{Process, Program};
use local_stack::{client, port, progress, stack, watch};

/// The version that is installed. The `Cargo.lock` of dynoxide pins its dependencies.
const VERSION: &str = "3.2.0";

/// The features that the HTTP server needs. The default features add an import tool and an MCP server.
const FEATURES: &str = "cli,http-server,native-sqlite";

/// How long dynoxide may take until it answers. On an idle machine it needs a few milliseconds.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running dynoxide with the events table, in memory. Dropping the value ends the program.
#[derive(Debug)]
pub struct LocalDynamo {
    /// A client of the database.
    pub dynamodb: Client,
    /// The table's name.
    pub table: String,
    /// The address of the database. Dynoxide emulates no other AWS service.
    pub endpoint: String,
    process: Process,
    log: PathBuf,
}

impl LocalDynamo {
    /// Starts dynoxide on a free port and creates the table. The first time on a machine, this builds
    /// dynoxide, which takes a minute or two.
    pub async fn start() -> Self {
        let program = install().await.unwrap();
        let mut attempts = 3;
        loop {
            match Self::start_on(&program, port::free().unwrap()).await {
                // Another program took the free port first: try another port.
                Err(error) if attempts > 1 && format!("{error:#}").contains("in use") => attempts -= 1,
                result => return result.unwrap(),
            }
        }
    }

    async fn start_on(program: &Path, port: u16) -> Result<Self> {
        let endpoint = format!("http://127.0.0.1:{port}");
        let log = local_stack::scratch().join(format!("dynoxide-{port}.log"));
        let process = Program::new(program)
            .without_env(|name| name.starts_with("DYNOXIDE_"))
            .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
            .log(&log)
            // Killed at once: it has no state to save.
            .grace(Duration::ZERO)
            .start()?;
        let table = "webhook-events".to_owned();
        let dynamodb = Client::new(&stack::config(&endpoint));
        let mut dynamo = Self { dynamodb, table, endpoint, process, log };
        dynamo.ready().await?;
        stack::create_table(&dynamo.dynamodb, &dynamo.table).await.context("cannot create the table")?;
        Ok(dynamo)
    }

    async fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            self.ensure_running()?;
            let request = Request::get(format!("{}/", self.endpoint)).body(Bytes::new())?;
            let answer = client::send(request, Duration::from_secs(2)).await;
            if answer.is_ok_and(|response| response.headers().contains_key("x-dynoxide-version")) {
                // The answer may come from another dynoxide on this port. Ours has then ended.
                return self.ensure_running();
            }
            ensure!(Instant::now() < deadline, "dynoxide does not answer\n{}", self.process.log_tail(20));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn ensure_running(&mut self) -> Result<()> {
        match self.process.exited()? {
            Some(status) => bail!("dynoxide ended ({status})\n{}", self.process.log_tail(20)),
            None => Ok(()),
        }
    }
}

impl Drop for LocalDynamo {
    fn drop(&mut self) {
        self.process.stop();
        // Keep the log of a failed test.
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// Builds dynoxide, unless it is built, and returns the program's path. Tests that build it at the same time
/// wait for each other.
async fn install() -> Result<PathBuf> {
    let root = local_stack::scratch().join(format!("dynoxide-{VERSION}"));
    let program = root.join("bin").join("dynoxide");
    std::fs::create_dir_all(&root)?;
    let lock = File::create(root.join("install.lock"))?;
    lock.lock()?;
    // cargo moves the finished program there in one step, so a file at this path is complete.
    if !program.exists() {
        progress::step(format!("building dynoxide {VERSION} (a minute or two, once)"));
        watch::cargo_environment(Program::new("cargo"))
            .args(["install", "dynoxide-rs", "--version", &format!("={VERSION}"), "--locked", "--debug"])
            .args(["--no-default-features", "--features", FEATURES, "--root"])
            .arg(&root)
            .log(root.join("install.log"))
            .run("cargo install")
            .await?;
    }
    Ok(program)
}
