//! What a policy sees of a payment: the table in `policies/README.md`, with the types in
//! `policies/schema.cedarschema`.
//!
//! Policies compare exact values. So this module converts every value to one canonical form, however the
//! sender spelt it: a rule that matches one spelling of a country must match all its spellings. A value that
//! has no such form makes the payment [`Undecidable`]. No value is guessed or left out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use ingest::{Counting, Object, RequestedFacts, RequestedField, Totals};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::body::{Content, Value};
use crate::countries::Countries;
use crate::derived::{self, FOLDED, Reads};
use crate::fold::{self, MAX_BYTES};
use crate::forms::{self, Address, trimmed};
use crate::layout::Layout;
use crate::limits::{By, LIMITS, Limits};
use crate::lists::{ANY, Kind, List};
use crate::rates::Rates;
use crate::spelling::{canonical, look, looks};

/// A payment that waits for approval.
#[derive(Debug)]
pub struct Payment {
    sender: Address,
    /// Counterparty information that the schema names, by its name in the schema.
    named: BTreeMap<&'static str, String>,
    /// The named fields, and [`DESCRIPTION`], with a text whose letters are shown in another order than they are sent.
    turned: BTreeSet<&'static str>,
    /// All texts about the sender, for lists of [`ANY`] field. Only a policy with such a list minds whether they can be read.
    texts: Result<Vec<String>, Undecidable>,
    /// Every country in the counterparty information.
    countries: Countries,
    /// Counterparty information that the schema does not name, by its name in the body.
    tags: BTreeMap<String, String>,
    receiver: Address,
    user_id: Option<String>,
    platform_user_id: Option<String>,
    amount: i64,
    currency: String,
    decimals: Option<i64>,
    description: Option<String>,
    time: Option<Timestamp>,
    received_at: Timestamp,
    /// The exchange rate in billionths. Only a policy that reads it minds whether it can be read.
    rate: Result<Option<i64>, Undecidable>,
    quote_id: Option<String>,
    requested: Option<RequestedFacts>,
    /// The name of the object with the transaction, for messages.
    place: &'static str,
}

/// Why a policy cannot decide about a payment: a field and its problem. The text never contains the field's
/// value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Undecidable {
    field: String,
    problem: &'static str,
}

pub(crate) fn undecidable(field: impl Into<String>, problem: &'static str) -> Undecidable {
    Undecidable { field: field.into(), problem }
}

impl Undecidable {
    /// The same problem, with the path of the field from the body instead of from the object `outer`.
    fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), ..self }
    }
}

/// The path of counterparty information in the transaction.
pub(crate) const INFORMATION: &str = "counterpartyInformation";

impl Payment {
    /// Reads the payment in a body.
    ///
    /// # Errors
    /// [`Undecidable`] when a value has no canonical form, or the body is unsafe to decide about.
    pub fn read(
        body: &Object<'_>,
        layout: &Layout,
        occurred_at: Option<Timestamp>,
        received_at: Timestamp,
    ) -> Result<Self, Undecidable> {
        let body = Value::read(body, layout)?;
        body.check_spellings(layout)?;
        let name = layout.transaction;
        let transaction = required(object(&body, name), name)?;
        let mut payment = Self::of_transaction(transaction, layout).map_err(|wrong| wrong.within(name))?;
        payment.place = name;
        payment.time = occurred_at.filter(|time| *time >= Timestamp::UNIX_EPOCH);
        payment.received_at = received_at.max(Timestamp::UNIX_EPOCH);
        let user = payment.platform_user_id.clone();
        payment.requested = if layout.requested_in_transaction {
            requested(transaction, layout.requested, user).map_err(|wrong| wrong.within(name))?
        } else {
            requested(&body, layout.requested, user)?
        };
        let information = object(transaction, INFORMATION).map_err(|wrong| wrong.within(name))?;
        let about_sender =
            information.into_iter().chain(layout.sender.and_then(|name| transaction.get(name)));
        payment.texts = texts(about_sender).map_err(|problem| undecidable(INFORMATION, problem).within(name));
        if let Some(information) = information {
            payment.inform(information).map_err(|wrong| wrong.within(name))?;
        }
        Ok(payment)
    }

