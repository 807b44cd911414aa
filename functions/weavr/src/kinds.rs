//! The webhooks of Weavr: the path they are posted to, which alone tells their kind, the function
//! that has them, and every documented field. A new kind is one entry here and one fixture in
//! `events/weavr`.
//!
//! Two documents describe the bodies, and each has a part that the other lacks. The 2.14.10 document
//! decides about every field that it shows: whether it is required, and which values it has. Nested
//! objects, which it leaves out, are those of the later `v2` document; a field of the body that only
//! the later one has is optional here, so that bodies of either age are as documented. A value that
//! only the later one has is drift on purpose: who was built on the first should hear of a state
//! that it does not know.
//!
//! Ids, amounts and times are numbers in the one and strings of digits in the other; both are right.

mod consumers;
mod corporates;
mod managed_accounts;
mod managed_cards;
mod outgoing_wire_transfers;
mod send;
mod transfers;
mod values;

use ingest::schema::Field;
use ingest::{Object, sha256_hex};

/// One kind of webhook.
#[derive(Debug)]
pub struct Kind {
    /// Whose function has it.
    pub family: Family,
    /// The message's `type`.
    pub name: &'static str,
    /// The documented path, below the base URL that is configured at Weavr.
    pub path: &'static str,
    /// What the body holds.
    pub schema: &'static [Field],
}

/// The webhooks that one function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Companies: activation, deactivation, KYB and beneficiaries.
    Corporates,
    /// People: activation, deactivation and KYC.
    Consumers,
    /// Accounts: their deposits and their state.
    ManagedAccounts,
    /// Cards: authorisations, settlements and adjustments.
    ManagedCards,
    /// Transfers between instruments of one identity.
    Transfers,
    /// Transfers between instruments of two identities.
    Send,
    /// Transfers to bank accounts elsewhere.
    OutgoingWireTransfers,
    /// Every path below `/weavr/`, those that are not in [`KINDS`] above all. Weavr publishes more than twice as many
    /// as are known here, and does not send again after a 404.
    Other,
}

/// Where all webhooks come from: the base URL, and the message's `source`.
pub(crate) const SOURCE: &str = "/weavr";

/// The message's `type` for a path that is not in [`KINDS`].
pub const UNKNOWN: &str = "weavr.unknown";

/// All kinds, as the 2.14.10 document lists them.
pub const KINDS: [Kind; 15] = [
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.activated",
        path: "/weavr/corporates/corporate_activated/watch",
        schema: values::ACTIVATED,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.deactivated",
        path: "/weavr/corporates/corporate_deactivated/watch",
        schema: values::DEACTIVATED,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.beneficiary",
        path: "/weavr/corporates/kyb/beneficiaries/watch",
        schema: corporates::BENEFICIARY,
    },
    Kind {
        family: Family::Corporates,
        name: "weavr.corporates.kyb",
        path: "/weavr/corporates/kyb/watch",
        schema: corporates::KYB,
    },
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.activated",
        path: "/weavr/consumers/consumer_activated/watch",
        schema: values::ACTIVATED,
    },
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.deactivated",
        path: "/weavr/consumers/consumer_deactivated/watch",
        schema: values::DEACTIVATED,
    },
    Kind {
        family: Family::Consumers,
        name: "weavr.consumers.kyc",
        path: "/weavr/consumers/kyc/watch",
        schema: consumers::KYC,
    },
    Kind {
        family: Family::ManagedAccounts,
        name: "weavr.managed_accounts.deposit",
        path: "/weavr/managed_accounts/deposits/watch",
        schema: managed_accounts::DEPOSIT,
    },
    Kind {
        family: Family::ManagedAccounts,
        name: "weavr.managed_accounts.update",
        path: "/weavr/managed_accounts/watch",
        schema: managed_accounts::UPDATE,
    },
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.authorisation",
        path: "/weavr/managed_cards/authorisations/watch",
        schema: managed_cards::AUTHORISATION,
    },
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.settlement",
        path: "/weavr/managed_cards/settlements/watch",
        schema: managed_cards::SETTLEMENT,
    },
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.adjustment",
        path: "/weavr/managed_cards/adjustments/watch",
        schema: managed_cards::ADJUSTMENT,
    },
    Kind {
        family: Family::Transfers,
        name: "weavr.transfers.transaction",
        path: "/weavr/transfers/watch",
        schema: transfers::TRANSACTION,
    },
    Kind {
        family: Family::Send,
        name: "weavr.send.transaction",
        path: "/weavr/send/watch",
        schema: send::TRANSACTION,
    },
    Kind {
        family: Family::OutgoingWireTransfers,
        name: "weavr.outgoing_wire_transfers.transaction",
        path: "/weavr/outgoing_wire_transfers/watch",
        schema: outgoing_wire_transfers::TRANSACTION,
    },
];

impl Kind {
    /// The kind that is posted to a path.
    pub(crate) fn of(path: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.path == path)
    }
}

impl Family {
    /// The binary that is this family's function.
    #[must_use]
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Corporates => "weavr-corporates",
            Self::Consumers => "weavr-consumers",
            Self::ManagedAccounts => "weavr-managed-accounts",
            Self::ManagedCards => "weavr-managed-cards",
            Self::Transfers => "weavr-transfers",
            Self::Send => "weavr-send",
            Self::OutgoingWireTransfers => "weavr-outgoing-wire-transfers",
            Self::Other => "weavr-other",
        }
    }

    /// Whether this family's function serves a path. The one for everything else serves the paths of the others
    /// too: the gateway sends it what it does not recognise, such as a path with a slash at its end.
    pub(crate) fn serves(self, path: &str) -> bool {
        match self {
            Self::Other => path.strip_prefix("/weavr/").is_some_and(|rest| !rest.is_empty()),
            _ => Kind::of(path).is_some_and(|kind| kind.family == self),
        }
    }
}

/// What an event is about: its transaction, else its instrument, else its identity. Read from the
/// body alone, whatever the path, so that kinds that are not known here have one too.
///
/// An activation names its identity by an e-mail address and nothing else. That is personal data,
/// and a subject goes where a body does not (an attribute of the record that outlives the body), so
/// there it is the address's SHA-256: still the same for all events of one identity.
pub(crate) fn subject(body: &Object<'_>) -> Option<String> {
    named(body, "transactionId")
        .or_else(|| ["transfer", "send", "account"].iter().find_map(|name| id(&body.object(name)?)))
        .or_else(|| id(body))
        .or_else(|| identity(body))
        .or_else(|| identity(&body.object("additionalInformation")?))
        .or_else(|| named(body, "emailAddress").map(|address| sha256_hex(address.as_bytes())))
}

/// The `id` of an object: plain, or wrapped together with its type.
fn id(object: &Object<'_>) -> Option<String> {
    named(object, "id").or_else(|| named(&object.object("id")?, "id"))
}

fn identity(object: &Object<'_>) -> Option<String> {
    named(object, "corporateId").or_else(|| named(object, "consumerId"))
}

fn named(object: &Object<'_>, name: &str) -> Option<String> {
    object.text_or_digits(name).filter(|text| !text.is_empty())
}
