//! Tests of screening: lists in a policy's folder, against the payments of somebody who wants to escape them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use ingest::{Object, Totals, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Asking, Asks, Layout, Payment, Policy, decide};

/// The layout of UMAaaS, and one with a second place for the sender's address.
const LAYOUT: Layout = Layout {
    transaction: "transaction",
    sender: Some("source"),
    receiver: None,
    user_id: "userId",
    platform_user_id: "platformUserId",
    requested: "requested",
    requested_in_transaction: false,
};

/// Loads a policy of these files.
fn policy(files: &[(&str, &str)]) -> Result<Policy, String> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder: PathBuf = std::env::temp_dir().join(format!("screening-{}-{count}", std::process::id()));
    std::fs::create_dir_all(folder.join("lists")).unwrap();
    for (name, content) in files {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let loaded = Policy::load(folder.to_str().unwrap()).map_err(|error| error.to_string());
    std::fs::remove_dir_all(folder).unwrap();
    loaded
}

/// A policy that rejects everybody on one list, and approves everybody else.
fn screening(kind: &str, entries: &str) -> Policy {
    screening_by(r#"principal in List::"x", action, resource"#, kind, entries).unwrap()
}

fn screening_by(head: &str, kind: &str, entries: &str) -> Result<Policy, String> {
    let rules = format!(
        r#"@id("a") @reason("listed") forbid ({head}); @id("b") permit (principal, action, resource);"#
    );
    screening_of(&rules, json!({"kind": kind}), entries)
}

/// A policy of these rules about the list `x`.
fn screening_of(rules: &str, list: Value, entries: &str) -> Result<Policy, String> {
    let settings = json!({"lists": {"x": list}}).to_string();
    policy(&[("policy.cedar", rules), ("bundle.json", &settings), ("lists/x.txt", entries)])
}

/// A body with a payment by somebody with this counterparty information.
fn body(information: &Value) -> Value {
    json!({"transaction": {
        "senderUmaAddress": "$sender@example.com",
        "receiverUmaAddress": "$receiver@example.com",
        "receivedAmount": {"amount": 100, "currency": {"code": "EUR", "decimals": 2}},
        "counterpartyInformation": information,
    }})
}

/// What a policy decides about a body: `approve`, or the reason of the rejection.
fn decided(policy: &Policy, body: &str) -> String {
    let object = Object::parse(body.as_bytes()).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let asking = Asking::new(Asks::Approval, || Payment::read(&object, &LAYOUT, None, now)).unwrap();
    match decide(Some(policy), &asking, Some(&Totals::new())).verdict {
        Verdict::Approve => "approve".to_owned(),
        Verdict::Reject { reason, .. } => reason,
        Verdict::RequestInformation { .. } => "request".to_owned(),
    }
}

fn decided_about(policy: &Policy, information: &Value) -> String {
    decided(policy, &body(information).to_string())
}

#[test]
fn every_form_of_a_rule_about_a_list_screens() {
    let plain = screening("name", "Ivan Petrov");
    assert_eq!(decided_about(&plain, &json!({"FULL_NAME": "Petrov, Ivan"})), "listed");
    let sender = r#"principal in List::"x", action, resource"#;
    let typed = r#"principal is Sender in List::"x", action, resource"#;
    for head in [sender, typed] {
        let policy = screening_by(head, "name", "Ivan Petrov").unwrap();
        assert_eq!(decided_about(&policy, &json!({"FULL_NAME": "Petrov, Ivan"})), "listed", "{head}");
        assert_eq!(decided_about(&policy, &json!({"FULL_NAME": "Ada Sender"})), "approve", "{head}");
        let misspelt = screening_by(&head.replace("\"x\"", "\"y\""), "name", "Ivan Petrov").unwrap_err();
        assert!(misspelt.contains("the policy has no list `y`"), "{misspelt}");
    }
    for head in [r#"resource in List::"x""#, r#"resource is Receiver in List::"x""#] {
        let refused = screening_by(&format!("principal, action, {head}"), "name", "Ivan Petrov").unwrap_err();
        assert!(refused.contains("a receiver is on no list of names"), "{refused}");
    }
}

#[test]
fn an_address_that_is_too_long_is_undecidable_for_lists_of_addresses_and_for_them_alone() {
    let address = |address: &str| {
        let mut body = body(&json!({"FULL_NAME": "Ada Sender"}));
        body["transaction"]["senderUmaAddress"] = address.into();
        body.to_string()
    };
    let by_name = screening("name", "Ivan Petrov");
    for (kind, entry) in [("domain", ".bad.example"), ("address", "$ada@bad.example")] {
        let policy = screening(kind, entry);
        for long in [
            format!("$a@{}example", "a.".repeat(20_000)),
            format!("$a@{}bad.example", "a.".repeat(122)),
            format!("$a@{}.bad.example", "a".repeat(64)),
            format!("${}@bad.example", "a".repeat(320)),
        ] {
            let start = std::time::Instant::now();
            assert_eq!(decided(&policy, &address(&long)), "undecidable", "{kind} {long:.50}");
            assert_eq!(decided(&by_name, &address(&long)), "approve", "{long:.50}");
            assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
        }
        for long in [
            format!("$a@{}good.example", "a.".repeat(120)),
            format!("$a@{}.good.example", "a".repeat(63)),
            format!("${}@good.example", "a".repeat(300)),
        ] {
            assert_eq!(decided(&policy, &address(&long)), "approve", "{kind} {long}");
        }
    }
}

/// A policy that rejects names with all of these words.
fn by_tokens(words: &str) -> Policy {
    let rules = format!(
        r#"@id("a") @reason("listed") forbid (principal, action, resource) when {{ principal.nameTokens.containsAll([{words}]) }};
           @id("b") permit (principal, action, resource);"#
    );
    policy(&[("policy.cedar", &rules)]).unwrap()
}

#[test]
fn a_name_escapes_neither_a_list_nor_a_rule_by_its_symbols_digits_and_letters() {
    let list = screening("name", "Ivan Petrov");
    let rule = by_tokens(r#""ivan", "petrov""#);
    for name in [
        "Iv\u{ad}an\u{3164}Petrov",
        "Iv-an,Petrov",
        "Petrov/I.v.a.n",
        "|van|Petrov",
        "Iv\u{200b}an\u{115f}Pet\u{2060}rov",
        "Petr٥v I\u{1160}v-an Iv’an",
    ] {
        assert_eq!(decided_about(&list, &json!({"FULL_NAME": name})), "listed", "{name:?}");
        assert_eq!(decided_about(&rule, &json!({"FULL_NAME": name})), "listed", "{name:?}");
    }
    let many = vec!["a"; 33].join("-");
    for name in [many.as_str(), "\u{202e}vorteP navI", "Ivan \u{202d}Petrov", &"x".repeat(4097)] {
        for policy in [&list, &rule] {
            assert_eq!(decided_about(policy, &json!({"FULL_NAME": name})), "undecidable", "{name:?}");
            assert_eq!(
                decided_about(policy, &json!({"FULL_NAME": "Ada", "note": name})),
                "approve",
                "{name:?}"
            );
        }
        let escaped = body(&json!({"FULL_NAME": "?"})).to_string().replace('?', r"\u202Ex");
        assert_eq!(decided(&list, &escaped), "undecidable");
    }
}

#[test]
fn an_identifier_escapes_by_no_reading_of_its_letters_and_digits() {
    let list = screening("identifier", "N-4471\nP-4471-990\nΝ 88");
    for number in ["n4471", "Ν-4471", "P-٤٤٧١-٩٩٠", "P-447|-990", "Ｐ.❹④➆1/990", "N-88", "ν-88"]
    {
        assert_eq!(decided_about(&list, &json!({"TAX_ID": number})), "listed", "{number}");
    }
    for number in ["N-447", "4471", "P-4471-99O1", "W-88"] {
        assert_eq!(decided_about(&list, &json!({"TAX_ID": number})), "approve", "{number}");
    }
}

/// Other spellings of a name that [`crate::folded`] takes for the same.
fn spellings(name: &str) -> Vec<String> {
    let snake = name.chars().flat_map(|c| {
        let separator = c.is_uppercase().then_some('_');
        separator.into_iter().chain(c.to_lowercase())
    });
    let snake: String = snake.collect();
    let (first, rest) = name.split_at(1);
    let capital = format!("{}{rest}", first.to_uppercase());
    let kebab = snake.replace('_', "-");
    let mut all = vec![snake.to_uppercase(), snake, capital, kebab, name.to_lowercase(), format!("{name}_")];
    all.retain(|spelling| spelling != name);
    all
}

#[test]
fn a_field_of_the_transaction_in_another_spelling_is_undecidable() {
    let policy = by_tokens(r#""ivan", "petrov""#);
    let whole = body(&json!({"FULL_NAME": "Ada"}));
    assert_eq!(decided(&policy, &whole.to_string()), "approve");
    for name in [
        "counterpartyInformation",
        "senderUmaAddress",
        "receiverUmaAddress",
        "receivedAmount",
        "description",
        "exchangeRate",
        "quoteId",
        "userId",
        "platformUserId",
        "source",
    ] {
        for other in spellings(name) {
            let mut beside = whole.clone();
            beside["transaction"][&other] = json!({"FULL_NAME": "Ivan Petrov"});
            assert_eq!(decided(&policy, &beside.to_string()), "undecidable", "{other} beside {name}");
            let mut instead = beside;
            instead["transaction"].as_object_mut().unwrap().remove(name);
            assert_eq!(decided(&policy, &instead.to_string()), "undecidable", "{other} instead of {name}");
        }
    }
    for other in spellings("transaction") {
        let mut beside = whole.clone();
        beside[&other] = body(&json!({"FULL_NAME": "Ivan Petrov"}))["transaction"].clone();
        assert_eq!(decided(&policy, &beside.to_string()), "undecidable", "{other}");
        beside.as_object_mut().unwrap().remove("transaction");
        assert_eq!(decided(&policy, &beside.to_string()), "undecidable", "{other}");
    }
    for pair in [("note", "Note"), ("x_y", "xY")] {
        let mut two = whole.clone();
        two["transaction"][pair.0] = json!(1);
        assert_eq!(decided(&policy, &two.to_string()), "approve", "{pair:?}");
        two["transaction"][pair.1] = json!(1);
        assert_eq!(decided(&policy, &two.to_string()), "undecidable", "{pair:?}");
    }
    let mut amounts = whole;
    amounts["transaction"]["receivedAmount"]["Amount"] = json!(1);
    assert_eq!(decided(&policy, &amounts.to_string()), "undecidable");
}

#[test]
fn a_list_has_its_own_first_entry() {
    for (kind, entry) in [
        ("name", "Jean-Luc O'Hara, Conde d'A-B-C-D (senior)"),
        ("name", "Ν 1 ⓯ ſ Ϲ"),
        ("name", "ராம் 習近平 Пётр ΰ"),
        ("identifier", "Ν-4471 ٥|"),
        ("country", "ir"),
        ("domain", ".Bad.example"),
        ("address", "$Ada@Bad.example"),
    ] {
        let policy = screening(kind, entry);
        let list = policy.lists().next().unwrap();
        assert_eq!((list.name, list.kind, list.entries, list.first), ("x", kind, 1, entry));
    }
    let parts = vec!["a"; 33].join("-");
    let refused = screening_by(r#"principal in List::"x", action, resource"#, "name", &parts).unwrap_err();
    assert!(refused.contains("does not match a payment by its own first entry"), "{refused}");
}

#[test]
fn a_list_of_every_field_has_texts_under_any_name_and_at_any_depth() {
    const RULES: &str = r#"@id("a") @reason("listed") forbid (principal in List::"x", action, resource);
        @id("b") permit (principal, action, resource);"#;
    let names = screening_of(RULES, json!({"kind": "name", "of": ["*"]}), "Ivan Petrov").unwrap();
    let numbers =
        screening_of(RULES, json!({"kind": "identifier", "of": ["*"]}), "P-4471-990\n123456").unwrap();
    let around: [fn(&Value) -> Value; 6] = [
        |text| json!({"FULL_NAME": text}),
        |text| json!({"FULL_NAME": "Ada", "beneficialOwner": text}),
        |text| json!({"owners": ["Ada", text]}),
        |text| json!({"a": {"b": [{"c": text}, 1, null]}}),
        |text| json!({"ADDRESS": {"line1": text}}),
        |text| json!({"PURPOSE_OF_PAYMENT": text}),
    ];
    for around in around {
        assert_eq!(
            decided_about(&names, &around(&json!("Petrov, I.van"))),
            "listed",
            "{}",
            around(&json!(""))
        );
        assert_eq!(decided_about(&names, &around(&json!("Ada Sender"))), "approve");
        assert_eq!(decided_about(&names, &around(&json!("\u{202e}vorteP navI"))), "undecidable");
        assert_eq!(decided_about(&names, &around(&json!("x".repeat(4097)))), "undecidable");
        assert_eq!(decided_about(&numbers, &around(&json!("p 4471 99O"))), "listed");
        assert_eq!(decided_about(&numbers, &around(&json!("p 4471 991"))), "approve");
    }
    assert_eq!(decided_about(&numbers, &json!({"document": {"no": 123_456}})), "listed");
    for (information, expected) in [
        (json!({"firstName": "Ivan", "lastName": "Petrov"}), "listed"),
        (json!({"owner": {"given_name": "Ivan", "FAMILY_NAME": "Petrov"}}), "listed"),
        (json!({"names": ["Ivan", "Petrov"]}), "listed"),
        (json!({"name": {"first": "Ivan", "last": "Petrov"}}), "listed"),
        (json!({"FULL_NAME": "Ivan", "ADDRESS": "Petrov"}), "approve"),
    ] {
        assert_eq!(decided_about(&names, &information), expected, "{information}");
    }
    let mut source = body(&json!({"FULL_NAME": "Ada"}));
    source["transaction"]["source"] = json!({"account": {"holder": "Ivan Petrov"}});
    assert_eq!(decided(&names, &source.to_string()), "listed");
    let long: Vec<String> = (0..900).map(|number| format!("a text of the sender {number}")).collect();
    assert_eq!(decided_about(&names, &json!({"FULL_NAME": "Ada", "a": long})), "undecidable");
    let plain = screening("name", "Ivan Petrov");
    assert_eq!(decided_about(&plain, &json!({"FULL_NAME": "Ada", "a": long, "b": "Ivan Petrov"})), "approve");
    for kind in ["country", "domain", "address"] {
        assert!(screening_of(RULES, json!({"kind": kind, "of": ["*"]}), "DE").is_err());
    }
}
