//! Why a captured request does not verify. The request is checked as the function does it. When that fails,
//! the mistakes that are usually made with keys, bodies, signed contents and encodings are tried, one and two
//! at a time, until the signature fits.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use ingest::{Object, any_time};
use jiff::{SignedDuration, Timestamp};
use local_stack::keys::SigningKey;
use local_stack::senders::{SENDERS, Sender};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use verify::{Algorithm, Delivery, HeaderForm, Keys, Refusal, Scheme, Stale, Tolerance, Verifier};

use crate::json_text::{self, Node};
use crate::print::span;
use crate::secret_options::{KeyMaterial, SecretTexts};

/// Weavr's header with the time of sending.
const TIMESTAMP: &str = "published-timestamp";
/// Weavr's header with the caller's reference.
const CALL_REF: &str = "call-ref";

/// Bodies that are larger are tried with one mistake at a time.
const LARGE: usize = 64 * 1024;

/// How many characters of a cut signature have to fit.
const CUT_SIGNATURE: usize = 16;

/// Which signature of Weavr has to be there: `WEAVR_SIGNATURE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Demand {
    V1,
    #[default]
    V2,
}

/// A request as it was captured, and what it is checked with.
pub(crate) struct Capture<'a> {
    pub provider: &'a Sender,
    pub demand: Demand,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// When the request arrived, and how old it may have been then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    pub received_at: Timestamp,
    pub tolerance: Option<SignedDuration>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Diagnosis {
    /// Whether the function would take it for genuine, and fresh.
    pub verifies: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// A name that stays, for scripts.
    pub reason: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: &'static str,
}

fn reason(reason: &'static str, found: impl Into<String>, advice: &'static str) -> Reason {
    Reason { reason, found: found.into(), advice }
}

const RAW_BODY: &str = "check the bytes as they arrived, before anything parses or prints them (a capture \
    that was \
    formatted, or saved by an editor, cannot verify)";
const ASK_KEY: &str = "compare the secret at the provider with the one here; put in the right one, without \
    white space or quotes";
const ASK_SCHEME: &str = "sign what the provider's documentation says; `cargo webhooks sign` shows it";
const ASK_FORM: &str =
    "write the signature as the provider's documentation says; `cargo webhooks sign` shows it";

/// Says whether a request verifies, and why not.
pub(crate) fn diagnose(capture: &Capture<'_>, material: &KeyMaterial, freshness: Freshness) -> Diagnosis {
    let keys = material.keys();
    let schemes = capture.schemes(&keys);
    let delivery = capture.delivery();
    let mut verifier = Verifier::new(schemes[0]);
    if let (Demand::V1, Some(second)) = (capture.demand, schemes.get(1)) {
        verifier = verifier.and_when_present(*second);
    }
    match verifier.verify(delivery.clone(), &keys) {
        Ok(_) => {
            let (reasons, mut notes) = capture.age(freshness);
            let (count, noun) = material.count();
            if count > 1 {
                let alone = |keys: &Keys| schemes[0].check(&delivery, keys).is_ok();
                let place = material.each().iter().position(alone).unwrap_or_default() + 1;
                notes.push(format!("{noun} {place} of {count} signed it"));
            }
            Diagnosis { verifies: reasons.is_empty(), reasons, notes }
        }
        Err(refusal) => {
            // The first signature that is not as it should be.
            let first = schemes.iter().find(|scheme| scheme.check(&delivery, &keys).is_err());
            let scheme = first.unwrap_or(&schemes[0]);
            let reasons = capture.refused(scheme, refusal, material, &keys);
            Diagnosis { verifies: false, reasons, notes: vec![] }
        }
    }
}

