//! The environment variables that functions read, each declared once: the code reads a variable through its
//! declaration, `infra/configuration.md` is generated from the declarations, and a test compares the template
//! with them. A provider's own variables are declared in its crate.

/// An environment variable of a function.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// What applies when the variable is not set, or empty.
    pub unset: Unset,
    /// What the variable means, in Markdown, with its unit and its limits.
    pub meaning: &'static str,
}

/// What applies when a variable is not set, or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// The function does not start.
    Required,
    /// The function does not start, unless this other variable is set.
    RequiredUnless(&'static str),
    /// This default value is used.
    Default(&'static str),
    /// [`Variable::meaning`] describes the effect.
    Optional,
    /// Does not occur in Lambda, because Lambda sets the variable.
    ByLambda,
}

impl Variable {
    /// Declares a variable.
    #[must_use]
    pub const fn new(name: &'static str, unset: Unset, meaning: &'static str) -> Self {
        Self { name, unset, meaning }
    }
}

pub(crate) const EVENTS_TABLE: Variable =
    Variable::new("EVENTS_TABLE", Unset::Required, "the DynamoDB table of records");

pub(crate) const QUEUE_URL: Variable = Variable::new(
    "QUEUE_URL",
    Unset::Required,
    "the URL of the provider's SQS queue; a name that ends in `.fifo` is a FIFO queue",
);

pub(crate) const RETENTION_DAYS: Variable = Variable::new(
    "RETENTION_DAYS",
    Unset::Default("90"),
    "how long a settled record stays, and its redelivery is recognised: 1 to 3650 days",
);

pub(crate) const KEEP_PAYLOAD: Variable = Variable::new(
    "KEEP_PAYLOAD",
    Unset::Default("true"),
    "`false`: the body leaves the record when the record is settled, and the event can then not be sent again",
);

pub(crate) const RECEIVER_DIRECTORY_TABLE: Variable = Variable::new(
    "RECEIVER_DIRECTORY_TABLE",
    Unset::Optional,
    "the DynamoDB table with [facts about receivers](../functions/README.md#facts-about-the-receiver). Not set: a \
     payment that asks for mandatory facts is rejected",
);

pub(crate) const CONNECT_AT_START: Variable = Variable::new(
    "CONNECT_AT_START",
    Unset::Default("true"),
    "`true`: the connections to DynamoDB and SQS are opened at the start, so that the first webhook does not wait for \
     them",
);

pub(crate) const AWS_LAMBDA_LOG_LEVEL: Variable = Variable::new(
    "AWS_LAMBDA_LOG_LEVEL",
    Unset::Optional,
    "as `LOG_LEVEL`, which it overrides; Lambda sets it from the function's logging configuration",
);

pub(crate) const LOG_LEVEL: Variable = Variable::new(
    "LOG_LEVEL",
    Unset::Default("info"),
    "`trace`, `debug`, `info`, `warn` or `error`. The line of a delivery has its metrics and is always written",
);

pub(crate) const METRICS_NAMESPACE: Variable = Variable::new(
    "METRICS_NAMESPACE",
    Unset::Default("PaymentWebhooks"),
    "the CloudWatch namespace of the metrics; the template names the stack in it, so that two stacks in one account do \
     not count into each other's metrics",
);

const CREDENTIALS: &str = "profiles and other sources of credentials are not used";
const AS_IN_EVERY_SDK: &str = "as in every AWS SDK";

pub(crate) const AWS_REGION: Variable =
    Variable::new("AWS_REGION", Unset::ByLambda, "the region of all services");
pub(crate) const AWS_ACCESS_KEY_ID: Variable =
    Variable::new("AWS_ACCESS_KEY_ID", Unset::ByLambda, CREDENTIALS);
pub(crate) const AWS_SECRET_ACCESS_KEY: Variable =
    Variable::new("AWS_SECRET_ACCESS_KEY", Unset::ByLambda, CREDENTIALS);
pub(crate) const AWS_SESSION_TOKEN: Variable =
    Variable::new("AWS_SESSION_TOKEN", Unset::ByLambda, CREDENTIALS);
pub(crate) const AWS_ENDPOINT_URL: Variable =
    Variable::new("AWS_ENDPOINT_URL", Unset::Optional, AS_IN_EVERY_SDK);
pub(crate) const AWS_USE_FIPS_ENDPOINT: Variable =
    Variable::new("AWS_USE_FIPS_ENDPOINT", Unset::Default("false"), AS_IN_EVERY_SDK);
pub(crate) const AWS_USE_DUALSTACK_ENDPOINT: Variable =
    Variable::new("AWS_USE_DUALSTACK_ENDPOINT", Unset::Default("false"), AS_IN_EVERY_SDK);

/// The policy of the providers whose reply decides about a payment. One policy serves all of them.
pub const APPROVAL_POLICY: Variable = Variable::new(
    "APPROVAL_POLICY",
    Unset::Optional,
    "the path of a [policy](../shared/decisions/policies/README.md), a folder or a Cedar file, or `sample`. Not set: every \
     payment to decide is rejected",
);

/// Declares the variable with the queue of one provider, for the reconciler.
#[must_use]
pub const fn queue_of_provider(name: &'static str) -> Variable {
    Variable::new(
        name,
        Unset::Optional,
        "the URL of the provider's SQS queue. At least one of these is required; records of a provider without a queue \
         stay pending",
    )
}

/// The variables that every function reads, the reconciler included.
pub const OF_EVERY_FUNCTION: &[Variable] = &[
    EVENTS_TABLE,
    RETENTION_DAYS,
    KEEP_PAYLOAD,
    METRICS_NAMESPACE,
    LOG_LEVEL,
    AWS_LAMBDA_LOG_LEVEL,
    AWS_REGION,
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    AWS_ENDPOINT_URL,
    AWS_USE_FIPS_ENDPOINT,
    AWS_USE_DUALSTACK_ENDPOINT,
];

/// The variables that every provider function reads in addition to [`OF_EVERY_FUNCTION`].
pub const OF_EVERY_PROVIDER: &[Variable] = &[QUEUE_URL, CONNECT_AT_START, RECEIVER_DIRECTORY_TABLE];
