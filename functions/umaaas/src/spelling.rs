//! The names of a payment's fields, however they are spelt. Versions of the API differ in case and
//! separators (`fullName`, `FULL_NAME`), and letters of other scripts can look like Latin ones. A field
//! must not escape a rule by its spelling.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use unicode_normalization::char::is_combining_mark;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection, skeleton};

use crate::forms::is_invisible;

/// The fields of counterparty information that the schema names, and the names that the versions of
/// the API have given them.
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

/// The name in the schema of a field of counterparty information.
pub(crate) fn canonical(name: &str) -> Option<&'static str> {
    static BY_LOOK: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
        let names = NAMED.iter().flat_map(|(field, names)| names.iter().map(move |name| (*name, *field)));
        names.map(|(name, field)| (look(name), field)).collect()
    });
    looks(name).find_map(|look| BY_LOOK.get(&look).copied())
}

/// Whether a name can be mistaken for another one: it has invisible characters, or mixes scripts that
/// are not written together (below the level "highly restrictive" of Unicode Technical Standard 39).
pub(crate) fn is_deceptive(name: &str) -> bool {
    // The separators in a name are none of the letters that the standard is about.
    let letters: String = name.chars().filter(|c| !c.is_ascii() || c.is_ascii_alphanumeric()).collect();
    name.chars().any(is_invisible) || !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// What a name looks like. Case can change what a letter looks like (Cyrillic Т looks like T, but т not
/// like t), so a name with letters beyond ASCII has three looks: as it is, in lower and in upper case.
pub(crate) fn looks(name: &str) -> impl Iterator<Item = String> {
    let others = if name.is_ascii() { vec![] } else { vec![name.to_lowercase(), name.to_uppercase()] };
    [look(name)].into_iter().chain(others.into_iter().map(|name| look(&name)))
}

/// Letters and digits only, without accents and case, each replaced by a representative of those that
/// look like it: I, l and 1 are one letter, O and 0 another, and m is `rn`.
pub(crate) fn look(name: &str) -> String {
    let letters: String = skeleton(name)
        .filter(|c| c.is_alphanumeric() && !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .collect();
    // The skeleton of a capital I is l, and that of a small i is i.
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
    fn names_are_found_however_they_are_spelt() {
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
            // wholly in letters of another script: Cherokee, Cyrillic, Greek with a Latin sibling left out
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