impl Capture<'_> {
    /// The signature that is demanded, and the other one, if the provider has two.
    fn schemes(&self, keys: &Keys) -> Vec<Scheme> {
        match (self.provider.name, self.demand, keys) {
            ("weavr", Demand::V1, _) => vec![weavr::SIGNATURE_V1, weavr::SIGNATURE_V2],
            ("weavr", Demand::V2, _) => vec![weavr::SIGNATURE_V2, weavr::SIGNATURE_V1],
            ("grid", ..) => vec![grid::SIGNATURE],
            (_, _, Keys::EcdsaP256(_)) => vec![umaaas::SIGNATURE_ECDSA],
            _ => vec![umaaas::SIGNATURE],
        }
    }

    fn delivery(&self) -> Delivery {
        let mut delivery = Delivery::new("/", self.body.clone());
        delivery.headers = self.headers.clone();
        delivery
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How old a genuine request is, and whether that is too old.
    fn age(&self, freshness: Freshness) -> (Vec<Reason>, Vec<String>) {
        let (name, text) = if self.provider.name == "weavr" {
            (TIMESTAMP, self.header(TIMESTAMP).map(str::to_owned))
        } else {
            ("timestamp", Object::parse(&self.body).and_then(|body| body.text_or_digits("timestamp")))
        };
        if Object::parse(&self.body).is_none() {
            let advice = "a function answers 400: it takes JSON objects only";
            return (vec![], vec![format!("the body is not a JSON object: {advice}")]);
        }
        let Some(text) = text else { return (vec![], vec![format!("`{name}` is missing")]) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if name == TIMESTAMP && !digits {
            return (vec![], vec![format!("`{name}` is not a number: a function answers 400")]);
        }
        let Some(sent) = any_time(&text) else {
            return (vec![], vec![format!("`{name}` is no time that can be read: it is not checked")]);
        };
        let Freshness { received_at, tolerance } = freshness;
        let age = sent.duration_until(received_at);
        let found = if age.is_negative() {
            format!("`{name}` is {} after the time of arrival, {received_at}", ago(age))
        } else {
            format!("`{name}` is {} before the time of arrival, {received_at}", ago(age))
        };
        let Some(tolerance) = tolerance else {
            return (vec![], vec![format!("{found}; give --tolerance to check that")]);
        };
        let stale = "a replay, a tolerance that is shorter than the provider's retries, or a wrong clock";
        match Tolerance(tolerance).check(sent, received_at, received_at) {
            Ok(()) => (vec![], vec![found]),
            Err(Stale::TooOld) => {
                let found = format!("{found}; the tolerance is {}", ago(tolerance));
                (vec![reason("stale", found, stale)], vec![])
            }
            Err(Stale::InTheFuture) => {
                (vec![reason("future", found, "one of the two clocks is wrong: compare both")], vec![])
            }
        }
    }

    fn refused(&self, scheme: &Scheme, refusal: Refusal, material: &KeyMaterial, keys: &Keys) -> Vec<Reason> {
        match refusal {
            Refusal::Missing { header } => vec![self.missing(header, scheme, keys)],
            Refusal::Repeated { header } => {
                let advice = "a function refuses it, because it is unknown which one was signed: find out \
                    what adds the \
                              second one (a proxy, or a tool that signs again)";
                vec![reason(
                    "header_repeated",
                    format!("the header `{header}` occurs more than once"),
                    advice,
                )]
            }
            _ => {
                let found = match material {
                    KeyMaterial::Secrets(secrets) => self
                        .search(scheme, secrets, keys)
                        .or_else(|| self.key_of_first_signature(scheme, secrets)),
                    KeyMaterial::Public(_) | KeyMaterial::Private(_) => {
                        self.search_public(scheme, refusal, keys)
                    }
                };
                found.unwrap_or_else(|| vec![self.unexplained(scheme, refusal, keys)])
            }
        }
    }

    fn missing(&self, header: &'static str, scheme: &Scheme, keys: &Keys) -> Reason {
        if header == TIMESTAMP {
            let advice = "Weavr signs this header's text: capture all headers";
            return reason("timestamp_missing", format!("the header `{header}` is missing"), advice);
        }
        if let Some(other) = SENDERS.iter().find(|other| {
            other.name != self.provider.name
                && signature_headers(other).iter().any(|name| self.headers.contains_key(*name))
        }) {
            let found = format!("the header `{header}` is missing, and one of {} is there", other.name);
            return reason("wrong_provider", found, "name the provider that sent it");
        }
        if scheme.header == weavr::SIGNATURE_V2.header
            && weavr::SIGNATURE_V1.check(&self.delivery(), keys).is_ok()
        {
            let found = "only `signature` was sent. It is right, but covers neither body nor path";
            let advice = "ask Weavr for signature-v2; only a function with WEAVR_SIGNATURE=v1 takes this";
            return reason("wrong_scheme", found, advice);
        }
        let bare = |name: &str| name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let like = self.headers.keys().find(|name| {
            let name = bare(name.as_str());
            name.contains("signature") || bare(header).ends_with(&name) || bare(header) == name
        });
        let found = match like {
            Some(name) => format!("the header `{header}` is missing; `{name}` is there"),
            None => format!("the header `{header}` is missing"),
        };
        let advice = "capture all headers; if the provider really did not send it, ask how it signs";
        reason("signature_missing", found, advice)
    }

    /// The mistakes with which the signature fits.
    fn search(&self, scheme: &Scheme, secrets: &SecretTexts, all: &Keys) -> Option<Vec<Reason>> {
        let texts = self.signature_texts(scheme, all);
        let (keys, bodies, contents) = (keys(secrets), bodies(&self.body), self.contents(scheme));
        let most = if self.body.len() > LARGE { 1 } else { 2 };
        for mistakes in 0..=most {
            for key in &keys {
                for body in &bodies {
                    for content in &contents {
                        let made = [&key.reason, &body.reason, &content.reason];
                        if made.iter().filter(|reason| reason.is_some()).count() != mistakes {
                            continue;
                        }
                        let Some(signed) = (content.value)(self, &body.value) else { continue };
                        let mac = mac(&key.value, &signed);
                        // The other header has the other signature, which is as it should be.
                        let own =
                            texts.iter().filter(|text| text.other.is_none() || content.reason.is_none());
                        if let Some(form) = own.into_iter().find_map(|text| text.fits(scheme.form, &mac)) {
                            let reasons: Vec<Reason> =
                                made.into_iter().cloned().chain([form]).flatten().collect();
                            return (!reasons.is_empty()).then_some(reasons);
                        }
                    }
                }
            }
        }
        None
    }

    /// The mistakes with which a signature of a private key fits. Nobody but the provider can sign, so a signature that
    /// fits proves what was signed.
    fn search_public(&self, scheme: &Scheme, refusal: Refusal, keys: &Keys) -> Option<Vec<Reason>> {
        let text = self.header(scheme.header)?;
        let signatures = signatures(text);
        let local = SigningKey::local().keys();
        let local_reason = || {
            let found = "the key was the private key of `cargo dev`";
            reason("wrong_secret", found, "this is no webhook of the provider: it came from a local stack")
        };
        for body in bodies(&self.body) {
            for (content, found) in [
                (body.value.clone(), None),
                (
                    Sha256::digest(&body.value).to_vec(),
                    Some("the SHA-256 of the body was signed, not the body"),
                ),
                (
                    hex::encode(Sha256::digest(&body.value)).into_bytes(),
                    Some("the SHA-256 of the body in hexadecimal was signed, not the body"),
                ),
            ] {
                for signature in &signatures {
                    let mut delivery = Delivery::new("/", content.clone());
                    let Ok(header) = format!(r#"{{"v":"1","s":"{}"}}"#, signature.value).parse() else {
                        continue;
                    };
                    delivery.headers.insert(scheme.header, header);
                    for (keys, other) in [(keys, None), (&local, Some(local_reason()))] {
                        if scheme.check(&delivery, keys).is_err() {
                            continue;
                        }
                        let content = found.map(|found| reason("wrong_scheme", found, ASK_SCHEME));
                        let made = [other, body.reason.clone(), content, signature.reason.clone()];
                        let mut reasons: Vec<Reason> = made.into_iter().flatten().collect();
                        if reasons.is_empty() {
                            let found = match refusal {
                                Refusal::UnknownVersion { .. } => "the version in the header is not 1",
                                _ => "the header has the signature, but not under the documented names",
                            };
                            reasons.push(reason("wrong_encoding", found, ASK_FORM));
                        }
                        return Some(reasons);
                    }
                }
            }
        }
        None
    }

    /// Weavr: the mistake with the key, by the first signature, which no body can spoil.
    fn key_of_first_signature(&self, scheme: &Scheme, secrets: &SecretTexts) -> Option<Vec<Reason>> {
        if scheme.header != weavr::SIGNATURE_V2.header {
            return None;
        }
        let (first, timestamp) = (self.header(weavr::SIGNATURE_V1.header)?, self.header(TIMESTAMP)?);
        let text = SignatureText { text: first.to_owned(), other: None };
        let made = |key: &Variation<Vec<u8>>| {
            text.fits(weavr::SIGNATURE_V1.form, &mac(&key.value, timestamp.as_bytes())).is_some()
        };
        let key = keys(secrets).into_iter().find(made)?.reason?;
        let found = "`signature` says so, and `signature-v2` does not fit this key either";
        Some(vec![key, reason("body_altered", found, RAW_BODY)])
    }

    /// What may be the signature: the header's text, and that of the provider's other header.
    fn signature_texts(&self, scheme: &Scheme, keys: &Keys) -> Vec<SignatureText> {
        let own = self.header(scheme.header).map(|text| SignatureText { text: text.to_owned(), other: None });
        let others = self.schemes(keys).into_iter().filter(|other| other.header != scheme.header);
        let others = others.filter_map(|other| {
            Some(SignatureText {
                text: self.header(other.header)?.to_owned(),
                other: Some(format!("it is in the header `{}`, not in `{}`", other.header, scheme.header)),
            })
        });
        own.into_iter().chain(others).collect()
    }

    /// What may have been signed.
    fn contents(&self, scheme: &Scheme) -> Vec<Variation<Content>> {
        let wrong = |what: &str| Some(reason("wrong_scheme", format!("{what} was signed"), ASK_SCHEME));
        let mut contents: Vec<Variation<Content>> = vec![];
        let mut add = |reason, value: Content| contents.push(Variation { reason, value });
        let weavr = self.provider.name == "weavr";
        let own = if !weavr {
            0
        } else if scheme.header == weavr::SIGNATURE_V1.header {
            1
        } else {
            2
        };
        let mut named: [(&str, Content); 9] = [
            ("the body alone", |_, body| Some(body.to_vec())),
            ("the timestamp alone (Weavr's first signature)", |capture, _| {
                Some(capture.header(TIMESTAMP)?.as_bytes().to_vec())
            }),
            ("call-ref, body and timestamp (Weavr's signature-v2)", |capture, body| {
                let reference = capture.header(CALL_REF).unwrap_or_default();
                Some([reference.as_bytes(), body, capture.header(TIMESTAMP)?.as_bytes()].concat())
            }),
            ("body and timestamp, without call-ref,", |capture, body| {
                capture.header(CALL_REF)?;
                Some([body, capture.header(TIMESTAMP)?.as_bytes()].concat())
            }),
            ("timestamp and body, in this order,", |capture, body| {
                Some([capture.header(TIMESTAMP)?.as_bytes(), body].concat())
            }),
            ("timestamp, a dot and body", |capture, body| {
                Some([capture.header(TIMESTAMP)?.as_bytes(), b".", body].concat())
            }),
            ("body, timestamp and call-ref, in this order,", |capture, body| {
                let reference = capture.header(CALL_REF)?;
                Some([body, capture.header(TIMESTAMP)?.as_bytes(), reference.as_bytes()].concat())
            }),
            ("call-ref, body and the timestamp in seconds", |capture, body| {
                let reference = capture.header(CALL_REF).unwrap_or_default();
                let seconds = capture.header(TIMESTAMP)?.strip_suffix("000")?;
                Some([reference.as_bytes(), body, seconds.as_bytes()].concat())
            }),
            ("call-ref, body and the timestamp in milliseconds", |capture, body| {
                let reference = capture.header(CALL_REF).unwrap_or_default();
                Some([reference.as_bytes(), body, capture.header(TIMESTAMP)?.as_bytes(), b"000"].concat())
            }),
        ];
        named.swap(0, own);
        for (index, (what, content)) in named.into_iter().enumerate() {
            add(if index == 0 { None } else { wrong(what) }, content);
        }
        contents
    }

    /// Nothing that was tried fits.
    fn unexplained(&self, scheme: &Scheme, refusal: Refusal, keys: &Keys) -> Reason {
        let header = scheme.header;
        let text = self.header(header).unwrap_or_default();
        let is_hmac = scheme.algorithm == Algorithm::HmacSha256;
        match refusal {
            Refusal::OtherScheme { .. } if !is_hmac => {
                let found = format!("`{header}` looks like an HMAC, and an ECDSA signature is expected");
                let advice = "the provider signs with a secret (the API before 2025-05-30): this receiver has to be \
                    told so, with UMAAAS_SIGNATURE=hmac";
                return reason("wrong_scheme", found, advice);
            }
            Refusal::OtherScheme { .. } => {
                let found = format!("`{header}` looks like an ECDSA signature, and an HMAC is expected");
                let advice = "the provider signs with a private key (the API since 2025-05-30): this receiver has to \
                    be told so, with UMAAAS_SIGNATURE=ecdsa and the public key";
                return reason("wrong_scheme", found, advice);
            }
            Refusal::Malformed { .. } | Refusal::UnknownVersion { .. } if !is_hmac => {
                let found = match signatures(text).len() {
                    1 => format!("`{header}` is no ECDSA signature"),
                    _ => format!(
                        "`{header}` holds bytes in another form than the documented one, and they do not fit"
                    ),
                };
                return reason("wrong_encoding", found, ASK_FORM);
            }
            Refusal::Malformed { .. } | Refusal::UnknownVersion { .. } => {
                let length = decoded_length(text);
                let found = match length {
                    Some(20) => format!("`{header}` has 20 bytes, as an HMAC-SHA1"),
                    Some(64) => format!("`{header}` has 64 bytes, as an HMAC-SHA512"),
                    Some(32) => {
                        format!("`{header}` is a SHA-256 in another encoding, and does not fit either")
                    }
                    Some(length) => format!("`{header}` has {length} bytes, and a SHA-256 has 32"),
                    None => format!("`{header}` is neither hexadecimal nor base64"),
                };
                let scheme = matches!(length, Some(20 | 64));
                return reason(if scheme { "wrong_scheme" } else { "wrong_encoding" }, found, ASK_FORM);
            }
            _ => {}
        }
        let length = self.header(CONTENT_LENGTH.as_str()).and_then(|text| text.parse::<usize>().ok());
        if let Some(length) = length.filter(|length| *length != self.body.len()) {
            let found = format!(
                "the body has {} bytes, and was sent with {length} (content-length)",
                self.body.len()
            );
            return reason("body_altered", found, RAW_BODY);
        }
        if header == weavr::SIGNATURE_V2.header && weavr::SIGNATURE_V1.check(&self.delivery(), keys).is_ok() {
            let found =
                "the secret is right (`signature` verifies), so body or call-ref are not what was signed";
            return reason("body_altered", found, RAW_BODY);
        }
        if String::from_utf8_lossy(&self.body).contains('\u{fffd}') {
            let found = "the body has characters that something could not read and replaced";
            return reason("body_altered", found, RAW_BODY);
        }
        let found = match length {
            Some(_) => {
                "none of the usual mistakes. The body has the length that was sent, so the secret is \
                    probably another"
            }
            None => {
                "none of the usual mistakes: the secret is another, or the body was altered. With \
                    `content-length` \
                 among the headers this says which is likely"
            }
        };
        reason("wrong_secret_or_body", found, ASK_KEY)
    }
}

/// The headers of a provider that carry a signature.
fn signature_headers(provider: &Sender) -> &'static [&'static str] {
    match provider.name {
        "weavr" => &[weavr::SIGNATURE_V2.header, TIMESTAMP],
        "grid" => &[grid::SIGNATURE.header],
        _ => &[umaaas::SIGNATURE.header],
    }
}

