//! Where a command gets a secret from: never from an argument, which other users of the machine can see and
//! the shell remembers.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use local_stack::keys::SigningKey;
use local_stack::senders::Sender;
use serde::Deserialize;
use verify::{Secret, Secrets};

/// The longest text that is read as a secret, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the secret comes from. Several secrets are written as in the functions' environment,
/// comma-separated, or as in Secrets Manager, {"current": "...", "previous": "..."}.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub(crate) struct SecretOptions {
    /// The environment variable that holds the secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Read the secret from stdin
    #[arg(long)]
    secret_stdin: bool,
    /// Use the secret of `cargo dev`
    #[arg(long)]
    secret_local: bool,
}

/// Where the secret comes from unless an option says so.
#[derive(Clone, Copy)]
pub(crate) enum Otherwise {
    Local,
    Stdin,
}

/// Secrets, and the text that they were read from.
#[derive(Clone)]
pub(crate) struct SecretTexts {
    /// As it was given.
    pub given: String,
    /// The secrets in it, newest first. There is at least one.
    pub secrets: Vec<String>,
}

impl SecretOptions {
    /// Whether an option says where the secret comes from.
    pub(crate) fn is_given(&self) -> bool {
        self.secret_env.is_some() || self.secret_stdin || self.secret_local
    }

    /// Whether the secrets are those of `cargo dev`, which differ from provider to provider.
    pub(crate) fn is_local(&self) -> bool {
        self.secret_local
    }

    /// Reads the secrets.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn read(&self, provider: &Sender, otherwise: Otherwise) -> Result<SecretTexts> {
        let local = self.secret_local || (!self.is_given() && matches!(otherwise, Otherwise::Local));
        let given = match &self.secret_env {
            _ if local => provider.secret(),
            _ if !provider.has_shared_secret() => {
                bail!("{} signs with a private key: only --secret-local can sign as it", provider.name)
            }
            Some(name) => from_environment(name)?,
            None => from_stdin()?,
        };
        SecretTexts::parse(given)
    }
}

fn from_environment(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(text) => Ok(text),
        // The value is not shown: somebody may have given the secret itself.
        Err(_) if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            bail!("--secret-env takes the name of an environment variable, not the secret itself")
        }
        Err(_) => bail!("the environment variable of --secret-env is not set, or is not text"),
    }
}

fn from_stdin() -> Result<String> {
    let stdin = std::io::stdin();
    ensure!(
        !stdin.is_terminal(),
        "no secret: pipe it in (`printf %s \"$secret\" | cargo webhooks ...`), name a variable with \
            --secret-env, or use \
         --secret-local"
    );
    let mut text = String::new();
    stdin.lock().take(MAX_BYTES).read_to_string(&mut text).context("cannot read the secret from stdin")?;
    Ok(text)
}

impl SecretTexts {
    /// Reads a list of secrets, or the JSON of Secrets Manager.
    ///
    /// # Errors
    /// A secret is empty, or the JSON has no `current`.
    pub(crate) fn parse(given: String) -> Result<Self> {
        #[derive(Deserialize)]
        struct Both {
            current: String,
            previous: Option<String>,
        }

        let secrets: Vec<String> = if given.trim_start().starts_with('{') {
            // The error of serde may quote the text.
            let both: Both = serde_json::from_str(&given).map_err(|_| {
                anyhow::anyhow!("the secret is JSON, but not {{\"current\": \"...\", \"previous\": \"...\"}}")
            })?;
            let previous = both.previous.filter(|text| !text.is_empty());
            [both.current].into_iter().chain(previous).collect()
        } else {
            given.split(',').map(str::to_owned).collect()
        };
        let secrets: Vec<String> =
            secrets.iter().map(|text| text.trim_matches(verify::is_invisible).to_owned()).collect();
        ensure!(secrets.iter().all(|text| !text.is_empty()), "the secret is empty");
        Ok(Self { given, secrets })
    }

    /// What signs as the provider: the newest secret, or the private key of `cargo dev`, whose public key this is.
    pub(crate) fn signing_key(&self, provider: &Sender) -> SigningKey {
        if provider.has_shared_secret() {
            SigningKey::secret(&self.secrets[0])
        } else {
            provider.signing_key()
        }
    }

    /// For the code that verifies.
    pub(crate) fn all(&self) -> Secrets {
        let mut secrets =
            self.secrets.iter().map(|text| Secret::new(text).expect("no secret in the list is empty"));
        let newest = secrets.next().expect("there is at least one secret");
        Secrets::new(newest, secrets.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_secrets() {
        for (given, expected) in [
            ("one", &["one"][..]),
            (" one\n", &["one"]),
            ("new,old", &["new", "old"]),
            (r#"{"current":"new"}"#, &["new"]),
            (r#" {"current":"new", "previous":"old"}"#, &["new", "old"]),
            (r#"{"current":"new", "previous":""}"#, &["new"]),
            (r#"{"current":"a,b", "previous":null}"#, &["a,b"]),
        ] {
            assert_eq!(SecretTexts::parse(given.to_owned()).unwrap().secrets, expected, "{given}");
        }
        for wrong in ["", " \n", "a,", "{}", r#"{"current":""}"#, r#"{"current":"hunter2"#] {
            let error = SecretTexts::parse(wrong.to_owned()).err().unwrap().to_string();
            assert!(error.contains("secret") && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }
}