    /// Reads what stands in the transaction itself.
    fn of_transaction(transaction: &Value<'_>, layout: &Layout) -> Result<Self, Undecidable> {
        let received = "receivedAmount";
        let received_amount = required(object(transaction, received), received)?;
        let amount = "receivedAmount.amount";
        let unit = "receivedAmount.currency";
        let currency = object_at(received_amount, "currency", unit);
        let currency = required(currency, unit)?;
        let user = text(transaction, layout.platform_user_id, layout.platform_user_id)?;
        Ok(Self {
            sender: address(transaction, "senderUmaAddress", layout.sender)?,
            receiver: address(transaction, "receiverUmaAddress", layout.receiver)?,
            user_id: text(transaction, layout.user_id, layout.user_id)?,
            platform_user_id: user,
            amount: required(natural(received_amount, "amount", amount), amount)?,
            currency: currency_code(currency, "code", "receivedAmount.currency.code")?,
            decimals: natural(currency, "decimals", "receivedAmount.currency.decimals")?,
            description: text(transaction, "description", "description")?,
            rate: rate(transaction),
            // Policies that do not know this field must not depend on its form.
            quote_id: text(transaction, "quoteId", "quoteId").unwrap_or_default(),
            turned: transaction
                .get(DESCRIPTION)
                .filter(|text| is_turned(text))
                .map(|_| DESCRIPTION)
                .into_iter()
                .collect(),
            ..Self::bare()
        })
    }

    /// The smallest payment: all its optional fields are missing. Used to check the rules of a policy.
    pub(crate) fn bare() -> Self {
        let nobody = || Address { whole: "$@".to_owned(), domain: String::new() };
        Self {
            sender: nobody(),
            named: BTreeMap::new(),
            turned: BTreeSet::new(),
            texts: Ok(Vec::new()),
            countries: Countries::default(),
            tags: BTreeMap::new(),
            receiver: nobody(),
            user_id: None,
            platform_user_id: None,
            amount: 0,
            currency: String::new(),
            decimals: None,
            description: None,
            time: None,
            received_at: Timestamp::UNIX_EPOCH,
            rate: Ok(None),
            quote_id: None,
            requested: None,
            place: "",
        }
    }

    /// A payment by somebody who is the first entry of a list and nothing else.
    fn of_first_entry(list: &List) -> Self {
        let mut payment = Self::bare();
        let entry = trimmed(&list.first).to_owned();
        match list.kind {
            Kind::Domain => payment.sender.domain = entry.trim_start_matches('.').to_ascii_lowercase(),
            Kind::Address => payment.sender.whole = entry.to_ascii_lowercase(),
            Kind::Country => payment.countries.codes.extend(forms::country(&entry)),
            Kind::Name | Kind::Identifier => {
                let field = list.of.first().and_then(|field| canonical(field));
                payment.texts = Ok(vec![entry.clone()]);
                payment.named.extend(field.map(|field| (field, entry)));
            }
        }
        payment
    }

    /// The names of those lists of a policy that do not have their own first entry.
    pub(crate) fn lists_without_their_first_entry(needs: &Needs) -> Vec<&String> {
        let has_it = |name: &String, list: &List| {
            let found = Self::of_first_entry(list).lists_of_sender(needs);
            found.is_ok_and(|found| found.contains(&name))
        };
        needs.lists.iter().filter(|(name, list)| !has_it(name, list)).map(|(name, _)| name).collect()
    }

    /// Whether the payment has this piece of counterparty information, under any of its names.
    pub(crate) fn has(&self, name: &str) -> bool {
        canonical(name).is_some_and(|field| self.named.contains_key(field))
    }

    /// The facts about the receiver that the provider wants with an approval.
    #[must_use]
    pub fn requested(&self) -> Option<&RequestedFacts> {
        self.requested.as_ref()
    }

    fn inform(&mut self, information: &Value<'_>) -> Result<(), Undecidable> {
        for (name, value) in information.fields() {
            if value.is_null() {
                continue;
            }
            self.countries.search(name, value);
            let Some(field) = canonical(name) else {
                if let Some(text) = any_text(value, INFORMATION)? {
                    self.tags.insert(name.to_owned(), text);
                }
                continue;
            };
            if is_turned(value) {
                self.turned.insert(field);
            }
            let path = format!("{INFORMATION}.{field}");
            let value = match field {
                "address" | "fiAddress" => postal_address(value, &path)?,
                "country" | "nationality" | "countryOfResidence" | "ultimateInstitutionCountry" => {
                    country(value, &path)?
                }
                _ => read_text(value, &path)?,
            };
            let Some(value) = value else { continue };
            let earlier = self.named.insert(field, value);
            if earlier.is_some_and(|earlier| earlier != self.named[field]) {
                return Err(undecidable(path, "is sent twice with different values"));
            }
        }
        Ok(())
    }
}

