//! Where a command gets a secret or a key from: never from an argument, which other users of the machine can see and
//! the shell remembers.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use local_stack::keys::SigningKey;
use local_stack::senders::Sender;
use serde::Deserialize;
use verify::{Keys, PublicKeys, Secret, Secrets};

use crate::stack_description::name;
use crate::target::TargetOptions;

/// The longest text that is read as a secret, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// How a key in PEM begins.
const PEM: &str = "-----BEGIN ";

/// Where the secret comes from, or the key of a provider that signs with a private one, in PEM. Several secrets are
/// written as in the functions' environment, comma-separated, or as in Secrets Manager,
/// {"current": "...", "previous": "..."}; several keys one after the other.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub(crate) struct SecretOptions {
    /// The environment variable that holds the secret, or the key in PEM
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Read the secret, or the key in PEM, from stdin
    #[arg(long)]
    secret_stdin: bool,
    /// Use the secret of `cargo dev`, or its key
    #[arg(long)]
    secret_local: bool,
    /// Read the secret of --stack, or its public keys, from Secrets Manager
    #[arg(long)]
    secret_stack: bool,
}

/// Where the secret comes from unless an option says so.
#[derive(Clone, Copy)]
pub(crate) enum Otherwise {
    Local,
    Stdin,
}

/// What signs, or what signatures are checked with.
#[derive(Clone)]
pub(crate) enum KeyMaterial {
    /// Secrets that both sides have.
    Secrets(SecretTexts),
    /// The provider's public keys.
    Public(PublicKeys),
    /// A private key, which signs as the provider would.
    Private(SigningKey),
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
        self.secret_env.is_some() || self.secret_stdin || self.is_by_provider()
    }

    /// Whether each provider has a secret of its own there.
    pub(crate) fn is_by_provider(&self) -> bool {
        self.secret_local || self.secret_stack
    }

    /// Whether the secret is that of a deployed stack.
    pub(crate) fn is_of_stack(&self) -> bool {
        self.secret_stack
    }

    /// Reads the secrets or keys of a provider.
    ///
    /// # Errors
    /// There is none, it cannot be read, or the provider signs in another way.
    pub(crate) async fn read(
        &self,
        provider: &Sender,
        otherwise: Otherwise,
        target: &TargetOptions,
    ) -> Result<KeyMaterial> {
        let material = if self.secret_local || (!self.is_given() && matches!(otherwise, Otherwise::Local)) {
            KeyMaterial::local(provider)?
        } else if self.secret_stack {
            KeyMaterial::parse(from_stack(provider, target).await?)?
        } else {
            KeyMaterial::parse(self.text()?)?
        };
        ensure!(material.fits(provider), "{} {}", provider.name, wanted(provider));
        Ok(material)
    }

    /// Reads what was given, for whichever provider.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn read_any(&self) -> Result<KeyMaterial> {
        KeyMaterial::parse(self.text()?)
    }

    fn text(&self) -> Result<String> {
        match &self.secret_env {
            Some(name) => from_environment(name),
            None => from_stdin(),
        }
    }
}

/// What a provider signs with, for an error.
fn wanted(provider: &Sender) -> &'static str {
    if provider.has_shared_secret() {
        "signs with a secret, and this is a key in PEM"
    } else {
        "signs with a private key: give the private key to sign, a public key to verify, in PEM"
    }
}

