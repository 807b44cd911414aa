//! The providers as the local stack plays them: how each signs, and what it sends.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use verify::Delivery;
use weavr::{SIGNATURE_V1, SIGNATURE_V2};

use crate::keys::{Credential, SigningKey};

/// A payment provider, as the local stack plays it.
#[derive(Debug)]
pub struct Sender {
    /// Its name: of its folder under `events/` and of its queue.
    pub name: &'static str,
    /// Its functions. `[workspace.metadata.lambda.watch.router]` has their routes.
    pub binaries: &'static [&'static str],
    /// The variable that gives its functions their keys.
    pub keys_variable: &'static str,
    /// What signs its webhooks here.
    pub credential: Credential,
    /// What else its functions get.
    pub variables: &'static [(&'static str, &'static str)],
    /// Signs a delivery as the provider would.
    pub sign: fn(&mut Delivery, &SigningKey),
    /// Makes a sample an event of its own, so that no run is a duplicate of another, and changes
    /// nothing else in it.
    pub renew: fn(&str) -> Result<String>,
    /// How to post a sample from a shell; `{url}`, `{path}`, `{key}` and `{file}` are to be filled in.
    pub example: &'static str,
    /// The documented status of a duplicate.
    pub duplicate_status: u16,
    /// The documented status of a well-formed signature that fits no secret.
    pub forgery_status: u16,
    /// One sample of every kind.
    pub samples: &'static [Sample],
}

/// A body that the provider could send, and what must come of it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its file under `events/<provider>/`, without `.json`.
    pub file: &'static str,
    /// Where it is posted.
    pub path: &'static str,
    /// The documented status.
    pub status: u16,
    /// The `type` of its message.
    pub kind: &'static str,
    /// The `decision` in its message, for a payment that waits for one.
    pub decision: Option<&'static str>,
}

/// All providers.
pub const SENDERS: &[Sender] = &[UMAAAS, WEAVR, GRID];

const UMAAAS: Sender = Sender {
    name: "umaaas",
    binaries: &["umaaas"],
    keys_variable: "UMAAAS_WEBHOOK_SECRETS",
    credential: Credential::Secret("local-umaaas-secret"),
    variables: &[("APPROVAL_POLICY", "sample")],
    sign: |delivery, key| {
        let scheme = match key {
            SigningKey::Secret(_) => umaaas::SIGNATURE,
            SigningKey::Private(_) => umaaas::SIGNATURE_ECDSA,
        };
        key.add_to(delivery, &scheme);
    },
    renew: |body| renew_id(body, "webhookId"),
    example: r#"
  body={file}
  signature=$(openssl dgst -sha256 -hmac {key} -hex < $body | sed 's/.* //')
  curl -i {url}{path} -H 'content-type: application/json' \
    -H "x-umaaas-signature: $signature" --data-binary @$body
"#,
    duplicate_status: 409,
    forgery_status: 401,
    samples: &UMAAAS_SAMPLES,
};

const WEAVR: Sender = Sender {
    name: "weavr",
    binaries: &WEAVR_BINARIES,
    keys_variable: "WEAVR_API_KEYS",
    credential: Credential::Secret("local-weavr-key"),
    variables: &[("WEAVR_SIGNATURE", "v2")],
    sign: sign_weavr,
    renew: renew_weavr,
    example: r#"
  body={file}
  timestamp=$(date +%s)000
  sign() { openssl dgst -sha256 -hmac {key} -binary | base64; }
  curl -i {url}{path} -H 'content-type: application/json' \
    -H "published-timestamp: $timestamp" -H "signature: $(printf %s $timestamp | sign)" \
    -H "signature-v2: $( (cat $body; printf %s $timestamp) | sign)" --data-binary @$body
"#,
    duplicate_status: 200,
    forgery_status: 503,
    samples: &WEAVR_SAMPLES,
};

const GRID: Sender = Sender {
    name: "grid",
    binaries: &["grid"],
    keys_variable: "GRID_PUBLIC_KEYS",
    credential: Credential::PrivateKey,
    variables: &[("APPROVAL_POLICY", "sample")],
    sign: |delivery, key| key.add_to(delivery, &grid::SIGNATURE),
    renew: |body| renew_id(body, "id"),
    example: r#"
  body={file}
  signature=$(openssl dgst -sha256 -sign {key} $body | openssl base64 -A)
  curl -i {url}{path} -H 'content-type: application/json' \
    -H "x-grid-signature: {\"v\":\"1\",\"s\":\"$signature\"}" --data-binary @$body
"#,
    duplicate_status: 409,
    forgery_status: 401,
    samples: &GRID_SAMPLES,
};

