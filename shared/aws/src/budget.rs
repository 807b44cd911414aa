//! How long each call to AWS may take. The values stand together because one deadline binds them.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use ingest::{DUE_AFTER, FOR_RECORD, FORWARD_PAGE, Operation, PAGE_RECORDS, PortError, REPLY_WITHIN};

/// UMAaaS cancels a PENDING payment that has no answer after this long (its integration guide).
pub const PROVIDER_DEADLINE: Duration = Duration::from_secs(5);

/// How long a function goes on after its reply, before it asks for the next event.
pub const AFTER_REPLY: Duration = Duration::from_secs(2);

/// What one operation may take, retries included, and how long one attempt of it.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// All attempts together.
    pub total: Duration,
    /// One attempt.
    pub attempt: Duration,
}

/// The conditional write. One attempt outlasts a DynamoDB that takes a second to answer, and what
/// is left after a lost answer is enough for a retry at normal speed.
pub const RECORD: Budget = Budget { total: FOR_RECORD, attempt: Duration::from_millis(1300) };

/// The secret, where it has to be read before a signature can be checked.
pub const SECRETS: Budget = Budget { total: Duration::from_millis(700), attempt: Duration::from_millis(500) };

/// The facts about a receiver, where an approval has to bring them.
pub const DIRECTORY: Budget =
    Budget { total: Duration::from_millis(600), attempt: Duration::from_millis(450) };

/// The message to SQS.
pub const FORWARD: Budget = Budget { total: Duration::from_millis(600), attempt: Duration::from_millis(450) };

/// Settling the record, or recording a conflict: one write after the first.
pub const SETTLE: Budget =
    Budget { total: Duration::from_millis(1300), attempt: Duration::from_millis(1250) };

/// One call of the reconciler to SQS, for whose reply nobody waits: ten messages together, or one of up to
/// 1 MiB. All calls for one page have [`FORWARD_PAGE`] together.
pub const FORWARD_BATCH: Budget =
    Budget { total: Duration::from_secs(3), attempt: Duration::from_millis(1500) };

/// What the reconciler keeps of its function's time for the page that is under way when it stops: claimed,
/// sent, settled and postponed by an AWS that barely answers, and one more look at the index.
pub const TO_FINISH: Duration = Duration::from_secs(15);

/// Opening a connection. An address that does not answer at all should leave time for another.
const CONNECT: Duration = Duration::from_millis(400);

const _: () = {
    // The longest way to a record. A conflict has what is left after it; every call ends with the deadline.
    let record = SECRETS.total.as_millis() + DIRECTORY.total.as_millis() + RECORD.total.as_millis();
    assert!(
        record + 500 < REPLY_WITHIN.as_millis().unsigned_abs(),
        "the calls before a reply fit the time for it"
    );
    let rest = FORWARD.total.as_millis() + SETTLE.total.as_millis();
    assert!(rest < AFTER_REPLY.as_millis(), "the calls after a reply fit the time for them");
    assert!(SECRETS.total.as_millis() < AFTER_REPLY.as_millis());
    // One page of the reconciler. Its records are claimed at the same time, and so settled and postponed.
    let page = 4 * SETTLE.total.as_millis() + FORWARD_PAGE.as_millis();
    assert!(page < TO_FINISH.as_millis(), "what the reconciler has begun fits the time it keeps for it");
    assert!(page < DUE_AFTER.as_millis().unsigned_abs(), "a page is done while its claims hold");
    assert!(
        FORWARD_BATCH.total.as_millis() < FORWARD_PAGE.as_millis(),
        "a silent queue leaves time for another"
    );
    // The most calls for one page: each message too large for another beside it, refused as a batch and sent
    // again alone. (u128 holds any usize.)
    let calls = 2 * PAGE_RECORDS as u128;
    assert!(
        calls * FORWARD.attempt.as_millis() <= FORWARD_PAGE.as_millis(),
        "they fit where SQS answers as soon as a first attempt needs it"
    );
    assert!(REPLY_WITHIN.as_millis().unsigned_abs() < PROVIDER_DEADLINE.as_millis());
};

/// A call that has to end `within` a time, whatever its own budget says.
///
/// # Errors
/// Those of the call; [`PortError`] when the time is over.
pub(crate) async fn within<T>(
    time: Duration,
    operation: Operation,
    call: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let over = |_| PortError::unavailable(operation, "no answer before the reply was due");
    // Boxed, or the type of the whole path would nest deeper than the compiler follows.
    tokio::time::timeout(time, Box::pin(call)).await.unwrap_or_else(|elapsed| Err(over(elapsed)))
}

impl Budget {
    pub(crate) fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.total)
            .build()
    }

    /// Retries while the budget lasts, soon: the SDK's own back-off is made for calls without a
    /// deadline.
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
        for budget in [RECORD, SECRETS, DIRECTORY, FORWARD, SETTLE, FORWARD_BATCH] {
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
