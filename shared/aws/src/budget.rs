//! The time limit of each call to AWS. All limits are in this file because together they must fit the
//! deadline of the provider and the time of one reconciler run. Compile-time assertions check that.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use ingest::{
    DUE_AFTER, FOR_RECORD, FOR_SUBTRACTION, FORWARD_PAGE, Operation, PAGE_RECORDS, PortError, REPLY_WITHIN,
};

use crate::time_refusal::TimeRefusal;

/// UMAaaS cancels a PENDING payment when it gets no answer within this time. Source: the UMAaaS integration
/// guide.
pub const PROVIDER_DEADLINE: Duration = Duration::from_secs(5);

/// The longest time that a function works after its reply, before it asks for the next event.
pub const AFTER_REPLY: Duration = Duration::from_secs(2);

/// The time limits of one operation: for all attempts together and for one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The limit for all attempts together, retries included.
    pub total: Duration,
    /// The limit for one attempt.
    pub attempt: Duration,
}

/// The conditional write of a record. One attempt is long enough when DynamoDB takes a second to answer. When
/// the answer to the first attempt is lost, the rest of the total is enough for a retry at normal speed.
pub const RECORD: Budget = Budget { total: FOR_RECORD, attempt: Duration::from_millis(1300) };

/// Reading the secret, when a signature cannot be checked without reading it first.
pub const SECRETS: Budget = Budget { total: Duration::from_millis(700), attempt: Duration::from_millis(500) };

/// Reading the facts about a receiver, when an approval has to contain them.
pub const DIRECTORY: Budget =
    Budget { total: Duration::from_millis(600), attempt: Duration::from_millis(450) };

/// Reading the switch that stops decisions. It is read while the directory is.
pub const CONTROL: Budget = DIRECTORY;

/// Reading the limits, before a decision that needs them.
pub const LIMITS: Budget = DIRECTORY;

/// Sending the message to SQS.
pub const FORWARD: Budget = Budget { total: Duration::from_millis(600), attempt: Duration::from_millis(450) };

/// Settling a record after the reply, and every call of the reconciler to DynamoDB.
pub const SETTLE: Budget =
    Budget { total: Duration::from_millis(1300), attempt: Duration::from_millis(1250) };

/// One call of the reconciler to SQS, with up to ten messages or one message of up to 1 MiB. No provider
/// waits for a reply meanwhile, so the limit is longer than [`FORWARD`]. All calls for one page together may
/// take [`FORWARD_PAGE`].
pub const FORWARD_BATCH: Budget =
    Budget { total: Duration::from_secs(3), attempt: Duration::from_millis(1500) };

/// How long before its deadline the reconciler begins no new page. In this time it can finish the current
/// page (claim, send, settle, postpone), even when every call to AWS takes its whole limit, and query the
/// index once more.
pub const TO_FINISH: Duration = Duration::from_secs(15);

/// Opening a connection. Short, so that after an address that does not answer, the attempt has time for
/// another address.
const CONNECT: Duration = Duration::from_millis(400);

const _: () = {
    // The calls before a reply, in the longest case. Recording a conflict uses the time that is left after
    // them; every call ends at the latest when the reply is due.
    let record = SECRETS.total.as_millis() + DIRECTORY.total.as_millis() + RECORD.total.as_millis();
    assert!(
        record + 500 < REPLY_WITHIN.as_millis().unsigned_abs(),
        "the calls before a reply fit the time for it"
    );
    // The secrets are read at the start and after replies. A payment whose limits are read has the time of that call,
    // and is answered 503 when both are slow and no time is left.
    let counted = LIMITS.total.as_millis() + DIRECTORY.total.as_millis() + RECORD.total.as_millis();
    assert!(
        counted + 500 < REPLY_WITHIN.as_millis().unsigned_abs(),
        "the calls for a counted payment fit too"
    );
    assert!(
        FOR_SUBTRACTION.as_millis() < AFTER_REPLY.as_millis(),
        "a payment is subtracted while it is forwarded"
    );
    let rest = FORWARD.total.as_millis() + SETTLE.total.as_millis();
    assert!(rest < AFTER_REPLY.as_millis(), "the calls after a reply fit the time for them");
    assert!(SECRETS.total.as_millis() < AFTER_REPLY.as_millis());
    // One page of the reconciler: the index query and three writes. All records of the page are claimed
    // concurrently; the same holds for settling and postponing.
    let page = 4 * SETTLE.total.as_millis() + FORWARD_PAGE.as_millis();
    assert!(page < TO_FINISH.as_millis(), "the reconciler can finish its current page before its deadline");
    assert!(page < DUE_AFTER.as_millis().unsigned_abs(), "a page is finished before its claims expire");
    assert!(
        FORWARD_BATCH.total.as_millis() < FORWARD_PAGE.as_millis(),
        "after a queue that does not answer, there is time for another queue"
    );
    // The most calls for one page: every message is so large that it is a batch of its own, and SQS refuses
    // each batch, so that the message is sent again in a single call. (u128 holds any usize.)
    let calls = 2 * PAGE_RECORDS as u128;
    assert!(
        calls * FORWARD.attempt.as_millis() <= FORWARD_PAGE.as_millis(),
        "all calls fit the page's time when each takes as long as one attempt of `FORWARD`"
    );
    assert!(REPLY_WITHIN.as_millis().unsigned_abs() < PROVIDER_DEADLINE.as_millis());
};

/// Limits a call to the time `within`, in addition to the call's own budget.
///
/// # Errors
/// The errors of the call; an unavailable [`PortError`] when the time is over.
pub(crate) async fn within<T>(
    time: Duration,
    operation: Operation,
    call: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let over = |_| PortError::unavailable(operation, "no answer before the reply was due");
    // Boxed: otherwise the nested future type exceeds the compiler's recursion limit.
    tokio::time::timeout(time, Box::pin(call)).await.unwrap_or_else(|elapsed| Err(over(elapsed)))
}

impl Budget {
    /// A client of DynamoDB whose operations keep to this budget.
    pub(crate) fn dynamodb(self, config: &SdkConfig) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .timeout_config(self.timeouts())
            .retry_config(Self::retries())
            .retry_classifier(TimeRefusal);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    pub(crate) fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.total)
            .build()
    }

    /// Up to three retries with a short back-off. The SDK's default back-off is too long for these deadlines.
    pub(crate) fn retries() -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(25))
            .with_max_backoff(Duration::from_millis(200))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_attempt_is_shorter_than_all() {
        for budget in [RECORD, SECRETS, DIRECTORY, LIMITS, FORWARD, SETTLE, FORWARD_BATCH] {
            assert!(budget.attempt < budget.total, "{budget:?}");
            assert!(CONNECT < budget.attempt, "{budget:?}");
        }
    }

    #[test]
    fn a_store_that_takes_a_second_still_records() {
        assert!(RECORD.attempt > Duration::from_secs(1));
        assert!(SETTLE.attempt > Duration::from_secs(1));
    }
}
