//! Cards: authorisations, settlements and adjustments.

use ingest::schema::Shape::{Digits, Flag, List, Object as Fields, OneOf, Text};
use ingest::schema::{Field, optional, required};

use super::values::{
    AMOUNT, INSTRUMENT_ID, OWNER, TRANSACTION_AMOUNT, TRANSACTION_ID, TRANSACTION_TIMESTAMP,
};
use super::{Family, Kind};

/// All kinds of this family.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.authorisation",
        path: "/weavr/managed_cards/authorisations/watch",
        schema: AUTHORISATION,
    },
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.settlement",
        path: "/weavr/managed_cards/settlements/watch",
        schema: SETTLEMENT,
    },
    Kind {
        family: Family::ManagedCards,
        name: "weavr.managed_cards.adjustment",
        path: "/weavr/managed_cards/adjustments/watch",
        schema: ADJUSTMENT,
    },
];

/// A card payment was attempted. It may have been declined.
const AUTHORISATION: &[Field] = &[
    INSTRUMENT_ID,
    TRANSACTION_ID,
    TRANSACTION_AMOUNT,
    TRANSACTION_TIMESTAMP,
    SOURCE_AMOUNT,
    required(&["merchantName"], Text),
    MERCHANT_CATEGORY_CODE,
    MERCHANT_ID,
    optional(&["approved"], Flag),
    AVAILABLE_BALANCE,
    optional(&["declineReason"], OneOf(DECLINE_REASONS)),
    optional(&["authRuleFailedReason"], OneOf(AUTH_RULES)),
    required(
        &["authorisationType"],
        OneOf(&[
            "AUTHORISED",
            "DECLINED",
            "ONLINE_REVERSE",
            "EXPIRED",
            "MANUAL_CLOSE",
            "AUTHORISED_CREDIT",
            "CANCELLED",
        ]),
    ),
    RELATED_AUTHORISATION_ID,
    OWNER,
    optional(&["cardholderPresent"], OneOf(&["PRESENT", "NOT_PRESENT", "PRESENCE_UNKNOWN"])),
    optional(&["cardPresent"], Flag),
    MODE_DETAILS,
    AUTH_CODE,
    MERCHANT_DATA,
    optional(&["authorisationCategory"], OneOf(&["PRE_AUTH", "FINAL_AUTH"])),
    RELATED_AUTHORISATION_IDS,
    optional(&["forexPadding"], Fields(AMOUNT)),
    FOREX_FEE,
    optional(&["authForwardingDetails"], Fields(AUTH_FORWARDING)),
    MERCHANT_COUNTRY_CODE,
    DIGITAL_WALLET,
    USER_CURRENCY,
    optional(
        &["transactionType"],
        OneOf(&[
            "SALE_PURCHASE",
            "MAIL_OR_TELEPHONE_ORDER",
            "CASH_WITHDRAWAL",
            "ORIGINAL_CREDIT_TRANSACTION",
            "ACCOUNT_FUNDING_TRANSACTION",
            "CASH_DISBURSEMENT",
            "PURCHASE_REFUND",
        ]),
    ),
];

/// Money moved because of a card payment.
const SETTLEMENT: &[Field] = &[
    INSTRUMENT_ID,
    TRANSACTION_ID,
    required(&["settlementType"], OneOf(SETTLEMENT_TYPES)),
    TRANSACTION_AMOUNT,
    TRANSACTION_TIMESTAMP,
    SOURCE_AMOUNT,
    optional(&["merchantName"], Text),
    MERCHANT_CATEGORY_CODE,
    MERCHANT_ID,
    MODE_DETAILS,
    AVAILABLE_BALANCE,
    RELATED_AUTHORISATION_ID,
    optional(&["relatedSettlementId"], Digits),
    OWNER,
    required(&["feeAmount"], Fields(AMOUNT)),
    AUTH_CODE,
    required(&["state"], OneOf(&["PENDING", "COMPLETED"])),
    MERCHANT_DATA,
    RELATED_AUTHORISATION_IDS,
    optional(&["relatedSettlementIds"], List(&Digits)),
    FOREX_FEE,
    MERCHANT_COUNTRY_CODE,
    DIGITAL_WALLET,
    USER_CURRENCY,
];

/// The balance of a card was corrected.
const ADJUSTMENT: &[Field] = &[
    INSTRUMENT_ID,
    TRANSACTION_ID,
    required(&["adjustmentType"], OneOf(&["DEFAULT_ADJUSTMENT", "LOST_STOLEN_REPLACEMENT_BALANCE_TRANSFER"])),
    required(&["adjustmentAmount"], Fields(AMOUNT)),
    TRANSACTION_TIMESTAMP,
    AVAILABLE_BALANCE,
    OWNER,
    MODE_DETAILS,
];

const SOURCE_AMOUNT: Field = required(&["sourceAmount"], Fields(AMOUNT));
const AVAILABLE_BALANCE: Field = optional(&["availableBalance"], Fields(AMOUNT));
const FOREX_FEE: Field = optional(&["forexFee"], Fields(AMOUNT));
const AUTH_CODE: Field = optional(&["authCode"], Text);
const RELATED_AUTHORISATION_ID: Field = optional(&["relatedAuthorisationId"], Digits);
const RELATED_AUTHORISATION_IDS: Field = optional(&["relatedAuthorisationIds"], List(&Digits));
const MERCHANT_CATEGORY_CODE: Field = optional(&["merchantCategoryCode"], Text);
const MERCHANT_ID: Field = optional(&["merchantId"], Text);
const MERCHANT_COUNTRY_CODE: Field = optional(&["merchantCountryCode"], Text);

