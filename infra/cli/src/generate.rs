//! `cargo webhooks generate`: what follows from the declarations in the code, written into the marked regions of
//! committed files. A region stands between a line with `generated: <name>` and a line with `/generated`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use aws::{Unset, Variable};
use clap::CommandFactory as _;
use ingest::{Arrival, Provider as _};
use jiff::Timestamp;
use local_stack::senders::{SENDERS, Sample, Sender};
use serde_json::Value;
use verify::Verified;
use weavr::{Demand, Family, Weavr};

use crate::Cli;
use crate::reference::{overview, reference};

/// A marked part of a file.
struct Region {
    file: &'static str,
    name: &'static str,
    text: String,
}

/// Rewrites every region, or with `check` says which one is not as the declarations have it.
pub fn run(check: bool) -> Result<()> {
    let root = local_stack::root();
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let mut stale = Vec::new();
    for Region { file, name, text } in regions()? {
        let content = match files.remove(file) {
            Some(content) => content,
            None => read(&root.join(file))?,
        };
        let new = replaced(&content, name, &text).with_context(|| file.to_owned())?;
        if new != content {
            stale.push(format!("{file}: {name}"));
        }
        files.insert(file, new);
    }
    if check {
        ensure!(stale.is_empty(), "not up to date: {}; run `cargo webhooks generate`", stale.join(", "));
        println!("{} files are up to date", files.len());
        return Ok(());
    }
    for (file, content) in files {
        std::fs::write(root.join(file), content).with_context(|| format!("cannot write {file}"))?;
    }
    if stale.is_empty() {
        println!("nothing has changed");
    }
    stale.iter().for_each(|region| println!("rewrote {region}"));
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The content with another text in one region. The marks stay.
fn replaced(content: &str, name: &str, text: &str) -> Result<String> {
    let mut lines = content.lines();
    let mut new = String::with_capacity(content.len());
    let is_start = |line: &str| mark(line) == Some(format!("generated: {name}").as_str());
    let start = lines.by_ref().find(|line| {
        new.push_str(line);
        new.push('\n');
        is_start(line)
    });
    ensure!(start.is_some(), "there is no region \"generated: {name}\"");
    new.push_str(text);
    let end = lines.by_ref().find(|line| mark(line).is_some());
    match end {
        Some(line) if mark(line) == Some("/generated") => {
            new.push_str(line);
            new.push('\n');
        }
        _ => bail!("the region \"generated: {name}\" has no end"),
    }
    for line in lines {
        ensure!(!is_start(line), "there are two regions \"generated: {name}\"");
        new.push_str(line);
        new.push('\n');
    }
    Ok(new)
}

/// What a mark says: `# generated: routes`, `<!-- /generated -->`.
fn mark(line: &str) -> Option<&str> {
    let line = line.trim();
    let line =
        line.strip_prefix("<!--").and_then(|line| line.strip_suffix("-->")).or(line.strip_prefix('#'))?;
    let line = line.trim();
    (line.starts_with("generated: ") || line == "/generated").then_some(line)
}

fn regions() -> Result<Vec<Region>> {
    let region = |file, name, text| Region { file, name, text };
    Ok(vec![
        region("Cargo.toml", "routes", watch_routes()),
        region("infra/template.yaml", "functions of weavr", functions_of_weavr()),
        region("infra/template.yaml", "functions on the dashboard", functions_on_dashboard()),
        region("functions/weavr/README.md", "events", events_of_weavr()?),
        region("infra/configuration.md", "configuration", configuration()),
        region("infra/cli/README.md", "overview", overview(&Cli::command())),
        region("infra/cli/README.md", "reference", reference(&Cli::command())),
    ])
}

/// The paths of Weavr's families, each with its binary, in the order of the declarations.
fn routes_of_weavr(family: Family) -> impl Iterator<Item = &'static str> {
    weavr::KINDS.iter().filter(move |kind| kind.family == family).map(|kind| kind.path)
}