/// The provider whose signature a request carries.
pub(crate) fn provider_of(headers: &HeaderMap) -> Option<&'static Sender> {
    SENDERS.iter().find(|provider| signature_headers(provider).iter().any(|name| headers.contains_key(*name)))
}

/// One way to make a key, a body or a signed content. The first of each has no reason: it is the right one.
struct Variation<T> {
    reason: Option<Reason>,
    value: T,
}

/// What was signed, of a request and a body. `None` where the request has no such headers.
type Content = fn(&Capture<'_>, &[u8]) -> Option<Vec<u8>>;

fn mac(key: &[u8], signed: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed);
    mac.finalize().into_bytes().into()
}

/// The keys that may have signed: the secrets, and what senders make of them by mistake.
fn keys(secrets: &SecretTexts) -> Vec<Variation<Vec<u8>>> {
    let mut keys: Vec<Variation<Vec<u8>>> = vec![];
    let mut seen = HashSet::new();
    let mut add = |found: Option<&str>, key: Vec<u8>| {
        if seen.insert(key.clone()) {
            let reason = found.map(|found| reason("wrong_secret", found, ASK_KEY));
            keys.push(Variation { reason, value: key });
        }
    };
    for secret in &secrets.secrets {
        add(None, secret.clone().into_bytes());
    }
    let given = "the text that was given, white space and all, was the key";
    add(Some(given), secrets.given.clone().into_bytes());
    for secret in &secrets.secrets {
        for end in ["\n", "\r\n", " "] {
            add(Some("the key had white space at its end"), format!("{secret}{end}").into_bytes());
        }
        for quoted in [format!("\"{secret}\""), format!("'{secret}'")] {
            add(Some("the key had quotes around it"), quoted.into_bytes());
        }
        if let Some(bare) = secret.strip_prefix(['"', '\'']).and_then(|text| text.strip_suffix(['"', '\''])) {
            add(Some("the key has no quotes around it"), bare.as_bytes().to_vec());
        }
        if let Ok(bytes) = hex::decode(secret) {
            add(Some("the key was the secret, decoded from hexadecimal"), bytes);
        }
        if let Ok(bytes) = STANDARD.decode(secret) {
            add(Some("the key was the secret, decoded from base64"), bytes);
        }
        if let Some((_, rest)) = secret.split_once('_') {
            add(Some("the key was the secret without its prefix"), rest.as_bytes().to_vec());
            if let Ok(bytes) = STANDARD.decode(rest) {
                add(Some("the key was the secret without its prefix, decoded from base64"), bytes);
            }
        }
        add(Some("the key was the secret in hexadecimal"), hex::encode(secret).into_bytes());
        add(Some("the key was the secret in base64"), STANDARD.encode(secret).into_bytes());
        add(Some("the key was the secret in lower case"), secret.to_lowercase().into_bytes());
        add(Some("the key was the secret in upper case"), secret.to_uppercase().into_bytes());
    }
    let placeholder = aws::secrets::PLACEHOLDER;
    add(Some("the key was the placeholder of the template"), placeholder.as_bytes().to_vec());
    add(Some("the key was empty"), vec![]);
    for provider in SENDERS {
        let found = format!("the key was the local secret of {} (`cargo dev`)", provider.name);
        add(Some(&found), provider.secret().into_bytes());
    }
    keys
}