/// Whether a value has a character that overrides the direction of writing, U+202D or U+202E: then a reader sees the letters in
/// another order than a rule.
fn is_turned(value: &Value<'_>) -> bool {
    let json = value.json;
    json.contains(['\u{202d}', '\u{202e}'])
        || json.match_indices("\\u202").any(|(start, escape)| {
            json.get(start + escape.len()..).is_some_and(|rest| rest.starts_with(['d', 'D', 'e', 'E']))
        })
}

/// How many bytes all texts about the sender may have together, to be looked up in lists.
const MAX_TEXTS_BYTES: usize = 4 * MAX_BYTES;

/// All texts and numbers in these values, at any depth.
fn texts<'v, 'a: 'v>(values: impl Iterator<Item = &'v Value<'a>>) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    for value in values {
        collect_texts(value, false, &mut found)?;
    }
    let bytes: usize = found.iter().map(String::len).sum();
    if bytes > MAX_TEXTS_BYTES { Err("has too many texts to be compared") } else { Ok(found) }
}

/// Adds the texts in a value. The parts of a name, such as `firstName` and `lastName`, are one text too. Returns the texts that
/// are such parts if `named` says that the value is one.
fn collect_texts(
    value: &Value<'_>,
    named: bool,
    found: &mut Vec<String>,
) -> Result<Vec<String>, &'static str> {
    let mut parts = Vec::new();
    match &value.content {
        Content::Object(fields) => {
            for (name, value) in fields {
                // All that stands below a name is part of it, so a field there needs no look of its own.
                let named = named
                    || canonical(name).is_none() && looks(name).any(|look| look.contains(look_of_name()));
                parts.extend(collect_texts(value, named, found)?);
            }
        }
        Content::List(entries) => {
            for entry in entries {
                parts.extend(collect_texts(entry, named, found)?);
            }
        }
        Content::Scalar if is_turned(value) => return Err("has letters that are shown in another order"),
        Content::Scalar => {
            let is_text = value.json.starts_with('"');
            let text = if is_text {
                serde_json::from_str(value.json).map_err(|_| "has a text that cannot be read")?
            } else {
                value.json.to_owned()
            };
            if text.len() > MAX_BYTES {
                return Err("has a text that is too long to be compared");
            }
            found.push(text.clone());
            return Ok(if named && is_text { vec![text] } else { vec![] });
        }
    }
    if parts.len() > 1 {
        found.push(parts.join(" "));
    }
    Ok(if named { parts } else { vec![] })
}

/// The word `name` in the form in which names of fields are compared.
fn look_of_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| look("name"));
    &NAME
}

/// Reads a country under a name that the schema knows. [`Countries`] has this country too.
fn country(value: &Value<'_>, path: &str) -> Result<Option<String>, Undecidable> {
    let Some(text) = read_text(value, path)? else { return Ok(None) };
    let problem = "is not a country code of two letters";
    forms::country(&text).map(Some).ok_or_else(|| undecidable(path, problem))
}

/// Reads a postal address: a string, or the API's `Address` object. The parts of an object are joined by
/// commas.
fn postal_address(value: &Value<'_>, path: &str) -> Result<Option<String>, Undecidable> {
    let Content::Object(parts) = &value.content else { return read_text(value, path) };
    let mut line = Vec::new();
    for (part, value) in parts.iter().filter(|(_, value)| !value.is_null()) {
        line.extend(match canonical(part) {
            Some("country") => country(value, &format!("{path}.country"))?,
            _ => read_text(value, path)?,
        });
    }
    Ok((!line.is_empty()).then(|| line.join(", ")))
}

