//! `cargo webhooks`: commands for those who run the service.

mod answer;
mod aws_call;
mod backtest;
mod cases;
mod choice;
mod compare;
mod conflicts;
mod dead_letters;
mod decisions;
mod diagnose;
mod doctor;
mod exit;
mod generate;
mod inspect;
mod json_text;
mod kinds;
mod listen;
mod output;
mod person;
mod policy;
mod print;
mod reference;
mod replay;
mod request;
mod secret_options;
mod send;
mod sign;
mod stack_description;
mod stats;
mod tail;
mod target;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit::{Exit, block_on};
use crate::target::TargetOptions;

/// Commands for those who run the service.
#[derive(Parser)]
#[command(name = "webhooks", bin_name = "cargo webhooks", after_help = EXIT_STATUS)]
pub(crate) struct Cli {
    #[command(flatten)]
    target: TargetOptions,
    #[command(subcommand)]
    command: Command,
}

const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 an error, 2 wrong arguments, 3 nothing found, 4 refused (--yes, --max), 5 not all done, 130 Ctrl-C.";

#[derive(Subcommand)]
enum Command {
    /// Tries out an approval policy (shared/decisions/policies), without deploying it
    #[command(subcommand)]
    Policy(PolicyCommand),
    #[command(flatten)]
    Tool(Tool),
    /// Lists, shows and searches what is recorded
    #[command(subcommand)]
    Records(inspect::RecordsCommand),
    /// Sends recorded events again
    Replay(replay::ReplayOptions),
    /// Shows, releases and discards what is held until a person decides
    #[command(subcommand)]
    Conflicts(conflicts::ConflictsCommand),
    /// Stops all decisions about payments in an emergency, and lets them go on
    #[command(subcommand)]
    Decisions(decisions::DecisionsCommand),
    /// Shows dead letters and moves them back to their queue
    #[command(subcommand)]
    Dlq(dead_letters::DlqCommand),
    /// Finds, exports and erases what is recorded about a person
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Shows new records as they arrive, and takes nothing off a queue
    #[command(after_help = "\
Examples:
  cargo webhooks tail
  cargo webhooks tail --kind umaaas.incoming_payment --json
  cargo webhooks tail --since 10m --count 100")]
    Tail(tail::TailOptions),
    /// Counts records, decisions and latencies by the hour
    #[command(after_help = "\
Examples:
  cargo webhooks stats
  cargo webhooks stats --since 7d --provider weavr --json | jq .total")]
    Stats(stats::StatsOptions),
    /// Prints the completions of a shell
    #[command(after_help = "\
Example:
  cargo build --bin webhooks && cargo webhooks completions bash > ~/.local/share/bash-completion/completions/webhooks")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Writes what follows from the code into the marked regions of committed files: routes, functions of the
    /// template, tables of the docs
    #[command(after_help = "\
Examples:
  cargo webhooks generate
  cargo webhooks generate --check    # as .ci/run does")]
    Generate {
        /// Changes nothing, and fails if a region is not up to date.
        #[arg(long)]
        check: bool,
    },
}

/// Commands that say by their exit status whether all is as it should be.
#[derive(Subcommand)]
enum Tool {
    Compare(Box<compare::Options>),
    Doctor(doctor::Options),
    Listen(listen::Options),
    Send(Box<send::Options>),
    Sign(sign::Options),
    Verify(verify::Options),
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Runs test cases and prints a table. Fails unless every case comes out as it says
    #[command(after_help = "\
Examples:
  cargo webhooks policy test
  cargo webhooks policy test --policy shared/decisions/policies/screening")]
    Test {
        #[command(flatten)]
        policy: PolicyFile,
        /// Where the cases are: `*.json` in this folder. `cases` in the policy's folder, or beside its file, unless given.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
    },
    /// Checks a policy: its rules, lists, rates and cases, rules that decide no case, currencies without a cap
    #[command(after_help = "\
Example:
  cargo webhooks policy check shared/decisions/policies/screening")]
    Check {
        /// The policy: a folder, or a Cedar file with its `cases` beside it.
        #[arg(value_name = "POLICY")]
        policy: PathBuf,
    },
    /// Packs a policy's folder as a Lambda layer, in which it is /opt/policy
    #[command(after_help = "\
Example:
  cargo webhooks policy pack shared/decisions/policies/screening --out layer.zip")]
    Pack {
        /// The policy's folder.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The file to write.
        #[arg(long, value_name = "LAYER.zip")]
        out: PathBuf,
    },
    /// Prints how many test cases each rule decides
    #[command(after_help = "\
Example:
  cargo webhooks policy coverage --policy shared/decisions/policies/screening")]
    Coverage {
        #[command(flatten)]
        policy: PolicyFile,
        /// Where the cases are, as for `test`.
        #[arg(long, value_name = "DIR")]
        cases: Option<PathBuf>,
    },
    /// Says what another policy would have decided about the payments that are recorded
    Backtest(backtest::BacktestOptions),
    /// Prints what the policy decides about one webhook, what it saw, whether each rule fits and why not, and the reply
    #[command(after_help = "\
Examples:
  cargo webhooks policy explain events/umaaas/incoming_payment.json
  cargo webhooks policy explain --policy own.cedar payment.json --reveal")]
    Explain {
        #[command(flatten)]
        policy: PolicyFile,
        /// The webhook's body.
        #[arg(value_name = "BODY.json")]
        body: PathBuf,
        /// Show personal data too.
        #[arg(long)]
        reveal: bool,
    },
}

