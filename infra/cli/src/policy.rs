//! `cargo webhooks policy`: an approval policy, tried out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use decisions::{Explanation, Fit};
use ingest::{Decision, Totals, Verdict};
use local_stack::table::aligned;
use serde::de::IgnoredAny;
use serde_json::Value;
use umaaas::Policy;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::answer::{Answer, Decider, Deciders, PaymentProvider};
use crate::cases::{self, Case, summary};
use crate::output::MASK;

/// Where the sample is.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/sample.cedar");

/// Runs the cases in a folder.
pub(crate) fn test(file: Option<&Path>, cases: Option<PathBuf>) -> anyhow::Result<()> {
    let deciders = Deciders::new(|| load(file))?;
    let policy = deciders.policy()?;
    warn(policy);
    let name = named(file, policy);
    let folder = cases.unwrap_or_else(|| cases_of(file));
    let cases = cases::read(&folder)?;

    let mut rows = vec![["".to_owned(), "case".to_owned(), "expected".to_owned(), "decided".to_owned()]];
    for case in &cases {
        let decision = decide(&deciders, case, case.body()?)?;
        let (expected, got) = (case.expected(), case.got(decision.as_ref()));
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

/// Prints what a policy saw, and each rule with what it lacked.
fn print_explanation(Explanation { seen, rules }: &Explanation, reveal: bool) {
    let attributes = |name: &'static str| {
        let values = seen[name].as_object().into_iter().flatten();
        values.map(move |(attribute, value)| {
            let value = if reveal { value.clone() } else { without_persons(attribute, value) };
            ["saw".to_owned(), format!("{name}.{attribute}"), value.to_string()]
        })
    };
    let rows: Vec<_> = ["principal", "resource", "context"].into_iter().flat_map(attributes).collect();
    print!("{}", aligned(&rows));
    if !reveal {
        println!("          {MASK} stands for what may say something about a person; --reveal shows it");
    }
    let permitted = rules.iter().any(|rule| rule.permits && rule.fit == Fit::Fits);
    let rows: Vec<_> = rules
        .iter()
        .map(|rule| {
            let effect = if rule.permits { "permit" } else { "forbid" };
            let fit = match &rule.fit {
                Fit::Fits => "fits".to_owned(),
                Fit::Not(part) => {
                    format!("not: {}", part.split_whitespace().collect::<Vec<_>>().join(" "))
                }
                Fit::Failed(error) => format!("failed: {error}"),
            };
            [effect.to_owned(), rule.id.clone(), fit]
        })
        .collect();
    print!("{}", aligned(&rows));
    if !permitted {
        println!(
            "          no permit fits, so the payment would be rejected (not_permitted) without any forbid"
        );
    }
}

/// The attributes whose texts say nothing about a person.
const IMPERSONAL: [&str; 15] = [
    "countries",
    "country",
    "nationality",
    "countryOfResidence",
    "ultimateInstitutionCountry",
    "domain",
    "in",
    "currency",
    "time",
    "receivedAt",
    "utc",
    "local",
    "requestedFields",
    "mandatoryFields",
    "quoteId",
];

/// A value without the texts that may say something about a person.
fn without_persons(attribute: &str, value: &Value) -> Value {
    match value {
        _ if IMPERSONAL.contains(&attribute) => value.clone(),
        Value::String(_) => MASK.into(),
        Value::Array(entries) => entries.iter().map(|entry| without_persons(attribute, entry)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), without_persons(attribute, value))).collect()
        }
        other => other.clone(),
    }
}

/// Prints how many cases each rule decides.
pub(crate) fn coverage(file: Option<&Path>, cases: Option<PathBuf>) -> anyhow::Result<()> {
    let deciders = Deciders::new(|| load(file))?;
    let rules: Vec<String> = deciders.policy()?.rules().map(str::to_owned).collect();
    let cases = cases::read(&cases.unwrap_or_else(|| cases_of(file)))?;
    let mut decided: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_none = 0;
    for case in &cases {
        let decision = decide(&deciders, case, case.body()?)?;
        let rules = decision.map(|decision| decision.policies).unwrap_or_default();
        by_none += usize::from(rules.is_empty());
        rules.into_iter().for_each(|rule| *decided.entry(rule).or_default() += 1);
    }
    let mut rows = vec![["rule".to_owned(), "cases".to_owned()]];
    rows.extend(rules.into_iter().map(|rule| {
        let count = decided.get(&rule).copied().unwrap_or_default();
        [rule, count.to_string()]
    }));
    print!("{}", aligned(&rows));
    println!("\n{} cases, {by_none} decided by no rule", cases.len());
    Ok(())
}

/// The folder with the cases of a policy: in the policy's folder, or beside its file.
fn cases_of(policy: Option<&Path>) -> PathBuf {
    match policy {
        Some(folder) if folder.is_dir() => folder.join("cases"),
        file => file.unwrap_or(Path::new(SAMPLE)).with_file_name("cases"),
    }
}

