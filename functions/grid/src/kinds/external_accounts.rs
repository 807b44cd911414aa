//! The resource of EXTERNAL_ACCOUNT: an account at another institution, or a wallet. The document has one schema for each type of account; this table has the fields of all.

use ingest::schema::Shape::{Flag, List, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

use super::values::{ADDRESS, REGION_VALUES};

pub(super) const EXTERNAL_ACCOUNT: &[Field] = &[
    required(&["accountInfo"], Fields(ACCOUNT_INFO)),
    required(&["currency"], Text),
    required(&["id"], Text),
    required(&["status"], OneOf(EXTERNAL_ACCOUNT_STATUS_VALUES)),
    optional(&["beneficiaryVerificationStatus"], OneOf(BENEFICIARY_VERIFICATION_STATUS_VALUES)),
    optional(&["beneficiaryVerifiedData"], Fields(BENEFICIARY_VERIFIED_DATA)),
    optional(&["customerId"], Text),
    optional(&["defaultUmaDepositAccount"], Flag),
    optional(&["ownershipType"], OneOf(&["FIRST_PARTY", "THIRD_PARTY"])),
    optional(&["platformAccountId"], Text),
];

const ACCOUNT_INFO: &[Field] = &[
    required(&["accountType"], OneOf(EXTERNAL_ACCOUNT_ACCOUNT_TYPE_VALUES)),
    optional(&["accountNumber"], Text),
    optional(&["address"], Text),
    optional(&["bankAccountType"], OneOf(&["CHECKING", "SAVINGS"])),
    optional(&["bankCode"], Text),
    optional(&["bankName"], Text),
    optional(&["beneficiary"], Fields(BENEFICIARY)),
    optional(&["bolt12"], Text),
    optional(&["branchCode"], Text),
    optional(&["clabeNumber"], Text),
    optional(&["country"], Text),
    optional(&["fiToFiInformation"], Text),
    optional(&["iban"], Text),
    optional(&["ifsc"], Text),
    optional(&["intermediaryBankName"], Text),
    optional(&["intermediaryRoutingNumber"], Text),
    optional(&["invoice"], Text),
    optional(&["lightningAddress"], Text),
    optional(&["paymentRails"], List(&OneOf(EXTERNAL_ACCOUNT_PAYMENT_RAILS_VALUES))),
    optional(&["phoneNumber"], Text),
    optional(&["pixKey"], Text),
    optional(&["pixKeyType"], OneOf(&["CNPJ", "CPF", "EMAIL", "PHONE", "RANDOM"])),
    optional(&["provider"], Text),
    optional(&["rail"], Text),
    optional(&["region"], OneOf(REGION_VALUES)),
    optional(&["routingNumber"], Text),
    optional(&["sortCode"], Text),
    optional(&["swiftCode"], Text),
    optional(&["taxId"], Text),
    optional(&["vaspName"], Text),
    optional(&["vpa"], Text),
];

const BENEFICIARY: &[Field] = &[
    required(&["beneficiaryType"], OneOf(&["BUSINESS", "INDIVIDUAL"])),
    optional(&["address"], Fields(ADDRESS)),
    optional(&["birthDate"], Text),
    optional(&["countryOfResidence"], Text),
    optional(&["documentNumber"], Text),
    optional(&["documentType"], OneOf(&["CC", "CE", "NIT", "PP", "TI"])),
    optional(&["email"], Text),
    optional(&["fullName"], Text),
    optional(&["legalName"], Text),
    optional(&["nationality"], Text),
    optional(&["phoneNumber"], Text),
    optional(&["registrationNumber"], Text),
    optional(&["taxId"], Text),
];

const BENEFICIARY_VERIFIED_DATA: &[Field] = &[optional(&["fullName"], Text)];

const BENEFICIARY_VERIFICATION_STATUS_VALUES: &[&str] =
    &["CHECKED_BY_RECEIVING_FI", "MATCHED", "NOT_MATCHED", "PARTIAL_MATCH", "PENDING", "UNSUPPORTED"];

const EXTERNAL_ACCOUNT_ACCOUNT_TYPE_VALUES: &[&str] = &[
    "AED_ACCOUNT",
    "BASE_WALLET",
    "BDT_ACCOUNT",
    "BRL_ACCOUNT",
    "BWP_ACCOUNT",
    "CAD_ACCOUNT",
    "CNY_ACCOUNT",
    "COP_ACCOUNT",
    "DKK_ACCOUNT",
    "EGP_ACCOUNT",
    "ETHEREUM_WALLET",
    "EUR_ACCOUNT",
    "GBP_ACCOUNT",
    "GHS_ACCOUNT",
    "GTQ_ACCOUNT",
    "HKD_ACCOUNT",
    "HTG_ACCOUNT",
    "IDR_ACCOUNT",
    "INR_ACCOUNT",
    "JMD_ACCOUNT",
    "KES_ACCOUNT",
    "LIGHTNING",
    "MWK_ACCOUNT",
    "MXN_ACCOUNT",
    "MYR_ACCOUNT",
    "NGN_ACCOUNT",
    "PHP_ACCOUNT",
    "PKR_ACCOUNT",
    "PLASMA_WALLET",
    "POLYGON_WALLET",
    "RWF_ACCOUNT",
    "SGD_ACCOUNT",
    "SLV_ACCOUNT",
    "SOLANA_WALLET",
    "SPARK_WALLET",
    "SWIFT_ACCOUNT",
    "THB_ACCOUNT",
    "TRON_WALLET",
    "TZS_ACCOUNT",
    "UGX_ACCOUNT",
    "USD_ACCOUNT",
    "VND_ACCOUNT",
    "XAF_ACCOUNT",
    "XOF_ACCOUNT",
    "ZAR_ACCOUNT",
    "ZMW_ACCOUNT",
];

const EXTERNAL_ACCOUNT_PAYMENT_RAILS_VALUES: &[&str] = &[
    "ACH",
    "BANK_TRANSFER",
    "FAST",
    "FASTER_PAYMENTS",
    "FEDNOW",
    "MOBILE_MONEY",
    "NEFT",
    "PAYNOW",
    "PIX",
    "RTGS",
    "RTP",
    "SEPA",
    "SEPA_INSTANT",
    "SPEI",
    "SWIFT",
    "UPI",
    "WIRE",
];

const EXTERNAL_ACCOUNT_STATUS_VALUES: &[&str] =
    &["ACTIVE", "INACTIVE", "PENDING", "PENDING_OWNERSHIP_VERIFICATION", "UNDER_REVIEW", "UNVERIFIED"];
