//! The webhooks of UMAaaS: the `type` in their body, the path they are documented at, and every
//! documented field. A new kind is one entry here and one fixture in `events/umaaas`.

use ingest::Object;
use ingest::schema::Shape::{AnyObject, Integer, List, Number, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

/// One kind of webhook.
#[derive(Debug)]
pub struct Kind {
    /// The `type` in the body.
    pub wire: &'static str,
    /// The message's `type`.
    pub name: &'static str,
    /// The documented path, which is also the message's `source`.
    pub path: &'static str,
    /// What the body holds.
    pub schema: &'static [Field],
}

/// The one URL that is configured at UMAaaS; all kinds arrive there.
pub(crate) const ANY_KIND: &str = "/umaaas";

/// The message's `type` for a `type` that is not in [`KINDS`].
pub const UNKNOWN: &str = "umaaas.unknown";

/// The kind that may ask for a decision, as it stands in the body's `type`.
pub(crate) const INCOMING_PAYMENT: &str = "INCOMING_PAYMENT";

/// All kinds, as the seed document lists them.
pub const KINDS: [Kind; 4] = [
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
];

impl Kind {
    /// The kind of a body's `type`.
    pub(crate) fn of(wire: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.wire == wire)
    }
}

/// What an event is about: its transaction, or its upload job. Both spellings of a transaction's id
/// are the provider's own.
pub(crate) fn subject(body: &Object<'_>) -> Option<String> {
    match body.object("transaction") {
        Some(transaction) => transaction.text("id").or_else(|| transaction.text("transactionId")),
        None => body.text("jobId"),
    }
    .filter(|subject| !subject.is_empty())
}

const TYPE: Field =
    required(&["type"], OneOf(&["TEST", "BULK_UPLOAD", INCOMING_PAYMENT, "OUTGOING_PAYMENT"]));
const WEBHOOK_ID: Field = required(&["webhookId"], Text);
const TIMESTAMP: Field = required(&["timestamp"], Time);

const TEST: &[Field] = &[TYPE, WEBHOOK_ID, TIMESTAMP];

const BULK_UPLOAD: &[Field] = &[
    TYPE,
    WEBHOOK_ID,
    TIMESTAMP,
    required(&["jobId"], Text),
    required(&["status"], OneOf(&["SUCCESS", "PARTIAL_SUCCESS", "FAILED"])),
    required(&["progress"], Fields(PROGRESS)),
    optional(&["errors"], List(&Fields(UPLOAD_ERROR))),
];

const PROGRESS: &[Field] = &[
    required(&["total"], Integer),
    required(&["processed"], Integer),
    required(&["successful"], Integer),
    required(&["failed"], Integer),
];

const UPLOAD_ERROR: &[Field] = &[required(&["correlationId"], Text), required(&["error"], Fields(ERROR))];

const ERROR: &[Field] =
    &[optional(&["code"], Text), optional(&["message"], Text), optional(&["details"], AnyObject)];

const INCOMING: &[Field] =
    &[TYPE, WEBHOOK_ID, TIMESTAMP, required(&["transaction"], Fields(INCOMING_TRANSACTION))];

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
];

// The schema says `id` and `settledAt`, the document's own examples say the other.
const ID: Field = required(&["id", "transactionId"], Text);
const SETTLED_AT: Field = optional(&["settledAt", "settlementTime"], Time);
const STATUS: Field = required(&["status"], OneOf(&["PENDING", "COMPLETED", "FAILED", "REFUNDED"]));
const SENDER: Field = required(&["senderUmaAddress"], Text);
const RECEIVER: Field = required(&["receiverUmaAddress"], Text);
const USER_ID: Field = required(&["userId"], Text);
const PLATFORM_USER_ID: Field = required(&["platformUserId"], Text);
const CREATED_AT: Field = optional(&["createdAt"], Time);
const DESCRIPTION: Field = optional(&["description"], Text);
const COUNTERPARTY: Field = optional(&["counterpartyInformation"], AnyObject);
const EXCHANGE_RATE: Field = optional(&["exchangeRate"], Number);
const QUOTE_ID: Field = optional(&["quoteId"], Text);

const CURRENCY_AMOUNT: &[Field] =
    &[required(&["amount"], Integer), required(&["currency"], Fields(CURRENCY))];

const CURRENCY: &[Field] = &[
    optional(&["code"], Text),
    optional(&["name"], Text),
    optional(&["symbol"], Text),
    optional(&["decimals"], Integer),
];
