//! Finds literals in a rule that no payment can have. Each value of a payment has one canonical form (see
//! `forms`), so a rule about `"usd"` would never match, and nobody would notice. Such a rule is refused when
//! the policy is loaded.
//!
//! A literal that is compared with a folded attribute is not refused but folded, because nobody can write the folded form
//! of a name by hand: it has `l` for I and `rn` for m.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::derived::{self, WEEKDAYS};
use crate::fold;
use crate::forms;
use crate::spelling::canonical;

/// The canonical form of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Currency,
    Country,
    Domain,
    Address,
    Weekday,
}

/// The problems with the literals in a rule, each with the correct form. `rule` is the rule in Cedar's JSON
/// format.
pub(crate) fn problems(rule: &Value) -> Vec<String> {
    let mut found = Vec::new();
    search(rule, &mut found);
    found
}

/// Collects the names of the attributes that a rule reads.
pub(crate) fn attributes<'r>(rule: &'r Value, found: &mut BTreeSet<&'r str>) {
    match rule {
        Value::Object(fields) => {
            found.extend(fields.get("attr").and_then(Value::as_str));
            fields.values().for_each(|value| attributes(value, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| attributes(entry, found)),
        _ => {}
    }
}

/// Collects the currencies that a rule compares a payment's currency with.
pub(crate) fn currencies(rule: &Value, found: &mut BTreeSet<String>) {
    match rule {
        Value::Object(fields) => {
            let (left, right) = (fields.get("left"), fields.get("right"));
            for (attribute, other) in [(left, right), (right, left)] {
                if let (Some(attribute), Some(other)) = (attribute, other)
                    && form(attribute) == Some(Form::Currency)
                {
                    found.extend(literals(other).into_iter().map(str::to_owned));
                }
            }
            fields.values().for_each(|value| currencies(value, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| currencies(entry, found)),
        _ => {}
    }
}

/// The lists that a rule reads: the variable that must be on it, and the list's name. A list in another place than at the
/// right of `principal in` or `resource in` has no variable.
pub(crate) fn lists(rule: &Value) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for variable in ["principal", "resource"] {
        // A rule's head names lists only as what its variable must be in.
        found.extend(all_lists(&rule[variable]).into_iter().map(|list| (Some(variable.to_owned()), list)));
    }
    collect_lists(&rule["conditions"], &mut found);
    // Whatever the form of the JSON: no list in a rule goes unnoticed. Such a list has no variable, so the rule is refused.
    for list in all_lists(rule) {
        if !found.iter().any(|(_, known)| *known == list) {
            found.push((None, list));
        }
    }
    found
}

/// The ids of all entities of the type List in a JSON text of Cedar, wherever they are.
fn all_lists(json: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let nested: Vec<&Value> = match json {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "List")
                && let Some(id) = fields.get("id").and_then(Value::as_str)
            {
                found.push(id.to_owned());
            }
            fields.values().collect()
        }
        Value::Array(entries) => entries.iter().collect(),
        _ => vec![],
    };
    found.extend(nested.into_iter().flat_map(all_lists));
    found
}