const DECLINE_REASONS: &[&str] = &[
    "PHYSICAL_NOT_ACTIVATED",
    "INSUFFICIENT_BALANCE",
    "CVV_CHECKS_FAILED",
    "CVV_RETRIES_EXCEEDED",
    "CARD_STATUS_NOT_ALLOWED",
    "PIN_CHECKS_FAILED",
    "PIN_RETRIES_EXCEEDED",
    "CARD_EXPIRY_CHECKS_FAILED",
    "AVS_CHECKS_FAILED",
    "ATM_WITHDRAWAL_LIMIT_EXCEEDED",
    "SCA_REQUIRED",
    "AUTH_RULE_CHECKS_FAILED",
    "TRANSACTION_NOT_PERMITTED",
    "TIMEOUT",
];

const AUTH_RULES: &[&str] = &[
    "MERCHANT_CATEGORY_NOT_IN_ALLOWED_LIST",
    "MERCHANT_CATEGORY_BLOCKED",
    "MERCHANT_ID_NOT_IN_ALLOWED_LIST",
    "MERCHANT_ID_BLOCKED",
    "ATM_NOT_ALLOWED",
    "CONTACTLESS_NOT_ALLOWED",
    "ECOMMERCE_NOT_ALLOWED",
    "CASHBACK_NOT_ALLOWED",
    "CREDIT_AUTHORISATIONS_NOT_ALLOWED",
    "SPEND_LIMIT_EXCEEDED",
];

const SETTLEMENT_TYPES: &[&str] = &[
    "SALE_PURCHASE",
    "CASH_WITHDRAWAL",
    "SALE_WITH_CASHBACK",
    "MAIL_OR_TELEPHONE_ORDER",
    "PURCHASE_REFUND_REVERSAL",
    "ORIGINAL_CREDIT_TRANSACTION_REVERSAL",
    "CASH_WITHDRAWAL_REVERSAL",
    "PURCHASE_REFUND",
    "PURCHASE_REVERSAL",
    "ORIGINAL_CREDIT_TRANSACTION",
    "FIRST_CHARGEBACK",
    "FIRST_CHARGEBACK_REVERSAL",
    "FIRST_REPRESENTMENT",
    "FIRST_REPRESENTMENT_REVERSAL",
    "SECOND_CHARGEBACK",
    "SECOND_CHARGEBACK_REVERSAL",
    "SECOND_REPRESENTMENT",
    "ARBITRATION_CHARGEBACK",
    "BALANCE_INQUIRY",
];

const MERCHANT_DATA: Field = optional(
    &["merchantData"],
    Fields(&[
        required(&["merchantName"], Text),
        required(&["merchantCategoryCode"], Text),
        required(&["merchantId"], Text),
        optional(&["merchantDescription"], Text),
        optional(&["merchantStreet"], Text),
        optional(&["merchantCity"], Text),
        optional(&["merchantState"], Text),
        optional(&["merchantPostalCode"], Text),
        optional(&["merchantCountry"], Text),
        optional(&["merchantTelephone"], Text),
        optional(&["merchantURL"], Text),
        optional(&["merchantNameOther"], Text),
        optional(&["merchantNetworkId"], Text),
        optional(&["merchantContact"], Text),
    ]),
);

/// The money that the card can spend: from its own balance (prepaid), or from its account (debit).
const MODE_DETAILS: Field = optional(
    &["details"],
    Fields(&[
        optional(&["prepaidModeDetails"], Fields(&[AVAILABLE_BALANCE])),
        optional(
            &["debitModeDetails"],
            Fields(&[
                // The document gives this id no pattern, unlike the other ids, so it is a text.
                optional(&["parentManagedAccountId"], Text),
                optional(&["availableToSpend"], List(&Fields(AVAILABLE_TO_SPEND))),
            ]),
        ),
    ]),
);

const AVAILABLE_TO_SPEND: &[Field] = &[
    optional(&["availableAmount"], Digits),
    optional(&["value"], Fields(AMOUNT)),
    optional(&["interval"], OneOf(&["DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY", "ALWAYS"])),
];

const AUTH_FORWARDING: &[Field] = &[
    optional(&["authForwardingTriggered"], Flag),
    optional(&["authForwardingDecisionOutcome"], OneOf(&["APPROVE", "DECLINE"])),
    optional(&["authForwardingInnovatorTimedOut"], Flag),
];

const DIGITAL_WALLET: Field = optional(
    &["digitalWalletDetails"],
    Fields(&[optional(&["digitalWalletType"], OneOf(&["GOOGLE_PAY", "APPLE_PAY", "MERCHANT_TOKEN"]))]),
);

const USER_CURRENCY: Field = optional(
    &["userCurrencyTransactionDetails"],
    Fields(&[required(&["userTransactionAmount"], Fields(AMOUNT)), required(&["userExchangeRate"], Text)]),
);
