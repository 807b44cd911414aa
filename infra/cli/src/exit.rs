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
