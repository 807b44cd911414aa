//! What the function would answer to a webhook: the provider's own steps, one after the other.

use anyhow::{Context, anyhow};
use ingest::{Arrival, Decision, Facts, Outcome, Provider, Reply, RequestedFacts};
use jiff::Timestamp;
use umaaas::{Policy, SIGNATURE, Umaaas};
use verify::{Delivery, Secrets};

/// A provider with this policy.
pub(crate) fn umaaas(policy: Policy) -> Umaaas {
    Umaaas::new(None, Some(policy))
}

/// Signs what is tried out here, and protects nothing.
fn secrets() -> Secrets {
    Secrets::parse_list("cargo webhooks").expect("a secret is not empty")
}

/// What a webhook's first delivery comes to.
pub(crate) struct Answer {
    /// The decision, if it waits for one.
    pub decision: Option<Decision>,
    /// The reply, as far as it does not depend on the receiver directory.
    pub reply: Reply,
    /// What an approval has to tell about the receiver.
    pub requested: Option<RequestedFacts>,
}

/// Answers a webhook.
pub(crate) fn answer(umaaas: &Umaaas, body: Vec<u8>) -> anyhow::Result<Answer> {
    let mut delivery = Delivery::new("/umaaas", body);
    let signature = secrets().newest().sign(&SIGNATURE, &delivery).context("only the body is signed")?;
    delivery.headers.insert(SIGNATURE.header, signature.parse()?);

    // Nothing is too old: no tolerance is set.
    let arrival = Arrival::at(Timestamp::now());
    let refused = |outcome: Outcome| anyhow!(outcome.detail().unwrap_or(outcome.name().to_owned()));
    let delivery = umaaas.verify(delivery, &secrets().into()).map_err(refused)?;
    let payment = umaaas.identify(&delivery, arrival).map_err(refused)?.payment;
    let requested = payment.as_ref().and_then(|payment| umaaas.requested(payment)).cloned();
    let decision = payment.map(|payment| umaaas.decide(&payment));
    let reply = umaaas
        .reply(&Outcome::Accepted { decision: decision.clone().map(Box::new), facts: Facts::default() });
    Ok(Answer { decision, reply, requested })
}
