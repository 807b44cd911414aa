//! `cargo figures`: measures the built functions and compares them with other implementations.
//!
//! | module | holds |
//! |---|---|
//! | `candidates`, `artifact` | the candidates: builds and installs them, and measures their size |
//! | `instance` | a running candidate, behind the Runtime API of `tests` |
//! | `canned` | the AWS that the candidates call |
//! | `compare`, `tls`, `load`, `growth`, `reconcile` | one command each |
//! | `statistics`, `table` | medians and percentiles; printing tables |

mod artifact;
mod candidates;
mod canned;
mod compare;
mod growth;
mod instance;
mod load;
mod reconcile;
mod statistics;
mod table;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::candidates::{Binaries, Candidate, OURS};
use crate::compare::Amount;

/// Measures the built functions and compares them with other implementations.
#[derive(Debug, Parser)]
#[command(name = "cargo figures")]
struct Options {
    #[command(subcommand)]
    command: Option<What>,

    /// Few starts and events: checks that the command works; the figures are not reliable.
    #[arg(long, global = true)]
    quick: bool,

    /// Only the candidates whose name contains this; may be repeated.
    #[arg(long, global = true, value_name = "NAME")]
    only: Vec<String>,

    /// How long a call to AWS takes, in milliseconds; several values are measured one after the other.
    #[arg(long, global = true, value_name = "MS", value_delimiter = ',')]
    delay: Vec<u64>,

    /// The cargo profile for the functions and the Rust baselines.
    #[arg(long, global = true, default_value = "release")]
    profile: String,

    /// Uses the binaries in this folder instead of building them.
    #[arg(long, global = true, value_name = "FOLDER")]
    binaries: Option<PathBuf>,

    /// Adds the chosen functions from the binaries in this folder, for example of another profile; may be
    /// repeated.
    #[arg(long, global = true, value_name = "FOLDER")]
    beside: Vec<PathBuf>,

    /// Adds a row: the function for UMAaaS with this variable set; may be repeated.
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    variant: Vec<String>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// Start, reply, processor, memory, size and calls of every candidate (the default).
    Compare,
    /// The start over HTTP and over TLS.
    Tls,
    /// Events per second, by the size of the body and the number of instances.
    Load,
    /// An event's cost in tables of several sizes, against ministack.
    Growth,
    /// The reconciler with 20,000 records to forward.
    Reconcile,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let binaries = match &options.binaries {
        Some(directory) => Binaries::in_directory(directory),
        None => runtime()?.block_on(Binaries::build(&options.profile))?,
    };
    let command = options.command.unwrap_or(What::Compare);
    if !matches!(command, What::Load) {
        // Everything runs on one processor, the functions too. Otherwise the system chooses the processor of
        // each process, and the times vary by a factor of two.
        let pinned = core_affinity::get_core_ids().and_then(|cores| cores.last().copied());
        if !pinned.is_some_and(core_affinity::set_for_current) {
            eprintln!("cannot limit the process to one processor: the figures will vary");
        }
    }
    runtime()?.block_on(run(command, options, &binaries))
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

async fn run(command: What, options: &Options, binaries: &Binaries) -> Result<()> {
    let amount = if options.quick { Amount::QUICK } else { Amount::FULL };
    let delays = |default: &[u64]| match options.delay.as_slice() {
        [] => default.to_vec(),
        chosen => chosen.to_vec(),
    };
    match command {
        What::Compare => {
            compare::run(&options.candidates(binaries, &[]).await?, amount, &delays(&[0, 5, 20])).await
        }
        What::Tls => {
            let default = [OURS, "bench-plain", "powertools"];
            let delay = delays(&[0]).first().copied().unwrap_or(0);
            let candidates = options.candidates(binaries, &default).await?;
            tls::run(&candidates, amount, Duration::from_millis(delay)).await
        }
        What::Load => {
            let candidates = options.candidates(binaries, &[OURS]).await?;
            load::run(&candidates, if options.quick { 100 } else { 2_000 }).await
        }
        What::Growth => growth::run(&binaries.umaaas()?, options.quick, amount.events).await,
        What::Reconcile => {
            let records = if options.quick { 1_000 } else { 20_000 };
            reconcile::run(&binaries.reconciler()?, records, &delays(&[0, 5])).await
        }
    }
}

impl Options {
    /// The candidates of the option `--only`, or the command's default ones.
    async fn candidates(&self, binaries: &Binaries, default: &[&str]) -> Result<Vec<Candidate>> {
        let chosen = |name: &str| {
            let named = |part: &str| if part == OURS { name == OURS } else { name.contains(part) };
            match self.only.as_slice() {
                [] => default.is_empty() || default.iter().any(|part| named(part)),
                only => only.iter().any(|part| named(part)),
            }
        };
        let mut candidates = binaries.candidates(chosen).await?;
        for folder in &self.beside {
            for candidate in Binaries::in_directory(folder).functions().into_iter().flatten() {
                if chosen(&candidate.name) {
                    candidates.push(candidate.named(&folder.display().to_string()));
                }
            }
        }
        for variant in &self.variant {
            let (name, value) = variant.split_once('=').context("--variant is NAME=VALUE")?;
            let mut candidate = binaries.umaaas()?.named(variant);
            candidate.environment.push((name.to_owned(), value.to_owned()));
            candidates.push(candidate);
        }
        Ok(candidates)
    }
}
