//! What the local stack knows of each provider.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use umaaas::SIGNATURE;
use verify::{Delivery, Secret};
use weavr::{SIGNATURE_V1, SIGNATURE_V2};

/// One payment provider.
#[derive(Debug)]
pub struct Provider {
    /// Its name: of its folder under `events/` and of its queue.
    pub name: &'static str,
    /// Its functions. `[workspace.metadata.lambda.watch.router]` has their routes.
    pub binaries: &'static [&'static str],
    /// The variable that gives its functions their secrets.
    pub secrets_variable: &'static str,
    /// The secret that signs its webhooks here. It protects nothing.
    pub secret: &'static str,
    /// What else its functions get.
    pub variables: &'static [(&'static str, &'static str)],
    /// Signs a delivery as the provider would.
    pub sign: fn(&mut Delivery, &Secret),
    /// Makes a sample an event of its own, so that no run is a duplicate of another, and changes
    /// nothing else in it.
    pub renew: fn(&str) -> Result<String>,
    /// How to post a sample from a shell; `{url}`, `{secret}` and `{file}` are to be filled in.
    pub example: &'static str,
    /// The documented status of a duplicate.
    pub duplicate_status: u16,
    /// The documented status of a well-formed signature that fits no secret.
    pub forgery_status: u16,
    /// One sample of every kind.
    pub samples: &'static [Sample],
}

/// A body that the provider could send, and what must come of it.
#[derive(Debug)]
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
pub const PROVIDERS: &[Provider] = &[UMAAAS, WEAVR];

const UMAAAS: Provider = Provider {
    name: "umaaas",
    binaries: &["umaaas"],
    secrets_variable: "UMAAAS_WEBHOOK_SECRETS",
    secret: "local-umaaas-secret",
    variables: &[("APPROVAL_POLICY", "sample")],
    sign: sign_umaaas,
    renew: renew_umaaas,
    example: r#"
  body={file}
  signature=$(openssl dgst -sha256 -hmac {secret} -hex < $body | sed 's/.* //')
  curl -i {url}/umaaas -H 'content-type: application/json' \
    -H "x-umaaas-signature: $signature" --data-binary @$body
"#,
    duplicate_status: 409,
    forgery_status: 401,
    samples: &[
        sample("test", "/umaaas/test-webhook", "umaaas.test"),
        sample("bulk_upload", "/umaaas/bulk-upload", "umaaas.bulk_upload"),
        Sample {
            decision: Some("approve"),
            ..sample("incoming_payment", "/umaaas/incoming-payment", "umaaas.incoming_payment")
        },
        sample("incoming_payment.completed", "/umaaas", "umaaas.incoming_payment"),
        sample("outgoing_payment", "/umaaas/outgoing-payment", "umaaas.outgoing_payment"),
        sample("invitation_claimed", "/umaaas", "umaaas.invitation_claimed"),
    ],
};

const WEAVR: Provider = Provider {
    name: "weavr",
    binaries: &[
        "weavr-corporates",
        "weavr-consumers",
        "weavr-managed-accounts",
        "weavr-managed-cards",
        "weavr-transfers",
        "weavr-send",
        "weavr-outgoing-wire-transfers",
        "weavr-other",
    ],
    secrets_variable: "WEAVR_API_KEYS",
    secret: "local-weavr-key",
    variables: &[("WEAVR_SIGNATURE", "v2")],
    sign: sign_weavr,
    renew: renew_weavr,
    example: r#"
  body={file}
  timestamp=$(date +%s)000
  sign() { openssl dgst -sha256 -hmac {secret} -binary | base64; }
  curl -i {url}/weavr/managed_accounts/deposits/watch -H 'content-type: application/json' \
    -H "published-timestamp: $timestamp" -H "signature: $(printf %s $timestamp | sign)" \
    -H "signature-v2: $( (cat $body; printf %s $timestamp) | sign)" --data-binary @$body
"#,
    duplicate_status: 200,
    forgery_status: 503,
    samples: &[
        sample(
            "managed_accounts.deposit",
            "/weavr/managed_accounts/deposits/watch",
            "weavr.managed_accounts.deposit",
        ),
        sample("managed_accounts.update", "/weavr/managed_accounts/watch", "weavr.managed_accounts.update"),
        sample(
            "managed_cards.authorisation",
            "/weavr/managed_cards/authorisations/watch",
            "weavr.managed_cards.authorisation",
        ),
        sample(
            "managed_cards.settlement",
            "/weavr/managed_cards/settlements/watch",
            "weavr.managed_cards.settlement",
        ),
        sample(
            "managed_cards.adjustment",
            "/weavr/managed_cards/adjustments/watch",
            "weavr.managed_cards.adjustment",
        ),
        sample("transfers.transaction", "/weavr/transfers/watch", "weavr.transfers.transaction"),
        sample("send.transaction", "/weavr/send/watch", "weavr.send.transaction"),
        sample(
            "outgoing_wire_transfers.transaction",
            "/weavr/outgoing_wire_transfers/watch",
            "weavr.outgoing_wire_transfers.transaction",
        ),
        sample(
            "corporates.activated",
            "/weavr/corporates/corporate_activated/watch",
            "weavr.corporates.activated",
        ),
        sample(
            "corporates.deactivated",
            "/weavr/corporates/corporate_deactivated/watch",
            "weavr.corporates.deactivated",
        ),
        sample("corporates.kyb", "/weavr/corporates/kyb/watch", "weavr.corporates.kyb"),
        sample(
            "corporates.beneficiary",
            "/weavr/corporates/kyb/beneficiaries/watch",
            "weavr.corporates.beneficiary",
        ),
        sample(
            "consumers.activated",
            "/weavr/consumers/consumer_activated/watch",
            "weavr.consumers.activated",
        ),
        sample(
            "consumers.deactivated",
            "/weavr/consumers/consumer_deactivated/watch",
            "weavr.consumers.deactivated",
        ),
        sample("consumers.kyc", "/weavr/consumers/kyc/watch", "weavr.consumers.kyc"),
        // a path that Weavr publishes and that has no function of its own
        sample("unknown", "/weavr/managed_cards/state_change/watch", "weavr.unknown"),
    ],
};

