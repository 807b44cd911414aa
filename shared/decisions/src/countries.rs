//! Finds the countries in counterparty information. A restricted country must be found under every field name
//! and at every depth. So the words in a field's name decide whether its value is a country.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::body::{Content, Value};
use crate::forms::{country, trimmed};
use crate::spelling::{look, looks};

/// Stems of words about countries. A field is about a country if its name contains one of them. Names are
/// compared without case, separators and accents, and letters that look alike are equal.
const OF_A_COUNTRY: [&str; 19] = [
    "country",
    "countries",
    "ctry", // ISO 20022, as in CtryOfRes
    "cntry",
    "nationalit",
    "natl of",
    "natlty",
    "issuing state", // as in machine-readable passports
    "nazionalit",
    "staatsangeh",
    "national of",
    "citizen",
    "reside",
    "residing",
    "residen",
    "domicil",
    "jurisdiction",
    "homeland",
    "nationhood",
];

/// Words about countries that are parts of many other words, so they count only as a whole word of a name, as in
/// `homeNation`.
const WHOLE_WORDS: [&str; 3] = ["nation", "nations", "ntnlty"];

/// The fields of an object that say what another field of it is about, as in `{"key": "nationality", "value": "IR"}`.
const LABELS: [&str; 3] = ["name", "key", "field"];

/// The fields that a `name` is about. A name can also be that of a person or a bank, as in `{"name": "Citizens Bank", "city": …}`.
const OF_A_LABEL: [&str; 9] =
    ["value", "values", "val", "content", "data", "text", "answer", "code", "details"];

/// Words that contain one of the stems above but are not about a country.
const OF_SOMETHING_ELSE: [&str; 5] = ["president", "presidents", "presidential", "presidency", "presiding"];

/// Words of names that contain a stem above, but do not hold a country. A field is left out if all words of
/// its name are in one of these tables or in [`FILLERS`], and at least one is in the table's first list. A
/// name with any other word is about a country, so a country cannot hide in a field such as `statedCountry`.
const LEFT_OUT: [(&[&str], &[&str]); 2] = [
    // countrySubdivision, country_sub_division_code
    (&["subdivision", "subdivisions", "sub division", "subentity"], &["country", "iso"]),
    // residenceLine1, residential_address, stateOfResidence, and the address lines in residence: {"line1": …}
    (
        &[
            "address",
            "addr",
            "line",
            "lines",
            "street",
            "road",
            "building",
            "house",
            "apartment",
            "flat",
            "floor",
            "unit",
            "city",
            "town",
            "village",
            "district",
            "county",
            "region",
            "state",
            "province",
            "post",
            "postal",
            "postcode",
            "zip",
            "zipcode",
            "po box",
        ],
        &["residence", "residential", "resident", "residency", "domicile", "domiciled"],
    ),
];

/// Words that do not change what a field is about. Every table of [`LEFT_OUT`] allows them.
const FILLERS: [&str; 22] = [
    "of",
    "the",
    "in",
    "and",
    "code",
    "codes",
    "name",
    "number",
    "no",
    "full",
    "sender",
    "user",
    "customer",
    "payer",
    "originator",
    "home",
    "current",
    "permanent",
    "primary",
    "registered",
    "legal",
    "tax",
];

/// Stems of words about telephones. In a field about a telephone, a country code such as `+49` is a calling
/// code.
const OF_A_TELEPHONE: [&str; 7] = ["calling", "dial", "phone", "mobile", "fax", "landline", "msisdn"];

/// The countries in counterparty information.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Countries {
    /// All countries that could be read, as alpha-2 codes in upper case.
    pub codes: BTreeSet<String>,
    /// Whether a field about a country has a value that is not an alpha-2 code.
    pub unread: bool,
}

impl Countries {
    /// Adds every country in a field, at any depth.
    pub(crate) fn search(&mut self, name: &str, value: &Value<'_>) {
        self.field(name, value, &Subject::default());
    }

