//! The folder with a policy: its rules, and the lists and rates that they read. `policies/README.md` describes the files.

use std::collections::BTreeMap;
use std::path::Path;

use ingest::{Object, sha256_hex};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::Deserialize;

use crate::body::Value;
use crate::layout::Layout;
use crate::limits::Limits;
use crate::lists::{Kind, List};
use crate::rates::Rates;

/// The file with the rules.
pub(crate) const RULES: &str = "policy.cedar";
const SETTINGS: &str = "bundle.json";
const RATES: &str = "rates.json";
const LIMITS: &str = "limits.json";

/// A policy's folder, read.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The text of `policy.cedar`.
    pub rules: String,
    pub lists: BTreeMap<String, List>,
    pub rates: Option<Rates>,
    pub limits: Limits,
    pub zone: Option<TimeZone>,
    /// Hex SHA-256 of all files with their names.
    pub hash: String,
}

/// The contents of `bundle.json`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    time_zone: Option<String>,
    #[serde(default)]
    lists: BTreeMap<String, ListSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListSettings {
    kind: Kind,
    /// The fields of the sender that are looked up in the list.
    of: Option<Vec<String>>,
    /// The column of a CSV file with the entries.
    column: Option<String>,
}

/// The files of a policy's folder by their paths, in the order of the paths.
///
/// # Errors
/// The problems: a file that a policy does not have, or that cannot be read.
pub(crate) fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Vec<String>> {
    let (mut files, mut problems) = (BTreeMap::new(), Vec::new());
    collect(folder, "", &mut files, &mut problems);
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>, problems: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(format!("{prefix}: {error}")),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => return problems.push(format!("{prefix}: {error}")),
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("?");
        let name = format!("{prefix}{name}");
        if path.is_dir() && ["lists", "cases"].contains(&name.as_str()) {
            collect(&path, &format!("{name}/"), files, problems);
        } else if path.is_dir() || !is_known(&name) {
            problems.push(format!(
                "{name}: a policy has no such file, only {RULES}, {SETTINGS}, {RATES}, {LIMITS}, README.md, lists/*.txt, \
                 lists/*.csv and cases/*.json"
            ));
        } else {
            match std::fs::read(&path) {
                Ok(content) => drop(files.insert(name, content)),
                Err(error) => problems.push(format!("{name}: {error}")),
            }
        }
    }
}

fn is_known(name: &str) -> bool {
    match name.split_once('/') {
        None => [RULES, SETTINGS, RATES, LIMITS, "README.md"].contains(&name),
        Some(("lists", file)) => list_name(file).is_some(),
        Some((_, file)) => file.ends_with(".json") && !file.starts_with('.'),
    }
}

/// The name of the list in a file.
fn list_name(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".txt").or_else(|| file.strip_suffix(".csv"))?;
    crate::policy::is_code(name).then_some(name)
}

impl Bundle {
    /// Reads a policy's folder.
    ///
    /// # Errors
    /// The problems, each with its file.
    pub(crate) fn read(folder: &Path) -> Result<Self, Vec<String>> {
        let files = files(folder)?;
        let mut problems = Vec::new();
        let hash = hash(&files);
        let mut texts = BTreeMap::new();
        for (name, content) in files {
            match String::from_utf8(content) {
                // Some editors write a byte order mark before the text.
                Ok(text) if text.starts_with('\u{feff}') => drop(texts.insert(name, text[3..].to_owned())),
                Ok(text) => drop(texts.insert(name, text)),
                Err(_) => problems.push(format!("{name}: it is not text in UTF-8")),
            }
        }
        let mut json = |name: &str| {
            let text = texts.get(name)?;
            unambiguous(text).map_err(|wrong| problems.push(format!("{name}: {wrong}"))).ok()?;
            Some(text.clone())
        };
        let (settings, rates, limits) = (json(SETTINGS), json(RATES), json(LIMITS));
        let settings = settings.map_or_else(Settings::default, |text| {
            serde_json::from_str(&text).unwrap_or_else(|error| {
                problems.push(format!("{SETTINGS}: {error}"));
                Settings::default()
            })
        });
        let rates = rates.and_then(|text| {
            Rates::parse(&text).map_err(|wrong| problems.push(format!("{RATES}: {wrong}"))).ok()
        });
        let limits = limits.and_then(|text| {
            Limits::parse(&text).map_err(|wrong| problems.push(format!("{LIMITS}: {wrong}"))).ok()
        });
        let limits = limits.unwrap_or_default();
        let zone = settings.time_zone.as_deref().and_then(|name| {
            let zone = TimeZoneDatabase::bundled().get(name);
            zone.map_err(|_| problems.push(format!("{SETTINGS}: {name:?} is not a time zone"))).ok()
        });
        if problems.is_empty() && !texts.contains_key(RULES) {
            problems.push(format!("{RULES}: there is no such file"));
        }
        let lists = lists(settings.lists, &texts, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let rules = texts.remove(RULES).unwrap_or_default();
        Ok(Self { rules, lists, rates, limits, zone, hash })
    }
}

fn lists(
    declared: BTreeMap<String, ListSettings>,
    texts: &BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, List> {
    let file = |name: &str| {
        let found = texts.keys().filter(|file| file.strip_prefix("lists/").and_then(list_name) == Some(name));
        found.collect::<Vec<_>>()
    };
    for file in texts.keys() {
        let name = file.strip_prefix("lists/").and_then(list_name);
        if name.is_some_and(|name| !declared.contains_key(name)) {
            problems.push(format!("{file}: {SETTINGS} does not declare this list under `lists`"));
        }
    }
    let mut lists = BTreeMap::new();
    for (name, settings) in declared {
        let [file] = file(&name)[..] else {
            let count = file(&name).len();
            problems.push(format!("{SETTINGS}: list `{name}` has {count} files lists/{name}.txt or .csv"));
            continue;
        };
        let column = settings.column.as_deref();
        match List::parse(settings.kind, settings.of, file, &texts[file], column) {
            Ok(list) => drop(lists.insert(name, list)),
            Err(wrong) => problems.extend(wrong.into_iter().map(|wrong| format!("{file}: {wrong}"))),
        }
    }
    lists
}

/// Refuses JSON with a duplicate field name, which two readers could understand differently.
fn unambiguous(text: &str) -> Result<(), String> {
    const NOWHERE: Layout = Layout {
        transaction: "",
        sender: None,
        receiver: None,
        user_id: "",
        platform_user_id: "",
        requested: "",
        requested_in_transaction: false,
    };
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string())?;
    let object = Object::parse(text.as_bytes()).ok_or("it is not a JSON object")?;
    Value::read(&object, &NOWHERE).map(drop).map_err(|wrong| wrong.to_string().replace("the body", "it"))
}

/// The hash of a policy: of the names and contents of all its files, in the order of their names.
fn hash(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = String::from("policy bundle\n");
    for (name, content) in files {
        // A hash has a fixed length and a name no line break, so two bundles never have the same text here.
        text.push_str(&format!("{} {name}\n", sha256_hex(content)));
    }
    sha256_hex(text.as_bytes())
}
