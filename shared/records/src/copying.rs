//! Copying the records that a table does not have from another one, as after a restore.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::search::{PAGE, UNITS_PER_4_KB};
use crate::{Records, RecordsError, failed, is_record, key_of, written};

/// How many items are written at a time.
const AT_ONCE: usize = 25;

/// How far a copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Copied {
    /// How many records of the other table have been read.
    pub read: usize,
    /// How many of them were missing here.
    pub missing: usize,
    /// The read units that were used.
    pub units: f64,
}

impl Records {
    /// Copies every record of another table whose key is not in this one, and changes nothing that is here: each write
    /// has the condition that there is no such item. It can be repeated. With `dry_run` it counts only.
    ///
    /// # Errors
    /// [`RecordsError`] when one of the tables does not answer. What was copied until then stays.
    pub async fn copy_missing(
        &self,
        from: &Self,
        dry_run: bool,
        units_per_second: u32,
        mut progress: impl FnMut(Copied),
    ) -> Result<Copied, RecordsError> {
        let started = Instant::now();
        let (mut so_far, mut next) = (Copied::default(), None);
        loop {
            let scan = from.client.scan().table_name(&from.table).limit(PAGE).set_exclusive_start_key(next);
            let scan = scan.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let page = scan.send().await.map_err(failed("read the other table"))?;
            let mut items = page.items.unwrap_or_default();
            items.retain(is_record);
            let keys: Vec<String> = items.iter().map(key_of).collect();
            let here = self.read(&keys, Some("pk, #state")).await?;
            let here: HashSet<String> = here.iter().map(key_of).collect();
            let missing: Vec<_> = items.iter().filter(|item| !here.contains(&key_of(item))).collect();
            so_far.read += items.len();
            let used = page.consumed_capacity.and_then(|used| used.capacity_units);
            so_far.units += used.unwrap_or(UNITS_PER_4_KB * f64::from(page.scanned_count));
            if dry_run {
                so_far.missing += missing.len();
            } else {
                for items in missing.chunks(AT_ONCE) {
                    let puts = items.iter().map(|item| async {
                        let put =
                            self.client.put_item().table_name(&self.table).set_item(Some((*item).clone()));
                        let put = put.condition_expression("attribute_not_exists(pk)").send().await;
                        written(put, "copy a record")
                    });
                    so_far.missing += try_join_all(puts).await?.into_iter().filter(|copied| *copied).count();
                }
            }
            progress(so_far);
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(so_far);
            }
            let due = Duration::from_secs_f64(so_far.units / f64::from(units_per_second.max(1)));
            tokio::time::sleep_until(started + due).await;
        }
    }
}
