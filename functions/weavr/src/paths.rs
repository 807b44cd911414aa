//! All paths that Weavr publishes, including those that are not in [`KINDS`](crate::KINDS).
//!
//! No signature covers the path of a delivery, and Weavr adds paths without notice. So a delivery to a path
//! that is missing in this list is not necessarily forged.

/// Every path of the `v2` document, below the base URL that is configured at Weavr.
const PUBLISHED: [&str; 32] = [
    "/weavr/auth/users/user_deactivated/watch",
    "/weavr/authentication_factors/watch",
    "/weavr/beneficiaries/batch/watch",
    "/weavr/bulk_process_end/watch",
    "/weavr/consumers/consumer_activated/watch",
    "/weavr/consumers/consumer_deactivated/watch",
    "/weavr/consumers/kyc/watch",
    "/weavr/corporates/corporate_activated/watch",
    "/weavr/corporates/corporate_deactivated/watch",
    "/weavr/corporates/kyb/beneficiaries/watch",
    "/weavr/corporates/kyb/watch",
    "/weavr/correspondent_bank_transfers/watch",
    "/weavr/fees/watch",
    "/weavr/ibans/watch",
    "/weavr/linked_accounts/watch",
    "/weavr/login/watch",
    "/weavr/managed_accounts/deposits/watch",
    "/weavr/managed_accounts/low_balance/watch",
    "/weavr/managed_accounts/watch",
    "/weavr/managed_cards/adjustments/watch",
    "/weavr/managed_cards/authorisations/watch",
    "/weavr/managed_cards/expiries/watch",
    "/weavr/managed_cards/payments/watch",
    "/weavr/managed_cards/physical_cards_upgrade/watch",
    "/weavr/managed_cards/replacement/watch",
    "/weavr/managed_cards/settlements/watch",
    "/weavr/managed_cards/state_change/watch",
    "/weavr/manual_transactions/watch",
    "/weavr/outgoing_wire_transfers/watch",
    "/weavr/send/watch",
    "/weavr/stepup/watch",
    "/weavr/transfers/watch",
];

/// Whether Weavr publishes a path.
pub(crate) fn is_published(path: &str) -> bool {
    PUBLISHED.contains(&path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::KINDS;

    #[test]
    fn every_path_of_a_kind_is_published() {
        for kind in &KINDS {
            assert!(is_published(kind.path), "{}", kind.path);
        }
        assert!(
            !is_published("/weavr") && !is_published("/weavr/fees/watch/") && !is_published("/fees/watch")
        );
    }

    #[test]
    fn the_list_has_every_path_of_the_document_once() {
        let document: serde_json::Value =
            serde_json::from_str(include_str!("../tests/documented-v2.json")).unwrap();
        let documented: Vec<&str> =
            document["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        let here: BTreeSet<&str> =
            PUBLISHED.iter().map(|path| path.strip_prefix("/weavr").unwrap()).collect();
        assert_eq!(here, documented.iter().copied().collect());
        assert_eq!((PUBLISHED.len(), documented.len()), (here.len(), here.len()));
    }
}
