//! Where a page of a listing ends.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;

use crate::{Entry, Order};

/// Where a page ends: at the record with this time and key. It says where to go on even when that record is gone.
///
/// ```
/// use webhook_records::Position;
/// let position = Position { received_at: jiff::Timestamp::UNIX_EPOCH, key: "umaaas#TEST#1".into() };
/// assert_eq!(position.to_string().parse(), Ok(position));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When the record was received, to the millisecond.
    pub received_at: Timestamp,
    /// Its key.
    pub key: String,
}

impl Position {
    /// The position of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self { received_at: entry.received_at, key: entry.key.clone() }
    }

    /// Whether an entry comes after this position.
    pub(crate) fn is_before(&self, entry: &Entry, order: Order) -> bool {
        let (here, there) = ((self.received_at, &self.key), (entry.received_at, &entry.key));
        match order {
            Order::NewestFirst => there < here,
            Order::OldestFirst => there > here,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(format!("{} {}", self.received_at.as_millisecond(), self.key)))
    }
}

/// A text is not what a page has given as its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the `next` of a page")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let text = String::from_utf8(BASE64.decode(text).map_err(|_| NoPosition)?).map_err(|_| NoPosition)?;
        let (millis, key) = text.split_once(' ').ok_or(NoPosition)?;
        let millis = millis.parse().map_err(|_| NoPosition)?;
        let received_at = Timestamp::from_millisecond(millis).map_err(|_| NoPosition)?;
        Ok(Self { received_at, key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_page_gave() {
        for wrong in ["", "x", "%", "MTIz", &BASE64.encode("x y"), &BASE64.encode("99999999999999999999 k")] {
            assert_eq!(wrong.parse::<Position>(), Err(NoPosition), "{wrong}");
        }
        let odd = Position { received_at: Timestamp::UNIX_EPOCH, key: "a b#\u{20ac}".into() };
        assert_eq!(odd.to_string().parse(), Ok(odd));
    }
}
