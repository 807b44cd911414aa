//! DynamoDB, SQS and the other necessary AWS services, emulated on 127.0.0.1 by ministack. Ministack keeps
//! its state in memory, so the state is lost when ministack ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;

use crate::client;
use crate::port;
use crate::process::{Process, Program};
use crate::tools::Tools;

/// The port that `cargo dev` uses without `--aws-port`.
pub const DEFAULT_PORT: u16 = 4566;

/// The enabled services; all other services answer with errors.
pub const SERVICES: &[&str] = &[
    "apigateway",
    "cloudformation",
    "dynamodb",
    "events",
    "iam",
    "lambda",
    "logs",
    "monitoring",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "sts",
];

/// How long ministack may take until it answers. On an idle machine it needs half a second.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running ministack. Dropping the value ends it.
#[derive(Debug)]
pub struct Ministack {
    process: Process,
    port: u16,
    directory: PathBuf,
    /// Whether the directory is removed when ministack ends: so when the port was chosen automatically,
    /// because every start then makes a new directory.
    removes_directory: bool,
}

impl Ministack {
    /// Starts ministack and waits until it answers. Port 0 means any free port.
    ///
    /// # Errors
    /// Ministack ends or does not answer; the error contains the end of its log.
    pub async fn start(tools: &Tools, port: u16) -> Result<Self> {
        if port != 0 {
            return Self::start_on(tools, port, false).await;
        }
        let mut attempts = 3;
        loop {
            match Self::start_on(tools, port::free()?, true).await {
                // Another program took the free port first: try another port.
                Err(error) if attempts > 1 && format!("{error:#}").contains("already in use") => {
                    attempts -= 1
                }
                result => return result,
            }
        }
    }

    async fn start_on(tools: &Tools, port: u16, removes_directory: bool) -> Result<Self> {
        let directory = crate::scratch().join(format!("ministack-{port}"));
        let temporary = directory.join("tmp");
        std::fs::create_dir_all(&temporary)
            .with_context(|| format!("cannot write {}", temporary.display()))?;
        let process = Program::new(tools.program("ministack"))
            // Dozens of environment variables change ministack's behaviour, so it gets only these.
            .without_env(|name| !matches!(name, "PATH" | "HOME" | "LD_LIBRARY_PATH"))
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", &port.to_string()),
                ("SERVICES", &SERVICES.join(",")),
                // These two services would listen on every address, not only on 127.0.0.1.
                ("IOT_MTLS_ENABLED", "0"),
                ("SFTP_ENABLED", "0"),
                // With a Docker daemon, ministack would remove the containers of other ministacks.
                ("DOCKER_HOST", "unix:///nonexistent"),
                // Ministack writes its pid file there.
                ("TMPDIR", &temporary.to_string_lossy()),
            ])
            .log(directory.join("log"))
            // Killed at once: it has no state to save, and a SIGTERM would take two seconds.
            .grace(Duration::ZERO)
            .start()?;
        let mut ministack = Self { process, port, directory, removes_directory };
        ministack.ready().await?;
        Ok(ministack)
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            self.ensure_running()?;
            let request = Request::get(format!("{}/_ministack/ready", self.endpoint())).body(Bytes::new())?;
            if client::send(request, Duration::from_secs(2))
                .await
                .is_ok_and(|response| response.status() == 200)
            {
                // The answer may come from another ministack on this port. Ours has then ended.
                return self.ensure_running();
            }
            if started.elapsed() > START_WITHIN {
                bail!(
                    "ministack does not answer on port {} after {} s\n{}",
                    self.port,
                    START_WITHIN.as_secs(),
                    self.process.log_tail(20)
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The address of ministack, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Checks that ministack is running.
    ///
    /// # Errors
    /// Ministack has ended; the error contains the end of its log.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.process.exited()? {
            Some(status) => bail!("ministack ended ({status})\n{}", self.process.log_tail(20)),
            None => Ok(()),
        }
    }

    /// The directory with ministack's files. It is removed with ministack if the port was chosen
    /// automatically.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process id of the group leader of ministack's processes.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends ministack and waits until its processes have ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        self.process.stop();
        // Keep the log of a failed test.
        if self.removes_directory && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
