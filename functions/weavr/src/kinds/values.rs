//! Fields that the bodies of several families have.

use ingest::schema::Shape::{Digits, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

/// An identity was activated.
pub(super) const ACTIVATED: &[Field] = &[ACTION_DONE_BY, EMAIL_ADDRESS];

/// An identity was deactivated.
pub(super) const DEACTIVATED: &[Field] = &[
    ACTION_DONE_BY,
    EMAIL_ADDRESS,
    required(
        &["reasonCode"],
        OneOf(&["ACCOUNT_REVIEW", "ACCOUNT_SECURITY", "TEMPORARY", "ACCOUNT_CLOSURE", "ACCOUNT_ABANDONED"]),
    ),
];

const ACTION_DONE_BY: Field = required(&["actionDoneBy"], OneOf(&["ADMIN", "INNOVATOR"]));
const EMAIL_ADDRESS: Field = required(&["emailAddress"], Text);

/// The status of a KYC or KYB check.
pub(super) const STATUS: Field =
    optional(&["status"], OneOf(&["NOT_STARTED", "INITIATED", "PENDING_REVIEW", "APPROVED", "REJECTED"]));
pub(super) const REJECTION_COMMENT: Field = optional(&["rejectionComment"], Text);

/// The values of the same status, in fields that only the later document has.
pub(super) const LATER_STATUS: &[&str] =
    &["UNDEFINED", "NOT_STARTED", "INITIATED", "PENDING_REVIEW", "APPROVED", "REJECTED"];

/// An id, with the type of the object that it names.
pub(super) const TYPED_ID: &[Field] = &[required(&["type"], Text), required(&["id"], Digits)];

/// A managed account or a managed card.
pub(super) const INSTRUMENT: &[Field] =
    &[required(&["id"], Digits), required(&["type"], OneOf(&["managed_cards", "managed_accounts"]))];

/// Money, in the currency's smallest unit.
pub(super) const AMOUNT: &[Field] = &[required(&["currency"], Text), required(&["amount"], Digits)];

pub(super) const INSTRUMENT_ID: Field = required(&["id"], Fields(INSTRUMENT));
pub(super) const OWNER: Field = required(&["owner"], Fields(TYPED_ID));
pub(super) const TRANSACTION_ID: Field = required(&["transactionId"], Digits);
pub(super) const TRANSACTION_AMOUNT: Field = required(&["transactionAmount"], Fields(AMOUNT));
pub(super) const TRANSACTION_TIMESTAMP: Field = required(&["transactionTimestamp"], Digits);
pub(super) const PUBLISHED_TIMESTAMP: Field = required(&["publishedTimestamp"], Digits);

// Fields that transfers, sends and outgoing wire transfers have in common.
pub(super) const TRANSFER_ID: Field = required(&["id"], Fields(TYPED_ID));
pub(super) const PROFILE_ID: Field = required(&["profileId"], Digits);
pub(super) const TAG: Field = optional(&["tag"], Text);
pub(super) const SOURCE: Field = required(&["source"], Fields(INSTRUMENT));
pub(super) const CREATION_TIMESTAMP: Field = required(&["creationTimestamp"], Digits);
pub(super) const SCHEDULED_TIMESTAMP: Field = optional(&["scheduledTimestamp"], Digits);
pub(super) const EXECUTION_TIMESTAMP: Field = optional(&["executionTimestamp"], Digits);
pub(super) const CANCELLATION_REASON: Field = optional(&["cancellationReason"], Text);
pub(super) const CHALLENGE_EXEMPTION_REASON: Field = optional(
    &["challengeExemptionReason"],
    OneOf(&["NO_EXEMPTION", "LOW_VALUE", "NOT_ENABLED", "TRUSTED_BENEFICIARY"]),
);
