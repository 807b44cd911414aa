//! Consumers (people): KYC. Activation and deactivation are in `values`, because corporates have the same
//! fields.

use ingest::schema::Shape::{Digits, List, Object as Fields, OneOf, Text};
use ingest::schema::{Field, Shape, optional};

use super::values::{ACTIVATED, DEACTIVATED, LATER_STATUS, REJECTION_COMMENT, STATUS};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.activated",
        path: "/weavr/consumers/consumer_activated/watch",
        schema: ACTIVATED,
    },
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.deactivated",
        path: "/weavr/consumers/consumer_deactivated/watch",
        schema: DEACTIVATED,
    },
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.kyc",
        path: "/weavr/consumers/kyc/watch",
        schema: KYC,
    },
];

/// The state of a person's KYC changed.
const KYC: &[Field] = &[
    optional(&["consumerId"], Digits),
    optional(&["consumerEmail"], Text),
    STATUS,
    optional(&["details"], List(&REJECTION_REASON)),
    REJECTION_COMMENT,
    optional(&["kycLevel"], KYC_LEVEL),
    optional(&["ongoingStatus"], OneOf(LATER_STATUS)),
    optional(&["ongoingKycLevel"], KYC_LEVEL),
    optional(&["eventTimestamp"], Digits),
    optional(&["additionalInformation"], Fields(ADDITIONAL_INFORMATION)),
];

const REJECTION_REASON: Shape = OneOf(&[
    "DOCUMENTS_UNSATISFACTORY",
    "SUPPLIED_DATA_AND_DOCUMENTS_MISMATCH",
    "LANGUAGE_IN_DOCUMENTS_UNSUPPORTED",
    "SELFIE_UNSATISFACTORY",
    "SELFIE_AND_DOCUMENTS_MISMATCH",
    "OTHER",
]);

const KYC_LEVEL: Shape = OneOf(&["KYC_LEVEL_1", "KYC_LEVEL_2"]);

const ADDITIONAL_INFORMATION: &[Field] =
    &[optional(&["documentExpiryDate"], Digits), optional(&["identityRestrictionDate"], Digits)];
