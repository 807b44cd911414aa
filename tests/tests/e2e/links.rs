//! Checks the links between pages: every relative link in a Markdown file leads to a file in the repository,
//! and every `#anchor` is a heading of its page.
//!
//! Links to other sites are not checked. Only headings that begin with `#` are recognised, because the pages
//! use no other headings.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

/// Folders that are not part of the repository: `.git`, and the folders in `.gitignore`.
const SKIPPED: [&str; 7] = [".git", "target", ".venv", ".venv-deploy", ".local", ".aws-sam", "node_modules"];

#[test]
fn every_link_leads_somewhere() {
    let root = local_stack::root().canonicalize().unwrap();
    let pages: BTreeMap<PathBuf, Page> = markdown_files(&root)
        .into_iter()
        .map(|file| {
            let page = Page::of(&std::fs::read_to_string(&file).unwrap());
            (file, page)
        })
        .collect();

    let (mut checked, mut broken) = (0, Vec::new());
    for (file, page) in &pages {
        for link in page.links.iter().filter(|link| !is_external(&link.target)) {
            checked += 1;
            if let Err(reason) = check(&root, &pages, file, &link.target) {
                let file = file.strip_prefix(&root).unwrap().display();
                broken.push(format!("{file}:{}: {}: {reason}", link.line, link.target));
            }
        }
    }
    assert!(checked > 0, "no link was found in {} pages", pages.len());
    assert!(broken.is_empty(), "{} of {checked} links are broken:\n{}", broken.len(), broken.join("\n"));
    println!("{checked} links in {} pages", pages.len());
}

/// Checks one relative link. The error is the reason why the link is broken.
fn check(root: &Path, pages: &BTreeMap<PathBuf, Page>, from: &Path, link: &str) -> Result<(), String> {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let path = percent_decoded(path).ok_or("its %-escapes are wrong")?;
    let target = match path.strip_prefix('/') {
        Some(path) => normalized(&root.join(path)),
        None if path.is_empty() => from.to_owned(),
        None => normalized(&from.parent().unwrap().join(path)),
    };
    let inside = target.strip_prefix(root).map_err(|_| "it leaves the repository")?;
    if inside.components().any(|part| SKIPPED.iter().any(|skipped| part.as_os_str() == *skipped)) {
        return Err("its target is not part of the repository".to_owned());
    }
    if !target.exists() {
        return Err("there is no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let page = pages.get(&target).ok_or("only a Markdown page has anchors")?;
    let anchor = percent_decoded(anchor).ok_or("its %-escapes are wrong")?;
    if page.anchors.contains(&anchor) { Ok(()) } else { Err("the page has no such heading".to_owned()) }
}

/// A path without `.` and `..`. Symbolic links are not followed, as on GitHub.
fn normalized(path: &Path) -> PathBuf {
    let mut normalized = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normalized.pop();
            }
            part => normalized.push(part),
        }
    }
    normalized
}

/// Every Markdown file below a folder.
fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            files.extend(markdown_files(&entry.path()));
        } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "md") {
            files.push(entry.path());
        }
    }
    files
}

/// The parts of a Markdown file that the check needs.
struct Page {
    links: Vec<Link>,
    /// The anchors of its headings.
    anchors: Vec<String>,
}

/// A link in a Markdown text.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

impl Page {
    fn of(text: &str) -> Self {
        let text = without_code_blocks(text);
        Self { links: links(&text), anchors: anchors(&text) }
    }
}

/// The text with every line of a fenced code block made empty, so that line numbers do not change.
fn without_code_blocks(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut kept = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        match fence {
            None => match fence_of(trimmed) {
                // ```a``` on one line is inline code.
                Some(opening) if !trimmed[opening.len()..].contains('`') => fence = Some(opening),
                _ => kept.push_str(line),
            },
            Some(opening) => {
                let closing = fence_of(trimmed).filter(|closing| *closing == trimmed);
                if closing.is_some_and(|closing| closing.starts_with(opening)) {
                    fence = None;
                }
            }
        }
        kept.push('\n');
    }
    kept
}

