use async_graphql::SimpleObject;

use super::billing::Tier;
use crate::domain::models::Offer;

/// A language model that a chatroom can use.
#[derive(SimpleObject)]
pub struct Model {
    /// The name, for `model` of a chatroom.
    name: String,
    /// The provider of the model.
    provider: String,
    /// Whether it is the default of new chatrooms.
    is_default: bool,
    /// The lowest tier that may use it. In a chatroom of a user who no longer has that tier, the default model replies.
    tier: Tier,
}

impl Model {
    pub fn new(offer: &Offer, is_default: bool) -> Self {
        let (name, provider) = (offer.name.clone(), offer.provider().to_owned());
        Self { name, provider, is_default, tier: offer.tier.into() }
    }
}