fn collect_lists(expression: &Value, found: &mut Vec<(Option<String>, String)>) {
    match expression {
        Value::Object(fields) => {
            let entity = all_lists(&expression["__entity"]);
            found.extend(entity.into_iter().map(|list| (None, list)));
            for (operator, operands) in fields {
                let variable =
                    operands["left"]["Var"].as_str().filter(|_| ["in", "is"].contains(&operator.as_str()));
                let Some(variable) = variable else {
                    collect_lists(operands, found);
                    continue;
                };
                for on_the_right in ["right", "in"] {
                    found.extend(listed(&operands[on_the_right], variable));
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| collect_lists(entry, found)),
        _ => {}
    }
}

/// The lists that stand at the right of `in`, as they are or in a set.
fn listed(expression: &Value, variable: &str) -> Vec<(Option<String>, String)> {
    let lists = all_lists(expression).into_iter();
    lists.map(|list| (Some(variable.to_owned()), list)).collect()
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
    if access["attr"] == "weekday" {
        return Some(Form::Weekday);
    }
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
        Form::Domain | Form::Address | Form::Weekday => text.to_lowercase(),
    };
    if right != text {
        found.push(form.problem(&text, Some(right)));
    }
}

/// Folds the literals that a rule compares with folded attributes. Returns whether there was one. A folded attribute can
/// be compared in no other way: nothing else in a rule is folded.
pub(crate) fn fold(expression: &mut Value, found: &mut Vec<String>) -> bool {
    if let Some((attribute, _)) = folded_attribute(expression) {
        found.push(format!("`{attribute}` can only be compared with texts, by ==, !=, like and contains…"));
        return false;
    }
    match expression {
        Value::Object(fields) => fields.iter_mut().fold(false, |changed, (operator, operands)| {
            changed
                | match operator.as_str() {
                    "==" | "!=" | "contains" | "containsAll" | "containsAny" => {
                        fold_compared(operands, found)
                    }
                    "like" => match folded_attribute(&operands["left"]) {
                        Some((_, form)) => fold_pattern(operands, form, found),
                        None => fold(operands, found),
                    },
                    "isEmpty" if folded_attribute(&operands["arg"]).is_some() => false,
                    _ => fold(operands, found),
                }
        }),
        Value::Array(entries) => {
            entries.iter_mut().fold(false, |changed, entry| changed | fold(entry, found))
        }
        _ => false,
    }
}

/// The folded attribute that an expression reads, and its form.
fn folded_attribute(expression: &Value) -> Option<(&str, derived::Form)> {
    let attribute = expression["."]["attr"].as_str()?;
    Some((attribute, derived::form(attribute)?))
}

fn fold_compared(operands: &mut Value, found: &mut Vec<String>) -> bool {
    let form = |side: &Value| folded_attribute(side).map(|(_, form)| form);
    match (form(&operands["left"]), form(&operands["right"])) {
        (None, None) => fold(operands, found),
        (Some(form), None) => fold_literals(&mut operands["right"], form, found),
        (None, Some(form)) => fold_literals(&mut operands["left"], form, found),
        (Some(_), Some(_)) => false,
    }
}

/// Folds the string literals that an expression can evaluate to.
fn fold_literals(expression: &mut Value, form: derived::Form, found: &mut Vec<String>) -> bool {
    match expression {
        Value::String(text) => {
            let folded = form.of(text);
            if folded.is_empty() {
                found.push(format!("no payment has the folded text {text:?}: it has no letter and no digit"));
            } else if form == derived::Form::Token && folded.contains(' ') {
                found.push(format!(
                    "no word of a payment is {text:?}: write its words, as in [\"ivan\", \"petrov\"]"
                ));
            }
            *text = folded;
            return true;
        }
        Value::Array(entries) => {
            return entries
                .iter_mut()
                .fold(false, |changed, entry| changed | fold_literals(entry, form, found));
        }
        Value::Object(fields) => {
            if let Some(value) = fields.get_mut("Value") {
                return fold_literals(value, form, found);
            }
            if let Some(entries) = fields.get_mut("Set") {
                return fold_literals(entries, form, found);
            }
            if let Some(Value::Object(branches)) = fields.get_mut("if-then-else") {
                return branches.iter_mut().fold(false, |changed, (branch, expression)| {
                    changed
                        | if branch == "if" {
                            fold(expression, found)
                        } else {
                            fold_literals(expression, form, found)
                        }
                });
            }
        }
        _ => {}
    }
    if folded_attribute(expression).is_none() {
        found.push("a folded attribute can only be compared with texts that stand in the rule".to_owned());
    }
    false
}

/// Folds a `like` pattern, character by character. A pattern can begin within a word, so only characters whose fold does
/// not depend on their neighbours are allowed.
fn fold_pattern(operands: &mut Value, form: derived::Form, found: &mut Vec<String>) -> bool {
    let mut folded = Vec::new();
    for part in operands["pattern"].as_array().into_iter().flatten() {
        let Some(text) = part["Literal"].as_str() else {
            folded.push(part.clone());
            continue;
        };
        for c in text.chars() {
            let space = c == ' ' && form == derived::Form::Words;
            if !(c.is_ascii_alphanumeric() || space) {
                found.push(format!(
                    "a pattern for a folded text has letters a to z and digits, and not {c:?}"
                ));
            }
            let letters = if space { " " } else { fold::ascii(c) };
            folded.extend(letters.chars().map(|c| json!({"Literal": c.to_string()})));
        }
    }
    operands["pattern"] = Value::Array(folded);
    true
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
            Self::Weekday => {
                let day = text.trim().to_ascii_lowercase();
                WEEKDAYS.contains(&day.as_str()).then_some(day)
            }
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
            Self::Weekday => ("weekday", "a day in lower case, as in \"monday\""),
            Self::Address => ("UMA address", "in lower case with its $, as in \"$ada@example.com\""),
        };
        match right {
            Some(right) => format!("no payment has the {what} {literal:?}: write {right:?}"),
            None => format!("no payment has the {what} {literal:?}: it is {form}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists in a rule, each with its variable.
    fn lists_in(rule: &str) -> Vec<String> {
        let rule = cedar_policy::Policy::parse(None, rule).unwrap();
        let found = lists(&rule.to_json().unwrap());
        found.into_iter().map(|(variable, list)| format!("{} {list}", variable.unwrap_or_default())).collect()
    }

    #[test]
    fn every_list_in_a_rule_is_found_with_its_variable() {
        for (head, condition, expected) in [
            (r#"principal in List::"x", action, resource"#, "true", &["principal x"][..]),
            (r#"principal is Sender in List::"x", action, resource"#, "true", &["principal x"]),
            (r#"principal, action, resource in List::"x""#, "true", &["resource x"]),
            (r#"principal, action, resource is Receiver in List::"x""#, "true", &["resource x"]),
            (
                r#"principal is Sender in List::"x", action, resource is Receiver in List::"y""#,
                r#"principal in List::"z""#,
                &["principal x", "resource y", "principal z"],
            ),
        ] {
            assert_eq!(lists_in(&format!("forbid ({head}) when {{ {condition} }};")), expected, "{head}");
        }
        for (condition, expected) in [
            (r#"principal in List::"x""#, &["principal x"][..]),
            (r#"principal is Sender in List::"x""#, &["principal x"]),
            (r#"resource is Receiver in List::"x""#, &["resource x"]),
            (r#"principal in [List::"x", List::"y"]"#, &["principal x", "principal y"]),
            (r#"!(context.amount > 1 && resource in List::"x")"#, &["resource x"]),
            (r#"(if context.amount > 1 then principal else principal) in List::"x""#, &[" x"]),
            (r#"(if context.amount > 1 then principal else principal) is Sender in List::"x""#, &[" x"]),
            (r#"List::"x" in List::"y""#, &[" x", " y"]),
            (r#"List::"x" == principal"#, &[" x"]),
            (r#"[List::"x"].contains(principal)"#, &[" x"]),
            (r#"context.amount > 1"#, &[]),
        ] {
            for kind in ["when", "unless"] {
                let rule = format!("forbid (principal, action, resource) {kind} {{ {condition} }};");
                assert_eq!(lists_in(&rule), expected, "{rule}");
            }
        }
    }
}
