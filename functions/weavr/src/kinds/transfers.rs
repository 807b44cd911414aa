//! Transfers between instruments of one identity.

use ingest::schema::Shape::{Object as Fields, OneOf};
use ingest::schema::{Field, optional, required};

use super::values::{
    AMOUNT, CANCELLATION_REASON, CREATION_TIMESTAMP, EXECUTION_TIMESTAMP, INSTRUMENT, PROFILE_ID,
    PUBLISHED_TIMESTAMP, SCHEDULED_TIMESTAMP, SOURCE, TAG, TRANSFER_ID,
};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[Kind {
    family: Family::Transfers,
    name: "weavr.transfers.transaction",
    path: "/weavr/transfers/watch",
    schema: TRANSACTION,
}];

/// A transfer reached another state.
const TRANSACTION: &[Field] = &[
    required(&["eventType"], OneOf(&["PENDING", "COMPLETED", "FAILED"])),
    required(&["transfer"], Fields(TRANSFER)),
    PUBLISHED_TIMESTAMP,
];

const TRANSFER: &[Field] = &[
    TRANSFER_ID,
    PROFILE_ID,
    TAG,
    SOURCE,
    required(&["destination"], Fields(INSTRUMENT)),
    required(&["destinationAmount"], Fields(AMOUNT)),
    required(
        &["state"],
        OneOf(&["INITIALISED", "COMPLETED", "REJECTED", "FAILED", "PENDING", "SCHEDULED", "CANCELLED"]),
    ),
    CREATION_TIMESTAMP,
    optional(&["conflict"], OneOf(CONFLICTS)),
    SCHEDULED_TIMESTAMP,
    CANCELLATION_REASON,
    EXECUTION_TIMESTAMP,
];

const CONFLICTS: &[&str] = &[
    "UNDEFINED",
    "NO_ERROR",
    "PROFILE_INACTIVE",
    "MODEL_CONSTRAINTS_VIOLATED",
    "DENIED_BY_INTERCEPTOR",
    "DENIED_BY_INSTRUMENT",
    "DENIED_BY_FOREX_TRADE",
    "CURRENCY_MISMATCH",
    "INSUFFICIENT_FUNDS",
    "SYSTEM_ERROR",
    "SOURCE_NOT_FOUND",
    "DESTINATION_NOT_FOUND",
    "FEE_NOT_CONFIGURED_FOR_CURRENCY",
    "DESTINATION_LIMIT_EXCEEDED",
    "TRANSFER_BETWEEN_INSTRUMENTS_UNSUPPORTED",
    "SOURCE_INSTRUMENT_BLOCKED",
    "DESTINATION_INSTRUMENT_BLOCKED",
    "INVALID_AMOUNT",
    "SCHEDULED_TIMESTAMP_INVALID",
];