/// The bodies that may have been signed: the captured one, and what programs make of one body.
fn bodies(captured: &[u8]) -> Vec<Variation<Vec<u8>>> {
    let mut bodies: Vec<Variation<Vec<u8>>> = vec![];
    let mut seen = HashSet::new();
    let mut add = |found: Option<&str>, body: Vec<u8>| {
        if seen.insert(body.clone()) {
            let reason = found.map(|found| {
                let found = format!("the signed body is the captured one {found}");
                reason("body_reserialised", found, RAW_BODY)
            });
            bodies.push(Variation { reason, value: body });
        }
    };
    add(None, captured.to_vec());
    for end in [&b"\r\n"[..], b"\n"] {
        if let Some(body) = captured.strip_suffix(end) {
            add(Some("without the line end after it"), body.to_vec());
        }
    }
    add(Some("without white space around it"), captured.trim_ascii().to_vec());
    add(Some("with a line end after it"), [captured, b"\n"].concat());
    add(Some("with a line end (CRLF) after it"), [captured, b"\r\n"].concat());
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    match captured.strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => add(Some("without the byte order mark before it"), body.to_vec()),
        None => add(Some("with a byte order mark before it"), [BYTE_ORDER_MARK, captured].concat()),
    }
    if let Ok(body) = STANDARD.decode(captured.trim_ascii()) {
        add(Some("decoded from base64"), body);
    }
    if let Ok(text) = std::str::from_utf8(captured) {
        let lf = text.replace("\r\n", "\n");
        add(Some("with LF instead of CRLF"), lf.clone().into_bytes());
        add(Some("with CRLF instead of LF"), lf.replace('\n', "\r\n").into_bytes());
        if let Ok(inner) = serde_json::from_str::<String>(text) {
            add(Some("taken out of a JSON string"), inner.into_bytes());
        }
        for (text, spelling) in [
            (text.to_owned(), ""),
            (json_text::escaped(text), ", with escapes (\\u00e9) for characters beyond ASCII"),
            (json_text::unescaped(text), ", with characters beyond ASCII instead of escapes"),
            (text.replace('/', "\\/"), ", with escaped slashes"),
            (text.replace("\\/", "/"), ", with plain slashes"),
            (parsed(text), ", with numbers and escapes as a parser leaves them"),
        ] {
            if !spelling.is_empty() {
                add(Some(&format!("rewritten{spelling}")), text.clone().into_bytes());
            }
            let Some(node) = Node::parse(text.trim_start_matches('\u{feff}')) else { continue };
            for (node, order) in [(&node, ""), (&node.sorted(), ", with its members sorted by name")] {
                for (layout, written) in [
                    (json_text::COMPACT, "written compactly (without white space)"),
                    (json_text::SPACED, "written with a space after commas and colons (as Python does)"),
                    (json_text::PRETTY, "pretty-printed with 2 spaces"),
                    (json_text::PRETTY_4, "pretty-printed with 4 spaces"),
                    (json_text::PRETTY_TAB, "pretty-printed with tabs"),
                ] {
                    let body = node.write(layout);
                    add(Some(&format!("{written}{order}{spelling}")), body.clone().into_bytes());
                    if spelling.is_empty() {
                        let found = format!("{written}{order}, with a line end after it");
                        add(Some(&found), (body.clone() + "\n").into_bytes());
                        if body.contains('\n') {
                            let found = format!("{written}{order}, with CRLF line ends");
                            add(Some(&found), body.replace('\n', "\r\n").into_bytes());
                        }
                    }
                }
            }
        }
    }
    bodies
}

