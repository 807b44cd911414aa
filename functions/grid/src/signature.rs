//! How Grid signs: `X-Grid-Signature`, an ECDSA P-256 signature with SHA-256 over the raw body (Grid's webhook pages,
//! "Authentication").

use aws::KeyVariables;
use verify::{Algorithm, HeaderForm, Part, Scheme};

/// The signature of every webhook.
pub const SIGNATURE: Scheme = Scheme {
    header: "x-grid-signature",
    form: HeaderForm::JsonOrBase64,
    algorithm: Algorithm::EcdsaP256Sha256,
    signed: &[Part::Body],
};

/// The environment variables for the public keys.
pub const PUBLIC_KEYS: KeyVariables = KeyVariables::public_keys("GRID_PUBLIC_KEYS", "GRID_PUBLIC_KEYS_ARN");
