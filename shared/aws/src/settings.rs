//! The environment variables of a function, read once at start-up. A missing or invalid variable stops the
//! start; the error has the variable's name and the expected value.

use std::fmt;

use jiff::SignedDuration;
use verify::{FUTURE_SKEW, PublicKeys, Secrets, Tolerance};

use crate::variables::{KEEP_PAYLOAD, RETENTION_DAYS, Unset, Variable};

/// The longest retention: ten years. An expiry time that far ahead is still well within the range of
/// [`jiff::Timestamp`].
const MAX_RETENTION_DAYS: u32 = 3650;

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment variables of a process.
pub struct Environment {
    lookup: Box<Lookup>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(…)")
    }
}

/// An error about a variable because of which the function does not start. It never contains the variable's
/// value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The variable is not set, or empty.
    #[error("{name} is not set: {meaning}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What the variable is for.
        meaning: &'static str,
    },
    /// The variable has an invalid value.
    #[error("{name} is wrong: {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What the value must be, or what is wrong with it.
        expected: String,
    },
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Variables from a function, for tests.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Box::new(lookup) }
    }

    /// The value of a variable, or its default. An empty value counts as not set.
    #[must_use]
    pub fn optional(&self, variable: &Variable) -> Option<String> {
        let value = (self.lookup)(variable.name).filter(|value| !value.trim().is_empty());
        value.or_else(|| match variable.unset {
            Unset::Default(value) => Some(value.to_owned()),
            _ => None,
        })
    }

    /// The value of a variable that must be set or have a default.
    ///
    /// # Errors
    /// [`SettingsError::Missing`] when it is not set, or empty, and has no default.
    pub fn required(&self, variable: &Variable) -> Result<String, SettingsError> {
        let Variable { name, meaning, .. } = *variable;
        self.optional(variable).ok_or(SettingsError::Missing { name, meaning })
    }

    /// What a variable names, if it is set: `load` reads it from the value.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with the error of `load`.
    pub fn loaded<T, E: fmt::Display>(
        &self,
        variable: &Variable,
        load: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SettingsError> {
        let loaded = self.optional(variable).map(|value| load(&value));
        loaded.transpose().map_err(|error| variable.wrong(error.to_string()))
    }

    /// Secrets from a comma-separated list, newest first.
    ///
    /// # Errors
    /// [`SettingsError`] when the variable is not set, or an entry of the list is empty or a key in PEM.
    pub fn secrets(&self, variable: &Variable) -> Result<Secrets, SettingsError> {
        let list = self.required(variable)?;
        Secrets::parse_list(&list).map_err(|error| variable.wrong(error.to_string()))
    }

    /// Public keys in PEM, one after the other, newest first.
    ///
    /// # Errors
    /// [`SettingsError`] when there is none, or one cannot be read.
    pub fn public_keys(&self, variable: &Variable) -> Result<PublicKeys, SettingsError> {
        let list = self.required(variable)?;
        PublicKeys::parse_pem(&list).map_err(|error| variable.wrong(error.to_string()))
    }

    /// How long a settled record stays in the table.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for anything but 1 to 3650 days.
    pub fn retention(&self) -> Result<SignedDuration, SettingsError> {
        let days = self.number(&RETENTION_DAYS, 1, MAX_RETENTION_DAYS)?.unwrap_or_default();
        Ok(SignedDuration::from_hours(i64::from(days) * 24))
    }

    /// The greatest accepted age of a delivery; `None`, any age, when the variable is not set. Records must
    /// be kept longer than this age plus the accepted clock skew of the sender ([`FUTURE_SKEW`]): otherwise a
    /// replay of an old delivery would find no record and count as new.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for anything but a positive whole number of seconds that is shorter than
    /// the retention by more than [`FUTURE_SKEW`].
    pub fn tolerance(&self, variable: &Variable) -> Result<Option<Tolerance>, SettingsError> {
        let Some(seconds) = self.number(variable, 1, u32::MAX)? else { return Ok(None) };
        let tolerance = SignedDuration::from_secs(i64::from(seconds));
        if tolerance + FUTURE_SKEW >= self.retention()? {
            return Err(variable.wrong(
                "must be shorter than RETENTION_DAYS by more than 5 minutes, or a replay could outlive its record",
            ));
        }
        Ok(Some(Tolerance(tolerance)))
    }

    /// Whether a settled record keeps the body.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for anything but `true` and `false`.
    pub fn keep_payload(&self) -> Result<bool, SettingsError> {
        self.flag(&KEEP_PAYLOAD)
    }

    /// A variable that is `true` or `false`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for anything else.
    pub(crate) fn flag(&self, variable: &Variable) -> Result<bool, SettingsError> {
        match self.required(variable)?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(variable.wrong("must be true or false")),
        }
    }

    fn number(&self, variable: &Variable, min: u32, max: u32) -> Result<Option<u32>, SettingsError> {
        let Some(text) = self.optional(variable) else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(variable.wrong(format!("must be a whole number from {min} to {max}"))),
        }
    }
}

impl Variable {
    /// The error for a variable with an invalid value. `expected` says what the value must be.
    #[must_use]
    pub fn wrong(&self, expected: impl Into<String>) -> SettingsError {
        SettingsError::Invalid { name: self.name, expected: expected.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Variable = Variable::new("T", Unset::Optional, "a tolerance");
    const S: Variable = Variable::new("S", Unset::Required, "secrets");

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> Environment {
        Environment::from_lookup(move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults() {
        let nothing = environment(&[]);
        assert_eq!(nothing.retention(), Ok(SignedDuration::from_hours(90 * 24)));
        assert_eq!(nothing.tolerance(&T), Ok(None));
        assert_eq!(nothing.keep_payload(), Ok(true));
        assert!(matches!(nothing.secrets(&S), Err(SettingsError::Missing { name: "S", .. })));
    }

    #[test]
    fn wrong_values_name_their_variable() {
        for value in ["0", "-1", "x", "3651", "1.5"] {
            let environment = Environment::from_lookup(move |_| Some(value.to_owned()));
            let error = environment.retention().unwrap_err().to_string();
            assert!(error.contains("RETENTION_DAYS") && error.contains("1 to 3650"), "{error}");
        }
        let error = environment(&[("KEEP_PAYLOAD", "no")]).keep_payload().unwrap_err().to_string();
        assert_eq!(error, "KEEP_PAYLOAD is wrong: must be true or false");
        let error = environment(&[("S", "hunter2,,")]).secrets(&S).unwrap_err().to_string();
        assert!(error.contains('S') && !error.contains("hunter2"), "{error}");
        assert!(matches!(environment(&[("S", " ")]).secrets(&S), Err(SettingsError::Missing { .. })));
        let error = environment(&[("S", "hunter2")]).public_keys(&S).unwrap_err().to_string();
        assert!(error.contains("S is wrong: PEM block 1") && !error.contains("hunter2"), "{error}");
        assert!(matches!(environment(&[]).public_keys(&S), Err(SettingsError::Missing { .. })));
    }

    #[test]
    fn records_outlive_the_tolerance() {
        let day = environment(&[("RETENTION_DAYS", "1"), ("T", "86099")]);
        assert_eq!(day.tolerance(&T), Ok(Some(Tolerance(SignedDuration::from_secs(86_099)))));
        assert!(environment(&[("RETENTION_DAYS", "1"), ("T", "86100")]).tolerance(&T).is_err());
    }
}