/// A body, read and written by a program. What is no JSON stays as it is.
fn parsed(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text).ok();
    value.map_or_else(|| text.to_owned(), |value| value.to_string())
}

/// What a header may hold of an ECDSA signature, in base64 of its DER form: as it is documented, and as programs write
/// it by mistake. The first one is the documented form.
fn signatures(header: &str) -> Vec<Variation<String>> {
    let object: Option<Value> = serde_json::from_str(header.trim()).ok();
    let member = object.as_ref().and_then(|object| {
        let object = object.as_object()?;
        let named = ["s", "signature", "sig"].iter().find_map(|name| object.get(*name)?.as_str());
        named.or_else(|| object.values().filter_map(Value::as_str).max_by_key(|text| text.len()))
    });
    let bare = unwrapped(member.unwrap_or(header).trim());
    let mut found = vec![Variation { reason: None, value: bare.to_owned() }];
    if member.is_none() && bare != header.trim() {
        let what = "there is more in the header than the signature (a prefix, or quotes)";
        found[0].reason = Some(reason("wrong_encoding", what, ASK_FORM));
    }
    let unpadded = |text: &str| text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let padded = |text: &str| text.to_owned() + &"=".repeat((4 - text.len() % 4) % 4);
    for (bytes, what) in [
        (hex::decode(bare).ok(), "in hexadecimal"),
        (
            STANDARD.decode(padded(&unpadded(bare))).ok(),
            "in base64 without padding, or with the alphabet for URLs",
        ),
        (STANDARD.decode(bare).ok().and_then(|once| STANDARD.decode(once).ok()), "encoded twice in base64"),
        (
            STANDARD.decode(bare).ok().and_then(|once| hex::decode(once).ok()),
            "encoded in hexadecimal and then in base64",
        ),
    ] {
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { continue };
        let wrong = |found: String| Some(reason("wrong_encoding", found, ASK_FORM));
        if let Some(der) = der_of(&bytes) {
            let base64 = STANDARD.encode(der);
            let found_as =
                format!("the signature is r and s, 64 bytes, {what}, and the form DER is expected");
            let found_as = if STANDARD.decode(bare).is_ok_and(|own| own == bytes) {
                "the signature is r and s, 64 bytes, and the form DER is expected".to_owned()
            } else {
                found_as
            };
            found.push(Variation { reason: wrong(found_as), value: base64 });
        } else if STANDARD.encode(&bytes) != bare {
            let found_as = format!("the signature is {what}, and base64 is expected");
            found.push(Variation { reason: wrong(found_as), value: STANDARD.encode(&bytes) });
        }
    }
    found
}

