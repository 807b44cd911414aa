//! The switch that stops all decisions about payments: what people write and functions read.

use aws::control::{DECISIONS, STOPPED};
use aws::item::millis;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::entry::time;
use crate::{Records, RecordsError, failed};

/// The switch, as it stands in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionSwitch {
    /// Whether every payment that waits for a decision is rejected.
    pub is_stopped: bool,
    /// Since when. `None` when nobody has ever used it.
    pub since: Option<Timestamp>,
    /// Why, in the words of the person who used it.
    pub reason: Option<String>,
}

impl Records {
    /// The switch.
    ///
    /// # Errors
    /// [`RecordsError`] when the table does not answer.
    pub async fn decision_switch(&self) -> Result<DecisionSwitch, RecordsError> {
        let get = self.client.get_item().table_name(&self.table);
        let get = get.key("pk", AttributeValue::S(DECISIONS.to_owned())).consistent_read(true);
        let item = get.send().await.map_err(failed("read the switch"))?.item;
        let Some(item) = item else { return Ok(DecisionSwitch::default()) };
        Ok(DecisionSwitch {
            is_stopped: item.get(STOPPED) != Some(&AttributeValue::Bool(false)),
            since: time(&item, "since"),
            reason: item.get("reason").and_then(|reason| reason.as_s().ok()).cloned(),
        })
    }

    /// Stops all decisions, or lets them go on. Functions know within a minute.
    ///
    /// # Errors
    /// [`RecordsError`] when it is unknown whether the switch was written.
    pub async fn set_decision_switch(
        &self,
        is_stopped: bool,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<(), RecordsError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(DECISIONS.to_owned()))
            .item(STOPPED, AttributeValue::Bool(is_stopped))
            .item("since", millis(now));
        let put = match reason {
            Some(reason) => put.item("reason", AttributeValue::S(reason.to_owned())),
            None => put,
        };
        put.send().await.map_err(failed("write the switch"))?;
        Ok(())
    }
}
