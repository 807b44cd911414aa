//! Secrets in Secrets Manager that change while functions run: a rotation needs no deployment and loses no
//! webhook.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use aws::secrets::PLACEHOLDER;
use local_stack::keys::{Credential, SigningKey};
use local_stack::senders::{SENDERS, Sender};
use local_stack::{stack, watch};
use serde_json::json;
use tests::{Fault, FaultProxy, Function, Host, LocalAws, Rule, post, unique, wait_for};

const WITHIN: Duration = Duration::from_secs(20);

/// One function of a provider, and its secret in Secrets Manager. Keys have names here: a shared secret is its name, a
/// private key is made when its name is first used.
struct Deployment {
    provider: &'static Sender,
    keys: Mutex<BTreeMap<String, SigningKey>>,
    manager: aws_sdk_secretsmanager::Client,
    name: String,
    proxy: FaultProxy,
    environment: Vec<(String, String)>,
    host: Host,
    _aws: LocalAws,
}

impl Deployment {
    /// Starts a deployment with the key of this name in Secrets Manager.
    async fn new(provider: &'static Sender, current: &str) -> Self {
        let keys = Mutex::default();
        let value = json!({"current": text(provider, &keys, current)}).to_string();
        let aws = LocalAws::start().await;
        watch::build().await.unwrap();
        let proxy = FaultProxy::start(&aws.stack.endpoint).await;
        let manager = aws_sdk_secretsmanager::Client::new(&stack::config(&aws.stack.endpoint));
        let name = format!("{}-{}", provider.name, unique());
        let created = manager.create_secret().name(&name).secret_string(&value).send().await.unwrap();
        let mut environment = aws.stack.environment(provider);
        environment.retain(|(name, _)| name != provider.keys_variable);
        environment.push((format!("{}_ARN", provider.keys_variable), created.arn.unwrap()));
        environment.push(("AWS_ENDPOINT_URL".into(), proxy.endpoint.clone()));
        Self { provider, keys, manager, name, proxy, environment, host: Host::start().await, _aws: aws }
    }

    fn start(&self) -> Function {
        Function::start(&self.host, self.provider.binaries[0], &self.environment)
    }

    /// What functions are given of a key.
    fn text(&self, name: &str) -> String {
        text(self.provider, &self.keys, name)
    }

    async fn put(&self, value: &str) {
        self.manager.put_secret_value().secret_id(&self.name).secret_string(value).send().await.unwrap();
    }

    /// The reply to a new event that is signed with `secret`.
    async fn reply(&self, secret: &str) -> u16 {
        let provider = self.provider;
        // a sample for the provider's first function
        let sample = provider.samples.iter().find(|sample| ["test", "corporates.kyb"].contains(&sample.file));
        let sample = sample.unwrap();
        // Weavr events of this kind differ only in the millisecond of sending.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let body = provider.body(sample).unwrap();
        let delivery = provider.delivery(sample.path, body.clone(), &key(self.provider, &self.keys, secret));
        let answer = self.host.invoke(post(sample.path, &delivery.headers, &body)).await.unwrap();
        self.host.idle(1).await; // then the log line is written
        answer.status
    }

    /// Delivers until the reply is `last`, and returns all replies.
    async fn replies_until(&self, secret: &str, last: u16) -> Vec<u16> {
        let mut replies = Vec::new();
        wait_for(&format!("{last} for {secret}"), WITHIN, async || {
            replies.push(self.reply(secret).await);
            replies.last() == Some(&last)
        })
        .await;
        replies.pop();
        replies
    }

    fn fail(&self, fault: Option<Fault>) {
        let rule = |fault| Rule { operation: "GetSecretValue", fault, times: None };
        self.proxy.set(fault.map(rule));
    }
}

