//! The limits of a policy: sums and counts of approved payments over a window, which its rules read.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression;
use ingest::{Counting, LONGEST_WINDOW_HOURS, Limit, TALLY, Total, Totals, sha256_hex};
use serde::Deserialize;
use serde_json::Value;

/// The most limits of a policy. An approval writes one item for each.
const MAX_LIMITS: usize = 20;

/// The longest name of a limit, in bytes. Keys contain it.
const MAX_NAME_BYTES: usize = 64;

/// The attribute of `context` with the totals.
pub(crate) const LIMITS: &str = "limits";

/// The contents of `limits.json`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(BTreeMap<String, Declared>);

#[derive(Clone, Copy, Debug)]
struct Declared {
    by: By,
    hours: u32,
}

/// Whose payments are added up.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// Those of a sender: its UMA address.
    Sender,
    /// Those to a receiver: its id on your platform, or its UMA address if there is none.
    Receiver,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    by: By,
    window: String,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }
}

impl Limits {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries: BTreeMap<String, Entry> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if entries.len() > MAX_LIMITS {
            return Err(format!("it has more than {MAX_LIMITS} limits"));
        }
        let declared = entries.into_iter().map(|(name, Entry { by, window })| {
            let wrong = |what: &str| format!("limit {name:?}: {what}");
            if !is_name(&name) {
                return Err(wrong("a name begins with a letter and has at most 64 letters, digits and `_`"));
            }
            let hours = hours(&window).ok_or_else(|| {
                wrong("a window is a number of hours or days, from `1h` to `744h` or `31d`")
            })?;
            Ok((name, Declared { by, hours }))
        });
        declared.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The type of `context.limits` in Cedar's schema, for the author of a rule that names a limit wrongly.
    pub(crate) fn schema(&self) -> String {
        let limits: String =
            self.0.keys().map(|name| format!("\"{name}\": {{ sum: Long, count: Long }}, ")).collect();
        format!("{LIMITS}: {{ {limits} }},")
    }

    /// The value of `context.limits`. A limit without a total is zero: no rule reads it, or nothing is counted at all.
    pub(crate) fn value(&self, totals: &Totals) -> Option<RestrictedExpression> {
        let limit = |name: &String| {
            let Total { sum, count } = totals.get(name).copied().unwrap_or_default();
            let number = RestrictedExpression::new_long;
            let total = [("sum".to_owned(), number(sum)), ("count".to_owned(), number(count))];
            Some((name.clone(), RestrictedExpression::new_record(total).ok()?))
        };
        let limits = self.0.keys().map(limit).collect::<Option<Vec<_>>>()?;
        RestrictedExpression::new_record(limits).ok()
    }

    /// The names of the limits that rules may read, added to `read`. `rule` is a rule in Cedar's JSON format.
    pub(crate) fn read_by(&self, rule: &Value, read: &mut BTreeSet<String>) {
        let of_context = |expression: &Value| {
            expression["."]["attr"] == LIMITS && expression["."]["left"]["Var"] == "context"
        };
        match rule {
            Value::Object(fields) => {
                let access = &rule["."];
                let name = access["attr"].as_str().filter(|_| of_context(&access["left"]));
                if let Some(name) = name.filter(|name| self.0.contains_key(*name)) {
                    read.insert(name.to_owned());
                } else if of_context(rule) {
                    // All of them at once: a comparison of the whole record, or a question whether it has a limit.
                    read.extend(self.0.keys().cloned());
                } else {
                    fields.values().for_each(|value| self.read_by(value, read));
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| self.read_by(entry, read)),
            _ => {}
        }
    }

    /// The names of the limits that are not in `read`.
    pub(crate) fn unread<'a>(&'a self, read: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
        self.0.keys().filter(|name| !read.contains(*name))
    }

    /// Keeps the limits that are in `read`.
    pub(crate) fn retain(&mut self, read: &BTreeSet<String>) {
        self.0.retain(|name, _| read.contains(name));
    }

