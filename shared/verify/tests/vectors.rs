//! The digests that Lightspark publishes, and properties that hold for every body and key.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use serde::Deserialize;
use webhook_verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Refusal, Scheme, Secrets, Verifier};

const HEX: Scheme = Scheme {
    header: "x-signature",
    form: HeaderForm::Hex,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Body],
};
const BASE64: Scheme = Scheme {
    header: "x-signature",
    form: HeaderForm::Base64,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::OptionalHeader("x-ref"), Part::Body, Part::Header("x-time")],
};

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret: String,
    body: String,
    signature_hex: String,
    valid: bool,
}

/// A header line.
type Header<'a> = (&'static str, &'a str);

fn delivery(body: impl Into<Vec<u8>>, headers: &[Header<'_>]) -> Delivery {
    let mut delivery = Delivery::new("/", body.into());
    for (name, value) in headers {
        delivery.headers.append(*name, value.parse().unwrap());
    }
    delivery
}

fn secrets(list: &str) -> Secrets {
    Secrets::parse_list(list).unwrap()
}

fn keys(list: &str) -> Keys {
    secrets(list).into()
}

#[test]
fn published_vectors() {
    let file: Vectors = serde_json::from_str(include_str!("hmac-sha256-hex.json")).unwrap();
    assert_eq!(file.vectors.iter().filter(|vector| vector.valid).count(), 3);
    for vector in file.vectors {
        let delivery = delivery(vector.body, &[("x-signature", &vector.signature_hex)]);
        let outcome = Verifier::new(HEX).verify(delivery, &keys(&vector.secret));
        assert_eq!(outcome.is_ok(), vector.valid, "{}", vector.name);
    }
}

#[test]
fn refusals() {
    let good = secrets("k").newest().sign(&HEX, &delivery("{}", &[])).unwrap();
    let header = "x-signature";
    let malformed = Refusal::Malformed { header, algorithm: Algorithm::HmacSha256 };
    let two_lines = [(header, good.as_str()), (header, good.as_str())];
    let cases: [(&str, &[Header<'_>], Option<Refusal>); 10] = [
        ("right", &[(header, &good)], None),
        ("absent", &[], Some(Refusal::Missing { header })),
        ("empty", &[(header, "")], Some(malformed)),
        ("truncated", &[(header, &good[..62])], Some(malformed)),
        ("odd", &[(header, &good[..63])], Some(malformed)),
        ("extended", &[(header, &*format!("{good}00").leak())], Some(malformed)),
        ("not hex", &[(header, "zz")], Some(malformed)),
        ("two lines", &two_lines, Some(Refusal::Repeated { header })),
        ("another digest", &[(header, &*"0".repeat(64).leak())], Some(Refusal::Mismatch { header })),
        ("joined", &[(header, &*format!("{good}, {good}").leak())], Some(Refusal::Repeated { header })),
    ];
    for (name, headers, refusal) in cases {
        assert_eq!(Verifier::new(HEX).verify(delivery("{}", headers), &keys("k")).err(), refusal, "{name}");
    }
}

#[test]
fn rotation_accepts_both_secrets_and_no_third() {
    let both = keys("new,old");
    for (secret, accepted) in [("new", true), ("old", true), ("older", false)] {
        let signature = secrets(secret).newest().sign(&HEX, &delivery("{}", &[])).unwrap();
        let outcome = Verifier::new(HEX).verify(delivery("{}", &[("x-signature", &signature)]), &both);
        assert_eq!(outcome.is_ok(), accepted, "{secret}");
    }
}

#[test]
fn headers_that_are_signed() {
    let key = secrets("k");
    let sign = |headers: &[(&'static str, &str)]| key.newest().sign(&BASE64, &delivery("{}", headers));
    assert_eq!(sign(&[]), Err(Refusal::Missing { header: "x-time" }));
    assert_eq!(sign(&[("x-time", "1"), ("x-time", "2")]), Err(Refusal::Repeated { header: "x-time" }));
    assert_eq!(sign(&[("x-time", "1, 2")]), Err(Refusal::Repeated { header: "x-time" }));
    assert_eq!(
        sign(&[("x-time", "1"), ("x-ref", "a"), ("x-ref", "b")]),
        Err(Refusal::Repeated { header: "x-ref" })
    );
    // an absent optional header signs as nothing, and a comma in it is text
    assert_eq!(sign(&[("x-time", "1")]), sign(&[("x-time", "1"), ("x-ref", "")]));
    assert!(sign(&[("x-time", "1"), ("x-ref", "a, b")]).is_ok());
    assert_ne!(sign(&[("x-time", "1")]), sign(&[("x-time", "2")]));
}

#[test]
fn a_second_signature_that_is_present_must_be_right() {
    const SECOND: Scheme = Scheme { header: "x-second", ..HEX };
    let key = secrets("k");
    let verify = |headers: &[Header<'_>]| {
        Verifier::new(HEX).and_when_present(SECOND).verify(delivery("{}", headers), &keys("k")).map(|_| ())
    };
    let first = key.newest().sign(&HEX, &delivery("{}", &[])).unwrap();
    let wrong = key.newest().sign(&SECOND, &delivery("{ }", &[])).unwrap();
    assert_eq!(verify(&[("x-signature", &first)]), Ok(()));
    assert_eq!(verify(&[("x-signature", &first), ("x-second", &first)]), Ok(()));
    let mismatch = Refusal::Mismatch { header: "x-second" };
    assert_eq!(verify(&[("x-signature", &first), ("x-second", &wrong)]), Err(mismatch));
}

proptest! {
    #[test]
    fn any_flipped_bit_in_the_body_fails(body in prop::collection::vec(any::<u8>(), 1..200), bit in any::<prop::sample::Index>()) {
        let key = secrets("k");
        let signature = key.newest().sign(&HEX, &delivery(body.clone(), &[])).unwrap();
        let mut changed = body.clone();
        let bit = bit.index(body.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        let verifier = Verifier::new(HEX);
        prop_assert!(verifier.verify(delivery(body, &[("x-signature", &signature)]), &keys("k")).is_ok());
        prop_assert!(verifier.verify(delivery(changed, &[("x-signature", &signature)]), &keys("k")).is_err());
    }

    #[test]
    fn any_flipped_bit_in_the_digest_fails(body in prop::collection::vec(any::<u8>(), 0..200), bit in 0usize..256) {
        let key = secrets("k");
        let signature = key.newest().sign(&HEX, &delivery(body.clone(), &[])).unwrap();
        let mut digest = hex::decode(signature).unwrap();
        digest[bit / 8] ^= 1 << (bit % 8);
        let delivery = delivery(body, &[("x-signature", &hex::encode(digest))]);
        let outcome = Verifier::new(HEX).verify(delivery, &keys("k"));
        prop_assert_eq!(outcome.err(), Some(Refusal::Mismatch { header: "x-signature" }));
    }

    #[test]
    fn no_header_panics(body in prop::collection::vec(any::<u8>(), 0..50), value in "[\\x20-\\x7e\\x80-\\xff]{0,100}") {
        for scheme in [HEX, BASE64] {
            let mut delivery = Delivery::new("/", body.clone());
            if let Ok(value) = http::HeaderValue::from_bytes(value.as_bytes()) {
                delivery.headers.insert("x-signature", value.clone());
                delivery.headers.insert("x-time", value);
            }
            prop_assert!(Verifier::new(scheme).verify(delivery, &keys("k")).is_err());
        }
    }
}