#[tokio::test]
async fn a_rotation_needs_no_deployment_and_loses_no_webhook() {
    for provider in SENDERS {
        // UMAaaS retries after a 401. Weavr does not, so its functions answer 503.
        let not_yet = provider.forgery_status;
        let deployment = Deployment::new(provider, "first-secret").await;
        let function = deployment.start();
        assert_eq!(deployment.reply("first-secret").await, 200, "{}", provider.name);
        let calls = deployment.proxy.take_calls();
        let reads = calls.iter().filter(|call| *call == "GetSecretValue").count();
        assert_eq!(reads, 1, "the secret is read once, at the start: {calls:?}");

        // during the rotation, both secrets are valid
        let both = json!({
            "current": deployment.text("second-secret"),
            "previous": deployment.text("first-secret"),
        });
        deployment.put(&both.to_string()).await;
        let meanwhile = deployment.replies_until("second-secret", 200).await;
        assert!(meanwhile.iter().all(|reply| *reply == not_yet), "{}: {meanwhile:?}", provider.name);
        assert_eq!(deployment.reply("first-secret").await, 200, "{}", provider.name);

        // after the rotation, the first secret is refused as soon as the function has read the new value
        deployment.put(&deployment.text("second-secret")).await;
        wait_for("the first secret is refused", WITHIN, async || {
            assert_eq!(deployment.reply("a-guess").await, not_yet, "{}", provider.name);
            deployment.reply("first-secret").await != 200
        })
        .await;
        deployment.replies_until("first-secret", not_yet).await;
        assert_eq!(deployment.reply("second-secret").await, 200, "{}", provider.name);

        // Secrets Manager is unavailable: the known secrets stay in use, and a signature that matches none of
        // them may still be genuine
        deployment.fail(Some(Fault::Drop));
        assert_eq!(deployment.reply("second-secret").await, 200, "{}", provider.name);
        let unknown: Vec<u16> =
            vec![deployment.reply("third-secret").await, deployment.reply("third-secret").await];
        assert_eq!(unknown, [not_yet, not_yet], "{}", provider.name);
        deployment.put(&deployment.text("third-secret")).await;
        deployment.fail(None);
        deployment.replies_until("third-secret", 200).await;

        let log = function.log();
        assert!(log.contains("the secrets have changed"), "{log}");
        for secret in ["first-secret", "second-secret", "third-secret"] {
            let text = deployment.text(secret);
            // of a public key a line in the middle
            let shown = text.lines().nth(1).unwrap_or(&text);
            assert!(!log.contains(shown), "{log}");
        }
    }
}

#[tokio::test]
async fn without_a_secret_every_delivery_is_asked_to_retry() {
    for provider in SENDERS {
        // the template's placeholder is never used as a secret
        let deployment = Deployment::new(provider, PLACEHOLDER).await;
        let function = deployment.start();
        for secret in [PLACEHOLDER, "real-secret"] {
            assert_eq!(deployment.reply(secret).await, 503, "{}, {secret}", provider.name);
        }
        assert!(function.log().contains(r#""outcome":"misconfigured""#), "{}", function.log());
        // with any number of deliveries, Secrets Manager is read only from time to time
        let mut reads = deployment.proxy.take_calls();
        // At the start of a function that decides: are decisions stopped?
        reads.retain(|call| call != "GetItem");
        assert!(reads.iter().all(|call| call == "GetSecretValue") && reads.len() <= 2, "{reads:?}");
        deployment.put(&deployment.text("real-secret")).await;
        let before = deployment.replies_until("real-secret", 200).await;
        assert!(before.iter().all(|reply| *reply == 503), "{}: {before:?}", provider.name);
        function.kill();

        // Secrets Manager is unavailable when a function starts
        for fault in [Fault::Drop, Fault::Hang, Fault::Fail] {
            deployment.fail(Some(fault));
            let function = deployment.start();
            assert_eq!(deployment.reply("real-secret").await, 503, "{}, {fault:?}", provider.name);
            let log = function.log();
            assert!(
                log.contains(r#""outcome":"unavailable""#) && log.contains(r#""operation":"secrets""#),
                "{log}"
            );
            deployment.fail(None);
            let before = deployment.replies_until("real-secret", 200).await;
            assert!(before.iter().all(|reply| *reply == 503), "{}, {fault:?}: {before:?}", provider.name);
        }

        // a value that contains no usable secret
        deployment.put(r#"{"curent":"real-secret"}"#).await;
        let function = deployment.start();
        assert_eq!(deployment.reply("real-secret").await, 503, "{}", provider.name);
        assert!(function.log().contains("neither a text nor JSON"), "{}", function.log());
    }
}

/// The key of this name.
fn key(provider: &Sender, keys: &Mutex<BTreeMap<String, SigningKey>>, name: &str) -> SigningKey {
    let new = || match provider.credential {
        Credential::Secret(_) => SigningKey::secret(name),
        Credential::PrivateKey => SigningKey::new_private(),
    };
    keys.lock().unwrap().entry(name.to_owned()).or_insert_with(new).clone()
}

/// What functions are given of it: the secret, or the public key. The placeholder is no key.
fn text(provider: &Sender, keys: &Mutex<BTreeMap<String, SigningKey>>, name: &str) -> String {
    let key = key(provider, keys, name);
    key.public_key().filter(|_| name != PLACEHOLDER).unwrap_or_else(|| name.to_owned())
}
