//! Turns a failed call to AWS into an error for our log: with the error code and the request id, but without
//! the service's own message, because that can quote the data that was sent.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use ingest::{Operation, PortError};

/// Whether AWS has refused a call because the function's credentials have expired. The process then ends,
/// because Lambda gives new credentials to a new process.
pub(crate) static CREDENTIALS_EXPIRED: AtomicBool = AtomicBool::new(false);

/// The [`PortError`] for a failed call of one operation.
pub(crate) fn failure<E>(operation: Operation, error: &SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + RequestId,
{
    let what = match error {
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => format!("not sent: {}", causes(error)),
            None => "not sent".to_owned(),
        },
        SdkError::ResponseError(_) => "the answer cannot be read".to_owned(),
        SdkError::ServiceError(error) => {
            let (code, request) = (error.err().code(), error.err().request_id());
            if code.is_some_and(|code| code.starts_with("ExpiredToken")) {
                CREDENTIALS_EXPIRED.store(true, Ordering::Relaxed);
            }
            format!("{} (request {})", code.unwrap_or("no error code"), request.unwrap_or("without id"))
        }
        _ => "the request could not be built".to_owned(),
    };
    if is_unavailable(error) {
        PortError::unavailable(operation, what)
    } else {
        PortError::new(operation, what)
    }
}

/// Whether the service is unavailable: it does not answer, fails, or throttles.
fn is_unavailable<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(answer) => {
            !is_refusal(answer.raw().status().as_u16(), answer.err().code().unwrap_or_default())
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

/// Whether an error answer means that something is wrong with this request. Otherwise the service itself
/// fails or throttles, and would refuse other requests too.
fn is_refusal(status: u16, code: &str) -> bool {
    // DynamoDB throttles with status 400, SQS with 400, 403 or 429. The names are from the SDK's
    // `THROTTLING_ERRORS` and from "Common errors" and "SendMessageBatch" in the SQS API reference.
    let throttled = status == 429
        || code.contains("Throttl")
        || [
            "ProvisionedThroughputExceededException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "SlowDown",
        ]
        .contains(&code);
    (400..500).contains(&status) && status != 408 && !throttled
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_failures_and_throttling() {
        for code in [
            "BatchRequestTooLong",
            "InvalidMessageContents",
            "InvalidParameterValue",
            "AccessDenied",
            "KmsAccessDenied",
            "QueueDoesNotExist",
            "",
        ] {
            assert!(is_refusal(400, code) && is_refusal(403, code), "{code}");
            assert!(!is_refusal(500, code) && !is_refusal(503, code) && !is_refusal(429, code), "{code}");
        }
        for code in [
            "ThrottlingException",
            "Throttling",
            "RequestThrottled",
            "RequestThrottledException",
            "KmsThrottled",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "ProvisionedThroughputExceededException",
        ] {
            assert!(!is_refusal(400, code) && !is_refusal(403, code), "{code}");
        }
    }
}