/// The DER form of `r` and `s` of 32 bytes each, one after the other (IEEE P1363, as JWTs have it).
fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = (bytes.len() == 64).then(|| bytes.split_at(32))?;
    let integer = |number: &[u8]| {
        let digits = &number[number.iter().position(|byte| *byte != 0).unwrap_or(31)..];
        let sign = if digits[0] >= 0x80 { vec![0] } else { vec![] };
        let value = [sign, digits.to_vec()].concat();
        [&[0x02, u8::try_from(value.len()).unwrap_or_default()][..], &value].concat()
    };
    let both = [integer(r), integer(s)].concat();
    Some([&[0x30, u8::try_from(both.len()).ok()?][..], &both].concat())
}

/// The text of a signature header.
struct SignatureText {
    text: String,
    /// What is wrong about the header, when it is not the one that has to carry the signature.
    other: Option<String>,
}

impl SignatureText {
    /// Whether it is this HMAC, in any encoding, and what is wrong with the encoding. `None` when it is not.
    fn fits(&self, form: HeaderForm, mac: &[u8]) -> Option<Option<Reason>> {
        let wrong = |found: String| Some(Some(reason("wrong_encoding", found, ASK_FORM)));
        let trimmed = self.text.trim();
        let (hexadecimal, base64) = (hex::encode(mac), STANDARD.encode(mac));
        let (right, other, other_name) = match form {
            HeaderForm::Hex => (&hexadecimal, &base64, "base64, and hexadecimal is expected"),
            _ => (&base64, &hexadecimal, "hexadecimal, and base64 is expected"),
        };
        let is_hex = |text: &str| text.eq_ignore_ascii_case(&hexadecimal);
        if trimmed == right || (form == HeaderForm::Hex && is_hex(trimmed)) {
            return match &self.other {
                None => Some(None),
                Some(other) => {
                    let found = format!("the signature is right, but {other}");
                    Some(Some(reason("wrong_scheme", found, ASK_SCHEME)))
                }
            };
        }
        let bare = unwrapped(trimmed);
        if bare == right || (form == HeaderForm::Hex && is_hex(bare)) {
            return wrong(
                "there is more in the header than the signature (a prefix, quotes, or JSON)".to_owned(),
            );
        }
        let unpadded = base64.trim_end_matches('=');
        if bare == other || is_hex(bare) {
            return wrong(format!("the signature is in {other_name}"));
        }
        if bare == unpadded && form != HeaderForm::Hex {
            return wrong("the signature is in base64 without its padding (`=`)".to_owned());
        }
        let url_safe = URL_SAFE.encode(mac);
        if bare.trim_end_matches('=') == url_safe.trim_end_matches('=') {
            return wrong("the signature is in base64 with the alphabet for URLs (`-` and `_`)".to_owned());
        }
        if bare.eq_ignore_ascii_case(&base64) {
            return wrong("the signature is in base64 whose letters were changed to one case".to_owned());
        }
        if bare == unpadded {
            return wrong(format!("the signature is in {other_name}"));
        }
        if bare == STANDARD.encode(&hexadecimal) {
            return wrong("the signature was encoded twice, in hexadecimal and then in base64".to_owned());
        }
        if bare.eq_ignore_ascii_case(&hex::encode(&base64)) {
            return wrong("the signature was encoded twice, in base64 and then in hexadecimal".to_owned());
        }
        if bare.len() >= CUT_SIGNATURE && (right.starts_with(bare) || other.starts_with(bare)) {
            return wrong(format!("the signature was cut after {} characters", bare.len()));
        }
        None
    }
}

