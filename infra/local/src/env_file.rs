//! `.local/env`: what a running `cargo dev` consists of, for other programs on this machine. It has the
//! functions' environment, for `cargo lambda watch --env-file`, and the address of the functions.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The variable with the address that stands for the API Gateway's. No function reads it.
pub const URL: &str = "LOCAL_URL";

/// Where `cargo dev` writes the file.
pub fn path() -> PathBuf {
    crate::scratch().join("env")
}

/// Writes the file.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, environment: &[(String, String)], url: &str) -> Result<()> {
    let lines = environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    let text = lines.chain([format!("{URL}={url}\n")]).collect::<String>();
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the file. Lines without `=` are skipped.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<HashMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let path = std::env::temp_dir().join(format!("local-env-file-{}", std::process::id()));
        let environment = [("A".to_owned(), "b=c".to_owned()), ("EMPTY".to_owned(), String::new())];
        write(&path, &environment, "http://127.0.0.1:9000").unwrap();
        let expected = HashMap::from([
            ("A".to_owned(), "b=c".to_owned()),
            ("EMPTY".to_owned(), String::new()),
            (URL.to_owned(), "http://127.0.0.1:9000".to_owned()),
        ]);
        assert_eq!(read(&path).unwrap(), expected);
        std::fs::remove_file(&path).unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("local-env-file"));
    }
}
