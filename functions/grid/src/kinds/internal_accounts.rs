//! The resource of INTERNAL_ACCOUNT: an account at Grid, with its balance.

use ingest::schema::Shape::{Flag, List, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::{CURRENCY_AMOUNT, PAYMENT_INSTRUCTION};

pub(super) const INTERNAL_ACCOUNT: &[Field] = &[
    required(&["balance"], Fields(CURRENCY_AMOUNT)),
    required(&["createdAt"], Time),
    required(&["fundingPaymentInstructions"], List(&Fields(PAYMENT_INSTRUCTION))),
    required(&["id"], Text),
    required(&["status"], OneOf(&["ACTIVE", "CLOSED", "FAILED", "FROZEN", "PENDING"])),
    required(&["totalBalance"], Fields(CURRENCY_AMOUNT)),
    required(&["type"], OneOf(&["EMBEDDED_WALLET", "INTERNAL_CRYPTO", "INTERNAL_FIAT"])),
    required(&["updatedAt"], Time),
    optional(&["customerId"], Text),
    optional(&["privateEnabled"], Flag),
];
