//! Deploys the SAM template to [`ministack`](crate::ministack), with functions that were built on this
//! machine. `transform.py` documents how it changes the template for ministack.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::ministack::Ministack;
use crate::process::Program;
use crate::senders::{SENDERS, Sender};
use crate::stack::{self, Queue};
use crate::tools::Tools;

/// A deployed stack. It exists as long as its ministack runs.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The API's address, to which a provider's paths are added.
    pub url: String,
    /// The stack's outputs.
    pub outputs: HashMap<String, String>,
    sqs: aws_sdk_sqs::Client,
}

/// What to deploy, and how.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// The folder of the built functions.
    pub binaries: &'a Path,
    /// The template's parameters.
    pub parameters: &'a [(&'a str, &'a str)],
    /// The address at which the functions call AWS; `None` for ministack itself.
    pub functions_endpoint: Option<&'a str>,
}

impl Deployment {
    /// Deploys the template and stores each provider's secret in the secret that the template creates for it.
    ///
    /// # Errors
    /// A resource cannot be created; the error contains the reason.
    pub async fn create(tools: &Tools, ministack: &Ministack, options: &Options<'_>) -> Result<Self> {
        let endpoint = ministack.endpoint();
        let file = ministack.directory().join("outputs.json");
        let script = crate::root().join("infra").join("local").join("deploy.py");
        let secrets = SENDERS.iter().map(|provider| {
            let secret = json!({ "current": provider.secret() });
            format!("--secret={}={secret}", output_name(provider, "SecretArn"))
        });
        let parameters = options.parameters.iter().map(|(name, value)| format!("--parameter={name}={value}"));
        Program::new(tools.program("python"))
            // -B: no `__pycache__` in the source tree. The AWS settings of this process are removed.
            .arg("-B")
            .without_env(|name| name.starts_with("AWS_"))
            .arg(script)
            .arg(&endpoint)
            .arg(options.binaries)
            .arg(&file)
            .args(secrets.chain(parameters))
            .args(options.functions_endpoint.map(|endpoint| format!("--functions-endpoint={endpoint}")))
            .log(ministack.directory().join("deploy.log"))
            .run("deploying the template")
            .await?;
        let text =
            std::fs::read(&file).with_context(|| format!("the deployment wrote no {}", file.display()))?;
        let outputs: HashMap<String, String> = serde_json::from_slice(&text)?;
        // The host name of the API does not resolve; ministack also serves the API at this path with its id.
        let url = format!("{endpoint}/_aws/execute-api/{}/$default", output(&outputs, "ApiId")?);
        let sqs = aws_sdk_sqs::Client::new(&stack::config(&endpoint));
        Ok(Self { url, outputs, sqs })
    }

    /// The queue of a provider.
    ///
    /// # Errors
    /// The template has no such output.
    pub fn queue(&self, provider: &Sender) -> Result<Queue> {
        let url = |what| output(&self.outputs, &output_name(provider, what));
        Ok(Queue::at(&self.sqs, url("QueueUrl")?, url("DeadLettersUrl")?))
    }
}

/// The template as plain CloudFormation, as `transform.py` prints it.
///
/// # Errors
/// The template cannot be transformed; the error contains the reason.
pub async fn transformed(arguments: &[&str]) -> Result<Value> {
    let tools = Tools::install().await?;
    let output = Command::new(tools.program("python"))
        // -B: no `__pycache__` in the source tree
        .arg("-B")
        .arg(crate::root().join("infra").join("local").join("transform.py"))
        .args(arguments)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The name of a provider's output in the template: `UmaaasQueueUrl`, for example.
fn output_name(provider: &Sender, what: &str) -> String {
    let (first, rest) = provider.name.split_at(1);
    format!("{}{rest}{what}", first.to_uppercase())
}

fn output<'a>(outputs: &'a HashMap<String, String>, name: &str) -> Result<&'a str> {
    outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_providers() {
        assert_eq!(output_name(&SENDERS[0], "QueueUrl"), "UmaaasQueueUrl");
    }
}
