//! Processes that end with their owner.
//!
//! `cargo lambda watch` starts functions in process groups of their own, and what a killed parent
//! started lives on. So every program runs below a small supervisor, `supervise.py`, which ends it
//! and all that came from it when our end of a pipe closes: on [`Process::stop`], on drop, when a
//! panic unwinds, and when the kernel closes it because this process was killed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress;
use crate::python::python;

/// A running program and everything it started.
#[derive(Debug)]
pub struct Process {
    supervisor: Child,
    grace: Duration,
    log: Option<PathBuf>,
}

/// What to run, and how.
#[derive(Debug)]
pub struct Program {
    command: Command,
    grace: Duration,
    directory: PathBuf,
    log: Option<PathBuf>,
}

impl Program {
    /// A program by its path, or by its name on the `PATH`. Its output goes where ours goes.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
            grace: Duration::from_secs(1),
            directory: crate::root().to_owned(),
            log: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs(
        mut self,
        variables: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Self {
        self.command.envs(variables);
        self
    }

    /// Hides those environment variables of ours whose name fits.
    #[must_use]
    pub fn without_env(mut self, hidden: impl Fn(&str) -> bool) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(&hidden) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// How long it may take to end when it is asked to, before it is killed.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Where it runs, if not at the workspace's root.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Sends its output, both streams, to a file.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// Python is missing, or the log cannot be written. A program that does not exist is an
    /// [exit](Process::exited) with the reason in its output.
    pub fn start(self) -> Result<Process> {
        let mut command = Command::new(&python()?.executable);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("supervise.py"))
            .arg(self.grace.as_secs_f64().to_string())
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            // Ctrl-C in a terminal goes to the foreground group: it reaches us, and we stop this.
            .process_group(0);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(log) = &self.log {
            let create = || {
                std::fs::create_dir_all(log.parent().unwrap_or(Path::new(".")))?;
                let file = File::create(log)?;
                Ok::<_, std::io::Error>((file.try_clone()?, file))
            };
            let (out, err) = create().with_context(|| format!("cannot write {}", log.display()))?;
            command.stdout(out).stderr(err);
        }
        let supervisor = command.spawn().context("Python does not start")?;
        Ok(Process { supervisor, grace: self.grace, log: self.log })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It failed: the error shows the end of its log.
    pub async fn run(self, what: &str) -> Result<()> {
        const REPORT_EVERY: Duration = Duration::from_secs(5);

        let started = Instant::now();
        let mut report = REPORT_EVERY;
        let mut process = self.start()?;
        let status = loop {
            if let Some(status) = process.exited()? {
                break status;
            }
            if process.log.is_some() && started.elapsed() >= report {
                report += REPORT_EVERY;
                let last: String = process.log_tail(1).chars().take(100).collect();
                progress::step(format!("{what} … {last}"));
            }
            tokio::time::sleep(POLL).await;
        };
        if !status.success() {
            bail!("{what} failed ({status})\n{}", process.log_tail(20));
        }
        Ok(())
    }
}

impl Process {
    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.supervisor.try_wait()?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The system does not say.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The process id of its supervisor: the ancestor of all it started, the leader of its group.
    pub fn id(&self) -> u32 {
        self.supervisor.id()
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log.as_deref().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text), lines)
    }

    /// Ends it and everything it started, and waits until they are gone.
    pub fn stop(&mut self) {
        // The supervisor takes the end of its input as the order to end.
        drop(self.supervisor.stdin.take());
        let deadline = Instant::now() + self.grace + Duration::from_secs(5);
        while matches!(self.supervisor.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Out of order; nothing better is left.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

const POLL: Duration = Duration::from_millis(20);

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        assert_eq!(tail("", 2), "");
        assert_eq!(tail("one\n\n", 2), "one");
        assert_eq!(tail("one\ntwo\n \nthree\n", 2), "two\nthree");
    }

    #[tokio::test]
    async fn a_failure_shows_the_end_of_the_log() {
        let log = std::env::temp_dir().join(format!("local-process-{}.log", std::process::id()));
        let program = Program::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).log(&log);
        let error = program.run("the attempt").await.unwrap_err().to_string();
        assert!(error.starts_with("the attempt failed") && error.ends_with("out\nerr"), "{error}");
        std::fs::remove_file(log).unwrap();
    }
}