/// A signature without what tools write around it.
fn unwrapped(text: &str) -> &str {
    let mut text = text.trim_matches(['"', '\'']);
    for prefix in ["sha256=", "v1=", "v2=", "v1,", "hmac-sha256=", "HMAC-SHA256 ", "0x"] {
        if let Some(rest) = text.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix)) {
            text = &text[rest.len()..];
        }
    }
    if text.starts_with('{') {
        // `{"v": 1, "s": "..."}`: the longest string in it
        text = text.split('"').max_by_key(|part| part.len()).unwrap_or(text);
    }
    text.trim()
}

/// How many bytes a signature has.
fn decoded_length(text: &str) -> Option<usize> {
    let bare = unwrapped(text.trim());
    let decoded = hex::decode(bare).ok().or_else(|| STANDARD.decode(bare).ok());
    decoded.map(|bytes| bytes.len()).filter(|length| *length > 0)
}

/// A duration for people, whatever its sign.
fn ago(duration: SignedDuration) -> String {
    span(duration.as_secs().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::{HeaderName, HeaderValue};
    use local_stack::senders::Sample;
    use proptest::prelude::*;

    use super::*;

    fn capture(provider: &'static Sender, sample: &Sample) -> Capture<'static> {
        let delivery =
            provider.delivery(sample.path, provider.body(sample).unwrap(), &provider.signing_key());
        Capture { provider, demand: Demand::V2, headers: delivery.headers, body: delivery.body }
    }

    fn now() -> Freshness {
        Freshness { received_at: Timestamp::now(), tolerance: None }
    }

    #[test]
    fn every_sample_of_every_provider_verifies() {
        for provider in SENDERS {
            let material = KeyMaterial::parse(provider.secret()).unwrap();
            for sample in provider.samples {
                let capture = capture(provider, sample);
                assert_eq!(provider_of(&capture.headers).unwrap().name, provider.name);
                let diagnosis = diagnose(&capture, &material, now());
                assert!(diagnosis.verifies, "{}: {diagnosis:?}", sample.file);
            }
        }
    }

    /// Every mistake with a signature of a private key is named, of both providers that sign so.
    #[test]
    fn mistakes_with_a_private_key_are_named() {
        let key = SigningKey::new_private();
        let body = "{\"id\": \"W:1\", \"webhookId\": \"W:1\", \"n\": 1.0}";
        for name in ["grid", "umaaas"] {
            let provider = Sender::named(name).unwrap();
            let other = SigningKey::new_private().public_key().unwrap();
            let material = KeyMaterial::parse(other + &key.public_key().unwrap()).unwrap();
            let scheme = if name == "grid" { grid::SIGNATURE } else { umaaas::SIGNATURE_ECDSA };
            let signed = |content: &[u8]| {
                let value = key.sign(&scheme, &Delivery::new("/", content.to_vec()));
                let value: Value = serde_json::from_str(&value).unwrap();
                value["s"].as_str().unwrap().to_owned()
            };
            let diagnosed = |header: &str, body: &str| {
                let headers = HeaderMap::from_iter([(
                    HeaderName::from_static(scheme.header),
                    HeaderValue::from_str(header).unwrap(),
                )]);
                let capture =
                    Capture { provider, demand: Demand::V2, headers, body: Bytes::from(body.to_owned()) };
                diagnose(&capture, &material, now())
            };
            // One in which the alphabet for URLs differs.
            let genuine =
                std::iter::repeat_with(|| signed(body.as_bytes())).find(|one| one.contains(['+', '/']));
            let genuine = genuine.unwrap();
            let good = diagnosed(&genuine, body);
            assert!(good.verifies && good.notes.contains(&"key 2 of 2 signed it".to_owned()), "{good:?}");
            let der = STANDARD.decode(&genuine).unwrap();
            let raw = raw_of(&der);
            for (header, body, expected) in [
                (hex::encode(&der), body, "wrong_encoding"),
                (URL_SAFE.encode(&der).trim_end_matches('=').to_owned(), body, "wrong_encoding"),
                (STANDARD.encode(&raw), body, "wrong_encoding"),
                (hex::encode(&raw), body, "wrong_encoding"),
                (URL_SAFE.encode(&raw), body, "wrong_encoding"),
                (STANDARD.encode(STANDARD.encode(&der)), body, "wrong_encoding"),
                (format!("sha256={genuine}"), body, "wrong_encoding"),
                (format!(r#"{{"v":2,"s":"{genuine}"}}"#), body, "wrong_encoding"),
                (format!(r#"{{"v":1,"sig":"{genuine}"}}"#), body, "wrong_encoding"),
                (genuine.clone(), "{\"id\":\"W:1\",\"webhookId\":\"W:1\",\"n\":1.0}\n", "body_reserialised"),
                (signed(b"{\"id\":\"W:1\",\"webhookId\":\"W:1\",\"n\":1.0}"), body, "body_reserialised"),
                (signed(&Sha256::digest(body)), body, "wrong_scheme"),
                (signed(hex::encode(Sha256::digest(body)).as_bytes()), body, "wrong_scheme"),
                (signed(b"another"), body, "wrong_secret_or_body"),
                ("AAAA".to_owned(), body, "wrong_encoding"),
                (hex::encode([7; 32]), body, "wrong_scheme"),
            ] {
                let found = diagnosed(&header, body);
                let first = found.reasons.first().map(|reason| reason.reason);
                assert_eq!((found.verifies, first), (false, Some(expected)), "{header} {body}: {found:?}");
            }
            let local = Sender::named("grid").unwrap().signing_key();
            let value = local.sign(&scheme, &Delivery::new("/", body));
            assert_eq!(diagnosed(&value, body).reasons[0].reason, "wrong_secret");
        }
    }

    /// `r` and `s` of a DER signature, 32 bytes each.
    fn raw_of(der: &[u8]) -> Vec<u8> {
        let (mut raw, mut rest) = (vec![], &der[2..]);
        while let [2, length, after @ ..] = rest {
            let (number, after) = after.split_at(usize::from(*length));
            let number = &number[number.len().saturating_sub(32)..];
            raw.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number.iter().copied()));
            rest = after;
        }
        raw
    }

    /// Something that may stand in a header or a body: any bytes, or close to what is expected there.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[0-9a-fA-F]{60,66}".prop_map(String::into_bytes),
            "[A-Za-z0-9+/]{43}=?".prop_map(String::into_bytes),
            "(sha256=|v1,|\"|\\{)?[a-z0-9=\",:\\\\ué\n\r {}\\[\\]]{0,60}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_strangers_send_verifies_or_ends_the_command(
            body in text(),
            headers in prop::collection::vec((0..6_usize, text()), 0..5),
            provider in prop::sample::select(SENDERS.iter().collect::<Vec<_>>()),
            demand in prop_oneof![Just(Demand::V1), Just(Demand::V2)],
        ) {
            let names =
                ["x-umaaas-signature", "signature", "signature-v2", TIMESTAMP, CALL_REF, "x-grid-signature"];
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    map.append(HeaderName::from_static(names[name]), value);
                }
            }
            let material = match provider.signing_key().public_key() {
                Some(_) => KeyMaterial::parse(SigningKey::new_private().public_key().unwrap_or_default()),
                None => KeyMaterial::parse("a secret that no stranger knows".to_owned()),
            };
            let capture = Capture { provider, demand, headers: map, body: body.into() };
            let diagnosis = diagnose(&capture, &material.unwrap(), now());
            prop_assert!(!diagnosis.verifies && !diagnosis.reasons.is_empty());
        }
    }

    #[test]
    fn a_large_body_does_not_take_long() {
        let provider = &SENDERS[0];
        let material = KeyMaterial::parse("not the one that signed".to_owned()).unwrap();
        for length in [LARGE - 100, 380 * 1024] {
            let text = "x".repeat(length);
            let body = format!(r#"{{"webhookId":"1","type":"TEST","timestamp":"t","x":"{text}"}}"#);
            let headers = provider.delivery("/", body.clone(), &SigningKey::secret("another")).headers;
            let started = Instant::now();
            let capture = Capture { provider, demand: Demand::V2, headers, body: Bytes::from(body) };
            let diagnosis = diagnose(&capture, &material, now());
            assert_eq!(diagnosis.reasons[0].reason, "wrong_secret_or_body");
            assert!(started.elapsed() < Duration::from_secs(60), "{length}: {:?}", started.elapsed());
        }
    }
}
