//! Which webhooks of Grid need a decision. The reply 200 approves a payment that waits. So every incoming payment is
//! decided, under whatever `type` it comes, unless it is certainly informational or certainly came over a bank rail.

use decisions::{
    Asking, Asks, Content, Direction, Layout, Policy, Value, direction, folded, is_informational, is_pending,
    may_credit, members, says, transactions,
};
use ingest::{Decision, Object, Totals, Verdict};

use crate::kinds::{Kind, PAYMENT_RAIL_VALUES};

/// Where a body has the fields of a payment.
pub(crate) const LAYOUT: Layout = Layout {
    transaction: "data",
    sender: Some("source"),
    receiver: Some("destination"),
    user_id: "customerId",
    platform_user_id: "platformCustomerId",
    requested: "requestedReceiverCustomerInfoFields",
    requested_in_transaction: true,
};

/// What the `type` of an incoming payment begins with.
const INCOMING_PAYMENT: &str = "INCOMING_PAYMENT";

/// Whether a body asks for a decision. A payment that waits is recognised by its transaction, whatever the `type`; a
/// `type` that is about incoming payments is decided too. Nothing is decided about a transaction that is certainly
/// informational or certainly came over a bank rail.
pub(crate) fn asks(body: &Object<'_>) -> Asks {
    if (is_informational(body, &LAYOUT) && !is_contradicted(body)) || is_bank_rail(body) {
        return Asks::Nothing;
    }
    if members(body, "type").any(|(_, value)| says(value, INCOMING_PAYMENT)) {
        return Asks::Approval;
    }
    let known = body.text("type").as_deref().and_then(Kind::of).is_some();
    match direction(body, &LAYOUT) {
        Direction::Incoming => Asks::Approval,
        // Resources of the known kinds have a `type` of their own, or none.
        Direction::Unclear | Direction::Unsaid | Direction::Other if known => Asks::Nothing,
        Direction::Unclear => Asks::Unclear,
        Direction::Unsaid if may_credit(body, &LAYOUT) => Asks::Unclear,
        Direction::Unsaid if transactions(body, &LAYOUT).any(|data| is_pending(&data)) && pays(body) => {
            Asks::Unclear
        }
        // Something else than an object may hold a payment.
        Direction::Unsaid
            if members(body, LAYOUT.transaction).count() > transactions(body, &LAYOUT).count() =>
        {
            Asks::Unclear
        }
        Direction::Unsaid | Direction::Other => Asks::Nothing,
    }
}

/// Decides about a webhook, in the vocabulary of Grid's API.
pub(crate) fn decide(policy: Option<&Policy>, asking: &Asking, totals: Option<&Totals>) -> Decision {
    let mut decision = decisions::decide(policy, asking, totals);
    if let Verdict::RequestInformation { required_fields } = &mut decision.verdict {
        for field in required_fields {
            if let Some((_, name)) = RENAMED.iter().find(|(former, _)| former == field) {
                *field = (*name).to_owned();
            }
        }
    }
    decision
}

/// Names of facts that a policy may use, and that have another name in Grid's API.
const RENAMED: [(&str, &str); 3] = [
    ("ADDRESS", "POSTAL_ADDRESS"),
    ("DATE_OF_BIRTH", "BIRTH_DATE"),
    ("ACCOUNT_NUMBER", "ACCOUNT_IDENTIFIER"),
];

/// Whether the `type` and the status contradict each other: the `type` says, or may say, that the payment waits, and the
/// status is one that a payment has while it goes on. (Of the documented types about incoming payments only
/// `INCOMING_PAYMENT.PENDING` asks for a decision.)
fn is_contradicted(body: &Object<'_>) -> bool {
    const WAITS: &str = "INCOMING_PAYMENT.PENDING";
    const EARLY: [&str; 2] = ["CREATED", "PROCESSING"];
    let waits = members(body, "type").any(|(_, value)| {
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        says(value, INCOMING_PAYMENT) && text.is_some_and(|text| text == WAITS || Kind::of(&text).is_none())
    });
    waits
        && transactions(body, &LAYOUT).any(|data| {
            members(&data, "status").any(|(_, value)| EARLY.iter().any(|status| says(value, status)))
        })
}

