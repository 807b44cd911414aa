//! Finds literals in a rule that no payment can have. Each value of a payment has one canonical form (see
//! `forms`), so a rule about `"usd"` would never match, and nobody would notice. Such a rule is refused when
//! the policy is loaded.

use serde_json::Value;

use crate::forms;
use crate::spelling::canonical;

/// The canonical form of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Currency,
    Country,
    Domain,
    Address,
}

/// The problems with the literals in a rule, each with the correct form. `rule` is the rule in Cedar's JSON
/// format.
pub(crate) fn problems(rule: &Value) -> Vec<String> {
    let mut found = Vec::new();
    search(rule, &mut found);
    found
}

/// Whether a rule reads an attribute of this name.
pub(crate) fn reads(rule: &Value, attribute: &str) -> bool {
    match rule {
        Value::Object(fields) => {
            fields.get("attr").is_some_and(|attr| attr == attribute)
                || fields.values().any(|value| reads(value, attribute))
        }
        Value::Array(entries) => entries.iter().any(|entry| reads(entry, attribute)),
        _ => false,
    }
}

fn search(expression: &Value, found: &mut Vec<String>) {
    match expression {
        Value::Object(fields) => {
            for (operator, operands) in fields {
                match operator.as_str() {
                    "==" | "!=" | "in" | "contains" | "containsAll" | "containsAny" => {
                        compared(operands, found)
                    }
                    "like" => pattern(operands, found),
                    "hasTag" | "getTag" => tag(operands, found),
                    "__entity" | "entity" | "entities" => entity(operands, found),
                    _ => {}
                }
                search(operands, found);
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| search(entry, found)),
        _ => {}
    }
}

/// Checks a comparison of an attribute with literals, in either order.
fn compared(operands: &Value, found: &mut Vec<String>) {
    let (left, right) = (&operands["left"], &operands["right"]);
    for (attribute, other) in [(left, right), (right, left)] {
        let Some(form) = form(attribute) else { continue };
        for literal in literals(other) {
            let right = form.of(literal);
            if right.as_deref() != Some(literal) {
                found.push(form.problem(literal, right));
            }
        }
    }
}

/// The form of the attribute that an expression reads, if the attribute has a form.
fn form(expression: &Value) -> Option<Form> {
    let access = &expression["."];
    let (of, attribute) = (access["left"]["Var"].as_str()?, access["attr"].as_str()?);
    Some(match (of, attribute) {
        ("context", "currency") => Form::Currency,
        ("principal" | "resource", "umaAddress") => Form::Address,
        ("principal" | "resource", "domain") => Form::Domain,
        (
            "principal",
            "countries" | "country" | "nationality" | "countryOfResidence" | "ultimateInstitutionCountry",
        ) => Form::Country,
        _ => return None,
    })
}

/// The string literals that an expression can evaluate to: a literal itself, the entries of a set, the
/// branches of an `if`.
fn literals(expression: &Value) -> Vec<&str> {
    if let Some(text) = expression["Value"].as_str() {
        return vec![text];
    }
    let entries = expression["Value"].as_array().or_else(|| expression["Set"].as_array());
    if let Some(entries) = entries {
        return entries
            .iter()
            .flat_map(|entry| entry.as_str().map_or_else(|| literals(entry), |text| vec![text]))
            .collect();
    }
    let branches = &expression["if-then-else"];
    ["then", "else"].iter().filter_map(|branch| branches.get(branch)).flat_map(literals).collect()
}

/// Checks the case of the letters in a `like` pattern. In Cedar's JSON format a pattern is a list of
/// characters and wildcards.
fn pattern(operands: &Value, found: &mut Vec<String>) {
    let Some(form) = form(&operands["left"]) else { return };
    let parts = operands["pattern"].as_array().into_iter().flatten();
    let text: String = parts.map(|part| part["Literal"].as_str().unwrap_or("*")).collect();
    let right = match form {
        Form::Currency | Form::Country => text.to_uppercase(),
        Form::Domain | Form::Address => text.to_lowercase(),
    };
    if right != text {
        found.push(form.problem(&text, Some(right)));
    }
}

/// Checks the name of a tag. A name that the schema knows is a field and never a tag.
fn tag(operands: &Value, found: &mut Vec<String>) {
    for name in literals(&operands["right"]) {
        if let Some(field) = canonical(name) {
            found.push(format!("no payment has the tag {name:?}: ask `principal has {field}`"));
        }
    }
}

/// Checks a sender or receiver literal: its id must be an address that a payment can have.
fn entity(operands: &Value, found: &mut Vec<String>) {
    let (Some(kind), Some(id)) = (operands["type"].as_str(), operands["id"].as_str()) else { return };
    if !["Sender", "Receiver"].contains(&kind) {
        return;
    }
    let right = Form::Address.of(id);
    if right.as_deref() != Some(id) {
        found.push(Form::Address.problem(id, right));
    }
}

impl Form {
    /// The canonical form of a text. `None` when the text has none.
    fn of(self, text: &str) -> Option<String> {
        match self {
            Self::Currency => forms::currency(text),
            Self::Country => forms::country(text),
            Self::Domain => forms::domain(text),
            Self::Address => forms::address(text)
                .or_else(|| forms::address(&format!("${text}")))
                .map(|address| address.whole),
        }
    }

    fn problem(self, literal: &str, right: Option<String>) -> String {
        let (what, form) = match self {
            Self::Currency => ("currency", "letters and digits in upper case, as in \"USD\""),
            Self::Country => ("country", "two letters in upper case, as in \"DE\""),
            Self::Domain => ("domain", "in lower case, as in \"example.com\""),
            Self::Address => ("UMA address", "in lower case with its $, as in \"$ada@example.com\""),
        };
        match right {
            Some(right) => format!("no payment has the {what} {literal:?}: write {right:?}"),
            None => format!("no payment has the {what} {literal:?}: it is {form}"),
        }
    }
}
