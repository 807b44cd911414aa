//! Folds texts, so that no spelling hides a name from a rule or a list. Both sides of a comparison are folded: the
//! payment's text, and the literal in the rule or the entry of the list.
//!
//! Two texts that differ only in the following have equal folds: case, accents and other marks, compatibility forms
//! (full-width letters, ligatures, mathematical letters), look-alike letters, invisible characters, kinds of space,
//! punctuation. What is left are words of letters and digits. Characters that look alike become the same character: I, l
//! and 1 become `l`, O and 0 become `o`, and m becomes `rn`. So a folded text is for comparing and not for reading.
//!
//! Folding does not transliterate: «Петров» and "Petrov" stay two names. It does not correct typing errors, and it does
//! not join words that a space separates.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_script::{Script, UnicodeScript};
use unicode_security::skeleton;

use crate::forms::is_invisible;

/// The longest text that is folded, in bytes. It bounds the time of a decision; the names of the APIs are far shorter.
pub(crate) const MAX_BYTES: usize = 4096;

/// The longest fold of a list's entry that is made the fast way, in bytes. Longer ones are right too.
const SIMPLE_BYTES: usize = 256;

/// How often the fold of a character is folded again. A test shows that no character needs more.
const MAX_ROUNDS: usize = 6;

/// How many parts a word may have, with symbols or invisible characters between them. A name has at most about five.
const MAX_PARTS: usize = 32;

/// How many bytes the words of a text may have in all its readings.
const MAX_WORDS_BYTES: usize = 60 * MAX_BYTES;

/// A text in the folded form: its words with one space between them. Folding a folded text does not change it.
pub(crate) fn folded(text: &str) -> String {
    words_of(&pieces(text)).join(" ")
}

/// The letters and digits of a text, folded, without anything between them: for identifiers.
pub(crate) fn compact(text: &str) -> String {
    words_of(&pieces(text)).concat()
}

/// [`compact`], in every way in which the letters of a text can be read.
pub(crate) fn compacts(text: &str) -> BTreeSet<String> {
    let pieces = pieces(text);
    let mut found = BTreeSet::from([words_of(&pieces).concat()]);
    for letters in By::all(&pieces) {
        for signs in [Signs::AreNothing, Signs::AreLetters] {
            found.insert(word(&[&pieces], *letters, signs));
        }
    }
    found.remove("");
    found
}

/// The words of a text, in every way in which they can be read. `O'Neill` is read as `o`, `neill` and as `oneill`: any parts
/// of a word that stand beside each other may be one word. Greek Ν is read as the v of its small letter ν, and as the N that it looks like.
///
/// # Errors
/// The problem of a text that could be read in too many ways.
pub(crate) fn words(text: &str) -> Result<BTreeSet<String>, &'static str> {
    let pieces = pieces(text);
    let readings = By::all(&pieces);
    let (mut found, mut bytes) = (BTreeSet::new(), 0);
    for run in pieces.split(|piece| matches!(piece, Piece::Space)) {
        let parts = parts_of(run);
        if parts.len() > MAX_PARTS {
            return Err("has a word of too many parts to be compared");
        }
        for first in 0..parts.len() {
            for last in first..parts.len() {
                let parts = parts.get(first..=last).unwrap_or_default();
                let has_signs = parts.iter().any(|part| matches!(part, [Piece::Symbol(_)]));
                let signs = if has_signs {
                    &[Signs::AreNothing, Signs::AreLetters][..]
                } else {
                    &[Signs::AreNothing]
                };
                for (letters, signs) in
                    readings.iter().flat_map(|letters| signs.iter().map(move |signs| (letters, signs)))
                {
                    let word = word(parts, *letters, *signs);
                    bytes += word.len();
                    if bytes > MAX_WORDS_BYTES {
                        return Err("has too many words to be compared");
                    }
                    if !word.is_empty() {
                        found.insert(word);
                    }
                }
            }
        }
    }
    Ok(found)
}

thread_local! {
    /// What is known about characters from the payments before: to find out takes microseconds for each one.
    static LETTERS: RefCell<Letters> = RefCell::default();
}

fn pieces(text: &str) -> Vec<Piece> {
    LETTERS.with_borrow_mut(|letters| {
        if letters.far.len() > MAX_KEPT {
            letters.far.clear();
        }
        letters.pieces(text)
    })
}

/// How many characters beyond [`NEAR`] are kept from one payment to the next, so that no sender can fill the memory.
const MAX_KEPT: usize = 4096;

/// Folds texts. Keeps what it found out about each character, because a list has the same ones again and again.
#[derive(Default)]
pub(crate) struct Letters {
    /// By the character's code: Latin, Greek, Cyrillic and what else is below [`NEAR`].
    near: Vec<Option<Rc<[Part]>>>,
    far: HashMap<char, Rc<[Part]>>,
}

