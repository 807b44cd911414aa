//! What happened to a record, step by step.

use ingest::{Decision, State, Verdict};
use jiff::Timestamp;

use crate::Stored;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it was. `None` when the record does not say.
    pub at: Option<Timestamp>,
    /// What it was, in a word.
    pub step: &'static str,
    /// More about it. No personal data is in it.
    pub detail: String,
}

impl Stored {
    /// What happened to it, in order. A step that the record does not know the time of stands in its place.
    #[must_use]
    pub fn timeline(&self) -> Vec<Step> {
        let record = &self.record;
        let mut steps = Vec::new();
        let mut step = |at, step, detail| steps.push(Step { at, step, detail });
        if let Some(occurred_at) = record.occurred_at {
            step(Some(occurred_at), "occurred", "by the provider's clock".to_owned());
        }
        if let Some(published_at) = record.published_at {
            step(Some(published_at), "published", "by the provider's clock".to_owned());
        }
        let delivery = format!("at {}, delivery {}", record.path, record.delivery_id);
        step(Some(record.received_at), "received", delivery);
        let verified = match record.drift.len() {
            0 => "the body is as documented".to_owned(),
            count => format!("{count} departures from the documents: {}", record.drift.join("; ")),
        };
        let by = match record.verified_by {
            Some(1) => "the signature is by the newest key".to_owned(),
            Some(position) => format!("the signature is by key {position}, an older one"),
            None => "the signature fits".to_owned(),
        };
        let verified = format!("{by}; {verified}");
        step(None, "verified", verified);
        if let Some(first) = &record.conflict_of {
            step(None, "conflict", format!("other content under the identity of {first}"));
        }
        if let Some(decision) = &record.decision {
            step(None, "decided", explained(decision));
        }
        let confirmed = match self.reply_confirmed {
            Some(true) => "Lambda took it within 5 seconds of the request",
            Some(false) => "not known whether it was sent",
            None => "not known yet whether it was sent",
        };
        step(None, "answered", format!("HTTP {}; {confirmed}", record.reply));
        if let Some(decision) = &self.decided_later {
            step(None, "decided", format!("about a later conflict with it: {}", explained(decision)));
        }
        let attempts = match record.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        match (self.state, self.forwarded_at) {
            (State::Forwarded, at) => step(at, "forwarded", attempts),
            (State::Pending, _) => {
                step(None, "pending", format!("{attempts}; the next one not before the time below"));
                step(self.due_at, "due", "from then on the reconciler may take it".to_owned());
            }
            (State::Conflict, _) => step(None, "held", "until a person releases or discards it".to_owned()),
        }
        match (self.has_body, self.erased_at) {
            (_, Some(at)) => {
                let reason = self
                    .erased_reason
                    .as_ref()
                    .map(|reason| format!("; it had to be kept, and was erased because: {reason}"));
                let reason = reason.unwrap_or_default();
                step(Some(at), "erased", format!("its body is gone, and it cannot be sent again{reason}"));
            }
            (false, None) => step(None, "body removed", "it cannot be sent again".to_owned()),
            (true, None) => {}
        }
        if let Some(expires_at) = self.expires_at {
            step(Some(expires_at), "expires", "DynamoDB deletes it after that".to_owned());
        }
        steps
    }
}

fn explained(decision: &Decision) -> String {
    let mut text = decision.name().to_owned();
    match &decision.verdict {
        Verdict::Approve => {}
        Verdict::Reject { reason, .. } => text = format!("{text} ({reason})"),
        Verdict::RequestInformation { required_fields } => {
            text = format!("{text} ({})", required_fields.join(", "));
        }
    }
    if !decision.policies.is_empty() {
        text = format!("{text} by {}", decision.policies.join(", "));
    }
    if let Some(hash) = &decision.policy_hash {
        text = format!("{text} of policy {}", hash.get(..12).unwrap_or(hash));
    }
    if let Some(micros) = decision.micros {
        text = format!("{text} in {micros} \u{b5}s");
    }
    text
}
