//! Times as senders write them.

use jiff::Timestamp;

/// Digits of a fraction of a second that are kept (nanoseconds). RFC 3339 allows any number of digits.
const FRACTION_DIGITS: usize = 9;

/// Reads a time in any form that a sender is known to use: written, as RFC 3339 has it or similarly, or counted from the
/// epoch, in seconds or milliseconds.
#[must_use]
pub fn any_time(text: &str) -> Option<Timestamp> {
    written_time(text).or_else(|| epoch_time(text))
}

/// Reads a time in RFC 3339 with any number of fraction digits, and in similar forms (a space before the hours,
/// an offset without a colon). `None` for everything else.
fn written_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let (whole, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, offset) = rest.split_at(digits);
    format!("{whole}.{}{offset}", &fraction[..digits.min(FRACTION_DIGITS)]).parse().ok()
}

/// Whether a text is a time as RFC 3339 has it.
pub(crate) fn is_rfc_3339(text: &str) -> bool {
    // `t` and `z` are valid too (RFC 3339, 5.6).
    let shape = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() });
    let shape: String = shape.collect();
    let Some(rest) = shape.strip_prefix("0000-00-00T00:00:00") else { return false };
    let offset = rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches('0'));
    let fraction = rest.len() - offset.len();
    fraction != 1 && matches!(offset, "Z" | "+00:00" | "-00:00") && written_time(text).is_some()
}

/// A number of at least this size counts milliseconds since the epoch, a smaller one counts seconds. As
/// milliseconds this is March 1973, as seconds it is the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Reads a time that is written as seconds or as milliseconds since the epoch. `None` when the text is not a
/// whole number, or when the time is out of range.
#[must_use]
pub fn epoch_time(digits: &str) -> Option<Timestamp> {
    let number = digits.parse().ok()?;
    if number < MILLISECONDS_FROM {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_milliseconds() {
        let second = Timestamp::from_second(1_700_000_000).ok();
        assert_eq!((epoch_time("1700000000"), epoch_time("1700000000000")), (second, second));
        for nothing in ["", "x", "1.5", "99999999999999999", "9".repeat(400).as_str()] {
            assert_eq!(epoch_time(nothing), None, "{nothing:.20}");
        }
    }

    #[test]
    fn times_that_are_written() {
        let second = Timestamp::from_second(1_793_610_900).ok();
        for (text, read, strict) in [
            ("2026-11-02T09:15:00Z", true, true),
            ("2026-11-02T10:15:00+01:00", true, true),
            ("2026-11-02T09:15:00.000Z", true, true),
            ("2026-11-02T09:15:00.0000000000000000000Z", true, true),
            ("2026-11-02T09:15:00.000000000000-00:00", true, true),
            ("2026-11-02t09:15:00z", true, true),
            ("2026-11-02 09:15:00Z", true, false),
            ("2026-11-02T09:15:00+0000", true, false),
            ("2026-11-02T09:15:00", false, false),
            ("2026-11-02T09:15:00.Z", false, false),
            ("2026-11-02T09:15:00.0x", false, false),
            ("2026-11-32T09:15:00Z", false, false),
            ("2026-11-02T09:15:00.\u{e9}Z", false, false),
            ("yesterday", false, false),
            ("", false, false),
            (".", false, false),
        ] {
            assert_eq!(written_time(text), second.filter(|_| read), "{text}");
            assert_eq!(is_rfc_3339(text), strict, "{text}");
        }
    }
}