/// The three or more backticks or tildes that a line begins with.
fn fence_of(line: &str) -> Option<&str> {
    let first = line.chars().next().filter(|first| matches!(first, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(first).len();
    (length >= 3).then(|| &line[..length])
}

/// All links of a text without code blocks: `[text](target)`, images too, and `[label]: target`.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let (mut at, mut open_brackets) = (0, 0_usize);
    let mut line = 1;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut step = next.len_utf8();
        match next {
            '\\' => step += rest.chars().nth(1).filter(char::is_ascii_punctuation).map_or(0, char::len_utf8),
            '`' => step = code_span(rest),
            // A link cannot extend past the end of its paragraph.
            '\n' if rest[1..].starts_with('\n') => open_brackets = 0,
            '[' => open_brackets += 1,
            ']' if open_brackets > 0 => {
                open_brackets -= 1;
                let starts_line = text[..at].rsplit('\n').next().is_some_and(|start| start.starts_with('['));
                let target = match rest[1..].strip_prefix('(') {
                    Some(inside) => target(inside),
                    None if starts_line => rest[1..].strip_prefix(':').and_then(target),
                    None => None,
                };
                links.extend(target.map(|target| Link { line, target: target.to_owned() }));
            }
            _ => {}
        }
        line += rest[..step].matches('\n').count();
        at += step;
    }
    links
}

/// The length of the inline code that a text begins with. When the inline code is not closed, the length of
/// its backticks.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let paragraph = text.find("\n\n").map_or(text, |end| &text[..end]);
    let mut at = ticks;
    while let Some(found) = paragraph[at..].find('`') {
        let run = &paragraph[at + found..];
        let length = run.len() - run.trim_start_matches('`').len();
        at += found + length;
        if length == ticks {
            return at;
        }
    }
    ticks
}

/// The target of a link, without its title. `text` is the text after `](` or `]:`.
fn target(text: &str) -> Option<&str> {
    let text = text.trim_start_matches([' ', '\t']);
    if let Some(inside) = text.strip_prefix('<') {
        return inside.split_once('>').map(|(target, _)| target);
    }
    let mut depth = 0;
    let end = text.find(|next: char| {
        match next {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth < 0 || next.is_whitespace()
    });
    Some(&text[..end.unwrap_or(text.len())]).filter(|target| !target.is_empty())
}

/// Whether a link has a scheme (`https:`, `mailto:`), or the host of another site.
fn is_external(link: &str) -> bool {
    let scheme = link.split_once(':').map(|(scheme, _)| scheme);
    link.starts_with("//")
        || scheme.is_some_and(|scheme| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.chars().all(|next| next.is_ascii_alphanumeric() || "+-.".contains(next))
        })
}

/// The anchors of a page's headings. When headings have the same text, the second anchor ends with `-1`, the
/// third with `-2`.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for heading in text.lines().filter_map(heading) {
        let name = slug(heading);
        let mut anchor = name.clone();
        while seen.contains_key(&anchor) {
            let count = seen.get_mut(&name).unwrap();
            *count += 1;
            anchor = format!("{name}-{count}");
        }
        seen.insert(anchor.clone(), 0);
        anchors.push(anchor);
    }
    anchors
}

/// The text of a heading, which is a line with one to six `#` and a text.
fn heading(line: &str) -> Option<&str> {
    let indented = line.len() - line.trim_start_matches(' ').len();
    let marks = line.trim_start().len() - line.trim_start().trim_start_matches('#').len();
    let text = line.trim_start().get(marks..)?;
    let is_heading = indented < 4 && (1..=6).contains(&marks) && (text.is_empty() || text.starts_with(' '));
    let text = text.trim();
    let unclosed = text.trim_end_matches('#');
    let text = if unclosed.is_empty() || unclosed.ends_with(' ') { unclosed.trim_end() } else { text };
    is_heading.then_some(text)
}

/// The anchor that GitHub gives to a heading: lower case, each space replaced by `-`, and only letters,
/// digits, `-` and `_` kept. From a link, only its text is used.
fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = text.chars().filter(|next| next.is_alphanumeric() || "-_ ".contains(*next));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Decodes percent-escapes such as `%20`. `None` when an escape is invalid.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn found(text: &str) -> Vec<(usize, String)> {
    Page::of(text).links.into_iter().map(|link| (link.line, link.target)).collect()
}

