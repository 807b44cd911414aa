//! `cargo webhooks policy`, as its user meets it: the built binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

const PAYMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/umaaas/incoming_payment.json");

const REQUESTED_BY_GRID: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/grid/incoming_payment.pending.requested.json");

/// Whether the command succeeded, and what it printed.
fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_webhooks")).args(arguments).output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), text)
}

/// A folder of its own for one test, as if for the first time.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(folder.join("cases")).unwrap();
    folder
}

fn write(file: &Path, text: &str) -> String {
    std::fs::write(file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_cases_of_the_sample_pass() {
    let (success, text) = run(&["policy", "test"]);
    assert!(success, "{text}");
    assert!(text.contains("ok  the documented sample ") && text.contains(" cases, 0 failed"), "{text}");
}

#[test]
fn a_case_that_fails_shows_in_the_table_and_in_the_exit_code() {
    let folder = folder("fails");
    let policy = write(
        &folder.join("own.cedar"),
        r#"@id("large") @reason("too_large") forbid (principal, action, resource) when { context.amount > 10 };
           permit (principal, action, resource);"#,
    );
    write(
        &folder.join("cases/a.json"),
        r#"[{"case": "as it is", "expect": {"decision": "approve"}},
            {"case": "small", "change": {"transaction": {"receivedAmount": {"amount": 10}}}, "expect": {"decision": "approve"}},
            {"case": "large", "expect": {"decision": "reject", "reason": "too_large", "policies": ["large"]}},
            {"case": "nothing to decide", "change": {"transaction": {"status": "COMPLETED"}}, "expect": {"decision": "approve"}}]"#,
    );
    let (success, text) = run(&["policy", "test", "--policy", &policy]);
    assert!(!success);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1].join(" "), "FAILED as it is approve reject: too_large");
    assert_eq!(lines[2].join(" "), "ok small approve approve");
    assert_eq!(lines[3].join(" "), "ok large reject: too_large by large reject: too_large by large");
    assert_eq!(lines[4].join(" "), "FAILED nothing to decide approve nothing to decide");
    assert!(text.contains("4 cases, 2 failed"), "{text}");
}

/// One policy decides about the payments of both providers: for the same payment, each with its sample, a body, or a
/// change, and each is asked for facts in its own vocabulary.
#[test]
fn cases_are_webhooks_of_either_provider() {
    let folder = folder("grid");
    let policy = write(
        &folder.join("own.cedar"),
        r#"@id("born") @requires("DATE_OF_BIRTH") forbid (principal, action, resource) unless { principal has dateOfBirth };
           @id("usd") @reason("usd_only") forbid (principal, action, resource) unless { context.currency == "USD" };
           @id("rest") permit (principal, action, resource);"#,
    );
    let body = std::fs::read_to_string(REQUESTED_BY_GRID).unwrap();
    let euro = r#""receivedAmount": {"currency": {"code": "EUR"}}"#;
    write(
        &folder.join("cases/a.json"),
        &format!(
            r#"[{{"case": "u1", "expect": {{"decision": "approve", "policies": ["rest"]}}}},
            {{"case": "g1", "provider": "grid", "expect": {{"decision": "approve", "policies": ["rest"]}}}},
            {{"case": "u2", "provider": "umaaas", "change": {{"transaction": {{"counterpartyInformation": null}}}},
              "expect": {{"decision": "request_information", "requiredFields": ["DATE_OF_BIRTH"], "policies": ["born"]}}}},
            {{"case": "g2", "provider": "grid", "change": {{"data": {{"counterpartyInformation": null}}}},
              "expect": {{"decision": "request_information", "requiredFields": ["BIRTH_DATE"], "policies": ["born"]}}}},
            {{"case": "u3", "change": {{"transaction": {{{euro}}}}},
              "expect": {{"decision": "reject", "reason": "usd_only", "policies": ["usd"]}}}},
            {{"case": "g3", "provider": "grid", "change": {{"data": {{{euro}}}}},
              "expect": {{"decision": "reject", "reason": "usd_only", "policies": ["usd"]}}}},
            {{"case": "g4", "body": {body}, "expect": {{"decision": "approve", "policies": ["rest"]}}}},
            {{"case": "g5", "provider": "grid", "body": {body}, "expect": {{"decision": "approve"}}}},
            {{"case": "g6", "provider": "grid", "change": {{"data": {{"status": "COMPLETED"}}}}, "expect": {{"decision": "approve"}}}}]"#
        ),
    );
    let (success, text) = run(&["policy", "test", "--policy", &policy]);
    assert!(!success && text.contains("9 cases, 1 failed"), "{text}");
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert_eq!(failed.len(), 1, "{text}");
    assert!(failed[0].contains("g6") && failed[0].ends_with("nothing to decide"), "{text}");
}