/// The first character that is looked up by its hash, which takes longer.
const NEAR: usize = 0x600;

/// What a character means, before it is known what stands around it.
enum Part {
    Piece(Piece),
    /// A mark with its script, which stays on a letter of this script: a vowel of an Indic script is a mark too.
    Mark(Rc<Folds>, Script),
}

/// The folds of one letter.
struct Folds {
    /// The same for the upper-case and the lower-case letter.
    by_case: String,
    /// By what the letter looks like as it is written, if that differs.
    as_written: Option<String>,
    /// Whether the look counts less than what the character means: ٥ is a 5, although it looks like an o.
    means_more: bool,
    script: Script,
}

impl Letters {
    /// Appends the lines for a list's entry: its words with a space between them, once for each way in which a payment's text
    /// can have them. A name is on the list if it has all words of one line. Returns false, and appends nothing, if the
    /// entry has no word.
    pub(crate) fn push_lines(&mut self, entry: &str, lines: &mut String) -> bool {
        if self.push_simple(entry, lines) {
            lines.push('\n');
            return true;
        }
        let first = lines.len();
        let pieces = self.pieces(entry);
        for words in spellings(&pieces) {
            let start = lines.len();
            for word in words {
                let space = if lines.len() > start { " " } else { "" };
                lines.push_str(space);
                lines.push_str(&word);
            }
            lines.push('\n');
            let (before, line) = lines.split_at(start);
            if before
                .get(first..)
                .is_some_and(|before| before.split_inclusive('\n').any(|other| other == line))
            {
                lines.truncate(start);
            }
        }
        lines.len() > first
    }

    fn parts(&mut self, c: char) -> &[Part] {
        if self.near.is_empty() {
            self.near.resize(NEAR, None);
        }
        match self.near.get_mut(c as usize) {
            Some(near) => near.get_or_insert_with(|| parts(c)),
            None => self.far.entry(c).or_insert_with(|| parts(c)),
        }
    }

    /// Appends the words of a text that can be read in one way only: of ASCII letters and digits, spaces, and other letters
    /// without their marks. A letter that looks like an ASCII letter is not
    /// simple. Returns false and appends nothing if the text has another character or no word. A list of a
    /// hundred thousand names has mostly such ones, and they are folded several times as fast.
    fn push_simple(&mut self, text: &str, words: &mut String) -> bool {
        let mut folded = [0; SIMPLE_BYTES];
        let (mut length, mut space) = (0, false);
        let mut put = |byte: u8| -> bool {
            let room = folded.get_mut(length);
            length += 1;
            room.map(|room| *room = byte).is_some()
        };
        let mut any = false;
        for c in text.chars() {
            if c == ' ' {
                space = any;
                continue;
            }
            let letters = if c.is_ascii_alphanumeric() {
                ASCII[c as usize]
            } else if c.is_ascii() {
                return false;
            } else {
                match self.parts(c) {
                    [] => continue,
                    [Part::Piece(Piece::Letter(folds))] if folds.as_written.is_none() => &folds.by_case,
                    _ => return false,
                }
            };
            // Byte by byte: most letters have one byte, for which a call to copy memory is slow.
            let fits = (!space || put(b' '))
                && match letters.as_bytes() {
                    [byte] => put(*byte),
                    bytes => bytes.iter().all(|byte| put(*byte)),
                };
            if !fits {
                return false;
            }
            (any, space) = (true, false);
        }
        let folded = folded.get(..length).and_then(|folded| std::str::from_utf8(folded).ok());
        words.push_str(folded.unwrap_or_default());
        length > 0
    }

    fn pieces(&mut self, text: &str) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(text.len());
        // The script of the letter to which a mark belongs.
        let mut script = Script::Unknown;
        for c in text.chars() {
            if c == ' ' {
                pieces.push(Piece::Space);
                continue;
            }
            if c.is_ascii_alphanumeric() {
                script = Script::Latin;
                pieces.push(Piece::Ascii(ascii(c)));
                continue;
            }
            for part in self.parts(c) {
                match part {
                    Part::Mark(folds, of) if *of == script || is_brahmic(*of) && is_brahmic(script) => {
                        pieces.push(Piece::Letter(Rc::clone(folds)))
                    }
                    Part::Mark(..) => {}
                    Part::Piece(piece) => {
                        if let Piece::Letter(folds) = piece {
                            script = folds.script;
                        }
                        pieces.push(piece.clone());
                    }
                }
            }
        }
        pieces
    }
}

/// Whether a script is one of those of India and its neighbours whose letters can look like each other's: the fold of a letter
/// is then of another script than its vowel sign.
fn is_brahmic(script: Script) -> bool {
    matches!(
        script,
        Script::Devanagari
            | Script::Bengali
            | Script::Gurmukhi
            | Script::Gujarati
            | Script::Oriya
            | Script::Tamil
            | Script::Telugu
            | Script::Kannada
            | Script::Malayalam
            | Script::Sinhala
    )
}

