//! The webhooks of Grid: the `type` in their body, and every documented field. To add a kind, add one entry here and
//! one fixture in `events/grid`.
//!
//! The fields are those of the document of 2026-08-21. `tests/documents.rs` compares the tables with the facts of this
//! document, and with its examples. A kind whose resource the document does not have has no table for it.

mod agent_actions;
mod bulk_uploads;
mod card_transactions;
mod cards;
mod customers;
mod external_accounts;
mod incoming_payments;
mod internal_accounts;
mod invitations;
mod outgoing_payments;
mod values;
mod verifications;

use std::borrow::Cow;
pub(crate) use values::PAYMENT_RAIL_VALUES;

use ingest::Object;
use ingest::schema::Shape::{AnyObject, Object as Fields, Text, Time};
use ingest::schema::{Field, optional, required};

/// One kind of webhook.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The `type` in the body.
    pub wire: &'static str,
    /// The message's `type`.
    pub name: &'static str,
    /// The documented fields of the body.
    pub schema: &'static [Field],
}

/// The path of the one URL that is configured at Grid. It is also the `source` of all messages.
pub(crate) const PATH: &str = "/grid";

/// The message's `type` for a `type` that cannot be one of Grid's.
pub const UNKNOWN: &str = "grid.unknown";

/// All kinds: those of the document, then those that Grid has announced or removed since.
pub const KINDS: [Kind; 52] = [
    kind("OUTGOING_PAYMENT.PENDING", "grid.outgoing_payment.pending", OUTGOING_PAYMENT),
    kind(
        "OUTGOING_PAYMENT.PENDING_AUTHORIZATION",
        "grid.outgoing_payment.pending_authorization",
        OUTGOING_PAYMENT,
    ),
    kind("OUTGOING_PAYMENT.PROCESSING", "grid.outgoing_payment.processing", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.COMPLETED", "grid.outgoing_payment.completed", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.FAILED", "grid.outgoing_payment.failed", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.EXPIRED", "grid.outgoing_payment.expired", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.REFUND_PENDING", "grid.outgoing_payment.refund_pending", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.REFUND_COMPLETED", "grid.outgoing_payment.refund_completed", OUTGOING_PAYMENT),
    kind("OUTGOING_PAYMENT.REFUND_FAILED", "grid.outgoing_payment.refund_failed", OUTGOING_PAYMENT),
    kind("INCOMING_PAYMENT.PENDING", "grid.incoming_payment.pending", INCOMING_PAYMENT),
    kind("INCOMING_PAYMENT.COMPLETED", "grid.incoming_payment.completed", INCOMING_PAYMENT),
    kind("INCOMING_PAYMENT.FAILED", "grid.incoming_payment.failed", INCOMING_PAYMENT),
    kind("INCOMING_PAYMENT.REFUND_PENDING", "grid.incoming_payment.refund_pending", INCOMING_PAYMENT),
    kind("INCOMING_PAYMENT.REFUND_COMPLETED", "grid.incoming_payment.refund_completed", INCOMING_PAYMENT),
    kind("INCOMING_PAYMENT.REFUND_FAILED", "grid.incoming_payment.refund_failed", INCOMING_PAYMENT),
    kind("CUSTOMER.KYC_APPROVED", "grid.customer.kyc_approved", CUSTOMER),
    kind("CUSTOMER.KYC_REJECTED", "grid.customer.kyc_rejected", CUSTOMER),
    kind("CUSTOMER.KYC_PENDING", "grid.customer.kyc_pending", CUSTOMER),
    kind("CUSTOMER.KYB_APPROVED", "grid.customer.kyb_approved", CUSTOMER),
    kind("CUSTOMER.KYB_REJECTED", "grid.customer.kyb_rejected", CUSTOMER),
    kind("CUSTOMER.KYB_PENDING", "grid.customer.kyb_pending", CUSTOMER),
    kind("VERIFICATION.APPROVED", "grid.verification.approved", VERIFICATION),
    kind("VERIFICATION.REJECTED", "grid.verification.rejected", VERIFICATION),
    kind("VERIFICATION.RESOLVE_ERRORS", "grid.verification.resolve_errors", VERIFICATION),
    kind("VERIFICATION.IN_PROGRESS", "grid.verification.in_progress", VERIFICATION),
    kind("VERIFICATION.PENDING_MANUAL_REVIEW", "grid.verification.pending_manual_review", VERIFICATION),
    kind("VERIFICATION.READY_FOR_VERIFICATION", "grid.verification.ready_for_verification", VERIFICATION),
    kind("EXTERNAL_ACCOUNT.STATUS_UPDATED", "grid.external_account.status_updated", EXTERNAL_ACCOUNT),
    kind("INTERNAL_ACCOUNT.BALANCE_UPDATED", "grid.internal_account.balance_updated", INTERNAL_ACCOUNT),
    kind("INTERNAL_ACCOUNT.STATUS_UPDATED", "grid.internal_account.status_updated", INTERNAL_ACCOUNT),
    kind(
        "INTERNAL_ACCOUNT.FUNDING_INSTRUCTIONS_UPDATED",
        "grid.internal_account.funding_instructions_updated",
        INTERNAL_ACCOUNT,
    ),
    kind("INVITATION.CLAIMED", "grid.invitation.claimed", INVITATION),
    kind("BULK_UPLOAD.COMPLETED", "grid.bulk_upload.completed", BULK_UPLOAD),
    kind("BULK_UPLOAD.FAILED", "grid.bulk_upload.failed", BULK_UPLOAD),
    kind("AGENT_ACTION.PENDING_APPROVAL", "grid.agent_action.pending_approval", AGENT_ACTION),
    kind("CARD.STATE_CHANGE", "grid.card.state_change", CARD),
    kind("CARD.FUNDING_SOURCE_CHANGE", "grid.card.funding_source_change", CARD),
    kind("CARD_TRANSACTION.AUTHORIZED", "grid.card_transaction.authorized", CARD_TRANSACTION),
    kind("CARD_TRANSACTION.PARTIALLY_SETTLED", "grid.card_transaction.partially_settled", CARD_TRANSACTION),
    kind("CARD_TRANSACTION.SETTLED", "grid.card_transaction.settled", CARD_TRANSACTION),
    kind("CARD_TRANSACTION.REFUNDED", "grid.card_transaction.refunded", CARD_TRANSACTION),
    kind("CARD_TRANSACTION.EXCEPTION", "grid.card_transaction.exception", CARD_TRANSACTION),
    kind("TEST", "grid.test", TEST),
    // of later versions, or of versions that are not published yet
    kind("OUTGOING_PAYMENT.CANCELED", "grid.outgoing_payment.canceled", OUTGOING_PAYMENT),
    kind("INCOMING_PAYMENT.PROCESSING", "grid.incoming_payment.processing", INCOMING_PAYMENT),
    kind("CARD.STATUS_CHANGE", "grid.card.status_change", CARD),
    kind("CARD.PIN_STATUS_CHANGE", "grid.card.pin_status_change", CARD),
    kind("CARD_TRANSACTION.DECLINED", "grid.card_transaction.declined", CARD_TRANSACTION),
    kind("CARD_TRANSACTION.VOIDED", "grid.card_transaction.voided", CARD_TRANSACTION),
    kind("WALLET_OPERATION.COMPLETED", "grid.wallet_operation.completed", OTHER),
    kind("WALLET_OPERATION.FAILED", "grid.wallet_operation.failed", OTHER),
    kind("SWEEP.FAILED", "grid.sweep.failed", OTHER),
];

const fn kind(wire: &'static str, name: &'static str, schema: &'static [Field]) -> Kind {
    Kind { wire, name, schema }
}

impl Kind {
    /// The kind with this `type`.
    pub(crate) fn of(wire: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.wire == wire)
    }
}

