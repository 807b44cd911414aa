//! `events/envelope.schema.json` accepts every form of a message, and nothing else.

use serde_json::{Value, json};
use tests::valid_envelope;

/// A message with every field.
fn message() -> Value {
    json!({
        "specversion": "1.0", "id": "Webhook:1", "source": "/umaaas/incoming-payment",
        "type": "umaaas.incoming_payment", "subject": "Transaction:1", "time": "2026-11-02T09:25:10Z",
        "datacontenttype": "application/json", "receivedat": "2026-11-02T09:25:10.712Z",
        "publishedat": "2026-11-02T09:25:10Z", "deliveryid": "d-1", "path": "/umaaas", "callref": "order-7",
        "conflictof": "Webhook:0", "reply": 403, "replyconfirmed": true, "decision": "reject",
        "decisionreason": "restricted_jurisdiction", "decisionpolicies": "restricted-jurisdiction",
        "policyhash": "0f".repeat(32), "decisionmicros": 312, "drift": "status should be one of the documented values",
        "data": {"webhookId": "Webhook:1"}
    })
}

/// The message with changed fields; `null` removes a field.
fn with(changes: Value) -> String {
    let mut message = message();
    for (name, value) in changes.as_object().unwrap() {
        let fields = message.as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(name)
        } else {
            fields.insert(name.clone(), value.clone())
        };
    }
    message.to_string()
}

#[test]
fn every_form_of_a_message_is_valid() {
    let information = json!({
        "decision": "request_information", "decisionreason": null, "requiredfields": "FULL_NAME,TAX_ID",
    });
    for changes in [
        json!({}),
        information,
        json!({"decision": "approve", "decisionreason": null}),
        json!({"decision": null, "decisionreason": null, "decisionpolicies": null, "policyhash": null,
               "decisionmicros": null, "subject": null, "time": null, "callref": null, "drift": null,
               "publishedat": null, "conflictof": null}),
        json!({"data": null, "data_base64": "e30="}),
        json!({"data": null, "data_base64": "H4sIAAAAAAAA", "dataencoding": "gzip"}),
        json!({"anewfield": {"of": "a later version"}}),
    ] {
        assert_eq!(valid_envelope(&with(changes.clone())), Ok(()), "{changes}");
    }
    // the schema does not restrict the content of the provider's body
    for body in
        [format!("{{\"a\":{}{}}}", "[".repeat(9000), "]".repeat(9000)), r#"{"a":"\ud800","n":1e999}"#.into()]
    {
        let message = with(json!({"data": null})).replacen('}', &format!(",\"data\":{body}}}"), 1);
        assert_eq!(valid_envelope(&message), Ok(()), "{body:.30}");
    }
}

#[test]
fn every_other_form_is_invalid() {
    for name in [
        "specversion",
        "id",
        "source",
        "type",
        "datacontenttype",
        "receivedat",
        "deliveryid",
        "path",
        "reply",
        "replyconfirmed",
        "data",
    ] {
        assert!(valid_envelope(&with(json!({name: null}))).is_err(), "without {name}");
    }
    for changes in [
        json!({"specversion": "0.3"}),
        json!({"specversion": 1.0}),
        json!({"id": ""}),
        json!({"id": 7}),
        json!({"id": "x".repeat(530)}),
        json!({"source": "umaaas"}),
        json!({"type": "umaaas"}),
        json!({"type": "Umaaas.Test"}),
        json!({"subject": ""}),
        json!({"time": "yesterday"}),
        json!({"time": "-001199-01-02T00:00:00Z"}),
        json!({"time": 1_793_610_901}),
        json!({"receivedat": "2026-11-02"}),
        json!({"datacontenttype": "text/plain"}),
        json!({"path": "umaaas"}),
        json!({"callref": ["order-7"]}),
        json!({"publishedat": "1793612075500"}),
        json!({"conflictof": ""}),
        json!({"reply": "403"}),
        json!({"reply": 99}),
        json!({"replyconfirmed": "true"}),
        json!({"decision": 1}),
        json!({"decision": "maybe"}),
        json!({"decision": "approve"}),
        json!({"decision": null}),
        json!({"decision": "reject", "decisionreason": null}),
        json!({"decision": "request_information", "decisionreason": null}),
        json!({"decisionreason": "not a code"}),
        json!({"requiredfields": ["FULL_NAME"]}),
        json!({"requiredfields": "FULL_NAME"}),
        json!({"decisionpolicies": ""}),
        json!({"policyhash": "0f"}),
        json!({"decisionmicros": -1}),
        json!({"decisionmicros": "312"}),
        json!({"drift": ""}),
        json!({"drift": ["status"]}),
        json!({"data": "text"}),
        json!({"data": []}),
        json!({"data_base64": "e30="}),
        json!({"data": null, "data_base64": "e30"}),
        json!({"data": null, "data_base64": "%%%="}),
        json!({"data": null, "data_base64": ""}),
        json!({"data": null, "data_base64": "e30=", "dataencoding": "br"}),
        json!({"dataencoding": "gzip"}),
        json!({"Upper_Case": 1}),
    ] {
        assert!(valid_envelope(&with(changes.clone())).is_err(), "{changes}");
    }
    for no_envelope in ["", "[]", "null", "{}", "{", "\"text\""] {
        assert!(valid_envelope(no_envelope).is_err(), "{no_envelope}");
    }
}
