//! Transfers between instruments of two identities.

use ingest::schema::Shape::{Digits, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

use super::values::{
    AMOUNT, CANCELLATION_REASON, CHALLENGE_EXEMPTION_REASON, CREATION_TIMESTAMP, EXECUTION_TIMESTAMP,
    INSTRUMENT, PROFILE_ID, PUBLISHED_TIMESTAMP, SCHEDULED_TIMESTAMP, SOURCE, TAG, TRANSACTION_AMOUNT,
    TRANSFER_ID,
};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[Kind {
    family: Family::Send,
    name: "weavr.send.transaction",
    path: "/weavr/send/watch",
    schema: TRANSACTION,
}];

/// A send reached another state.
const TRANSACTION: &[Field] = &[
    required(&["eventType"], OneOf(&["PENDING", "COMPLETED", "FAILED"])),
    required(&["send"], Fields(SEND)),
    PUBLISHED_TIMESTAMP,
];

const SEND: &[Field] = &[
    TRANSFER_ID,
    PROFILE_ID,
    TAG,
    SOURCE,
    required(&["destination"], Fields(INSTRUMENT)),
    TRANSACTION_AMOUNT,
    required(&["destinationAmount"], Fields(AMOUNT)),
    optional(&["sourceFee"], Fields(AMOUNT)),
    optional(&["destinationFee"], Fields(AMOUNT)),
    optional(&["description"], Text),
    required(
        &["state"],
        OneOf(&[
            "UNDEFINED",
            "INITIALISED",
            "COMPLETED",
            "REJECTED",
            "FAILED",
            "PENDING",
            "PENDING_CHALLENGE",
            "APPROVED",
            "INVALID",
            "SCHEDULED",
            "CANCELLED",
        ]),
    ),
    CREATION_TIMESTAMP,
    optional(&["conflict"], OneOf(CONFLICTS)),
    optional(&["beneficiaryId"], Digits),
    CHALLENGE_EXEMPTION_REASON,
    SCHEDULED_TIMESTAMP,
    CANCELLATION_REASON,
    EXECUTION_TIMESTAMP,
];

const CONFLICTS: &[&str] = &[
    "NO_ERROR",
    "PROFILE_INACTIVE",
    "MODEL_CONSTRAINTS_VIOLATED",
    "DENIED_BY_INTERCEPTOR",
    "DENIED_BY_INSTRUMENT",
    "DENIED_BY_FOREX_TRADE",
    "CURRENCY_MISMATCH",
    "SOURCE_NOT_FOUND",
    "DESTINATION_NOT_FOUND",
    "FEE_NOT_CONFIGURED_FOR_CURRENCY",
    "DESTINATION_LIMIT_EXCEEDED",
    "SEND_TO_INSTRUMENT_UNSUPPORTED",
    "INSUFFICIENT_FUNDS",
    "SOURCE_INSTRUMENT_BLOCKED",
    "DESTINATION_INSTRUMENT_BLOCKED",
    "INVALID_AMOUNT",
    "IDENTITY_KYC_LEVEL_STEPUP_REQUIRED",
    "PROFILE_NOT_FOUND",
    "SCHEDULED_TIMESTAMP_INVALID",
];
