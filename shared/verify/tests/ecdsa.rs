//! ECDSA: vectors of other implementations, public keys of every sort, and properties that hold for every
//! header.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use proptest::prelude::*;
use serde::Deserialize;
use webhook_verify::{
    Algorithm, Delivery, HeaderForm, Keys, Part, PublicKeyError, PublicKeys, Refusal, Scheme, Secrets,
    Verifier,
};

const HEADER: &str = "x-signature";
const ECDSA: Scheme = Scheme {
    header: HEADER,
    form: HeaderForm::JsonOrBase64,
    algorithm: Algorithm::EcdsaP256Sha256,
    signed: &[Part::Body],
};
const HMAC_HEX: Scheme = Scheme { form: HeaderForm::Hex, algorithm: Algorithm::HmacSha256, ..ECDSA };
const HMAC_BASE64: Scheme = Scheme { form: HeaderForm::Base64, ..HMAC_HEX };

/// A key pair for signing in these tests.
struct Signer(EcdsaKeyPair);

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), body).unwrap().as_ref().to_vec()
    }

    fn pem(&self) -> String {
        pem("PUBLIC KEY", self.0.public_key().as_der().unwrap().as_ref())
    }

    fn keys(&self) -> Keys {
        keys(&self.pem())
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

fn keys(pem: &str) -> Keys {
    PublicKeys::parse_pem(pem).unwrap().into()
}

fn secrets() -> Keys {
    Secrets::parse_list("key").unwrap().into()
}

fn verify(scheme: Scheme, body: impl Into<Vec<u8>>, lines: &[&[u8]], keys: &Keys) -> Result<(), Refusal> {
    let mut delivery = Delivery::new("/", body.into());
    for line in lines {
        delivery.headers.append(HEADER, HeaderValue::from_bytes(line).unwrap());
    }
    Verifier::new(scheme).verify(delivery, keys).map(|_| ())
}

#[derive(Deserialize)]
struct Vectors {
    keys: BTreeMap<String, String>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    by: String,
    key: String,
    body: String,
    header: String,
    refused: Option<String>,
}

#[test]
fn vectors_of_other_implementations() {
    let file: Vectors = serde_json::from_str(include_str!("ecdsa-p256-sha256.json")).unwrap();
    let all = keys(&file.keys.values().map(String::as_str).collect::<String>());
    for Vector { name, by, key, body, header, refused } in &file.vectors {
        let outcome = verify(ECDSA, body.as_str(), &[header.as_bytes()], &keys(&file.keys[key]));
        let refused = refused.as_deref();
        assert_eq!(outcome.err().map(|refusal| refusal.reason()), refused, "{by}: {name}");
        if refused.is_none() {
            assert_eq!(verify(ECDSA, body.as_str(), &[header.as_bytes()], &all), Ok(()), "{by}: {name}");
        }
    }
    let accepted = |by: &str| file.vectors.iter().filter(|it| it.by == by && it.refused.is_none()).count();
    assert!(["openssl", "cryptography", "ecdsa"].iter().all(|by| accepted(by) >= 7));
}

#[test]
fn refusals() {
    let good = SIGNER.sign(b"{}");
    let base64 = BASE64.encode(&good);
    let json = format!(r#"{{"v":"1","s":"{base64}"}}"#);
    let other = BASE64.encode(Signer::new().sign(b"{}"));
    let malformed = Refusal::Malformed { header: HEADER, algorithm: Algorithm::EcdsaP256Sha256 };
    let other_scheme = Refusal::OtherScheme {
        header: HEADER,
        found: Algorithm::HmacSha256,
        configured: Algorithm::EcdsaP256Sha256,
    };
    let repeated = Refusal::Repeated { header: HEADER };
    let mismatch = Refusal::Mismatch { header: HEADER };
    for (name, lines, expected) in [
        ("base64", vec![base64.clone()], Ok(())),
        ("JSON", vec![json.clone()], Ok(())),
        ("no header", vec![], Err(Refusal::Missing { header: HEADER })),
        ("empty", vec![String::new()], Err(malformed)),
        ("two lines", vec![json.clone(), json.clone()], Err(repeated)),
        ("two objects in one line", vec![format!("{json}, {json}")], Err(repeated)),
        ("base64 twice in one line", vec![format!("{base64},{base64}")], Err(repeated)),
        ("an object and base64", vec![format!("{json},{base64}")], Err(repeated)),
        ("another key", vec![other], Err(mismatch)),
        (
            "another version",
            vec![json.replace("\"1\"", "2")],
            Err(Refusal::UnknownVersion { header: HEADER }),
        ),
        ("hexadecimal", vec![hex::encode(&good)], Err(malformed)),
        ("base64 without padding", vec![base64.trim_end_matches('=').to_owned() + "A"], Err(malformed)),
        ("33,000 characters", vec!["A".repeat(33_000)], Err(malformed)),
        ("33,000 brackets", vec!["{\"v\":".repeat(6_600)], Err(malformed)),
        ("a digest in hexadecimal", vec!["0f".repeat(32)], Err(other_scheme)),
        ("a digest in upper case", vec!["0F".repeat(32)], Err(other_scheme)),
        ("a digest in base64", vec![BASE64.encode([7; 32])], Err(other_scheme)),
        ("a digest in JSON", vec![json.replace(&base64, &BASE64.encode([7; 32]))], Err(other_scheme)),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        assert_eq!(verify(ECDSA, "{}", &lines, &SIGNER.keys()), expected, "{name}");
    }
}

/// The other way round: the sender signs with ECDSA, and a shared secret is configured.
#[test]
fn a_scheme_with_a_shared_secret_tells_a_public_key_signature_apart() {
    let base64 = BASE64.encode(SIGNER.sign(b"{}"));
    let json = format!(r#"{{"v":"1","s":"{base64}"}}"#);
    let deep = format!("{{\"a\":{}", "[".repeat(33_000));
    for scheme in [HMAC_HEX, HMAC_BASE64] {
        for (text, expected) in [
            (json.as_str(), "other_scheme"),
            (base64.as_str(), "other_scheme"),
            (r#"{"v":"2","s":"in another form"}"#, "other_scheme"),
            (r#"{"signature":""}"#, "other_scheme"),
            ("{}", "other_scheme"),
            (&format!("{json},{json}"), "repeated"),
            (&format!("{base64},{base64}"), "repeated"),
            ("{", "malformed"),
            ("", "malformed"),
            ("AQI=", "malformed"),
            ("[]", "malformed"),
            (&deep, "malformed"),
            (&"A".repeat(33_000), "malformed"),
        ] {
            let refusal = verify(scheme, "{}", &[text.as_bytes()], &secrets()).unwrap_err();
            assert_eq!(refusal.reason(), expected, "{scheme:?} {text:.60}");
        }
        let lines = [json.as_bytes(), json.as_bytes()];
        assert_eq!(verify(scheme, "{}", &lines, &secrets()), Err(Refusal::Repeated { header: HEADER }));
    }
    let refusal = verify(HMAC_HEX, "{}", &[json.as_bytes()], &secrets()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the x-signature header looks like an ECDSA P-256 signature, but the scheme takes a SHA-256 digest"
    );
}

#[test]
fn rotation_accepts_both_keys_and_no_third() {
    let [new, old, older] = [Signer::new(), Signer::new(), Signer::new()];
    let both = PublicKeys::parse_pem(&(new.pem() + &old.pem())).unwrap();
    assert_eq!(both.iter().next(), PublicKeys::parse_pem(&new.pem()).unwrap().iter().next());
    assert_eq!(both.iter().count(), 2);
    for (signer, accepted) in [(&new, true), (&old, true), (&older, false)] {
        let header = BASE64.encode(signer.sign(b"{}"));
        let outcome = verify(ECDSA, "{}", &[header.as_bytes()], &both.clone().into());
        assert_eq!(outcome.is_ok(), accepted);
    }
}

/// A number, a message, a signature in DER, and `valid`, `invalid` or `acceptable`.
type WycheproofTest = (u32, String, String, String);

#[derive(Deserialize)]
struct WycheproofGroup {
    key: String,
    tests: Vec<WycheproofTest>,
}

#[test]
fn wycheproof() {
    #[derive(Deserialize)]
    struct Vectors {
        groups: Vec<WycheproofGroup>,
    }
    let vectors: Vectors = serde_json::from_str(include_str!("wycheproof-ecdsa-p256-sha256.json")).unwrap();
    let decoded = |text: &str| BASE64.decode(text).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for WycheproofGroup { key, tests } in vectors.groups {
        let keys = keys(&pem("PUBLIC KEY", &decoded(&key)));
        for (number, message, signature, result) in tests {
            let mut delivery = Delivery::new("/", decoded(&message));
            delivery.headers.insert(HEADER, HeaderValue::from_str(&signature).unwrap());
            let verified = Verifier::new(ECDSA).verify(delivery, &keys).is_ok();
            assert_eq!(verified, result == "valid", "{number}: {result}");
            if verified { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 100 && invalid > 100, "{valid} valid, {invalid} invalid");
}

#[test]
fn keys_of_the_other_sort_verify_nothing() {
    let mismatch = Err(Refusal::Mismatch { header: HEADER });
    let signature = BASE64.encode(SIGNER.sign(b"{}"));
    assert_eq!(verify(ECDSA, "{}", &[signature.as_bytes()], &secrets()), mismatch);
    let secret = Secrets::parse_list("key").unwrap();
    let delivery = Delivery::new("/", "{}");
    let digest = secret.newest().sign(&HMAC_HEX, &delivery).unwrap();
    assert_eq!(verify(HMAC_HEX, "{}", &[digest.as_bytes()], &SIGNER.keys()), mismatch);
    // A public key cannot be a secret: anybody could compute this HMAC.
    assert!(Secrets::parse_list(&SIGNER.pem()).is_err());
    assert_eq!(secret.newest().sign(&ECDSA, &delivery).unwrap_err().reason(), "other_scheme");
}

#[derive(Deserialize)]
struct OtherKeys {
    accepted: BTreeMap<String, String>,
    refused: BTreeMap<String, OtherKey>,
}

#[derive(Deserialize)]
struct OtherKey {
    found: String,
    pem: String,
}

#[test]
fn public_keys_of_every_sort() {
    let file: OtherKeys = serde_json::from_str(include_str!("public-keys.json")).unwrap();
    for (name, pem) in &file.accepted {
        assert!(PublicKeys::parse_pem(pem).is_ok(), "{name}");
    }
    for (name, OtherKey { found, pem }) in &file.refused {
        let error = PublicKeys::parse_pem(&(SIGNER.pem() + pem)).unwrap_err();
        let expected = format!("PEM block 2 holds {found}, and has to hold a key on the curve P-256");
        assert_eq!(error.to_string(), expected, "{name}");
    }
}

#[test]
fn texts_with_public_keys() {
    use PublicKeyError::{Empty, NotBase64, NotOnCurve, NotPem, NotPublicKeyInfo, OtherKind, Unfinished};
    let good = SIGNER.pem();
    let der = SIGNER.0.public_key().as_der().unwrap().as_ref().to_vec();
    let block = 2;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut der = der.clone();
        change(&mut der);
        good.clone() + &pem("PUBLIC KEY", &der)
    };
    let labelled = |label| good.clone() + &pem(label, &der);
    let other = |found| Err(OtherKind { block, found });
    for (name, text, expected) in [
        ("one", good.clone(), Ok(1)),
        ("three", good.repeat(3), Ok(3)),
        ("line ends of Windows", good.replace('\n', "\r\n"), Ok(1)),
        ("line ends that became spaces", (good.clone() + &good).replace('\n', " "), Ok(2)),
        ("no line ends", (good.clone() + &good).replace('\n', ""), Ok(2)),
        ("a byte order mark", format!("\u{feff}\n{good}\u{200b}"), Ok(1)),
        ("nothing", String::new(), Err(Empty)),
        ("white space", " \n\u{feff}".to_owned(), Err(Empty)),
        ("no PEM", BASE64.encode(&der), Err(NotPem { block: 1 })),
        ("text before", format!("key: {good}"), Err(NotPem { block: 1 })),
        ("text between", format!("{good},{good}"), Err(NotPem { block })),
        ("text after", format!("{good}x"), Err(NotPem { block })),
        ("escaped line ends", good.replace('\n', "\\n"), Err(NotBase64 { block: 1 })),
        ("a cut beginning", good.clone() + "-----BEGIN PUBLIC KEY", Err(NotPem { block })),
        ("a cut block", good.clone() + &good[..80], Err(Unfinished { block })),
        ("a cut end", good.clone() + good.trim_end().trim_end_matches('-'), Err(Unfinished { block })),
        ("a cut first block", good[..80].to_owned() + "\n" + &good, Err(Unfinished { block: 1 })),
        ("a missing character", good.clone() + &good.replacen('A', "", 1), Err(NotBase64 { block })),
        ("a private key", labelled("PRIVATE KEY"), other("a private key, which must stay with the sender")),
        ("SEC 1", labelled("EC PRIVATE KEY"), other("a private key, which must stay with the sender")),
        (
            "encrypted",
            labelled("ENCRYPTED PRIVATE KEY"),
            other("a private key, which must stay with the sender"),
        ),
        ("a certificate", labelled("CERTIFICATE"), other("a certificate")),
        ("a request", labelled("CERTIFICATE REQUEST"), other("a certificate request")),
        ("PKCS #1", labelled("RSA PUBLIC KEY"), other("an RSA public key")),
        ("parameters", labelled("EC PARAMETERS"), other("a set of parameters without a key")),
        ("another block", labelled("X"), other("of another kind")),
        ("empty block", with(&|der| der.clear()), Err(NotPublicKeyInfo { block })),
        ("a byte less", with(&|der| der.truncate(90)), Err(NotPublicKeyInfo { block })),
        ("a byte more", with(&|der| der.push(0)), Err(NotPublicKeyInfo { block })),
        ("the point alone", with(&|der| drop(der.drain(..26))), Err(NotPublicKeyInfo { block })),
        ("another point", with(&|der| der[90] ^= 1), Err(NotOnCurve { block })),
        ("zeros", with(&|der| der[27..].fill(0)), Err(NotOnCurve { block })),
        (
            "infinity",
            with(&|der| {
                der.truncate(26);
                der[1] = 0x18;
                der[24] = 2;
                der.push(0);
            }),
            Err(NotPublicKeyInfo { block }),
        ),
    ] {
        assert_eq!(PublicKeys::parse_pem(&text).map(|keys| keys.iter().count()), expected, "{name}");
    }
}

#[test]
fn a_key_is_shown_by_its_digest() {
    let shown = format!("{:?}", SIGNER.keys());
    let der = SIGNER.0.public_key().as_der().unwrap();
    assert!(shown.contains("PublicKey(") && !shown.contains(&hex::encode(&der.as_ref()[40..50])), "{shown}");
}

/// Headers that are nearly right, and headers of any bytes.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "\"v\"",
        "\"s\"",
        "\"version\"",
        "\"signature\"",
        ":",
        ",",
        "1",
        "\"1\"",
        "2",
        "null",
        "\"MEQCIA==\"",
        "MEUCIQ",
        "AA==",
        "[",
        "]",
        " ",
        "\\u0031",
        "\u{e9}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|der| BASE64.encode(der).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #[test]
    fn no_header_panics_or_verifies(header in headers(), body in prop::collection::vec(any::<u8>(), 0..50)) {
        if HeaderValue::from_bytes(&header).is_ok() {
            for (scheme, keys) in [(ECDSA, SIGNER.keys()), (HMAC_HEX, secrets()), (HMAC_BASE64, secrets())] {
                prop_assert!(verify(scheme, body.clone(), &[&header], &keys).is_err());
            }
        }
    }

    #[test]
    fn no_text_panics(text in "(-----(BEGIN|END) (PUBLIC|PRIVATE) KEY-----|[A-Za-z0-9+/=\n]{0,30}|\\PC){0,8}") {
        let _ = PublicKeys::parse_pem(&text);
    }

    #[test]
    fn no_bytes_of_a_key_panic(der in prop::collection::vec(any::<u8>(), 0..100), at in any::<prop::sample::Index>()) {
        let _ = PublicKeys::parse_pem(&pem("PUBLIC KEY", &der));
        let mut damaged = SIGNER.0.public_key().as_der().unwrap().as_ref().to_vec();
        let at = at.index(damaged.len());
        damaged.splice(at.., der);
        let _ = PublicKeys::parse_pem(&pem("PUBLIC KEY", &damaged));
    }

    #[test]
    fn any_flipped_bit_fails(body in prop::collection::vec(any::<u8>(), 1..200), bit in any::<prop::sample::Index>()) {
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let signature = SIGNER.sign(&body);
        let check = |body: &[u8], signature: &[u8]| {
            verify(ECDSA, body, &[BASE64.encode(signature).as_bytes()], &SIGNER.keys())
        };
        prop_assert!(check(&body, &signature).is_ok());
        prop_assert_eq!(check(&flipped(&body), &signature), Err(Refusal::Mismatch { header: HEADER }));
        prop_assert!(check(&body, &flipped(&signature)).is_err());
    }
}
