//! The resource of AGENT_ACTION: what an agent wants to do.

use ingest::schema::Shape::{AnyObject, Integer, List, Number, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::{
    CURRENCY, CURRENCY_AMOUNT, DESTINATION, MERCHANT, PAYMENT_INSTRUCTION, PAYMENT_RAIL_VALUES, PULL_SUMMARY,
    RATE_DETAILS, RECONCILIATION_INSTRUCTIONS, REFUND, REFUND_SUMMARY, SOURCE, STATUS_VALUES,
};

pub(super) const ACTION: &[Field] = &[
    required(&["agentId"], Text),
    required(&["createdAt"], Time),
    required(&["customerId"], Text),
    required(&["id"], Text),
    required(&["platformCustomerId"], Text),
    required(&["status"], OneOf(&["APPROVED", "FAILED", "PENDING_APPROVAL", "REJECTED"])),
    required(&["type"], OneOf(&["EXECUTE_QUOTE", "TRANSFER_IN", "TRANSFER_OUT"])),
    required(&["updatedAt"], Time),
    optional(&["quote"], Fields(QUOTE)),
    optional(&["rejectionReason"], Text),
    optional(&["transaction"], Fields(TRANSACTION)),
    optional(&["transferDetails"], Fields(TRANSFER_DETAILS)),
];

const ACTION_DESTINATION: &[Field] = &[
    required(&["destinationType"], OneOf(&["ACCOUNT", "UMA_ADDRESS"])),
    optional(&["accountId"], Text),
    optional(&["currency"], Text),
    optional(&["paymentRail"], OneOf(PAYMENT_RAIL_VALUES)),
    optional(&["umaAddress"], Text),
];

const ACTION_SOURCE: &[Field] = &[
    required(&["sourceType"], OneOf(&["ACCOUNT", "REALTIME_FUNDING"])),
    optional(&["accountId"], Text),
    optional(&["cryptoNetwork"], Text),
    optional(&["currency"], Text),
    optional(&["customerId"], Text),
];

const QUOTE: &[Field] = &[
    required(&["createdAt"], Time),
    required(&["destination"], Fields(ACTION_DESTINATION)),
    required(&["exchangeRate"], Number),
    required(&["expiresAt"], Time),
    required(&["feesIncluded"], Integer),
    required(&["id"], Text),
    required(&["receivingCurrency"], Fields(CURRENCY)),
    required(&["sendingCurrency"], Fields(CURRENCY)),
    required(&["source"], Fields(ACTION_SOURCE)),
    required(&["status"], OneOf(STATUS_VALUES)),
    required(&["totalReceivingAmount"], Integer),
    required(&["totalSendingAmount"], Integer),
    required(&["transactionId"], Text),
    optional(&["counterpartyInformation"], AnyObject),
    optional(&["paymentInstructions"], List(&Fields(PAYMENT_INSTRUCTION))),
    optional(&["platformFeesIncluded"], Integer),
    optional(&["rateDetails"], Fields(RATE_DETAILS)),
    optional(&["scaChallenge"], Fields(SCA_CHALLENGE)),
];

const SCA_CHALLENGE: &[Field] = &[
    required(&["availableFactors"], List(&OneOf(&["PASSKEY", "SMS_OTP", "TOTP"]))),
    required(&["expiresAt"], Time),
    required(&["factor"], OneOf(&["PASSKEY", "SMS_OTP", "TOTP"])),
    required(&["id"], Text),
    optional(&["passkeyAllowedOrigins"], List(&Text)),
    optional(&["passkeyAssertionOptions"], AnyObject),
    optional(&["purpose"], Text),
];

const TRANSACTION: &[Field] = &[
    required(&["customerId"], Text),
    required(&["direction"], OneOf(&["CREDIT", "DEBIT"])),
    required(&["id"], Text),
    required(&["platformCustomerId"], Text),
    required(&["status"], OneOf(ACTION_STATUS_VALUES)),
    required(&["type"], OneOf(&["CARD", "INCOMING", "OUTGOING"])),
    optional(&["accountId"], Text),
    optional(&["agentId"], Text),
    optional(&["authorizedAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["authorizedAt"], Time),
    optional(&["cardId"], Text),
    optional(&["counterpartyInformation"], AnyObject),
    optional(&["createdAt"], Time),
    optional(&["description"], Text),
    optional(&["destination"], Fields(DESTINATION)),
    optional(&["exchangeRate"], Number),
    optional(&["expectedSettlementAt"], Time),
    optional(&["failureReason"], OneOf(FAILURE_REASON_VALUES)),
    optional(&["fees"], Integer),
    optional(&["issuerTransactionToken"], Text),
    optional(&["lastEventAt"], Time),
    optional(&["merchant"], Fields(MERCHANT)),
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
    optional(&["pullSummary"], Fields(PULL_SUMMARY)),
    optional(&["quoteId"], Text),
    optional(&["railSelectionMode"], OneOf(&["AUTO", "MANUAL"])),
    optional(&["rateDetails"], Fields(RATE_DETAILS)),
    optional(&["receiptDeliveryConfirmedAt"], Time),
    optional(&["receivedAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["reconciliationInstructions"], Fields(RECONCILIATION_INSTRUCTIONS)),
    optional(&["refund"], Fields(REFUND)),
    optional(&["refundSummary"], Fields(REFUND_SUMMARY)),
    optional(&["refundedAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["sentAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["settledAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["settledAt"], Time),
    optional(&["settlementSummary"], Fields(REFUND_SUMMARY)),
    optional(&["settlementTimelineSeconds"], Integer),
    optional(&["source"], Fields(SOURCE)),
    optional(&["updatedAt"], Time),
];

const TRANSFER_DETAILS: &[Field] = &[
    required(&["amount"], Integer),
    required(&["currency"], Text),
    required(&["destinationAccountId"], Text),
    required(&["sourceAccountId"], Text),
];

const ACTION_STATUS_VALUES: &[&str] = &[
    "AUTHORIZED",
    "COMPLETED",
    "CREATED",
    "EXCEPTION",
    "EXPIRED",
    "FAILED",
    "PARTIALLY_SETTLED",
    "PENDING",
    "PENDING_AUTHORIZATION",
    "PROCESSING",
    "REFUNDED",
    "REJECTED",
    "SETTLED",
];

const FAILURE_REASON_VALUES: &[&str] = &[
    "ACCOUNT_CANNOT_RECEIVE",
    "ACCOUNT_INVALID",
    "COLLECTION_FAILED",
    "COMPLIANCE_REJECTED",
    "COUNTERPARTY_POST_TX_FAILED",
    "FUNDING_AMOUNT_MISMATCH",
    "LIGHTNING_PAYMENT_FAILED",
    "LIMIT_EXCEEDED",
    "LNURLP_FAILED",
    "MISSING_MANDATORY_PAYEE_DATA",
    "OFFRAMP_FAILED",
    "PAYMENT_APPROVAL_TIMED_OUT",
    "PAYMENT_APPROVAL_WEBHOOK_ERROR",
    "PAYOUT_RETURNED",
    "PAY_REQUEST_FAILED",
    "QUOTE_EXECUTION_FAILED",
    "QUOTE_EXPIRED",
    "QUOTE_RATE_UNAVAILABLE",
    "SCA_NOT_COMPLETED",
];