#[test]
fn links_are_found_with_their_line() {
    for (text, expected) in [
        ("[a](b.md)", vec![(1, "b.md")]),
        ("one\n\n![picture](p.png) and [a](b.md#c)", vec![(3, "p.png"), (3, "b.md#c")]),
        ("[text over\ntwo lines](b.md) and\n[a](c.md)", vec![(2, "b.md"), (3, "c.md")]),
        ("[`code` in the text](b.md)", vec![(1, "b.md")]),
        ("[a [nested] text](b.md)", vec![(1, "b.md")]),
        ("[![image](p.png)](b.md)", vec![(1, "p.png"), (1, "b.md")]),
        ("| [a](b.md) | [c](#d) |", vec![(1, "b.md"), (1, "#d")]),
        (
            "[a](b.md \"title\") [c](<d e.md>) [f](g_(h).md)",
            vec![(1, "b.md"), (1, "d e.md"), (1, "g_(h).md")],
        ),
        ("see [label]\n\n[label]: b.md \"title\"", vec![(3, "b.md")]),
        ("[a](https://b.example/c)", vec![(1, "https://b.example/c")]),
        ("no link: [a], (b.md), a](b.md), [a] (b.md), [a]()", vec![]),
        (r"\[a](b.md) [a\](b.md)", vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(line, target)| (line, target.to_owned())).collect();
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn links_in_code_are_ignored() {
    for (text, expected) in [
        ("`[a](b.md)`", vec![]),
        ("``[a](b.md) ` [c](d.md)`` [e](f.md)", vec![(1, "f.md")]),
        ("`over\n[two](b.md) lines` [a](c.md)", vec![(2, "c.md")]),
        ("a ` alone [a](b.md)\n\n`", vec![(1, "b.md")]),
        ("```md\n[a](b.md)\n```\n[c](d.md)", vec![(4, "d.md")]),
        ("~~~\n```\n[a](b.md)\n~~~\n[c](d.md)", vec![(5, "d.md")]),
        ("````\n```\n[a](b.md)\n````\n[c](d.md)", vec![(5, "d.md")]),
        ("- item\n\n  ```sh\n  [a](b.md)\n  ```\n\n  [c](d.md)", vec![(7, "d.md")]),
        ("```\n[a](b.md)", vec![]),
        ("```[a](b.md)``` [c](d.md)", vec![(1, "d.md")]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(line, target)| (line, target.to_owned())).collect();
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn anchors_are_those_of_github() {
    for (heading, anchor) in [
        ("# Nothing is lost", "nothing-is-lost"),
        ("## How fast: `cargo figures`", "how-fast-cargo-figures"),
        ("### What it costs, and why?", "what-it-costs-and-why"),
        ("## `401`, 403 / 409", "401-403--409"),
        ("## See [the page](a.md#b) first", "see-the-page-first"),
        ("## snake_case and ÄÖ – dash", "snake_case-and-äö--dash"),
        ("## closed ##", "closed"),
        ("## C#", "c"),
    ] {
        assert_eq!(Page::of(heading).anchors, [anchor], "{heading}");
    }
    for nothing in ["#no space", "####### seven", "    # indented", "text # no", "```\n# code\n```"] {
        assert!(Page::of(nothing).anchors.is_empty(), "{nothing}");
    }
    let twice = "# a\n## A\n## a 1\n## a\n## b";
    assert_eq!(Page::of(twice).anchors, ["a", "a-1", "a-1-1", "a-2", "b"]);
}

#[test]
fn external_links_are_told_from_paths() {
    for external in ["https://a.example/b", "mailto:a@b.example", "//a.example/b"] {
        assert!(is_external(external), "{external}");
    }
    for relative in ["a.md", "../a.md#b", "#a", "/a.md", "a/b:c.md", "./a:b.md"] {
        assert!(!is_external(relative), "{relative}");
    }
}

#[test]
fn broken_links_are_reported_with_the_reason() {
    let root = local_stack::root().canonicalize().unwrap();
    let (readme, from) = (root.join("README.md"), root.join("tests/README.md"));
    let pages =
        BTreeMap::from([(readme, Page::of("# The door\n")), (from.clone(), Page::of("# Here\n# Here\n"))]);
    for good in ["../README.md", "../README.md#the-door", "/README.md", "#here", "#here-1", "src", "./src/"] {
        assert_eq!(check(&root, &pages, &from, good), Ok(()), "{good}");
    }
    for (bad, reason) in [
        ("nowhere.md", "there is no such file"),
        ("readme.md", "there is no such file"),
        ("../README.md#windows", "the page has no such heading"),
        ("../README.md#The-door", "the page has no such heading"),
        ("#here-2", "the page has no such heading"),
        ("Cargo.toml#L1", "only a Markdown page has anchors"),
        ("../target/debug", "its target is not part of the repository"),
        ("../../etc/passwd", "it leaves the repository"),
        ("a%2.md", "its %-escapes are wrong"),
    ] {
        assert_eq!(check(&root, &pages, &from, bad), Err(reason.to_owned()), "{bad}");
    }
}
