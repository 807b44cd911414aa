//! The webhooks of Weavr: their path, the function that serves them, and every documented field. Only the
//! path tells the kind of a webhook. To add a kind, add one entry to its family's file and one fixture in
//! `events/weavr`; `functions/adding-a-kind.md` has the whole list.
//!
//! Two documents describe the bodies, and each lacks a part that the other has:
//!
//! - The 2.14.10 document decides about every field that it shows: whether the field is required, and which
//!   values it has. It does not show nested objects.
//! - Nested objects come from the later `v2` document. A top-level field that only `v2` has is optional here,
//!   so that bodies of both versions are without drift.
//! - A value that only `v2` has is drift on purpose: a consumer that was built for 2.14.10 should be told of
//!   a state that it does not know.
//!
//! Ids, amounts and times are numbers in one document and strings of digits in the other. Both forms are
//! accepted without drift.

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
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The family whose function serves this kind.
    pub family: Family,
    /// The message's `type`.
    pub name: &'static str,
    /// The documented path. Weavr appends the part after `/weavr` to the configured base URL.
    pub path: &'static str,
    /// The documented fields of the body.
    pub schema: &'static [Field],
}

/// The webhooks that one function serves.
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
    /// Transfers to external bank accounts.
    OutgoingWireTransfers,
    /// Every path below `/weavr/`, mainly the paths that are not in [`KINDS`]. Weavr publishes more than
    /// twice as many paths as [`KINDS`] has, and does not retry after a 404.
    Other,
}

/// The message's `source` for all webhooks: the path of the base URL.
pub(crate) const SOURCE: &str = "/weavr";

/// The message's `type` for a path that is not in [`KINDS`].
pub const UNKNOWN: &str = "weavr.unknown";

/// All families with kinds of their own.
const FAMILIES: [&[Kind]; 7] = [
    corporates::KINDS,
    consumers::KINDS,
    managed_accounts::KINDS,
    managed_cards::KINDS,
    transfers::KINDS,
    send::KINDS,
    outgoing_wire_transfers::KINDS,
];

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// All kinds, family by family.
pub const KINDS: [Kind; COUNT] = {
    let mut kinds = [FAMILIES[0][0]; COUNT];
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut kind = 0;
        while kind < FAMILIES[family].len() {
            kinds[count] = FAMILIES[family][kind];
            count += 1;
            kind += 1;
        }
        family += 1;
    }
    kinds
};

impl Kind {
    /// The kind that is posted to a path.
    pub(crate) fn of(path: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.path == path)
    }
}

impl Family {
    /// All families.
    pub const ALL: [Self; 8] = [
        Self::Corporates,
        Self::Consumers,
        Self::ManagedAccounts,
        Self::ManagedCards,
        Self::Transfers,
        Self::Send,
        Self::OutgoingWireTransfers,
        Self::Other,
    ];

    /// The name of this family's binary.
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

    /// Whether this family's function serves a path. [`Family::Other`] serves the paths of the other families
    /// too, because the gateway routes every spelling that it does not know to that function, such as a path
    /// with a slash at the end.
    pub(crate) fn serves(self, path: &str) -> bool {
        match self {
            Self::Other => path.strip_prefix("/weavr/").is_some_and(|rest| !rest.is_empty()),
            _ => Kind::of(path).is_some_and(|kind| kind.family == self),
        }
    }
}

/// What an event is about: its transaction, or else its instrument, or else its identity. The subject depends
/// only on the body and not on the path, so unknown kinds have a subject too.
///
/// The body of an activation has only an e-mail address to name the identity. An e-mail address is personal
/// data, and a subject is stored where the body is not (an attribute of the record that outlives the body).
/// So the subject is then the SHA-256 of the address, which is still the same for all events of one identity.
pub(crate) fn subject(body: &Object<'_>) -> Option<String> {
    named(body, "transactionId")
        .or_else(|| ["transfer", "send", "account"].iter().find_map(|name| id(&body.object(name)?)))
        .or_else(|| id(body))
        .or_else(|| identity(body))
        .or_else(|| identity(&body.object("additionalInformation")?))
        .or_else(|| named(body, "emailAddress").map(|address| sha256_hex(address.as_bytes())))
}

/// The `id` of an object: a plain id, or the `id` in a nested object together with a type.
fn id(object: &Object<'_>) -> Option<String> {
    named(object, "id").or_else(|| named(&object.object("id")?, "id"))
}

fn identity(object: &Object<'_>) -> Option<String> {
    named(object, "corporateId").or_else(|| named(object, "consumerId"))
}

fn named(object: &Object<'_>, name: &str) -> Option<String> {
    object.text_or_digits(name).filter(|text| !text.is_empty())
}
