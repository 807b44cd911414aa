//! The resource of INVITATION.

use ingest::schema::Shape::{Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::CURRENCY_AMOUNT;

pub(super) const INVITATION: &[Field] = &[
    required(&["code"], Text),
    required(&["createdAt"], Time),
    required(&["inviterUma"], Text),
    required(&["status"], OneOf(&["CANCELLED", "CLAIMED", "EXPIRED", "PENDING"])),
    required(&["url"], Text),
    optional(&["amountToSend"], Fields(CURRENCY_AMOUNT)),
    optional(&["claimedAt"], Time),
    optional(&["expiresAt"], Time),
    optional(&["firstName"], Text),
    optional(&["inviteeUma"], Text),
];
