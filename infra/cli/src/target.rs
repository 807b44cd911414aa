//! Which deployment a command is about: a stack of CloudFormation, names given one by one, or what `cargo dev` runs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_types::SdkConfig;
use clap::Args;
use local_stack::env_file;
use local_stack::senders::{SENDERS, Sender};
use records::Records;

use crate::stack_outputs;

/// Which deployment. Without any of these it is what `cargo dev` runs on this machine.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which deployment")]
pub(crate) struct TargetOptions {
    /// The CloudFormation stack: table, queues and address are its outputs
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    stack: Option<String>,
    /// The table of records; instead of, or over, what the stack says
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    table: Option<String>,
    /// The queue of a provider, or of all of them; can be given more than once
    #[arg(long, global = true, value_name = "[PROVIDER=]URL", conflicts_with = "local")]
    queue: Vec<String>,
    /// The address of the receiver, as in `https://webhooks.example.com`
    #[arg(long, global = true, value_name = "URL", conflicts_with = "local")]
    url: Option<String>,
    /// What `cargo dev` runs on this machine (.local/env)
    #[arg(long, global = true)]
    local: bool,
    /// The profile in ~/.aws, as for the AWS CLI (AWS_PROFILE)
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    profile: Option<String>,
    /// The region, as for the AWS CLI (AWS_REGION)
    #[arg(long, global = true, value_name = "REGION", conflicts_with = "local")]
    region: Option<String>,
}

/// A deployment.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Who asks, and where.
    pub config: SdkConfig,
    /// Its table.
    pub table: String,
    /// The address of the receiver.
    pub url: Option<String>,
    /// Whether its secrets are those of the local stack.
    pub is_local: bool,
    queues: BTreeMap<String, String>,
    every_queue: Option<String>,
}

impl Target {
    /// The records in its table.
    pub(crate) fn records(&self) -> Records {
        Records::new(&self.config, self.table.clone())
    }

    /// The queue of a provider.
    pub(crate) fn queue(&self, provider: &str) -> Result<&str> {
        let queue = self.queues.get(provider).or(self.every_queue.as_ref());
        queue
            .map(String::as_str)
            .with_context(|| format!("no queue of {provider}: give --queue {provider}=URL"))
    }
}

impl TargetOptions {
    /// Finds it.
    pub(crate) async fn resolve(&self) -> Result<Target> {
        let is_named = self.stack.is_some() || self.table.is_some();
        if !is_named {
            let Self { queue, url, profile, region, .. } = self;
            let is_elsewhere = !queue.is_empty() || url.is_some() || profile.is_some() || region.is_some();
            ensure!(!is_elsewhere, "which deployment? Give --stack or --table");
            return local_target(&local_stack::scratch().join("env"));
        }
        let config = loaded(self.profile.as_deref(), self.region.clone()).await;
        let outputs = match &self.stack {
            Some(stack) => stack_outputs::of(&config, stack).await?,
            None => HashMap::new(),
        };
        let table = self.table.clone().or_else(|| outputs.get("TableName").cloned());
        let mut target = Target {
            config,
            table: table.context("the stack has no output TableName: give --table")?,
            url: self.url.clone().or_else(|| outputs.get("UmaaasUrl").and_then(|url| base(url, "/umaaas"))),
            is_local: false,
            queues: BTreeMap::new(),
            every_queue: None,
        };
        for provider in SENDERS {
            if let Some(url) = outputs.get(&stack_outputs::name(provider.name, "QueueUrl")?) {
                target.queues.insert(provider.name.to_owned(), url.clone());
            }
        }
        for queue in &self.queue {
            match queue.split_once('=').filter(|(provider, _)| !provider.contains(['/', ':'])) {
                Some((provider, url)) => {
                    ensure!(Sender::named(provider).is_some(), "no provider {provider}");
                    target.queues.insert(provider.to_owned(), url.to_owned());
                }
                None => target.every_queue = Some(queue.clone()),
            }
        }
        Ok(target)
    }
}

/// What `cargo dev` has written about itself.
fn local_target(file: &Path) -> Result<Target> {
    const HOW: &str = "start `cargo dev`, or name a deployment with --stack or --table";
    let Ok(variables) = env_file::read(file) else {
        bail!("which deployment? There is no {}: {HOW}", file.display());
    };
    let variable =
        |name: &str| variables.get(name).with_context(|| format!("{} does not have {name}", file.display()));
    let endpoint = variable("AWS_ENDPOINT_URL")?;
    let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
    ensure!(port.is_some_and(local_stack::port::answers), "nothing answers at {endpoint}: {HOW}");
    let mut queues = BTreeMap::new();
    for provider in SENDERS {
        let queue = variable(&format!("{}_QUEUE_URL", provider.name.to_uppercase()))?;
        queues.insert(provider.name.to_owned(), queue.to_owned());
    }
    Ok(Target {
        config: local_stack::stack::config(endpoint),
        table: variable("EVENTS_TABLE")?.to_owned(),
        url: variables.get(env_file::URL).cloned(),
        is_local: true,
        queues,
        every_queue: None,
    })
}

/// A provider's address without its path.
fn base(url: &str, path: &str) -> Option<String> {
    url.strip_suffix(path).map(str::to_owned)
}

/// Credentials and region as the AWS CLI finds them.
async fn loaded(profile: Option<&str>, region: Option<String>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    loader.load().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_dev_has_written() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = local_stack::scratch().join(format!("env-{port}"));
        assert!(local_target(&file).unwrap_err().to_string().contains("--stack or --table"));
        let mut text = format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}\nEVENTS_TABLE=webhook-events\n");
        text += &format!("{}=http://127.0.0.1:9000\n", env_file::URL);
        for provider in SENDERS {
            text +=
                &format!("{}_QUEUE_URL=http://sqs/{}.fifo\n", provider.name.to_uppercase(), provider.name);
        }
        std::fs::create_dir_all(local_stack::scratch()).unwrap();
        std::fs::write(&file, &text).unwrap();
        let target = local_target(&file).unwrap();
        assert_eq!(
            (target.table.as_str(), target.url.as_deref()),
            ("webhook-events", Some("http://127.0.0.1:9000"))
        );
        assert!(target.is_local && target.queue("weavr").unwrap() == "http://sqs/weavr.fifo");
        // one that has ended
        drop(listener);
        assert!(local_target(&file).unwrap_err().to_string().contains("nothing answers"));
        std::fs::remove_file(&file).unwrap();
    }

    #[tokio::test]
    async fn queues_of_providers() {
        let options = TargetOptions {
            table: Some("t".into()),
            queue: vec!["weavr=https://sqs/weavr?a=b".into(), "https://sqs/all".into()],
            region: Some("eu-central-1".into()),
            ..TargetOptions::default()
        };
        let target = options.resolve().await.unwrap();
        assert_eq!(target.queue("weavr").unwrap(), "https://sqs/weavr?a=b");
        assert_eq!(target.queue("umaaas").unwrap(), "https://sqs/all");
        let wrong = TargetOptions { queue: vec!["nobody=https://sqs/x".into()], ..options.clone() };
        assert_eq!(wrong.resolve().await.unwrap_err().to_string(), "no provider nobody");
        let nameless = TargetOptions { table: None, ..options.clone() };
        assert!(nameless.resolve().await.unwrap_err().to_string().contains("--stack or --table"));
        let none = TargetOptions { queue: vec![], ..options }.resolve().await.unwrap();
        assert!(none.queue("umaaas").unwrap_err().to_string().contains("--queue umaaas=URL"));
    }
}
