//! One running instance of a candidate, with its own Runtime API.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use tests::{Exchange, Host, unique, usage};

use crate::candidates::{Candidate, ENDPOINT};
use crate::canned::Canned;

/// A running instance. Dropping the value ends the instance. It is started without a supervisor, because the
/// start of the supervisor would be measured too. When this process is killed, the Runtime API ends, and then
/// the function ends.
#[derive(Debug)]
pub struct Instance {
    child: Child,
    host: Host,
    spawned: Instant,
    log: PathBuf,
}

/// The times of one event.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From when the instance gets the event to the response.
    pub reply: Duration,
    /// From the response to the next poll, when the instance is free again.
    pub cycle: Duration,
    /// When the response arrived.
    pub responded: Instant,
}

/// The times of a start.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// From the start of the process to its first poll.
    pub init: Duration,
    /// From the start of the process to its first response.
    pub first_reply: Duration,
    /// The processor time of the process until the first response.
    pub cpu: Duration,
}

impl Instance {
    /// Starts an instance. It handles the events in the host's line.
    pub fn spawn(candidate: &Candidate, aws: &Canned, host: &Host) -> Result<Self> {
        let log = local_stack::scratch().join(format!("figures-{}.log", unique()));
        std::fs::create_dir_all(local_stack::scratch())?;
        let output = File::create(&log)?;
        let (program, arguments) = candidate.command.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdout(output.try_clone()?).stderr(output).env_clear();
        for name in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let filled = |value: &str| value.replace(ENDPOINT, &aws.endpoint);
        command.envs(candidate.environment.iter().map(|(name, value)| (name, filled(value))));
        if let Some(trust) = &aws.trust {
            // the variables of Rust, Python and Node.js
            for name in ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
                command.env(name, trust);
            }
        }
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", host.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "figures"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ]);
        let spawned = Instant::now();
        let child = command.spawn().with_context(|| format!("{} does not start", candidate.name))?;
        Ok(Self { child, host: host.clone(), spawned, log })
    }

    /// Starts an instance with its own host, on which an event is already waiting.
    pub async fn start(candidate: &Candidate, aws: &Canned) -> Result<(Self, Start)> {
        let host = Host::start().await;
        let event = candidate.event()?;
        let first = tokio::spawn({
            let host = host.clone();
            async move { host.exchange(event).await }
        });
        tokio::task::yield_now().await;
        let mut instance = Self::spawn(candidate, aws, &host)?;
        let polled = instance.unless_ended(host.polled(1)).await?;
        let exchange = instance.unless_ended(first).await??;
        let exchange = instance.accepted(exchange)?;
        let cpu = usage::cpu(&instance.pid());
        let start = Start {
            init: polled - instance.spawned,
            first_reply: exchange.responded - instance.spawned,
            cpu,
        };
        instance.unless_ended(host.polled(2)).await?;
        Ok((instance, start))
    }

    /// Sends one event to the instance, and waits until the instance asks for the next one.
    pub async fn handle(&mut self, event: Bytes) -> Result<Times> {
        let host = self.host.clone();
        let polls = host.polls();
        let exchange = self.unless_ended(host.exchange(event)).await?;
        let Exchange { handed_out, responded, .. } = self.accepted(exchange)?;
        let polled = self.unless_ended(host.polled(polls + 1)).await?;
        Ok(Times { reply: responded - handed_out, cycle: polled - handed_out, responded })
    }

    /// The processor time of the instance so far.
    pub fn cpu(&self) -> Duration {
        usage::cpu(&self.pid())
    }

    /// The peak memory of the instance so far, in KB.
    pub fn peak_memory_kb(&self) -> usize {
        usage::peak_memory_kb(&self.pid())
    }

    /// Waits for `something`. Returns an error when the process ends first.
    pub async fn unless_ended<T>(&mut self, something: impl Future<Output = T>) -> Result<T> {
        let mut something = std::pin::pin!(something);
        loop {
            if let Ok(done) = tokio::time::timeout(Duration::from_millis(250), &mut something).await {
                return Ok(done);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status})\n{}", self.log());
            }
        }
    }

    fn accepted(&self, exchange: Result<Exchange, String>) -> Result<Exchange> {
        let exchange = exchange.map_err(|error| anyhow!("it failed: {error}\n{}", self.log()))?;
        let status = exchange.response["statusCode"].as_u64();
        ensure!(status.is_none_or(|status| status == 200), "it answered {status:?}\n{}", self.log());
        Ok(exchange)
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
