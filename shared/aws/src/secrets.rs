//! The secrets of a provider: from the environment, or from Secrets Manager. Secrets in Secrets Manager can
//! be rotated while functions run.
//!
//! The value of a secret in Secrets Manager is a plain text, or JSON:
//! `{"current": "...", "previous": "..."}`, in which both secrets are valid. It is read at start-up, then every
//! five minutes, and at once when a signature matches none of the known secrets. When it cannot be read, the
//! secrets that are already known stay in use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_types::SdkConfig;
use ingest::{NoSecrets, Operation, PortError, Reread, SecretSource};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use verify::{Keys, Secret, Secrets, is_invisible};

use crate::budget::{self, Budget, SECRETS};
use crate::failure::failure;
use crate::time_refusal::TimeRefusal;
use crate::variables::{Unset, Variable};
use crate::{Environment, SettingsError, metrics};

/// The value that the template gives to a new secret. It is public, so it is never used as a secret.
pub const PLACEHOLDER: &str = "replace-me";

/// The age after which the secrets are read again.
const READ_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// How long before [`READ_EVERY`] a function reads the secrets again, after a reply, so that no delivery
/// waits for it. A function that was frozen past [`READ_EVERY`] reads them before it verifies the next
/// delivery.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_mins(1);

/// The shortest time between two reads, so that a flood of forged deliveries does not become a flood of calls
/// to AWS.
const REREAD_AT_MOST_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// The two variables for a provider's secrets. Exactly one of them must be set.
#[derive(Clone, Copy, Debug)]
pub struct SecretVariables {
    /// The secrets themselves, comma-separated, newest first.
    pub list: Variable,
    /// The ARN of the secret in Secrets Manager.
    pub arn: Variable,
}

impl SecretVariables {
    /// Declares both variables: `list` and `arn` are their names.
    #[must_use]
    pub const fn new(list: &'static str, arn: &'static str) -> Self {
        Self {
            list: Variable::new(
                list,
                Unset::RequiredUnless(arn),
                "the secrets themselves, comma-separated, newest first; all are valid. It is an error to set this and the \
                 ARN",
            ),
            arn: Variable::new(
                arn,
                Unset::RequiredUnless(list),
                "the provider's secret in Secrets Manager: a plain text, or JSON `{\"current\": \"...\", \"previous\": \
                 \"...\"}`; both values are valid. Read at the start, every five minutes, and when a signature does not \
                 fit (at most every two seconds)",
            ),
        }
    }
}

/// Where a provider's secrets come from.
#[derive(Debug)]
pub enum ProviderSecrets {
    /// The environment; these secrets do not change while the process runs.
    Listed(Arc<Keys>),
    /// Secrets Manager; these secrets are read again while the process runs.
    Managed(ManagedSecrets),
}

/// The secrets of one provider in Secrets Manager.
pub struct ManagedSecrets {
    provider: &'static str,
    arn: String,
    client: Client,
    state: Mutex<State>,
}

/// The last secrets that were read, and the times of reading.
#[derive(Default)]
struct State {
    secrets: Option<Arc<Keys>>,
    /// When the secrets were last read successfully.
    read_at: Option<Timestamp>,
    /// When reading was last attempted.
    tried_at: Option<Timestamp>,
    /// Whether the last attempt found only the placeholder.
    placeholder: bool,
}

impl ProviderSecrets {
    /// The secrets that the environment names. Nothing is read yet.
    pub(crate) fn from_environment(
        environment: &Environment,
        config: &SdkConfig,
        provider: &'static str,
        variables: SecretVariables,
    ) -> Result<Self, SettingsError> {
        let SecretVariables { list, arn } = variables;
        match environment.optional(&arn) {
            None => Ok(Self::Listed(Arc::new(environment.secrets(&list)?.into()))),
            Some(_) if environment.optional(&list).is_some() => {
                Err(arn.wrong(format!("must not be set when {} is set", list.name)))
            }
            Some(arn) => Ok(Self::Managed(ManagedSecrets::new(config, provider, arn))),
        }
    }

    /// Reads the secrets for the first time. A failure is logged; the first delivery tries again.
    pub(crate) async fn load(&self, now: Timestamp) {
        if let Self::Managed(managed) = self {
            // `read` has logged the error.
            let _ = managed.current(now, SECRETS.total).await;
        }
    }
}