/// Whether a payment certainly came over a bank rail: its source names a documented one, no UMA address occurs anywhere,
/// and nothing is asked about the receiver. Such a payment has moved already, and no reply stops it.
fn is_bank_rail(body: &Object<'_>) -> bool {
    let source = body.object(LAYOUT.transaction).and_then(|data| data.object("source"));
    let rail = source.and_then(|source| source.text("paymentRail"));
    rail.is_some_and(|rail| PAYMENT_RAIL_VALUES.contains(&rail.as_str()))
        && members(body, LAYOUT.transaction).count() == 1
        // A body that is unsafe to read is not certain.
        && Value::read(body, &LAYOUT)
            .is_ok_and(|value| !mentions_uma_address(&value) && !asks_about_the_receiver(&value))
}

/// Whether a field asks for facts about the receiver, which only an approval brings.
fn asks_about_the_receiver(value: &Value<'_>) -> bool {
    match &value.content {
        Content::Object(fields) => fields.iter().any(|(name, value)| {
            (folded(name).starts_with("requestedreceiver") && !value.is_null())
                || asks_about_the_receiver(value)
        }),
        Content::List(entries) => entries.iter().any(asks_about_the_receiver),
        Content::Scalar => false,
    }
}

/// Whether a UMA address occurs in a value: a field about one, or a text or a name that can be one (any with an `@`).
fn mentions_uma_address(value: &Value<'_>) -> bool {
    match &value.content {
        Content::Object(fields) => fields.iter().any(|(name, value)| {
            (folded(name).contains("umaaddress") && !value.is_null())
                || name.contains(AT)
                || mentions_uma_address(value)
        }),
        Content::List(entries) => entries.iter().any(mentions_uma_address),
        Content::Scalar if value.json.starts_with('"') => {
            // A text that cannot be read may be one.
            let Ok(text) = serde_json::from_str::<String>(value.json) else { return true };
            let folded = folded(&text);
            text.contains(AT) || folded.contains("umaaddress") || folded == "uma"
        }
        Content::Scalar => false,
    }
}

/// `@`, also as wide characters write it.
const AT: [char; 3] = ['@', '\u{ff20}', '\u{fe6b}'];