    fn field(&mut self, name: &str, value: &Value<'_>, around: &Subject) {
        self.value(value, &around.of(name));
    }

    fn value(&mut self, value: &Value<'_>, subject: &Subject) {
        match &value.content {
            Content::Object(fields) => {
                let label = fields.iter().find_map(|(name, value)| labelled(name, value, subject));
                for (name, value) in fields {
                    match &label {
                        Some((label, _)) if label == name => {}
                        Some((label, about)) if is_about(label, name) => self.value(value, about),
                        _ => self.field(name, value, subject),
                    }
                }
            }
            Content::List(entries) => {
                for entry in entries {
                    self.value(entry, subject);
                }
            }
            Content::Scalar if subject.country && !value.is_null() => self.scalar(value.json, subject),
            Content::Scalar => {}
        }
    }

    fn scalar(&mut self, json: &str, subject: &Subject) {
        let text = serde_json::from_str::<String>(json);
        let text = text.as_deref().unwrap_or(json);
        if let Some(code) = country(text) {
            self.codes.insert(code);
        } else if !(trimmed(text).is_empty() || subject.telephone && is_calling_code(text)) {
            self.unread = true;
        }
    }
}

/// What a value is about, according to the names of the fields around it.
#[derive(Clone, Default)]
struct Subject {
    country: bool,
    telephone: bool,
    /// The names of the surrounding fields that are about a country. They matter for a nested field: `state`
    /// is left out in a residence, but not in a citizenship.
    around: String,
}

impl Subject {
    /// The subject of a field with this name, inside an object with this subject.
    fn of(&self, name: &str) -> Self {
        static COUNTRY: LazyLock<Vec<String>> = LazyLock::new(|| OF_A_COUNTRY.map(look).into());
        static TELEPHONE: LazyLock<Vec<String>> = LazyLock::new(|| OF_A_TELEPHONE.map(look).into());
        let name = without_other_words(name);
        let speaks = |stems: &[String]| looks(&name).any(|name| stems.iter().any(|stem| name.contains(stem)));
        let telephone = self.telephone || speaks(&TELEPHONE);
        if speaks(&COUNTRY) || has_whole_word(&name) {
            let around = format!("{} {name}", self.around);
            return Self { country: !is_left_out(&name), telephone, around };
        }
        let country = self.country && !is_left_out(&format!("{} {name}", self.around));
        Self { country, telephone, around: self.around.clone() }
    }
}

/// The subject that a field of an object says another one has, if that is a country and the object has none.
fn labelled<'n>(name: &'n str, value: &Value<'_>, subject: &Subject) -> Option<(&'n str, Subject)> {
    let label = is_one_of(name, &LABELS) && !subject.country;
    let text = serde_json::from_str::<String>(value.json).ok().filter(|_| label)?;
    let about = subject.of(&text);
    about.country.then_some((name, about))
}

/// Whether a label can be about a field beside it.
fn is_about(label: &str, name: &str) -> bool {
    !is_one_of(label, &LABELS[..1]) || is_one_of(name, &OF_A_LABEL)
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    looks(name).any(|name| names.iter().any(|one| look(one) == name))
}

/// Whether a name has one of [`WHOLE_WORDS`], or the short `natl` without a word for a number such as in `natlId`.
fn has_whole_word(name: &str) -> bool {
    // Most names have none, and looking them up takes longer.
    if !looks(name).any(|look| look.contains("nat") || look.contains("ntn")) {
        return false;
    }
    let words = words(name);
    let words = || words.split(' ');
    words().any(|word| is_one_of(word, &WHOLE_WORDS))
        || words().any(|word| is_one_of(word, &["natl"]))
            && !words().any(|word| is_one_of(word, &["id", "ids", "identifier", "number", "no", "insurance"]))
}

