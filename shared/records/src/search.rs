//! Reading the whole table, for what no index knows.

use std::str::FromStr;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use ingest::State;
use serde_json::Value;
use tokio::time::Instant;

use crate::{Records, RecordsError, Stored, failed, is_record};

/// How many records one call reads at most. A call has no more than 1 MB.
pub(crate) const PAGE: i32 = 200;

/// What a read of 4 KB costs, eventually consistent.
pub(crate) const UNITS_PER_4_KB: f64 = 0.5;

/// Which records to search for. All that is given has to hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// With this event id.
    pub id: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// With bodies in which these hold.
    pub conditions: Vec<Condition>,
}

/// A condition about a body: a value at a path.
///
/// ```
/// use webhook_records::Condition;
/// let condition: Condition = "transaction.status=PENDING".parse()?;
/// assert!(condition.holds(br#"{"transaction": {"status": "PENDING"}}"#));
/// assert!(!condition.holds(br#"{"transaction": {"status": "COMPLETED"}}"#));
/// # Ok::<(), webhook_records::NoCondition>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Names of fields, and places in lists.
    path: Vec<String>,
    /// The text, or the number, `true`, `false` or `null` as JSON writes it.
    value: String,
}

/// A text is not `path=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a condition is path=value, as in transaction.status=PENDING")]
pub struct NoCondition;

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        let (path, value) = text.split_once('=').ok_or(NoCondition)?;
        Self::at(path, value)
    }
}

impl Condition {
    /// The condition that a body has this value at this path.
    ///
    /// # Errors
    /// [`NoCondition`] when a step of the path is empty.
    pub fn at(path: &str, value: &str) -> Result<Self, NoCondition> {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(NoCondition);
        }
        Ok(Self { path, value: value.to_owned() })
    }

    /// Whether it holds for a body. A body that is no JSON fulfils no condition.
    #[must_use]
    pub fn holds(&self, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
        let step = |value, name: &String| match value {
            Value::Object(mut fields) => fields.remove(name),
            Value::Array(mut list) => {
                let place: usize = name.parse().ok()?;
                (place < list.len()).then(|| list.swap_remove(place))
            }
            _ => None,
        };
        match self.path.iter().try_fold(body, step) {
            Some(Value::String(text)) => text == self.value,
            Some(Value::Object(_) | Value::Array(_)) | None => false,
            Some(scalar) => serde_json::from_str(&self.value).is_ok_and(|value: Value| value == scalar),
        }
    }
}

/// How far a search is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// How many records have been read.
    pub scanned: usize,
    /// How many of them are what was searched for.
    pub found: usize,
    /// How many could not be read: somebody has damaged them.
    pub unreadable: usize,
    /// The read units that were used.
    pub units: f64,
}

impl Records {
    /// Reads the whole table and hands over what fits a query, at no more than `units_per_second` read units. Each
    /// 4 KB of the table costs half a unit. After each call to DynamoDB `progress` is told, and may end the search with
    /// `false`.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn search(
        &self,
        query: &Query,
        units_per_second: u32,
        mut found: impl FnMut(Stored),
        mut progress: impl FnMut(Progress) -> bool,
    ) -> Result<Progress, RecordsError> {
        let started = Instant::now();
        let (mut so_far, mut next) = (Progress::default(), None);
        loop {
            let mut scan = self
                .client
                .scan()
                .table_name(&self.table)
                .limit(PAGE)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .set_exclusive_start_key(next);
            let state = query.state.map(|state| state.name().to_owned());
            let wanted = [("id", query.id.clone()), ("state", state)];
            let wanted: Vec<_> =
                wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            for (name, value) in &wanted {
                scan = scan
                    .expression_attribute_names(format!("#{name}"), *name)
                    .expression_attribute_values(format!(":{name}"), AttributeValue::S(value.clone()));
            }
            if !wanted.is_empty() {
                let each: Vec<_> = wanted.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
                scan = scan.filter_expression(each.join(" AND "));
            }
            let page = scan.send().await.map_err(failed("read the table"))?;
            let scanned = usize::try_from(page.scanned_count).unwrap_or_default();
            so_far.scanned += scanned;
            let used = page.consumed_capacity.and_then(|used| used.capacity_units);
            so_far.units += used.unwrap_or(UNITS_PER_4_KB * f64::from(page.scanned_count));
            for item in page.items.unwrap_or_default() {
                if !is_record(&item) {
                    continue;
                }
                match Stored::of(item) {
                    Ok(stored) if query.conditions.iter().all(|one| one.holds(&stored.record.payload)) => {
                        so_far.found += 1;
                        found(stored);
                    }
                    Ok(_) => {}
                    Err(_) => so_far.unreadable += 1,
                }
            }
            next = page.last_evaluated_key;
            if !progress(so_far) || next.is_none() {
                return Ok(so_far);
            }
            let due = Duration::from_secs_f64(so_far.units / f64::from(units_per_second.max(1)));
            tokio::time::sleep_until(started + due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_paths() {
        let body = br#"{"a": {"b": [1, {"c": "x=y"}], "n": 1.50, "t": true, "z": null}, "e": ""}"#;
        for (condition, holds) in [
            ("a.b.0=1", true),
            ("a.b.1.c=x=y", true),
            ("a.n=1.5", true),
            ("a.n=1.50", true),
            ("a.n=\"1.5\"", false),
            ("a.t=true", true),
            ("a.z=null", true),
            ("e=", true),
            ("a.b.2=1", false),
            ("a.b.x=1", false),
            ("a=1", false),
            ("a.b.0.c=1", false),
            ("missing=", false),
        ] {
            assert_eq!(condition.parse::<Condition>().unwrap().holds(body), holds, "{condition}");
        }
        assert!(!"a=1".parse::<Condition>().unwrap().holds(b"\xff"));
        for wrong in ["", "a", "=1", "a..b=1", ".a=1"] {
            assert_eq!(wrong.parse::<Condition>(), Err(NoCondition), "{wrong}");
        }
    }
}
