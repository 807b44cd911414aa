//! The AWS that a command asks: that of `cargo dev`, or a deployed one.

use anyhow::{Context, Result};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use clap::Args;
use local_stack::stack;

use crate::local_env::{LocalEnv, LocalOptions};

/// Which AWS.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConnectionOptions {
    #[command(flatten)]
    local: LocalOptions,
}

/// Clients.
pub(crate) struct Connection {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    /// Where DynamoDB is.
    pub address: String,
    /// The local stack, if it is that.
    pub local: Option<LocalEnv>,
}

impl ConnectionOptions {
    /// Connects to a deployed AWS when its resources are named, and to `cargo dev` otherwise.
    ///
    /// # Errors
    /// `cargo dev` has not been started here; or the environment has no credentials.
    pub(crate) fn connect(&self, deployed: bool) -> Result<Connection> {
        let local = if deployed { None } else { Some(self.local.read()?) };
        let (config, address) = match &local {
            Some(local) => {
                let endpoint = local.required("AWS_ENDPOINT_URL")?;
                (stack::config(endpoint), endpoint.to_owned())
            }
            None => from_environment()?,
        };
        Ok(Connection {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            address,
            local,
        })
    }
}

impl Connection {
    /// The table that was named, or that of the local stack.
    ///
    /// # Errors
    /// Neither is there.
    pub(crate) fn table<'a>(&'a self, named: Option<&'a str>) -> Result<&'a str> {
        match (named, &self.local) {
            (Some(named), _) => Ok(named),
            (None, Some(local)) => local.required("EVENTS_TABLE"),
            (None, None) => anyhow::bail!("name the table with --table"),
        }
    }
}

/// The variables that the AWS command line and every SDK read.
fn from_environment() -> Result<(SdkConfig, String)> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let required = |name: &str| {
        variable(name).with_context(|| {
            format!(
                "{name} is not set: eval \"$(aws configure export-credentials --format env)\" sets the \
                credentials"
            )
        })
    };
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let region = region.context("AWS_REGION is not set: name the region of the stack")?;
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let endpoint = variable("AWS_ENDPOINT_URL");
    let address = endpoint.clone().unwrap_or_else(|| {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://dynamodb.{region}.amazonaws.com{suffix}")
    });
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(credentials));
    config.set_endpoint_url(endpoint);
    Ok((config.build(), address))
}