/// A name without the words in [`OF_SOMETHING_ELSE`].
fn without_other_words(name: &str) -> String {
    if !name.to_lowercase().contains("presid") {
        return name.to_owned();
    }
    let words = words(name);
    words.split(' ').filter(|word| !OF_SOMETHING_ELSE.contains(&word.to_lowercase().as_str())).collect()
}

/// The words in a name, with spaces between them.
fn words(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && !before.is_uppercase() {
            words.push(' ');
        }
        words.push(if c.is_alphanumeric() { c } else { ' ' });
        before = c;
    }
    words
}

/// Whether [`LEFT_OUT`] excludes a name.
fn is_left_out(name: &str) -> bool {
    struct Words {
        required: Vec<String>,
        allowed: Vec<String>,
    }
    static TABLES: LazyLock<Vec<Words>> = LazyLock::new(|| {
        let words = |table: &[&[&str]]| table.concat().into_iter().map(look).collect::<Vec<_>>();
        let tables = LEFT_OUT.iter();
        tables
            .map(|(required, allowed)| Words {
                required: words(&[required]),
                allowed: words(&[allowed, &FILLERS]),
            })
            .collect()
    });
    let name = look(name.trim_end_matches(|c: char| c.is_ascii_digit()));
    TABLES.iter().any(|words| is_made_of(&name, &words.required, &words.allowed))
}

/// The longest name that is compared with [`LEFT_OUT`]. A longer name is never left out.
const MAX_NAME_BYTES: usize = 128;

/// Whether a name consists only of these words, and at least one of them is a required word.
fn is_made_of(name: &str, required: &[String], allowed: &[String]) -> bool {
    if name.len() > MAX_NAME_BYTES {
        return false;
    }
    // For each length: whether the name's first bytes consist of these words, and whether one is required.
    let mut rows = vec![(false, false); name.len() + 1];
    rows[0] = (true, false);
    for start in 0..name.len() {
        let (row, complete) = rows[start];
        let Some(rest) = name.get(start..).filter(|_| row) else { continue };
        for (words, is_required) in [(required, true), (allowed, false)] {
            for word in words.iter().filter(|word| rest.starts_with(word.as_str())) {
                let (row, with_required) = &mut rows[start + word.len()];
                *row = true;
                *with_required |= complete || is_required;
            }
        }
    }
    rows[name.len()].1
}

/// Whether a text is a calling code or another number, such as `+49` or `1-268`.
fn is_calling_code(text: &str) -> bool {
    let text = trimmed(text);
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || " -()".contains(c))
}

#[cfg(test)]
mod tests {
    use ingest::Object;

    use super::*;
    use crate::Layout;

    /// The countries in counterparty information, and whether a country in it cannot be read.
    fn search(information: &str) -> (String, bool) {
        let body = Object::parse(information.as_bytes()).unwrap();
        let layout = Layout {
            transaction: "transaction",
            sender: None,
            receiver: None,
            user_id: "userId",
            platform_user_id: "platformUserId",
            requested: "requested",
            requested_in_transaction: false,
        };
        let body = Value::read(&body, &layout).unwrap();
        let Content::Object(fields) = &body.content else { panic!("{information}") };
        let mut countries = Countries::default();
        for (name, value) in fields {
            countries.search(name, value);
        }
        (countries.codes.into_iter().collect::<Vec<_>>().join(" "), countries.unread)
    }

    #[test]
    fn no_address_word_or_look_alike_letter_hides_a_country() {
        for information in [
            r#"{"citizenship":{"state":"IR"}}"#,
            r#"{"jurisdiction":{"state":"IR"}}"#,
            r#"{"citizenship":[{"region":"IR"}]}"#,
            r#"{"nationality":{"a":{"province":"ir"}}}"#,
            r#"{"country":{"address":{"line1":"IR"}}}"#,
            r#"{"c|tizenship":"IR"}"#,
            r#"{"resident|al country":"IR"}"#,
        ] {
            assert_eq!(search(information), ("IR".to_owned(), false), "{information}");
        }
        for information in [
            r#"{"residence":{"state":"IR"}}"#,
            r#"{"residentialAddress":{"line1":"IR","address":{"city":"KP"}}}"#,
            r#"{"stateOfResidence":"IR"}"#,
        ] {
            assert_eq!(search(information), (String::new(), false), "{information}");
        }
    }