#[test]
fn wrong_cases_are_named_by_file_and_field() {
    let folder = folder("wrong");
    let cases = folder.join("cases");
    let run_cases = || run(&["policy", "test", "--cases", cases.to_str().unwrap()]);
    let (success, text) = run_cases();
    assert!(!success && text.contains("there is no case"), "{text}");
    for (text, expected) in [
        ("[]", "there is no case"),
        ("{", "one.json: "),
        (r#"[{"case": "x", "expekt": {}}]"#, "one.json: unknown field `expekt`"),
        (r#"[{"case": "x"}]"#, "one.json: missing field `expect`"),
        (r#"[{"case": "x", "expect": {"decision": "accept"}}]"#, "unknown variant `accept`"),
        (
            r#"[{"case": "x", "expect": {"decision": "reject"}}]"#,
            "one.json: case \"x\": expect: a rejection has a `reason`",
        ),
        (
            r#"[{"case": "x", "expect": {"decision": "approve", "reason": "r"}}]"#,
            "an approval has no `reason`",
        ),
        (
            r#"[{"case": "x", "body": {}, "change": {}, "expect": {"decision": "approve"}}]"#,
            "both `change` and `body`",
        ),
        (
            r#"[{"case": "x", "body": {}, "expect": {"decision": "approve"}}]"#,
            "case \"x\": webhookId is missing",
        ),
        (
            r#"[{"case": "x", "provider": "grid", "body": {}, "expect": {"decision": "approve"}}]"#,
            "case \"x\": id is missing",
        ),
        (
            r#"[{"case": "x", "provider": "weavr", "expect": {"decision": "approve"}}]"#,
            "one.json: unknown variant `weavr`, expected `umaaas` or `grid`",
        ),
    ] {
        write(&cases.join("one.json"), text);
        let (success, printed) = run_cases();
        assert!(!success && printed.contains(expected), "{text}: {printed}");
    }
    let (success, text) = run(&["policy", "test", "--cases", "absent"]);
    assert!(!success && text.contains("absent: No such file"), "{text}");
}

#[test]
fn a_wrong_policy_is_named_by_file_line_and_field() {
    let folder = folder("policy");
    let text = "\npermit (principal, action, resource)\nwhen { principal.fulName == \"x\" };";
    let policy = write(&folder.join("own.cedar"), text);
    for command in [&["policy", "test"][..], &["policy", "explain", PAYMENT]] {
        let (success, text) = run(&[command, &["--policy", &policy]].concat());
        assert!(!success, "{text}");
        assert!(text.contains(&format!("{policy}: line 3: ")) && text.contains("`fulName`"), "{text}");
        let (success, text) = run(&[command, &["--policy", "absent.cedar"]].concat());
        assert!(!success && text.contains("absent.cedar: No such file"), "{text}");
    }
}

#[test]
fn explain_prints_the_decision_its_rules_and_the_exact_reply() {
    let (success, text) = run(&["policy", "explain", PAYMENT]);
    assert!(success, "{text}");
    assert!(text.contains("decision  approve\nrule      everything-else\n"), "{text}");
    assert!(text.contains("permit (principal, action, resource);\n"), "{text}");
    assert!(text.ends_with("reply     HTTP 200\n"), "{text}");

    let folder = folder("explain");
    let payment = std::fs::read_to_string(PAYMENT).unwrap();
    let restricted =
        write(&folder.join("ir.json"), &payment.replace("\"fullName\"", "\"country\": \"IR\", \"fullName\""));
    let (success, text) = run(&["policy", "explain", &restricted]);
    assert!(success, "{text}");
    for expected in [
        "decision  reject: restricted_jurisdiction\n",
        "rule      restricted-jurisdiction\n",
        "@reason(\"restricted_jurisdiction\")\n",
        "reply     HTTP 403\n",
        r#"{"code":"payment_rejected","message":"The payment is rejected.","details":{"reason":"restricted_jurisdiction","rejectionReason":"Payments from this country are not accepted."},"reason":"restricted_jurisdiction"}"#,
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }

    let (success, text) = run(&["policy", "explain", REQUESTED_BY_GRID]);
    assert!(success, "{text}");
    assert!(text.contains("decision  approve\n") && text.contains("NATIONALITY (mandatory)"), "{text}");

    for (body, expected) in [
        ("{", "wrong.json: EOF"),
        ("{}", "wrong.json: webhookId is missing"),
        ("[]", "wrong.json: the body is not"),
    ] {
        let wrong = write(&folder.join("wrong.json"), body);
        let (success, text) = run(&["policy", "explain", &wrong]);
        assert!(!success && text.contains(expected), "{text}");
    }
    let (success, text) = run(&["policy", "explain", "absent.json"]);
    assert!(!success && text.contains("absent.json: No such file"), "{text}");
    let completed = write(&folder.join("completed.json"), &payment.replace("PENDING", "COMPLETED"));
    let (success, text) = run(&["policy", "explain", &completed]);
    assert!(success && text.contains("does not wait for approval") && text.contains("HTTP 200"), "{text}");
}

/// The worked example of a policy with lists and rates.
const SCREENING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/screening");

/// A copy of the worked example.
fn screening(name: &str) -> PathBuf {
    let copy = folder(name);
    std::fs::create_dir_all(copy.join("lists")).unwrap();
    for part in ["", "lists", "cases"] {
        for entry in std::fs::read_dir(Path::new(SCREENING).join(part)).unwrap() {
            let file = entry.unwrap().path();
            if file.is_file() {
                std::fs::copy(&file, copy.join(part).join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    copy
}

#[test]
fn the_worked_example_passes_its_check_and_its_cases() {
    let (success, text) = run(&["policy", "check", SCREENING]);
    assert!(success && text.contains("8 rules, 23 cases, 0 problems"), "{text}");
    let lists: Vec<_> = text.lines().filter(|line| line.starts_with("list      ")).collect();
    assert_eq!(lists.len(), 4, "{text}");
    for words in
        ["sanctions-names name 4 entries first: Ivan Petrov", "closed-countries country 2 entries first: IR"]
    {
        let is_it = |line: &&str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ") == words;
        assert!(lists.iter().any(is_it), "{words}: {text}");
    }
    let (success, text) = run(&["policy", "test", "--policy", SCREENING]);
    assert!(success && text.contains("23 cases, 0 failed") && !text.contains("warning"), "{text}");
    let (success, text) = run(&["policy", "explain", "--policy", SCREENING, PAYMENT]);
    assert!(success && text.contains("rule      known-institution"), "{text}");
    let (success, text) = run(&[
        "policy",
        "check",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/sample.cedar"),
    ]);
    assert!(success && text.contains(" 0 problems"), "{text}");
}

const VELOCITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/decisions/policies/velocity");

/// A case says what was counted before. A limit that is misspelt in a rule is refused, one that no rule reads is reported.
#[test]
fn limits_are_checked_and_cases_say_what_was_counted() {
    let (success, text) = run(&["policy", "check", VELOCITY]);
    assert!(success && text.contains("5 rules, 9 cases, 0 problems"), "{text}");
    let folder = folder("limits");
    let rules = "@id(\"a\") permit (principal, action, resource) when { context.limits.day.sum < 5 };";
    write(&folder.join("policy.cedar"), rules);
    std::fs::create_dir_all(folder.join("cases")).unwrap();
    let cases =
        r#"[{"case": "a", "limits": {"day": {"sum": 4, "count": 1}}, "expect": {"decision": "approve"}}]"#;
    write(&folder.join("cases/a.json"), cases);
    let day = r#""day": {"by": "sender", "window": "1d"}"#;
    for (limits, expected) in [
        (format!("{{{day}}}"), "1 rules, 1 cases, 0 problems"),
        (r#"{"days": {"by": "sender", "window": "1d"}}"#.to_owned(), "attribute `limits.day` in context"),
        (r#"{"day": {"by": "sender", "window": "32d"}}"#.to_owned(), "a window is a number of hours"),
        (
            format!(r#"{{{day}, "week": {{"by": "sender", "window": "7d"}}}}"#),
            "no rule reads the limit `week`",
        ),
        (format!("{{{day}, {day}}}"), "duplicate field name"),
    ] {
        write(&folder.join("limits.json"), &limits);
        let (_, text) = run(&["policy", "check", folder.to_str().unwrap()]);
        assert!(text.contains(expected), "{limits}: {text}");
    }
}

#[test]
fn explain_prints_what_the_policy_saw_and_what_each_rule_lacks() {
    let folder = folder("explain-rules");
    let payment = std::fs::read_to_string(PAYMENT).unwrap();
    let unknown = write(&folder.join("unknown.json"), &payment.replace("sender.example", "unknown.example"));
    let (success, text) = run(&["policy", "explain", "--policy", SCREENING, &unknown]);
    assert!(success, "{text}");
    for expected in [
        "decision  reject: not_permitted",
        "principal.fullNameFolded",
        "context.baseAmount",
        "46000",
        r#"{"hour":10,"minute":25,"weekday":"monday"}"#,
        r#"not: forbid(principal in List::"sanctions-names", action, resource)"#,
        r#"not: permit(principal in List::"institutions", action, resource)"#,
        "not: when { context.baseAmount > 1000000 }",
        "no permit fits",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(!text.contains("Ada") && !text.contains("ada sender") && text.contains("***"), "{text}");
    let (_, text) = run(&["policy", "explain", "--policy", SCREENING, &unknown, "--reveal"]);
    assert!(text.contains("\"Ada Sender\"") && text.contains("\"ada sender\""), "{text}");

    let own = write(
        &folder.join("own.cedar"),
        r#"@id("both") permit (principal, action, resource)
           when { context.currency == "USD" && principal.nameTokens.contains("Ivan") } unless { context.amount > 7 };
           @id("fails") permit (principal, action, resource) when { context.amount * 9223372036854775807 > 0 };"#,
    );
    let (_, text) = run(&["policy", "explain", "--policy", &own, PAYMENT]);
    assert!(text.contains(r#"not: when { principal.nameTokens.contains("Ivan") }"#), "{text}");
    // The word of the other keyword in a text.
    let words = write(
        &folder.join("words.cedar"),
        r#"@id("one") forbid (principal, action, resource)
           when { resource has platformUserId && resource.platformUserId like "*unless*" };
           @id("two") forbid (principal, action, resource)
           unless { resource has platformUserId && resource.platformUserId != "when" };"#,
    );
    let (_, words) = run(&["policy", "explain", "--policy", &words, PAYMENT]);
    for condition in [r#"when { resource.platformUserId like "*unless*" }"#, "unless { "] {
        assert!(words.contains(&format!("not: {condition}")), "{condition}: {words}");
    }
    assert!(text.contains("failed: ") && text.contains("policy_error"), "{text}");

    let (success, text) = run(&["policy", "coverage", "--policy", SCREENING]);
    assert!(
        success
            && text.contains("known-institution      5")
            && text.contains("23 cases, 3 decided by no rule"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_in_a_folder_is_named_by_file_and_line() {
    let copy = screening("wrong-bundle");
    let path = copy.to_str().unwrap();
    let (_, text) = run(&["policy", "check", path]);
    assert!(text.contains("0 problems"), "{text}");
    let settings = |from: &str, to: &str| ("bundle.json", from.to_owned(), to.to_owned());
    let rules = |from: &str, to: &str| ("policy.cedar", from.to_owned(), to.to_owned());
    for ((file, from, to), expected) in [
        (
            ("lists/closed-countries.txt", "KP".into(), "KP\nNorth Korea".into()),
            "lists/closed-countries.txt: line 4: it is not a country",
        ),
        (
            ("lists/institutions.csv", ".other".into(), "https://other".into()),
            "lists/institutions.csv: line 3: it is not a domain",
        ),
        (
            ("lists/sanctions-identifiers.txt", "P-4471-990".into(), "".into()),
            "lists/sanctions-identifiers.txt: it has no entry",
        ),
        (settings("{\n", "{,\n"), "bundle.json: "),
        (settings("Europe/Berlin", "Europe/Bonn"), "bundle.json: \"Europe/Bonn\" is not a time zone"),
        (settings("\"timeZone\"", "\"timezone\""), "bundle.json: unknown field `timezone`"),
        (
            settings("\"timeZone\"", "\"timeZone\": \"UTC\", \"timeZone\""),
            "bundle.json: it has a duplicate field name",
        ),
        (settings("\"country\"", "\"countries\""), "bundle.json: unknown variant `countries`"),
        (
            settings("\"closed-countries\"", "\"closed\""),
            "lists/closed-countries.txt: bundle.json does not declare",
        ),
        (settings("\"closed-countries\"", "\"closed\""), "list `closed` has 0 files"),
        (
            settings(", \"column\": \"domain\"", ""),
            "lists/institutions.csv: bundle.json does not name its `column`",
        ),
        (
            settings("\"*\"] },\n    \"sanctions-id", "\"taxId\"] },\n    \"sanctions-id"),
            "cannot have the field \"taxId\"",
        ),
        (
            ("rates.json", "0.92".into(), "-0.92".into()),
            "rates.json: rate of \"USD\": it is not a number above 0",
        ),
        (("rates.json", "USD".into(), "usd".into()), "rates.json: \"usd\" is not a currency"),
        (("rates.json", "36h".into(), "soon".into()), "rates.json: `maxAge` is not a duration"),
        (
            rules("List::\"closed-countries\"", "List::\"closed\""),
            "policy.cedar: rule `closed-country`: the policy has no list `closed`",
        ),
        (
            rules(
                "principal in List::\"closed-countries\"",
                "principal, resource in List::\"closed-countries\", action",
            ),
            "policy.cedar: ",
        ),
        (
            rules(
                "forbid (principal in List::\"closed-countries\", action, resource)",
                "forbid (principal, action, resource in List::\"closed-countries\")",
            ),
            "a receiver is on no list of names or countries",
        ),
        (
            rules(
                "forbid (principal in List::\"closed-countries\", action, resource)",
                "forbid (principal, action, resource) when { principal.domain == \"a.example\" && List::\"closed-countries\" != List::\"x\" }",
            ),
            "a list is only at the right",
        ),
        // What is found by the check alone
        (
            rules(
                "forbid (principal in List::\"closed-countries\", action, resource);",
                "forbid (principal, action, resource) when { principal.countries.contains(\"KP\") };",
            ),
            "problem   no rule reads the list `closed-countries`",
        ),
        (
            rules("principal.countriesUnread", "principal.domain == \"x.example\""),
            "reads a list of countries but not `principal.countriesUnread`",
        ),
        (
            rules("@requires(\"FULL_NAME\")", "@requires(\"TAX_ID\")"),
            "rule `full-name`: @requires names TAX_ID, but the rule does not test `taxId`",
        ),
        (rules("> 1000000", "> 100000000"), "rule `large-payment`: it decides no case"),
        (
            rules("> 1000000", "> 100000000"),
            "case \"more than 10 000 EUR, in yen\": expected reject: too_large",
        ),
        (
            rules(
                "context.baseAmount > 1000000 }",
                "context.currency == \"EUR\" && context.amount > 1000000 || [\"USD\"].contains(context.currency) && context.baseAmount < 0 }",
            ),
            "USD has no cap: case \"a known institution\"",
        ),
    ] {
        let file = copy.join(file);
        let before = std::fs::read_to_string(&file).unwrap();
        assert!(before.contains(&from), "{from}");
        write(&file, &before.replacen(&from, &to, 1));
        let (success, text) = run(&["policy", "check", path]);
        assert!(!success && text.contains(expected), "{from} -> {to}\n{text}\n{expected}");
        write(&file, &before);
    }
    for (file, text, expected) in [
        (
            "lists/sanctions-names.txt",
            "Ada a.k.a. Bo",
            "list `sanctions-names`: line 1: the entry has another name",
        ),
        ("lists/sanctions-names.txt", "1\n2", "list `sanctions-names`: most of its entries have a digit"),
        (
            "lists/sanctions-identifiers.txt",
            "Ada",
            "list `sanctions-identifiers`: most of its entries have no digit",
        ),
        ("lists/sanctions-names.txt", "Jos\u{fffd}", "line 1: it has a control character"),
    ] {
        let before = std::fs::read_to_string(copy.join(file)).unwrap();
        write(&copy.join(file), text);
        let (success, printed) = run(&["policy", "check", path]);
        assert!(!success && printed.contains(expected), "{file}\n{printed}");
        write(&copy.join(file), &before);
    }
    for (file, expected) in [
        ("notes.txt", "notes.txt: a policy has no such file"),
        ("limits.json", "limits.json: expected value"),
        ("lists/more.xlsx", "lists/more.xlsx: a policy has no such file"),
        ("lists/more.txt", "lists/more.txt: bundle.json does not declare"),
        ("lists/institutions.txt", "list `institutions` has 2 files"),
    ] {
        write(&copy.join(file), "x");
        let (success, text) = run(&["policy", "check", path]);
        assert!(!success && text.contains(expected), "{file}\n{text}");
        std::fs::remove_file(copy.join(file)).unwrap();
    }
    std::fs::remove_file(copy.join("policy.cedar")).unwrap();
    let (success, text) = run(&["policy", "check", path]);
    assert!(!success && text.contains("policy.cedar: there is no such file"), "{text}");
}

#[test]
fn a_layer_is_the_same_bytes_for_the_same_files_and_its_hash_covers_every_file() {
    let copy = screening("pack");
    let path = copy.to_str().unwrap();
    let pack = |name: &str| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (success, text) = run(&["policy", "pack", path, "--out", out.to_str().unwrap()]);
        assert!(success && text.contains("APPROVAL_POLICY=/opt/policy"), "{text}");
        let hash = text.split("sha256 ").nth(1).unwrap()[..64].to_owned();
        (std::fs::read(out).unwrap(), hash)
    };
    let first = pack("first.zip");
    let cases = copy.join("cases/screening.json");
    let text = std::fs::read_to_string(&cases).unwrap();
    write(&cases, &text);
    assert!(first == pack("second.zip"), "the files' times do not count");
    let names = [
        "policy/policy.cedar",
        "policy/bundle.json",
        "policy/lists/sanctions-names.txt",
        "policy/cases/screening.json",
    ];
    for name in names {
        assert!(first.0.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
    }
    write(&cases, &format!("{text}\n"));
    let changed = pack("third.zip");
    assert!(changed.0 != first.0 && changed.1 != first.1);
    std::fs::rename(&cases, copy.join("cases/other.json")).unwrap();
    assert_ne!(pack("fourth.zip").1, changed.1);
}
