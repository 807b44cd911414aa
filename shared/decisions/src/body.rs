//! Parses a body into a tree, and refuses a body that is unsafe to decide about: with a duplicate field name,
//! with a name that can be mistaken for another one, or with more nesting or fields than a payment has. Two
//! parsers could read two different payments from such a body.

use std::collections::{BTreeMap, BTreeSet};

use ingest::Object;
use serde_json::value::RawValue;

use crate::asks::folded;
use crate::layout::Layout;
use crate::policy_request::{INFORMATION, Undecidable, undecidable};
use crate::spelling::is_deceptive;

/// How deep objects and lists may be nested. The body itself is level 1. A payment has 4 levels.
const MAX_LEVELS: usize = 64;

/// How many fields and list entries a body may have in total. The documented ones are about 40. Reading more
/// would use up the time until the provider's deadline.
const MAX_FIELDS: usize = 1024;

/// A value in a body, with everything that is nested in it.
#[derive(Debug)]
pub struct Value<'a> {
    /// The raw JSON text. Empty for the body itself.
    pub json: &'a str,
    /// What is nested in it.
    pub content: Content<'a>,
}

/// What a value is, and what is nested in it.
#[derive(Debug)]
pub enum Content<'a> {
    /// A string, a number, `true`, `false` or `null`.
    Scalar,
    /// The entries of an array.
    List(Vec<Value<'a>>),
    /// The fields of an object, in their order in the body.
    Object(Vec<(String, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// [`Undecidable`] when the body is unsafe to decide about.
    pub fn read(body: &Object<'a>, layout: &Layout) -> Result<Self, Undecidable> {
        let content = Reader { left: MAX_FIELDS, layout }.fields(body, 1, Place::Body)?;
        Ok(Self { json: "", content })
    }

    /// A field of an object. A field that is `null` counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Content::Object(fields) = &self.content else { return None };
        let (_, value) = fields.iter().find(|(field, _)| field == name)?;
        (!value.is_null()).then_some(value)
    }

    /// The fields of an object, in their order in the body. A field that is `null` is included.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Self)> {
        let fields: &[_] = if let Content::Object(fields) = &self.content { fields } else { &[] };
        fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Checks the names in a body and in its transaction in the same spellings in which `asks` compares them: a field in another
    /// spelling would count there and not here. Counterparty information is read in all its spellings.
    pub(crate) fn check_spellings(&self, layout: &Layout) -> Result<(), Undecidable> {
        self.check_names(Place::Body, &[layout.transaction, layout.requested], layout)?;
        let Some(transaction) = self.get(layout.transaction) else { return Ok(()) };
        let mut known = IN_EVERY_TRANSACTION.to_vec();
        known.extend([layout.user_id, layout.platform_user_id, layout.requested]);
        known.extend(layout.sender.into_iter().chain(layout.receiver));
        transaction.check_names(Place::Transaction, &known, layout)?;
        let mut others = transaction.fields().filter(|(name, _)| *name != INFORMATION);
        others.try_for_each(|(_, value)| value.check_nested(layout))
    }

    fn check_nested(&self, layout: &Layout) -> Result<(), Undecidable> {
        self.check_names(Place::Transaction, &[], layout)?;
        self.fields().try_for_each(|(_, value)| value.check_nested(layout))?;
        let entries: &[_] = if let Content::List(entries) = &self.content { entries } else { &[] };
        entries.iter().try_for_each(|entry| entry.check_nested(layout))
    }

    /// Refuses an object with two spellings of one name, or with another spelling of one of the known names.
    fn check_names(&self, place: Place, known: &[&str], layout: &Layout) -> Result<(), Undecidable> {
        // No two of the known names are spellings of one name.
        let known: BTreeMap<_, _> = known.iter().map(|name| (folded(name), *name)).collect();
        let mut spellings = BTreeSet::new();
        for (name, _) in self.fields() {
            let spelling = folded(name);
            let known = known.get(&spelling);
            if !spellings.insert(spelling) {
                return Err(undecidable(place.name(layout), "has a field name in two spellings"));
            }
            if known.is_some_and(|known| *known != name) {
                return Err(undecidable(place.name(layout), "has a known field name in another spelling"));
            }
        }
        Ok(())
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.json == "null"
    }
}

/// Where in a body a problem is, for the error message. The message never repeats a name that the sender
/// chose.
#[derive(Clone, Copy)]
enum Place {
    Body,
    Transaction,
    Information,
}

impl Place {
    fn name(self, layout: &Layout) -> String {
        match self {
            Self::Body => "the body".to_owned(),
            Self::Transaction => layout.transaction.to_owned(),
            Self::Information => format!("{}.{INFORMATION}", layout.transaction),
        }
    }

    fn within(self, field: &str, layout: &Layout) -> Self {
        match self {
            Self::Body if field == layout.transaction => Self::Transaction,
            Self::Transaction if field == INFORMATION => Self::Information,
            _ => self,
        }
    }
}

/// The fields of a transaction that every layout has.
const IN_EVERY_TRANSACTION: [&str; 7] = [
    "receivedAmount",
    "senderUmaAddress",
    "receiverUmaAddress",
    "description",
    "exchangeRate",
    "quoteId",
    INFORMATION,
];

struct Reader<'l> {
    /// How many more fields and list entries the body may have.
    left: usize,
    layout: &'l Layout,
}