    #[test]
    fn countries_are_found_under_every_name_about_a_country() {
        for name in [
            "country",
            "countryCode",
            "country_code",
            "COUNTRY-CODE",
            "countrycode",
            "c0untry",
            "cóuntry",
            "billingCountry",
            "countryOfBirth",
            "issuingCountry",
            "Country/Region",
            "statedCountry",
            "realEstateCountry",
            "CtryOfRes",
            "countries",
            "nationality",
            "nationalities",
            "nationalité",
            "secondNationality",
            "stateOfNationality",
            "nationalOf",
            "citizenship",
            "citizenships",
            "citizenOf",
            "residence",
            "placeOfResidence",
            "taxResidency",
            "residentIn",
            "residing_in",
            "resides",
            "RESIDENT",
            "groupResidence",
            "groupResidency",
            "presidentResidence",
            "domicile",
            "domiciled",
            "jurisdiction",
            "taxJurisdictions",
            "phoneCountry",
            "phoneCountryCode",
            "jurisdictionState",
            "cntry",
            "CNTRY_CD",
            "natlOf",
            "natl",
            "issuingState",
            "ISSUING_STATE_CODE",
            "nazionalità",
            "staatsangehörigkeit",
            "nation",
            "homeNation",
            "NATION_CODE",
            "nationId",
            "СОUNТRY",
        ] {
            for information in [
                format!(r#"{{"{name}":" ir "}}"#),
                format!(r#"{{"{name}":["IR"]}}"#),
                format!(r#"{{"{name}":{{"code":"IR"}}}}"#),
                format!(r#"{{"{name}":[[{{"value":{{"of":["Ir"]}}}}]]}}"#),
                format!(r#"{{"passport":{{"{name}":"IR"}}}}"#),
                format!(r#"{{"list":[1,{{"a":[{{"{name}":"IR"}}]}}]}}"#),
                format!(r#"{{"residentialAddress":{{"{name}":"IR"}}}}"#),
                format!(r#"{{"phone":{{"{name}":"IR"}}}}"#),
            ] {
                let body = information.replace("СОUNТRY", "COUNTRY");
                assert_eq!(search(&body), ("IR".to_owned(), false), "{information}");
            }
            for odd in ["\"Iran\"", "\"IRN\"", "364", "\"364x\"", "true", "1.5", "\"ＩＲ\"", r#""\ud800""#]
            {
                if odd == "364" && name.starts_with("phone") {
                    continue; // this value is a calling code
                }
                let information =
                    format!(r#"{{"a":{{"{name}":[{odd},"DE"]}}}}"#).replace("СОUNТRY", "COUNTRY");
                assert_eq!(search(&information), ("DE".to_owned(), true), "{information}");
            }
            for absent in ["null", "\"\"", "\" \\u200b\"", "[]", "{}", "[null]", "{\"a\":null}"] {
                let information = format!(r#"{{"a":{{"{name}":{absent}}}}}"#).replace("СОUNТRY", "COUNTRY");
                assert_eq!(search(&information), (String::new(), false), "{information}");
            }
        }
    }

    #[test]
    fn a_label_says_what_the_fields_beside_it_are_about() {
        for label in ["name", "key", "field", "Name", "KEY"] {
            for about in ["nationality", "country", "CITIZENSHIP", "issuing state", "nation"] {
                let found = |value: &str| {
                    let entry = format!(r#"{{"{label}":"{about}","value":{value}}}"#);
                    [entry.clone(), format!(r#"{{"a":{entry}}}"#), format!(r#"{{"a":[[{entry}]]}}"#)]
                        .map(|information| search(&format!(r#"{{"list":{information}}}"#)))
                };
                for value in [r#""ir""#, r#"["IR"]"#, r#"{"code":"IR"}"#] {
                    assert_eq!(found(value), [(); 3].map(|()| ("IR".to_owned(), false)), "{label} {about}");
                }
                for value in [r#""Iran""#, &format!("\"{about}\"")] {
                    assert_eq!(found(value), [(); 3].map(|()| (String::new(), true)), "{label} {about}");
                }
            }
            let other = format!(r#"{{"list":[{{"{label}":"colour","value":"IR"}}]}}"#);
            assert_eq!(search(&other), (String::new(), false), "{other}");
        }
        assert_eq!(search(r#"{"list":[{"key":"country","iso":"IR"}]}"#), ("IR".to_owned(), false));
        assert_eq!(search(r#"{"country":{"name":"Iran","code":"IR"}}"#), ("IR".to_owned(), true));
        let bank = r#"{"bank":{"name":"Citizens Bank","city":"Boston"}}"#;
        assert_eq!(search(bank), (String::new(), false));
    }

    #[test]
    fn other_fields_are_not_countries() {
        for name in [
            "fullName",
            "county",
            "state",
            "province",
            "city",
            "region",
            "nationalId",
            "natlId",
            "NATL_ID_NUMBER",
            "nationwideBank",
            "donation",
            "combination",
            "issuingAuthority",
            "national_insurance_number",
            "internationalBankAccount",
            "destination",
            "president",
            "vicePresident",
            "PRESIDENT",
            "presidentialTitle",
            "countrySubdivision",
            "COUNTRY_SUBDIVISION",
            "countrysubdivisioncode",
            "country_sub_division_name",
            "isoCountrySubdivision",
            "residenceLine1",
            "residence_line_2",
            "RESIDENCELINE3",
            "residential_address",
            "residentialAddress",
            "residentialAddressLine1",
            "residenceStreet",
            "residence_city",
            "residencePostalCode",
            "residenceZip",
            "stateOfResidence",
            "residenceProvince",
            "currentResidenceCity",
        ] {
            for value in ["\"CA\"", "\"California\"", "7", "[\"CA\", \"x\"]"] {
                let information = format!(r#"{{"{name}":{value}}}"#);
                assert_eq!(search(&information), (String::new(), false), "{information}");
            }
        }
        let residence = r#"{"residence":{"line1":"1 High Street","city":"Leeds","postal_code":"LS1","state":"XY","country":"gb"}}"#;
        assert_eq!(search(residence), ("GB".to_owned(), false));
    }

    #[test]
    fn calling_codes_are_not_countries() {
        for code in ["\"+98\"", "98", "\"98\"", "\"+1-268\"", "\"+1 (268)\"", "\" +98\\u200e\""] {
            for information in [
                format!(r#"{{"countryCallingCode":{code}}}"#),
                format!(r#"{{"country_dial_code":{code}}}"#),
                format!(r#"{{"COUNTRY-DIALING-CODE":{code}}}"#),
                format!(r#"{{"phoneCountryCode":{code}}}"#),
                format!(r#"{{"mobile_country_code":{code}}}"#),
                format!(r#"{{"phone":{{"countryCode":{code}}}}}"#),
                format!(r#"{{"phones":[{{"countryCode":{code}}}]}}"#),
            ] {
                assert_eq!(search(&information), (String::new(), false), "{information}");
            }
            let information = format!(r#"{{"countryCode":{code}}}"#);
            assert_eq!(search(&information), (String::new(), true), "{information}");
        }
        for code in ["\"Iran\"", "\"+\"", "\"IRN\"", "\"+98 IR\"", "true"] {
            let information = format!(r#"{{"phoneCountryCode":{code}}}"#);
            assert_eq!(search(&information), (String::new(), true), "{information}");
        }
    }
}