/// Reads the facts about the receiver that the list in an object asks for. A list that cannot be read is an error, because
/// the facts in it cannot be supplied.
fn requested(
    object: &Value<'_>,
    list: &str,
    user: Option<String>,
) -> Result<Option<RequestedFacts>, Undecidable> {
    let Some(value) = object.get(list) else { return Ok(None) };
    let Content::List(entries) = &value.content else { return Err(undecidable(list, "is not a list")) };
    let mut fields: Vec<RequestedField> = Vec::new();
    for entry in entries {
        let name = required(text(entry, "name", list), list)?;
        // Only a fact with `mandatory: false` is optional. Every other fact may be required in an approval.
        let mandatory = entry.get("mandatory").is_none_or(|value| value.json != "false");
        match fields.iter_mut().find(|field| field.name == name) {
            Some(known) => known.mandatory |= mandatory,
            None => fields.push(RequestedField { name, mandatory }),
        }
    }
    Ok((!fields.is_empty()).then_some(RequestedFacts { user, fields }))
}

fn required<T>(value: Result<Option<T>, Undecidable>, path: &str) -> Result<T, Undecidable> {
    value?.ok_or_else(|| undecidable(path, "is missing"))
}

fn object<'v, 'a>(outer: &'v Value<'a>, name: &str) -> Result<Option<&'v Value<'a>>, Undecidable> {
    object_at(outer, name, name)
}

fn object_at<'v, 'a>(
    outer: &'v Value<'a>,
    name: &str,
    path: &str,
) -> Result<Option<&'v Value<'a>>, Undecidable> {
    match outer.get(name) {
        Some(value) if matches!(value.content, Content::Object(_)) => Ok(Some(value)),
        Some(_) => Err(undecidable(path, "is not an object")),
        None => Ok(None),
    }
}

/// Reads a string without white space and invisible characters at its ends. A blank string counts as missing.
fn read_text(value: &Value<'_>, path: &str) -> Result<Option<String>, Undecidable> {
    let text: String = serde_json::from_str(value.json).map_err(|_| undecidable(path, "is not a string"))?;
    let visible = trimmed(&text);
    Ok((!visible.is_empty()).then(|| visible.to_owned()))
}

fn text(object: &Value<'_>, name: &str, path: &str) -> Result<Option<String>, Undecidable> {
    object.get(name).map_or(Ok(None), |value| read_text(value, path))
}

/// Reads a string as [`read_text`] does. Any other value becomes its JSON text.
fn any_text(value: &Value<'_>, path: &str) -> Result<Option<String>, Undecidable> {
    if value.json.starts_with('"') { read_text(value, path) } else { Ok(Some(value.json.to_owned())) }
}

/// Reads an integer from 0 to the largest number of a policy.
fn natural(object: &Value<'_>, name: &str, path: &str) -> Result<Option<i64>, Undecidable> {
    let Some(value) = object.get(name) else { return Ok(None) };
    let problem = "is not an integer from 0 to 9223372036854775807";
    forms::natural(value.json).map(Some).ok_or_else(|| undecidable(path, problem))
}

/// Reads the exchange rate in a transaction.
fn rate(transaction: &Value<'_>) -> Result<Option<i64>, Undecidable> {
    let Some(value) = transaction.get("exchangeRate") else { return Ok(None) };
    let problem = "is not a number from 0 to 9223372036";
    forms::billionths(value.json).map(Some).ok_or_else(|| undecidable("exchangeRate", problem))
}

/// Reads a currency's code, in upper case. Only letters and digits are allowed, because a look-alike
/// character could bypass a rule.
fn currency_code(object: &Value<'_>, name: &str, path: &str) -> Result<String, Undecidable> {
    let code = required(text(object, name, path), path)?;
    forms::currency(&code).ok_or_else(|| undecidable(path, "is not a currency code"))
}

/// Reads a UMA address, `$user@domain`, in lower case. An address without the `$`, or with characters that an
/// address does not have, is refused: a rule that names one spelling of a sender would not match the other.
///
/// The address may also stand in the object `other`. If it is in both places, both must have the same address.
fn address(transaction: &Value<'_>, name: &str, other: Option<&'static str>) -> Result<Address, Undecidable> {
    let mut found = read_address(text(transaction, name, name)?, name)?;
    if let Some(other) = other
        && let Some(object) = object(transaction, other)?
    {
        let path = format!("{other}.umaAddress");
        let second = read_address(text(object, "umaAddress", &path)?, &path)?;
        if found.is_some() && second.is_some() && found != second {
            return Err(undecidable(path, "differs from the other address"));
        }
        found = found.or(second);
    }
    found.ok_or_else(|| undecidable(name, "is missing"))
}

