//! The resource of CARD: a card.

use ingest::schema::Shape::{Integer, List, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

pub(super) const CARD: &[Field] = &[
    required(&["cardholderId"], Text),
    required(&["createdAt"], Time),
    required(&["form"], OneOf(&["VIRTUAL"])),
    required(&["fundingSources"], List(&Text)),
    required(&["id"], Text),
    // The schema requires it, but examples leave it out.
    optional(&["maxSpendPerTransaction"], Integer),
    required(&["state"], OneOf(&["ACTIVE", "CLOSED", "FROZEN", "PENDING_KYC", "PROCESSING"])),
    required(&["updatedAt"], Time),
    optional(&["brand"], OneOf(&["MASTERCARD", "VISA"])),
    optional(&["currency"], Text),
    optional(&["expMonth"], Integer),
    optional(&["expYear"], Integer),
    optional(&["issuerRef"], Text),
    optional(&["last4"], Text),
    optional(&["platformCardId"], Text),
    optional(&["processorRef"], Text),
    optional(&["stateReason"], OneOf(&["CLOSED_BY_GRID", "CLOSED_BY_PLATFORM", "ISSUER_REJECTED"])),
];
