//! How UMAaaS signs: `X-UMAaas-Signature`, the hex HMAC-SHA256 of the raw body under the webhook
//! secret (UMAaaS `WebhooksApi`, "Authentication").

use verify::{Algorithm, HeaderForm, Part, Scheme};

/// The only signature of the 2025-04-19 API. Later versions of the API use ECDSA P-256 instead.
pub const SIGNATURE: Scheme = Scheme {
    header: "x-umaaas-signature",
    form: HeaderForm::Hex,
    algorithm: Algorithm::HmacSha256,
    signed: &[Part::Body],
};