fn read_address(text: Option<String>, path: &str) -> Result<Option<Address>, Undecidable> {
    let Some(text) = text else { return Ok(None) };
    forms::address(&text).map(Some).ok_or_else(|| undecidable(path, "is not a UMA address"))
}

/// The schema, and the names from the schema that every request needs.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) schema: Schema,
    /// The limits in the schema.
    limits: Limits,
    sender: EntityTypeName,
    receiver: EntityTypeName,
    list: EntityTypeName,
    pay: EntityUid,
}

impl Model {
    /// Parses the schema, which is compiled into the program, with the policy's limits.
    pub(crate) fn new(limits: &Limits) -> Self {
        const SCHEMA: &str = include_str!("../policies/schema.cedarschema");
        let schema = if limits.is_empty() {
            SCHEMA.into()
        } else {
            Cow::from(SCHEMA.replace(LAST_FIELD, &format!("{LAST_FIELD}\n{}", limits.schema())))
        };
        let (schema, _) = Schema::from_cedarschema_str(&schema).expect("tests parse the schema");
        Self {
            schema,
            limits: limits.clone(),
            sender: "Sender".parse().expect("a valid name"),
            receiver: "Receiver".parse().expect("a valid name"),
            list: "List".parse().expect("a valid name"),
            pay: r#"Action::"pay""#.parse().expect("a valid name"),
        }
    }

    /// Converts a payment to a request of Cedar: the sender pays the receiver.
    ///
    /// # Errors
    /// [`Undecidable`] when something that the policy needs cannot be computed for this payment. `Ok(None)` when the
    /// payment does not fit the schema, which would be a bug in this file.
    pub(crate) fn request(
        &self,
        payment: &Payment,
        totals: &Totals,
        needs: &Needs,
    ) -> Result<Option<(Request, Entities)>, Undecidable> {
        let about_sender = payment.about_sender(needs)?;
        let mut about_payment = payment.about_itself(needs)?;
        let limits = if self.limits.is_empty() { None } else { self.limits.value(totals) };
        about_payment.extend(limits.map(|limits| (LIMITS.to_owned(), limits)));
        let mut about_receiver = about(&payment.receiver);
        about_receiver.extend(payment.user_id.iter().map(|id| text_of("userId", id)));
        about_receiver.extend(payment.platform_user_id.iter().map(|id| text_of("platformUserId", id)));
        let tags = payment.tags.iter().map(|(name, value)| text_of(name, value));

        let list = |name: &String| EntityUid::from_type_name_and_id(self.list.clone(), EntityId::new(name));
        let sender_lists: Vec<_> = payment.lists_of_sender(needs)?.into_iter().map(list).collect();
        let receiver_lists: Vec<_> = payment.lists_of_receiver(needs)?.into_iter().map(list).collect();

        let sender = uid(&self.sender, &payment.sender);
        let receiver = uid(&self.receiver, &payment.receiver);
        let request = || {
            let entities = [
                Entity::new_with_tags(sender.clone(), about_sender, sender_lists, tags).ok()?,
                Entity::new_with_tags(receiver.clone(), about_receiver, receiver_lists, []).ok()?,
            ];
            let context = Context::from_pairs(about_payment).ok()?;
            let request =
                Request::new(sender, self.pay.clone(), receiver, context, Some(&self.schema)).ok()?;
            Some((request, Entities::from_entities(entities, Some(&self.schema)).ok()?))
        };
        Ok(request())
    }
}

/// The last field of `context` in the schema. The limits of a policy come after it.
const LAST_FIELD: &str = "mandatoryFields: Set<String>,";

/// What a policy needs beyond what stands in a payment.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// The computed attributes that its rules read.
    pub reads: Reads,
    /// The time zone of `context.local`.
    pub zone: Option<TimeZone>,
    /// The rates for `context.baseAmount`.
    pub rates: Option<Rates>,
    /// The lists that its rules read, by their names.
    pub lists: BTreeMap<String, List>,
    /// The limits that its rules read.
    pub limits: Limits,
}

