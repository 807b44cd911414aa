//! The canonical form of each type of value that a policy compares. With one form, a rule that matches one
//! spelling of a value matches all its spellings. Rules and payments use the same functions: `policy_request`
//! converts a payment's values to these forms, and `policy_literals` refuses a rule with a literal in another
//! form.

use unicode_security::skeleton;

/// A text without white space and invisible characters at both ends. Empty when no character is visible.
pub(crate) fn trimmed(text: &str) -> &str {
    // U+2800 looks blank, but Unicode counts it as a symbol.
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{2800}' || is_invisible(c))
}

/// Whether a character is invisible: control characters, and Unicode's default ignorable code
/// points (zero-width characters, bidi controls, the soft hyphen, variation selectors, tags).
pub(crate) fn is_invisible(c: char) -> bool {
    // A skeleton drops the default ignorable code points, and no other character.
    c.is_control() || (!c.is_ascii() && skeleton(c.encode_utf8(&mut [0; 4])).next().is_none())
}

/// A country: an ISO 3166 alpha-2 code in upper case. Whether the code is assigned is not checked.
pub(crate) fn country(text: &str) -> Option<String> {
    let code = trimmed(text);
    let alpha_2 = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_alphabetic());
    alpha_2.then(|| code.to_ascii_uppercase())
}

/// A currency's code, in upper case. Only ASCII letters and digits, because other characters can look like
/// them.
pub(crate) fn currency(text: &str) -> Option<String> {
    let code = trimmed(text);
    let plain = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| code.to_ascii_uppercase())
}

/// A UMA address, `$user@domain`, in lower case, and the domain in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub whole: String,
    pub domain: String,
}

impl Address {
    /// Whether the address or its domain is longer than any that exists. Such an address is not looked up in lists, because
    /// each label of its domain takes a look-up of its own.
    pub(crate) fn is_too_long(&self) -> bool {
        self.whole.len() > MAX_ADDRESS_BYTES || is_too_long(&self.domain)
    }
}

/// The longest address: that of SMTP (RFC 5321), 64 bytes before the `@` and 255 after it.
const MAX_ADDRESS_BYTES: usize = 320;

/// Whether a domain is longer than the DNS allows (RFC 1035): 253 bytes, and 63 for a label.
pub(crate) fn is_too_long(domain: &str) -> bool {
    domain.len() > 253 || domain.split('.').any(|label| label.len() > 63)
}

/// Reads a UMA address. The `$` is required and the characters are restricted. Otherwise one address would
/// have two spellings, and a rule that names one spelling would not match the other.
pub(crate) fn address(text: &str) -> Option<Address> {
    let whole = trimmed(text).to_ascii_lowercase();
    let (user, host) = whole.strip_prefix('$')?.split_once('@')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if user.is_empty() || !user.chars().all(plain) {
        return None;
    }
    let domain = domain(host)?;
    Some(Address { whole, domain })
}

/// A domain name, in lower case.
pub(crate) fn domain(text: &str) -> Option<String> {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(label).then(|| text.to_ascii_lowercase())
}

/// A JSON number that is an integer from 0 to 2⁶³−1, in any notation: `50000`, `50000.0`, `5e4`.
/// The function calculates with the digits, so the result is exact and the time is linear in their number.
pub(crate) fn natural(json: &str) -> Option<i64> {
    let Some(Number { negative, significant, zeros }) = Number::read(json)? else { return Some(0) };
    let zeros = usize::try_from(zeros).ok()?;
    if negative || significant.len().checked_add(zeros)? > MAX_DIGITS {
        return None;
    }
    format!("{significant}{}", "0".repeat(zeros)).parse().ok()
}

/// A JSON number from 0 up, in billionths. Digits after the ninth decimal place are left out.
pub(crate) fn billionths(json: &str) -> Option<i64> {
    let Some(Number { negative, significant, zeros }) = Number::read(json)? else { return Some(0) };
    let zeros = zeros.checked_add(9)?;
    if negative {
        return None;
    }
    if zeros < 0 {
        let left_out = usize::try_from(zeros.unsigned_abs()).ok()?;
        let kept = significant.len().saturating_sub(left_out);
        return if kept == 0 { Some(0) } else { significant.get(..kept)?.parse().ok() };
    }
    natural(&format!("{significant}e{zeros}"))
}

