//! `cargo deploy-check`: checks everything about the deployment that can be checked without AWS.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use local_stack::process::Program;
use local_stack::progress::step;
use local_stack::sam::Sam;
use local_stack::senders::SENDERS;
use local_stack::watch::cargo_environment;

/// Checks the SAM template, builds all functions for Lambda (arm64) with SAM, and deploys the template to
/// an emulated AWS. The first build takes 10 to 30 minutes.
#[derive(Debug, Parser)]
#[command(name = "cargo deploy-check", bin_name = "cargo deploy-check")]
struct Arguments {}

#[tokio::main]
async fn main() -> ExitCode {
    Arguments::parse();
    match check().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check() -> Result<()> {
    let sam = Sam::install().await?;
    step("cfn-lint and sam validate --lint");
    sam.lint().await?;
    step("sam build");
    sam.build().await?;
    let functions = functions(&Sam::built())?;
    for (name, bytes) in &functions {
        println!("{:>6.1} MB  {name}", megabytes(*bytes));
    }
    let expected = SENDERS.iter().map(|provider| provider.binaries.len()).sum::<usize>() + 1;
    ensure!(functions.len() == expected, "{} functions are built, not {expected}", functions.len());
    step("deploying the template to an emulated AWS");
    cargo_environment(Program::new("cargo"))
        .args(["test", "--quiet", "--workspace", "--test", "e2e", "--", "deploy::", "--nocapture"])
        .run("the deployment")
        .await?;
    step("all checks passed");
    Ok(())
}

/// The built functions with their sizes, by name.
fn functions(built: &Path) -> Result<Vec<(String, usize)>> {
    let mut functions = Vec::new();
    for entry in std::fs::read_dir(built).with_context(|| format!("{} is missing", built.display()))? {
        let entry = entry?;
        // A nested stack has a folder too, with its template.
        if entry.file_type()?.is_dir() && !entry.path().join("template.yaml").is_file() {
            let bootstrap = entry.path().join("bootstrap");
            let binary =
                std::fs::read(&bootstrap).with_context(|| format!("cannot read {}", bootstrap.display()))?;
            ensure!(is_for_arm64(&binary), "{} is not a program for arm64", bootstrap.display());
            functions.push((entry.file_name().to_string_lossy().into_owned(), binary.len()));
        }
    }
    functions.sort();
    Ok(functions)
}

/// Whether a file is a 64-bit little-endian ELF program for AArch64 (System V ABI, "ELF Header").
fn is_for_arm64(binary: &[u8]) -> bool {
    const EM_AARCH64: [u8; 2] = 183_u16.to_le_bytes();
    binary.starts_with(b"\x7fELF\x02\x01") && binary.get(18..20) == Some(&EM_AARCH64)
}

#[expect(clippy::cast_precision_loss, reason = "to show it with one decimal")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_arm64_are_recognised() {
        let ours = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(is_for_arm64(&ours), cfg!(all(target_os = "linux", target_arch = "aarch64")));
        assert!(!is_for_arm64(b"#!/bin/sh\nexec true, and something more"));
        assert!(!is_for_arm64(b""));
    }
}