/// An attribute and its value.
pub(crate) type Pair = (String, RestrictedExpression);

impl Payment {
    /// What this payment counts as, if it is approved.
    pub(crate) fn counting(&self, limits: &Limits) -> Counting {
        limits.counting(self.amount, &self.currency, |by| match by {
            By::Sender => self.sender.whole.clone(),
            By::Receiver => self.platform_user_id.clone().unwrap_or_else(|| self.receiver.whole.clone()),
        })
    }

    /// The attributes of `principal`.
    fn about_sender(&self, needs: &Needs) -> Result<Vec<Pair>, Undecidable> {
        let mut pairs = about(&self.sender);
        pairs.push(("countries".to_owned(), set(self.countries.codes.iter().map(String::as_str))));
        let unread = RestrictedExpression::new_bool(self.countries.unread);
        pairs.push(("countriesUnread".to_owned(), unread));
        pairs.extend(self.named.iter().map(|(field, value)| text_of(field, value)));
        for folded in FOLDED.iter().filter(|folded| folded.field != DESCRIPTION) {
            let path = || format!("{}.{INFORMATION}.{}", self.place, folded.field);
            pairs.extend(folded.pairs(self.text_to_fold(folded.field), &needs.reads, path)?);
        }
        let born = self.named.get("dateOfBirth").filter(|_| needs.reads.contains("birthDate"));
        let born = born.and_then(|text| derived::birth_date(text));
        pairs.extend(born.map(|time| ("birthDate".to_owned(), time)));
        Ok(pairs)
    }

