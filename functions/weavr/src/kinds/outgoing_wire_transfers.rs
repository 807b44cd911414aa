//! Transfers to external bank accounts.

use ingest::schema::Shape::{Digits, List, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

use super::values::{
    AMOUNT, CANCELLATION_REASON, CHALLENGE_EXEMPTION_REASON, CREATION_TIMESTAMP, EXECUTION_TIMESTAMP,
    PROFILE_ID, PUBLISHED_TIMESTAMP, SCHEDULED_TIMESTAMP, SOURCE, TAG, TRANSACTION_AMOUNT, TRANSFER_ID,
    TYPED_ID,
};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[Kind {
    family: Family::OutgoingWireTransfers,
    name: "weavr.outgoing_wire_transfers.transaction",
    path: "/weavr/outgoing_wire_transfers/watch",
    schema: TRANSACTION,
}];

/// An outgoing wire transfer reached another state.
const TRANSACTION: &[Field] = &[
    required(&["transfer"], Fields(TRANSFER)),
    PUBLISHED_TIMESTAMP,
    required(
        &["eventType"],
        OneOf(&["PENDING_CHALLENGE", "SUBMITTED", "APPROVED", "REJECTED", "FAILED", "COMPLETED"]),
    ),
    optional(&["owner"], Fields(TYPED_ID)),
];

const TRANSFER: &[Field] = &[
    TRANSFER_ID,
    PROFILE_ID,
    TAG,
    SOURCE,
    optional(&["transferAmount"], Fields(AMOUNT)),
    optional(&["description"], Text),
    required(&["type"], OneOf(&["SEPA", "FASTER_PAYMENTS", "SWIFT", "RIX"])),
    required(&["destination"], Fields(DESTINATION)),
    optional(&["externalAccountId"], Fields(EXTERNAL_ACCOUNT)),
    // The document says: digits, or empty.
    optional(&["beneficiaryId"], Text),
    required(
        &["state"],
        OneOf(&[
            "INVALID",
            "PENDING_CHALLENGE",
            "SUBMITTED",
            "REJECTED",
            "APPROVED",
            "FAILED",
            "COMPLETED",
            "RETURNED",
            "SCHEDULED",
            "CANCELLED",
            "PENDING_CONFIRMATION",
        ]),
    ),
    CHALLENGE_EXEMPTION_REASON,
    CREATION_TIMESTAMP,
    TRANSACTION_AMOUNT,
    optional(&["transactionFee"], Fields(AMOUNT)),
    optional(&["conflict"], OneOf(CONFLICTS)),
    SCHEDULED_TIMESTAMP,
    CANCELLATION_REASON,
    EXECUTION_TIMESTAMP,
    optional(&["validationOutcomes"], List(&Fields(VALIDATION_OUTCOME))),
];

const DESTINATION: &[Field] = &[
    required(&["beneficiaryName"], Text),
    optional(&["beneficiaryAddress"], Text),
    optional(&["beneficiaryBankName"], Text),
    optional(&["beneficiaryBankAddress"], Text),
    optional(&["beneficiaryBankCountry"], Text),
    optional(&["beneficiaryAccountType"], OneOf(&["PERSONAL", "BUSINESS"])),
    optional(&["beneficiaryNationality"], Text),
    optional(&["beneficiaryDateOfBirth"], Text),
    optional(&["sepa"], Fields(&[required(&["iban"], Text), optional(&["bankIdentifierCode"], Text)])),
    optional(
        &["fasterPayments"],
        Fields(&[
            required(&["accountNumber"], Text),
            required(&["sortCode"], Text),
            optional(&["secondaryReference"], Text),
        ]),
    ),
    optional(&["swift"], Fields(&[required(&["iban"], Text), required(&["swift"], Text)])),
];

const EXTERNAL_ACCOUNT: &[Field] =
    &[required(&["type"], OneOf(&["linked_accounts"])), required(&["id"], Digits)];

/// Whether the payee's name matches the account, by the British or the European scheme.
const VALIDATION_OUTCOME: &[Field] = &[
    required(&["category"], OneOf(&["UK_CONFIRMATION_OF_PAYEE", "SEPA_VERIFICATION_OF_PAYEE"])),
    required(
        &["categoryResult"],
        Fields(&[
            required(&["match"], OneOf(&["EXACT_MATCH", "MATCH", "CLOSE_MATCH", "NO_MATCH", "NOT_POSSIBLE"])),
            optional(
                &["reasonCode"],
                OneOf(&[
                    "ANNM", "MBAM", "BANM", "PANM", "BAMM", "PAMM", "AC01", "IVCR", "ACNS", "OPTO", "CASS",
                    "SCNS",
                ]),
            ),
            optional(&["accountName"], Text),
        ]),
    ),
];

const CONFLICTS: &[&str] = &[
    "UNDEFINED",
    "NO_ERROR",
    "PROFILE_INACTIVE",
    "MODEL_CONSTRAINTS_VIOLATED",
    "DENIED_BY_INTERCEPTOR",
    "DENIED_BY_INSTRUMENT",
    "UNSUPPORTED_CURRENCY",
    "INVALID_AMOUNT",
    "INSUFFICIENT_FUNDS",
    "SOURCE_NOT_FOUND",
    "SOURCE_INSTRUMENT_BLOCKED",
    "FEE_NOT_CONFIGURED_FOR_CURRENCY",
    "TYPE_NOT_SUPPORTED_BY_PROFILE",
    "SOURCE_INSTRUMENT_DESTROYED",
    "IDENTITY_KYC_LEVEL_STEPUP_REQUIRED",
    "CURRENCY_MISMATCH",
    "BENEFICIARY_NOT_FOUND",
    "BENEFICIARY_TYPE_INVALID",
    "PROFILE_NOT_FOUND",
    "SCHEDULED_TIMESTAMP_INVALID",
    "BENEFICIARY_BANK_DETAILS_INVALID",
    "PROVIDER_ERROR",
    "SOURCE_HAS_NO_ACCESS_INSTRUMENT",
    "EXTERNAL_DESTINATION_ACCOUNT_NOT_FOUND",
];
