//! Processes that end when their owner ends.
//!
//! `cargo lambda watch` starts each function in its own process group, and the children of a killed process
//! keep running. So every program runs below a small supervisor, `supervise.py`. The supervisor ends the
//! program and all its descendants when our end of a pipe closes: on [`Process::stop`], on drop, when a panic
//! unwinds, and when this process is killed, because the kernel then closes the pipe.

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
    /// A program, given by its path or by its name on the `PATH`. Its output goes to our standard output and
    /// error.
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

    /// Removes the inherited environment variables for whose name `hidden` returns true.
    #[must_use]
    pub fn without_env(mut self, hidden: impl Fn(&str) -> bool) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(&hidden) {
                self.command.env_remove(name);
            }
        }
        self
    }

    /// Sets the time between SIGTERM and SIGKILL when the program is stopped.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the working directory. Without it, the program runs in the workspace's root.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Writes standard output and standard error to a file.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// Python is missing, or the log cannot be written. A program that does not exist is not an error here:
    /// the process [exits](Process::exited) with the reason in its output.
    pub fn start(self) -> Result<Process> {
        let mut command = Command::new(&python()?.executable);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("supervise.py"))
            .arg(self.grace.as_secs_f64().to_string())
            .arg(self.command.get_program())
            .args(self.command.get_args())
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            // A terminal sends Ctrl-C to the foreground process group. In its own group, the supervisor does
            // not get it; this process does, and stops the supervisor.
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

    /// Runs the program and waits until it ends. `what` names it in the error.
    ///
    /// # Errors
    /// The program failed: the error contains the end of its log.
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
    /// The exit status, or `None` while the program is running.
    ///
    /// # Errors
    /// The operating system cannot report the status.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.supervisor.try_wait()?)
    }

    /// Waits until the program ends by itself.
    ///
    /// # Errors
    /// The operating system cannot report the status.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The process id of the supervisor: the ancestor of all started processes, and the leader of its process
    /// group.
    pub fn id(&self) -> u32 {
        self.supervisor.id()
    }

    /// The last lines of the program's log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log.as_deref().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text), lines)
    }

    /// Ends the program and everything it started, and waits until they have ended.
    pub fn stop(&mut self) {
        // The supervisor ends when its standard input is closed.
        drop(self.supervisor.stdin.take());
        let deadline = Instant::now() + self.grace + Duration::from_secs(5);
        while matches!(self.supervisor.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The supervisor did not end in time: as the last resort, kill it.
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