impl ProviderSecrets {
    /// Reads the secrets again if the next read is due soon ([`RENEW_BEFORE`]), so that no delivery waits for
    /// it.
    pub(crate) async fn renew(&self, now: Timestamp) {
        if let Self::Managed(managed) = self {
            managed.renew(now).await;
        }
    }
}

impl SecretSource for ProviderSecrets {
    async fn current(&self, now: Timestamp, within: Duration) -> Result<Arc<Keys>, NoSecrets> {
        match self {
            Self::Listed(secrets) => secrets.current(now, within).await,
            Self::Managed(managed) => managed.current(now, within).await,
        }
    }

    async fn reread(&self, now: Timestamp, within: Duration) -> Reread {
        match self {
            Self::Listed(secrets) => secrets.reread(now, within).await,
            Self::Managed(managed) => managed.reread(now, within).await,
        }
    }
}

impl ManagedSecrets {
    /// The secrets of a provider, under an ARN in Secrets Manager. Nothing is read yet.
    #[must_use]
    pub fn new(config: &SdkConfig, provider: &'static str, arn: String) -> Self {
        let config = Builder::from(config)
            .timeout_config(SECRETS.timeouts())
            .retry_config(Budget::retries())
            .retry_classifier(TimeRefusal);
        Self { provider, arn, client: Client::from_conf(config.build()), state: Mutex::default() }
    }

    /// Reads the secrets from Secrets Manager. When that fails, the known secrets are kept.
    async fn read(&self, now: Timestamp, within: Duration) -> Result<Arc<Keys>, NoSecrets> {
        self.state().tried_at = Some(now);
        let read = match budget::within(within, Operation::Secrets, self.get()).await {
            Ok(Some(secrets)) => Ok(secrets),
            Ok(None) => Err(NoSecrets::Placeholder),
            Err(error) => Err(NoSecrets::Unavailable(error)),
        };
        let mut state = self.state();
        state.placeholder = matches!(read, Err(NoSecrets::Placeholder));
        let in_use = state.secrets.is_some();
        match read {
            Ok(secrets) => {
                let known = state.secrets.take().filter(|known| **known == secrets);
                if in_use && known.is_none() {
                    tracing::info!(provider = self.provider, "the secrets have changed");
                }
                state.read_at = Some(now);
                Ok(Arc::clone(state.secrets.insert(known.unwrap_or_else(|| Arc::new(secrets)))))
            }
            Err(reason) => {
                let cause = match &reason {
                    NoSecrets::Placeholder => "it is still the template's placeholder".to_owned(),
                    NoSecrets::Unavailable(error) => error.chain(),
                };
                tracing::error!(provider = self.provider, cause, in_use, "the secret cannot be used");
                metrics::failure(now, self.provider, Operation::Secrets);
                Err(reason)
            }
        }
    }

    /// Reads the secrets again if the next read is due soon ([`RENEW_BEFORE`]).
    async fn renew(&self, now: Timestamp) {
        let due = {
            let state = self.state();
            let tried = recent(REREAD_AT_MOST_EVERY, state.tried_at, now);
            !tried && !recent(READ_EVERY - RENEW_BEFORE, state.read_at, now)
        };
        if due {
            // `read` has logged the error.
            let _ = self.read(now, SECRETS.total).await;
        }
    }

    /// Reads the value in Secrets Manager; `None` while it is the placeholder.
    async fn get(&self) -> Result<Option<Keys>, PortError> {
        let value = self.client.get_secret_value().secret_id(&self.arn).send().await;
        let value = value.map_err(|error| failure(Operation::Secrets, &error))?;
        let secrets = parse(value.secret_string().unwrap_or_default())
            .map_err(|error| PortError::new(Operation::Secrets, error))?;
        Ok(secrets.map(Keys::Hmac))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretSource for ManagedSecrets {
    async fn current(&self, now: Timestamp, within: Duration) -> Result<Arc<Keys>, NoSecrets> {
        let (known, fresh, tried, placeholder) = {
            let state = self.state();
            let fresh = recent(READ_EVERY, state.read_at, now);
            let tried = recent(REREAD_AT_MOST_EVERY, state.tried_at, now);
            (state.secrets.clone(), fresh, tried, state.placeholder)
        };
        match known {
            Some(known) if fresh || tried => Ok(known),
            Some(known) => Ok(self.read(now, within).await.unwrap_or(known)),
            None if tried && placeholder => Err(NoSecrets::Placeholder),
            None if tried => Err(NoSecrets::Unavailable(a_moment_ago())),
            None => self.read(now, within).await,
        }
    }

    async fn reread(&self, now: Timestamp, within: Duration) -> Reread {
        let (known, read_at, tried_at) = {
            let state = self.state();
            (state.secrets.clone(), state.read_at, state.tried_at)
        };
        if read_at == Some(now) {
            // The secrets were already read for this delivery.
            return Reread::Same;
        }
        if recent(REREAD_AT_MOST_EVERY, tried_at, now) {
            return Reread::Unknown(a_moment_ago());
        }
        match self.read(now, within).await {
            Ok(secrets) if known.as_ref() == Some(&secrets) => Reread::Same,
            Ok(secrets) => Reread::Changed(secrets),
            Err(NoSecrets::Placeholder) => {
                Reread::Unknown(PortError::new(Operation::Secrets, "it is the template's placeholder"))
            }
            Err(NoSecrets::Unavailable(error)) => Reread::Unknown(error),
        }
    }
}

impl fmt::Debug for ManagedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedSecrets").field("arn", &self.arn).finish_non_exhaustive()
    }
}

