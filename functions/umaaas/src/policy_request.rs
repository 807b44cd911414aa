//! What a policy sees of a payment: the table in `policies/README.md`, with the types in
//! `policies/schema.cedarschema`.
//!
//! Policies compare exact values, so every value gets one form here, however it was spelt: a rule
//! that holds for one spelling of a country has to hold for all of them. A value that has no such
//! form makes the payment [`Undecidable`]; nothing is guessed or left out.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use ingest::{Object, RequestedFacts};
use jiff::Timestamp;

/// How many fields one object of counterparty information may have. Far above any vocabulary; more
/// would take their time from the provider's deadline.
const MAX_FIELDS: usize = 256;

/// A payment that waits for approval.
#[derive(Debug)]
pub(crate) struct Payment {
    sender: Address,
    /// Counterparty information under its name in the schema.
    named: BTreeMap<&'static str, String>,
    /// Every country in it.
    countries: BTreeSet<String>,
    /// Counterparty information that the schema does not name.
    tags: BTreeMap<String, String>,
    receiver: Address,
    user_id: Option<String>,
    platform_user_id: Option<String>,
    amount: i64,
    currency: String,
    decimals: Option<i64>,
    description: Option<String>,
    time: Timestamp,
}

/// A UMA address, and the domain in it.
#[derive(Debug)]
struct Address {
    whole: String,
    domain: String,
}

/// Why a payment cannot be shown to a policy: a field, and what is wrong with it. Never its value.
#[derive(Debug, thiserror::Error)]
#[error("{field} {problem}")]
pub(crate) struct Undecidable {
    field: String,
    problem: &'static str,
}

impl Payment {
    /// Reads the payment that an event is about.
    pub(crate) fn read(
        body: &Object<'_>,
        occurred_at: Option<Timestamp>,
        _received_at: Timestamp,
    ) -> Result<Self, Undecidable> {
        let time = occurred_at.filter(|time| *time >= Timestamp::UNIX_EPOCH);
        let transaction = required(object(body, "transaction", "transaction"), "transaction")?;
        let received = "transaction.receivedAmount";
        let received_amount = required(object(&transaction, "receivedAmount", received), received)?;
        let amount = "transaction.receivedAmount.amount";
        let unit = "transaction.receivedAmount.currency";
        let currency = required(object(&received_amount, "currency", unit), unit)?;
        let code = "transaction.receivedAmount.currency.code";
        let decimals = "transaction.receivedAmount.currency.decimals";
        let mut payment = Self {
            sender: address(&transaction, "senderUmaAddress", "transaction.senderUmaAddress")?,
            named: BTreeMap::new(),
            countries: BTreeSet::new(),
            tags: BTreeMap::new(),
            receiver: address(&transaction, "receiverUmaAddress", "transaction.receiverUmaAddress")?,
            user_id: text(&transaction, "userId", "transaction.userId")?,
            platform_user_id: text(&transaction, "platformUserId", "transaction.platformUserId")?,
            amount: required(natural(&received_amount, "amount", amount), amount)?,
            currency: currency_code(&currency, "code", code)?,
            decimals: natural(&currency, "decimals", decimals)?,
            description: text(&transaction, "description", "transaction.description")?,
            time: time.ok_or_else(|| undecidable("timestamp", "is not an RFC 3339 time since 1970"))?,
        };
        let information = "transaction.counterpartyInformation";
        if let Some(information) = object(&transaction, "counterpartyInformation", information)? {
            payment.inform(&information)?;
        }
        Ok(payment)
    }

    pub(crate) fn requested(&self) -> Option<&RequestedFacts> {
        None
    }