impl Provider {
    /// The secret that signs its webhooks here.
    pub fn signing_secret(&self) -> Secret {
        Secret::new(self.secret).expect("a secret is not empty")
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
    pub fn delivery(&self, path: &str, body: impl Into<Bytes>, secret: &Secret) -> Delivery {
        let mut delivery = Delivery::new(path, body);
        (self.sign)(&mut delivery, secret);
        delivery
    }
}

/// A sample that is accepted.
const fn sample(file: &'static str, path: &'static str, kind: &'static str) -> Sample {
    Sample { file, path, status: 200, kind, decision: None }
}

fn sign_umaaas(delivery: &mut Delivery, secret: &Secret) {
    let signature = secret.sign(&SIGNATURE, delivery).expect("only the body is signed");
    let signature = signature.parse().expect("hexadecimal is fit for a header");
    delivery.headers.insert(SIGNATURE.header, signature);
}

/// The `webhookId` makes the event.
fn renew_umaaas(body: &str) -> Result<String> {
    let id = serde_json::from_str::<Value>(body)?["webhookId"]
        .as_str()
        .context("there is no webhookId")?
        .to_owned();
    let unique = RandomState::new().hash_one(&id);
    Ok(body.replace(&format!("\"{id}\""), &format!("\"{id}-{unique:016x}\"")))
}

/// Both signatures, over the time of day unless the delivery has a `published-timestamp`.
fn sign_weavr(delivery: &mut Delivery, secret: &Secret) {
    delivery.headers.entry("published-timestamp").or_insert_with(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        HeaderValue::from_str(&now.to_string()).expect("digits")
    });
    for scheme in [SIGNATURE_V1, SIGNATURE_V2] {
        let signature = secret.sign(&scheme, delivery).expect("the timestamp is there");
        delivery.headers.insert(scheme.header, HeaderValue::from_str(&signature).expect("base64"));
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
        for provider in PROVIDERS {
            for sample in provider.samples {
                let event = || {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    let delivery = provider.delivery(
                        sample.path,
                        provider.body(sample).unwrap(),
                        &provider.signing_secret(),
                    );
                    format!("{:?} {:?}", delivery.headers.get("published-timestamp"), delivery.body)
                };
                assert_ne!(event(), event(), "{}", provider.file(sample));
            }
        }
    }

    #[test]
    fn every_kind_has_a_sample() {
        let kinds: [Vec<&str>; 2] = [
            umaaas::KINDS.iter().map(|kind| kind.name).collect(),
            weavr::KINDS.iter().map(|kind| kind.name).collect(),
        ];
        for (provider, kinds) in PROVIDERS.iter().zip(kinds) {
            for kind in kinds {
                assert!(provider.samples.iter().any(|sample| sample.kind == kind), "{kind}");
            }
        }
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
        let renewed = renew_umaaas(body).unwrap();
        let (before, rest) = renewed.split_once("W:1-").unwrap();
        assert_eq!(format!("{before}W:1{}", &rest[16..]), body);
        assert!(renew_umaaas("{}").is_err() && renew_umaaas("[]").is_err());
    }

    #[test]
    fn every_function_sends_to_its_own_queue() {
        // The shared environment has the first provider's queue.
        for provider in &PROVIDERS[1..] {
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
        for binary in PROVIDERS.iter().flat_map(|provider| provider.binaries) {
            assert!(routes.contains(&format!("= \"{binary}\"")), "{binary}");
        }
    }
}
