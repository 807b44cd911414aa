//! `cargo webhooks policy`: an approval policy, tried out.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use local_stack::table::aligned;
use serde::de::IgnoredAny;
use umaaas::Policy;

use crate::answer::{Answer, Decider, PaymentProvider};
use crate::cases::{self, summary};

/// Where the sample is.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/sample.cedar");

/// Runs the cases in a folder.
pub(crate) fn test(file: Option<&Path>, cases: Option<PathBuf>) -> anyhow::Result<()> {
    let policy = load(file)?;
    warn(&policy);
    let name = named(file, &policy);
    let umaaas = Decider::new(PaymentProvider::Umaaas, policy);
    let grid = Decider::new(PaymentProvider::Grid, load(file)?);
    let folder = cases.unwrap_or_else(|| file.unwrap_or(Path::new(SAMPLE)).with_file_name("cases"));
    let cases = cases::read(&folder)?;

    let mut rows = vec![["".to_owned(), "case".to_owned(), "expected".to_owned(), "decided".to_owned()]];
    for case in &cases {
        let body = case.body()?;
        let decider = match case.provider(&body) {
            PaymentProvider::Umaaas => &umaaas,
            PaymentProvider::Grid => &grid,
        };
        let answer = decider.answer(body).with_context(|| format!("case \"{}\"", case.case))?;
        let (expected, got) = (case.expected(), case.got(answer.decision.as_ref()));
        let result = if expected == got { "ok" } else { "FAILED" };
        rows.push([result.to_owned(), case.case.clone(), expected, got]);
    }
    print!("{}", aligned(&rows));
    let failed = rows.iter().filter(|row| row[0] == "FAILED").count();
    println!("\n{} cases, {failed} failed; policy {name}", cases.len());
    if failed > 0 {
        bail!("{failed} of {} cases failed", cases.len());
    }
    Ok(())
}

/// Explains the decision about one webhook.
pub(crate) fn explain(file: Option<&Path>, body: &Path) -> anyhow::Result<()> {
    let policy = load(file)?;
    let bytes = std::fs::read(body).with_context(|| body.display().to_string())?;
    serde_json::from_slice::<IgnoredAny>(&bytes).with_context(|| body.display().to_string())?;
    let decider = Decider::new(PaymentProvider::of(&bytes), policy);
    let Answer { decision, reply, requested } =
        decider.answer(bytes).with_context(|| body.display().to_string())?;
    let policy = decider.policy().context("it has a policy")?;

    warn(policy);
    println!("policy    {}", named(file, policy));
    match &decision {
        None => println!("decision  none: this webhook does not wait for approval"),
        Some(decision) => {
            println!("decision  {}", summary(decision));
            for id in &decision.policies {
                let rule = policy.rule(id).unwrap_or_default();
                print!("rule      {id}\n{}", indented(&rule));
            }
        }
    }
    if let Some(requested) = requested {
        let named = requested
            .fields
            .iter()
            .map(|field| format!("{}{}", field.name, if field.mandatory { " (mandatory)" } else { "" }));
        println!("requests  {}", named.collect::<Vec<_>>().join(", "));
        println!("          an approval brings what the receiver directory has of these; a mandatory one");
        println!("          that it does not have makes it HTTP 403, receiver_info_unavailable");
    }
    print!("reply     HTTP {}\n{}", reply.status, indented(&reply.body));
    Ok(())
}

pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Policy> {
    let policy = match file {
        None => Policy::sample(),
        Some(file) => Policy::load(&file.to_string_lossy()),
    };
    Ok(policy?)
}

fn warn(policy: &Policy) {
    for warning in policy.warnings() {
        eprintln!("warning: {warning}");
    }
}

/// A policy's file and hash, as records and messages have it.
fn named(file: Option<&Path>, policy: &Policy) -> String {
    let file = file.map_or("sample".to_owned(), |file| file.display().to_string());
    format!("{file}, sha256 {}", policy.hash())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("          {line}\n")).collect()
}
