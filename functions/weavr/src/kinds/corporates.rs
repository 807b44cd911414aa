//! Corporates (companies): KYB and beneficiaries. Activation and deactivation are in `values`, because
//! consumers have the same fields.

use ingest::schema::Shape::{Digits, List, Object as Fields, OneOf, Text};
use ingest::schema::{Field, Shape, optional};

use super::values::{ACTIVATED, DEACTIVATED, LATER_STATUS, REJECTION_COMMENT, STATUS};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.activated",
        path: "/weavr/corporates/corporate_activated/watch",
        schema: ACTIVATED,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.deactivated",
        path: "/weavr/corporates/corporate_deactivated/watch",
        schema: DEACTIVATED,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.beneficiary",
        path: "/weavr/corporates/kyb/beneficiaries/watch",
        schema: BENEFICIARY,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.kyb",
        path: "/weavr/corporates/kyb/watch",
        schema: KYB,
    },
];

/// The state of a company's KYB changed.
const KYB: &[Field] = &[
    optional(&["corporateId"], Digits),
    optional(&["corporateEmail"], Text),
    STATUS,
    optional(&["details"], List(&FAILURE_REASON)),
    REJECTION_COMMENT,
    optional(&["ongoingStatus"], OneOf(LATER_STATUS)),
];

/// The state of a company's beneficiary changed.
const BENEFICIARY: &[Field] = &[
    optional(&["event"], List(&BENEFICIARY_EVENT)),
    optional(&["eventDetails"], List(&FAILURE_REASON)),
    optional(&["additionalInformation"], Fields(ADDITIONAL_INFORMATION)),
    REJECTION_COMMENT,
];

const BENEFICIARY_EVENT: Shape = OneOf(&[
    "STATUS_UPDATED",
    "BENEFICIARY_TYPE_UPDATED",
    "FIRST_NAME_UPDATED",
    "MIDDLE_NAME_UPDATED",
    "LAST_NAME_UPDATED",
    "EMAIL_UPDATED",
]);

const FAILURE_REASON: Shape = OneOf(&[
    "DOCUMENTS_UNSATISFACTORY",
    "SUPPLIED_DATA_AND_DOCUMENTS_MISMATCH",
    "LANGUAGE_IN_DOCUMENTS_UNSUPPORTED",
    "SELFIE_UNSATISFACTORY",
    "SELFIE_AND_DOCUMENTS_MISMATCH",
    "CORPORATE_DETAILS_UNSATISFACTORY",
    "BENEFICIARY_DETAILS_UNSATISFACTORY",
    "REPRESENTATIVE_DETAILS_UNSATISFACTORY",
    "OTHER",
    "ROOT_USER_UNMATCHED_TO_DIRECTOR_OR_REPRESENTATIVE",
]);

const ADDITIONAL_INFORMATION: &[Field] = &[
    optional(&["corporateId"], Digits),
    optional(&["corporateName"], Text),
    optional(&["rootUserEmail"], Text),
    optional(&["kybStatus"], OneOf(LATER_STATUS)),
    optional(&["beneficiary"], Fields(BENEFICIARY_INFORMATION)),
    optional(&["documentExpiryDate"], Digits),
    optional(&["identityRestrictionDate"], Digits),
];

const BENEFICIARY_INFORMATION: &[Field] = &[
    optional(
        &["type"],
        OneOf(&[
            "UNDEFINED_BENEFICIARY_TYPE",
            "UBO",
            "DIRECTOR",
            "UNKNOWN",
            "SHAREHOLDER",
            "PARTNER",
            "OTHER_DIRECTOR",
        ]),
    ),
    optional(&["firstName"], Text),
    optional(&["middleName"], Text),
    optional(&["lastName"], Text),
    optional(&["email"], Text),
    optional(&["status"], OneOf(LATER_STATUS)),
    optional(&["ongoingKybStatus"], OneOf(LATER_STATUS)),
];
