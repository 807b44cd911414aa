//! The documented examples of Grid, posted as somebody else would: signed by the command `openssl`, and read back from
//! the queue byte for byte.

use std::collections::BTreeMap;
use std::process::Command;

use http::HeaderMap;
use local_stack::senders::Sender;
use serde_json::Value;
use tests::{Deployment, Function, Host, named, post, provider_bytes};

const EXAMPLES: &str = include_str!("../../examples/grid-2026-08-21.json");

#[tokio::test]
async fn every_documented_example_arrives_as_it_was_sent() {
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).unwrap();
    assert_eq!(examples.len(), 31);
    let deployment = Deployment::start().await;
    let grid: &Sender = named("grid");
    let key = Key::new();
    let mut environment = deployment.aws.stack.environment(grid);
    environment.retain(|(name, _)| name != grid.keys_variable);
    environment.push((grid.keys_variable.to_owned(), key.public()));
    let host = Host::start().await;
    let _function = Function::start(&host, "grid", &environment);

    // Some examples share an id and a type. The second is then a conflict, which is forwarded too.
    let mut sent = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for example in &examples {
        let (name, body) = (example["name"].as_str().unwrap(), example["body"].as_str().unwrap());
        let fields: Value = serde_json::from_str(body).unwrap();
        let identity = (fields["type"].to_string(), fields["id"].to_string());
        let again = seen.insert(identity, name).is_some();
        let mut headers = HeaderMap::new();
        let signature = format!(r#"{{"v":"1","s":"{}"}}"#, key.sign(body));
        headers.insert("x-grid-signature", signature.parse().unwrap());
        let answer = host.invoke(post("/grid", &headers, body)).await.unwrap();
        // The example asks for facts about the receiver, and there is no directory.
        let pending = fields["type"] == "INCOMING_PAYMENT.PENDING";
        let expected = if pending {
            403
        } else if again {
            409
        } else {
            200
        };
        assert_eq!(answer.status, expected, "{name}: {}", answer.body);
        assert!(sent.insert(body.as_bytes().to_vec(), name).is_none(), "{name}");
    }
    let messages = deployment.messages("grid", examples.len()).await;
    for message in &messages {
        let name = sent.remove(&provider_bytes(message)).unwrap_or_else(|| panic!("changed: {message}"));
        let envelope: Value = serde_json::from_str(message).unwrap();
        assert_eq!(envelope.get("drift"), None, "{name}");
        let wire = envelope["data"]["type"].as_str().unwrap();
        assert_eq!(envelope["type"], format!("grid.{}", wire.to_lowercase()), "{name}");
    }
    assert!(sent.is_empty(), "not on the queue: {sent:?}");
}

/// A key pair that `openssl` made and signs with.
struct Key(std::path::PathBuf);

impl Key {
    fn new() -> Self {
        let file = std::env::temp_dir().join(format!("grid-{}.pem", tests::unique()));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file.to_str().unwrap()]);
        Self(file)
    }

    fn public(&self) -> String {
        String::from_utf8(openssl(&["ec", "-in", self.0.to_str().unwrap(), "-pubout"])).unwrap()
    }

    /// The base64 of the signature of a body.
    fn sign(&self, body: &str) -> String {
        let file = self.0.with_extension("body");
        std::fs::write(&file, body).unwrap();
        let out = self.0.with_extension("signature");
        let [key, file, out] = [&self.0, &file, &out].map(|path| path.to_str().unwrap());
        openssl(&["dgst", "-sha256", "-sign", key, "-out", out, file]);
        String::from_utf8(openssl(&["base64", "-A", "-in", out])).unwrap()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        for extension in ["pem", "body", "signature"] {
            let _ = std::fs::remove_file(self.0.with_extension(extension));
        }
    }
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output =
        Command::new("openssl").args(arguments).output().expect("this test needs the command openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
