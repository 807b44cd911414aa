//! Test cases of a policy: a payment, and what has to be decided about it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use ingest::{Decision, Totals, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::answer::PaymentProvider;

/// A provider's documented sample of a payment that waits for approval.
fn sample(provider: PaymentProvider) -> &'static str {
    match provider {
        PaymentProvider::Umaaas => include_str!("../../../events/umaaas/incoming_payment.json"),
        PaymentProvider::Grid => include_str!("../../../events/grid/incoming_payment.pending.json"),
    }
}

/// One case, as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub case: String,
    /// Who sends the webhook. Unless given, it is the provider that sends such a `body`, or else UMAaaS.
    provider: Option<PaymentProvider>,
    /// What differs from the documented sample, as a JSON merge patch (RFC 7396): `null` removes.
    change: Option<Value>,
    /// Or the whole body.
    body: Option<Value>,
    /// What was counted before, by limit. Zero for limits that are not named.
    #[serde(default)]
    pub limits: Totals,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expected {
    decision: Name,
    /// The reason of a rejection.
    reason: Option<String>,
    /// What is asked for.
    required_fields: Option<Vec<String>>,
    /// The ids of the deciding rules; not looked at unless given.
    policies: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Approve,
    Reject,
    RequestInformation,
}

/// Reads all cases in a folder, in the order of their files.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read_file(&file).with_context(|| file.display().to_string())?);
    }
    ensure!(!cases.is_empty(), "{}: there is no case in any *.json", folder.display());
    Ok(cases)
}

fn read_file(file: &Path) -> anyhow::Result<Vec<Case>> {
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    for case in &cases {
        case.check().with_context(|| format!("case \"{}\"", case.case))?;
    }
    Ok(cases)
}

impl Case {
    fn check(&self) -> anyhow::Result<()> {
        let Expected { decision, reason, required_fields, .. } = &self.expect;
        ensure!(self.change.is_none() || self.body.is_none(), "it has both `change` and `body`");
        match (decision, reason, required_fields) {
            (Name::Approve, None, None) | (Name::Reject, Some(_), None) => Ok(()),
            (Name::RequestInformation, None, Some(_)) => Ok(()),
            (Name::Approve, ..) => bail!("expect: an approval has no `reason` and no `requiredFields`"),
            (Name::Reject, ..) => bail!("expect: a rejection has a `reason` and no `requiredFields`"),
            (Name::RequestInformation, ..) => bail!("expect: a request has `requiredFields` and no `reason`"),
        }
    }

    /// The webhook's body.
    pub(crate) fn body(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(body) = &self.body {
            return Ok(serde_json::to_vec(body)?);
        }
        let provider = self.provider.unwrap_or(PaymentProvider::Umaaas);
        let mut body = serde_json::from_str(sample(provider))?;
        if let Some(change) = &self.change {
            merge(&mut body, change);
        }
        Ok(serde_json::to_vec(&body)?)
    }

    /// Who sends the webhook that has this body.
    pub(crate) fn provider(&self, body: &[u8]) -> PaymentProvider {
        self.provider.unwrap_or_else(|| PaymentProvider::of(body))
    }

    /// What is expected, in the words of [`Case::got`].
    pub(crate) fn expected(&self) -> String {
        let Expected { decision, reason, required_fields, policies } = &self.expect;
        let verdict = match decision {
            Name::Approve => Verdict::Approve,
            Name::Reject => {
                Verdict::Reject { reason: reason.clone().unwrap_or_default(), message: String::new() }
            }
            Name::RequestInformation => {
                Verdict::RequestInformation { required_fields: required_fields.clone().unwrap_or_default() }
            }
        };
        self.got(Some(&Decision { policies: policies.clone().unwrap_or_default(), ..Decision::new(verdict) }))
    }

    /// What was decided, as far as this case expects something of it.
    pub(crate) fn got(&self, decision: Option<&Decision>) -> String {
        let Some(decision) = decision else { return "nothing to decide".to_owned() };
        match &self.expect.policies {
            Some(_) => format!("{} by {}", summary(decision), decision.policies.join(", ")),
            None => summary(decision),
        }
    }
}

/// A decision in a few words.
pub(crate) fn summary(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Approve => decision.name().to_owned(),
        Verdict::Reject { reason, .. } => format!("{}: {reason}", decision.name()),
        Verdict::RequestInformation { required_fields } => {
            format!("{}: {}", decision.name(), required_fields.join(", "))
        }
    }
}

/// JSON merge patch.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(changes) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}