    /// A payment with nothing that may be missing.
    pub(crate) fn bare() -> Self {
        let nobody = || Address { whole: "$@".to_owned(), domain: String::new() };
        Self {
            sender: nobody(),
            named: BTreeMap::new(),
            countries: BTreeSet::new(),
            tags: BTreeMap::new(),
            receiver: nobody(),
            user_id: None,
            platform_user_id: None,
            amount: 0,
            currency: String::new(),
            decimals: None,
            description: None,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    /// Whether a piece of counterparty information is there, under any of its names.
    pub(crate) fn has(&self, name: &str) -> bool {
        match canonical(name) {
            Some(field) => self.named.contains_key(field),
            None => self.tags.contains_key(name),
        }
    }

    fn inform(&mut self, information: &Object<'_>) -> Result<(), Undecidable> {
        let path = "transaction.counterpartyInformation";
        for name in names(information, path)? {
            let Some(field) = canonical(name) else {
                if let Some(text) = any_text(information, name, path)? {
                    self.tags.insert(name.to_owned(), text);
                }
                continue;
            };
            let path = format!("{path}.{field}");
            let value = match field {
                "address" => self.address(information, name, &path)?,
                "country" | "nationality" | "countryOfResidence" | "ultimateInstitutionCountry" => {
                    self.country(information, name, &path)?
                }
                _ => text(information, name, &path)?,
            };
            let Some(value) = value else { continue };
            let earlier = self.named.insert(field, value);
            if earlier.is_some_and(|earlier| earlier != self.named[field]) {
                return Err(undecidable(path, "has two values"));
            }
        }
        Ok(())
    }

    /// A country, which counts whatever it is the country of.
    fn country(
        &mut self,
        object: &Object<'_>,
        name: &str,
        path: &str,
    ) -> Result<Option<String>, Undecidable> {
        let Some(country) = text(object, name, path)? else { return Ok(None) };
        if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            return Err(undecidable(path, "is not a country code of two letters"));
        }
        let country = country.to_ascii_uppercase();
        self.countries.insert(country.clone());
        Ok(Some(country))
    }

    /// A postal address: a text, or the API's `Address`, whose parts are put on one line.
    fn address(
        &mut self,
        object: &Object<'_>,
        name: &str,
        path: &str,
    ) -> Result<Option<String>, Undecidable> {
        let Some(address) = object.object(name) else { return text(object, name, path) };
        let mut line = Vec::new();
        for part in names(&address, path)? {
            line.extend(match canonical(part) {
                Some("country") => self.country(&address, part, &format!("{path}.country"))?,
                _ => text(&address, part, path)?,
            });
        }
        Ok((!line.is_empty()).then(|| line.join(", ")))
    }
}

/// The name in the schema of a field of counterparty information. Versions of the API differ in how
/// they spell names (`fullName`, `FULL_NAME`) and have changed some.
fn canonical(name: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect();
    Some(match letters.to_ascii_lowercase().as_str() {
        "fullname" => "fullName",
        "dateofbirth" | "birthdate" => "dateOfBirth",
        "address" | "postaladdress" => "address",
        "taxid" => "taxId",
        "registrationnumber" => "registrationNumber",
        "accountnumber" | "accountidentifier" => "accountNumber",
        "country" => "country",
        "nationality" => "nationality",
        "countryofresidence" => "countryOfResidence",
        "ultimateinstitutioncountry" => "ultimateInstitutionCountry",
        _ => return None,
    })
}

fn undecidable(field: impl Into<String>, problem: &'static str) -> Undecidable {
    Undecidable { field: field.into(), problem }
}

fn required<T>(value: Result<Option<T>, Undecidable>, path: &str) -> Result<T, Undecidable> {
    value?.ok_or_else(|| undecidable(path, "is missing"))
}

fn object<'a>(outer: &Object<'a>, name: &str, path: &str) -> Result<Option<Object<'a>>, Undecidable> {
    match outer.get(name) {
        None => Ok(None),
        Some(_) => outer.object(name).map(Some).ok_or_else(|| undecidable(path, "is not an object")),
    }
}

/// The names in an object of counterparty information.
fn names<'a>(object: &'a Object<'_>, path: &str) -> Result<Vec<&'a str>, Undecidable> {
    let names: Vec<&str> = object.names().take(MAX_FIELDS + 1).collect();
    if names.len() > MAX_FIELDS { Err(undecidable(path, "has too many fields")) } else { Ok(names) }
}

/// A string without what surrounds its visible part; a blank one counts as missing.
fn text(object: &Object<'_>, name: &str, path: &str) -> Result<Option<String>, Undecidable> {
    let invisible = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    if object.get(name).is_none() {
        return Ok(None);
    }
    let text = object.text(name).ok_or_else(|| undecidable(path, "is not a string"))?;
    let visible = text.trim_matches(invisible);
    Ok((!visible.is_empty()).then(|| visible.to_owned()))
}

/// A string as [`text`]; any other value as it stands in the body.
fn any_text(object: &Object<'_>, name: &str, path: &str) -> Result<Option<String>, Undecidable> {
    match object.get(name).map(|value| value.get()) {
        Some(json) if !json.starts_with('"') => Ok(Some(json.to_owned())),
        _ => text(object, name, path),
    }
}