fn parts(c: char) -> Rc<[Part]> {
    let one = |piece| Rc::from([Part::Piece(piece)]);
    match c {
        _ if is_space(c) => one(Piece::Space),
        _ if c.is_ascii_punctuation() => one(Piece::Symbol(look(c).map(Rc::from))),
        _ if is_invisible(c) => one(Piece::Invisible),
        _ if let Some(number) = number(c) => one(Piece::Letter(Rc::new(Folds {
            by_case: settled(number),
            as_written: look(c).map(settled),
            means_more: true,
            script: Script::Common,
        }))),
        // Unicode counts it among the letters with case.
        '\u{a78b}' | '\u{a78c}' => one(Piece::Symbol(None)),
        '\u{1f1e6}'..='\u{1f1ff}' => {
            let letter = u8::try_from(u32::from(c) - 0x1f1e6).map_or('a', |letter| char::from(b'a' + letter));
            one(Piece::Ascii(ascii(letter)))
        }
        _ => {
            let mut parts: Vec<_> = std::iter::once(c).nfkd().filter_map(part).collect();
            // The look of the character itself counts too: ſ is an s that looks like an f.
            if let [Part::Piece(Piece::Letter(folds))] = &parts[..]
                && let Some(look) = look(c).map(settled).filter(|look| *look != folds.by_case)
                && folds.as_written.as_ref() != Some(&look)
            {
                let folds = Folds {
                    by_case: folds.by_case.clone(),
                    as_written: Some(look),
                    means_more: true,
                    script: folds.script,
                };
                parts = vec![Part::Piece(Piece::Letter(Rc::new(folds)))];
            }
            parts.into()
        }
    }
}

/// Whether a character separates words. U+2800 looks blank, but Unicode counts it as a symbol; the fillers of Hangul are
/// blank too, but Unicode counts them among the letters.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{2800}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// The zeros of the decimal digits that no compatibility decomposition makes ASCII. The other nine follow each of them.
const ZEROS: [u32; 69] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0,
    0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0,
    0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50,
    0x16d70, 0x1ccf0, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950,
];

/// The circled numbers without a decomposition: the first and the last of a row, and the first one's number.
const CIRCLED: [(u32, u32, u32); 8] = [
    (0x2776, 0x277f, 1),
    (0x2780, 0x2789, 1),
    (0x278a, 0x2793, 1),
    (0x24eb, 0x24f4, 11),
    (0x24f5, 0x24fe, 1),
    (0x24ff, 0x24ff, 0),
    (0x1f10b, 0x1f10b, 0),
    (0x1f10c, 0x1f10c, 0),
];

/// The ASCII digits of a digit or number that has no compatibility decomposition.
fn number(c: char) -> Option<String> {
    let code = u32::from(c);
    if c.is_ascii() {
        return None;
    }
    let digit = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
    let circled = CIRCLED.iter().find(|(first, last, _)| (*first..=*last).contains(&code));
    digit.or_else(|| circled.map(|(first, _, number)| code - first + number)).map(|number| number.to_string())
}

/// What a character of a compatibility decomposition means. `None` for a mark that every letter loses.
fn part(c: char) -> Option<Part> {
    if is_combining_mark(c) {
        let script = c.script();
        let folds = Folds { by_case: c.to_string(), as_written: None, means_more: false, script };
        return (canonical_combining_class(c) == 0 && c.is_alphanumeric())
            .then(|| Part::Mark(Rc::new(folds), script));
    }
    if !c.is_alphanumeric() {
        return (!is_invisible(c)).then(|| Part::Piece(Piece::Symbol(look(c).map(Rc::from))));
    }
    Some(Part::Piece(if is_symbol(c) { Piece::Symbol(None) } else { Piece::Letter(Rc::new(Folds::of(c))) }))
}

/// Whether a letter is a punctuation mark that Unicode counts among the letters, such as ʼ in `Oʼneill`.
fn is_symbol(c: char) -> bool {
    let cased = c.is_uppercase() || c.is_lowercase();
    let punctuation = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric();
    !cased && !c.is_numeric() && skeleton(c.encode_utf8(&mut [0; 4])).all(punctuation)
}

impl Folds {
    fn of(c: char) -> Self {
        let by_case = settled(by_case(c));
        let as_written = look(c).map(settled).filter(|look| *look != by_case);
        // A letter whose fold is an ASCII letter loses its marks, as this one does.
        let script = if by_case.is_ascii() { Script::Latin } else { c.script() };
        Self { by_case, as_written, means_more: false, script }
    }
}