async fn from_stack(provider: &Sender, target: &TargetOptions) -> Result<String> {
    let stack = target.stack().await?.context("--secret-stack reads the secret of --stack: give both")?;
    let output = name(provider.name, "SecretArn")?;
    let arn = stack.outputs.get(&output).with_context(|| format!("the stack has no output {output}"))?;
    let manager = aws_sdk_secretsmanager::Client::new(&target.config().await);
    let read = manager.get_secret_value().secret_id(arn).send().await;
    let text = read.with_context(|| format!("cannot read the secret of {}", provider.name))?.secret_string;
    text.context("the secret is not a text")
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

impl KeyMaterial {
    /// What the local stack signs with as a provider.
    fn local(provider: &Sender) -> Result<Self> {
        if provider.has_shared_secret() {
            return Ok(Self::Secrets(SecretTexts::parse(provider.secret())?));
        }
        Ok(Self::Private(provider.signing_key()))
    }

    /// Reads a text: secrets, public keys, or one private key.
    ///
    /// # Errors
    /// A secret is empty, a key cannot be read, or secrets and keys are mixed.
    pub(crate) fn parse(given: String) -> Result<Self> {
        let texts = SecretTexts::parse(given)?;
        if !texts.secrets.iter().any(|text| text.contains(PEM)) {
            return Ok(Self::Secrets(texts));
        }
        // A list of keys in the JSON of Secrets Manager is one PEM text after the other.
        let pem = texts.secrets.join("\n");
        if pem.contains("PRIVATE KEY-----") {
            return Ok(Self::Private(SigningKey::from_pem(&pem)?));
        }
        Ok(Self::Public(PublicKeys::parse_pem(&pem).context("the key cannot be read")?))
    }

    /// Whether a provider can sign so. UMAaaS signs in two ways; its version decides which.
    pub(crate) fn fits(&self, provider: &Sender) -> bool {
        match self {
            Self::Secrets(_) => provider.has_shared_secret(),
            Self::Public(_) | Self::Private(_) => provider.name == "umaaas" || !provider.has_shared_secret(),
        }
    }

    /// What signs as the provider: the newest secret, or the private key.
    ///
    /// # Errors
    /// It is a public key.
    pub(crate) fn signing_key(&self) -> Result<SigningKey> {
        match self {
            Self::Secrets(texts) => Ok(SigningKey::secret(&texts.secrets[0])),
            Self::Private(key) => Ok(key.clone()),
            Self::Public(_) => bail!("a public key signs nothing: give the private key, in PEM"),
        }
    }

    /// What signatures are checked with.
    pub(crate) fn keys(&self) -> Keys {
        match self {
            Self::Secrets(texts) => Keys::Hmac(texts.all()),
            Self::Public(keys) => keys.clone().into(),
            Self::Private(key) => key.keys(),
        }
    }

    /// How many secrets or keys there are, and what they are called.
    pub(crate) fn count(&self) -> (usize, &'static str) {
        match self {
            Self::Secrets(texts) => (texts.secrets.len(), "secret"),
            Self::Public(keys) => (keys.iter().count(), "key"),
            Self::Private(_) => (1, "key"),
        }
    }

    /// Each of the secrets or keys alone, in the order of the list.
    pub(crate) fn each(&self) -> Vec<Keys> {
        match self {
            Self::Secrets(texts) => {
                texts.secrets.iter().map(|text| SigningKey::secret(text).keys()).collect()
            }
            Self::Public(keys) => keys.iter().map(|key| PublicKeys::from(key.clone()).into()).collect(),
            Self::Private(key) => vec![key.keys()],
        }
    }
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
    fn keys_and_secrets_are_told_apart() {
        let key = SigningKey::new_private();
        let (public, private) = (key.public_key().unwrap(), key.private_key().unwrap());
        let both = format!("{public}{}", SigningKey::new_private().public_key().unwrap());
        let json = serde_json::json!({ "current": public, "previous": public }).to_string();
        let one_line = public.replace('\n', " ");
        for (text, expected) in [
            ("s3cret", (1, "secret")),
            ("a,b", (2, "secret")),
            (r#"{"current":"a,b"}"#, (1, "secret")),
            (&public, (1, "key")),
            (&both, (2, "key")),
        ]
        .into_iter()
        .chain([(&*json, (2, "key")), (&*one_line, (1, "key")), (&*private, (1, "key"))])
        {
            let material = KeyMaterial::parse(text.to_owned()).unwrap();
            assert_eq!((material.count(), material.each().len()), (expected, expected.0), "{text}");
            assert_eq!(material.signing_key().is_ok(), expected.1 == "secret" || text == private);
        }
        let broken = private.replace(&private[40..80], "");
        for wrong in [&*broken, "-----BEGIN PUBLIC KEY-----", "s3cret,-----BEGIN PUBLIC KEY-----"] {
            let error = format!("{:#}", KeyMaterial::parse(wrong.to_owned()).err().unwrap());
            assert!(!error.contains("s3cret") && !error.contains(&private[80..100]), "{wrong}: {error}");
        }
    }

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
