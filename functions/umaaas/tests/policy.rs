//! Tests the reply that a policy gives to a payment: signed requests through the whole path, on the in-memory
//! ports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use aws::Environment;
use http::{HeaderMap, Method};
use ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use ingest::{Arrival, Breakers, Decision, Provider, Receiver, Request, Switch};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use verify::{Delivery, Keys, Secrets};
use webhook_umaaas::{Policy, SIGNATURE, Umaaas};

const PENDING: &str = include_str!("../../../events/umaaas/incoming_payment.json");
const SAMPLE: &str = include_str!("../../../shared/decisions/policies/sample.cedar");
const PERMIT: &str = "permit (principal, action, resource);";

type UmaaasReceiver = Receiver<Umaaas, Arc<Keys>, MemoryStore, MemorySink, MemoryDirectory, MemoryControl>;

fn receiver(policy: &str) -> UmaaasReceiver {
    Receiver {
        provider: umaaas(policy),
        secrets: Arc::new(Secrets::parse_list("key").unwrap().into()),
        store: MemoryStore::new(SignedDuration::from_hours(24)),
        sink: MemorySink::default(),
        directory: MemoryDirectory::default(),
        clock: Timestamp::now,
        switch: Switch::new(MemoryControl::default()),
        breakers: Breakers::default(),
    }
}

fn umaaas(policy: &str) -> Umaaas {
    let policy = Policy::parse("test.cedar", policy).unwrap_or_else(|error| panic!("{error}"));
    Umaaas::new(None, Some(policy))
}

async fn send(receiver: &UmaaasReceiver, body: &str) -> (u16, Value) {
    let secrets = Secrets::parse_list("key").unwrap();
    let body = body.as_bytes().to_vec();
    let signature = secrets.newest().sign(&SIGNATURE, &Delivery::new("/", body.clone())).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE.header, signature.parse().unwrap());
    let request = Request {
        method: Method::POST,
        path: "/umaaas".into(),
        headers,
        body: Some(body.into()),
        ..Request::default()
    };
    let delivery = Timestamp::now().as_nanosecond().to_string();
    let (reply, received) = receiver.receive(request, delivery).await;
    receiver.finish(received, true).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null))
}

