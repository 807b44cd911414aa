//! `cargo webhooks policy backtest`: what another policy would have decided about recorded payments. It only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use ingest::Decision;
use local_stack::table::aligned;
use records::{Order, Stored};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Deciders, PaymentProvider};
use crate::choice::{Choice, PeriodOptions};
use crate::exit::Exit;
use crate::output::{Progress, print, print_json};
use crate::policy;
use crate::print::harmless;
use crate::target::Target;

/// How many records are read at once.
const BATCH: usize = 100;

/// How many events of each change are named.
const EXAMPLES: usize = 3;

#[derive(Args)]
#[command(after_help = "\
Only payments that were decided are tried, with the bodies that are recorded; a payment without a body cannot be. The
decision is compared with the one that was made: approve, reject, request_information. Facts about receivers and stops
are no matter of a policy: a payment that was rejected for one of them is tried like every other.

Examples:
  cargo webhooks policy backtest --policy new.cedar --since 30d
  cargo webhooks policy backtest --policy new --stack payment-webhooks --since 30d --json
  cargo webhooks policy backtest --policy new --fail-on 'approve->reject>10' --fail-on 'reject->approve>0'

Exit status: as for all commands, and 1 when a limit of --fail-on is exceeded; 5 when a payment could not be tried.")]
pub(crate) struct BacktestOptions {
    /// The policy to try
    #[arg(long, value_name = "POLICY")]
    policy: PathBuf,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    period: PeriodOptions,
    /// Fail when more payments than this change so; `*` is every decision; can be given more than once
    #[arg(long, value_name = "OLD->NEW>COUNT", value_parser = limit)]
    fail_on: Vec<Limit>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// One `--fail-on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    old: String,
    new: String,
    most: usize,
}

const NAMES: [&str; 4] = ["approve", "reject", "request_information", "*"];

fn limit(text: &str) -> Result<Limit, String> {
    let wrong = || format!("{text}: write OLD->NEW>COUNT, of {}", NAMES.join(", "));
    let (old, rest) = text.split_once("->").ok_or_else(wrong)?;
    let (new, most) = rest.split_once('>').ok_or_else(wrong)?;
    let known = |name: &str| NAMES.contains(&name).then(|| name.to_owned()).ok_or_else(wrong);
    Ok(Limit {
        old: known(old.trim())?,
        new: known(new.trim())?,
        most: most.trim().parse().map_err(|_| wrong())?,
    })
}

impl Limit {
    fn counts(&self, (old, new): &(String, String)) -> bool {
        let fits = |wanted: &str, name: &str| wanted == "*" || wanted == name;
        old != new && fits(&self.old, old) && fits(&self.new, new)
    }
}

/// Payments with the same old and the same new decision.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    count: usize,
    /// Sums of what would be received, by currency, in its smallest unit.
    sums: BTreeMap<String, i128>,
    /// The reasons of the new decision, where it rejects.
    reasons: BTreeMap<String, usize>,
    /// Some events.
    examples: Vec<String>,
}

/// What came of all payments.
#[derive(Debug, Default)]
struct Report {
    tried: usize,
    without_body: usize,
    unreadable: usize,
    groups: BTreeMap<(String, String), Group>,
    /// How many payments each rule of the new policy decided.
    rules: BTreeMap<String, usize>,
}

/// Runs it.
pub(crate) async fn run(target: &Target, options: BacktestOptions) -> Result<Exit> {
    let deciders = Deciders::new(|| policy::load(Some(&options.policy)))?;
    let (since, until) = options.period.period(None)?;
    let filter = options.choice.filter(since, until);
    let records = target.records();
    let mut listing = records.listing(&filter, Order::OldestFirst, None, 10 * BATCH);
    let (mut report, mut shown) = (Report::default(), Progress::new());
    loop {
        let mut entries = listing.take(10 * BATCH).await?;
        if entries.is_empty() {
            break;
        }
        entries.retain(|entry| entry.decision.is_some());
        for keys in entries.chunks(BATCH) {
            let whole = records.whole(keys.iter().map(|entry| &entry.key)).await?;
            report.unreadable += keys.len() - whole.len();
            whole.iter().for_each(|stored| report.add(stored, &deciders));
            shown.say(|| format!("{} payments tried", report.tried));
        }
    }
    if options.json {
        print_json(&report.as_json())?;
    } else {
        print(&report.as_text())?;
    }
    let exceeded: Vec<String> = options.fail_on.iter().filter_map(|limit| report.exceeds(limit)).collect();
    if !exceeded.is_empty() {
        bail!("too many payments change: {}", exceeded.join(", "));
    }
    Ok(match report {
        Report { tried: 0, without_body: 0, unreadable: 0, .. } => Exit::Nothing,
        Report { without_body: 0, unreadable: 0, .. } => Exit::Done,
        _ => Exit::Partly,
    })
}