/// Checks a policy and everything that belongs to it.
pub(crate) fn check(policy: &Path) -> anyhow::Result<()> {
    let deciders = Deciders::new(|| load(Some(policy)))?;
    let loaded = deciders.policy()?;
    println!("policy    {}", named(Some(policy), loaded));
    let list = |list: decisions::ListSummary<'_>| {
        let entries = format!("{} entries", list.entries);
        [list.name.to_owned(), list.kind.to_owned(), entries, format!("first: {}", list.first)]
    };
    for line in aligned(&loaded.lists().map(list).collect::<Vec<_>>()).lines() {
        println!("list      {line}");
    }
    let cases = cases::read(&cases_of(Some(policy)))?;
    let mut problems = loaded.warnings().to_vec();
    let rules: Vec<String> = loaded.rules().map(str::to_owned).collect();

    let mut decided = BTreeSet::new();
    for case in &cases {
        let decision = decide(&deciders, case, case.body()?)?;
        let (expected, got) = (case.expected(), case.got(decision.as_ref()));
        if expected != got {
            problems.push(format!("case \"{}\": expected {expected}, decided {got}", case.case));
        }
        decided.extend(decision.into_iter().flat_map(|decision| decision.policies));
    }
    let idle = rules.iter().filter(|rule| !decided.contains(*rule));
    problems.extend(idle.map(|rule| format!("rule `{rule}`: it decides no case")));
    problems.extend(uncapped(&deciders, &cases, loaded.currencies())?);

    for problem in &problems {
        println!("problem   {problem}");
    }
    println!("\n{} rules, {} cases, {} problems", rules.len(), cases.len(), problems.len());
    ensure!(problems.is_empty(), "{} problems", problems.len());
    Ok(())
}

fn decide(deciders: &Deciders, case: &Case, body: Vec<u8>) -> anyhow::Result<Option<Decision>> {
    let answer = deciders.of(case.provider(&body)).answer(body, &case.limits);
    Ok(answer.with_context(|| format!("case \"{}\"", case.case))?.decision)
}

/// The currencies in which the largest amount is approved, although it is rejected in another one: a cap for each currency,
/// and one currency without a cap. Tried with every approved case, in the currencies that the rules name and in one that
/// they do not name.
fn uncapped(
    deciders: &Deciders,
    cases: &[Case],
    currencies: &BTreeSet<String>,
) -> anyhow::Result<Vec<String>> {
    const OTHER: &str = "XTS"; // ISO 4217's code for tests
    let mut uncapped: BTreeMap<&str, &str> = BTreeMap::new();
    let mut capped = false;
    for case in cases {
        let body: Value = serde_json::from_slice(&case.body()?)?;
        for currency in currencies.iter().map(String::as_str).chain([OTHER]) {
            let is_approved = |amount: i64| -> anyhow::Result<bool> {
                let mut body = body.clone();
                let name = if body.get("transaction").is_some() { "transaction" } else { "data" };
                let Some(received) = body.pointer_mut(&format!("/{name}/receivedAmount")) else {
                    return Ok(false);
                };
                received["amount"] = amount.into();
                received["currency"]["code"] = currency.into();
                let decision = decide(deciders, case, serde_json::to_vec(&body)?)?;
                Ok(decision.is_some_and(|decision| decision.verdict == Verdict::Approve))
            };
            if is_approved(1)? {
                if is_approved(i64::MAX)? {
                    uncapped.entry(currency).or_insert(&case.case);
                } else {
                    capped = true;
                }
            }
        }
    }
    let problem = |(currency, case): (&str, &str)| {
        let currency = if currency == OTHER { "a currency that no rule names" } else { currency };
        format!("{currency} has no cap: case \"{case}\" with the amount {} in it is approved", i64::MAX)
    };
    Ok(if capped { uncapped.into_iter().map(problem).collect() } else { vec![] })
}

/// The folder of a policy in a Lambda layer: `/opt/policy` in the function.
const IN_LAYER: &str = "policy";

/// Packs a policy's folder as a Lambda layer. The same files give the same bytes.
pub(crate) fn pack(folder: &Path, out: &Path) -> anyhow::Result<()> {
    ensure!(folder.is_dir(), "{}: a layer is made of a folder", folder.display());
    let policy = load(Some(folder))?;
    let mut layer = ZipWriter::new(Cursor::new(Vec::new()));
    // Without a time: the zip format's first one, 1980.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, content) in Policy::files(&folder.to_string_lossy())? {
        layer.start_file(format!("{IN_LAYER}/{name}"), options)?;
        layer.write_all(&content)?;
    }
    let layer = layer.finish()?.into_inner();
    std::fs::write(out, &layer).with_context(|| out.display().to_string())?;
    println!("policy    {}", named(Some(folder), &policy));
    println!("layer     {}, {} bytes", out.display(), layer.len());
    println!("setting   APPROVAL_POLICY=/opt/{IN_LAYER}");
    Ok(())
}

/// Explains the decision about one webhook.
pub(crate) fn explain(file: Option<&Path>, body: &Path, reveal: bool) -> anyhow::Result<()> {
    let policy = load(file)?;
    let bytes = std::fs::read(body).with_context(|| body.display().to_string())?;
    serde_json::from_slice::<IgnoredAny>(&bytes).with_context(|| body.display().to_string())?;
    let decider = Decider::new(PaymentProvider::of(&bytes), policy);
    let Answer { decision, reply, explanation, requested } =
        decider.answer(bytes, &Totals::new()).with_context(|| body.display().to_string())?;
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
    if let Some(explanation) = explanation {
        print_explanation(&explanation, reveal);
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