/// A part of a text.
#[derive(Clone)]
enum Piece {
    Ascii(&'static str),
    Letter(Rc<Folds>),
    Space,
    /// A character that cannot be seen.
    Invisible,
    /// Punctuation or another symbol, and the letters that it looks like: `|` looks like `l`.
    Symbol(Option<Rc<str>>),
}

/// How letters beyond ASCII are read.
#[derive(Clone, Copy)]
enum By {
    /// A word with ASCII letters as it is written, any other word by its lower case.
    Word,
    Case,
    Look,
}

impl By {
    /// Every reading that can make a difference for these parts of a payment's text.
    fn all(pieces: &[Piece]) -> &'static [Self] {
        let ambiguous = |piece: &Piece| matches!(piece, Piece::Letter(folds) if folds.as_written.is_some());
        if pieces.iter().any(ambiguous) { &[Self::Word, Self::Case, Self::Look] } else { &[Self::Word] }
    }
}

/// How symbols within a word are read, if they look like letters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signs {
    AreNothing,
    AreLetters,
}

/// The parts of a text without spaces: what stands between symbols and invisible characters. A symbol that looks like a letter
/// is a part of its own.
fn parts_of(run: &[Piece]) -> Vec<&[Piece]> {
    let mut parts = Vec::new();
    let is_letter = |piece: &Piece| matches!(piece, Piece::Ascii(_) | Piece::Letter(_));
    for chunk in run.chunk_by(|one, next| is_letter(one) && is_letter(next)) {
        if chunk.iter().all(is_letter) || matches!(chunk, [Piece::Symbol(Some(_))]) {
            parts.push(chunk);
        }
    }
    parts
}

/// The word of parts that stand beside each other.
fn word(parts: &[&[Piece]], letters: By, signs: Signs) -> String {
    let mut text = String::new();
    let as_written = match letters {
        By::Word => parts.iter().any(|part| part.iter().any(|piece| matches!(piece, Piece::Ascii(_)))),
        By::Case => false,
        By::Look => true,
    };
    for piece in parts.iter().copied().flatten() {
        text.push_str(match piece {
            Piece::Ascii(letter) => letter,
            Piece::Letter(folds) => {
                let looks = as_written && !(folds.means_more && matches!(letters, By::Word));
                folds.as_written.as_ref().filter(|_| looks).unwrap_or(&folds.by_case)
            }
            Piece::Symbol(Some(look)) if signs == Signs::AreLetters => look,
            Piece::Symbol(_) | Piece::Space | Piece::Invisible => "",
        });
    }
    text
}

/// The words in a text, in their order. A symbol separates two of them.
fn words_of(pieces: &[Piece]) -> Vec<String> {
    let words = pieces.split(|piece| matches!(piece, Piece::Space | Piece::Symbol(_)));
    let words = words.map(|part| word(&[part], By::Word, Signs::AreNothing));
    words.filter(|word| !word.is_empty()).collect()
}

/// How many choices between one word and two an entry of a list may have. Each one doubles the lines of the entry.
const MAX_CHOICES: usize = 4;

/// The words of a list's entry, for each way to join or to separate them where it has a symbol within a word.
fn spellings(pieces: &[Piece]) -> Vec<Vec<String>> {
    let runs = pieces.split(|piece| matches!(piece, Piece::Space));
    let letters = |run| -> Vec<&[Piece]> {
        let parts = parts_of(run).into_iter();
        parts.filter(|part| !matches!(part, [Piece::Symbol(_)])).collect()
    };
    let runs: Vec<_> = runs.map(letters).filter(|parts| !parts.is_empty()).collect();
    if runs.is_empty() {
        return vec![];
    }
    let symbols: usize = runs.iter().map(|parts| parts.len() - 1).sum();
    let divided = runs.iter().filter(|parts| parts.len() > 1).count();
    // One choice for each symbol, or for each word with symbols, or for the whole entry.
    let (by_symbol, by_run) = (symbols <= MAX_CHOICES, divided <= MAX_CHOICES);
    let choices = if by_symbol {
        symbols
    } else if by_run {
        divided
    } else {
        1
    };
    let spelling = |letters: By, joined: usize| {
        let (mut words, mut choice) = (Vec::new(), 0);
        for parts in &runs {
            let mut own: Vec<Vec<&[Piece]>> = Vec::new();
            for (position, part) in parts.iter().enumerate() {
                let join = position > 0 && joined >> choice & 1 == 1;
                match own.last_mut().filter(|_| join) {
                    Some(word) => word.push(part),
                    None => own.push(vec![part]),
                }
                choice += usize::from(by_symbol && position > 0);
            }
            choice += usize::from(!by_symbol && by_run && parts.len() > 1);
            words.extend(own.iter().map(|parts| word(parts, letters, Signs::AreNothing)));
        }
        words
    };
    // By its look too: a payment may have ASCII letters in the place of some letters, and then the others are read as they look.
    let readings = By::all(pieces).iter().filter(|letters| !matches!(letters, By::Case));
    readings.flat_map(|letters| (0..1 << choices).map(|joined| spelling(*letters, joined))).collect()
}

