//! The resource of INCOMING_PAYMENT: a transaction, and what its sender asks about the receiver.

use ingest::schema::Shape::{AnyObject, Flag, Integer, List, Number, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::{CURRENCY_AMOUNT, DESTINATION, RECONCILIATION_INSTRUCTIONS, REFUND, SOURCE};

pub(super) const INCOMING: &[Field] = &[
    required(&["customerId"], Text),
    required(&["destination"], Fields(DESTINATION)),
    required(&["direction"], OneOf(&["CREDIT", "DEBIT"])),
    required(&["id"], Text),
    required(&["platformCustomerId"], Text),
    required(&["receivedAmount"], Fields(CURRENCY_AMOUNT)),
    required(&["status"], OneOf(INCOMING_STATUS_VALUES)),
    required(&["type"], OneOf(&["INCOMING"])),
    // The examples have both addresses, the schema has them only within `source` and `destination`.
    optional(&["senderUmaAddress"], Text),
    optional(&["receiverUmaAddress"], Text),
    optional(&["agentId"], Text),
    optional(&["counterpartyInformation"], AnyObject),
    optional(&["createdAt"], Time),
    optional(&["description"], Text),
    optional(&["exchangeRate"], Number),
    optional(&["failureReason"], OneOf(FAILURE_REASON_VALUES)),
    optional(&["fees"], Integer),
    optional(
        &["pendingReason"],
        OneOf(&[
            "COMPLIANCE_REVIEW",
            "COUNTERPARTY_DECLARATION_REQUIRED",
            "COUNTERPARTY_INFORMATION_REQUIRED",
            "WALLET_VERIFICATION_REQUIRED",
        ]),
    ),
    optional(&["quoteId"], Text),
    optional(&["receiptDeliveryConfirmedAt"], Time),
    optional(&["reconciliationInstructions"], Fields(RECONCILIATION_INSTRUCTIONS)),
    optional(&["refund"], Fields(REFUND)),
    optional(&["requestedReceiverCustomerInfoFields"], List(&Fields(REQUESTED_RECEIVER_CUSTOMER_INFO_FIELD))),
    optional(&["sentAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["settledAt"], Time),
    optional(&["source"], Fields(SOURCE)),
    optional(&["updatedAt"], Time),
];

const REQUESTED_RECEIVER_CUSTOMER_INFO_FIELD: &[Field] =
    &[required(&["mandatory"], Flag), required(&["name"], OneOf(NAME_VALUES))];

const FAILURE_REASON_VALUES: &[&str] = &[
    "COLLECTION_FAILED",
    "COMPLIANCE_REJECTED",
    "LNURLP_FAILED",
    "MISSING_MANDATORY_PAYEE_DATA",
    "OFFRAMP_FAILED",
    "PAYMENT_APPROVAL_TIMED_OUT",
    "PAYMENT_APPROVAL_WEBHOOK_ERROR",
    "PAY_REQUEST_FAILED",
    "QUOTE_EXECUTION_FAILED",
    "QUOTE_EXPIRED",
];

const INCOMING_STATUS_VALUES: &[&str] = &[
    "COMPLETED",
    "CREATED",
    "EXPIRED",
    "FAILED",
    "PENDING",
    "PENDING_AUTHORIZATION",
    "PROCESSING",
    "REFUNDED",
    "REJECTED",
];

const NAME_VALUES: &[&str] = &[
    "ACCOUNT_IDENTIFIER",
    "BIRTH_DATE",
    "BUSINESS_TYPE",
    "COMPANY_LEGAL_NAME",
    "COUNTRY_OF_RESIDENCE",
    "EMAIL",
    "FI_ADDRESS",
    "FI_LEGAL_ENTITY_NAME",
    "FULL_NAME",
    "IDENTIFIER",
    "ID_NUMBER",
    "ID_TYPE",
    "NATIONALITY",
    "PHONE_NUMBER",
    "POSTAL_ADDRESS",
    "PURPOSE_OF_PAYMENT",
    "REGISTRATION_NUMBER",
    "TAX_ID",
    "ULTIMATE_INSTITUTION_COUNTRY",
    "USER_TYPE",
];