impl Reader<'_> {
    /// Reads the value of a JSON text. `level` is the level of the object or list that contains it.
    fn value<'a>(
        &mut self,
        json: &'a RawValue,
        level: usize,
        place: Place,
    ) -> Result<Value<'a>, Undecidable> {
        let json = json.get();
        let level = level + 1;
        let nested = json.starts_with(['{', '[']);
        if nested && level > MAX_LEVELS {
            return Err(undecidable(place.name(self.layout), "is nested too deeply"));
        }
        let content = match json.as_bytes().first() {
            Some(b'{') => match Object::parse(json.as_bytes()) {
                Some(object) => self.fields(&object, level, place)?,
                None => return Err(undecidable(place.name(self.layout), "cannot be parsed")),
            },
            Some(b'[') => match serde_json::from_str::<Vec<&RawValue>>(json) {
                Ok(entries) => {
                    self.count(entries.len(), place)?;
                    let entries = entries.into_iter().map(|entry| self.value(entry, level, place));
                    Content::List(entries.collect::<Result<_, _>>()?)
                }
                Err(_) => return Err(undecidable(place.name(self.layout), "cannot be parsed")),
            },
            _ => Content::Scalar,
        };
        Ok(Value { json, content })
    }

    fn fields<'a>(
        &mut self,
        object: &Object<'a>,
        level: usize,
        place: Place,
    ) -> Result<Content<'a>, Undecidable> {
        self.count(object.names().count(), place)?;
        let mut seen = BTreeSet::new();
        let mut fields = Vec::new();
        for name in object.names() {
            if is_deceptive(name) {
                return Err(undecidable(
                    place.name(self.layout),
                    "has a field name with invisible letters or mixed scripts",
                ));
            }
            if !seen.insert(name) {
                return Err(undecidable(place.name(self.layout), "has a duplicate field name"));
            }
            let value = match object.get(name) {
                Some(value) => self.value(value, level, place.within(name, self.layout))?,
                None => Value { json: "null", content: Content::Scalar },
            };
            fields.push((name.to_owned(), value));
        }
        Ok(Content::Object(fields))
    }

    fn count(&mut self, fields: usize, place: Place) -> Result<(), Undecidable> {
        let left = self.left.checked_sub(fields);
        self.left = left.ok_or_else(|| undecidable(place.name(self.layout), "has too many fields"))?;
        Ok(())
    }
}