/// The reply to a payment: the status, and the rejection reason or the required fields.
fn answer(policy: &str, body: &str) -> (u16, String) {
    let (status, reply) = runtime().block_on(send(&receiver(policy), body));
    let said = match status {
        403 => reply["details"]["reason"].as_str().unwrap().to_owned(),
        422 => {
            assert_eq!(reply["requiredFields"], reply["details"]["requiredFields"]);
            let fields = reply["requiredFields"].as_array().unwrap().iter();
            fields.map(|field| field.as_str().unwrap()).collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    };
    (status, said)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// The sample body with other counterparty information.
fn informed(information: &str) -> String {
    let start = PENDING.find("{\n      \"fullName\"").unwrap();
    let end = start + PENDING[start..].find('}').unwrap() + 1;
    format!("{}{information}{}", &PENDING[..start], &PENDING[end..])
}

/// The sample body with all information that the sample policy requires, and with other information.
fn informed_fully(information: &str) -> String {
    let rest = information.strip_prefix('{').unwrap();
    informed(&format!(r#"{{"FULL_NAME":"Ada","BIRTH_DATE":"1985-06-15",{rest}"#))
}

fn with(from: &str, to: &str) -> String {
    assert!(PENDING.contains(from), "{from}");
    PENDING.replace(from, to)
}

/// A `forbid` rule with annotations.
fn forbid(annotations: &str, condition: &str) -> String {
    format!("{annotations} forbid (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn annotations_decide_the_reply() {
    let tax = forbid(r#"@requires("TAX_ID")"#, "!(principal has taxId)");
    let born = forbid(r#"@requires("DATE_OF_BIRTH")"#, "principal has dateOfBirth");
    let both = forbid(r#"@requires("FULL_NAME, REGISTRATION_NUMBER")"#, "true");
    let large = forbid(r#"@id("large") @reason("too_large") @message("…")"#, "context.amount > 1000");
    let plain = forbid("", "context.amount > 1000");
    let never = forbid(r#"@reason("never")"#, "context.amount > 1000000");
    // Cedar itself would allow this payment, because Cedar ignores a rule that fails.
    let fails = forbid("", "context.amount * 9223372036854775807 > 0");
    let maybe = "permit (principal, action, resource) when { context.amount < 1000 };";
    for (policy, expected) in [
        (vec![PERMIT], (200, "")),
        (vec![PERMIT, &never], (200, "")),
        (vec![&large], (403, "too_large")),
        (vec![PERMIT, &large], (403, "too_large")),
        (vec![PERMIT, &plain], (403, "forbidden")),
        (vec![PERMIT, &plain, &large], (403, "forbidden")),
        (vec![PERMIT, &large, &plain], (403, "too_large")),
        (vec![PERMIT, &tax], (422, "TAX_ID")),
        (vec![&tax], (422, "TAX_ID")),
        // Each missing field is asked for once. A present field is asked for only if no field of the rule is
        // missing.
        (vec![PERMIT, &both], (422, "REGISTRATION_NUMBER")),
        (vec![PERMIT, &both, &tax, &both], (422, "REGISTRATION_NUMBER,TAX_ID")),
        (vec![PERMIT, &born], (422, "DATE_OF_BIRTH")),
        // A rejection outweighs a request for information.
        (vec![PERMIT, &tax, &large], (403, "too_large")),
        (vec![maybe], (403, "not_permitted")),
        (vec![&never], (403, "not_permitted")),
        (vec![maybe, &tax], (422, "TAX_ID")),
        (vec![PERMIT, &fails], (403, "policy_error")),
        (vec![PERMIT, &fails, &large], (403, "policy_error")),
        (vec![PERMIT, &fails, &tax], (403, "policy_error")),
    ] {
        let policy = policy.join("\n");
        assert_eq!(answer(&policy, PENDING), (expected.0, expected.1.to_owned()), "{policy}");
    }
}

#[tokio::test]
async fn the_bodies_of_a_rejection_and_a_request_for_information() {
    let rejecting = forbid(r#"@reason("closed") @message("We are closed.")"#, "true");
    let (_, body) = send(&receiver(&rejecting), PENDING).await;
    let expected = json!({
        "code": "payment_rejected",
        "message": "The payment is rejected.",
        "details": {"reason": "closed", "rejectionReason": "We are closed."},
        "reason": "closed",
    });
    assert_eq!(body, expected);

    let asking = forbid(r#"@requires("TAX_ID,EMAIL")"#, "true");
    let (_, body) = send(&receiver(&asking), PENDING).await;
    let expected = json!({
        "code": "additional_info_required",
        "message": "More information about the counterparty is required.",
        "details": {"requiredFields": ["TAX_ID", "EMAIL"]},
        "requiredFields": ["TAX_ID", "EMAIL"],
    });
    assert_eq!(body, expected);
}

#[test]
fn the_first_rejecting_rule_in_the_file_gives_the_reason() {
    for first in [0, 1, 9, 10, 11, 19] {
        let rules = (0..20).map(|n| forbid(&format!("@reason(\"r{n}\")"), &format!("{n} >= {first}")));
        let policy: Vec<String> = rules.collect();
        // Add a value of the payment to `19 >= 19`. Otherwise the validator sees a constant.
        let policy = policy.join("\n").replace(">=", "+ context.amount - 50000 >=");
        assert_eq!(answer(&policy, PENDING), (403, format!("r{first}")));
    }
}

#[test]
fn the_sample_asks_rejects_and_approves() {
    for (body, expected) in [
        (PENDING.to_owned(), (200, "")),
        (informed(r#"{"FULL_NAME":"A","BIRTH_DATE":"1985-06-15","NATIONALITY":"US"}"#), (200, "")),
        (informed("{}"), (422, "FULL_NAME,DATE_OF_BIRTH")),
        (informed("null"), (422, "FULL_NAME,DATE_OF_BIRTH")),
        (with("counterpartyInformation", "other"), (422, "FULL_NAME,DATE_OF_BIRTH")),
        (informed(r#"{"fullName":"A"}"#), (422, "DATE_OF_BIRTH")),
        (informed(r#"{"country":"kp"}"#), (403, "restricted_jurisdiction")),
    ] {
        assert_eq!(answer(SAMPLE, &body), (expected.0, expected.1.to_owned()), "{body}");
    }
}

#[test]
fn no_spelling_of_a_country_bypasses_a_rule_about_jurisdictions() {
    for information in [
        r#"{"country":"IR"}"#,
        r#"{"COUNTRY":"ir"}"#,
        r#"{"nationality":" Ir "}"#,
        r#"{"NATIONALITY":"IR"}"#,
        r#"{"Nationality":"IR"}"#,
        r#"{"countryOfResidence":"IR"}"#,
        r#"{"COUNTRY_OF_RESIDENCE":"IR"}"#,
        r#"{"country of residence":"IR"}"#,
        r#"{"ULTIMATE_INSTITUTION_COUNTRY":"IR"}"#,
        r#"{"country":"DE","nationality":"IR"}"#,
        r#"{"nationality":"DE","country":"DE","COUNTRY_OF_RESIDENCE":"IR"}"#,
        r#"{"address":{"line1":"1 High Street","country":"IR"}}"#,
        r#"{"POSTAL_ADDRESS":{"COUNTRY":"ir"}}"#,
        r#"{"nationalit\u0079":"\u0049R"}"#,
        // all other fields about a country, at any depth
        r#"{"FI_ADDRESS":{"country":"IR"}}"#,
        r#"{"fiAddress":{"line1":"1 High Street","countryCode":"ir"}}"#,
        r#"{"countryCode":"IR"}"#,
        r#"{"COUNTRY_CODE":"ir"}"#,
        r#"{"address":{"line1":"1 High Street","country":"DE","countryCode":"IR"}}"#,
        r#"{"citizenships":["US","IR"]}"#,
        r#"{"passport":{"issuingCountry":"IR"}}"#,
        r#"{"documents":[{"type":"ID"},{"type":"passport","issued":{"country_of_issue":"IR"}}]}"#,
        r#"{"taxResidency":"IR"}"#,
        r#"{"placeOfResidence":{"code":"IR"}}"#,
        r#"{"jurisdiction":"IR"}"#,
    ] {
        let expected = (403, "restricted_jurisdiction".to_owned());
        assert_eq!(answer(SAMPLE, &informed(information)), expected, "{information}");
    }
    for information in [
        r#"{"country":"Iran"}"#,
        r#"{"country":"IRN"}"#,
        r#"{"country":"I"}"#,
        r#"{"country":"364"}"#,
        r#"{"country":364}"#,
        r#"{"country":["IR"]}"#,
        r#"{"country":"ＩＲ"}"#,
        r#"{"country":"IR,DE"}"#,
        r#"{"country":"DE","COUNTRY":"IR"}"#,
        r#"{"address":{"country":"Iran"}}"#,
        r#"{"address":{"country":{"code":"IR"}}}"#,
        r#"{"country":{"code":"IR"}}"#,
        // duplicate names, also in a nested object
        r#"{"country":"DE","country":"IR"}"#,
        r#"{"country":"DE","c\u006funtry":"DE"}"#,
        r#"{"a":[{"b":{"c":1,"c":1}}]}"#,
        // names with invisible or look-alike letters
        "{\"c\u{200b}ountry\":\"IR\"}",
        "{\"\u{feff}country\":\"IR\"}",
        "{\"соuntry\":\"IR\"}",
        "{\"passport\":{\"nationаlity\":\"IR\"}}",
    ] {
        assert_eq!(answer(SAMPLE, &informed(information)), (403, "undecidable".into()), "{information}");
    }
}

/// The schema does not know these names. A value that is not an alpha-2 code may be a restricted country.
#[test]
fn a_country_that_cannot_be_read_is_not_approved() {
    for information in [
        r#"{"countryCode":"IRN"}"#,
        r#"{"citizenship":"Iranian"}"#,
        r#"{"passport":{"issuingCountry":364}}"#,
        r#"{"residence":["Tehran"]}"#,
    ] {
        let expected = (403, "country_unreadable".to_owned());
        assert_eq!(answer(SAMPLE, &informed_fully(information)), expected, "{information}");
    }
    for information in [
        r#"{"phone":{"countryCallingCode":"+98"}}"#,
        r#"{"countrySubdivision":"Bavaria"}"#,
        r#"{"citizenship":"DE"}"#,
        r#"{"score":7}"#,
    ] {
        assert_eq!(answer(SAMPLE, &informed_fully(information)), (200, String::new()), "{information}");
    }
}

#[test]
fn a_policy_that_ignores_unread_countries_gets_a_warning() {
    for (policy, warnings) in [
        (PERMIT.to_owned(), 0),
        (SAMPLE.to_owned(), 0),
        (format!("{PERMIT}{}", forbid("", r#"principal.countries.contains("IR")"#)), 1),
        (
            format!(
                "{PERMIT}{}",
                forbid("", r#"principal.countries.contains("IR") || principal.countriesUnread"#)
            ),
            0,
        ),
        (
            format!(
                "{}{}{PERMIT}",
                forbid("", r#"["IR"].containsAny(principal.countries)"#),
                forbid("", "principal.countriesUnread")
            ),
            0,
        ),
    ] {
        let policy = Policy::parse("own.cedar", &policy).unwrap();
        assert_eq!(policy.warnings().len(), warnings, "{:?}", policy.warnings());
    }
}

#[test]
fn a_literal_that_no_payment_can_have_is_refused_with_the_correct_form() {
    for (condition, right) in [
        (r#"context.currency == "usd""#, r#"write "USD""#),
        (r#""usd" == context.currency"#, r#"write "USD""#),
        (r#"context.currency != " EUR""#, r#"write "EUR""#),
        (r#"["USD", "eur"].contains(context.currency)"#, r#"write "EUR""#),
        (r#"context.amount > 5 && !(context.currency == "US$")"#, "letters and digits in upper case"),
        (r#"context.currency like "us*""#, r#"write "US*""#),
        (r#"context.currency == (if context.amount > 5 then "USD" else "eur")"#, r#"write "EUR""#),
        (r#"if context.currency == "usd" then true else false"#, r#"write "USD""#),
        (r#"principal == Sender::"$Ada@example.com""#, r#"write "$ada@example.com""#),
        (r#"principal in Sender::"ada@example.com""#, r#"write "$ada@example.com""#),
        (r#"[Receiver::"$bob@EXAMPLE.org"].contains(resource)"#, r#"write "$bob@example.org""#),
        (r#"resource == Receiver::"bob""#, "with its $"),
        (r#"principal.umaAddress == "$Ada@example.com""#, r#"write "$ada@example.com""#),
        (r#"principal.domain == "Example.com""#, r#"write "example.com""#),
        (r#"resource.domain like "*.Example.com""#, r#"write "*.example.com""#),
        (r#"principal has country && principal.country == "de""#, r#"write "DE""#),
        (r#"principal has nationality && principal.nationality != "Iran""#, "two letters in upper case"),
        (r#"principal.countries.contains("ir")"#, r#"write "IR""#),
        (r#"principal.countries.containsAny(["KP", "ir"])"#, r#"write "IR""#),
        (r#"principal.countries.containsAll(["IRN"])"#, "two letters in upper case"),
        (r#"principal.countries == ["de"]"#, r#"write "DE""#),
        (r#"principal.hasTag("fullName")"#, "ask `principal has fullName`"),
        (r#"principal.hasTag("EMAIL") && principal.getTag("EMAIL") like "*x""#, "ask `principal has email`"),
        (r#"principal.hasTag("NATIONALITY")"#, "ask `principal has nationality`"),
    ] {
        for rule in
            [forbid("", condition), format!("permit (principal, action, resource) unless {{ {condition} }};")]
        {
            let error = Policy::parse("own.cedar", &rule).unwrap_err().to_string();
            assert!(error.contains("no payment has") && error.contains(right), "{rule}\n{error}\n{right}");
        }
    }
    let scope = r#"permit (principal == Sender::"$Ada@example.com", action, resource);"#;
    assert!(
        Policy::parse("own.cedar", scope).unwrap_err().to_string().contains(r#"write "$ada@example.com""#)
    );
    for condition in [
        r#"context.currency == "USD" || context.currency like "X*""#,
        r#"principal == Sender::"$ada@example.com" && resource.domain like "*.example.com""#,
        r#"principal.countries.containsAny(["KP", "IR"]) && principal.hasTag("Score")"#,
        r#"context has description && context.description == "usd""#,
        r#"principal has fullName && principal.fullName == "ada""#,
    ] {
        let policy = Policy::parse("own.cedar", &forbid("", condition));
        assert!(policy.is_ok(), "{condition}: {policy:?}");
    }
}

/// A literal that is compared with a folded attribute is folded, whatever its spelling in the rule.
#[test]
fn no_spelling_of_a_name_escapes_a_rule_about_its_folded_form() {
    let by_words = r#"principal.nameTokens.containsAll(["Petrov", "IVAN"])"#;
    let by_text = r#"principal has fullNameFolded && "Ivan  PETROV" == principal.fullNameFolded"#;
    let by_pattern = r#"principal has fullNameFolded && principal.fullNameFolded like "*Ivan Petrov*""#;
    let by_set = r#"principal has fullNameFolded && ["x", "ivan petrov"].contains(principal.fullNameFolded)"#;
    let by_if = r#"principal.nameTokens.containsAny(if context.amount > 1 then ["petrov"] else ["x"])"#;
    for condition in [by_words, by_text, by_pattern, by_set, by_if] {
        let policy = forbid(r#"@reason("listed")"#, condition) + PERMIT;
        for name in [
            "Ivan Petrov",
            "IVAN PETROV",
            " ivan \u{a0}\u{2003} petrov",
            "Iv\u{e1}n Petr\u{f6}v",
            "Ｉｖａｎ Ｐｅｔｒｏｖ",
            "Іvаn Реtrоv",
            "Iv\u{200b}an Petrov",
            "lvan Petr0v",
        ] {
            let body = informed(&json!({"FULL_NAME": name}).to_string());
            assert_eq!(answer(&policy, &body), (403, "listed".into()), "{condition} {name}");
        }
        for name in ["Ivana Petrova", "Ada", "***"] {
            let body = informed(&json!({"FULL_NAME": name}).to_string());
            assert_eq!(answer(&policy, &body), (200, String::new()), "{condition} {name}");
        }
        assert_eq!(answer(&policy, &informed("{}")), (200, String::new()), "{condition}");
    }
    let policy = forbid(r#"@reason("listed")"#, by_words) + PERMIT;
    for name in ["Petrov, Ivan", "PETROV/Ivan A.", "Ivan\u{200b}Petrov", "Ivan Sergeyevich Petrov"] {
        let body = informed(&json!({"fullName": name}).to_string());
        assert_eq!(answer(&policy, &body), (403, "listed".into()), "{name}");
    }
}

#[test]
fn folded_attributes_can_only_be_compared_with_texts_in_the_rule() {
    for (condition, problem) in [
        (r#"principal.nameTokens.contains("ivan petrov")"#, "write its words"),
        (r#"principal.nameTokens.containsAll(["--"])"#, "it has no letter and no digit"),
        (
            r#"principal has fullNameFolded && principal.fullNameFolded == """#,
            "it has no letter and no digit",
        ),
        (
            r#"principal has fullNameFolded && principal.fullNameFolded == principal.umaAddress"#,
            "that stand in the rule",
        ),
        (r#"principal.countries == principal.nameTokens"#, "that stand in the rule"),
        (
            r#"principal has fullNameFolded && {"a": principal.fullNameFolded} == {"a": "x"}"#,
            "can only be compared",
        ),
        (
            r#"principal has taxIdFolded && (if context.amount > 1 then principal.taxIdFolded else "x") == "x""#,
            "can only be compared",
        ),
        (
            r#"principal has fullNameFolded && principal.fullNameFolded like "O'*""#,
            "letters a to z and digits",
        ),
        (r#"principal has taxIdFolded && principal.taxIdFolded like "de 1*""#, "letters a to z and digits"),
        (r#"context has utc && context.utc.weekday == "Monday""#, "write \"monday\""),
        (r#"context has utc && ["mon"].contains(context.utc.weekday)"#, "a day in lower case"),
        (r#"context has local && context.local.hour > 3"#, "names no time zone"),
    ] {
        let error = Policy::parse("own.cedar", &forbid("", condition)).unwrap_err().to_string();
        assert!(error.contains(problem), "{condition}\n{error}");
    }
    for condition in [
        r#"principal.nameTokens.isEmpty()"#,
        r#"principal has taxIdFolded && principal.taxIdFolded like "de123*""#,
        r#"principal has addressFolded && principal has fiAddressFolded && principal.addressFolded == principal.fiAddressFolded"#,
        r#"principal.nameTokens.containsAny(principal.addressTokens)"#,
    ] {
        let policy = Policy::parse("own.cedar", &forbid("", condition));
        assert!(policy.is_ok(), "{condition}: {policy:?}");
    }
}

/// What cannot be computed matters only to a policy that reads it.
#[test]
fn what_a_policy_needs_and_cannot_be_computed_is_undecidable() {
    let by_name = forbid("", r#"principal.nameTokens.contains("ivan")"#) + PERMIT;
    let by_rate = forbid("", "context has rate && context.rate > 5000000000") + PERMIT;
    let long = informed(&json!({"FULL_NAME": "Ivan ".repeat(70_000)}).to_string());
    let rated =
        |rate: &str| with("\"receivedAmount\"", &format!("\"exchangeRate\": {rate}, \"receivedAmount\""));
    for (policy, body, expected) in [
        (PERMIT, long.clone(), (200, "")),
        (&by_rate, long.clone(), (200, "")),
        (&by_name, long, (403, "undecidable")),
        (PERMIT, rated("\"x\""), (200, "")),
        (&by_name, rated("-1"), (200, "")),
        (&by_rate, rated("\"x\""), (403, "undecidable")),
        (&by_rate, rated("1e30"), (403, "undecidable")),
        (&by_rate, rated("5.1"), (403, "forbidden")),
        (&by_rate, rated("0.012121"), (200, "")),
        (&by_rate, rated("null"), (200, "")),
    ] {
        assert_eq!(answer(policy, &body), (expected.0, expected.1.to_owned()), "{policy} {body:.200}");
    }
}

#[test]
fn a_date_of_birth_is_a_time_if_it_is_a_date() {
    let policy = forbid(
        r#"@reason("minor")"#,
        r#"principal has birthDate && context has time && context.time.durationSince(principal.birthDate) < duration("6575d")"#,
    ) + &forbid(r#"@requires("BIRTH_DATE")"#, "!(principal has birthDate)")
        + PERMIT;
    for (date, expected) in [
        ("1985-06-15", (200, "")),
        ("0001-01-01", (200, "")),
        ("2010-06-15", (403, "minor")),
        ("15.06.1985", (422, "BIRTH_DATE")),
        ("1985-02-30", (422, "BIRTH_DATE")),
        ("-000001-01-01", (422, "BIRTH_DATE")),
        ("soon", (422, "BIRTH_DATE")),
    ] {
        let body = informed(&json!({"BIRTH_DATE": date}).to_string());
        assert_eq!(answer(&policy, &body), (expected.0, expected.1.to_owned()), "{date}");
    }
}

/// A policy can see which facts about the receiver the provider asks for.
#[test]
fn requested_facts_are_visible_and_unreadable_ones_are_undecidable() {
    let asking = |fields: &str| {
        with("\"timestamp\"", &format!("\"requestedReceiverUserInfoFields\":{fields},\"timestamp\""))
    };
    let policy = forbid(r#"@reason("asks")"#, r#"context.requestedFields.contains("TAX_ID")"#)
        + &forbid(r#"@reason("must")"#, r#"context.mandatoryFields.contains("EMAIL")"#)
        + PERMIT;
    for (fields, expected) in [
        ("null", (200, "")),
        ("[]", (200, "")),
        (r#"[{"name":"NATIONALITY","mandatory":false}]"#, (200, "")),
        (r#"[{"name":"NATIONALITY","mandatory":true}]"#, (403, "receiver_info_unavailable")),
        (r#"[{"name":"NATIONALITY"}]"#, (403, "receiver_info_unavailable")),
        (r#"[{"name":"NATIONALITY","mandatory":"no"}]"#, (403, "receiver_info_unavailable")),
        (
            r#"[{"name":"A","mandatory":false},{"name":"A","mandatory":true}]"#,
            (403, "receiver_info_unavailable"),
        ),
        (r#"[{"name":"TAX_ID","mandatory":false}]"#, (403, "asks")),
        (r#"[{"name":"EMAIL","mandatory":true}]"#, (403, "must")),
        (r#"[{"name":"EMAIL","mandatory":false}]"#, (200, "")),
        ("{}", (403, "undecidable")),
        ("\"NATIONALITY\"", (403, "undecidable")),
        (r#"["NATIONALITY"]"#, (403, "undecidable")),
        (r#"[{"mandatory":true}]"#, (403, "undecidable")),
        (r#"[{"name":" ","mandatory":true}]"#, (403, "undecidable")),
        (r#"[{"name":7}]"#, (403, "undecidable")),
    ] {
        assert_eq!(answer(&policy, &asking(fields)), (expected.0, expected.1.to_owned()), "{fields}");
    }
}

/// A policy sees every row of the table in the README, in the form that the table says.
#[test]
fn policies_see_every_row_of_the_table_in_the_readme() {
    let facts = [
        r#"principal == Sender::"$ada@sender.example" && resource == Receiver::"$grace@receiver.example""#,
        r#"principal.umaAddress == "$ada@sender.example" && principal.domain == "sender.example""#,
        r#"principal has fullName && principal.fullName == "Ada Sender""#,
        r#"principal has dateOfBirth && principal.dateOfBirth == "1985-06-15""#,
        r#"principal has address && principal.address == "1 High Street, GB""#,
        r#"principal has taxId && principal.taxId == "T1""#,
        r#"principal has registrationNumber && principal.registrationNumber == "R1""#,
        r#"principal has accountNumber && principal.accountNumber == "A1""#,
        r#"principal has country && principal.country == "FR""#,
        r#"principal has nationality && principal.nationality == "DE""#,
        r#"principal has countryOfResidence && principal.countryOfResidence == "US""#,
        r#"principal has ultimateInstitutionCountry && principal.ultimateInstitutionCountry == "CH""#,
        r#"principal.countries == ["CH", "DE", "FR", "GB", "US"] && !principal.countriesUnread"#,
        r#"principal has email && principal.email == "ada@sender.example""#,
        r#"principal has phoneNumber && principal.phoneNumber == "+1 555""#,
        r#"principal has userType && principal.userType == "INDIVIDUAL""#,
        r#"principal has fiLegalEntityName && principal.fiLegalEntityName == "Bank""#,
        r#"principal has fiAddress && principal.fiAddress == "2 Low Street""#,
        r#"principal has purposeOfPayment && principal.purposeOfPayment == "GIFT""#,
        r#"principal has identifier && principal.identifier == "I1""#,
        r#"principal has businessType && principal.businessType == "LLC""#,
        r#"principal.hasTag("score") && principal.getTag("score") == "1.50""#,
        r#"principal.hasTag("pep") && principal.getTag("pep") == "false""#,
        r#"principal.hasTag("nested") && principal.getTag("nested") == "{\"a\": [1]}""#,
        r#"!principal.hasTag("blank") && !principal.hasTag("null") && !principal.hasTag("absent")"#,
        r#"resource.umaAddress == "$grace@receiver.example" && resource.domain == "receiver.example""#,
        r#"resource has userId && resource.userId == "User:0193a1c4-7d10-7b02-0000-000000000001""#,
        r#"resource has platformUserId && resource.platformUserId == "18d3e5f7b4a9c2""#,
        r#"context.amount == 9223372036854775807 && context.currency == "USD""#,
        r#"context has decimals && context.decimals == 2"#,
        r#"context has description && context.description == "Invoice 7""#,
        r#"principal has fullNameFolded && principal.fullNameFolded == "ada sender" && principal.nameTokens == ["sender", "ada"]"#,
        r#"principal has addressFolded && principal.addressFolded == "1 high street gb" && principal.addressTokens.contains("street")"#,
        r#"principal has fiLegalEntityNameFolded && principal.fiLegalEntityNameFolded == "BANK" && principal.fiLegalEntityNameTokens == ["bank"]"#,
        r#"principal has fiAddressFolded && principal.fiAddressFolded == "2 low street" && principal.fiAddressTokens.contains("2")"#,
        r#"principal has purposeOfPaymentFolded && principal.purposeOfPaymentFolded == "gift" && principal.purposeOfPaymentTokens == ["gift"]"#,
        r#"principal has userTypeFolded && principal.userTypeFolded == "individual" && principal has businessTypeFolded && principal.businessTypeFolded == "llc""#,
        r#"principal has taxIdFolded && principal.taxIdFolded == "t-1" && principal has registrationNumberFolded && principal.registrationNumberFolded == "r 1""#,
        r#"principal has accountNumberFolded && principal.accountNumberFolded == "a1" && principal has identifierFolded && principal.identifierFolded == "i1""#,
        r#"principal has phoneNumberFolded && principal.phoneNumberFolded == "1555" && principal has emailFolded && principal.emailFolded == "ADA@sender.example""#,
        r#"principal has birthDate && principal.birthDate == datetime("1985-06-15")"#,
        r#"context has descriptionFolded && context.descriptionFolded == "invoice 7" && context.descriptionTokens == ["7", "invoice"]"#,
        r#"context has utc && context.utc.weekday == "monday" && context.utc.hour == 9 && context.utc.minute == 25"#,
        r#"context has rate && context.rate == 1080000000 && context has quoteId && context.quoteId == "Quote:7""#,
        r#"context has time && context.time == datetime("2026-11-02T09:25:10.123Z")"#,
        r#"context.receivedAt > datetime("2026-01-01T00:00:00Z")"#,
        r#"context.requestedFields == context.mandatoryFields"#,
    ];
    let rules = facts.iter().enumerate();
    let rules = rules.map(|(n, fact)| forbid(&format!("@reason(\"fact-{n}\")"), &format!("!({fact})")));
    let policy = rules.collect::<String>() + r#"permit (principal, action == Action::"pay", resource);"#;
    let upper = r#"{"FULL_NAME":" Ada Sender\n","BIRTH_DATE":"1985-06-15","POSTAL_ADDRESS":{"line1":"1 High Street","line2":"","city":null,"country":"gb"},
        "TAX_ID":"T1","REGISTRATION_NUMBER":"R1","ACCOUNT_IDENTIFIER":"A1","COUNTRY":"fr","NATIONALITY":"de",
        "COUNTRY_OF_RESIDENCE":"us","ULTIMATE_INSTITUTION_COUNTRY":"ch",
        "EMAIL":"ada@sender.example","PHONE_NUMBER":"+1 555","USER_TYPE":"INDIVIDUAL","FI_LEGAL_ENTITY_NAME":"Bank",
        "FI_ADDRESS":"2 Low Street","PURPOSE_OF_PAYMENT":"GIFT","IDENTIFIER":"I1","BUSINESS_TYPE":"LLC",
        "score":1.50,"pep":false,"nested":{"a": [1]},"blank":" \t","null":null}"#;
    let camel = r#"{"fullName":"Ada Sender","full_name":"Ada Sender","dateOfBirth":"1985-06-15","DATE_OF_BIRTH":"1985-06-15",
        "address":"1 High Street, GB","ADDRESS":{"line1":"1 High Street","country":"GB"},
        "taxId":"T1","registrationNumber":"R1","accountNumber":"A1","ACCOUNT_NUMBER":"A1","country":"FR","nationality":"DE",
        "countryOfResidence":"US","ultimateInstitutionCountry":"CH",
        "email":"ada@sender.example","phoneNumber":"+1 555","userType":"INDIVIDUAL","fiLegalEntityName":"Bank",
        "fiAddress":{"line1":"2 Low Street"},"purposeOfPayment":"GIFT","identifier":"I1","businessType":"LLC",
        "score":1.50,"pep":false,"nested":{"a": [1]}}"#;
    for information in [upper, camel] {
        let body = informed(information)
            .replace("50000", "922337203685477580.70e1")
            .replace("\"USD\"", "\" usd\"")
            .replace("$ada@sender.example\"", " $Ada@Sender.EXAMPLE\"")
            .replace("09:25:10Z", "10:25:10.123456+01:00")
            .replace("\"platformUserId\"", "\"description\": \" Invoice 7 \", \"exchangeRate\": 1.08, \"quoteId\": \"Quote:7\", \"platformUserId\"");
        assert_eq!(answer(&policy, &body), (200, String::new()), "{body}");
    }
}

#[test]
fn optional_fields_can_be_missing_and_malformed_fields_are_undecidable() {
    let policy = forbid(
        r#"@reason("seen")"#,
        "principal has fullName || resource has userId || context has description || context has decimals",
    ) + PERMIT;
    let nothing = informed("{}")
        .replace("\"userId\"", "\"u\"")
        .replace("\"decimals\"", "\"d\"")
        .replace("\"platformUserId\"", "\"p\"");
    assert_eq!(answer(&policy, &nothing), (200, String::new()), "all of these may be missing");

    let huge = "9".repeat(400);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let levels = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(answer(PERMIT, &informed(&levels(61))), (200, String::new()), "64 levels");
    let many: Vec<String> = (0..1025).map(|n| format!("\"f{n}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    let undecidable = [
        // required fields that are missing
        with("\"receivedAmount\"", "\"r\""),
        with("\"amount\"", "\"a\""),
        with("\"currency\"", "\"c\""),
        with("\"code\"", "\"c\""),
        with("\"USD\"", "\" \""),
        with("\"senderUmaAddress\"", "\"s\""),
        with("\"receiverUmaAddress\"", "\"r\""),
        // fields with a value of the wrong type or out of range
        with("50000", &huge),
        with("50000", "9223372036854775808"),
        with("50000", "-1"),
        with("50000", "500.5"),
        with("50000", "5e-1"),
        with("50000", "1e400"),
        with("50000", "1e999999999"),
        with("50000", "\"50000\""),
        with("50000", "null"),
        with("\"decimals\": 2", "\"decimals\": 2.5"),
        with("\"decimals\": 2", &format!("\"decimals\": {huge}")),
        with("\"USD\"", "840"),
        // values that a rule would read differently from a person, and malformed texts and addresses
        with("\"USD\"", "\"US\u{200b}D\""),
        with("\"$ada@", "\"ada@"),
        with("\"$ada@", "\"$a da@"),
        with("\"$ada@", "\"$АDA@"),
        with("\"USD\"", r#""\ud800""#),
        with("\"18d3e5f7b4a9c2\"", "18"),
        with("\"platformUserId\"", "\"description\": [\"x\"], \"platformUserId\""),
        with("\"$ada@sender.example\"", "\"ada\""),
        with("\"$ada@sender.example\"", "\"$ada@\""),
        with("\"$ada@sender.example\"", "\"@sender.example\""),
        with("\"$ada@sender.example\"", "\"$ada@sender.example.\""),
        with("\"$ada@sender.example\"", "\"$ada@sender.example@other.example\""),
        with("\"$ada@sender.example\"", "\"$ada@ｓender.example\""),
        with("\"$ada@sender.example\"", "{}"),
        // duplicate names, wrong nesting, and malformed counterparty information
        with("\"PENDING\"", "\"PENDING\",\"status\":\"PENDING\""),
        with("\"USD\"", "\"USD\",\"code\":\"USD\""),
        with("\"timestamp\"", "\"x\":1,\"x\":1,\"timestamp\""),
        informed(&deep),
        informed(&levels(62)),
        informed("[]"),
        informed("\"Ada\""),
        informed("7"),
        informed(r#"{"fullName":7}"#),
        informed(r#"{"fullName":["Ada"]}"#),
        informed(r#"{"fullName":"\ud800"}"#),
        informed(r#"{"fullName":"Ada","FULL_NAME":"Bob"}"#),
        informed(r#"{"dateOfBirth":19850615}"#),
        informed(&format!("{{\"taxId\":{huge}}}")),
        informed(r#"{"accountNumber":12345}"#),
        informed(r#"{"address":7}"#),
        informed(r#"{"address":{"line1":7}}"#),
        informed(r#"{"anything":"\ud800"}"#),
        informed(&many),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"2026-11-02T09:25:10Z"}"#.to_owned(),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"2026-11-02T09:25:10Z","transaction":[]}"#
            .to_owned(),
        r#"{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":"2026-11-02T09:25:10Z","transaction":{}}"#
            .to_owned(),
    ];
    for body in undecidable {
        assert_eq!(answer(&policy, &body), (403, "undecidable".into()), "{body:.900}");
    }

    // integers in any notation, and times that cannot be parsed
    let right =
        forbid("", "context.amount != 50000 || !(context has decimals && context.decimals == 2)") + PERMIT;
    for body in [
        with("50000", "50000.0"),
        with("50000", "5e4"),
        with("50000", "5.0E+4"),
        with("\"decimals\": 2", "\"decimals\": 2.0"),
        with("2026-11-02T09:25:10Z", "yesterday"),
        with("2026-11-02T09:25:10Z", "-000001-11-02T09:25:10Z"),
    ] {
        assert_eq!(answer(&right, &body), (200, String::new()), "{body}");
    }

    let blank = [
        informed(r#"{"fullName":null}"#),
        informed(r#"{"fullName":""}"#),
        informed(r#"{"fullName":" \u00a0\u200b\u0000"}"#),
    ];
    for body in blank {
        assert_eq!(answer(SAMPLE, &body), (422, "FULL_NAME,DATE_OF_BIRTH".into()), "{body}");
    }
}

#[tokio::test]
async fn an_undecidable_payment_is_rejected_with_the_field_but_without_its_value() {
    let receiver = receiver(SAMPLE);
    let (_, body) = send(&receiver, &with("50000", "123.45")).await;
    let expected = "transaction.receivedAmount.amount is not an integer from 0 to 9223372036854775807.";
    assert_eq!(body["details"]["rejectionReason"], expected);
    let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
    assert_eq!(envelope["decisionreason"], "undecidable");
    assert_eq!(envelope["policyhash"], ingest::sha256_hex(SAMPLE.as_bytes()));
    assert_eq!(envelope.get("decisionpolicies"), None);
}

#[tokio::test]
async fn a_redelivery_gets_the_first_decision_after_a_policy_change() {
    let rejecting = format!("{}{PERMIT}", forbid(r#"@id("closed") @reason("closed")"#, "context.amount > 1"));
    let first = receiver(&rejecting);
    assert_eq!(send(&first, PENDING).await.0, 403);

    // The new policy would approve the payment.
    let second = Receiver { provider: umaaas(PERMIT), ..first };
    let (status, body) = send(&second, PENDING).await;
    assert_eq!((status, &body["details"]), (409, &json!({"decision": "reject"})));

    let key = "umaaas#INCOMING_PAYMENT#Webhook:0193a1c4-7d10-7b02-0000-0000000000c1";
    let decision = second.store.get(key).unwrap().record.decision.unwrap();
    assert_eq!(
        (decision.reason(), decision.policies.as_slice()),
        (Some("closed"), &["closed".to_owned()][..])
    );
    assert_eq!(decision.policy_hash, Some(ingest::sha256_hex(rejecting.as_bytes())));

    let messages = second.sink.messages();
    assert_eq!(messages.len(), 1);
    let envelope: Value = serde_json::from_str(&messages[0].body).unwrap();
    let said = ["decision", "decisionreason", "decisionpolicies", "policyhash", "decisionmicros"];
    let expected = [
        json!("reject"),
        json!("closed"),
        json!("closed"),
        json!(decision.policy_hash),
        json!(decision.micros),
    ];
    assert_eq!(said.map(|name| envelope[name].clone()), expected);
    assert!(envelope["decisionmicros"].is_u64(), "{envelope}");
}

#[test]
fn an_approval_names_the_rules_that_permit() {
    let policy = format!(
        "@id(\"small\") permit (principal, action, resource) when {{ context.amount < 60000 }}; {PERMIT}"
    );
    let receiver = receiver(&policy);
    runtime().block_on(send(&receiver, PENDING));
    let envelope: Value = serde_json::from_str(&receiver.sink.messages()[0].body).unwrap();
    assert_eq!(
        (&envelope["decision"], &envelope["decisionpolicies"]),
        (&json!("approve"), &json!("small,policy1"))
    );
}

#[test]
fn a_wrong_policy_is_refused_with_its_problem() {
    let two = |id: &str| format!("@id(\"{id}\") {PERMIT}");
    let domains = (0..2000).map(|n| format!("principal.domain == \"d{n}.example\""));
    let deep = forbid("", &domains.collect::<Vec<_>>().join(" || "));
    for (policy, expected) in [
        ("", "the file has no rule"),
        ("// nothing", "the file has no rule"),
        ("permit (principal, action, resource)", "line 1: "),
        (
            "\n\npermit (principal, action, resource)\nwhen { principal.fulName == \"x\" };",
            "line 4: for policy `policy0`, attribute `fulName` on entity type `Sender` not found",
        ),
        ("permit (principal, action, resource) when { context.amont > 1 };", "`amont`"),
        ("permit (principal, action, resource) when { principal.fullName == \"x\" };", "`fullName`"),
        ("permit (principal, action, resource) when { context.amount > \"1\" };", "type"),
        ("permit (principal, action, resource) when { principal.getTag(\"EMAIL\") == \"x\" };", "tag"),
        ("permit (principal, action == Action::\"approve\", resource);", "Action::\"approve\""),
        ("permit (principal == User::\"x\", action, resource);", "User"),
        ("forbid (principal, action, resource) when { context.amount > 1 && false };", "impossible"),
        ("permit (principal == ?principal, action, resource);", "a template"),
        (&deep, "recursion limit"),
        (
            "forbid (principal, action, resource) when { context.amount - 9223372036854775807 - 2 > 0 };",
            "overflow",
        ),
        (
            "@require(\"TAX_ID\") forbid (principal, action, resource);",
            "rule `policy0`: @require is not one of",
        ),
        ("@requires(\"TAXID\") forbid (principal, action, resource);", "`TAXID` is not one of FULL_NAME, "),
        ("@requires(\"TAX_ID,\") forbid (principal, action, resource);", "`` is not one of"),
        ("@requires forbid (principal, action, resource);", "`` is not one of"),
        (
            "@requires(\"TAX_ID\") permit (principal, action, resource);",
            "a permit can have no annotation except @id",
        ),
        (
            "@reason(\"x\") permit (principal, action, resource);",
            "a permit can have no annotation except @id",
        ),
        ("@requires(\"TAX_ID\") @reason(\"x\") forbid (principal, action, resource);", "cannot have @reason"),
        ("@reason(\"\") forbid (principal, action, resource);", "a @reason must have"),
        ("@message(\" \") forbid (principal, action, resource);", "a @message must have"),
        ("@id(\"a,b\") permit (principal, action, resource);", "an @id must have"),
        (&format!("{} {}", two("a"), two("a")), "two rules have the id `a`"),
        (&format!("{} {PERMIT}", two("policy1")), "two rules have the id `policy1`"),
        (
            &format!("@message(\"{}\") forbid (principal, action, resource);", "m".repeat(501)),
            "a @message must have",
        ),
    ] {
        let error = Policy::parse("own.cedar", policy).unwrap_err().to_string();
        assert!(
            error.starts_with("own.cedar: ") && error.contains(expected),
            "{policy}\n{error}\n{expected}"
        );
    }
}

#[test]
fn the_variable_approval_policy_selects_the_policy() {
    let provider = |policy: Option<&str>| {
        let policy = policy.map(str::to_owned);
        let environment = Environment::from_lookup(move |name| match name {
            "UMAAAS_WEBHOOK_SECRETS" => Some("key".to_owned()),
            "APPROVAL_POLICY" => policy.clone(),
            _ => None,
        });
        Umaaas::from_environment(&environment).map(|provider| Receiver { provider, ..receiver(PERMIT) })
    };
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (own, wrong) = (folder.join("own.cedar"), folder.join("wrong.cedar"));
    std::fs::write(&own, forbid(r#"@reason("own")"#, "true")).unwrap();
    std::fs::write(&wrong, forbid("", "context.amont > 1")).unwrap();

    let reason = |policy| {
        let (status, body) = runtime().block_on(send(&provider(policy).unwrap(), PENDING));
        (status, body["details"]["reason"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(reason(None), (403, "no_policy".into()));
    assert_eq!(reason(Some("  ")), (403, "no_policy".into()));
    assert_eq!(reason(Some("sample")), (200, String::new()));
    assert_eq!(reason(own.to_str()), (403, "own".into()));
    for (file, problem) in [(folder.join("absent.cedar"), "No such file"), (wrong, "`amont`")] {
        let file = file.to_str().unwrap();
        let error = provider(Some(file)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("APPROVAL_POLICY is wrong: {file}: ")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_policy_decides_only_about_payments_that_wait() {
    let completed = with("\"PENDING\"", "\"COMPLETED\"");
    let everything = forbid("", "true");
    assert_eq!(answer(&everything, &completed).0, 200);
    assert_eq!(answer(&everything, &with("\"PENDING\"", "\"ON_HOLD\"")), (403, "forbidden".into()));
    let newer = with("\"INCOMING_PAYMENT\"", "\"INCOMING_PAYMENT_V2\"");
    assert_eq!(answer(PERMIT, &newer), (403, "unknown_kind".into()));
}

/// A JSON value of any type.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[0-9]{1,40}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?"
            .prop_filter("a JSON number", |number| { !number.starts_with('0') || number.len() == 1 }),
        "\\PC{0,12}".prop_map(|text| json!(text).to_string()),
        Just(r#""\ud800""#.to_owned()),
        "[a-z]{2}".prop_map(|text| json!(text).to_string()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let fields = prop::collection::vec((any_name(), inner.clone()), 0..4).prop_map(object);
        let list = prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![fields, list]
    })
}

fn object(fields: Vec<(String, String)>) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", fields.join(","))
}

/// The name of a documented field, or a random name.
fn any_name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "status",
        "type",
        "senderUmaAddress",
        "receiverUmaAddress",
        "receivedAmount",
        "amount",
        "currency",
        "code",
        "decimals",
        "userId",
        "description",
        "counterpartyInformation",
        "fullName",
        "FULL_NAME",
        "address",
        "country",
        "NATIONALITY",
        "BIRTH_DATE",
        "EMAIL",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

/// The name of the decision, or `nothing`.
fn decided(umaaas: &Umaaas, body: &str) -> &'static str {
    let mut delivery = Delivery::new("/umaaas", body.as_bytes().to_vec());
    let secrets = Secrets::parse_list("key").unwrap();
    let signature = secrets.newest().sign(&SIGNATURE, &delivery).unwrap();
    delivery.headers.insert(SIGNATURE.header, signature.parse().unwrap());
    let delivery = umaaas.verify(delivery, &secrets.into()).unwrap();
    let payment = umaaas.identify(&delivery, Arrival::at(Timestamp::UNIX_EPOCH)).unwrap().payment;
    payment
        .map(|payment| umaaas.decide(&payment, Some(&ingest::Totals::new())))
        .as_ref()
        .map_or("nothing", Decision::name)
}

static BY_SAMPLE: LazyLock<Umaaas> = LazyLock::new(|| umaaas(SAMPLE));

static BY_MANY_RULES: LazyLock<Umaaas> = LazyLock::new(|| {
    let rules = [
        PERMIT.to_owned(),
        forbid("", "context.amount > 1000"),
        forbid(r#"@requires("TAX_ID")"#, "context.amount > 500 && !(principal has taxId)"),
        forbid("", r#"principal.domain == "bad.example""#),
        forbid("", r#"principal.countries.contains("IR")"#),
        forbid("", r#"context has description && context.description like "*x*""#),
        forbid("", r#"principal.hasTag("flag")"#),
        // This rule fails for large amounts.
        forbid("", "context.amount * 2 < 0"),
    ];
    umaaas(&rules.join("\n"))
});

/// A name about a country, in a random spelling.
fn country_name() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        vec!["country"],
        vec!["country", "code"],
        vec!["country", "of", "birth"],
        vec!["issuing", "country"],
        vec!["nationality"],
        vec!["second", "nationality"],
        vec!["citizenship"],
        vec!["citizenships"],
        vec!["residence"],
        vec!["country", "of", "residence"],
        vec!["tax", "residency"],
        vec!["domicile"],
        vec!["jurisdiction"],
        vec!["ultimate", "institution", "country"],
    ]);
    let separator = prop::sample::select(vec!["", "_", "-", " ", "."]);
    let letters = prop::collection::vec(0..4_u8, 40);
    (words, separator, letters).prop_map(|(words, separator, letters)| {
        let name = words.join(separator);
        name.chars()
            .zip(letters.into_iter().cycle())
            .map(|(c, choice)| match (choice, c) {
                (0, c) => c.to_ascii_uppercase(),
                // look-alike letters that a name may mix, and a Cyrillic letter that it may not
                (1, 'i') => '1',
                (1, 'o') => '0',
                (2, 'a') => 'á',
                (3, 'e') => 'е',
                (_, c) => c,
            })
            .collect()
    })
}

proptest! {
    /// A payment with a restricted country is never approved, whatever the spelling and the place of the
    /// country.
    #[test]
    fn no_spelling_and_no_nesting_hides_a_restricted_country(
        name in country_name(),
        code in prop::sample::select(vec!["IR", "ir", " Kp ", "mM", "\u{200b}IR"]),
        around in prop::collection::vec((any_name(), 0..3_u8, any_json()), 0..6),
        beside in prop::collection::vec((any_name(), any_json()), 0..3),
        in_list in any::<bool>(),
    ) {
        let code = json!(code).to_string();
        let value = if in_list { format!("[{code}]") } else { code };
        let mut fields = vec![(name, value)];
        for (name, place, other) in around {
            let inner = object(fields);
            fields = match place {
                0 => vec![(name, inner)],
                1 => vec![(name, format!("[{other},{inner}]"))],
                _ => vec![("z".to_owned(), other), (name, inner)],
            };
        }
        fields.extend(beside);
        fields.push(("FULL_NAME".to_owned(), "\"Ada\"".to_owned()));
        fields.push(("BIRTH_DATE".to_owned(), "\"1985-06-15\"".to_owned()));
        let body = informed(&object(fields));
        let decision = decided(&BY_SAMPLE, &body);
        prop_assert!(matches!(decision, "reject" | "request_information"), "{decision} {body}");
    }

    #[test]
    fn no_payment_makes_decide_panic(transaction in any_json(), time in "\\PC{0,30}") {
        let body = format!(r#"{{"type":"INCOMING_PAYMENT","webhookId":"w","timestamp":{},"transaction":{transaction}}}"#, json!(time));
        let decision = decided(&BY_SAMPLE, &body);
        prop_assert!(matches!(decision, "reject" | "request_information"), "{decision} {body}");
    }

    #[test]
    fn no_field_makes_decide_panic(fields in prop::collection::vec((any_name(), any_json()), 0..6), replaced in any_json()) {
        let body = informed(&object(fields)).replace("\"amount\": 50000", &format!("\"amount\": {replaced}"));
        decided(&BY_SAMPLE, &body);
    }

    #[test]
    fn a_payment_is_approved_only_if_no_rule_forbids_it(
        amount in prop_oneof![0..2000i64, Just(i64::MAX)],
        domain in prop::sample::select(vec!["sender.example", "bad.example", "BAD.example"]),
        country in prop::sample::select(vec!["", "de", "IR", "ir", "Iran"]),
        name in prop::sample::select(vec!["country", "NATIONALITY", "countryOfResidence"]),
        description in "[a-z ]{0,6}",
        flagged in any::<bool>(),
    ) {
        let mut information = json!({name: country});
        if flagged {
            information["flag"] = json!("yes");
        }
        let body = informed(&information.to_string())
            .replace("50000", &amount.to_string())
            .replace("sender.example", domain)
            .replace("\"platformUserId\"", &format!("\"description\": {}, \"platformUserId\"", json!(description)));
        let forbidden = amount > 500
            || domain != "sender.example"
            || !matches!(country, "" | "de")
            || description.contains('x')
            || flagged;
        let decision = decided(&BY_MANY_RULES, &body);
        prop_assert_eq!(decision == "approve", !forbidden, "{} {}", decision, body);
    }
}

/// The worked policy with limits, on the same events as a sender would have them.
#[tokio::test]
async fn limits_add_up_what_was_approved() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/velocity");
    let receiver =
        Receiver { provider: Umaaas::new(None, Some(Policy::load(folder).unwrap())), ..receiver(PERMIT) };
    let payment = |id: &str, sender: &str, currency: &str, status: &str, amount: i64| {
        let mut body: Value = serde_json::from_str(PENDING).unwrap();
        body["webhookId"] = format!("{id}-{status}").into();
        body["transaction"]["id"] = id.into();
        body["transaction"]["status"] = status.into();
        body["transaction"]["senderUmaAddress"] = sender.into();
        body["transaction"]["receivedAmount"]["amount"] = amount.into();
        body["transaction"]["receivedAmount"]["currency"]["code"] = currency.into();
        body.to_string()
    };
    for (id, sender, currency, status, amount, expected) in [
        ("1", "$ada@a.example", "USD", "PENDING", 200_000, "200"),
        ("2", "$ada@a.example", "USD", "PENDING", 50_001, "sender_limit"),
        // any spelling of the address is the same sender
        ("3", " $ADA@A.example ", "usd", "PENDING", 50_001, "sender_limit"),
        ("4", "$ada@a.example", "USD", "PENDING", 50_000, "200"),
        // another currency and another sender have sums of their own
        ("5", "$ada@a.example", "EUR", "PENDING", 250_000, "200"),
        ("6", "$bob@a.example", "USD", "PENDING", 250_000, "200"),
        // what failed no longer counts, what has completed does
        ("4", "$ada@a.example", "USD", "COMPLETED", 50_000, "200"),
        ("7", "$ada@a.example", "USD", "PENDING", 1, "sender_limit"),
        ("4", "$ada@a.example", "USD", "REFUNDED", 50_000, "200"),
        ("8", "$ada@a.example", "USD", "PENDING", 50_000, "200"),
        ("9", "$ada@a.example", "USD", "PENDING", i64::MAX, "sender_limit"),
        // what a policy cannot decide reads no limit
        ("10", "no address", "USD", "PENDING", 1, "undecidable"),
    ] {
        let (status, reply) = send(&receiver, &payment(id, sender, currency, status, amount)).await;
        let reason = reply["details"]["reason"].as_str().map(str::to_owned);
        assert_eq!(reason.unwrap_or(status.to_string()), expected, "{id}: {reply}");
    }
}
