//! Accounts: their deposits and their state.

use ingest::schema::Shape::{AnyObject, Digits, Flag, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

use super::values::{
    AMOUNT, CREATION_TIMESTAMP, INSTRUMENT_ID, OWNER, PROFILE_ID, PUBLISHED_TIMESTAMP, TAG,
    TRANSACTION_AMOUNT, TRANSACTION_ID, TRANSACTION_TIMESTAMP,
};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        family: Family::ManagedAccounts,
        name: "weavr.managed_accounts.deposit",
        path: "/weavr/managed_accounts/deposits/watch",
        schema: DEPOSIT,
    },
    Kind {
        family: Family::ManagedAccounts,
        name: "weavr.managed_accounts.update",
        path: "/weavr/managed_accounts/watch",
        schema: UPDATE,
    },
];

/// An account received money from outside.
const DEPOSIT: &[Field] = &[
    INSTRUMENT_ID,
    TRANSACTION_ID,
    TRANSACTION_AMOUNT,
    TRANSACTION_TIMESTAMP,
    optional(&["emailAddress"], Text),
    OWNER,
    optional(&["senderName"], Text),
    optional(&["state"], OneOf(&["PENDING", "COMPLETED"])),
    optional(
        &["paymentNetwork"],
        OneOf(&["SEPA", "FASTER_PAYMENTS", "SWIFT", "BACS", "CHAPS", "RIX", "TARGET"]),
    ),
    optional(&["senderIban"], Text),
    optional(&["senderSortCode"], Text),
    optional(&["senderAccountNumber"], Text),
    optional(&["senderAccountDescriptor"], Text),
    optional(&["transactionFee"], Fields(AMOUNT)),
    optional(&["senderReference"], Text),
];

/// An account was requested, created, updated or rejected.
const UPDATE: &[Field] = &[
    required(&["account"], Fields(ACCOUNT)),
    PUBLISHED_TIMESTAMP,
    required(&["type"], OneOf(&["CREATED", "UPDATED", "REQUESTED", "REJECTED"])),
];

const ACCOUNT: &[Field] = &[
    INSTRUMENT_ID,
    PROFILE_ID,
    TAG,
    OWNER,
    required(&["friendlyName"], Text),
    optional(&["active"], Flag),
    required(&["currency"], Text),
    optional(&["balances"], Fields(BALANCES)),
    optional(&["state"], Fields(STATE)),
    CREATION_TIMESTAMP,
    optional(&["bankAccountDetails"], Fields(BANK_ACCOUNT_DETAILS)),
];

const BALANCES: &[Field] = &[optional(&["availableBalance"], Digits), optional(&["actualBalance"], Digits)];

const STATE: &[Field] = &[optional(&["blockTypes"], AnyObject), optional(&["destroyType"], Text)];

const BANK_ACCOUNT_DETAILS: &[Field] = &[
    optional(&["beneficiary"], Text),
    optional(&["address"], Text),
    optional(&["beneficiaryBank"], Text),
    optional(&["bankIdentifierCode"], Text),
    optional(&["iban"], Text),
    optional(&["accountNumber"], Text),
    optional(&["sortCode"], Text),
    optional(&["paymentReference"], Text),
];
