//! Calls that AWS refuses because of the time in their signature. A function that was frozen can have a clock
//! that is minutes behind for a moment; each attempt is signed with the clock's time anew, so another one helps.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};

/// How services call it: DynamoDB, SQS, Secrets Manager (JSON protocols), and their front ends.
const CODES: [&str; 3] = ["InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"];

/// Has such a call tried again, within its budget.
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
