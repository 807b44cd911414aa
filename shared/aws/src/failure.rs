//! What a failed call to AWS says about itself in our log: enough to act on, and nothing of what was
//! sent. (A service's own message can quote what it refused.)

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use ingest::{Operation, PortError};

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
            format!("{} (request {})", code.unwrap_or("no error code"), request.unwrap_or("without id"))
        }
        _ => "the request could not be built".to_owned(),
    };
    PortError::new(operation, what)
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
