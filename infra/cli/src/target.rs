//! Which deployment a command is about: a stack of CloudFormation, names given one by one, or what `cargo dev` runs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_types::SdkConfig;
use clap::Args;
use local_stack::env_file;
use local_stack::senders::{SENDERS, Sender};
use records::Records;
use tokio::sync::OnceCell;

use crate::request::base;
use crate::stack_description::{self, StackDescription};

/// Where `cargo dev` has the functions, unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:9000";

const HOW: &str = "start `cargo dev`, or name a deployment with --stack or --table";

const NO_REGION: &str = "no region: give --region, or set AWS_REGION, or one in the profile";

/// Which deployment. Without any of these it is what `cargo dev` runs on this machine.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which deployment")]
pub(crate) struct TargetOptions {
    /// The CloudFormation stack: table, queues, address and secrets are in its outputs
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    stack: Option<String>,
    /// The table of records; instead of, or over, what the stack says
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    table: Option<String>,
    /// The queue of a provider, or of all of them; can be given more than once
    #[arg(long, global = true, value_name = "[PROVIDER=]URL", conflicts_with = "local")]
    queue: Vec<String>,
    /// The address of the receiver, as in `https://webhooks.example.com`
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// What `cargo dev` runs on this machine
    #[arg(long, global = true)]
    local: bool,
    /// What describes the local stack; `.local/env` unless given, which `cargo dev` writes
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["stack", "table"])]
    env_file: Option<PathBuf>,
    /// The profile in ~/.aws, as for the AWS CLI (AWS_PROFILE)
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    profile: Option<String>,
    /// The region, as for the AWS CLI (AWS_REGION)
    #[arg(long, global = true, value_name = "REGION", conflicts_with = "local")]
    region: Option<String>,
    /// Credentials and region, loaded at the first use.
    #[arg(skip)]
    loaded: OnceCell<SdkConfig>,
    /// The stack, described at the first use.
    #[arg(skip)]
    described: OnceCell<StackDescription>,
}

/// A deployment.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Credentials and region.
    pub config: SdkConfig,
    /// The name of the table of records.
    pub table: String,
    /// The address of the receiver, if it is known.
    pub url: Option<String>,
    /// The variables of the local stack, if it is that.
    pub local: Option<LocalEnv>,
    /// What CloudFormation says of the stack, if there is one.
    pub stack: Option<StackDescription>,
    queues: BTreeMap<String, String>,
    every_queue: Option<String>,
}

/// An address to post to.
#[derive(Debug)]
pub(crate) struct Address {
    /// Without the provider's part of the path.
    pub base: String,
    /// The variables of the local stack, if the address is the one that `cargo dev` has written there.
    pub local: Option<LocalEnv>,
}

/// The variables that `cargo dev` has written down: those of its functions, and its address.
#[derive(Clone)]
pub(crate) struct LocalEnv(HashMap<String, String>);

impl fmt::Debug for LocalEnv {
    /// The names alone: secrets are among the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl LocalEnv {
    /// A variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| format!("the description of the local stack has no {name}"))
    }
}

impl Target {
    /// The records in its table.
    pub(crate) fn records(&self) -> Records {
        Records::new(&self.config, self.table.clone())
    }