fn watch_routes() -> String {
    let mut text = String::new();
    let mut route = |path: &str, binary: &str| {
        let _ = writeln!(text, "\"{path}\" = \"{binary}\"");
    };
    route("/umaaas", "umaaas");
    route("/umaaas/{*path}", "umaaas");
    for family in Family::ALL {
        routes_of_weavr(family).for_each(|path| route(path, family.binary()));
    }
    route("/weavr/{*path}", Family::Other.binary());
    route("/grid", "grid");
    route("/grid/{*path}", "grid");
    text
}

/// What the template gives each function of Weavr, beside what it gives every function.
const VARIABLES_OF_WEAVR: [(&str, &str); 4] = [
    ("QUEUE_URL", "!GetAtt WeavrProvider.Outputs.QueueUrl"),
    ("WEAVR_API_KEYS_ARN", "!GetAtt WeavrProvider.Outputs.SecretArn"),
    ("WEAVR_SIGNATURE", "!Ref WeavrSignature"),
    (
        "WEAVR_TIMESTAMP_TOLERANCE_SECONDS",
        "!If [HasWeavrTolerance, !Ref WeavrToleranceSeconds, !Ref AWS::NoValue]",
    ),
];

fn functions_of_weavr() -> String {
    let mut text = String::new();
    for family in Family::ALL {
        let binary = family.binary();
        let _ = write!(
            text,
            "  {}:
    Type: AWS::Serverless::Function
    Metadata: {{ BuildMethod: rust-cargolambda, BuildProperties: {{ Binary: {binary} }} }}
    Properties:
      FunctionName: !Sub ${{AWS::StackName}}-{binary}
      Role: !GetAtt WeavrProvider.Outputs.RoleArn
      LoggingConfig: {{ LogGroup: !GetAtt WeavrProvider.Outputs.Logs }}
      Environment:
        Variables:
",
            logical_id(binary)
        );
        for (name, value) in VARIABLES_OF_WEAVR {
            let _ = writeln!(text, "          {name}: {value}");
        }
        text.push_str("      Events:\n");
        let others = (family == Family::Other).then_some("/weavr/{proxy+}");
        for path in routes_of_weavr(family).chain(others) {
            let name: String = logical_id(path.trim_start_matches("/weavr/").trim_end_matches("/watch"));
            let name = if others.is_some() { "Others".to_owned() } else { name };
            let _ = writeln!(
                text,
                "        {name}: {{ Type: HttpApi, Properties: {{ ApiId: !Ref Api, Method: POST, Path: '{path}' }} }}"
            );
        }
        text.push('\n');
    }
    text
}

/// `WeavrManagedCards` of `weavr-managed-cards`.
fn logical_id(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..])).collect()
}

fn functions_on_dashboard() -> String {
    let binaries = SENDERS.iter().flat_map(|provider| provider.binaries).copied().chain(["reconciler"]);
    let names: Vec<String> = binaries.map(|binary| format!("\\\"${{{}}}\\\"", logical_id(binary))).collect();
    format!("          Functions: !Sub '{}'\n", names.join(" OR "))
}

/// The table of Weavr's events. Identity and subject are those that the code finds in the samples.
fn events_of_weavr() -> Result<String> {
    let provider = Sender::named(Weavr::NAME).context("Weavr is a provider")?;
    let mut text = "\n| event type | path below `/weavr` | function | identity from | subject |\n|---|---|---|---|---|\n".to_owned();
    for kind in &weavr::KINDS {
        let sample = provider.samples.iter().find(|sample| sample.kind == kind.name).context(kind.name)?;
        let path = kind.path.strip_prefix("/weavr").context(kind.path)?;
        let (one, subject) = identified(provider, sample, "1793612075500")?;
        let (other, _) = identified(provider, sample, "1793612075501")?;
        let identity = if one == other { "body" } else { "body, time" };
        let binary = kind.family.binary();
        let _ = writeln!(text, "| `{}` | `{path}` | `{binary}` | {identity} | {subject} |", kind.name);
    }
    let _ = writeln!(
        text,
        "| `{}` | every other path | `{}` | see below | the first of the fields above that the body has, or `id.id` |\n",
        weavr::UNKNOWN,
        Family::Other.binary()
    );
    Ok(text)
}

