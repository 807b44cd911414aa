//! The webhooks of UMAaaS: the `type` in their body, their documented path, and every documented field. To
//! add a kind, see `functions/adding-a-kind.md`.
//!
//! The fields are those of three versions of the API together: 2025-04-19, 2025-05-30 and 2026-03-24. A
//! body does not say which version it has. So a field is required only if every version that has the
//! surrounding object requires the field, and an enum has the values of all versions. `tests/documents.rs`
//! compares this table with the facts of the three documents, and with their examples.

use ingest::Object;
use ingest::schema::Shape::{
    AnyObject, Digits, Flag, Integer, List, Number, Object as Fields, OneOf, Text, Time,
};
use ingest::schema::{Field, optional, required};

/// One kind of webhook.
#[derive(Debug)]
pub struct Kind {
    /// The `type` in the body.
    pub wire: &'static str,
    /// The message's `type`.
    pub name: &'static str,
    /// The kind's own path, or `/umaaas` if it has none. This path is also the message's `source`.
    pub path: &'static str,
    /// The documented fields of the body.
    pub schema: &'static [Field],
}

/// The path of the one URL that is configured at UMAaaS. All kinds can arrive there.
pub(crate) const ANY_KIND: &str = "/umaaas";

/// The message's `type` for a `type` that is not in [`KINDS`].
pub const UNKNOWN: &str = "umaaas.unknown";

/// The `type` of the kind that may ask for a decision.
pub(crate) const INCOMING_PAYMENT: &str = "INCOMING_PAYMENT";

/// All kinds. The first four are those of 2025-04-19, and each has the path name of that document.
pub const KINDS: [Kind; 5] = [
    Kind { wire: "TEST", name: "umaaas.test", path: "/umaaas/test-webhook", schema: TEST },
    Kind {
        wire: "BULK_UPLOAD",
        name: "umaaas.bulk_upload",
        path: "/umaaas/bulk-upload",
        schema: BULK_UPLOAD,
    },
    Kind {
        wire: INCOMING_PAYMENT,
        name: "umaaas.incoming_payment",
        path: "/umaaas/incoming-payment",
        schema: INCOMING,
    },
    Kind {
        wire: "OUTGOING_PAYMENT",
        name: "umaaas.outgoing_payment",
        path: "/umaaas/outgoing-payment",
        schema: OUTGOING,
    },
    // The documents of 2025-05-30 and 2026-03-24 call this webhook `invitation-claimed`. It has no path of
    // its own: UMAaaS is configured with one URL, so it would never send anything to a separate gateway
    // route.
    Kind {
        wire: "INVITATION_CLAIMED",
        name: "umaaas.invitation_claimed",
        path: ANY_KIND,
        schema: INVITATION_CLAIMED,
    },
];

impl Kind {
    /// The kind with this `type`.
    pub(crate) fn of(wire: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.wire == wire)
    }
}

/// What an event is about: the id of its transaction or upload job, or the code of its invitation. UMAaaS
/// itself uses both names of the transaction's id. Since 2025-05-30 a job is in a separate object.
pub(crate) fn subject(body: &Object<'_>) -> Option<String> {
    let subject = if let Some(transaction) = body.object("transaction") {
        transaction.text("id").or_else(|| transaction.text("transactionId"))
    } else if let Some(invitation) = body.object("invitation") {
        invitation.text("code")
    } else if let Some(job) = body.object("bulkUserImportJob") {
        job.text("jobId")
    } else {
        body.text("jobId")
    };
    subject.filter(|subject| !subject.is_empty())
}

const TYPE: Field = required(
    &["type"],
    OneOf(&["TEST", "BULK_UPLOAD", INCOMING_PAYMENT, "OUTGOING_PAYMENT", "INVITATION_CLAIMED"]),
);
const WEBHOOK_ID: Field = required(&["webhookId"], Text);
const TIMESTAMP: Field = required(&["timestamp"], Time);

const TEST: &[Field] = &[TYPE, WEBHOOK_ID, TIMESTAMP];

// The version of 2025-04-19 requires `jobId`, `status` and `progress`. Since 2025-05-30 these fields are in
// `bulkUserImportJob`, which is required instead. So none of the four is required here.
const BULK_UPLOAD: &[Field] = &[
    TYPE,
    WEBHOOK_ID,
    TIMESTAMP,
    optional(&["bulkUserImportJob"], Fields(JOB)),
    optional(&["jobId"], Text),
    optional(&["status"], OneOf(&["SUCCESS", "PARTIAL_SUCCESS", "FAILED"])),
    optional(&["progress"], Fields(PROGRESS)),
    UPLOAD_ERRORS,
];

const JOB: &[Field] = &[
    required(&["jobId"], Text),
    required(&["status"], OneOf(&["PENDING", "PROCESSING", "COMPLETED", "FAILED"])),
    required(&["progress"], Fields(PROGRESS)),
    UPLOAD_ERRORS,
    optional(&["completedAt"], Time),
];

