//! `cargo webhooks decisions`: stops all decisions about payments in an emergency, without a deployment.

use anyhow::{Result, ensure};
use clap::Subcommand;
use ingest::DECISIONS_STOPPED;
use jiff::Timestamp;
use records::{DecisionSwitch, Records};
use serde_json::json;

use crate::exit::Exit;
use crate::inspect::written;
use crate::output::{print, print_json};
use crate::target::Target;

/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 500;

#[derive(Subcommand)]
pub(crate) enum DecisionsCommand {
    /// Rejects every payment that waits for approval, of all providers, until `resume`
    #[command(after_help = "\
All other events are received as before. Every function knows within a minute; what it has approved until then stays
approved. A payment is answered 403 with the reason `decisions_stopped`, and recorded. The alarm `decisions-stopped` is
on as long as it lasts.

Example:
  cargo webhooks decisions stop --reason 'the sanctions list is wrong; ticket 4711'")]
    Stop {
        /// Why; kept beside the switch, so do not name a person
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Lets the policy decide again
    #[command(after_help = "\
Payments that were rejected meanwhile stay rejected: the provider has cancelled them.

Example:
  cargo webhooks decisions resume --reason 'list of 2026-11-25 deployed'")]
    Resume {
        /// Why; kept beside the switch
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Says whether decisions are stopped, since when, and why
    #[command(after_help = "\
Examples:
  cargo webhooks decisions status
  cargo webhooks decisions status --json | jq .stopped")]
    Status {
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
pub(crate) async fn run(target: &Target, command: DecisionsCommand) -> Result<Exit> {
    let records = target.records();
    match command {
        DecisionsCommand::Status { json } => status(&records.decision_switch().await?, json),
        DecisionsCommand::Stop { reason } => set(&records, true, Some(&reason)).await,
        DecisionsCommand::Resume { reason } => set(&records, false, reason.as_deref()).await,
    }
}

fn status(switch: &DecisionSwitch, json: bool) -> Result<Exit> {
    let DecisionSwitch { is_stopped, since, reason } = switch;
    if json {
        let since = since.map(|since| since.to_string());
        print_json(&json!({ "stopped": is_stopped, "since": since, "reason": reason }))?;
    } else {
        let state = if *is_stopped { "stopped" } else { "made" };
        let since = since.map(|since| format!(" since {}", written(since))).unwrap_or_default();
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        print(&format!("decisions are {state}{since}{reason}\n"))?;
    }
    Ok(Exit::Done)
}

async fn set(records: &Records, stop: bool, reason: Option<&str>) -> Result<Exit> {
    if let Some(reason) = reason {
        let fits = !reason.trim().is_empty() && reason.len() <= MAX_REASON_BYTES;
        ensure!(fits, "--reason needs a text of at most {MAX_REASON_BYTES} bytes");
    }
    let before = records.decision_switch().await?;
    if before.is_stopped == stop {
        // The first reason and time are what matters later.
        eprintln!("nothing to do: decisions are {} already", if stop { "stopped" } else { "made" });
        return Ok(Exit::Nothing);
    }
    records.set_decision_switch(stop, reason, Timestamp::now()).await?;
    if stop {
        eprintln!(
            "stopped: within a minute every payment that waits for approval is rejected ({DECISIONS_STOPPED})"
        );
    } else {
        eprintln!("resumed: within a minute the policies decide again");
    }
    Ok(Exit::Done)
}