/// A JSON number other than 0: `significant` times ten to the power of `zeros`.
pub(crate) struct Number {
    pub negative: bool,
    /// Digits without zeros at either end.
    pub significant: String,
    pub zeros: i64,
}

impl Number {
    /// Reads a number. `Some(None)` is 0; `None` is no number.
    pub(crate) fn read(json: &str) -> Option<Option<Self>> {
        let (negative, number) = match json.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, json),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{integer}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_end_matches('0');
        let trimmed = digits.len() - significant.len();
        let significant = significant.trim_start_matches('0');
        if significant.is_empty() {
            return Some(None);
        }
        // With an exponent beyond 64 bits the result is out of range: no body has enough digits to compensate.
        let exponent: i64 = exponent.parse().ok()?;
        let zeros = exponent
            .checked_add(i64::try_from(trimmed).ok()?)?
            .checked_sub(i64::try_from(fraction.len()).ok()?)?;
        Some(Some(Self { negative, significant: significant.to_owned(), zeros }))
    }
}

/// The number of digits of 2⁶³−1.
const MAX_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_every_notation() {
        let long_zeros = format!("50000.{}", "0".repeat(10_000));
        let long_exponent = format!("0e{}", "9".repeat(10_000));
        let small = format!("5{}e-10000", "0".repeat(10_000));
        for (json, expected) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0e7", 0),
            ("0e999999999", 0),
            (&long_exponent, 0),
            ("50000", 50_000),
            ("50000.0", 50_000),
            (&long_zeros, 50_000),
            ("5e4", 50_000),
            ("5.0E4", 50_000),
            ("5.0E+4", 50_000),
            ("0.5e5", 50_000),
            ("0.00005e9", 50_000),
            ("500000e-1", 50_000),
            ("5000000.00e-2", 50_000),
            (&small, 5),
            ("12.34e2", 1234),
            ("9223372036854775807", i64::MAX),
            ("9223372036854775807.000", i64::MAX),
            ("922337203685477580.7e1", i64::MAX),
            ("9223372036854775807e0000000000000000000000000", i64::MAX),
        ] {
            assert_eq!(natural(json), Some(expected), "{json:.60}");
        }
        let huge = "9".repeat(10_000);
        let huge_exponent = format!("1e{}", "9".repeat(10_000));
        let tiny_exponent = format!("1e-{}", "9".repeat(10_000));
        for json in [
            "0.5",
            "123.45",
            "5e-1",
            "50000.01",
            "12.345e2",
            "1e-999999999",
            "-1",
            "-1.0",
            "-5e4",
            "-0.5",
            "9223372036854775808",
            "9223372036854775807.5",
            "1e19",
            "1e400",
            "1e999999999",
            "1e9223372036854775807",
            "1e-9223372036854775808",
            &huge,
            &huge_exponent,
            &tiny_exponent,
            "\"50000\"",
            "true",
            "{}",
            "[]",
            "null",
        ] {
            assert_eq!(natural(json), None, "{json:.60}");
        }
    }

    #[test]
    fn rates_are_read_in_billionths() {
        for (json, expected) in [
            ("0", Some(0)),
            ("1", Some(1_000_000_000)),
            ("1.08", Some(1_080_000_000)),
            ("0.012121", Some(12_121_000)),
            ("0.1234567899", Some(123_456_789)),
            ("1e-9", Some(1)),
            ("1.5e-10", Some(0)),
            ("1e-999999999", Some(0)),
            ("9.2e9", Some(9_200_000_000_000_000_000)),
            ("1e10", None),
            ("1e999999999", None),
            ("-1", None),
            ("\"1\"", None),
            ("true", None),
            ("1e99999999999999999999", None),
        ] {
            assert_eq!(billionths(json), expected, "{json}");
        }
    }

    #[test]
    fn trimming_removes_invisible_characters_only_at_the_ends() {
        for around in ["", " ", "\n\t", "\u{a0}", "\u{200b}", "\u{202e}", "\u{ad}", "\u{fe0f}", "\u{e0041}"] {
            assert_eq!(trimmed(&format!("{around}a b{around}{around}")), "a b", "{around:?}");
            assert_eq!(trimmed(around), "", "{around:?}");
        }
        assert_eq!(trimmed("a\u{200b}b"), "a\u{200b}b");
        assert_eq!(trimmed("é-ß"), "é-ß");
    }
}
