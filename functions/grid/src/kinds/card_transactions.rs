//! The resource of CARD_TRANSACTION: an authorisation with its settlements and refunds.

use ingest::schema::Shape::{Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::{CURRENCY_AMOUNT, MERCHANT, PULL_SUMMARY, REFUND_SUMMARY};

pub(super) const CARD_TRANSACTION: &[Field] = &[
    required(&["accountId"], Text),
    required(&["authorizedAmount"], Fields(CURRENCY_AMOUNT)),
    required(&["authorizedAt"], Time),
    required(&["createdAt"], Time),
    required(&["customerId"], Text),
    required(&["direction"], OneOf(&["CREDIT", "DEBIT"])),
    required(&["id"], Text),
    required(&["merchant"], Fields(MERCHANT)),
    required(&["platformCustomerId"], Text),
    required(&["status"], OneOf(&["AUTHORIZED", "EXCEPTION", "PARTIALLY_SETTLED", "REFUNDED", "SETTLED"])),
    required(&["type"], OneOf(&["CARD"])),
    required(&["updatedAt"], Time),
    optional(&["cardId"], Text),
    optional(&["issuerTransactionToken"], Text),
    optional(&["lastEventAt"], Time),
    optional(&["pullSummary"], Fields(PULL_SUMMARY)),
    optional(&["refundSummary"], Fields(REFUND_SUMMARY)),
    optional(&["refundedAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["settledAmount"], Fields(CURRENCY_AMOUNT)),
    optional(&["settlementSummary"], Fields(REFUND_SUMMARY)),
];
