//! Recognises the names of a payment's fields in every spelling. Versions of the API differ in case and
//! separators (`fullName`, `FULL_NAME`), and letters of other scripts can look like Latin letters. A
//! different spelling must not hide a field from a rule.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use unicode_normalization::char::is_combining_mark;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection, skeleton};

use crate::forms::is_invisible;

/// The fields of counterparty information that the schema names, each with its names in the versions of the
/// API.
const NAMED: [(&str, &[&str]); 18] = [
    ("fullName", &["FULL_NAME"]),
    ("dateOfBirth", &["DATE_OF_BIRTH", "BIRTH_DATE"]),
    ("address", &["ADDRESS", "POSTAL_ADDRESS"]),
    ("taxId", &["TAX_ID"]),
    ("registrationNumber", &["REGISTRATION_NUMBER"]),
    ("accountNumber", &["ACCOUNT_NUMBER", "ACCOUNT_IDENTIFIER"]),
    ("phoneNumber", &["PHONE_NUMBER"]),
    ("email", &["EMAIL"]),
    ("userType", &["USER_TYPE"]),
    ("fiLegalEntityName", &["FI_LEGAL_ENTITY_NAME"]),
    ("fiAddress", &["FI_ADDRESS"]),
    ("purposeOfPayment", &["PURPOSE_OF_PAYMENT"]),
    ("identifier", &["IDENTIFIER"]),
    ("businessType", &["BUSINESS_TYPE"]),
    ("country", &["COUNTRY"]),
    ("nationality", &["NATIONALITY"]),
    ("countryOfResidence", &["COUNTRY_OF_RESIDENCE"]),
    ("ultimateInstitutionCountry", &["ULTIMATE_INSTITUTION_COUNTRY"]),
];

/// The schema's name for a field of counterparty information. `None` when the schema does not name the field.
pub(crate) fn canonical(name: &str) -> Option<&'static str> {
    static BY_LOOK: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
        let names = NAMED.iter().flat_map(|(field, names)| names.iter().map(move |name| (*name, *field)));
        names.map(|(name, field)| (look(name), field)).collect()
    });
    looks(name).find_map(|look| BY_LOOK.get(&look).copied())
}

/// Whether a name can be mistaken for another one: it has invisible characters, or it mixes scripts that
/// are not written together (below the level "highly restrictive" of Unicode Technical Standard 39).
pub(crate) fn is_deceptive(name: &str) -> bool {
    // The standard is about letters, so leave out ASCII separators such as `_` and `.`.
    let letters: String = name.chars().filter(|c| !c.is_ascii() || c.is_ascii_alphanumeric()).collect();
    name.chars().any(is_invisible) || !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// The forms (see [`look`]) in which a name is compared. The case of a letter can change what it looks like:
/// Cyrillic Т looks like T, but т does not look like t. So a name with letters beyond ASCII has three forms:
/// of the name as it is, in lower case, and in upper case.
pub(crate) fn looks(name: &str) -> impl Iterator<Item = String> {
    let others = if name.is_ascii() { vec![] } else { vec![name.to_lowercase(), name.to_uppercase()] };
    [look(name)].into_iter().chain(others.into_iter().map(|name| look(&name)))
}

/// The form in which names are compared: letters and digits only, without accents and case. Characters that
/// look alike become the same character: I, l and 1 are equal, O and 0 are equal, and m equals `rn`.
pub(crate) fn look(name: &str) -> String {
    let letters: String = skeleton(name)
        .filter(|c| c.is_alphanumeric() && !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .collect();
    // The skeleton of a capital I is l, but the skeleton of a small i is i. Use l for both.
    skeleton(&letters).map(|c| if c == 'i' { 'l' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_field_is_found_under_its_own_name() {
        for (field, names) in NAMED {
            for name in names.iter().chain([&field]) {
                assert_eq!(canonical(name), Some(field), "{name}");
            }
        }
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for (name, field) in [
            ("NATIONALITY", "nationality"),
            ("Nationality", "nationality"),
            ("nat1ona1ity", "nationality"),
            ("nátiönality", "nationality"),
            ("full name", "fullName"),
            ("full-name", "fullName"),
            ("full.name", "fullName"),
            ("full\u{2010}name", "fullName"),
            ("__FULL__NAME__", "fullName"),
            ("FullName", "fullName"),
            ("fuIIName", "fullName"),
            ("fullNarne", "fullName"),
            ("e-mail", "email"),
            ("FILegalEntityName", "fiLegalEntityName"),
            ("fi_address", "fiAddress"),
            // with letters of other scripts: Cherokee, Cyrillic, Greek
            ("ᎢᎪᏙ", ""),
            ("ТАХ_ІD", "taxId"),
            ("тах-іd", "taxId"),
            ("COUΝTRY", "country"),
            ("names", ""),
            ("fullNames", ""),
            ("countries", ""),
            ("", ""),
            ("страна", ""),
        ] {
            assert_eq!(canonical(name).unwrap_or_default(), field, "{name}");
        }
    }

    #[test]
    fn names_that_can_be_mistaken_for_others_are_deceptive() {
        for name in [
            "сountry",
            "countrу",
            "COUΝTRY",
            "ТАХ_ІD",
            "coun\u{200b}try",
            "\u{200d}country",
            "country\u{202e}",
            "coun\u{ad}try",
            "country\u{fe0f}",
            "country\u{e0041}",
            "country\u{0}",
            "country\n",
            "country\u{fffd}",
            "ｃountry",
            "𝐜ountry",
            "☃",
        ] {
            assert!(is_deceptive(name), "{name:?}");
        }
        for name in [
            "",
            "country",
            "country of residence",
            "a.b/c[0]:$d-e_f",
            "état",
            "страна",
            "国籍",
            "국적",
            "الجنسية",
            "χώρα",
            "Name氏名",
        ] {
            assert!(!is_deceptive(name), "{name:?}");
        }
    }
}
