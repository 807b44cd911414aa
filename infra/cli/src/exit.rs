//! What a command's exit status means: 0, all is as it should be; 1, it is not; 2, the command could not find
//! out.

use std::process::ExitCode;

/// Something is not as it should be.
const NO: u8 = 1;

/// Wrong usage, an input that cannot be read, or nobody answers. clap ends with the same status.
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
