//! The samples, under names that a command takes: `umaaas.incoming_payment`,
//! `weavr.managed_cards.settlement`.

use anyhow::{Result, bail};
use local_stack::senders::{SENDERS, Sample, Sender};

/// A provider's sample.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub provider: &'static Sender,
    pub sample: &'static Sample,
}

impl Named {
    /// All samples.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        SENDERS
            .iter()
            .flat_map(|provider| provider.samples.iter().map(move |sample| Self { provider, sample }))
    }

    /// The sample of this name. The provider may be left out where only one has such a sample.
    ///
    /// # Errors
    /// There is none, or there are several; the error names similar ones.
    pub(crate) fn find(name: &str) -> Result<Self> {
        if let Some(found) = Self::all().find(|named| named.name() == name) {
            return Ok(found);
        }
        let found: Vec<Self> = Self::all().filter(|named| named.sample.file == name).collect();
        if let [one] = found[..] {
            return Ok(one);
        }
        let similar: Vec<String> = Self::all()
            .map(|named| named.name())
            .filter(|known| !name.is_empty() && known.contains(name))
            .collect();
        if similar.is_empty() {
            bail!("there is no kind `{name}`; `cargo webhooks send --list` shows all");
        }
        bail!("there is no kind `{name}`; there is {}", similar.join(", "))
    }

    /// Its name.
    pub(crate) fn name(self) -> String {
        format!("{}.{}", self.provider.name, self.sample.file)
    }
}

/// The provider of this name, for clap.
pub(crate) fn provider(name: &str) -> Result<&'static Sender, String> {
    Sender::named(name).ok_or_else(|| {
        let names: Vec<&str> = SENDERS.iter().map(|provider| provider.name).collect();
        format!("the providers are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_sample_has_a_name_of_its_own() {
        let names: Vec<String> = Named::all().map(Named::name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for name in &names {
            assert_eq!(&Named::find(name).unwrap().name(), name);
        }
        assert_eq!(Named::find("bulk_upload").unwrap().name(), "umaaas.bulk_upload");
        assert_eq!(Named::find("weavr.unknown").unwrap().sample.kind, "weavr.unknown");
        let error = Named::find("managed_cards").err().unwrap().to_string();
        assert!(error.contains("weavr.managed_cards.settlement"), "{error}");
        assert!(Named::find("x").is_err() && Named::find("").is_err());
    }
}
