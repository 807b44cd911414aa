//! The lists of a policy. A payment's sender or receiver is a member of a list if one of its values is on it. Membership is
//! computed here and given to Cedar as groups: entities with a hundred thousand attributes would be slow to evaluate.
//!
//! All entries are one text, in the order of the file. An index has, for each entry, the hash of that word of the entry
//! which is rarest in the list. So a look-up compares few entries, however long the list is.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::derived::{self, FOLDED};
use crate::fold::{self, Letters};
use crate::forms;
use crate::policy_request::DESCRIPTION;

/// In the place of a field: every text of the sender, under whatever name.
pub(crate) const ANY: &str = "*";

/// The longest entry, in bytes.
const MAX_ENTRY_BYTES: usize = 500;

/// How many wrong lines of one file are reported.
const MAX_PROBLEMS: usize = 5;

/// How many counters there are for the words of a list. Two words may share one.
const COUNTERS: usize = 1 << 16;

/// What the entries of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Names: a name is on the list if it has all words of an entry.
    Name,
    /// Domains of UMA addresses: `example.com`, or `.example.com` for this domain and everything below it.
    Domain,
    /// UMA addresses.
    Address,
    /// Countries, as two-letter codes.
    Country,
    /// Numbers and other identifiers, compared by their letters and digits.
    Identifier,
}

/// A list, ready to be searched.
#[derive(Debug)]
pub(crate) struct List {
    pub kind: Kind,
    /// The fields of the sender that are looked up, for names and identifiers.
    pub of: Vec<String>,
    /// How many entries the file has.
    pub count: usize,
    /// The first entry, as it is written.
    pub first: String,
    /// What in the file is probably a mistake.
    pub warnings: Vec<String>,
    /// The entries, one after the other: words with a space between them, a line break at the end.
    entries: String,
    /// For each entry where it is, by the hash of its key.
    index: Vec<Place>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The hash of the entry's rarest word.
    key: u32,
    /// The hash of another word of it, if it has one.
    second: u32,
    start: u32,
}

