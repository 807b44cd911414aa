//! The resource of VERIFICATION: the check of a customer.

use ingest::schema::Shape::{List, Object as Fields, OneOf, Text, Time};
use ingest::schema::{Field, optional, required};

pub(super) const VERIFICATION: &[Field] = &[
    required(&["createdAt"], Time),
    required(&["customerId"], Text),
    required(&["errors"], List(&Fields(ERROR))),
    required(&["id"], Text),
    required(&["verificationStatus"], OneOf(VERIFICATION_STATUS_VALUES)),
    optional(&["updatedAt"], Time),
];

const ERROR: &[Field] = &[
    required(&["reason"], Text),
    required(&["resourceId"], Text),
    required(&["type"], OneOf(TYPE_VALUES)),
    optional(&["acceptedDocumentTypes"], List(&OneOf(ACCEPTED_DOCUMENT_TYPES_VALUES))),
    optional(&["field"], Text),
];

const ACCEPTED_DOCUMENT_TYPES_VALUES: &[&str] = &[
    "ARTICLES_OF_ASSOCIATION",
    "ARTICLES_OF_INCORPORATION",
    "BANK_STATEMENT",
    "BUSINESS_LICENSE",
    "CERTIFICATE_OF_INCORPORATION",
    "DIRECTOR_REGISTRY",
    "DRIVERS_LICENSE",
    "ELECTRICITY_BILL",
    "GOOD_STANDING_CERTIFICATE",
    "INCUMBENCY_CERTIFICATE",
    "INFORMATION_STATEMENT",
    "NATIONAL_ID",
    "OTHER",
    "PARTNERSHIP_AGREEMENT",
    "PARTNERSHIP_CONTROL_AGREEMENT",
    "PASSPORT",
    "POWER_OF_ATTORNEY",
    "PROOF_OF_ADDRESS",
    "RENT_OR_LEASE_AGREEMENT",
    "SELFIE",
    "SHAREHOLDER_REGISTER",
    "STATE_COMPANY_REGISTRY",
    "STATE_REGISTRY_EXCERPT",
    "TAX_RETURN",
    "TRUST_AGREEMENT",
    "UTILITY_BILL",
];

const TYPE_VALUES: &[&str] = &[
    "APPLICANT_CRIMINAL_RECORD",
    "APPLICANT_FRAUD",
    "APPLICANT_REJECTED",
    "APPLICANT_SANCTIONED",
    "DOCUMENT_VERIFICATION_FAILED",
    "EXPIRED_DOCUMENT",
    "INCOMPLETE_DOCUMENT",
    "INVALID_DOCUMENT",
    "INVALID_FIELD",
    "MISSING_BENEFICIAL_OWNER",
    "MISSING_CONTROL_PERSON",
    "MISSING_CONTROL_STRUCTURE_DOCUMENT",
    "MISSING_FIELD",
    "MISSING_GOOD_STANDING_DOCUMENT",
    "MISSING_IDENTITY_DOCUMENT",
    "MISSING_LEGAL_PRESENCE_DOCUMENT",
    "MISSING_OWNERSHIP_STRUCTURE_DOCUMENT",
    "MISSING_PROOF_OF_ADDRESS_DOCUMENT",
    "POOR_QUALITY_DOCUMENT",
    "SUSPECTED_FRAUD_DOCUMENT",
    "UNREADABLE_DOCUMENT",
    "WRONG_DOCUMENT_TYPE",
];

const VERIFICATION_STATUS_VALUES: &[&str] = &[
    "APPROVED",
    "IN_PROGRESS",
    "PENDING_MANUAL_REVIEW",
    "READY_FOR_VERIFICATION",
    "REJECTED",
    "RESOLVE_ERRORS",
];
