//! Output: tables, colour on a terminal, and text of strangers without control characters.

use std::io::{ErrorKind, IsTerminal, Write};

/// Writes to stdout. A reader that has gone (`| head`) ends the command without a message.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("error: cannot write the output: {error}");
        }
        std::process::exit(2);
    }
}

/// Writes a line to stdout.
pub(crate) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// A colour for a short text.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Green = 32,
    Yellow = 33,
    Red = 31,
}

/// The text in colour, when stdout is a terminal and `NO_COLOR` is not set.
pub(crate) fn coloured(text: &str, colour: Colour) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stdout().is_terminal() {
        format!("\x1b[{}m{text}\x1b[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// Text from elsewhere, with control characters escaped: a terminal would obey them. Line ends and tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let escaped = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if escaped(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A time span for people.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, expected) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(harmless("a\x1b[31m\r\n\té\u{9b}"), "a\\u{1b}[31m\\r\n\té\\u{9b}");
    }
}