/// The fold of an ASCII letter or digit. Empty for every other character.
pub(crate) fn ascii(c: char) -> &'static str {
    u8::try_from(c).map_or("", |byte| ASCII[usize::from(byte)])
}

/// The folds of the ASCII letters and digits by their codes.
const ASCII: [&str; 256] = {
    const LETTERS: [&str; 26] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "l", "j", "k", "l", "rn", "n", "o", "p", "q", "r", "s", "t",
        "u", "v", "w", "x", "y", "z",
    ];
    const DIGITS: [&str; 10] = ["o", "l", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut folds = [""; 256];
    let mut n = 0;
    while n < 26 {
        folds[b'a' as usize + n] = LETTERS[n];
        folds[b'A' as usize + n] = LETTERS[n];
        n += 1;
    }
    n = 0;
    while n < 10 {
        folds[b'0' as usize + n] = DIGITS[n];
        n += 1;
    }
    folds
};

/// Folds a letter by its case first: the result is the same for upper and lower case. A letter may look like an ASCII
/// letter in one case only: Cyrillic т does not look like t, but Т looks like T.
fn by_case(c: char) -> String {
    let lower = c.to_uppercase().flat_map(char::to_lowercase);
    lower
        .map(|c| {
            if let Some(look) = look(c).or_else(|| c.to_uppercase().map(look).collect()) {
                return look;
            }
            let bare: String = skeleton(c.encode_utf8(&mut [0; 4]))
                .nfkd()
                .filter(|c| !is_combining_mark(*c))
                .flat_map(char::to_lowercase)
                .collect();
            if !bare.is_empty() && bare.chars().all(char::is_alphanumeric) { bare } else { c.to_string() }
        })
        .collect()
}

/// The folded ASCII letters and digits that a character looks like, if it looks like any.
fn look(c: char) -> Option<String> {
    let bare: Vec<char> = skeleton(c.encode_utf8(&mut [0; 4]))
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .map(|c| as_capital(c).unwrap_or(c))
        .collect();
    let is_ascii = !bare.is_empty() && bare.iter().all(char::is_ascii_alphanumeric);
    is_ascii.then(|| bare.into_iter().map(ascii).collect())
}

/// The capital letters that Unicode's tables of decompositions and look-alikes leave out: small capitals, and white
/// letters in black circles and squares.
fn as_capital(c: char) -> Option<char> {
    const SMALL_CAPITALS: [(char, char); 19] = [
        ('ᴀ', 'A'),
        ('ʙ', 'B'),
        ('ᴄ', 'C'),
        ('ᴅ', 'D'),
        ('ᴇ', 'E'),
        ('ꜰ', 'F'),
        ('ɢ', 'G'),
        ('ʜ', 'H'),
        ('ɪ', 'I'),
        ('ᴊ', 'J'),
        ('ᴋ', 'K'),
        ('ʟ', 'L'),
        ('ᴍ', 'M'),
        ('ɴ', 'N'),
        ('ᴘ', 'P'),
        ('ʀ', 'R'),
        ('ꜱ', 'S'),
        ('ᴛ', 'T'),
        ('ʏ', 'Y'),
    ];
    for first in ['\u{1f150}', '\u{1f170}'] {
        let letter = u32::from(c).checked_sub(u32::from(first)).filter(|letter| *letter < 26);
        if let Some(letter) = letter {
            return char::from_u32(u32::from('A') + letter);
        }
    }
    SMALL_CAPITALS.into_iter().find(|(small, _)| *small == c).map(|(_, capital)| capital)
}

