//! What a failed call to AWS says about itself in our log: enough to act on, and nothing of what was
//! sent. (A service's own message can quote what it refused.)

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use ingest::{Operation, PortError};

/// Whether a call has been refused because our credentials have expired. Lambda gives a new process new ones.
pub(crate) static CREDENTIALS_EXPIRED: AtomicBool = AtomicBool::new(false);

/// The failure of one operation.
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

/// Whether nobody answered, or only to say that they cannot.
fn is_unavailable<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(error) => {
            let status = error.raw().status().as_u16();
            let throttled = |code: &str| THROTTLED.iter().any(|known| code.contains(known));
            status >= 500 || status == 429 || error.err().code().is_some_and(throttled)
        }
        SdkError::ConstructionFailure(_) => false,
        _ => true,
    }
}

/// What the codes of throttling have in common: `ThrottlingException`, `RequestThrottled`,
/// `ProvisionedThroughputExceededException`, `RequestLimitExceeded`, `SlowDown`.
const THROTTLED: [&str; 4] = ["Throttl", "ThroughputExceeded", "LimitExceeded", "SlowDown"];

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
