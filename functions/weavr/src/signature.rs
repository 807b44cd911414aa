//! How Weavr signs: HMAC-SHA256 under the API key, in base64, in one header or two.

use aws::{Environment, SettingsError};
use ingest::Outcome;
use verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Refusal, Scheme, Verified, Verifier};

/// The header that dates a delivery.
pub(crate) const PUBLISHED_TIMESTAMP: &str = "published-timestamp";

/// The header with the caller's reference.
pub(crate) const CALL_REF: &str = "call-ref";

/// The first signature. It covers neither the body nor the path.
pub const SIGNATURE_V1: Scheme = Scheme {
    header: "signature",
    form: HeaderForm::Base64,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Header(PUBLISHED_TIMESTAMP)],
};

/// The second signature. It covers the body, but not the path.
pub const SIGNATURE_V2: Scheme = Scheme {
    header: "signature-v2",
    form: HeaderForm::Base64,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::OptionalHeader(CALL_REF), Part::Body, Part::Header(PUBLISHED_TIMESTAMP)],
};

/// Which signature a delivery has to carry: `WEAVR_SIGNATURE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The first, as the 2.14.10 document has it; the second, where it is there, must be right too.
    V1,
    /// The second.
    V2,
}

impl Demand {
    /// Reads `WEAVR_SIGNATURE`, `v1` unless set, and warns of what `v1` means.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for anything but `v1` and `v2`.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        let name = "WEAVR_SIGNATURE";
        match environment.optional(name).as_deref() {
            None | Some("v1") => {
                tracing::warn!(
                    "WEAVR_SIGNATURE is v1, which signs the timestamp alone: whoever has seen one delivery \
                     can sign any body with it. Set v2 if Weavr sends you signature-v2"
                );
                Ok(Self::V1)
            }
            Some("v2") => Ok(Self::V2),
            Some(_) => Err(SettingsError::Invalid { name, expected: "v1 or v2".to_owned() }),
        }
    }

    /// Proves that Weavr sent a delivery.
    ///
    /// # Errors
    /// [`Outcome::Refused`]; [`Outcome::Misconfigured`] where `v2` is demanded of a Weavr that signs
    /// by `v1` alone.
    pub(crate) fn verify(self, delivery: Delivery, keys: &Keys) -> Result<Verified<Delivery>, Outcome> {
        let verifier = match self {
            Self::V1 => Verifier::new(SIGNATURE_V1).and_when_present(SIGNATURE_V2),
            Self::V2 if !delivery.headers.contains_key(SIGNATURE_V2.header) => {
                return Err(without_v2(&delivery, keys));
            }
            Self::V2 => Verifier::new(SIGNATURE_V2),
        };
        verifier.verify(delivery, keys).map_err(Outcome::Refused)
    }
}

/// What to make of a delivery that lacks the demanded signature. The other one tells whether the sender
/// is genuine; where it does not fit, that may be for a secret that we do not know yet.
fn without_v2(delivery: &Delivery, keys: &Keys) -> Outcome {
    match SIGNATURE_V1.check(delivery, keys) {
        Ok(()) => Outcome::Misconfigured("signature-v2 is required, and only signature was sent"),
        Err(mismatch @ Refusal::Mismatch { .. }) => Outcome::Refused(mismatch),
        Err(_) => Outcome::Refused(Refusal::Missing { header: SIGNATURE_V2.header }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use verify::Secrets;

    use super::*;

    /// Computed with another implementation of HMAC.
    #[test]
    fn digests() {
        let secrets = Secrets::parse_list("demo-api-key").unwrap();
        let body = r#"{"actionDoneBy":"ADMIN","emailAddress":"zoë@x.example"}"#;
        let mut delivery = Delivery::new("/weavr/anything", body);
        delivery.headers.insert(PUBLISHED_TIMESTAMP, "1793612075500".parse().unwrap());
        let sign = |scheme: Scheme, delivery: &Delivery| secrets.newest().sign(&scheme, delivery).unwrap();
        assert_eq!(sign(SIGNATURE_V1, &delivery), "ZbIqX4qHYXRTGep8gKvL/Yq2qcBMmmE5YeMEQbEE+ig=");
        assert_eq!(sign(SIGNATURE_V2, &delivery), "WSyqIUcK01Fi+P4dbzmCtakuwxP0uNYHsUiWdIiX8ts=");
        delivery.headers.insert(CALL_REF, "order-7".parse().unwrap());
        assert_eq!(sign(SIGNATURE_V1, &delivery), "ZbIqX4qHYXRTGep8gKvL/Yq2qcBMmmE5YeMEQbEE+ig=");
        assert_eq!(sign(SIGNATURE_V2, &delivery), "OcQGCaGoQSBNJn6QbGg4GlmBMp3FHv7VoOOck6fvNcc=");
    }

    #[test]
    fn the_setting_is_v1_or_v2_and_v1_warns_once() {
        for (value, expected, warnings) in [
            (None, Some(Demand::V1), 1),
            (Some(""), Some(Demand::V1), 1),
            (Some("v1"), Some(Demand::V1), 1),
            (Some("v2"), Some(Demand::V2), 0),
            (Some("V2"), None, 0),
            (Some("v1,v2"), None, 0),
            (Some("off"), None, 0),
        ] {
            let environment = Environment::from_lookup(move |_| value.map(str::to_owned));
            let (mut log, writer) = std::io::pipe().unwrap();
            let subscriber = tracing_subscriber::fmt().with_writer(Arc::new(writer)).finish();
            let read =
                tracing::subscriber::with_default(subscriber, || Demand::from_environment(&environment));
            match expected {
                Some(demand) => assert_eq!(read, Ok(demand), "{value:?}"),
                None => assert!(read.unwrap_err().to_string().contains("WEAVR_SIGNATURE"), "{value:?}"),
            }
            let mut lines = String::new();
            log.read_to_string(&mut lines).unwrap();
            assert_eq!(lines.matches("WARN").count(), warnings, "{value:?}: {lines}");
        }
    }
}
