//! Exchange rates, for rules about amounts in one currency.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::forms::{self, Number};

/// The most decimal places of a currency, and the most digits of a rate.
const MAX_DECIMALS: u8 = 18;
const MAX_DIGITS: usize = 18;

/// The contents of `rates.json`.
#[derive(Debug)]
pub(crate) struct Rates {
    as_of: Timestamp,
    max_age: SignedDuration,
    base_decimals: u8,
    rates: BTreeMap<String, Rate>,
}

/// How much one unit of a currency is worth in the base currency: `significant` times ten to the power of `zeros`.
#[derive(Debug)]
struct Rate {
    significant: i128,
    zeros: i64,
    decimals: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File<'a> {
    as_of: String,
    max_age: String,
    base: Base,
    #[serde(borrow)]
    rates: BTreeMap<String, Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Base {
    currency: String,
    decimals: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow)]
    rate: &'a RawValue,
    decimals: u8,
}

impl Rates {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let as_of = file.as_of.parse().map_err(|_| "`asOf` is not a time such as 2026-11-02T06:00:00Z")?;
        let max_age: SignedDuration =
            file.max_age.parse().map_err(|_| "`maxAge` is not a duration such as 36h")?;
        if !max_age.is_positive() {
            return Err("`maxAge` is not positive".to_owned());
        }
        let mut rates = BTreeMap::new();
        for (currency, Entry { rate, decimals }) in file.rates {
            let wrong = |what: &str| format!("rate of {currency:?}: {what}");
            let number = Number::read(rate.get()).flatten().filter(|number| !number.negative);
            let number = number.ok_or_else(|| wrong("it is not a number above 0"))?;
            if number.significant.len() > MAX_DIGITS || number.zeros.unsigned_abs() > 18 {
                return Err(wrong("it has more than 18 digits"));
            }
            let significant = number.significant.parse().map_err(|_| wrong("it is not a number"))?;
            rates.insert(code(&currency, decimals)?, Rate { significant, zeros: number.zeros, decimals });
        }
        let Base { currency, decimals } = file.base;
        let one = Rate { significant: 1, zeros: 0, decimals };
        if rates.insert(code(&currency, decimals)?, one).is_some() {
            return Err(format!("the base currency {currency} has a rate"));
        }
        Ok(Self { as_of, max_age, base_decimals: decimals, rates })
    }

    /// An amount in minor units of the base currency, rounded up.
    ///
    /// # Errors
    /// Why it cannot be converted.
    pub(crate) fn convert(
        &self,
        amount: i64,
        currency: &str,
        decimals: Option<i64>,
        now: Timestamp,
    ) -> Result<i64, &'static str> {
        let age = now.duration_since(self.as_of);
        if age.is_negative() || age > self.max_age {
            return Err("cannot be converted, because the policy's rates are out of date");
        }
        let rate =
            self.rates.get(currency).ok_or("cannot be converted, because the policy has no rate for it")?;
        if decimals.is_some_and(|decimals| decimals != i64::from(rate.decimals)) {
            return Err("has other decimals than the policy's rate");
        }
        rate.convert(amount, self.base_decimals).ok_or("is too large to be converted")
    }
}

impl Rate {
    fn convert(&self, amount: i64, base_decimals: u8) -> Option<i64> {
        let power = self.zeros + i64::from(base_decimals) - i64::from(self.decimals);
        let product = i128::from(amount).checked_mul(self.significant)?;
        let scale = 10_i128.checked_pow(u32::try_from(power.unsigned_abs()).ok()?)?;
        let value = if power < 0 {
            product / scale + i128::from(product % scale != 0)
        } else {
            product.checked_mul(scale)?
        };
        i64::try_from(value).ok()
    }
}

/// A currency's code in upper case, as payments have it.
fn code(currency: &str, decimals: u8) -> Result<String, String> {
    if forms::currency(currency).as_deref() != Some(currency) {
        return Err(format!("{currency:?} is not a currency in upper case, such as \"USD\""));
    }
    if decimals > MAX_DECIMALS {
        return Err(format!("{currency} has more than {MAX_DECIMALS} decimals"));
    }
    Ok(currency.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_converted_exactly_and_rounded_up() {
        let rates = Rates::parse(
            r#"{"asOf": "2026-11-02T06:00:00Z", "maxAge": "36h", "base": {"currency": "EUR", "decimals": 2},
                "rates": {"USD": {"rate": 0.92, "decimals": 2}, "JPY": {"rate": 6.1e-3, "decimals": 0},
                          "BTC": {"rate": 90000, "decimals": 8}}}"#,
        )
        .unwrap();
        let at = |time: &str| time.parse::<Timestamp>().unwrap();
        let now = at("2026-11-03T18:00:00Z");
        for (amount, currency, expected) in [
            (100, "EUR", Ok(100)),
            (100, "USD", Ok(92)),
            (1, "USD", Ok(1)),
            (0, "USD", Ok(0)),
            (1000, "JPY", Ok(610)),
            (100_000_000, "BTC", Ok(9_000_000)),
            (1, "BTC", Ok(1)),
            (i64::MAX, "EUR", Ok(i64::MAX)),
        ] {
            assert_eq!(rates.convert(amount, currency, None, now), expected, "{amount} {currency}");
        }
        assert!(rates.convert(1, "GBP", None, now).is_err());
        assert!(rates.convert(1, "USD", Some(3), now).is_err());
        assert!(rates.convert(1, "USD", Some(2), now).is_ok());
        assert!(rates.convert(1, "USD", None, at("2026-11-03T18:00:01Z")).is_err(), "too old");
        assert!(rates.convert(1, "USD", None, at("2026-11-02T05:59:59Z")).is_err(), "from the future");
        assert!(rates.convert(i64::MAX / 2, "JPY", None, now).is_ok());
        let large = Rate { significant: 999_999_999_999_999_999, zeros: 18, decimals: 0 };
        assert_eq!(large.convert(i64::MAX, 18), None);
    }
}