    /// What a payment counts as. `value` is the sender or receiver whose payments are added up.
    pub(crate) fn counting(&self, amount: i64, currency: &str, value: impl Fn(By) -> String) -> Counting {
        let limit = |(name, Declared { by, hours }): (&String, &Declared)| {
            let digest = sha256_hex(format!("{}:{}", by.name(), value(*by)).as_bytes());
            Limit { name: name.clone(), key: format!("{TALLY}{name}#{digest}#{currency}"), hours: *hours }
        };
        Counting { amount, limits: self.0.iter().map(limit).collect() }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `24h` or `31d`, in hours.
fn hours(window: &str) -> Option<u32> {
    let (number, hours) = match window.strip_suffix('h') {
        Some(number) => (number, 1),
        None => (window.strip_suffix('d')?, 24),
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = number.parse().ok().filter(|_| digits)?;
    number.checked_mul(hours).filter(|hours| (1..=LONGEST_WINDOW_HOURS).contains(hours))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read() {
        for (window, expected) in [
            ("1h", Some(1)),
            ("24h", Some(24)),
            ("744h", Some(744)),
            ("1d", Some(24)),
            ("31d", Some(744)),
            ("0h", None),
            ("745h", None),
            ("32d", None),
            ("+1h", None),
            ("1", None),
            ("h", None),
            ("", None),
            ("1.5h", None),
            ("99999999999d", None),
        ] {
            assert_eq!(hours(window), expected, "{window}");
        }
        for (text, problem) in [
            ("[]", "invalid type"),
            (r#"{"a b": {"by": "sender", "window": "1h"}}"#, "a name begins with a letter"),
            (r#"{"1": {"by": "sender", "window": "1h"}}"#, "a name begins with a letter"),
            (r#"{"a": {"by": "list", "window": "1h"}}"#, "unknown variant `list`"),
            (r#"{"a": {"by": "sender", "window": "1m"}}"#, "a window is a number of hours"),
            (r#"{"a": {"by": "sender", "window": "1h", "per": "x"}}"#, "unknown field `per`"),
        ] {
            assert!(Limits::parse(text).unwrap_err().contains(problem), "{text}");
        }
        let many = |count: usize| {
            let entries: Vec<_> =
                (0..count).map(|n| format!(r#""l{n}": {{"by": "receiver", "window": "7d"}}"#)).collect();
            Limits::parse(&format!("{{{}}}", entries.join(",")))
        };
        assert!(many(MAX_LIMITS).is_ok());
        assert!(many(MAX_LIMITS + 1).is_err());
    }

    /// Keys differ by name, by whose payments are added up, by its value and by currency.
    #[test]
    fn a_key_tells_whose_payments_are_added_up() {
        let limits = Limits::parse(
            r#"{"a": {"by": "sender", "window": "1h"}, "b": {"by": "receiver", "window": "1h"}}"#,
        );
        let limits = limits.unwrap();
        let keys = |currency: &str, value: &str| -> Vec<String> {
            let counting = limits.counting(1, currency, |_| value.to_owned());
            counting.limits.into_iter().map(|limit| limit.key).collect()
        };
        let all: BTreeSet<String> =
            [keys("USD", "x"), keys("USD", "y"), keys("EUR", "x")].into_iter().flatten().collect();
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|key| key.starts_with("limit#") && key.len() < 200), "{all:?}");
    }

    #[test]
    fn what_rules_read_is_found() {
        let limits = Limits::parse(
            r#"{"a": {"by": "sender", "window": "1h"}, "b": {"by": "receiver", "window": "1h"}}"#,
        );
        let limits = limits.unwrap();
        let context = json!({"Var": "context"});
        let all = json!({".": {"left": context, "attr": "limits"}});
        let a = json!({".": {"left": all, "attr": "a"}});
        for (rule, expected) in [
            (json!({"<": {"left": {".": {"left": a, "attr": "sum"}}, "right": {"Value": 5}}}), vec!["a"]),
            (json!([{"==": {"left": all, "right": all}}]), vec!["a", "b"]),
            (json!({"has": {"left": all, "attr": "a"}}), vec!["a", "b"]),
            (json!({".": {"left": {"Var": "principal"}, "attr": "a"}}), vec![]),
            (json!({".": {"left": context, "attr": "amount"}}), vec![]),
        ] {
            let mut read = BTreeSet::new();
            limits.read_by(&rule, &mut read);
            assert_eq!(read.iter().collect::<Vec<_>>(), expected, "{rule}");
        }
    }
}