    /// A setting: a variable of the local stack, or a parameter of the deployed one.
    pub(crate) fn setting(&self, variable: &str, parameter: &str) -> Option<&str> {
        let local = self.local.as_ref().and_then(|local| local.get(variable));
        let stack = self.stack.as_ref().and_then(|stack| stack.parameters.get(parameter));
        local.or(stack.map(String::as_str)).filter(|value| !value.is_empty())
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
    /// Finds the deployment.
    ///
    /// # Errors
    /// None is named and none runs on this machine, or the stack cannot be read.
    pub(crate) async fn resolve(&self) -> Result<Target> {
        if self.stack.is_none() && self.table.is_none() {
            let Self { queue, url, profile, region, .. } = self;
            let is_elsewhere = !queue.is_empty() || url.is_some() || profile.is_some() || region.is_some();
            ensure!(!is_elsewhere, "which deployment? Give --stack or --table");
            return local_target(&self.local_file());
        }
        let config = self.config().await;
        checked_region(&config)?;
        let stack = self.stack().await?;
        let output = |name: &str| stack.as_ref()?.outputs.get(name).cloned();
        let mut queues = BTreeMap::new();
        for provider in SENDERS {
            if let Some(url) = output(&stack_description::name(provider.name, "QueueUrl")?) {
                queues.insert(provider.name.to_owned(), url);
            }
        }
        let mut every_queue = None;
        for queue in &self.queue {
            match queue.split_once('=').filter(|(provider, _)| !provider.contains(['/', ':'])) {
                Some((provider, url)) => {
                    ensure!(Sender::named(provider).is_some(), "no provider {provider}");
                    queues.insert(provider.to_owned(), url.to_owned());
                }
                None => every_queue = Some(queue.clone()),
            }
        }
        let table = self.table.clone().or_else(|| output("TableName"));
        Ok(Target {
            config,
            table: table.context("the stack has no output TableName: give --table")?,
            url: self.url.clone().or_else(|| output("UmaaasUrl")).map(|url| base(&url)).transpose()?,
            local: None,
            stack,
            queues,
            every_queue,
        })
    }

    /// The address of the deployment, without asking for more than it takes: `--url` needs no credentials. Without
    /// any option it is that of `cargo dev`, whether it runs or not.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve); or the address is none.
    pub(crate) async fn address(&self) -> Result<Address> {
        let named = self.stack.is_some() || self.table.is_some();
        let local = env_file::read(&self.local_file()).ok().filter(|_| !named).map(LocalEnv);
        let of_local = local.as_ref().and_then(|local| local.get(env_file::URL)).map(base).transpose()?;
        let base = match &self.url {
            Some(url) => base(url)?,
            None if named => self.resolve().await?.url.context("no address: give --url")?,
            None if local.is_none() && (self.env_file.is_some() || self.local) => {
                bail!("there is no {}: {HOW}", self.local_file().display())
            }
            None => of_local.clone().map_or_else(|| base(DEFAULT_URL), Ok)?,
        };
        let local = local.filter(|_| of_local.as_ref() == Some(&base));
        Ok(Address { base, local })
    }

    /// Credentials and region as the AWS CLI finds them.
    pub(crate) async fn config(&self) -> SdkConfig {
        let load = || async {
            let mut loader = aws_config::defaults(BehaviorVersion::latest());
            if let Some(profile) = &self.profile {
                loader = loader.profile_name(profile);
            }
            if let Some(region) = &self.region {
                loader = loader.region(Region::new(region.clone()));
            }
            loader.load().await
        };
        self.loaded.get_or_init(load).await.clone()
    }

    /// The outputs and parameters of `--stack`. `None` without that option.
    ///
    /// # Errors
    /// The stack cannot be read.
    pub(crate) async fn stack(&self) -> Result<Option<StackDescription>> {
        let Some(stack) = &self.stack else { return Ok(None) };
        let describe = || async {
            let config = self.config().await;
            checked_region(&config)?;
            stack_description::read(&config, stack).await
        };
        Ok(Some(self.described.get_or_try_init(describe).await?.clone()))
    }

    /// Refuses these options for a command that talks to no deployment.
    ///
    /// # Errors
    /// One of them is given.
    pub(crate) fn none_for(&self, command: &str) -> Result<()> {
        let Self { stack, table, queue, url, local, env_file, profile, region, loaded: _, described: _ } =
            self;
        let given = [
            ("--stack", stack.is_some()),
            ("--table", table.is_some()),
            ("--queue", !queue.is_empty()),
            ("--url", url.is_some()),
            ("--local", *local),
            ("--env-file", env_file.is_some()),
            ("--profile", profile.is_some()),
            ("--region", region.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => bail!("{command} talks to no deployment: {option} means nothing here"),
            None => Ok(()),
        }
    }

    fn local_file(&self) -> PathBuf {
        self.env_file.clone().unwrap_or_else(env_file::path)
    }
}

/// Checks that there is a region, and that it has no character that could lead to another host: the names of AWS's
/// hosts contain it.
fn checked_region(config: &SdkConfig) -> Result<()> {
    let region = config.region().context(NO_REGION)?.as_ref();
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ensure!((1..=32).contains(&region.len()) && region.bytes().all(valid), "{region:?} is no region");
    Ok(())
}

/// What `cargo dev` has written about itself.
fn local_target(file: &Path) -> Result<Target> {
    let Ok(variables) = env_file::read(file) else {
        bail!("which deployment? There is no {}: {HOW}", file.display());
    };
    let local = LocalEnv(variables);
    let endpoint = local.required("AWS_ENDPOINT_URL")?;
    let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
    ensure!(port.is_some_and(local_stack::port::answers), "nothing answers at {endpoint}: {HOW}");
    let mut queues = BTreeMap::new();
    for provider in SENDERS {
        let queue = local.required(&format!("{}_QUEUE_URL", provider.name.to_uppercase()))?;
        queues.insert(provider.name.to_owned(), queue.to_owned());
    }
    Ok(Target {
        config: local_stack::stack::config(endpoint),
        table: local.required("EVENTS_TABLE")?.to_owned(),
        url: local.get(env_file::URL).map(base).transpose()?,
        local: Some(local),
        stack: None,
        queues,
        every_queue: None,
    })
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
        assert!(target.local.is_some() && target.queue("weavr").unwrap() == "http://sqs/weavr.fifo");
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
