//! The models that chatrooms can use, across providers: which model is the default, which tier may use which models, and which
//! model writes a reply.
//!
//! ```text
//!  chatroom's model, user's tier ──► candidates ──► provider ──► first text: this model writes the reply
//!                                      ▲               │
//!              breaker open: skipped ──┴───────────────┘ unavailable before the first text: the next candidate
//! ```

mod breaker;
mod fallback;
pub mod generation;

use std::sync::{Arc, Mutex};

use breaker::Breaker;
use entity::chatroom::Generation;

use crate::{
    clock::Clock,
    domain::billing::tiers::Tier,
    error::{Error, Result},
    ports::model::LanguageModel,
};

/// A model that chatrooms can use.
pub struct ConfiguredModel {
    pub name: String,
    /// The lowest tier that may use the model.
    pub tier: Tier,
    provider: Arc<dyn LanguageModel>,
    breaker: Mutex<Breaker>,
}

impl ConfiguredModel {
    /// The display name of the provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.provider.provider()
    }

    fn has_same_provider(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider)
    }
}

/// All models; there is at least one.
#[derive(Clone)]
pub struct Models {
    /// The first is the default, which every tier may use.
    configured: Arc<[ConfiguredModel]>,
    /// The server's settings, which a chatroom may override.
    generation: Generation,
    clock: Clock,
}

impl Models {
    /// The models of these providers, in this order, except that the default moves to the front. `default` names the default;
    /// without it, the first model is the default. The models in `pro` are for the Pro tier only; the default must not be one of
    /// them.
    #[must_use]
    pub fn new(
        providers: &[Arc<dyn LanguageModel>],
        default: Option<&str>,
        pro: &[&str],
        generation: Generation,
        clock: Clock,
    ) -> Self {
        let configured = providers.iter().flat_map(|provider| {
            provider.names().iter().map(|name| ConfiguredModel {
                name: name.clone(),
                tier: if pro.contains(&name.as_str()) { Tier::Pro } else { Tier::Basic },
                provider: provider.clone(),
                breaker: Mutex::default(),
            })
        });
        let mut configured: Vec<ConfiguredModel> = configured.collect();
        configured.sort_by_key(|model| Some(model.name.as_str()) != default);
        Self { configured: configured.into(), generation, clock }
    }

    /// The server's generation settings.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// All models; the first is the default.
    #[must_use]
    pub fn all(&self) -> &[ConfiguredModel] {
        &self.configured
    }

    /// The model of new chatrooms for which the client chooses none.
    #[must_use]
    pub fn default_model(&self) -> &ConfiguredModel {
        &self.configured[0]
    }

    /// The model with this name.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a model that is not configured.
    pub fn find(&self, name: &str) -> Result<&ConfiguredModel> {
        self.configured.iter().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.configured.iter().map(|model| model.name.as_str()).collect();
            Error::bad_input("model", format!("model must be one of: {}.", names.join(", ")))
        })
    }

    /// The model for a reply in a chatroom: the chatroom's, or the default if the chatroom's is no longer configured or the
    /// user's tier may no longer use it.
    #[must_use]
    pub fn for_reply(&self, chosen: &str, tier: Tier) -> &ConfiguredModel {
        let allowed = self.configured.iter().find(|model| model.name == chosen && model.tier <= tier);
        allowed.unwrap_or_else(|| self.default_model())
    }
}
