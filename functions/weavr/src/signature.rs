//! How Weavr signs: HMAC-SHA256 with the API key, in base64, in one or two headers.

use aws::{Environment, SettingsError, Unset, Variable};
use ingest::Outcome;
use verify::{Algorithm, Delivery, HeaderForm, Keys, Part, Refusal, Scheme, Verified, Verifier};

/// The header with the time at which Weavr sent the delivery.
pub(crate) const PUBLISHED_TIMESTAMP: &str = "published-timestamp";

/// The header with the caller's reference.
pub(crate) const CALL_REF: &str = "call-ref";

/// The first signature. It covers only the timestamp, and neither the body nor the path.
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

pub(crate) const DEMAND: Variable = Variable::new(
    "WEAVR_SIGNATURE",
    Unset::Default("v1"),
    "`v2` demands `signature-v2`; `v1` does not. The template sets `v2`",
);

/// Which signature a delivery must have: the value of `WEAVR_SIGNATURE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The first signature, as in the 2.14.10 document. If the second signature is present, it must match
    /// too.
    V1,
    /// The second signature.
    V2,
}

impl Demand {
    /// Reads `WEAVR_SIGNATURE`, with `v1` as the default. Logs a warning about the risk of `v1`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for any value except `v1` and `v2`.
    pub fn from_environment(environment: &Environment) -> Result<Self, SettingsError> {
        match environment.required(&DEMAND)?.as_str() {
            "v1" => {
                tracing::warn!(
                    "WEAVR_SIGNATURE is v1, which signs only the timestamp: anyone who has seen one delivery \
                     can send any body with its signature. Set v2 if Weavr sends you signature-v2"
                );
                Ok(Self::V1)
            }
            "v2" => Ok(Self::V2),
            _ => Err(DEMAND.wrong("must be v1 or v2")),
        }
    }

    /// Checks the signature, which proves that Weavr sent the delivery.
    ///
    /// # Errors
    /// [`Outcome::Refused`]; [`Outcome::Misconfigured`] when we require `v2` but Weavr sends only a correct
    /// `v1`.
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

/// The outcome for a delivery without the required `signature-v2`. The header `signature` still shows whether
/// the sender is genuine. If it does not match, Weavr may have used a secret that we do not have yet.
fn without_v2(delivery: &Delivery, keys: &Keys) -> Outcome {
    match SIGNATURE_V1.check(delivery, keys) {
        Ok(_) => Outcome::Misconfigured("signature-v2 is required, but only signature was sent"),
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

    /// The expected digests come from another implementation of HMAC.
    #[test]
    fn signatures_equal_those_of_another_implementation() {
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
