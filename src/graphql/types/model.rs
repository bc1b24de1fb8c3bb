use async_graphql::SimpleObject;

use super::billing::Tier;
use crate::domain::models::ConfiguredModel;

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
    pub fn new(model: &ConfiguredModel, is_default: bool) -> Self {
        let (name, provider) = (model.name.clone(), model.provider().to_owned());
        Self { name, provider, is_default, tier: model.tier.into() }
    }
}
