//! The attributes that are computed from other attributes. Computing them takes time, so each one is computed only for a
//! policy that reads it. A value that the policy reads and that cannot be computed makes the payment undecidable.

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::fold;
use crate::policy_request::{Pair, Undecidable, set, string, text_of, undecidable};

/// The folded forms of one text.
pub(crate) struct Folded {
    /// The attribute with the text, and those with its folded form and its words.
    pub field: &'static str,
    pub text: &'static str,
    pub tokens: Option<&'static str>,
    pub form: Form,
}

/// How a text is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Words with a space between them.
    Words,
    /// Letters and digits alone.
    Code,
    /// Each word for itself.
    Token,
}

/// The texts of a payment that have folded forms.
pub(crate) const FOLDED: [Folded; 14] = [
    words("fullName", "fullNameFolded", Some("nameTokens")),
    words("address", "addressFolded", Some("addressTokens")),
    words("fiLegalEntityName", "fiLegalEntityNameFolded", Some("fiLegalEntityNameTokens")),
    words("fiAddress", "fiAddressFolded", Some("fiAddressTokens")),
    words("purposeOfPayment", "purposeOfPaymentFolded", Some("purposeOfPaymentTokens")),
    words("userType", "userTypeFolded", None),
    words("businessType", "businessTypeFolded", None),
    code("taxId", "taxIdFolded"),
    code("registrationNumber", "registrationNumberFolded"),
    code("accountNumber", "accountNumberFolded"),
    code("identifier", "identifierFolded"),
    code("phoneNumber", "phoneNumberFolded"),
    code("email", "emailFolded"),
    words("description", "descriptionFolded", Some("descriptionTokens")),
];

const fn words(field: &'static str, text: &'static str, tokens: Option<&'static str>) -> Folded {
    Folded { field, text, tokens, form: Form::Words }
}

const fn code(field: &'static str, text: &'static str) -> Folded {
    Folded { field, text, tokens: None, form: Form::Code }
}

/// The form of a folded attribute. `None` for every other attribute.
pub(crate) fn form(attribute: &str) -> Option<Form> {
    FOLDED.iter().find_map(|folded| match attribute {
        _ if attribute == folded.text => Some(folded.form),
        _ if folded.tokens == Some(attribute) => Some(Form::Token),
        _ => None,
    })
}

/// An attribute, and those that are computed from it.
pub(crate) fn of(attribute: &str) -> impl Iterator<Item = &str> {
    let folded = FOLDED.iter().filter(move |folded| folded.field == attribute);
    let folded = folded.flat_map(|folded| [Some(folded.text), folded.tokens]).flatten();
    let others: &[&str] = match attribute {
        "dateOfBirth" => &["birthDate"],
        "country" | "nationality" | "countryOfResidence" | "ultimateInstitutionCountry" => {
            &["countries", "countriesUnread"]
        }
        _ => &[],
    };
    std::iter::once(attribute).chain(folded).chain(others.iter().copied())
}

/// The names of the attributes that a policy reads, as far as this module computes them.
pub(crate) type Reads = BTreeSet<String>;

/// The attributes that this module computes and a policy may read.
pub(crate) fn computed() -> impl Iterator<Item = &'static str> {
    let folded = FOLDED.iter().flat_map(|folded| [Some(folded.text), folded.tokens]).flatten();
    folded.chain(["birthDate", "utc", "local", "rate", "baseAmount"])
}

impl Folded {
    /// The folded forms that a policy reads. `path` is where the text is in the body.
    pub(crate) fn pairs(
        &self,
        text: Result<Option<&String>, &'static str>,
        reads: &Reads,
        path: impl Fn() -> String,
    ) -> Result<Vec<Pair>, Undecidable> {
        let mut pairs = Vec::new();
        let read = |attribute: &str| reads.contains(attribute);
        let text = if read(self.text) || self.tokens.is_some_and(read) {
            text.map_err(|problem| undecidable(path(), problem))?
        } else {
            None
        };
        if let Some(text) = text.filter(|_| read(self.text)) {
            let folded = self.form.of(text);
            pairs.extend((!folded.is_empty()).then(|| text_of(self.text, &folded)));
        }
        if let Some(tokens) = self.tokens {
            let words = text.filter(|_| read(tokens)).map_or(Ok(BTreeSet::new()), |text| fold::words(text));
            let words = words.map_err(|problem| undecidable(path(), problem))?;
            pairs.push((tokens.to_owned(), set(words.iter().map(String::as_str))));
        }
        Ok(pairs)
    }
}

impl Form {
    /// A text in this form.
    pub(crate) fn of(self, text: &str) -> String {
        match self {
            Self::Words | Self::Token => fold::folded(text),
            Self::Code => fold::compact(text),
        }
    }
}

/// A date of birth as a time: 00:00 UTC of that day. `None` when the text is no date.
pub(crate) fn birth_date(text: &str) -> Option<RestrictedExpression> {
    let date: jiff::civil::Date = text.parse().ok()?;
    // Cedar has no years before 0.
    (date.year() >= 0).then(|| RestrictedExpression::new_datetime(date.to_string()))
}

/// A time on the clock of a zone.
pub(crate) fn clock(time: Timestamp, zone: TimeZone) -> Option<RestrictedExpression> {
    let time = time.to_zoned(zone);
    let day = match time.weekday() {
        Weekday::Monday => "monday",
        Weekday::Tuesday => "tuesday",
        Weekday::Wednesday => "wednesday",
        Weekday::Thursday => "thursday",
        Weekday::Friday => "friday",
        Weekday::Saturday => "saturday",
        Weekday::Sunday => "sunday",
    };
    let number = |value: i8| RestrictedExpression::new_long(value.into());
    RestrictedExpression::new_record([
        ("weekday".to_owned(), string(day)),
        ("hour".to_owned(), number(time.hour())),
        ("minute".to_owned(), number(time.minute())),
    ])
    .ok()
}

/// The names of the days in [`clock`].
pub(crate) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