#[derive(Args)]
struct PolicyFile {
    /// The policy: a folder, or a Cedar file. The built-in sample unless given.
    #[arg(long = "policy", value_name = "POLICY")]
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Cli { target, command } = Cli::parse();
    let alone = match &command {
        Command::Policy(PolicyCommand::Backtest(_)) => None,
        Command::Policy(_) => Some("policy"),
        Command::Generate { .. } => Some("generate"),
        Command::Completions { .. } => Some("completions"),
        _ => None,
    };
    if let Some(Err(error)) = alone.map(|command| target.none_for(command)) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let done = match command {
        // Their exit statuses say more.
        Command::Tool(tool) => return run_tool(tool, &target),
        Command::Policy(PolicyCommand::Test { policy, cases }) => {
            policy::test(policy.file.as_deref(), cases).map(|()| Exit::Done)
        }
        Command::Policy(PolicyCommand::Check { policy }) => policy::check(&policy).map(|()| Exit::Done),
        Command::Policy(PolicyCommand::Pack { folder, out }) => {
            policy::pack(&folder, &out).map(|()| Exit::Done)
        }
        Command::Policy(PolicyCommand::Coverage { policy, cases }) => {
            policy::coverage(policy.file.as_deref(), cases).map(|()| Exit::Done)
        }
        Command::Policy(PolicyCommand::Explain { policy, body, reveal }) => {
            policy::explain(policy.file.as_deref(), &body, reveal).map(|()| Exit::Done)
        }
        Command::Policy(PolicyCommand::Backtest(options)) => {
            block_on(async { backtest::run(&target.resolve().await?, options).await })
        }
        Command::Generate { check } => generate::run(check).map(|()| Exit::Done),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "webhooks", &mut script);
            output::print(&String::from_utf8_lossy(&script)).map(|()| Exit::Done)
        }
        Command::Records(command) => {
            block_on(async { inspect::run(&target.resolve().await?, command).await })
        }
        Command::Replay(options) => block_on(async { replay::run(&target.resolve().await?, options).await }),
        Command::Conflicts(command) => {
            block_on(async { conflicts::run(&target.resolve().await?, command).await })
        }
        Command::Decisions(command) => {
            block_on(async { decisions::run(&target.resolve().await?, command).await })
        }
        Command::Dlq(command) => {
            block_on(async { dead_letters::run(&target.resolve().await?, command).await })
        }
        Command::Person(command) => block_on(async { person::run(&target.resolve().await?, command).await }),
        Command::Tail(options) => block_on(async { tail::run(&target.resolve().await?, options).await }),
        Command::Stats(options) => block_on(async { stats::run(&target.resolve().await?, options).await }),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_tool(tool: Tool, target: &TargetOptions) -> ExitCode {
    exit::code(match tool {
        Tool::Compare(options) => block_on(compare::run(*options, target)),
        Tool::Doctor(options) => block_on(doctor::run(options, target)),
        Tool::Listen(options) => block_on(listen::run(options, target)),
        Tool::Send(options) => block_on(send::run(*options, target)),
        Tool::Sign(options) => block_on(sign::run(options, target)),
        Tool::Verify(options) => block_on(verify::run(options, target)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_and_valid_arguments() {
        Cli::command().debug_assert();
        let mut stack: Vec<clap::Command> = Cli::command().get_subcommands().cloned().collect();
        let mut checked = 0;
        while let Some(command) = stack.pop() {
            stack.extend(command.get_subcommands().cloned());
            if command.has_subcommands() {
                continue;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("cargo webhooks "), "{}", command.get_name());
            checked += 1;
        }
        assert!(checked >= 30, "{checked} commands");
    }
}