const UPLOAD_ERRORS: Field = optional(&["errors"], List(&Fields(UPLOAD_ERROR)));

const PROGRESS: &[Field] = &[
    required(&["total"], Integer),
    required(&["processed"], Integer),
    required(&["successful"], Integer),
    required(&["failed"], Integer),
];

const UPLOAD_ERROR: &[Field] = &[required(&["correlationId"], Text), required(&["error"], Fields(ERROR))];

const ERROR: &[Field] =
    &[optional(&["code"], Text), optional(&["message"], Text), optional(&["details"], AnyObject)];

const INCOMING: &[Field] = &[
    TYPE,
    WEBHOOK_ID,
    TIMESTAMP,
    required(&["transaction"], Fields(INCOMING_TRANSACTION)),
    optional(&["requestedReceiverUserInfoFields"], List(&Fields(REQUESTED_FIELD))),
];

const REQUESTED_FIELD: &[Field] = &[required(&["name"], OneOf(USER_INFO)), required(&["mandatory"], Flag)];

// The version of 2025-05-30 has DATE_OF_BIRTH, ADDRESS and ACCOUNT_NUMBER; the version of 2026-03-24 has
// BIRTH_DATE, POSTAL_ADDRESS and ACCOUNT_IDENTIFIER instead.
const USER_INFO: &[&str] = &[
    "FULL_NAME",
    "DATE_OF_BIRTH",
    "BIRTH_DATE",
    "NATIONALITY",
    "PHONE_NUMBER",
    "EMAIL",
    "ADDRESS",
    "POSTAL_ADDRESS",
    "TAX_ID",
    "REGISTRATION_NUMBER",
    "ACCOUNT_NUMBER",
    "ACCOUNT_IDENTIFIER",
    "USER_TYPE",
    "COUNTRY_OF_RESIDENCE",
    "FI_LEGAL_ENTITY_NAME",
    "FI_ADDRESS",
    "PURPOSE_OF_PAYMENT",
    "ULTIMATE_INSTITUTION_COUNTRY",
    "IDENTIFIER",
    "BUSINESS_TYPE",
];

const OUTGOING: &[Field] =
    &[TYPE, WEBHOOK_ID, TIMESTAMP, required(&["transaction"], Fields(OUTGOING_TRANSACTION))];

const INCOMING_TRANSACTION: &[Field] = &[
    ID,
    STATUS,
    required(&["type"], OneOf(&["INCOMING"])),
    SENDER,
    RECEIVER,
    USER_ID,
    PLATFORM_USER_ID,
    SETTLED_AT,
    CREATED_AT,
    DESCRIPTION,
    COUNTERPARTY,
    required(&["receivedAmount"], Fields(CURRENCY_AMOUNT)),
    EXCHANGE_RATE,
    QUOTE_ID,
    optional(&["reconciliationInstructions"], Fields(&[REFERENCE])),
    optional(&["rateDetails"], Fields(INCOMING_RATE)),
    optional(&["failureReason"], OneOf(INCOMING_FAILURE)),
];

const INCOMING_RATE: &[Field] = &[MULTIPLIER, FIXED_FEE, VARIABLE_FEE_RATE, VARIABLE_FEE_AMOUNT];

const INCOMING_FAILURE: &[&str] = &[
    "LNURLP_FAILED",
    "PAY_REQUEST_FAILED",
    "PAYMENT_APPROVAL_WEBHOOK_ERROR",
    "PAYMENT_APPROVAL_TIMED_OUT",
    "OFFRAMP_FAILED",
    "MISSING_MANDATORY_PAYEE_DATA",
    "QUOTE_EXPIRED",
    "QUOTE_EXECUTION_FAILED",
];