impl Report {
    fn add(&mut self, stored: &Stored, deciders: &Deciders) {
        let Some(old) = &stored.record.decision else { return };
        if !stored.has_body {
            self.without_body += 1;
            return;
        }
        let provider = PaymentProvider::of_key(&stored.record.key).context("nobody decides");
        let new = provider.and_then(|provider| deciders.of(provider).again(stored));
        let Ok(Some(new)) = new.map(|answer| answer.decision) else {
            self.unreadable += 1;
            return;
        };
        self.tried += 1;
        for rule in new.policies.iter().collect::<BTreeSet<_>>() {
            *self.rules.entry(rule.clone()).or_default() += 1;
        }
        let names = |decision: &Decision| decision.name().to_owned();
        let group = self.groups.entry((names(old), names(&new))).or_default();
        group.count += 1;
        if let Some((amount, currency)) = received(&stored.record.payload) {
            *group.sums.entry(harmless(&currency)).or_default() += i128::from(amount);
        }
        if let Some(reason) = new.reason() {
            *group.reasons.entry(reason.to_owned()).or_default() += 1;
        }
        if group.examples.len() < EXAMPLES {
            group.examples.push(harmless(&stored.record.id));
        }
    }

    fn exceeds(&self, limit: &Limit) -> Option<String> {
        let groups = self.groups.iter().filter(|(change, _)| limit.counts(change));
        let count: usize = groups.map(|(_, group)| group.count).sum();
        let Limit { old, new, most } = limit;
        (count > *most).then(|| format!("{old}->{new}: {count}, more than {most}"))
    }

    fn changed(&self) -> usize {
        self.groups.iter().filter(|((old, new), _)| old != new).map(|(_, group)| group.count).sum()
    }

    fn as_json(&self) -> Value {
        let groups = self.groups.iter().map(|((old, new), group)| {
            let mut line = json!(group);
            line["old"] = old.clone().into();
            line["new"] = new.clone().into();
            line
        });
        json!({
            "tried": self.tried, "changed": self.changed(), "withoutBody": self.without_body,
            "unreadable": self.unreadable, "decisions": groups.collect::<Vec<_>>(), "rules": self.rules,
        })
    }

    fn as_text(&self) -> String {
        let heading = ["was", "would be", "payments", "received", "for example"].map(str::to_owned);
        let row = |((old, new), group): (&(String, String), &Group)| {
            let mark = if old == new { "" } else { "*" };
            let sums = group.sums.iter().map(|(currency, sum)| format!("{sum} {currency}"));
            let reasons: Vec<&str> = group.reasons.keys().map(String::as_str).collect();
            let new =
                if reasons.is_empty() { new.clone() } else { format!("{new} ({})", reasons.join(", ")) };
            [
                format!("{mark}{old}"),
                new,
                group.count.to_string(),
                sums.collect::<Vec<_>>().join(", "),
                group.examples.join(", "),
            ]
        };
        let rows: Vec<_> = std::iter::once(heading).chain(self.groups.iter().map(row)).collect();
        let mut text = aligned(&rows);
        let rules = self.rules.iter().map(|(rule, count)| [rule.clone(), count.to_string()]);
        let rules: Vec<_> =
            std::iter::once(["rule".to_owned(), "payments".to_owned()]).chain(rules).collect();
        if rules.len() > 1 {
            text += &format!("\n{}", aligned(&rules));
        }
        let Self { tried, without_body, unreadable, .. } = self;
        text += &format!("\n{tried} payments, {} would be decided otherwise (*)", self.changed());
        if *without_body > 0 {
            text += &format!(", {without_body} without a body");
        }
        if *unreadable > 0 {
            text += &format!(", {unreadable} that cannot be read or are not decided by this code");
        }
        text + "\n"
    }
}

/// The amount that would be received, in the currency's smallest unit.
fn received(body: &[u8]) -> Option<(i64, String)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let amount = ["transaction", "data"].iter().find_map(|name| body.get(name)?.get("receivedAmount"))?;
    Some((amount["amount"].as_i64()?, amount["currency"]["code"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let change = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let parsed = limit("approve->reject>10").unwrap();
        assert_eq!((parsed.old.as_str(), parsed.new.as_str(), parsed.most), ("approve", "reject", 10));
        assert!(parsed.counts(&change("approve", "reject")) && !parsed.counts(&change("reject", "approve")));
        let any = limit("*->* > 0").unwrap();
        assert!(any.counts(&change("reject", "approve")) && !any.counts(&change("reject", "reject")));
        for wrong in
            ["", "approve", "approve->reject", "approve->no>1", "approve->reject>x", "approve->reject>-1"]
        {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }
}
