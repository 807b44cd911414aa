//! Objects and lists of values that several resources have.

use ingest::schema::Shape::{Flag, Integer, List, Number, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

pub(super) const ACCOUNT_OR_WALLET_INFO: &[Field] = &[
    required(&["accountType"], OneOf(ACCOUNT_TYPE_VALUES)),
    optional(&["accountHolderName"], Text),
    optional(&["accountNumber"], Text),
    optional(&["address"], Text),
    optional(&["assetType"], Text),
    optional(&["bankAccountType"], OneOf(&["CHECKING", "SAVINGS"])),
    optional(&["bankAddress"], Text),
    optional(&["bankCode"], Text),
    optional(&["bankName"], Text),
    optional(&["branchCode"], Text),
    optional(&["clabeNumber"], Text),
    optional(&["country"], Text),
    optional(&["fiToFiInformation"], Text),
    optional(&["iban"], Text),
    optional(&["ifsc"], Text),
    optional(&["intermediaryBankName"], Text),
    optional(&["intermediaryRoutingNumber"], Text),
    optional(&["invoice"], Text),
    optional(&["network"], OneOf(&["BITCOIN"])),
    optional(&["payloadToSign"], Text),
    optional(&["paymentRails"], List(&OneOf(PAYMENT_RAILS_VALUES))),
    optional(&["paymentUrl"], Text),
    optional(&["phoneNumber"], Text),
    optional(&["provider"], Text),
    optional(&["qrCode"], Text),
    optional(&["rail"], Text),
    optional(&["reference"], Text),
    optional(&["region"], OneOf(REGION_VALUES)),
    optional(&["routingNumber"], Text),
    optional(&["sortCode"], Text),
    optional(&["swiftCode"], Text),
    optional(&["vpa"], Text),
];

pub(super) const ADDRESS: &[Field] = &[
    required(&["country"], Text),
    required(&["line1"], Text),
    required(&["postalCode"], Text),
    optional(&["city"], Text),
    optional(&["line2"], Text),
    optional(&["state"], Text),
];

pub(super) const CURRENCY: &[Field] = &[
    optional(&["code"], Text),
    optional(&["decimals"], Integer),
    optional(&["name"], Text),
    optional(&["symbol"], Text),
];

pub(super) const CURRENCY_AMOUNT: &[Field] =
    &[required(&["amount"], Integer), required(&["currency"], Fields(CURRENCY))];

pub(super) const DESTINATION: &[Field] = &[
    required(&["destinationType"], OneOf(&["ACCOUNT", "UMA_ADDRESS"])),
    optional(&["accountId"], Text),
    optional(&["currency"], Text),
    optional(&["onChainTransaction"], Fields(ON_CHAIN_TRANSACTION)),
    optional(&["umaAddress"], Text),
];

pub(super) const MERCHANT: &[Field] =
    &[required(&["descriptor"], Text), optional(&["country"], Text), optional(&["mcc"], Text)];

pub(super) const ON_CHAIN_TRANSACTION: &[Field] =
    &[required(&["network"], OneOf(NETWORK_VALUES)), required(&["transactionHash"], Text)];

pub(super) const PAYMENT_INSTRUCTION: &[Field] = &[
    required(&["accountOrWalletInfo"], Fields(ACCOUNT_OR_WALLET_INFO)),
    optional(&["instructionsNotes"], Text),
    optional(&["isPlatformAccount"], Flag),
];

pub(super) const PULL_SUMMARY: &[Field] = &[
    required(&["count"], Integer),
    required(&["totalAmount"], Integer),
    optional(&["pendingCount"], Integer),
];

pub(super) const RATE_DETAILS: &[Field] = &[
    required(&["counterpartyFixedFee"], Integer),
    required(&["counterpartyMultiplier"], Number),
    required(&["gridApiFixedFee"], Integer),
    required(&["gridApiMultiplier"], Number),
    required(&["gridApiVariableFeeAmount"], Number),
    required(&["gridApiVariableFeeRate"], Number),
];

pub(super) const RECONCILIATION_INSTRUCTIONS: &[Field] =
    &[optional(&["reference"], Text), optional(&["transactionHash"], Text)];

pub(super) const REFUND: &[Field] = &[
    required(&["initiatedAt"], Time),
    required(&["reference"], Text),
    required(&["status"], OneOf(&["COMPLETED", "FAILED", "PENDING"])),
    optional(&["reason"], OneOf(&["TIMEOUT", "TRANSACTION_FAILED", "USER_CANCELLATION"])),
    optional(&["settledAt"], Time),
];

pub(super) const REFUND_SUMMARY: &[Field] =
    &[required(&["count"], Integer), required(&["totalAmount"], Integer)];

pub(super) const SOURCE: &[Field] = &[
    required(&["sourceType"], OneOf(&["ACCOUNT", "REALTIME_FUNDING", "UMA_ADDRESS"])),
    optional(&["accountHolderName"], Text),
    optional(&["accountId"], Text),
    optional(&["accountIdentifier"], Text),
    optional(&["bankIdentifier"], Text),
    optional(&["bankName"], Text),
    optional(&["currency"], Text),
    optional(&["customerId"], Text),
    optional(&["endToEndId"], Text),
    optional(&["onChainTransaction"], Fields(ON_CHAIN_TRANSACTION)),
    optional(&["paymentRail"], OneOf(PAYMENT_RAIL_VALUES)),
    optional(&["remittanceInformation"], Text),
    optional(&["traceNumber"], Text),
    optional(&["umaAddress"], Text),
];

pub(super) const ACCOUNT_TYPE_VALUES: &[&str] = &[
    "ARS_ACCOUNT",
    "BASE_WALLET",
    "BITCOIN_L1",
    "BRL_ACCOUNT",
    "CAD_ACCOUNT",
    "COP_ACCOUNT",
    "DKK_ACCOUNT",
    "EMBEDDED_WALLET",
    "ETHEREUM_WALLET",
    "EUR_ACCOUNT",
    "GBP_ACCOUNT",
    "HKD_ACCOUNT",
    "IDR_ACCOUNT",
    "INR_ACCOUNT",
    "LIGHTNING",
    "MXN_ACCOUNT",
    "MYR_ACCOUNT",
    "NGN_ACCOUNT",
    "PHP_ACCOUNT",
    "PLASMA_WALLET",
    "POLYGON_WALLET",
    "SGD_ACCOUNT",
    "SOLANA_WALLET",
    "SPARK_WALLET",
    "SWIFT_ACCOUNT",
    "THB_ACCOUNT",
    "TRON_WALLET",
    "USD_ACCOUNT",
    "VND_ACCOUNT",
];

pub(super) const NETWORK_VALUES: &[&str] =
    &["BASE", "BITCOIN", "ETHEREUM", "PLASMA", "POLYGON", "SOLANA", "SPARK", "TRON"];

pub(super) const PAYMENT_RAILS_VALUES: &[&str] = &[
    "ACH",
    "BANK_TRANSFER",
    "FAST",
    "FASTER_PAYMENTS",
    "FEDNOW",
    "MOBILE_MONEY",
    "NEFT",
    "PAYNOW",
    "RTGS",
    "RTP",
    "SEPA",
    "SEPA_INSTANT",
    "SPEI",
    "SWIFT",
    "UPI",
    "WIRE",
];

pub(crate) const PAYMENT_RAIL_VALUES: &[&str] = &[
    "ACH",
    "ACH_COLOMBIA",
    "BANK_TRANSFER",
    "BRE_B",
    "CIPS",
    "FAST",
    "FASTER_PAYMENTS",
    "FEDNOW",
    "INSTAPAY",
    "MOBILE_MONEY",
    "NEFT",
    "PAYNOW",
    "PESONET",
    "PIX",
    "RTGS",
    "RTP",
    "SEPA",
    "SEPA_INSTANT",
    "SPEI",
    "SWIFT",
    "UNIONPAY",
    "UPI",
    "WIRE",
];

pub(super) const REGION_VALUES: &[&str] = &["BJ", "CG", "CI", "CM", "SN", "TG"];

pub(super) const STATUS_VALUES: &[&str] =
    &["COMPLETED", "EXPIRED", "FAILED", "PENDING", "PENDING_AUTHORIZATION", "PROCESSING"];
