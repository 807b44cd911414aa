//! Checks the properties that the fuzz targets check too, but on stable Rust: with every fixture, with
//! fixtures in which one place was changed, and with random inputs.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use tests::properties;

/// The fixtures of a folder of `events/`.
fn fixtures(folder: &str) -> Vec<Vec<u8>> {
    let folder = local_stack::root().join("events").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| Path::is_file(file)).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Unexpected texts to put into a body.
static ODD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut odd: Vec<String> = [
        "null",
        "{}",
        "[]",
        "\"\"",
        "0",
        "-1",
        "1.5",
        "1e999",
        "true",
        "\"PENDING\"",
        "\"COMPLETED\"",
        "\"INCOMING_PAYMENT\"",
        "\"INCOMING_PAYMENT_V2\"",
        "\"INCOMING_PAYMENT.PENDING\"",
        r#"{"paymentRail":"SWIFT"}"#,
        "\"KP\"",
        "\" \"",
        r#""\ud800""#,
        r#""\u0000""#,
        "\u{0}",
        "\u{fffe}",
        "\"\u{fffe}\"",
        "\"\u{1f4b8}\"",
        r#""webhookId":"2","#,
        r#""status":"PENDING","#,
        r#""fullName":null,"#,
        r#""FULL_NAME":"Ada","#,
        r#","data":{"a":1}"#,
        r#","decision":"approve","#,
    ]
    .map(str::to_owned)
    .into();
    odd.extend(["9".repeat(400), "[".repeat(5000), format!("{}{}", "[".repeat(5000), "]".repeat(5000))]);
    odd.push(format!("\"{}\"", "x".repeat(40_000)));
    odd
});

/// Fixtures in which a few bytes or a whole value are replaced by an unexpected text, and random inputs.
fn inputs(folder: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let changed = (prop::sample::select(fixtures(folder)), any::<(prop::sample::Index, bool)>(), 0..9usize);
    let odd = prop_oneof![prop::sample::select(ODD.clone()), "\\PC{0,9}"].prop_map(String::into_bytes);
    let changed = (changed, odd).prop_map(|((mut body, (place, whole), length), odd)| {
        let range = if whole {
            let values = values(&body);
            values[place.index(values.len())].clone()
        } else {
            let start = place.index(body.len());
            start..(start + length).min(body.len())
        };
        body.splice(range, odd);
        body
    });
    prop_oneof![
        6 => changed,
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => "[\\[\\]{}\":,0-9a-z\n ]{0,60}".prop_map(String::into_bytes),
    ]
}

/// The ranges of a fixture's values: each from after a colon to the next comma, closing brace or line end.
fn values(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    let starts = (0..body.len() - 1).filter(|at| &body[*at..at + 2] == b": ").map(|at| at + 2);
    starts
        .map(|start| {
            let rest = &body[start..];
            start..start + rest.iter().position(|byte| b",}\n".contains(byte)).unwrap_or(rest.len())
        })
        .collect()
}

#[test]
fn the_properties_hold_for_every_fixture() {
    for folder in ["umaaas", "weavr", "grid", "umaaas/gateway"] {
        for fixture in fixtures(folder) {
            properties::umaaas(&fixture);
            properties::weavr(&fixture);
            properties::grid(&fixture);
            properties::gateway(&fixture);
            properties::envelope(&fixture);
            properties::headers(&fixture);
        }
    }
}

/// A policy reads a name however it is spelt, so a payment may be approved with any of these.
#[test]
fn of_names_spelt_otherwise() {
    let payment =
        fs::read_to_string(local_stack::root().join("events/umaaas/incoming_payment.json")).unwrap();
    for name in ["fullNam#e", "fu1lName", "fuI|Name", "FULL NARNE", "f\u{fa}llName"] {
        let spelt = payment.replace("fullName", name);
        assert_ne!(spelt, payment);
        properties::umaaas(spelt.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn headers(
        made_up in "[0-9a-fA-F]{64}|[A-Za-z0-9+/]{43}=|\\PC{0,70}",
        published in "[0-9]{0,14}|[0-9]{9,20},[0-9]{3}|\\PC{0,20}",
        call_ref in "\\PC{0,300}",
    ) {
        properties::headers(format!("{made_up}\n{published}\n{call_ref}").as_bytes());
    }

    #[test]
    fn envelope(
        fields in prop::array::uniform5("[^\n]{0,30}|[\\x00-\\x09\\x0b-\\x1f\u{fffe}\u{ffff}\\\\\"]{0,9}"),
        time in "[0-9]{0,15}|\\PC{0,9}",
        body in inputs("weavr"),
    ) {
        let mut input = format!("{}\n{time}\n", fields.join("\n")).into_bytes();
        input.extend(body);
        properties::envelope(&input);
    }

    #[test]
    fn umaaas(body in inputs("umaaas")) {
        properties::umaaas(&body);
    }

    #[test]
    fn grid(body in inputs("grid")) {
        properties::grid(&body);
    }

    #[test]
    fn weavr(body in inputs("weavr")) {
        properties::weavr(&body);
    }

    #[test]
    fn gateway(event in inputs("umaaas/gateway")) {
        properties::gateway(&event);
    }
}
