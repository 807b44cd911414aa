//! How a command ends. Scripts can rely on the exit status; README.md lists them.

use std::process::ExitCode;

/// What a command that ran to its end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// There is nothing like that.
    Nothing,
    /// Nothing was done: it would be more than is done without `--yes`, or it must not be done.
    Refused,
    /// Some of it was not done.
    Partly,
    /// Ctrl-C.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // 1 is an error, 2 a wrong argument (clap's own).
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Nothing => 3,
            Exit::Refused => 4,
            Exit::Partly => 5,
            Exit::Interrupted => 130,
        })
    }
}

/// Of a command that checks: something is not as it should be.
const NO: u8 = 1;

/// Of a command that checks: wrong usage, an input that cannot be read, or nobody answers. clap ends with the same status.
const CANNOT: u8 = 2;

/// The exit status of a command that says whether all is as it should be. An error goes to stderr.
pub(crate) fn code(done: anyhow::Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NO),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(CANNOT)
        }
    }
}

/// Runs an asynchronous command.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}
