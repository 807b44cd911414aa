//! DynamoDB, SQS and what else of AWS is needed, emulated on 127.0.0.1 by ministack. Its state is
//! in memory and goes with it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Request;

use crate::client;
use crate::port;
use crate::process::{Process, Program};
use crate::tools::Tools;

/// Where `cargo dev` has it, unless told otherwise.
pub const DEFAULT_PORT: u16 = 4566;

/// The services that are enabled; the others answer with errors.
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

/// How long it may take until it answers: half a second on an idle machine.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running ministack. Dropping it ends it.
#[derive(Debug)]
pub struct Ministack {
    process: Process,
    port: u16,
    directory: PathBuf,
    /// On a port of its own choice there is a new directory every time.
    removes_directory: bool,
}

impl Ministack {
    /// Starts it and waits until it answers. Port 0 is any free one.
    ///
    /// # Errors
    /// It ends or stays silent; the error shows the end of its log.
    pub async fn start(tools: &Tools, port: u16) -> Result<Self> {
        if port != 0 {
            return Self::start_on(tools, port, false).await;
        }
        let mut attempts = 3;
        loop {
            match Self::start_on(tools, port::free()?, true).await {
                // Somebody else was quicker to take the free port.
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
            // Dozens of variables change what it does. It gets none but these.
            .without_env(|name| !matches!(name, "PATH" | "HOME" | "LD_LIBRARY_PATH"))
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", &port.to_string()),
                ("SERVICES", &SERVICES.join(",")),
                // These two would listen on every address.
                ("IOT_MTLS_ENABLED", "0"),
                ("SFTP_ENABLED", "0"),
                // With a Docker daemon it would remove containers of other ministacks.
                ("DOCKER_HOST", "unix:///nonexistent"),
                // Its pid file.
                ("TMPDIR", &temporary.to_string_lossy()),
            ])
            .log(directory.join("log"))
            // It has nothing to save, and takes two seconds to find that out.
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
                // Somebody answers: not another one, while ours failed to get the port?
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

    /// Its address, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Complains when it has ended.
    ///
    /// # Errors
    /// It has ended; the error shows the end of its log.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.process.exited()? {
            Some(status) => bail!("ministack ended ({status})\n{}", self.process.log_tail(20)),
            None => Ok(()),
        }
    }

    /// Its files. On a port of its own choice they go with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The leader of its processes.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it and waits until it is gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        self.process.stop();
        // The log of a failed test is worth keeping.
        if self.removes_directory && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
