//! Why a policy decides about a payment as it does: what it saw, and for each rule whether it fitted.

use cedar_policy::{Authorizer, Effect, PolicyId, PolicySet};
use ingest::Totals;
use serde_json::{Value, json};

use crate::Asking;
use crate::derived;
use crate::policy::{Policy, Rule};

/// What a policy saw of a payment, and what came of each rule.
#[derive(Debug)]
pub struct Explanation {
    /// The attributes of `principal`, `resource` and `context`, as JSON: all that stand in the payment, and those computed
    /// ones that the policy reads. Lists are under `in`, tags under `tags`.
    pub seen: Value,
    /// The rules, in the order of the file.
    pub rules: Vec<ExplainedRule>,
}

/// A rule, and whether it fitted a payment.
#[derive(Debug)]
pub struct ExplainedRule {
    /// The rule's `@id`.
    pub id: String,
    /// Whether it is a `permit`.
    pub permits: bool,
    /// Whether it fitted.
    pub fit: Fit,
}

/// Whether a rule fitted a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fitted.
    Fits,
    /// It did not, because of this part of it: its head, or the first of its conditions that was not met.
    Not(String),
    /// It failed, with this error.
    Failed(String),
}

impl Policy {
    /// Explains the decision about a webhook. `None` if the policy was not asked: there is no payment in the webhook, or the
    /// payment is undecidable.
    #[must_use]
    pub fn explain(&self, asking: &Asking, totals: &Totals) -> Option<Explanation> {
        let payment = asking.payment()?;
        let (request, entities) = self.request(payment, totals).ok()??;
        let seen = |id| entities.get(id).and_then(|entity| entity.to_json_value().ok());
        let (sender, receiver) = (seen(request.principal()?), seen(request.resource()?));
        let seen = json!({
            "principal": self.only_read(attributes(sender.unwrap_or_default())),
            "resource": attributes(receiver.unwrap_or_default()),
            "context": self.only_read(plain(request.context()?.to_json_value().ok()?)),
        });
        let fits = |rule: &cedar_policy::Policy| -> Result<bool, String> {
            let mut set = PolicySet::new();
            set.add(rule.clone()).map_err(|error| error.to_string())?;
            let response = Authorizer::new().is_authorized(&request, &set, &entities);
            match response.diagnostics().errors().next() {
                Some(error) => Err(error.to_string()),
                None => Ok(response.diagnostics().reason().next().is_some()),
            }
        };
        let explained = |rule: &Rule| ExplainedRule {
            id: rule.id.clone(),
            permits: rule.written.effect() == Effect::Permit,
            fit: self.evaluated(&rule.id).map_or(Fit::Failed(String::new()), |evaluated| {
                fit(&rule.written, evaluated, fits).unwrap_or_else(Fit::Failed)
            }),
        };
        Some(Explanation { seen, rules: self.rules.iter().map(explained).collect() })
    }

    /// Attributes without those that have a value only because the schema wants one.
    fn only_read(&self, mut attributes: Value) -> Value {
        if let Some(attributes) = attributes.as_object_mut() {
            attributes
                .retain(|name, _| !derived::computed().any(|computed| computed == name) || self.reads(name));
        }
        attributes
    }
}

/// Tries a rule with its head alone, and then with one condition more at a time. `written` is the rule for the reader,
/// `evaluated` the same one with folded literals.
fn fit(
    written: &cedar_policy::Policy,
    evaluated: &cedar_policy::Policy,
    fits: impl Fn(&cedar_policy::Policy) -> Result<bool, String>,
) -> Result<Fit, String> {
    if fits(evaluated)? {
        return Ok(Fit::Fits);
    }
    let [written, evaluated] = [written, evaluated].map(|rule| rule.to_json().unwrap_or_default());
    let (texts, conditions) = (conditions(&written), conditions(&evaluated));
    let head = |rule: &Value, conditions: &[Value]| {
        let mut rule = rule.clone();
        rule["conditions"] = conditions.into();
        rule["annotations"] = json!({});
        cedar_policy::Policy::from_json(Some(PolicyId::new("part")), rule).map_err(|error| error.to_string())
    };
    if !fits(&head(&evaluated, &[])?)? {
        let text = head(&written, &[])?.to_string();
        return Ok(Fit::Not(text.trim_end_matches(';').trim().to_owned()));
    }
    for (condition, text) in conditions.iter().zip(&texts) {
        // A condition after one that is not met can fail without it, so the first one counts.
        if !fits(&head(&evaluated, std::slice::from_ref(condition))?)? {
            let rule = head(&everyone(), std::slice::from_ref(text))?.to_string();
            // The head of `everyone` contains neither keyword, so the first one begins the condition.
            let keyword = text["kind"].as_str().unwrap_or("when");
            let condition = rule.find(keyword).and_then(|start| rule.get(start..)).unwrap_or_default();
            return Ok(Fit::Not(condition.trim_end_matches(';').trim().to_owned()));
        }
    }
    Err("it cannot be taken apart".to_owned())
}

/// The conditions of a rule. `when { a && b }` are two, and so are `unless { a || b }`.
fn conditions(rule: &Value) -> Vec<Value> {
    let all = rule["conditions"].as_array().into_iter().flatten();
    all.flat_map(|condition| {
        let operator = if condition["kind"] == "when" { "&&" } else { "||" };
        let mut parts = Vec::new();
        split(&condition["body"], operator, &mut parts);
        parts.into_iter().map(|body| json!({"kind": condition["kind"], "body": body}))
    })
    .collect()
}

fn split(expression: &Value, operator: &str, parts: &mut Vec<Value>) {
    if let Some(operands) = expression.get(operator) {
        split(&operands["left"], operator, parts);
        split(&operands["right"], operator, parts);
    } else {
        parts.push(expression.clone());
    }
}

/// A rule about everybody, as JSON.
fn everyone() -> Value {
    let all = json!({"op": "All"});
    json!({"effect": "permit", "principal": all, "action": all, "resource": all, "conditions": []})
}

/// An entity's attributes, tags and lists.
fn attributes(mut entity: Value) -> Value {
    let mut attributes = plain(entity["attrs"].take());
    let lists = entity["parents"].as_array().into_iter().flatten();
    let lists: Vec<Value> = lists.map(|list| list["id"].clone()).collect();
    let tags = plain(entity["tags"].take());
    for (name, value) in [("in", Value::Array(lists)), ("tags", tags)] {
        let is_empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.is_null();
        if !is_empty {
            attributes[name] = value;
        }
    }
    attributes
}

/// A value of Cedar's JSON without its marks for types: a time is its text.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => match fields.get_mut("__extn") {
            Some(extension) => extension["arg"].take(),
            None => Value::Object(fields.into_iter().map(|(name, value)| (name, plain(value))).collect()),
        },
        Value::Array(entries) => Value::Array(entries.into_iter().map(plain).collect()),
        other => other,
    }
}
