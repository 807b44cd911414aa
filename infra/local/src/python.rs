//! The Python interpreter that makes the virtual environments and runs the supervisors.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// A Python interpreter.
#[derive(Debug)]
pub struct Python {
    /// The path of the interpreter.
    pub executable: PathBuf,
    /// The version, such as `3.11.7`.
    pub version: String,
}

/// The interpreter that the environment variable `PYTHON` names, or `python3`.
///
/// # Errors
/// The interpreter is missing or too old; the error says what to do.
pub fn python() -> Result<&'static Python> {
    static FOUND: OnceLock<Python> = OnceLock::new();
    match FOUND.get() {
        Some(python) => Ok(python),
        None => find(&named()).map(|python| FOUND.get_or_init(|| python)),
    }
}

fn named() -> String {
    std::env::var("PYTHON").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".to_owned())
}

fn find(name: &str) -> Result<Python> {
    // The path of the interpreter itself: `python3` may be a script of a version manager, or belong to the
    // virtual environment that will be deleted and made again.
    const SCRIPT: &str = r"import sys; print(getattr(sys, '_base_executable', sys.executable)); print('%d.%d.%d' % sys.version_info[:3])";

    let output = Command::new(name).args(["-c", SCRIPT]).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!(
            "`{name}` was not found: install Python 3.10 or newer, or name one in the environment variable PYTHON"
        ),
        _ => anyhow!(error).context(format!("`{name}` does not start")),
    })?;
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = output.lines();
    let executable = lines.next().with_context(|| format!("`{name}` is not Python 3"))?.into();
    let version = lines.next().unwrap_or_default().to_owned();
    if !is_new_enough(&version) {
        bail!(
            "Python 3.10 or newer is needed, and `{name}` is {version}; name another in the environment variable PYTHON"
        );
    }
    Ok(Python { executable, version })
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(3)), Some(Ok(10..))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["3.10.0", "3.11.7", "3.100.1"] {
            assert!(is_new_enough(good), "{good}");
        }
        for bad in ["", "2.7.18", "3.9.6", "3", "four.ten"] {
            assert!(!is_new_enough(bad), "{bad}");
        }
    }

    #[test]
    fn the_interpreter_is_found() {
        let python = python().unwrap();
        assert!(python.executable.is_absolute() && is_new_enough(&python.version), "{python:?}");
    }

    #[test]
    fn the_error_names_a_program_that_is_not_python() {
        for name in ["no-such-python", "true", "false"] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
