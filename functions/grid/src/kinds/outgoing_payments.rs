//! The resource of OUTGOING_PAYMENT: a transaction.

use ingest::schema::Shape::{AnyObject, Integer, List, Number, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::{
    CURRENCY_AMOUNT, DESTINATION, PAYMENT_INSTRUCTION, PAYMENT_RAIL_VALUES, RATE_DETAILS,
    RECONCILIATION_INSTRUCTIONS, REFUND, SOURCE, STATUS_VALUES,
};

pub(super) const OUTGOING: &[Field] = &[
    required(&["customerId"], Text),
    required(&["destination"], Fields(DESTINATION)),
    required(&["direction"], OneOf(&["CREDIT", "DEBIT"])),
    required(&["id"], Text),
    required(&["platformCustomerId"], Text),
    required(&["sentAmount"], Fields(CURRENCY_AMOUNT)),
    required(&["source"], Fields(SOURCE)),
    required(&["status"], OneOf(STATUS_VALUES)),
    required(&["type"], OneOf(&["OUTGOING"])),
    // The examples have both addresses, the schema has them only within `source` and `destination`.
    optional(&["senderUmaAddress"], Text),
    optional(&["receiverUmaAddress"], Text),
    optional(&["agentId"], Text),
    optional(&["counterpartyInformation"], AnyObject),
    optional(&["createdAt"], Time),
    optional(&["description"], Text),
    optional(&["exchangeRate"], Number),
    optional(&["expectedSettlementAt"], Time),
    optional(&["failureReason"], OneOf(FAILURE_REASON_VALUES)),
    optional(&["fees"], Integer),
    optional(&["paymentInstructions"], List(&Fields(PAYMENT_INSTRUCTION))),
    optional(&["paymentRail"], OneOf(PAYMENT_RAIL_VALUES)),
    optional(
        &["pendingReason"],
        OneOf(&[
            "COMPLIANCE_REVIEW",
            "COUNTERPARTY_DECLARATION_REQUIRED",
            "COUNTERPARTY_INFORMATION_REQUIRED",
            "WALLET_VERIFICATION_REQUIRED",
        ]),
    ),
    optional(&["platformFees"], Integer),
    optional(&["quoteId"], Text),
    optional(&["railSelectionMode"], OneOf(&["AUTO", "MANUAL"])),
    optional(&["rateDetails"], Fields(RATE_DETAILS)),
    optional(&["receiptDeliveryConfirmedAt"], Time),
    optional(&["receivedAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["reconciliationInstructions"], Fields(RECONCILIATION_INSTRUCTIONS)),
    optional(&["refund"], Fields(REFUND)),
    optional(&["settledAt"], Time),
    optional(&["settlementTimelineSeconds"], Integer),
    optional(&["updatedAt"], Time),
];

const FAILURE_REASON_VALUES: &[&str] = &[
    "ACCOUNT_CANNOT_RECEIVE",
    "ACCOUNT_INVALID",
    "COMPLIANCE_REJECTED",
    "COUNTERPARTY_POST_TX_FAILED",
    "FUNDING_AMOUNT_MISMATCH",
    "LIGHTNING_PAYMENT_FAILED",
    "LIMIT_EXCEEDED",
    "PAYOUT_RETURNED",
    "QUOTE_EXECUTION_FAILED",
    "QUOTE_EXPIRED",
    "QUOTE_RATE_UNAVAILABLE",
    "SCA_NOT_COMPLETED",
];
