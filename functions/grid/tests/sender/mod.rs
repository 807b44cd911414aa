//! Grid as a sender, for tests: a key pair, and signed requests.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, Method};
use ingest::memory::{MemoryControl, MemoryDirectory, MemorySink, MemoryStore};
use ingest::{Breakers, Receiver, Request, Switch};
use jiff::SignedDuration;
use verify::{Keys, PublicKeys};
use webhook_grid::{Grid, SIGNATURE};

/// A receiver on the in-memory ports.
pub type GridReceiver = Receiver<Grid, Arc<Keys>, MemoryStore, MemorySink, MemoryDirectory, MemoryControl>;

/// A sender with a private key.
pub struct Sender(EcdsaKeyPair);

impl Sender {
    /// A sender with a new key.
    pub fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    /// The public key in PEM.
    pub fn public_key(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().unwrap();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der.as_ref()))
    }

    /// The base64 of the signature of a body.
    pub fn sign(&self, body: &[u8]) -> String {
        BASE64.encode(self.0.sign(&SystemRandom::new(), body).unwrap().as_ref())
    }

    /// A request with the header as Grid writes it.
    pub fn post(&self, body: &str) -> Request {
        request(&format!(r#"{{"v":"1","s":"{}"}}"#, self.sign(body.as_bytes())), body)
    }

    /// A receiver that knows this sender's key.
    pub fn receiver(&self, provider: Grid) -> GridReceiver {
        Receiver {
            provider,
            secrets: Arc::new(PublicKeys::parse_pem(&self.public_key()).unwrap().into()),
            store: MemoryStore::new(SignedDuration::from_hours(24)),
            sink: MemorySink::default(),
            directory: MemoryDirectory::default(),
            clock: || "2026-08-21T14:32:01Z".parse().unwrap(),
            switch: Switch::new(MemoryControl::default()),
            breakers: Breakers::default(),
        }
    }
}

/// A request with this signature.
pub fn request(signature: &str, body: &str) -> Request {
    let mut headers = HeaderMap::new();
    headers.append(SIGNATURE.header, signature.parse().unwrap());
    Request {
        method: Method::POST,
        path: "/grid".into(),
        headers,
        body: Some(body.as_bytes().to_vec().into()),
        ..Request::default()
    }
}