/// The longest `type` that becomes the message's `type`, in bytes.
const MAX_TYPE_BYTES: usize = 64;

/// The message's `type` for a `type` in a body. A `type` in the form OBJECT.EVENT is kept, in lower case, whether it
/// is known or not. `None` for any other: the message's `type` is then [`UNKNOWN`].
pub(crate) fn message_type(wire: &str) -> Option<Cow<'static, str>> {
    if let Some(kind) = Kind::of(wire) {
        return Some(kind.name.into());
    }
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let words = wire.split('.').count();
    if wire.len() > MAX_TYPE_BYTES || words > 2 || !wire.split('.').all(word) {
        return None;
    }
    Some(format!("grid.{}", wire.to_ascii_lowercase()).into()).filter(|name| name != UNKNOWN)
}

/// What an event is about: the id of its resource, or the code of its invitation.
pub(crate) fn subject(body: &Object<'_>) -> Option<String> {
    let resource = body.object("data")?;
    resource.filled_text("id").or_else(|| resource.filled_text("code"))
}

const TYPE: Field = required(&["type"], Text);
const ID: Field = required(&["id"], Text);
const TIMESTAMP: Field = required(&["timestamp"], Time);

// The document's own example has an empty `data`, which the schema does not have.
const TEST: &[Field] = &[TYPE, ID, TIMESTAMP, optional(&["data"], AnyObject)];
const OTHER: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], AnyObject)];

const AGENT_ACTION: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(agent_actions::ACTION))];
const BULK_UPLOAD: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(bulk_uploads::JOB))];
const CARD: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(cards::CARD))];
const CARD_TRANSACTION: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(card_transactions::CARD_TRANSACTION))];
const CUSTOMER: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(customers::CUSTOMER))];
const EXTERNAL_ACCOUNT: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(external_accounts::EXTERNAL_ACCOUNT))];
const INCOMING_PAYMENT: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(incoming_payments::INCOMING))];
const INTERNAL_ACCOUNT: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(internal_accounts::INTERNAL_ACCOUNT))];
const INVITATION: &[Field] = &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(invitations::INVITATION))];
const OUTGOING_PAYMENT: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(outgoing_payments::OUTGOING))];
const VERIFICATION: &[Field] =
    &[TYPE, ID, TIMESTAMP, required(&["data"], Fields(verifications::VERIFICATION))];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_name_of_its_type() {
        for kind in &KINDS {
            assert_eq!(kind.name, format!("grid.{}", kind.wire.to_ascii_lowercase()));
            assert_eq!(KINDS.iter().filter(|other| other.wire == kind.wire).count(), 1, "{}", kind.wire);
            assert!(kind.wire.len() <= MAX_TYPE_BYTES);
        }
    }

    #[test]
    fn a_type_in_the_form_of_grid_is_kept_known_or_not() {
        let longest = format!("A.{}", "B".repeat(MAX_TYPE_BYTES - 2));
        for wire in ["TEST", "Test", "NEW", "CARD.STATE_CHANGE", "x", "LOAN.PAID_2", &longest] {
            let expected = format!("grid.{}", wire.to_lowercase());
            assert_eq!(message_type(wire).as_deref(), Some(expected.as_str()), "{wire}");
        }
        let too_long = format!("{longest}B");
        for wire in ["", ".", "A.", ".B", "A.B.C", "A-B", "A B", "Ä", "A#B", "UNKNOWN", "Unknown", &too_long]
        {
            assert_eq!(message_type(wire), None, "{wire}");
        }
    }
}