const OUTGOING_TRANSACTION: &[Field] = &[
    ID,
    STATUS,
    required(&["type"], OneOf(&["OUTGOING"])),
    SENDER,
    RECEIVER,
    USER_ID,
    PLATFORM_USER_ID,
    SETTLED_AT,
    CREATED_AT,
    DESCRIPTION,
    COUNTERPARTY,
    required(&["sentAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["receivedAmount"], Fields(CURRENCY_AMOUNT)),
    EXCHANGE_RATE,
    optional(&["fees"], Integer),
    QUOTE_ID,
    optional(&["originalTransactionId"], Text),
    // Only 2026-03-24 requires it.
    optional(&["paymentInstructions"], Fields(PAYMENT_INSTRUCTIONS)),
    optional(&["refund"], Fields(REFUND)),
    optional(&["rateDetails"], Fields(OUTGOING_RATE)),
    optional(&["failureReason"], OneOf(OUTGOING_FAILURE)),
    optional(&["counterpartyDeliveryStatus"], OneOf(&["PENDING", "COMPLETED", "FAILED"])),
];

const PAYMENT_INSTRUCTIONS: &[Field] = &[
    REFERENCE,
    optional(&["instructionsNotes"], Text),
    required(&["bankAccountInfo"], Fields(BANK_ACCOUNT)),
];

// The fields of all types of account. `accountType` decides which of these fields a body has.
const BANK_ACCOUNT: &[Field] = &[
    required(&["accountType"], OneOf(&["CLABE", "US_ACCOUNT", "PIX", "IBAN", "FBO", "UPI"])),
    optional(&["clabeNumber"], Text),
    // The schema says strings, but the document's own examples have numbers.
    optional(&["accountNumber"], Digits),
    optional(&["routingNumber"], Digits),
    optional(&["accountCategory"], OneOf(&["CHECKING", "SAVINGS"])),
    optional(&["pixKey"], Text),
    optional(&["pixKeyType"], OneOf(&["CPF", "CNPJ", "EMAIL", "PHONE", "RANDOM"])),
    optional(&["iban"], Text),
    optional(&["swiftBic"], Text),
    optional(&["paymentUrl"], Text),
    optional(&["paymentMethod"], OneOf(&["POST", "GET"])),
    optional(&["vpa"], Text),
    optional(&["bankName"], Text),
    optional(&["accountHolderName"], Text),
];

const REFUND: &[Field] = &[REFERENCE, required(&["initiatedAt"], Time), optional(&["settledAt"], Time)];

const OUTGOING_RATE: &[Field] = &[
    required(&["counterpartyMultiplier"], Number),
    required(&["counterpartyFixedFee"], Integer),
    MULTIPLIER,
    FIXED_FEE,
    VARIABLE_FEE_RATE,
    VARIABLE_FEE_AMOUNT,
];

const OUTGOING_FAILURE: &[&str] = &[
    "QUOTE_EXPIRED",
    "QUOTE_EXECUTION_FAILED",
    "LIGHTNING_PAYMENT_FAILED",
    "FUNDING_AMOUNT_MISMATCH",
    "COUNTERPARTY_POST_TX_FAILED",
    "TIMEOUT",
    "MANUAL_REFUND",
];

// The schema says `id` and `settledAt`; the document's own examples say `transactionId` and `settlementTime`.
const ID: Field = required(&["id", "transactionId"], Text);
const SETTLED_AT: Field = optional(&["settledAt", "settlementTime"], Time);
const STATUS: Field = required(
    &["status"],
    OneOf(&["CREATED", "PENDING", "PROCESSING", "COMPLETED", "REJECTED", "FAILED", "REFUNDED", "EXPIRED"]),
);
const SENDER: Field = required(&["senderUmaAddress"], Text);
const RECEIVER: Field = required(&["receiverUmaAddress"], Text);
const USER_ID: Field = required(&["userId"], Text);
const PLATFORM_USER_ID: Field = required(&["platformUserId"], Text);
const CREATED_AT: Field = optional(&["createdAt"], Time);
const DESCRIPTION: Field = optional(&["description"], Text);
const COUNTERPARTY: Field = optional(&["counterpartyInformation"], AnyObject);
const EXCHANGE_RATE: Field = optional(&["exchangeRate"], Number);
const QUOTE_ID: Field = optional(&["quoteId"], Text);
const REFERENCE: Field = required(&["reference"], Text);
const MULTIPLIER: Field = required(&["umaaasMultiplier"], Number);
const FIXED_FEE: Field = required(&["umaaasFixedFee"], Integer);
const VARIABLE_FEE_RATE: Field = required(&["umaaasVariableFeeRate"], Number);
const VARIABLE_FEE_AMOUNT: Field = required(&["umaaasVariableFeeAmount"], Number);

const INVITATION_CLAIMED: &[Field] =
    &[TYPE, WEBHOOK_ID, TIMESTAMP, required(&["invitation"], Fields(INVITATION))];

const INVITATION: &[Field] = &[
    required(&["code"], Text),
    required(&["createdAt"], Time),
    optional(&["claimedAt"], Time),
    required(&["url"], Text),
    optional(&["expiresAt"], Time),
    required(&["inviterUma"], Text),
    optional(&["inviteeUma"], Text),
    required(&["status"], OneOf(&["PENDING", "CLAIMED", "EXPIRED", "CANCELLED"])),
    optional(&["firstName"], Text),
    optional(&["amountToSend"], Fields(CURRENCY_AMOUNT)),
    optional(&["inviteeCountryCode"], Text),
];

const CURRENCY_AMOUNT: &[Field] =
    &[required(&["amount"], Integer), required(&["currency"], Fields(CURRENCY))];

const CURRENCY: &[Field] = &[
    optional(&["code"], Text),
    optional(&["name"], Text),
    optional(&["symbol"], Text),
    optional(&["decimals"], Integer),
];