/// An integer that is not negative and fits a policy's numbers.
fn natural(object: &Object<'_>, name: &str, path: &str) -> Result<Option<i64>, Undecidable> {
    let Some(value) = object.get(name) else { return Ok(None) };
    match value.get().parse() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => Err(undecidable(path, "is not an integer from 0 to 9223372036854775807")),
    }
}

/// A currency's code, in upper case: letters and digits, or a rule could be escaped by what looks like it.
fn currency_code(object: &Object<'_>, name: &str, path: &str) -> Result<String, Undecidable> {
    let code = required(text(object, name, path), path)?.to_ascii_uppercase();
    let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { Ok(code) } else { Err(undecidable(path, "is not a currency code")) }
}

/// A UMA address, `$user@domain`, in lower case: its user and its domain have no other. What could be
/// written in two ways (without the `$`, with characters that an address does not have) would be two
/// senders to a rule that names one.
fn address(object: &Object<'_>, name: &str, path: &str) -> Result<Address, Undecidable> {
    let whole = required(text(object, name, path), path)?.to_ascii_lowercase();
    let name = |user: &str| {
        !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
    };
    let host = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match whole.strip_prefix('$').and_then(|address| address.split_once('@')) {
        Some((user, domain)) if name(user) && domain.split('.').all(host) => {
            Ok(Address { domain: domain.to_owned(), whole })
        }
        _ => Err(undecidable(path, "is not a UMA address")),
    }
}

/// The schema, and the names in it that every request needs.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) schema: Schema,
    sender: EntityTypeName,
    receiver: EntityTypeName,
    pay: EntityUid,
}

impl Model {
    /// Reads the schema, which is part of the program.
    pub(crate) fn new() -> Self {
        let (schema, _) = Schema::from_cedarschema_str(include_str!("../policies/schema.cedarschema"))
            .expect("a test reads the schema");
        Self {
            schema,
            sender: "Sender".parse().expect("a name"),
            receiver: "Receiver".parse().expect("a name"),
            pay: r#"Action::"pay""#.parse().expect("a name"),
        }
    }

    /// A payment as the schema has it: the sender pays the receiver. `None` when it does not fit the
    /// schema, which would be a mistake in this file.
    pub(crate) fn request(&self, payment: &Payment) -> Option<(Request, Entities)> {
        let countries = payment.countries.iter().map(|country| string(country));
        let mut about_sender = about(&payment.sender);
        about_sender.push(("countries".to_owned(), RestrictedExpression::new_set(countries)));
        about_sender.extend(payment.named.iter().map(|(field, value)| text_of(field, value)));
        let tags = payment.tags.iter().map(|(name, value)| text_of(name, value));

        let mut about_receiver = about(&payment.receiver);
        about_receiver.extend(payment.user_id.iter().map(|id| text_of("userId", id)));
        about_receiver.extend(payment.platform_user_id.iter().map(|id| text_of("platformUserId", id)));

        let time = RestrictedExpression::new_datetime(format!("{:.3}", payment.time));
        let mut about_payment = vec![text_of("currency", &payment.currency), ("time".to_owned(), time)];
        about_payment.push(("amount".to_owned(), RestrictedExpression::new_long(payment.amount)));
        let decimals = payment.decimals.map(RestrictedExpression::new_long);
        about_payment.extend(decimals.map(|decimals| ("decimals".to_owned(), decimals)));
        about_payment.extend(payment.description.iter().map(|text| text_of("description", text)));

        let sender = uid(&self.sender, &payment.sender);
        let receiver = uid(&self.receiver, &payment.receiver);
        let entities = [
            Entity::new_with_tags(sender.clone(), about_sender, [], tags).ok()?,
            Entity::new_with_tags(receiver.clone(), about_receiver, [], []).ok()?,
        ];
        let context = Context::from_pairs(about_payment).ok()?;
        let request = Request::new(sender, self.pay.clone(), receiver, context, Some(&self.schema)).ok()?;
        Some((request, Entities::from_entities(entities, Some(&self.schema)).ok()?))
    }
}

fn uid(entity: &EntityTypeName, address: &Address) -> EntityUid {
    EntityUid::from_type_name_and_id(entity.clone(), EntityId::new(&address.whole))
}

fn about(address: &Address) -> Vec<(String, RestrictedExpression)> {
    vec![text_of("umaAddress", &address.whole), text_of("domain", &address.domain)]
}

fn text_of(name: &str, value: &str) -> (String, RestrictedExpression) {
    (name.to_owned(), string(value))
}

fn string(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}