/// Whether a body without a direction has what only a payment has.
fn pays(body: &Object<'_>) -> bool {
    let names = ["receivedamount", "senderumaaddress", "receiverumaaddress", "counterpartyinformation"];
    transactions(body, &LAYOUT).any(|data| names.iter().any(|name| members(&data, name).next().is_some()))
        || Value::read(body, &LAYOUT)
            .is_ok_and(|value| mentions_uma_address(&value) || asks_about_the_receiver(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    fn asks(body: &str) -> Asks {
        super::asks(&Object::parse(body.as_bytes()).unwrap())
    }

    /// A field of a body or of its transaction. `None` when there is no value.
    fn member(name: &str, value: Option<&str>) -> Option<String> {
        value.map(|value| format!("\"{name}\":{value}"))
    }

    const WAITING: [Option<&str>; 10] = [
        Some("\"PENDING\""),
        Some("\"pending\""),
        Some("\"completed\""),
        Some("\"COMPLETED \""),
        Some("\"PENDING_AUTHORIZATION\""),
        Some("\"ON_HOLD\""),
        Some("\"\""),
        Some("7"),
        Some("null"),
        None,
    ];

    /// Compares every combination of type, transaction's type, status and source with the rules, written again.
    #[test]
    fn every_combination_follows_the_rules() {
        let incoming_types =
            ["incoming_payment.pending", " INCOMING_PAYMENT ", "INCOMING_PAYMENT.HELD", "X_INCOMING_PAYMENT"];
        let other_types = ["PAYMENT.PENDING", "LOAN.PAID", "x"];
        let known = KINDS.iter().map(|kind| kind.wire);
        let types: Vec<&str> = known.chain(incoming_types).chain(other_types).collect();
        let directions = [
            "\"INCOMING\"",
            "\"incoming\"",
            "\" INCOMING \"",
            "5",
            "[\"INCOMING\"]",
            "\"OUTGOING\"",
            "\"PAYMENT\"",
        ];
        let credits = [None, Some("\"CREDIT\""), Some("\"DEBIT\"")];
        let directions: Vec<_> = directions.into_iter().map(Some).chain([None]).collect();
        let informational = Asks::INFORMATIONAL.map(|status| format!("\"{status}\""));
        let statuses = informational.iter().map(|status| Some(status.as_str())).chain(WAITING);
        let statuses: Vec<_> = statuses.collect();
        let sources = [
            (None, false),
            (Some(r#"{"sourceType":"REALTIME_FUNDING","paymentRail":"SWIFT"}"#), true),
            (Some(r#"{"sourceType":"REALTIME_FUNDING","currency":"USDC"}"#), false),
            (Some(r#"{"paymentRail":"SWIFT","umaAddress":"$a@b.example"}"#), false),
            (Some(r#"{"paymentRail":""}"#), false),
        ];
        let mut seen = [0; 3];
        for wire in &types {
            for direction in &directions {
                for status in &statuses {
                    for ((source, rail), credit) in
                        sources.iter().flat_map(|it| credits.map(|credit| (*it, credit)))
                    {
                        let inner = [
                            member("type", *direction),
                            member("direction", credit),
                            member("status", *status),
                            member("source", source),
                            member("receivedAmount", Some("{}")),
                        ];
                        let inner = inner.into_iter().flatten().collect::<Vec<_>>().join(",");
                        let body = format!(r#"{{"type":"{wire}","data":{{{inner}}}}}"#);
                        let informs =
                            status.is_some_and(|status| informational.iter().any(|it| it == status));
                        let incoming = direction.is_some_and(|it| {
                            it.to_uppercase().contains("\"INCOMING\"") || it.contains(" INCOMING ")
                        }) && !direction.unwrap().starts_with('[');
                        let unreadable = direction.is_some_and(|it| it.starts_with(['5', '[']));
                        let unsaid = direction.is_none_or(|it| it == "\"PAYMENT\"");
                        let pending = status.is_some_and(|status| status.to_uppercase().contains("PENDING"));
                        let may_wait = wire.to_uppercase().contains("INCOMING_PAYMENT")
                            && (*wire == "INCOMING_PAYMENT.PENDING"
                                || KINDS.iter().all(|kind| kind.wire != *wire));
                        let early = status.is_some_and(|it| ["\"CREATED\"", "\"PROCESSING\""].contains(&it));
                        let informs = informs && !(may_wait && early);
                        let expected = if informs || rail {
                            Asks::Nothing
                        } else if wire.to_uppercase().contains("INCOMING_PAYMENT") || incoming {
                            Asks::Approval
                        } else if KINDS.iter().any(|kind| kind.wire == *wire) {
                            Asks::Nothing
                        } else if unreadable || (unsaid && (pending || credit == Some("\"CREDIT\""))) {
                            Asks::Unclear
                        } else {
                            Asks::Nothing
                        };
                        assert_eq!(asks(&body), expected, "{body}");
                        seen[expected as usize] += 1;
                    }
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 100), "every answer occurs: {seen:?}");
    }

    #[test]
    fn no_spelling_makes_a_payment_that_waits_informational() {
        let rail = r#""source":{"paymentRail":"SWIFT"}"#;
        for (body, expected) in [
            (r#"{"type":"TEST","data":{}}"#.to_owned(), Asks::Nothing),
            (r#"{"type":"INCOMING_PAYMENT.PENDING"}"#.to_owned(), Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT.PENDING","data":null}"#.to_owned(), Asks::Approval),
            (r#"{"type":"TEST","type":"INCOMING_PAYMENT.PENDING"}"#.to_owned(), Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT.PENDING","type":"TEST"}"#.to_owned(), Asks::Approval),
            (r#"{"type":"TEST","data":{"type":"OUTGOING","type":"INCOMING"}}"#.to_owned(), Asks::Approval),
            (r#"{"type":"TEST","Data":{"TYPE":"INCOMING"}}"#.to_owned(), Asks::Approval),
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"status":"PENDING","status":"COMPLETED"}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"status":"PENDING"},"data":{"status":"COMPLETED"}}"#
                    .to_owned(),
                Asks::Approval,
            ),
            (r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"Status":"COMPLETED"}}"#.to_owned(), Asks::Approval),
            (r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"st\u0061tus":"COMPLETED"}}"#.to_owned(), Asks::Nothing),
            // bank rails
            (format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail}}}}}"#), Asks::Nothing),
            (format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},{rail}}}}}"#), Asks::Approval),
            (format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail}}},"Data":{{}}}}"#), Asks::Approval),
            (format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","Data":{{{rail}}}}}"#), Asks::Approval),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","x":["$a@b.example"],"data":{{{rail}}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"receiver_uma_address":1}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"destination":{{"destinationType":"UMA_ADDRESS"}}}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"memo":"\ud800"}}}}"#),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"source":{"paymentRail":7}}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"source":{"paymentRail":"UMA"}}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"destination":{{"destinationType":"UMA-Address"}}}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"destination":"bob@vasp.example"}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"x":{{"a@b.example":1}}}}}}"#),
                Asks::Approval,
            ),
            (
                format!(r#"{{"type":"INCOMING_PAYMENT.PENDING","data":{{{rail},"requested_receiver_customer_info_fields":[]}}}}"#),
                Asks::Approval,
            ),
            // a type that waits, or may wait, and an early status
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"type":"INCOMING","status":"PROCESSING"}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.HELD","data":{"type":"INCOMING","status":"CREATED"}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.PROCESSING","data":{"type":"INCOMING","status":"PROCESSING"}}"#.to_owned(),
                Asks::Nothing,
            ),
            // a null in the place of what was said
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"status":"COMPLETED","status":null}}"#.to_owned(),
                Asks::Approval,
            ),
            (
                r#"{"type":"INCOMING_PAYMENT.PENDING","data":{"status":"COMPLETED"},"data":null}"#.to_owned(),
                Asks::Approval,
            ),
            // unknown types
            (
                r#"{"type":"PAYMENT.PENDING","data":{"status":"PENDING","source":{"umaAddress":"$a@b.example"}}}"#.to_owned(),
                Asks::Unclear,
            ),
            (
                r#"{"type":"PAYMENT.PENDING","data":{"status":"PENDING","requestedReceiverCustomerInfoFields":[]}}"#.to_owned(),
                Asks::Unclear,
            ),
            (r#"{"type":"PAYMENT.PENDING","data":[{"type":"INCOMING","status":"PENDING"}]}"#.to_owned(), Asks::Unclear),
            // an incoming payment in other words
            (r#"{"type":"PAYMENT.NEW","data":{"type":"PAYMENT","direction":"CREDIT"}}"#.to_owned(), Asks::Unclear),
            (r#"{"type":"PAYMENT.NEW","data":{"type":"PAYMENT","direction":"INBOUND"}}"#.to_owned(), Asks::Unclear),
            (r#"{"type":"PAYMENT.NEW","data":{"Direction":["CREDIT"]}}"#.to_owned(), Asks::Unclear),
            (r#"{"type":"PAYMENT.NEW","data":{"direction":"DEBIT","direction":"CREDIT"}}"#.to_owned(), Asks::Unclear),
            (r#"{"type":"PAYMENT.NEW","data":{"type":"OUTGOING","type":"PAYMENT","direction":"CREDIT"}}"#.to_owned(), Asks::Unclear),
            (
                r#"{"type":"PAYMENT.NEW","data":{"type":"PAYMENT","direction":"CREDIT","status":"COMPLETED"}}"#.to_owned(),
                Asks::Nothing,
            ),
            (r#"{"type":"PAYMENT.NEW","data":{"type":"CARD","direction":"CREDIT"}}"#.to_owned(), Asks::Nothing),
            (r#"{"type":"PAYMENT.NEW","data":{"type":"PAYMENT","direction":"DEBIT"}}"#.to_owned(), Asks::Nothing),
            (r#"{"type":"LOAN.NEW","data":{"type":"LOAN","status":"OPEN"}}"#.to_owned(), Asks::Nothing),
            (r#"{"type":"CARD_TRANSACTION.REFUNDED","data":{"direction":"CREDIT"}}"#.to_owned(), Asks::Nothing),
        ] {
            assert_eq!(asks(&body), expected, "{body}");
        }
    }
}
