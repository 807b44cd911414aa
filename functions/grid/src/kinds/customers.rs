//! The resource of CUSTOMER: a person or a company. The document has one schema for each; this table has the fields of both.

use ingest::schema::Shape::{Flag, Integer, List, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

use super::values::ADDRESS;

pub(super) const CUSTOMER: &[Field] = &[
    required(&["customerType"], OneOf(&["BUSINESS", "INDIVIDUAL"])),
    required(&["platformCustomerId"], Text),
    required(&["umaAddress"], Text),
    optional(&["address"], Fields(ADDRESS)),
    optional(
        &["annualIncomeRange"],
        OneOf(&["OVER_1M", "RANGE_100K_250K", "RANGE_250K_1M", "RANGE_50K_100K", "UNDER_50K"]),
    ),
    optional(&["beneficialOwners"], List(&Fields(BENEFICIAL_OWNER))),
    optional(&["birthDate"], Text),
    optional(&["businessInfo"], Fields(BUSINESS_INFO)),
    optional(&["contactVerification"], Fields(CONTACT_VERIFICATION)),
    optional(&["countryOfIssuance"], Text),
    optional(&["createdAt"], Time),
    optional(&["currencies"], List(&Text)),
    optional(&["email"], Text),
    optional(&["endUserTermsConsent"], Fields(END_USER_TERMS_CONSENT)),
    optional(
        &["expectedMonthlyTransactionCount"],
        OneOf(&[
            "COUNT_100_TO_500",
            "COUNT_10_TO_100",
            "COUNT_500_TO_1000",
            "COUNT_OVER_1000",
            "COUNT_UNDER_10",
        ]),
    ),
    optional(
        &["expectedMonthlyTransactionVolume"],
        OneOf(&[
            "VOLUME_100K_TO_1M",
            "VOLUME_10K_TO_100K",
            "VOLUME_1M_TO_10M",
            "VOLUME_OVER_10M",
            "VOLUME_UNDER_10K",
        ]),
    ),
    optional(&["fullName"], Text),
    optional(&["id"], Text),
    optional(&["idType"], OneOf(&["EIN", "ITIN", "NON_US_TAX_ID", "SSN"])),
    optional(&["identifier"], Text),
    optional(&["isDeleted"], Flag),
    optional(&["kybStatus"], OneOf(&["APPROVED", "HOLD", "PENDING", "REJECTED", "UNVERIFIED"])),
    optional(&["kycStatus"], OneOf(&["APPROVED", "HOLD", "PENDING", "REJECTED", "UNVERIFIED"])),
    optional(&["nationality"], Text),
    optional(&["netWorthRange"], OneOf(NET_WORTH_RANGE_VALUES)),
    optional(&["pepStatus"], OneOf(&["DOMESTIC", "FAMILY_OR_ASSOCIATE", "FOREIGN", "HIO", "NONE"])),
    optional(&["phoneNumber"], Text),
    optional(&["purposeOfAccount"], OneOf(PURPOSE_OF_ACCOUNT_VALUES)),
    optional(&["purposeOfAccountOtherDescription"], Text),
    optional(&["region"], Text),
    optional(&["sourceOfFundsCategories"], List(&OneOf(CUSTOMER_SOURCE_OF_FUNDS_CATEGORIES_VALUES))),
    optional(&["sourceOfFundsOtherDescription"], Text),
    optional(&["sourceOfWealthCategories"], List(&OneOf(SOURCE_OF_WEALTH_CATEGORIES_VALUES))),
    optional(&["sourceOfWealthOtherDescription"], Text),
    optional(&["updatedAt"], Time),
];

const BENEFICIAL_OWNER: &[Field] = &[
    required(&["createdAt"], Time),
    required(&["customerId"], Text),
    required(&["id"], Text),
    required(&["kycStatus"], OneOf(&["APPROVED", "HOLD", "PENDING", "REJECTED", "UNVERIFIED"])),
    required(&["ownershipPercentage"], Integer),
    required(&["personalInfo"], Fields(PERSONAL_INFO)),
    required(&["roles"], List(&OneOf(ROLES_VALUES))),
    optional(&["updatedAt"], Time),
];

const BUSINESS_INFO: &[Field] = &[
    required(&["legalName"], Text),
    optional(&["businessType"], OneOf(BUSINESS_TYPE_VALUES)),
    optional(&["countriesOfOperation"], List(&Text)),
    optional(&["country"], Text),
    optional(&["doingBusinessAs"], Text),
    optional(&["entityType"], OneOf(ENTITY_TYPE_VALUES)),
    optional(&["expectedCounterpartyCountries"], List(&Text)),
    optional(
        &["expectedMonthlyTransactionCount"],
        OneOf(&[
            "COUNT_100_TO_500",
            "COUNT_10_TO_100",
            "COUNT_500_TO_1000",
            "COUNT_OVER_1000",
            "COUNT_UNDER_10",
        ]),
    ),
    optional(
        &["expectedMonthlyTransactionVolume"],
        OneOf(&[
            "VOLUME_100K_TO_1M",
            "VOLUME_10K_TO_100K",
            "VOLUME_1M_TO_10M",
            "VOLUME_OVER_10M",
            "VOLUME_UNDER_10K",
        ]),
    ),
    optional(&["expectedRecipientJurisdictions"], List(&Text)),
    optional(&["incorporatedOn"], Text),
    optional(&["naicsCode"], Text),
    optional(&["primaryContactFirstName"], Text),
    optional(&["primaryContactLastName"], Text),
    optional(&["purposeOfAccount"], OneOf(PURPOSE_OF_ACCOUNT_VALUES)),
    optional(&["purposeOfAccountOtherDescription"], Text),
    optional(&["registrationNumber"], Text),
    optional(&["sourceOfFunds"], Text),
    optional(&["sourceOfFundsCategories"], List(&OneOf(SOURCE_OF_FUNDS_CATEGORIES_VALUES))),
    optional(&["sourceOfFundsOtherDescription"], Text),
    optional(&["taxId"], Text),
];

const CONTACT_VERIFICATION: &[Field] = &[
    optional(&["email"], OneOf(&["PENDING", "VERIFIED"])),
    optional(&["phone"], OneOf(&["PENDING", "VERIFIED"])),
];

const END_USER_TERMS_CONSENT: &[Field] = &[
    required(&["acceptanceMethod"], OneOf(&["CHECKBOX", "CLICK_TO_ACCEPT"])),
    required(&["acceptedAt"], Time),
    required(&["ipAddress"], Text),
    required(&["termsVersion"], Text),
];

const PERSONAL_INFO: &[Field] = &[
    required(&["address"], Fields(ADDRESS)),
    required(&["birthDate"], Text),
    required(&["firstName"], Text),
    required(&["idType"], OneOf(&["EIN", "ITIN", "NON_US_TAX_ID", "SSN"])),
    required(&["identifier"], Text),
    required(&["lastName"], Text),
    required(&["nationality"], Text),
    optional(&["countryOfIssuance"], Text),
    optional(&["email"], Text),
    optional(&["middleName"], Text),
    optional(&["phoneNumber"], Text),
];

const BUSINESS_TYPE_VALUES: &[&str] = &[
    "ACCOMMODATION_AND_FOOD_SERVICES",
    "ADMINISTRATIVE_AND_SUPPORT_AND_WASTE_MANAGEMENT_AND_REMEDIATION_SERVICES",
    "AGRICULTURE_FORESTRY_FISHING_AND_HUNTING",
    "ARTS_ENTERTAINMENT_AND_RECREATION",
    "CONSTRUCTION",
    "EDUCATIONAL_SERVICES",
    "FINANCE_AND_INSURANCE",
    "HEALTH_CARE_AND_SOCIAL_ASSISTANCE",
    "INFORMATION",
    "MANAGEMENT_OF_COMPANIES_AND_ENTERPRISES",
    "MANUFACTURING",
    "MINING_QUARRYING_AND_OIL_AND_GAS_EXTRACTION",
    "OTHER_SERVICES",
    "PROFESSIONAL_SCIENTIFIC_AND_TECHNICAL_SERVICES",
    "PUBLIC_ADMINISTRATION",
    "REAL_ESTATE_AND_RENTAL_AND_LEASING",
    "RETAIL_TRADE",
    "TRANSPORTATION_AND_WAREHOUSING",
    "UTILITIES",
    "WHOLESALE_TRADE",
];

const CUSTOMER_SOURCE_OF_FUNDS_CATEGORIES_VALUES: &[&str] = &[
    "GIFT",
    "INHERITANCE",
    "INVESTMENT_INCOME",
    "LOAN",
    "OTHER",
    "PENSION",
    "RENTAL_INCOME",
    "SALARY",
    "SALE_OF_ASSETS",
    "SAVINGS",
    "SELF_EMPLOYMENT_INCOME",
];

const ENTITY_TYPE_VALUES: &[&str] = &[
    "CHARITY",
    "CORPORATION",
    "LLC",
    "NON_PROFIT",
    "OTHER",
    "PARTNERSHIP",
    "PRIVATE_FOUNDATION",
    "PUBLICLY_LISTED_COMPANY",
    "SOLE_PROPRIETORSHIP",
    "S_CORPORATION",
    "TRUST",
];

const NET_WORTH_RANGE_VALUES: &[&str] =
    &["OVER_25M", "RANGE_100K_500K", "RANGE_1M_5M", "RANGE_500K_1M", "RANGE_5M_25M", "UNDER_100K"];

const PURPOSE_OF_ACCOUNT_VALUES: &[&str] = &[
    "AP_AUTOMATION",
    "AR_AUTOMATION",
    "CHARITABLE_DONATIONS",
    "CONTRACTOR_PAYOUTS",
    "CREATOR_PAYOUTS",
    "CROSS_BORDER_B2B",
    "EMBEDDED_PAYMENTS",
    "EMPLOYEE_PAYOUTS",
    "MARKETPLACE_SELLER_PAYOUTS",
    "OTHER",
    "P2P_TRANSFERS",
    "PLATFORM_FEE_COLLECTION",
    "SUPPLIER_PAYMENTS",
];

const ROLES_VALUES: &[&str] =
    &["COMPANY_OFFICER", "CONTROL_PERSON", "DIRECTOR", "GENERAL_PARTNER", "TRUSTEE", "UBO"];

const SOURCE_OF_FUNDS_CATEGORIES_VALUES: &[&str] = &[
    "DONATIONS",
    "INVESTMENT_INCOME",
    "LOANS",
    "OPERATING_REVENUE",
    "OTHER",
    "PERSONAL_SAVINGS",
    "VENTURE_CAPITAL",
];

const SOURCE_OF_WEALTH_CATEGORIES_VALUES: &[&str] = &[
    "BUSINESS_INCOME",
    "GIFT",
    "INHERITANCE",
    "INVESTMENTS",
    "OTHER",
    "PROPERTY_SALE",
    "RETIREMENT",
    "SALARY",
    "SAVINGS",
];