/// The error to return while another read is too early ([`REREAD_AT_MOST_EVERY`]).
fn a_moment_ago() -> PortError {
    PortError::new(
        Operation::Secrets,
        "not read again, because the last attempt was less than two seconds ago",
    )
}

/// Whether `time` is less than `span` before `now`. False for a time after `now`.
fn recent(span: SignedDuration, time: Option<Timestamp>, now: Timestamp) -> bool {
    time.is_some_and(|time| (SignedDuration::ZERO..span).contains(&now.duration_since(time)))
}

/// The error for a value that contains no usable secret. It does not contain the value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the value is neither a text nor JSON with `current` and, optionally, `previous`")]
struct Unusable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    current: String,
    previous: Option<String>,
}

/// Parses the value of a secret; `None` when it contains only the placeholder.
fn parse(value: &str) -> Result<Option<Secrets>, Unusable> {
    let value = value.trim_matches(is_invisible);
    let Document { current, previous } = if value.starts_with('{') {
        serde_json::from_str(value).map_err(|_| Unusable)?
    } else {
        Document { current: value.to_owned(), previous: None }
    };
    let current = Secret::new(&current).ok_or(Unusable)?;
    // Treat an empty `previous` as absent: the console's form leaves it blank.
    let previous = previous.as_deref().and_then(Secret::new);
    let placeholder = Secret::new(PLACEHOLDER);
    let mut real =
        [Some(current), previous].into_iter().flatten().filter(|it| Some(it) != placeholder.as_ref());
    Ok(real.next().map(|newest| Secrets::new(newest, real.collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let list = |list| Ok(Secrets::parse_list(list).ok());
        for (value, expected) in [
            ("hunter2", list("hunter2")),
            (" hunter2\n", list("hunter2")),
            ("\u{feff}hunter2\u{200b}", list("hunter2")),
            ("\u{feff} {\"current\":\"\u{feff}new\"}\r\n", list("new")),
            (r#"{"current":"new"}"#, list("new")),
            (r#" {"current":"new","previous":"old"}"#, list("new,old")),
            (r#"{"current":"new","previous":""}"#, list("new")),
            (r#"{"current":"new","previous":null}"#, list("new")),
            (r#"{"current":"new","previous":"replace-me"}"#, list("new")),
            (r#"{"current":"replace-me","previous":"old"}"#, list("old")),
            ("replace-me", Ok(None)),
            (r#"{"current":"replace-me"}"#, Ok(None)),
            (r#"{"current":" replace-me ","previous":"replace-me"}"#, Ok(None)),
            ("", Err(Unusable)),
            (" ", Err(Unusable)),
            ("{}", Err(Unusable)),
            (r#"{"current":""}"#, Err(Unusable)),
            (r#"{"current":"new","previos":"old"}"#, Err(Unusable)),
            (r#"{"current":7}"#, Err(Unusable)),
            ("{", Err(Unusable)),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
        // a comma is a character like any other
        assert_eq!(parse("a,b").unwrap().unwrap().iter().count(), 1);
    }

    #[test]
    fn spans() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let span = SignedDuration::from_secs(2);
        for (ago, expected) in [(-1, false), (0, true), (1, true), (2, false), (3, false)] {
            assert_eq!(recent(span, Some(now - SignedDuration::from_secs(ago)), now), expected, "{ago}");
        }
        assert!(!recent(span, None, now));
    }
}