/// Folds a fold until it does not change.
fn settled(mut text: String) -> String {
    for _ in 0..MAX_ROUNDS {
        let next: String = text
            .nfkd()
            .filter(|c| !is_combining_mark(*c))
            .map(|c| match number(c) {
                Some(number) => number,
                None if c.is_ascii_alphanumeric() => ascii(c).to_owned(),
                None => by_case(c),
            })
            .collect();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> BTreeSet<String> {
        super::words(text).unwrap()
    }

    /// The lines of a list's entry, as words.
    fn alternatives(entry: &str) -> Vec<Vec<String>> {
        let mut lines = String::new();
        Letters::default().push_lines(entry, &mut lines);
        lines.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
    }

    /// All characters but those that have neither case nor look-alikes by the thousand: Han, Hangul, private use.
    fn all_characters() -> impl Iterator<Item = char> {
        let uniform = |c: &char| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{e000}'..='\u{f8ff}' | '\u{17000}'..='\u{1afff}');
        ('\0'..='\u{1ffff}').chain('\u{e0000}'..='\u{e01ff}').filter(move |c| !uniform(c))
    }

    #[test]
    fn folding_is_idempotent_for_every_character() {
        let mut wrong = Vec::new();
        for c in all_characters() {
            let once = folded(&c.to_string());
            if folded(&once) != once {
                wrong.push((c, once.clone(), folded(&once)));
            }
            let words = words(&c.to_string());
            if once.chars().any(|c| !(c.is_alphanumeric() || c == ' ')) {
                wrong.push((c, once.clone(), String::new()));
            }
            if !once.split(' ').all(|word| word.is_empty() || words.contains(word)) {
                wrong.push((c, once, format!("{words:?}")));
            }
        }
        assert!(wrong.is_empty(), "{} {:?}", wrong.len(), &wrong[..wrong.len().min(60)]);
    }

    #[test]
    fn every_character_has_a_reading_that_its_other_case_has() {
        let mut wrong = Vec::new();
        for c in all_characters() {
            let text = c.to_string();
            for other in [text.to_uppercase(), text.to_lowercase()] {
                // The iota below a letter of ancient Greek is a mark, and a letter of its own in upper case.
                let iota = text.nfkd().any(|c| c == '\u{345}');
                if words(&text).is_disjoint(&words(&other)) && !words(&text).is_empty() && !iota {
                    wrong.push((c, words(&text), words(&other)));
                }
            }
        }
        assert!(wrong.is_empty(), "{} {:?}", wrong.len(), &wrong[..wrong.len().min(60)]);
    }

    #[test]
    fn every_look_alike_of_an_ascii_letter_has_the_same_fold_as_this_letter() {
        let mut seen = 0;
        for c in all_characters() {
            let bare: String = skeleton(&c.to_string()).filter(|c| !is_combining_mark(*c)).collect();
            // A compatibility form counts more than a look: ſ is an s, although it looks like an f.
            let decomposes = !std::iter::once(c).nfkd().eq([c]);
            if bare.is_empty()
                || decomposes
                || is_combining_mark(c)
                || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric())
            {
                continue;
            }
            seen += 1;
            assert!(words(&c.to_string()).contains(&folded(&bare)), "{c} {bare} {:?}", words(&c.to_string()));
        }
        assert!(seen > 500, "{seen}");
    }

    #[test]
    fn spellings_of_a_name_have_its_words() {
        for (name, spellings) in [
            (
                "Ivan Petrov",
                &[
                    "IVAN PETROV",
                    " ivan\u{a0}\u{2003}petrov ",
                    "Petrov, Ivan",
                    "PETROV/IVAN",
                    "Iván Petröv",
                    "I\u{301}van Pe\u{330}trov",
                    "Ｉｖａｎ　Ｐｅｔｒｏｖ",
                    "𝕀𝕧𝕒𝕟 𝓟𝓮𝓽𝓻𝓸𝓿",
                    "Ⓘⓥⓐⓝ 🅿🅴🆃🆁🅾🆅",
                    "ivan ᴘᴇᴛʀᴏᴠ",
                    "lvan Petrov",
                    "1van Petr0v",
                    "|van Petrov",
                    "Іvаn Реtrоv",
                    "ІVАΝ РЕТRОV",
                    "ivan реТrоv",
                    "Iv\u{200b}an Pet\u{ad}rov",
                    "Iv\u{ad}an\u{3164}Petrov",
                    "Iv-an\u{ffa0}Pet\u{ad}rov",
                    "Iv-an,Petrov",
                    "Petrov/I.v.a.n",
                    "Pet.rov\u{200b}I\u{2060}v-an",
                    "|van|Petrov",
                    "🇮🇻🇦🇳 🇵🇪🇹🇷🇴🇻",
                    "Petr٥v 1van",
                    "Ivan\u{200b}Petrov",
                    "Ivan\u{2800}Petrov",
                    "Ivan\u{3164}Petrov",
                    "I-v-a-n Petrov",
                    "İvan Petrov",
                    "ıvan Petrov",
                    "Ivan—Petrov",
                    "Ivan\u{20dd} Petrov",
                    "Ivan\u{93f} Petrov",
                    "Ivan\u{e0061} Petrov\u{fe0f}",
                    "Mr. Ivan PETROV (born 1970)",
                ][..],
            ),
            ("Fritz Straße", &["FRITZ STRASSE", "Fritz STRAẞE", "fritz ſtraſſe"][..]),
            ("Jean-Luc O'Hara", &["Jean Luc OHara", "JeanLuc O Hara", "O’Hara, Jean Luc"][..]),
            ("Jean Luc OHara", &["Jean-Luc O'Hara", "O'Hara/Jean-Luc", "jean luc oꞌhara"][..]),
            ("O'Neill-Smith", &["ONeill Smith", "ONEILLSMITH", "O Neill-Smith", "smith oꞋneill"][..]),
            ("ONeill Smith", &["O'Neill-Smith", "oꞌneill smith"][..]),
            ("D'Angelo-Russo, Maria", &["DAngelo Russo Maria", "Maria D'Angelo Russo"][..]),
            ("DAngelo Russo Maria", &["D'Angelo-Russo, Maria", "maria,d-angelo,russo"][..]),
            ("Νίκος Παππάς", &["Nίκος Παππάς", "νίκος ΠAππάς", "ΝΊΚΟΣ ΠΑΠΠΑΣ", "NIKOΣ ΠAΠΠAΣ"][..]),
            ("ΥΨΗΛΑΝΤΗΣ", &["YΨHΛANTHΣ", "υψηλαντης"][..]),
            ("Cecil Fox", &["Ϲeϲil Fox", "ϹEϹIL ſox"][..]),
            ("Unit 731", &["unit ٧٣١", "UNIT ７３１", "unit ❼❸❶", "unit ➆➂➀", "unit ৭৩১"][..]),
            ("Group 15", &["group ⓯", "group ⑮", "group ❶❺"][..]),
            ("Mohammed", &["rnohammed", "MOHAMMED", "Mohamrned", "М0hаммеd"][..]),
            ("Steffi", &["Steﬃ", "STEFFI", "ste\u{200d}ffi"][..]),
            ("Łukasz Øst", &["lukasz ost", "ŁUKASZ ØST"][..]),
            ("ΙΩΑΝΝΗΣ", &["Ιωάννης", "ιωαννησ"][..]),
            ("Пётр", &["ПЕТР", "петр"][..]),
            ("ONeill", &["O'Neill", "O’Neill", "o´neill", "OʼNEILL"][..]),
            ("राम कुमार", &["राम\u{200d} कुमार"][..]),
        ] {
            let entry = alternatives(name);
            for spelling in spellings {
                let found = words(spelling);
                let listed = entry.iter().any(|words| words.iter().all(|word| found.contains(word)));
                assert!(listed, "{spelling}: {found:?} {entry:?}");
            }
        }
        for (name, others) in [
            ("Ivan Petrov", &["Ivan", "Petrov", "Ivana Petrov", "Ivan Petro", ""][..]),
            ("राम", &["रिम", "रम"][..]),
            ("Петров", &["Petrov"][..]),
        ] {
            for other in others {
                let (entry, found) = (alternatives(name), words(other));
                assert!(!entry.iter().any(|words| words.iter().all(|word| found.contains(word))), "{other}");
            }
        }
    }

    #[test]
    fn every_decimal_digit_has_the_fold_of_its_ascii_digit() {
        for (zero, digit) in ZEROS.into_iter().flat_map(|zero| (0..10).map(move |digit| (zero, digit))) {
            let other = char::from_u32(zero + digit).unwrap();
            assert_eq!(folded(&other.to_string()), folded(&digit.to_string()), "{other}");
            // Unicode may know the digit since a later version than the standard library.
            assert!(other.is_numeric() || !other.is_alphanumeric(), "{other}");
        }
        for (text, expected) in [("P-٤٤٧١-٩٩٠", "P-4471-990"), ("P٤٤٧١", "P4471"), ("❿⓫⓴⓿", "1011200")]
        {
            assert_eq!(compact(text), compact(expected), "{text}");
        }
    }

    #[test]
    fn identifiers_are_read_in_every_way() {
        for (text, entry) in [
            ("Ν-4471", "N-4471"),
            ("ν-4471", "V 4471"),
            ("P-٤٤٧١-٩٩٠", "P-4471-990"),
            ("P-447|-990", "P-4471-990"),
            ("P|447-1/990", "P4471990"),
            ("4٥0", "450"),
            ("4٥0", "4OO"),
        ] {
            assert!(compacts(text).contains(&compact(entry)), "{text} {:?}", compacts(text));
        }
        assert!(compacts("-|-").contains("l") && compacts(" - ").is_empty());
    }

    #[test]
    fn a_word_of_many_parts_is_refused_in_bounded_time() {
        let parts = |count: usize| vec!["a"; count].join("-");
        assert!(super::words(&parts(MAX_PARTS)).is_ok() && super::words(&parts(MAX_PARTS + 1)).is_err());
        assert!(super::words(&vec![parts(MAX_PARTS); 63].join(" ")).is_err());
        assert!(super::words(&vec!["Jean-Luc O'Hara"; 200].join(" ")).is_ok());
        for symbols in 0..40 {
            let lines = alternatives(&parts(symbols + 1));
            assert!((1..=32).contains(&lines.len()), "{symbols} {}", lines.len());
        }
    }

    #[test]
    fn a_folded_text_has_one_form() {
        for (text, expected) in [
            ("", ""),
            (" . ", ""),
            ("\u{200b}", ""),
            ("Ada  Sender", "ada sender"),
            ("O'Neill, Tim", "o nelll tlrn"),
            ("1 High Street, GB", "l hlgh street gb"),
            ("ＡＤＡ\u{301}", "ada"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
        assert_eq!(compact("DE 123-456/o"), "del23456o");
        assert_eq!(compact("de.l23456O"), compact("DE 123456 0"));
    }

    /// One way to spell a letter of a name differently.
    fn spelt(c: char, how: u8, position: usize) -> String {
        let cyrillic = |c: char| {
            "АВЕКМНОРСТХаеорсухіј"
                .chars()
                .zip("ABEKMHOPCTXaeopcyxij".chars())
                .find(|(_, latin)| *latin == c)
                .map(|(other, _)| other)
        };
        let greek = |c: char| {
            "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο"
                .chars()
                .zip("ABEZHIKMNOPTYXo".chars())
                .find(|(_, latin)| *latin == c)
                .map(|(other, _)| other)
        };
        match how {
            0 => c.to_uppercase().collect(),
            1 => c.to_lowercase().collect(),
            2 => format!("{c}\u{301}\u{328}"),
            3 => format!("{c}\u{200b}"),
            4 => format!("\u{2060}{c}\u{fe0e}"),
            5 if c.is_ascii_alphabetic() => char::from_u32(u32::from(c) + 0xfee0).unwrap().to_string(),
            6 => cyrillic(c).unwrap_or(c).to_string(),
            7 => greek(c).unwrap_or(c).to_string(),
            8 if matches!(c, 'l' | 'I') => "1".to_owned(),
            8 if matches!(c, 'o' | 'O') => "0".to_owned(),
            9 if c == 'm' => "rn".to_owned(),
            10 if c.is_ascii_lowercase() => {
                char::from_u32(0x1d41a + u32::from(c) - u32::from('a')).unwrap().to_string()
            }
            11 if position % 2 == 1 => format!("-{c}"),
            _ => c.to_string(),
        }
    }

    fn space() -> impl Strategy<Value = String> {
        let one = prop::sample::select(vec![
            " ",
            "  ",
            "\u{a0}",
            "\u{2009}",
            "\u{3000}",
            "\t",
            ", ",
            " - ",
            "\u{2003}.\u{202f}",
            "\u{1680}",
        ]);
        one.prop_map(str::to_owned)
    }

    proptest! {
        /// A name has the words of its entry, whatever its spelling and the order of its words.
        #[test]
        fn no_spelling_escapes(
            name in prop::collection::vec("[A-Z][a-z]{1,8}", 1..5),
            how in prop::collection::vec(0..14_u8, 1..20),
            spaces in prop::collection::vec(space(), 5),
            turn in 0..5_usize,
        ) {
            let entry = alternatives(&name.join(" "));
            let mut spelling = String::new();
            for (word, space) in name.iter().cycle().skip(turn).take(name.len()).zip(&spaces) {
                for (position, (c, how)) in word.chars().zip(how.iter().cycle()).enumerate() {
                    spelling.push_str(&spelt(c, *how, position));
                }
                spelling.push_str(space);
            }
            let found = words(&spelling);
            prop_assert!(entry.iter().any(|words| words.iter().all(|word| found.contains(word))), "{spelling} {found:?} {entry:?}");
        }

        #[test]
        fn folding_never_panics_and_is_idempotent(text in "(\\PC|[\u{0}-\u{500}]|[ \u{200b}\u{301}|'-]){0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once.clone());
            prop_assert_eq!(compact(&compact(&text)), compact(&text));
            let Ok(words) = super::words(&text) else { return Ok(()) };
            prop_assert!(once.split(' ').all(|word| word.is_empty() || words.contains(word)));
            for word in words {
                prop_assert!(!word.is_empty() && word.chars().all(char::is_alphanumeric), "{word}");
            }
            alternatives(&text);
        }
    }

    proptest! {
        /// The fast way to fold an entry gives what the general one gives.
        #[test]
        fn simple_entries_are_folded_alike(entry in "[A-Za-z0-9 éöñłПетровЖ]{0,300}") {
            let mut simple = String::new();
            if Letters::default().push_simple(&entry, &mut simple) {
                let general = spellings(&Letters::default().pieces(&entry));
                prop_assert_eq!(general.iter().map(|words| words.join(" ")).collect::<Vec<_>>(), [simple]);
            } else {
                prop_assert_eq!(simple, "");
            }
        }
    }

    #[test]
    fn the_time_of_a_hostile_text_is_bounded() {
        for text in [
            "\u{fdfa}",
            "a\u{301}",
            "|'\u{200b}Ν",
            "\u{1d15e}",
            "𝕀 ",
            "ΰ",
            "a-b-c-d-e-f-g-h-Ν|\u{ad} ",
            "\u{fdfa}-",
        ] {
            let text: String = text.chars().cycle().take(MAX_BYTES).collect();
            let text = &text[..text.floor_char_boundary(MAX_BYTES)];
            let start = std::time::Instant::now();
            let found = super::words(text).unwrap_or_default();
            assert!(found.iter().map(String::len).sum::<usize>() <= 60 * MAX_BYTES);
            folded(text);
            // A debug build on a busy machine; a release build takes about 1 ms.
            assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        }
    }
}