/// One sample of every kind, and a payment that is complete.
const UMAAAS_SAMPLES: [Sample; umaaas::KINDS.len() + 1] = {
    let completed =
        Sample { file: "incoming_payment.completed", ..sample("umaaas.incoming_payment", "/umaaas") };
    let mut samples = [completed; umaaas::KINDS.len() + 1];
    let mut kind = 0;
    while kind < umaaas::KINDS.len() {
        let umaaas::Kind { name, path, .. } = umaaas::KINDS[kind];
        let decision = if is_same(name, "umaaas.incoming_payment") { Some("approve") } else { None };
        samples[kind] = Sample { decision, ..sample(name, path) };
        kind += 1;
    }
    samples
};

/// One sample of every kind, and one at a path that Weavr publishes and that has no function of its own.
const WEAVR_SAMPLES: [Sample; weavr::KINDS.len() + 1] = {
    let unknown = sample(weavr::UNKNOWN, "/weavr/managed_cards/state_change/watch");
    let mut samples = [unknown; weavr::KINDS.len() + 1];
    let mut kind = 0;
    while kind < weavr::KINDS.len() {
        samples[kind] = sample(weavr::KINDS[kind].name, weavr::KINDS[kind].path);
        kind += 1;
    }
    samples
};

/// One sample of every kind, a payment that no reply stops, one that asks for facts that no directory has, and one of
/// an unknown kind.
const GRID_SAMPLES: [Sample; grid::KINDS.len() + 3] = {
    let pending = "grid.incoming_payment.pending";
    let mut samples = [sample(grid::UNKNOWN, "/grid"); grid::KINDS.len() + 3];
    let mut kind = 0;
    while kind < grid::KINDS.len() {
        let name = grid::KINDS[kind].name;
        let decision = if is_same(name, pending) { Some("approve") } else { None };
        samples[kind] = Sample { decision, ..sample(name, "/grid") };
        kind += 1;
    }
    samples[kind] = Sample { file: "incoming_payment.pending.bank_rail", ..sample(pending, "/grid") };
    samples[kind + 1] = Sample {
        file: "incoming_payment.pending.requested",
        status: 403,
        decision: Some("reject"),
        ..sample(pending, "/grid")
    };
    samples
};

const WEAVR_BINARIES: [&str; weavr::Family::ALL.len()] = {
    let mut binaries = [""; weavr::Family::ALL.len()];
    let mut family = 0;
    while family < binaries.len() {
        binaries[family] = weavr::Family::ALL[family].binary();
        family += 1;
    }
    binaries
};

impl Sender {
    /// The provider of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SENDERS.iter().find(|sender| sender.name == name)
    }

    /// The key that signs its webhooks here.
    pub fn signing_key(&self) -> SigningKey {
        self.credential.signing_key()
    }

    /// Whether it signs with a secret that both sides have, and not with a private key.
    pub fn has_shared_secret(&self) -> bool {
        matches!(self.credential, Credential::Secret(_))
    }

    /// What its functions are given to check signatures with.
    pub fn secret(&self) -> String {
        self.credential.for_functions()
    }

    /// The body of a sample, [renewed](Self::renew).
    ///
    /// # Errors
    /// There is no such file, or nothing in it that could be renewed.
    pub fn body(&self, sample: &Sample) -> Result<String> {
        let path = crate::root().join(self.file(sample));
        let body =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        (self.renew)(&body).with_context(|| path.display().to_string())
    }

    /// The file of a sample, from the workspace's root.
    pub fn file(&self, sample: &Sample) -> String {
        format!("events/{}/{}.json", self.name, sample.file)
    }

    /// A signed delivery.
    pub fn delivery(&self, path: &str, body: impl Into<Bytes>, key: &SigningKey) -> Delivery {
        let mut delivery = Delivery::new(path, body);
        (self.sign)(&mut delivery, key);
        delivery
    }
}

/// A sample that is accepted. Its file has the name of its kind, without the provider.
const fn sample(kind: &'static str, path: &'static str) -> Sample {
    let mut dot = 0;
    while kind.as_bytes()[dot] != b'.' {
        dot += 1;
    }
    Sample { file: kind.split_at(dot + 1).1, path, status: 200, kind, decision: None }
}

/// Whether two texts are the same, in a constant.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut place = 0;
    while place < one.len() && place < other.len() && one[place] == other[place] {
        place += 1;
    }
    place == one.len() && place == other.len()
}

