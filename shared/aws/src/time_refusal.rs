//! Retries calls that AWS refuses because of the time in their signature. After a freeze, the clock of a
//! function can be minutes behind for a moment. Each attempt is signed with the current time, so a retry
//! succeeds.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};

/// The error codes for this refusal: of DynamoDB, SQS and Secrets Manager (JSON protocols) and of their front
/// ends.
const CODES: [&str; 3] = ["InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"];

/// Classifies such a refusal as transient, so that the SDK retries the call within its budget.
#[derive(Debug)]
pub(crate) struct TimeRefusal;

impl ClassifyRetry for TimeRefusal {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| response.status().is_client_error());
        let Some(body) = refused.and_then(|response| response.body().bytes()) else {
            return RetryAction::NoActionIndicated;
        };
        let said = String::from_utf8_lossy(body);
        if CODES.iter().any(|code| said.contains(code)) {
            RetryAction::transient_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "refused for the time in the signature"
    }
}