/// The key of a sample that was published at this time, and where its subject comes from.
fn identified(provider: &Sender, sample: &Sample, published: &str) -> Result<(String, String)> {
    let body = read(&local_stack::root().join(provider.file(sample)))?;
    let mut delivery = verify::Delivery::new(sample.path, body.clone());
    delivery.headers.insert("published-timestamp", published.parse()?);
    (provider.sign)(&mut delivery, &provider.signing_key());
    let keys = provider.signing_key().keys();
    let weavr = Weavr::new(Family::Other, Demand::V2, None);
    let delivery: Verified<_> = weavr.verify(delivery, &keys).ok().context("the sample is signed")?;
    let event = weavr
        .identify(&delivery, Arrival::at(Timestamp::UNIX_EPOCH))
        .ok()
        .with_context(|| format!("{} is no event", sample.file))?
        .event;
    let subject = event.subject.context("every kind has a subject")?;
    let body: Value = serde_json::from_str(&body)?;
    let from = origin(&body, "", &subject).with_context(|| format!("{}: {subject}", sample.file))?;
    Ok((event.key, from))
}

/// The field whose value is the subject, or has it as its SHA-256.
fn origin(value: &Value, path: &str, subject: &str) -> Option<String> {
    let text = match value {
        Value::Object(fields) => {
            return fields.iter().find_map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                origin(value, &path, subject)
            });
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    if text == subject {
        Some(format!("`{path}`"))
    } else {
        (ingest::sha256_hex(text.as_bytes()) == subject).then(|| format!("SHA-256 of `{path}`"))
    }
}

/// The reference of all variables.
fn configuration() -> String {
    let mut text = String::new();
    let mut table = |title: &str, variables: &[Variable]| {
        let _ = write!(text, "\n## {title}\n\n| variable | not set | meaning |\n|---|---|---|\n");
        for Variable { name, unset, meaning } in variables {
            let unset = match unset {
                Unset::Required => "is required".to_owned(),
                Unset::RequiredUnless(other) => format!("`{other}` is required"),
                Unset::Default(value) => format!("`{value}`"),
                Unset::Optional => "see there".to_owned(),
                Unset::ByLambda => "Lambda sets it".to_owned(),
            };
            let _ = writeln!(text, "| `{name}` | {unset} | {meaning} |");
        }
    };
    table("Every function", aws::variables::OF_EVERY_FUNCTION);
    table("Functions of providers", aws::variables::OF_EVERY_PROVIDER);
    table("UMAaaS", &umaaas::VARIABLES);
    table("Grid", &grid::VARIABLES);
    table("Weavr", &weavr::VARIABLES);
    table("Reconciler", &reconciler::QUEUES.map(|(_, variable)| variable));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "a\n  # generated: one\nold\n  # /generated\nb\n<!-- generated: two -->\n<!-- /generated -->\n";

    #[test]
    fn a_region_is_replaced_and_nothing_else() {
        assert_eq!(replaced(FILE, "one", "new\nlines\n").unwrap(), FILE.replace("old\n", "new\nlines\n"));
        assert_eq!(
            replaced(FILE, "two", "new\n").unwrap(),
            FILE.replace("two -->\n", "two -->\nnew\n"),
            "an empty one too"
        );
        assert_eq!(replaced(&replaced(FILE, "one", "new\n").unwrap(), "one", "old\n").unwrap(), FILE);
    }

    #[test]
    fn broken_marks_are_errors() {
        for (file, name) in [
            (FILE, "three"),
            ("# generated: one\nnever ends\n", "one"),
            ("# generated: one\n# generated: two\n# /generated\n", "one"),
            ("# generated: one\n# /generated\n# generated: one\n# /generated\n", "one"),
            ("a line about generated: one\n# /generated\n", "one"),
        ] {
            assert!(replaced(file, name, "").is_err(), "{file}");
        }
    }

    #[test]
    fn names_of_resources() {
        assert_eq!(logical_id("weavr-managed-cards"), "WeavrManagedCards");
        assert_eq!(logical_id("corporates/kyb"), "CorporatesKyb");
        assert_eq!(logical_id("reconciler"), "Reconciler");
    }

    #[test]
    fn every_region_is_up_to_date() {
        run(true).unwrap();
    }
}