impl Kind {
    /// The kind's name in `bundle.json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Domain => "domain",
            Self::Address => "address",
            Self::Country => "country",
            Self::Identifier => "identifier",
        }
    }
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// The wrong lines, each with its number.
    pub(crate) fn parse(
        kind: Kind,
        of: Option<Vec<String>>,
        file: &str,
        text: &str,
        column: Option<&str>,
    ) -> Result<Self, Vec<String>> {
        let of = fields(kind, of).map_err(|wrong| vec![wrong])?;
        let mut entries = Entries {
            kind,
            text: String::with_capacity(text.len()),
            letters: Letters::default(),
            count: 0,
            first: String::new(),
            odd: 0,
            warnings: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut add = |line: u64, entry: &str| {
            if let Err(wrong) = entries.add(line, entry)
                && problems.len() < MAX_PROBLEMS
            {
                problems.push(format!("line {line}: {wrong}"));
            }
        };
        if file.ends_with(".csv") {
            let column = column.ok_or_else(|| vec!["bundle.json does not name its `column`".to_owned()])?;
            read_column(text, column, &mut add).map_err(|wrong| vec![wrong])?;
        } else if column.is_some() {
            return Err(vec!["only a CSV file has a `column`".to_owned()]);
        } else {
            for (line, entry) in (1..).zip(text.lines()) {
                let entry = entry.trim();
                if !entry.is_empty() && !entry.starts_with('#') {
                    add(line, entry);
                }
            }
        }
        let Entries { text: entries, count, first, odd, mut warnings, .. } = entries;
        if 2 * odd > count {
            warnings.push(format!("most of its entries {}", odd_entries(kind)));
        }
        if problems.is_empty() && entries.is_empty() {
            // A file that was cut off or saved empty by mistake must not let everybody through.
            problems.push("it has no entry".to_owned());
        }
        let Some(index) = index(&entries) else {
            return Err(vec!["it is larger than 4 GB".to_owned()]);
        };
        if problems.is_empty() {
            Ok(Self { kind, of, count, first, warnings, entries, index })
        } else {
            Err(problems)
        }
    }

    /// Whether the list has an entry all of whose words are among these.
    pub(crate) fn has_words(&self, words: &BTreeSet<String>) -> bool {
        let mut hashes: Vec<u32> = words.iter().map(|word| hash(word)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.iter().any(|key| {
            let first = self.index.partition_point(|place| place.key < *key);
            let places = self.index.get(first..).unwrap_or_default().iter();
            places.take_while(|place| place.key == *key).any(|place| {
                hashes.binary_search(&place.second).is_ok()
                    && self.words(*place).all(|word| words.contains(word))
            })
        })
    }

    /// Whether the list has exactly this entry.
    pub(crate) fn has(&self, entry: &str) -> bool {
        let key = hash(entry);
        let first = self.index.partition_point(|place| place.key < key);
        let places = self.index.get(first..).unwrap_or_default().iter();
        places.take_while(|place| place.key == key).any(|place| self.words(*place).eq([entry]))
    }

    /// Whether the list has this domain, or one above it with all domains below.
    pub(crate) fn has_domain(&self, domain: &str) -> bool {
        let above = domain.match_indices('.').map(|(dot, _)| domain.get(dot..).unwrap_or_default());
        self.has(domain) || self.has(&format!(".{domain}")) || above.into_iter().any(|above| self.has(above))
    }

    fn words(&self, place: Place) -> impl Iterator<Item = &str> {
        let start = usize::try_from(place.start).unwrap_or(usize::MAX);
        let rest = self.entries.get(start..).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default().split(' ')
    }
}

/// The fields of the sender that are looked up in a list.
fn fields(kind: Kind, of: Option<Vec<String>>) -> Result<Vec<String>, String> {
    let (form, default) = match kind {
        Kind::Name => (derived::Form::Words, &["fullName"][..]),
        Kind::Identifier => (
            derived::Form::Code,
            &["taxId", "registrationNumber", "accountNumber", "identifier", "phoneNumber", "email"][..],
        ),
        Kind::Domain | Kind::Address | Kind::Country if of.is_none() => return Ok(vec![]),
        Kind::Domain | Kind::Address | Kind::Country => {
            return Err("`of` is only for lists of names and identifiers".to_owned());
        }
    };
    let of = of.unwrap_or_else(|| default.iter().map(|field| (*field).to_owned()).collect());
    let known = |field: &String| {
        FOLDED.iter().any(|folded| folded.field == field && folded.form == form && field != DESCRIPTION)
    };
    match of.iter().find(|field| *field != ANY && !known(field)) {
        Some(wrong) => Err(format!("`of`: a list of this kind cannot have the field {wrong:?}")),
        None if of.is_empty() => Err("`of` is empty".to_owned()),
        None => Ok(of),
    }
}

/// Reads one column of a CSV file whose first line has the names of the columns.
fn read_column(text: &str, column: &str, add: &mut impl FnMut(u64, &str)) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?;
    if names.iter().filter(|name| name.trim() == column).count() > 1 {
        return Err(format!("line 1: there are several columns {column:?}"));
    }
    let position = names.iter().position(|name| name.trim() == column);
    let position = position.ok_or_else(|| format!("line 1: there is no column {column:?}"))?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| error.to_string())? {
        let line = record.position().map_or(0, csv::Position::line);
        add(line, record.get(position).unwrap_or_default().trim());
    }
    Ok(())
}

/// The entries while they are read.
struct Entries {
    kind: Kind,
    text: String,
    letters: Letters,
    count: usize,
    first: String,
    /// How many entries look as if they were of another kind.
    odd: usize,
    warnings: Vec<String>,
}

/// The most words of a name that is no text about a person.
const MAX_WORDS: usize = 8;

/// What is odd about an entry of this kind.
fn odd_entries(kind: Kind) -> &'static str {
    match kind {
        Kind::Identifier => "have no digit: are they identifiers?",
        _ => "have a digit or no letter: are they names?",
    }
}

/// Whether an entry looks as if it was of another kind.
fn is_odd(kind: Kind, entry: &str) -> bool {
    match kind {
        Kind::Name => entry.chars().any(char::is_numeric) || !entry.chars().any(char::is_alphabetic),
        Kind::Identifier => !entry.chars().any(char::is_numeric),
        Kind::Domain | Kind::Address | Kind::Country => false,
    }
}