/// The id in this field makes the event.
fn renew_id(body: &str, field: &str) -> Result<String> {
    let id = serde_json::from_str::<Value>(body)?[field]
        .as_str()
        .with_context(|| format!("there is no {field}"))?
        .to_owned();
    let unique = RandomState::new().hash_one(&id);
    Ok(body.replace(&format!("\"{id}\""), &format!("\"{id}-{unique:016x}\"")))
}

/// Both signatures, over the time of day unless the delivery has a `published-timestamp`.
fn sign_weavr(delivery: &mut Delivery, key: &SigningKey) {
    delivery.headers.entry("published-timestamp").or_insert_with(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        HeaderValue::from_str(&now.to_string()).expect("digits")
    });
    for scheme in [SIGNATURE_V1, SIGNATURE_V2] {
        key.add_to(delivery, &scheme);
    }
}

/// What the transaction is called, or when it was published, makes the event. A body with neither is
/// an event of its own by the `published-timestamp` it is sent with.
fn renew_weavr(body: &str) -> Result<String> {
    let fields: Value = serde_json::from_str(body)?;
    let Some(name) = ["transactionId", "publishedTimestamp"].into_iter().find(|name| !fields[name].is_null())
    else {
        return Ok(body.to_owned());
    };
    let old = fields[name].to_string();
    let digits = (RandomState::new().hash_one(&old) >> 1).to_string();
    let new = if old.starts_with('"') { format!("\"{digits}\"") } else { digits };
    let (before, after) = body.split_once(&format!("\"{name}\"")).context("it has just been read")?;
    Ok(format!("{before}\"{name}\"{}", after.replacen(&old, &new, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_can_be_renewed() {
        for provider in SENDERS {
            for sample in provider.samples {
                let event = || {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    let delivery = provider.delivery(
                        sample.path,
                        provider.body(sample).unwrap(),
                        &provider.signing_key(),
                    );
                    format!("{:?} {:?}", delivery.headers.get("published-timestamp"), delivery.body)
                };
                assert_ne!(event(), event(), "{}", provider.file(sample));
            }
        }
    }

    #[test]
    fn every_sample_has_a_file_and_every_kind_its_own() {
        for provider in SENDERS {
            for sample in provider.samples {
                assert!(crate::root().join(provider.file(sample)).is_file(), "{}", provider.file(sample));
            }
        }
        let payment = UMAAAS_SAMPLES.iter().find(|sample| sample.file == "incoming_payment").unwrap();
        assert_eq!(payment.decision, Some("approve"));
        assert_eq!(UMAAAS_SAMPLES.iter().filter(|sample| sample.decision.is_some()).count(), 1);
    }

    #[test]
    fn a_transaction_is_renewed_by_its_name() {
        let body = "{ \"other\": 12,\n \"transactionId\" : \"12\", \"n\": 12 }";
        let renewed = renew_weavr(body).unwrap();
        assert!(
            renewed.starts_with("{ \"other\": 12,\n \"transactionId\" : \"")
                && renewed.ends_with("\", \"n\": 12 }")
        );
        assert_ne!(renewed, body);
        assert_eq!(renew_weavr("{\"a\":1}").unwrap(), "{\"a\":1}");
    }

    #[test]
    fn renewing_changes_the_id_only() {
        let body = "{ \"webhookId\" : \"W:1\",\t\"€\": 1.0, \"other\": \"W:12\" }\n";
        let renewed = renew_id(body, "webhookId").unwrap();
        let (before, rest) = renewed.split_once("W:1-").unwrap();
        assert_eq!(format!("{before}W:1{}", &rest[16..]), body);
        assert!(renew_id("{}", "id").is_err() && renew_id("[]", "id").is_err());
    }

    #[test]
    fn every_function_sends_to_its_own_queue() {
        // The shared environment has the first provider's queue.
        for provider in &SENDERS[1..] {
            let manifest = crate::root().join("functions").join(provider.name).join("Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).unwrap();
            let (_, watch) = manifest.split_once("[package.metadata.lambda.watch.env]").expect(provider.name);
            assert!(watch.contains(&format!("/{}.fifo\"", provider.name)), "{}", provider.name);
        }
    }

    #[test]
    fn every_function_has_a_route() {
        let manifest = std::fs::read_to_string(crate::root().join("Cargo.toml")).unwrap();
        let (_, routes) = manifest.split_once("[workspace.metadata.lambda.watch.router]").unwrap();
        for binary in SENDERS.iter().flat_map(|provider| provider.binaries) {
            assert!(routes.contains(&format!("= \"{binary}\"")), "{binary}");
        }
    }
}
