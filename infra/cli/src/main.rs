//! `cargo webhooks`: commands for those who run the service.

mod answer;
mod cases;
mod compare;
mod connection;
mod diagnose;
mod doctor;
mod exit;
mod generate;
mod json_text;
mod kinds;
mod listen;
mod local_env;
mod policy;
mod print;
mod request;
mod secret_options;
mod send;
mod sign;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Commands for those who run the service.
#[derive(Parser)]
#[command(name = "webhooks", bin_name = "cargo webhooks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try out an approval policy (shared/decisions/policies), without deploying it.
    #[command(subcommand)]
    Policy(PolicyCommand),
    Compare(Box<compare::Options>),
    Doctor(doctor::Options),
    Listen(listen::Options),
    Send(Box<send::Options>),
    Sign(sign::Options),
    Verify(verify::Options),
    /// Writes what follows from the declarations of kinds, families and variables into the marked regions of
    /// committed files: routes, functions of the template, tables of the docs.
    Generate {
        /// Changes nothing, and fails if a region is not up to date.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Runs test cases and prints a table. Fails unless every case comes out as it says.
    Test {
        #[command(flatten)]
        policy: PolicyFile,
        /// Where the cases are: `*.json` in this folder. `cases` beside the policy unless given.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
    },
    /// Prints what the policy decides about one webhook, by which rules, and the exact reply.
    Explain {
        #[command(flatten)]
        policy: PolicyFile,
        /// The webhook's body.
        #[arg(value_name = "BODY.json")]
        body: PathBuf,
    },
}

#[derive(Args)]
struct PolicyFile {
    /// The Cedar file. The built-in sample unless given.
    #[arg(long = "policy", value_name = "FILE")]
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Policy(PolicyCommand::Test { policy, cases }) => policy::test(policy.file.as_deref(), cases),
        Command::Policy(PolicyCommand::Explain { policy, body }) => {
            policy::explain(policy.file.as_deref(), &body)
        }
        Command::Compare(options) => return exit::code(exit::block_on(compare::run(*options))),
        Command::Doctor(options) => return exit::code(exit::block_on(doctor::run(options))),
        Command::Listen(options) => return exit::code(exit::block_on(listen::run(options))),
        Command::Send(options) => return exit::code(exit::block_on(send::run(*options))),
        Command::Sign(options) => return exit::code(sign::run(options)),
        Command::Verify(options) => return exit::code(verify::run(options)),
        Command::Generate { check } => generate::run(check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