/// Why a name is probably more than one name, or has something else beside the name. All its words would have to be in the
/// name of a payment.
fn more_than_a_name(entry: &str) -> Option<&'static str> {
    let words = || entry.split(|c: char| c.is_whitespace() || ",;:()".contains(c)).map(str::to_lowercase);
    let known = |names: &[&str]| words().any(|word| names.contains(&word.as_str()));
    if entry.contains(';') {
        Some("has a semicolon")
    } else if entry.contains('\t') {
        Some("has a tab")
    } else if known(&["a.k.a.", "a.k.a", "aka", "a/k/a", "f.k.a.", "fka", "alias"]) {
        Some("has another name after a.k.a.")
    } else if known(&["dob", "d.o.b.", "d.o.b", "born"]) {
        Some("has a date of birth")
    } else if entry.split_whitespace().count() > MAX_WORDS {
        Some("has more than 8 words")
    } else {
        None
    }
}

/// Whether an entry has a character that no entry has on purpose: it is a part of another line, or was read in the wrong encoding,
/// or shows letters in another order than it has them.
fn is_damaged(kind: Kind, entry: &str) -> bool {
    entry.chars().any(|c| match c {
        '\t' => kind != Kind::Name,
        '\u{2028}' | '\u{2029}' | '\u{fffd}' | '\u{202d}' | '\u{202e}' => true,
        c => c.is_control(),
    })
}

impl Entries {
    fn add(&mut self, line: u64, entry: &str) -> Result<(), &'static str> {
        if entry.len() > MAX_ENTRY_BYTES {
            return Err("it is longer than 500 bytes");
        }
        if is_damaged(self.kind, entry) {
            return Err("it has a control character, a line break or a character of a wrong encoding");
        }
        if self.count == 0 {
            entry.clone_into(&mut self.first);
        }
        self.count += 1;
        self.odd += usize::from(is_odd(self.kind, entry));
        if self.kind == Kind::Name
            && self.warnings.len() < MAX_PROBLEMS
            && let Some(what) = more_than_a_name(entry)
        {
            self.warnings.push(format!("line {line}: the entry {what}; an entry is one name"));
        }
        let wrong = match self.kind {
            Kind::Name => {
                let added = self.letters.push_lines(entry, &mut self.text);
                (!added).then_some("it has no letter and no digit")
            }
            Kind::Identifier => {
                let codes = fold::compacts(entry);
                for code in &codes {
                    self.text.push_str(code);
                    self.text.push('\n');
                }
                codes.is_empty().then_some("it has no letter and no digit")
            }
            Kind::Country => self.push(forms::country(entry), "it is not a country code of two letters"),
            Kind::Address => {
                let address = forms::address(entry).filter(|address| !address.is_too_long());
                let address = address.map(|address| address.whole);
                self.push(address, "it is not a UMA address such as $ada@example.com")
            }
            Kind::Domain => {
                let entry = forms::trimmed(entry);
                let (below, name) = match entry.strip_prefix('.') {
                    Some(name) => (".", name),
                    None => ("", entry),
                };
                let domain = forms::domain(name).filter(|domain| !forms::is_too_long(domain));
                let domain = domain.map(|domain| format!("{below}{domain}"));
                self.push(domain, "it is not a domain such as example.com")
            }
        };
        wrong.map_or(Ok(()), Err)
    }

    /// Adds an entry of one word, or returns what is wrong.
    fn push(&mut self, entry: Option<String>, wrong: &'static str) -> Option<&'static str> {
        let Some(entry) = entry else { return Some(wrong) };
        self.text.push_str(&entry);
        self.text.push('\n');
        None
    }
}

/// The index of the entries. `None` when there is too much text for it.
fn index(entries: &str) -> Option<Vec<Place>> {
    u32::try_from(entries.len()).ok()?;
    let mut counters = vec![0_u32; COUNTERS];
    let counter = |hash: u32| hash as usize % COUNTERS;
    let mut hashes = Vec::new();
    // How many words each entry has, and where it starts.
    let mut sizes: Vec<(u16, u32)> = Vec::new();
    let (mut start, mut words, mut word) = (0_u32, 0_u16, HASH_OF_NOTHING);
    for (position, byte) in (0_u32..).zip(entries.bytes()) {
        if byte == b' ' || byte == b'\n' {
            counters[counter(word)] += 1;
            hashes.push(word);
            words = words.saturating_add(1);
            word = HASH_OF_NOTHING;
            if byte == b'\n' {
                sizes.push((words, start));
                (start, words) = (position + 1, 0);
            }
        } else {
            word = hash_with(word, byte);
        }
    }
    let mut rest = hashes.as_slice();
    let mut index = Vec::with_capacity(sizes.len());
    for (words, start) in sizes {
        let (own, others) = rest.split_at(usize::from(words));
        rest = others;
        let rarity = |word: &&u32| counters[counter(**word)];
        let key = *own.iter().min_by_key(rarity)?;
        let second = *own.iter().filter(|word| **word != key).min_by_key(rarity).unwrap_or(&key);
        index.push(Place { key, second, start });
    }
    index.sort_unstable_by_key(|place| place.key);
    Some(index)
}

