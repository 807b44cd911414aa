//! What a failed call to AWS says about itself in our log: enough to act on, and nothing of what was
//! sent. (A service's own message can quote what it refused.)

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use ingest::PortError;

/// Every operation that the metric `Failures` counts, by its dimension `operation`. The template's alarms
/// are checked against it.
pub const OPERATIONS: [&str; 10] = [
    "record",
    "record a conflict",
    "settle",
    "forward",
    "secrets",
    "claim",
    "postpone",
    "read a record",
    "read the index of pending records",
    "directory",
];

/// The failure of one operation: one of [`OPERATIONS`].
pub(crate) fn failure<E>(operation: &'static str, error: &SdkError<E>) -> PortError
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The operations are string literals where the calls are made, so this reads the source.
    #[test]
    fn every_operation_is_in_the_list() {
        let mut found = 0;
        for crate_name in ["aws", "ingest"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_name).join("src");
            for file in std::fs::read_dir(source).unwrap() {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                for call in ["failure(", "PortError::new("] {
                    for argument in code.split(call).skip(1) {
                        let literal = argument.trim_start().strip_prefix('"');
                        let Some((operation, _)) = literal.and_then(|rest| rest.split_once('"')) else {
                            continue;
                        };
                        assert!(OPERATIONS.contains(&operation), "{operation} in {}", path.display());
                        found += 1;
                    }
                }
            }
        }
        assert!(found > OPERATIONS.len(), "only {found} calls were found");
    }
}
