//! Where a body has the fields of a payment.

/// The names of a payment's fields in the bodies of one provider. The fields that are not here have the same name
/// and place with every provider: `body::IN_EVERY_TRANSACTION` lists those of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The object with the transaction.
    pub transaction: &'static str,
    /// Within the transaction: an object whose `umaAddress` is the sender's address too, if there is one.
    pub sender: Option<&'static str>,
    /// Within the transaction: an object whose `umaAddress` is the receiver's address too, if there is one.
    pub receiver: Option<&'static str>,
    /// Within the transaction: the provider's id of the receiver, `resource.userId` in a policy.
    pub user_id: &'static str,
    /// Within the transaction: your own id of the receiver, `resource.platformUserId` in a policy.
    pub platform_user_id: &'static str,
    /// The list of facts about the receiver that an approval should bring.
    pub requested: &'static str,
    /// Whether that list is within the transaction, or in the body itself.
    pub requested_in_transaction: bool,
}
