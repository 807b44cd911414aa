//! What the local stack knows of each provider.

use bytes::Bytes;
use umaaas::SIGNATURE;
use verify::{Delivery, Secret};

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
    /// The field in a body that makes an event what it is.
    pub id_field: &'static str,
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
pub const PROVIDERS: &[Provider] = &[Provider {
    name: "umaaas",
    binaries: &["umaaas"],
    secrets_variable: "UMAAAS_WEBHOOK_SECRETS",
    secret: "local-umaaas-secret",
    variables: &[("APPROVAL_POLICY", "sample")],
    sign: sign_umaaas,
    id_field: "webhookId",
    samples: &[
        sample("test", "/umaaas/test-webhook", "umaaas.test"),
        sample("bulk_upload", "/umaaas/bulk-upload", "umaaas.bulk_upload"),
        // There is no policy yet that could approve it.
        Sample {
            status: 403,
            decision: Some("reject"),
            ..sample("incoming_payment", "/umaaas/incoming-payment", "umaaas.incoming_payment")
        },
        sample("incoming_payment.completed", "/umaaas", "umaaas.incoming_payment"),
        sample("outgoing_payment", "/umaaas/outgoing-payment", "umaaas.outgoing_payment"),
    ],
}];

impl Provider {
    /// The secret that signs its webhooks here.
    pub fn signing_secret(&self) -> Secret {
        Secret::new(self.secret).expect("a secret is not empty")
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
    let signature = SIGNATURE.sign(delivery, secret).expect("only the body is signed");
    let signature = signature.parse().expect("hexadecimal is fit for a header");
    delivery.headers.insert(SIGNATURE.header, signature);
}

#[cfg(test)]
mod tests {
    use super::*;

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