/// FNV-1a, of 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(HASH_OF_NOTHING, hash_with)
}

const HASH_OF_NOTHING: u32 = 0x811c_9dc5;

const fn hash_with(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> BTreeSet<String> {
        fold::words(text).unwrap()
    }

    fn list(kind: Kind, text: &str) -> List {
        List::parse(kind, None, "a.txt", text, None).unwrap()
    }

    #[test]
    fn names_are_found_by_all_words_of_an_entry() {
        let names =
            list(Kind::Name, "# a comment\n\nIvan Petrov\r\n  O'Neill, Tim \nAl-Qaida\nWirecard\nΙωάννης\n");
        for name in [
            "Petrov, Ivan",
            "IVAN SERGEYEVICH PETROV",
            "tim oneill",
            "Al Qaida",
            "alqaida",
            "the WIRECARD bank",
            "ΙΩΑΝΝΗΣ",
        ] {
            assert!(names.has_words(&words(name)), "{name}");
        }
        for name in ["", "Ivan", "Petrov", "Ivana Petrova", "Tim Neil", "Qaida", "#", "a comment"] {
            assert!(!names.has_words(&words(name)), "{name}");
        }
    }

    #[test]
    fn other_entries_are_found_in_their_form() {
        let domains = list(Kind::Domain, "Evil.example\n.bad.example");
        for (domain, expected) in [
            ("evil.example", true),
            ("pay.evil.example", false),
            ("bad.example", true),
            ("a.b.bad.example", true),
            ("notbad.example", false),
            ("example", false),
        ] {
            assert_eq!(domains.has_domain(domain), expected, "{domain}");
        }
        assert!(list(Kind::Country, "ir\nKP").has("IR") && !list(Kind::Country, "ir").has("DE"));
        assert!(list(Kind::Address, "$Ada@Example.com").has("$ada@example.com"));
        let numbers = list(Kind::Identifier, "DE 12-34\n+49 (0) 7");
        assert!(numbers.has(&fold::compact("de1234")) && numbers.has(&fold::compact("+4907")));
        assert!(!numbers.has(&fold::compact("de123")));
    }

    #[test]
    fn wrong_lines_are_named_by_their_number() {
        for (kind, file, text, column, expected) in [
            (Kind::Name, "a.txt", "Ada\n---\n", None, "line 2: it has no letter"),
            (Kind::Country, "a.txt", "DE\n\n# x\nGermany\n", None, "line 4: it is not a country"),
            (Kind::Domain, "a.txt", "*.example.com", None, "line 1: it is not a domain"),
            (Kind::Domain, "a.txt", "https://example.com", None, "line 1: it is not a domain"),
            (Kind::Address, "a.txt", "ada@example.com", None, "line 1: it is not a UMA address"),
            (
                Kind::Address,
                "a.txt",
                &format!("$a@{}example", "a.".repeat(124)),
                None,
                "line 1: it is not a UMA",
            ),
            (
                Kind::Domain,
                "a.txt",
                &format!("{}.example", "a".repeat(64)),
                None,
                "line 1: it is not a domain",
            ),
            (
                Kind::Domain,
                "a.txt",
                &format!("{}example", "a.".repeat(124)),
                None,
                "line 1: it is not a domain",
            ),
            (Kind::Identifier, "a.txt", "x\n.", None, "line 2: it has no letter"),
            (Kind::Name, "a.txt", "# only this\n", None, "it has no entry"),
            (Kind::Name, "a.txt", "", None, "it has no entry"),
            (Kind::Name, "a.csv", "name\nAda", None, "does not name its `column`"),
            (Kind::Name, "a.csv", "id,name\n1,Ada\n2,\n", Some("name"), "line 3: it has no letter"),
            (Kind::Name, "a.csv", "id,name\n1,Ada\n2,Bo,x\n", Some("name"), "line: 3"),
            (Kind::Name, "a.csv", "id\n1", Some("name"), "there is no column \"name\""),
            (Kind::Name, "a.txt", "Ada", Some("name"), "only a CSV file"),
            (Kind::Name, "a.csv", "name,id, name\nAda,1,Bo", Some("name"), "several columns \"name\""),
            (Kind::Name, "a.csv", "name\n\"Ada\nBo\"", Some("name"), "line 2: it has a control"),
            (Kind::Name, "a.txt", "Ada\rBo", None, "line 1: it has a control"),
            (Kind::Name, "a.txt", "Ada\u{2028}Bo", None, "line 1: it has a control"),
            (Kind::Name, "a.txt", "Ada\nB\u{2029}o", None, "line 2: it has a control"),
            (Kind::Name, "a.txt", "Jos\u{fffd} Bo", None, "line 1: it has a control"),
            (Kind::Name, "a.txt", "\u{202e}oB adA", None, "line 1: it has a control"),
            (Kind::Name, "a.txt", "Ada\0", None, "line 1: it has a control"),
            (Kind::Identifier, "a.txt", "12\t34", None, "line 1: it has a control"),
            (Kind::Identifier, "a.txt", "12\u{85}34", None, "line 1: it has a control"),
            (Kind::Domain, "a.txt", "a\u{fffd}.example", None, "line 1: it has a control"),
        ] {
            let error = List::parse(kind, None, file, text, column).unwrap_err().join("; ");
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let csv = List::parse(Kind::Name, None, "a.csv", "id,name\n1,\"Petrov, Ivan\"\n2,Ada", Some("name"))
            .unwrap();
        assert!(csv.count == 2 && csv.has_words(&words("ivan petrov")) && csv.has_words(&words("ada")));
        let long = "x".repeat(501);
        assert!(List::parse(Kind::Name, None, "a.txt", &long, None).is_err());
        let of = |kind, of: &str| List::parse(kind, Some(vec![of.to_owned()]), "a.txt", "DE", None);
        assert!(of(Kind::Name, "fiLegalEntityName").is_ok() && of(Kind::Identifier, "taxId").is_ok());
        assert!(of(Kind::Name, "taxId").is_err() && of(Kind::Country, "country").is_err());
    }

    #[test]
    fn lists_of_something_else_get_a_warning() {
        for (kind, text, expected) in [
            (Kind::Name, "Ada\nBo", &[][..]),
            (Kind::Name, "Ada; Bo", &["line 1: the entry has a semicolon"]),
            (Kind::Name, "Ada\tBo", &["line 1: the entry has a tab"]),
            (Kind::Name, "Bo\nAda a.k.a. Bo", &["line 2: the entry has another name"]),
            (Kind::Name, "Ada (AKA Bo)", &["line 1: the entry has another name"]),
            (Kind::Name, "Ada, DOB: May", &["line 1: the entry has a date of birth"]),
            (Kind::Name, "a b c d e f g h", &[]),
            (Kind::Name, "a b c d e f g h i", &["line 1: the entry has more than 8 words"]),
            (Kind::Name, "Ada\n12\n34", &["most of its entries have a digit or no letter"]),
            (Kind::Name, "Ada 1\nBo", &[]),
            (Kind::Identifier, "Ada\nBo\n1", &["most of its entries have no digit"]),
            (Kind::Identifier, "DE 12\nAda", &[]),
            (Kind::Identifier, "٤٤\n12", &[]),
            (Kind::Country, "DE", &[]),
        ] {
            let list = list(kind, text);
            assert_eq!(list.warnings.len(), expected.len(), "{text:?}: {:?}", list.warnings);
            for (warning, expected) in list.warnings.iter().zip(expected) {
                assert!(warning.starts_with(expected), "{text:?}: {warning}");
            }
        }
        let many = list(Kind::Name, &"Ada; Bo\n".repeat(100));
        assert_eq!((many.warnings.len(), many.count, many.first.as_str()), (5, 100, "Ada; Bo"));
    }

    proptest! {
        /// The index finds what a search through all entries finds.
        #[test]
        fn the_index_finds_what_a_full_search_finds(
            entries in prop::collection::vec(prop::collection::vec("[a-e]{1,2}", 1..4), 1..60),
            name in prop::collection::vec("[a-e]{1,2}", 0..6),
        ) {
            let text = entries.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join("\n");
            let found = list(Kind::Name, &text).has_words(&words(&name.join(" ")));
            let expected = entries.iter().any(|entry| entry.iter().all(|word| name.contains(word)));
            prop_assert_eq!(found, expected);
        }
    }
}
