//! The keys of a provider, which are secrets or public keys: from the environment, or from Secrets Manager. Keys in
//! Secrets Manager can be rotated while functions run.
//!
//! The value of a secret in Secrets Manager is a plain text, or JSON:
//! `{"current": "...", "previous": "..."}`, in which both texts are valid. A text is one secret, or public keys in
//! PEM, one after the other. The value is read at start-up, then every five minutes, and at once when a signature
//! matches none of the known keys. When it cannot be read, the keys that are already known stay in use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_types::SdkConfig;
use ingest::{NoSecrets, Operation, PortError, Reread, SecretSource};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use verify::{Keys, PublicKeyError, PublicKeys, Secret, Secrets, is_invisible};

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

/// The two variables for a provider's keys. Exactly one of them must be set.
#[derive(Clone, Copy, Debug)]
pub struct KeyVariables {
    /// The keys themselves.
    pub list: Variable,
    /// The ARN of the secret in Secrets Manager.
    pub arn: Variable,
    sort: Sort,
}

/// Which keys the text of a variable or of a secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Shared secrets; in a list they are separated by commas.
    Secrets,
    /// Public keys in PEM, one after the other.
    PublicKeys,
}

impl KeyVariables {
    /// Declares both variables for shared secrets: `list` and `arn` are their names.
    #[must_use]
    pub const fn secrets(list: &'static str, arn: &'static str) -> Self {
        Self {
            sort: Sort::Secrets,
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

    /// Declares both variables for public keys of the curve P-256: `list` and `arn` are their names.
    #[must_use]
    pub const fn public_keys(list: &'static str, arn: &'static str) -> Self {
        Self {
            sort: Sort::PublicKeys,
            list: Variable::new(
                list,
                Unset::RequiredUnless(arn),
                "the provider's public keys (P-256) in PEM, one after the other, newest first; all are valid. It is an \
                 error to set this and the ARN",
            ),
            arn: Variable::new(
                arn,
                Unset::RequiredUnless(list),
                "the secret in Secrets Manager with the provider's public keys: the same text, or JSON `{\"current\": \
                 \"...\", \"previous\": \"...\"}`, with `\\n` for the ends of lines; both values are valid. Read as \
                 every secret",
            ),
        }
    }
}

/// Where a provider's keys come from.
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
    sort: Sort,
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
        variables: KeyVariables,
    ) -> Result<Self, SettingsError> {
        let KeyVariables { list, arn, sort } = variables;
        match environment.optional(&arn) {
            None => {
                let keys = match sort {
                    Sort::Secrets => environment.secrets(&list)?.into(),
                    Sort::PublicKeys => environment.public_keys(&list)?.into(),
                };
                Ok(Self::Listed(Arc::new(keys)))
            }
            Some(_) if environment.optional(&list).is_some() => {
                Err(arn.wrong(format!("must not be set when {} is set", list.name)))
            }
            Some(arn) => Ok(Self::Managed(ManagedSecrets::new(config, provider, arn, sort))),
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
    /// The keys of a provider, under an ARN in Secrets Manager. Nothing is read yet.
    fn new(config: &SdkConfig, provider: &'static str, arn: String, sort: Sort) -> Self {
        let config = Builder::from(config)
            .timeout_config(SECRETS.timeouts())
            .retry_config(Budget::retries())
            .retry_classifier(TimeRefusal);
        Self { provider, arn, sort, client: Client::from_conf(config.build()), state: Mutex::default() }
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
        parse(self.sort, value.secret_string().unwrap_or_default())
            .map_err(|error| PortError::new(Operation::Secrets, error))
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

/// The error for a value that contains no usable keys. It does not contain the value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum Unusable {
    /// There is no text in it.
    #[error("the value is neither a text nor JSON with `current` and, optionally, `previous`")]
    NoText,
    /// A key in PEM is in the place of a shared secret.
    #[error("the value holds a key in PEM, but the signature is checked with a shared secret")]
    Pem,
    /// The text is not a list of public keys.
    #[error("the value does not hold public keys")]
    NoPublicKeys(#[source] PublicKeyError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    current: String,
    previous: Option<String>,
}

/// Parses the value of a secret; `None` when it contains only the placeholder.
fn parse(sort: Sort, value: &str) -> Result<Option<Keys>, Unusable> {
    let value = value.trim_matches(is_invisible);
    let Document { current, previous } = if value.starts_with('{') {
        serde_json::from_str(value).map_err(|_| Unusable::NoText)?
    } else {
        Document { current: value.to_owned(), previous: None }
    };
    if current.trim_matches(is_invisible).is_empty() {
        return Err(Unusable::NoText);
    }
    // Treat an empty `previous` as absent: the console's form leaves it blank.
    let texts = [Some(current), previous].into_iter().flatten();
    let real = texts.filter(|text| !["", PLACEHOLDER].contains(&text.trim_matches(is_invisible)));
    match sort {
        Sort::Secrets => {
            // Only a key in PEM is no secret here: empty texts are left out above.
            let secrets: Option<Vec<Secret>> = real.map(|text| Secret::new(&text)).collect();
            let mut secrets = secrets.ok_or(Unusable::Pem)?.into_iter();
            Ok(secrets.next().map(|newest| Secrets::new(newest, secrets.collect()).into()))
        }
        Sort::PublicKeys => {
            let pem = real.collect::<Vec<_>>().join("\n");
            if pem.is_empty() {
                return Ok(None);
            }
            PublicKeys::parse_pem(&pem).map(|keys| Some(keys.into())).map_err(Unusable::NoPublicKeys)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let list = |list| Ok(Secrets::parse_list(list).ok().map(Keys::Hmac));
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
            ("", Err(Unusable::NoText)),
            (" ", Err(Unusable::NoText)),
            ("{}", Err(Unusable::NoText)),
            (r#"{"current":""}"#, Err(Unusable::NoText)),
            (r#"{"current":"new","previos":"old"}"#, Err(Unusable::NoText)),
            (r#"{"current":7}"#, Err(Unusable::NoText)),
            ("{", Err(Unusable::NoText)),
            ("-----BEGIN PUBLIC KEY----- MFkw -----END PUBLIC KEY-----", Err(Unusable::Pem)),
            (r#"{"current":"-----BEGIN PUBLIC KEY-----\nMFkw"}"#, Err(Unusable::Pem)),
            (r#"{"current":"new","previous":"-----BEGIN PUBLIC KEY-----\nMFkw"}"#, Err(Unusable::Pem)),
        ] {
            assert_eq!(parse(Sort::Secrets, value), expected, "{value}");
        }
        // a comma is a character like any other
        let Ok(Some(Keys::Hmac(secrets))) = parse(Sort::Secrets, "a,b") else { panic!("a secret") };
        assert_eq!(secrets.iter().count(), 1);
    }

    /// Two public keys, made for this test with `openssl ecparam -name prime256v1 -genkey`.
    const NEW: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+vosb4U5jQg6RXMTp+sVQbFhQV7o
3wO5qjQ8Pb+9fviLJbz2j6P4OKkGEIypgF9j4dTWRLjMMDQk5ykvyWU6ww==
-----END PUBLIC KEY-----";
    const OLD: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8tg98Ad+pAmFzw4RP7Xif54V+Olq
00JSfm/cR6w7bJcMNAYSU2TTcsUtja1RSBdijFICKO3OQj2JQ+o5ONmqEA==
-----END PUBLIC KEY-----";

    #[test]
    fn values_with_public_keys() {
        let both = format!("{NEW}\n{OLD}");
        let keys = |text: &str| Ok(Some(Keys::EcdsaP256(PublicKeys::parse_pem(text).unwrap())));
        let json = |current: &str, previous: &str| {
            serde_json::json!({"current": current, "previous": previous}).to_string()
        };
        for (value, expected) in [
            (NEW.to_owned(), keys(NEW)),
            (format!("\u{feff}{both}\r\n"), keys(&both)),
            (both.replace('\n', " "), keys(&both)),
            (json(NEW, OLD), keys(&both)),
            (json(NEW, ""), keys(NEW)),
            (json(NEW, PLACEHOLDER), keys(NEW)),
            (json(PLACEHOLDER, OLD), keys(OLD)),
            (json(&both, NEW), keys(&format!("{both}{NEW}"))),
            (PLACEHOLDER.to_owned(), Ok(None)),
            (json(PLACEHOLDER, ""), Ok(None)),
            (String::new(), Err(Unusable::NoText)),
            (json("", NEW), Err(Unusable::NoText)),
            ("hunter2".to_owned(), Err(Unusable::NoPublicKeys(PublicKeyError::NotPem { block: 1 }))),
            (json(NEW, "hunter2"), Err(Unusable::NoPublicKeys(PublicKeyError::NotPem { block: 2 }))),
        ] {
            assert_eq!(parse(Sort::PublicKeys, &value), expected, "{value}");
        }
    }

    #[test]
    fn errors_say_what_was_found_and_never_show_a_key() {
        for value in ["hunter2", &NEW[..90], &NEW.replace("PUBLIC", "PRIVATE"), "{\"current\": hunter2}"] {
            let error =
                PortError::new(Operation::Secrets, parse(Sort::PublicKeys, value).unwrap_err()).chain();
            let body = NEW.lines().nth(1).unwrap();
            assert!(!error.contains("hunter2") && !error.contains(&body[..16]), "{error}");
        }
        let private = parse(Sort::PublicKeys, &NEW.replace("PUBLIC", "PRIVATE")).unwrap_err();
        let chain = PortError::new(Operation::Secrets, private).chain();
        assert!(chain.contains("a private key"), "{chain}");
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
