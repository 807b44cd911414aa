//! Tests the two signatures of UMAaaS, and the settings that choose between them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws::Environment;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ingest::{Outcome, Provider};
use verify::{Delivery, Keys, PublicKeys, Secrets};
use webhook_umaaas::{PUBLIC_KEYS, SECRETS, SIGNATURE, SIGNATURE_ECDSA, Signing, Umaaas};

const BODY: &str = include_str!("../../../events/umaaas/test.json");

/// A delivery with the signature of a private key, and the key that verifies it.
fn by_private_key() -> (Delivery, Keys) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", BASE64.encode(der.as_ref()));
    let signature = BASE64.encode(key.sign(&SystemRandom::new(), BODY.as_bytes()).unwrap());
    let mut delivery = Delivery::new("/umaaas", BODY);
    let header = format!(r#"{{"v":"1","s":"{signature}"}}"#);
    delivery.headers.insert(SIGNATURE_ECDSA.header, header.parse().unwrap());
    (delivery, PublicKeys::parse_pem(&pem).unwrap().into())
}

/// A delivery with the signature of a secret, and the secret.
fn by_secret() -> (Delivery, Keys) {
    let secrets = Secrets::parse_list("key").unwrap();
    let mut delivery = Delivery::new("/umaaas", BODY);
    let signature = secrets.newest().sign(&SIGNATURE, &delivery).unwrap();
    delivery.headers.insert(SIGNATURE.header, signature.parse().unwrap());
    (delivery, secrets.into())
}

#[test]
fn each_signature_verifies_where_it_is_chosen_and_is_named_where_it_is_not() {
    let umaaas = |signing| Umaaas::new(None, None).signing(signing);
    for (chosen, other, (own, keys), (others, _)) in [
        (Signing::Hmac, Signing::Ecdsa, by_secret(), by_private_key()),
        (Signing::Ecdsa, Signing::Hmac, by_private_key(), by_secret()),
    ] {
        assert!(umaaas(chosen).verify(own.clone(), &keys).is_ok(), "{chosen:?}");
        for (provider, delivery) in [(umaaas(chosen), others), (umaaas(other), own)] {
            let Err(Outcome::Refused(refusal)) = provider.verify(delivery, &keys) else {
                panic!("{chosen:?} accepts the other signature");
            };
            assert_eq!(refusal.reason(), "other_scheme", "{chosen:?}");
        }
    }
}

#[test]
fn the_setting_chooses_the_variables_with_the_keys() {
    let keys = |value: &'static str| {
        let environment = Environment::from_lookup(move |name| {
            (name == "UMAAAS_SIGNATURE" && !value.is_empty()).then(|| value.to_owned())
        });
        Signing::keys(&environment).map(|keys| (keys.list.name, keys.arn.name))
    };
    let (hmac, ecdsa) =
        ((SECRETS.list.name, SECRETS.arn.name), (PUBLIC_KEYS.list.name, PUBLIC_KEYS.arn.name));
    assert_eq!((keys("").unwrap(), keys("hmac").unwrap(), keys("ecdsa").unwrap()), (hmac, hmac, ecdsa));
    assert_eq!(keys("HMAC").unwrap_err().to_string(), "UMAAAS_SIGNATURE is wrong: hmac or ecdsa");
}