    /// The names of the lists that the sender is on.
    fn lists_of_sender<'n>(&self, needs: &'n Needs) -> Result<Vec<&'n String>, Undecidable> {
        // Several lists may look up the same field.
        let mut names = BTreeMap::new();
        let mut found = Vec::new();
        for (name, list) in &needs.lists {
            if matches!(list.kind, Kind::Domain | Kind::Address) && self.sender.is_too_long() {
                return Err(self.too_long("senderUmaAddress"));
            }
            let mut member = match list.kind {
                Kind::Domain => list.has_domain(&self.sender.domain),
                Kind::Address => list.has(&self.sender.whole),
                Kind::Country => self.countries.codes.iter().any(|country| list.has(country)),
                Kind::Name | Kind::Identifier => false,
            };
            for field in &list.of {
                let path = || match field.as_str() {
                    ANY => format!("{}.{INFORMATION}", self.place),
                    field => format!("{}.{INFORMATION}.{field}", self.place),
                };
                let texts: Vec<&String> = if field == ANY {
                    self.texts.as_ref().map_err(Undecidable::clone)?.iter().collect()
                } else {
                    let text = self.text_to_fold(field).map_err(|problem| undecidable(path(), problem))?;
                    text.into_iter().collect()
                };
                for text in texts {
                    member |= match list.kind {
                        Kind::Name => {
                            let words = names.entry(text).or_insert_with(|| fold::words(text));
                            let words = words.as_ref().map_err(|problem| undecidable(path(), problem))?;
                            list.has_words(words)
                        }
                        _ => fold::compacts(text).iter().any(|code| list.has(code)),
                    };
                }
            }
            found.extend(member.then_some(name));
        }
        Ok(found)
    }

    /// The text of a named field or of [`DESCRIPTION`], or the problem for which it cannot be folded.
    fn text_to_fold(&self, field: &str) -> Result<Option<&String>, &'static str> {
        let text = if field == DESCRIPTION { self.description.as_ref() } else { self.named.get(field) };
        match text {
            Some(_) if self.turned.contains(field) => Err("has letters that are shown in another order"),
            Some(text) if text.len() > MAX_BYTES => Err("is too long to be compared"),
            text => Ok(text),
        }
    }

    /// That a field of the transaction is too long for a list.
    fn too_long(&self, field: &str) -> Undecidable {
        undecidable(field, "is too long to be compared").within(self.place)
    }

    /// The names of the lists that the receiver is on.
    fn lists_of_receiver<'n>(&self, needs: &'n Needs) -> Result<Vec<&'n String>, Undecidable> {
        let mut found = Vec::new();
        for (name, list) in &needs.lists {
            if matches!(list.kind, Kind::Domain | Kind::Address) && self.receiver.is_too_long() {
                return Err(self.too_long("receiverUmaAddress"));
            }
            let member = match list.kind {
                Kind::Domain => list.has_domain(&self.receiver.domain),
                Kind::Address => list.has(&self.receiver.whole),
                Kind::Country | Kind::Name => false,
                Kind::Identifier => {
                    let ids = self.user_id.iter().chain(&self.platform_user_id);
                    let folds: Option<Vec<_>> =
                        ids.map(|id| (id.len() <= MAX_BYTES).then(|| fold::compacts(id))).collect();
                    let problem = "has an id of the receiver that is too long to be compared";
                    let folds = folds.ok_or_else(|| undecidable(self.place, problem))?;
                    folds.iter().flatten().any(|id| list.has(id))
                }
            };
            found.extend(member.then_some(name));
        }
        Ok(found)
    }

    /// The attributes of `context`.
    fn about_itself(&self, needs: &Needs) -> Result<Vec<Pair>, Undecidable> {
        let mut pairs = vec![text_of("currency", &self.currency)];
        pairs.push(("amount".to_owned(), RestrictedExpression::new_long(self.amount)));
        pairs.push(("receivedAt".to_owned(), datetime(self.received_at)));
        pairs.extend(self.time.map(|time| ("time".to_owned(), datetime(time))));
        let decimals = self.decimals.map(RestrictedExpression::new_long);
        pairs.extend(decimals.map(|decimals| ("decimals".to_owned(), decimals)));
        pairs.extend(self.description.iter().map(|text| text_of(DESCRIPTION, text)));
        let requested = self.requested.iter().flat_map(|requested| &requested.fields);
        let named = |mandatory_only: bool| {
            let fields = requested.clone().filter(move |field| field.mandatory || !mandatory_only);
            set(fields.map(|field| field.name.as_str()))
        };
        pairs.push(("requestedFields".to_owned(), named(false)));
        pairs.push(("mandatoryFields".to_owned(), named(true)));
        for folded in FOLDED.iter().filter(|folded| folded.field == DESCRIPTION) {
            let path = || format!("{}.{DESCRIPTION}", self.place);
            pairs.extend(folded.pairs(self.text_to_fold(DESCRIPTION), &needs.reads, path)?);
        }
        for (attribute, zone) in [("utc", Some(TimeZone::UTC)), ("local", needs.zone.clone())] {
            let zone = zone.filter(|_| needs.reads.contains(attribute));
            let clock = self.time.zip(zone).and_then(|(time, zone)| derived::clock(time, zone));
            pairs.extend(clock.map(|clock| (attribute.to_owned(), clock)));
        }
        pairs.extend(self.quote_id.iter().map(|id| text_of("quoteId", id)));
        let rates = needs.rates.as_ref().filter(|_| needs.reads.contains("baseAmount"));
        let converted = rates
            .map_or(Ok(0), |rates| {
                rates.convert(self.amount, &self.currency, self.decimals, self.received_at)
            })
            .map_err(|problem| undecidable(format!("{}.receivedAmount", self.place), problem))?;
        pairs.push(("baseAmount".to_owned(), RestrictedExpression::new_long(converted)));
        if needs.reads.contains("rate") {
            let rate = self.rate.clone().map_err(|wrong| wrong.within(self.place))?;
            pairs.extend(rate.map(|rate| ("rate".to_owned(), RestrictedExpression::new_long(rate))));
        }
        Ok(pairs)
    }
}

/// The attribute with the text that the sender wrote to the receiver.
pub(crate) const DESCRIPTION: &str = "description";

fn uid(entity: &EntityTypeName, address: &Address) -> EntityUid {
    EntityUid::from_type_name_and_id(entity.clone(), EntityId::new(&address.whole))
}

fn about(address: &Address) -> Vec<Pair> {
    vec![text_of("umaAddress", &address.whole), text_of("domain", &address.domain)]
}

pub(crate) fn text_of(name: &str, value: &str) -> Pair {
    (name.to_owned(), string(value))
}

pub(crate) fn string(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

pub(crate) fn set<'t>(texts: impl Iterator<Item = &'t str>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.collect::<BTreeSet<_>>().into_iter().map(string))
}

/// A time as a `datetime` of the schema: in milliseconds, UTC.
pub(crate) fn datetime(time: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(format!("{time:.3}"))
}
