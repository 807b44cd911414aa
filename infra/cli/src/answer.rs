//! What the function would answer to a webhook: the provider's own steps, one after the other.

use anyhow::{Context, anyhow};
use decisions::{Asking, Explanation};
use grid::Grid;
use ingest::{Arrival, Decision, Facts, Object, Outcome, Provider, Reply, RequestedFacts, Totals};
use jiff::Timestamp;
use local_stack::keys::SigningKey;
use records::Stored;
use serde::Deserialize;
use umaaas::{Policy, Umaaas};
use verify::{Delivery, Scheme};

/// A provider that asks for decisions about payments.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PaymentProvider {
    Umaaas,
    Grid,
}

impl PaymentProvider {
    /// The provider of a record.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        match key.split('#').next()? {
            "umaaas" => Some(Self::Umaaas),
            "grid" => Some(Self::Grid),
            _ => None,
        }
    }

    /// The provider that sends such a body: Grid where the body has an `id` and no `webhookId`, or else UMAaaS.
    pub(crate) fn of(body: &[u8]) -> Self {
        let fields = Object::parse(body);
        match fields.filter(|fields| fields.get("id").is_some() && fields.get("webhookId").is_none()) {
            Some(_) => Self::Grid,
            None => Self::Umaaas,
        }
    }
}

/// A provider that asks for decisions, with the policy that decides.
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
    /// Such a provider.
    pub(crate) fn new(provider: PaymentProvider, policy: Policy) -> Self {
        match provider {
            PaymentProvider::Umaaas => Self::Umaaas(Umaaas::new(None, Some(policy))),
            PaymentProvider::Grid => Self::Grid(Grid::new(None, Some(policy))),
        }
    }

    /// The policy.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Umaaas(umaaas) => umaaas.policy(),
            Self::Grid(grid) => grid.policy(),
        }
    }

    /// Answers a webhook that comes to the provider's one path. It arrives when it was sent, so that the age of a
    /// policy's rates is the same on every day.
    /// `totals`: what was counted before.
    pub(crate) fn answer(&self, body: Vec<u8>, totals: &Totals) -> anyhow::Result<Answer> {
        let sent = Object::parse(&body).and_then(|body| body.text("timestamp")?.parse().ok());
        let arrival = Arrival::at(sent.unwrap_or_else(Timestamp::now));
        self.answer_to(Asked { path: None, body, arrival, totals })
    }

    /// Answers a recorded webhook again, as at the time of its receipt. Nothing is counted before it.
    pub(crate) fn again(&self, stored: &Stored) -> anyhow::Result<Answer> {
        let record = &stored.record;
        let (path, body) = (Some(record.path.as_str()), record.payload.to_vec());
        let arrival = Arrival::at(record.received_at);
        self.answer_to(Asked { path, body, arrival, totals: &Totals::new() })
    }

    fn answer_to(&self, asked: Asked<'_>) -> anyhow::Result<Answer> {
        match self {
            Self::Umaaas(umaaas) => {
                let key = SigningKey::secret("cargo webhooks");
                answer(umaaas, umaaas.policy(), umaaas::SIGNATURE, &key, asked)
            }
            Self::Grid(grid) => {
                let key = SigningKey::new_private();
                answer(grid, grid.policy(), grid::SIGNATURE, &key, asked)
            }
        }
    }
}

/// Every provider that asks for decisions, with one policy.
pub(crate) struct Deciders {
    umaaas: Decider,
    grid: Decider,
}

impl Deciders {
    /// Loads the policy, once for each.
    pub(crate) fn new(load: impl Fn() -> anyhow::Result<Policy>) -> anyhow::Result<Self> {
        Ok(Self {
            umaaas: Decider::new(PaymentProvider::Umaaas, load()?),
            grid: Decider::new(PaymentProvider::Grid, load()?),
        })
    }

    /// The policy.
    pub(crate) fn policy(&self) -> anyhow::Result<&Policy> {
        self.umaaas.policy().context("it has a policy")
    }

    /// One of them.
    pub(crate) fn of(&self, provider: PaymentProvider) -> &Decider {
        match provider {
            PaymentProvider::Umaaas => &self.umaaas,
            PaymentProvider::Grid => &self.grid,
        }
    }
}

/// A webhook as it arrives, and what was counted before it.
struct Asked<'a> {
    path: Option<&'a str>,
    body: Vec<u8>,
    arrival: Arrival,
    totals: &'a Totals,
}

/// Answers a webhook, which is signed with a key that protects nothing.
fn answer<P: Provider<Payment = Asking>>(
    provider: &P,
    policy: Option<&Policy>,
    scheme: Scheme,
    key: &SigningKey,
    asked: Asked<'_>,
) -> anyhow::Result<Answer> {
    let Asked { path, body, arrival, totals } = asked;
    let path = path.map_or_else(|| format!("/{}", P::NAME), str::to_owned);
    let mut delivery = Delivery::new(path, body);
    delivery.headers.insert(scheme.header, key.sign(&scheme, &delivery).parse()?);

    // Nothing is too old: no tolerance is set.
    let refused = |outcome: Outcome| anyhow!(outcome.detail().unwrap_or(outcome.name().to_owned()));
    let delivery = provider.verify(delivery, &key.keys()).map_err(refused)?;
    let payment = provider.identify(&delivery, arrival).map_err(refused)?.payment;
    let requested = payment.as_ref().and_then(|payment| provider.requested(payment)).cloned();
    let explanation =
        payment.as_ref().zip(policy).and_then(|(payment, policy)| policy.explain(payment, totals));
    let decision = payment.map(|payment| provider.decide(&payment, Some(totals)));
    let accepted = Outcome::Accepted { decision: decision.clone().map(Box::new), facts: Facts::default() };
    Ok(Answer { decision, reply: provider.reply(&accepted), explanation, requested })
}
