//! What the function would answer to a webhook: the provider's own steps, one after the other.

use anyhow::anyhow;
use decisions::{Asking, Explanation};
use grid::Grid;
use ingest::{Arrival, Decision, Facts, Object, Outcome, Provider, Reply, RequestedFacts};
use jiff::Timestamp;
use local_stack::keys::SigningKey;
use umaaas::{Policy, Umaaas};
use verify::{Delivery, Scheme};

/// A provider that decides about payments, with a policy.
pub(crate) enum Decider {
    Umaaas(Umaaas),
    Grid(Grid),
}

/// What a webhook's first delivery comes to.
pub(crate) struct Answer {
    /// The decision, if it waits for one.
    pub decision: Option<Decision>,
    /// The reply, as far as it does not depend on the receiver directory.
    pub reply: Reply,
    /// What the policy saw, and what came of each of its rules.
    pub explanation: Option<Explanation>,
    /// What an approval has to tell about the receiver.
    pub requested: Option<RequestedFacts>,
}

impl Decider {
    /// The provider that sends such a body: Grid where the body has an `id` and no `webhookId`, or else UMAaaS.
    pub(crate) fn of(body: &[u8], policy: Policy) -> Self {
        let fields = Object::parse(body);
        match fields.filter(|fields| fields.get("id").is_some() && fields.get("webhookId").is_none()) {
            Some(_) => Self::Grid(Grid::new(None, Some(policy))),
            None => Self::Umaaas(Umaaas::new(None, Some(policy))),
        }
    }

    /// The policy.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Umaaas(umaaas) => umaaas.policy(),
            Self::Grid(grid) => grid.policy(),
        }
    }

    /// Answers a webhook.
    pub(crate) fn answer(&self, body: Vec<u8>) -> anyhow::Result<Answer> {
        match self {
            Self::Umaaas(umaaas) => {
                let key = SigningKey::secret("cargo webhooks");
                answer(umaaas, umaaas.policy(), umaaas::SIGNATURE, &key, body)
            }
            Self::Grid(grid) => {
                let key = SigningKey::new_private();
                answer(grid, grid.policy(), grid::SIGNATURE, &key, body)
            }
        }
    }
}

/// Answers a webhook, which is signed with a key that protects nothing.
fn answer<P: Provider<Payment = Asking>>(
    provider: &P,
    policy: Option<&Policy>,
    scheme: Scheme,
    key: &SigningKey,
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let mut delivery = Delivery::new(format!("/{}", P::NAME), body);
    delivery.headers.insert(scheme.header, key.sign(&scheme, &delivery).parse()?);

    // Nothing is too old: no tolerance is set. It arrives when it was sent, so that the age of a policy's rates is the same
    // on every day.
    let sent = Object::parse(&delivery.body).and_then(|body| body.text("timestamp")?.parse().ok());
    let arrival = Arrival::at(sent.unwrap_or_else(Timestamp::now));
    let refused = |outcome: Outcome| anyhow!(outcome.detail().unwrap_or(outcome.name().to_owned()));
    let delivery = provider.verify(delivery, &key.keys()).map_err(refused)?;
    let payment = provider.identify(&delivery, arrival).map_err(refused)?.payment;
    let requested = payment.as_ref().and_then(|payment| provider.requested(payment)).cloned();
    let explanation = payment.as_ref().zip(policy).and_then(|(payment, policy)| policy.explain(payment));
    let decision = payment.map(|payment| provider.decide(&payment));
    let accepted = Outcome::Accepted { decision: decision.clone().map(Box::new), facts: Facts::default() };
    Ok(Answer { decision, reply: provider.reply(&accepted), explanation, requested })
}
