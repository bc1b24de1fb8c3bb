//! Builds the clients of the models' providers.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::http_client;
use crate::{
    adapters::{
        Timeouts,
        demo_model::DemoModel,
        gemini::Gemini,
        measured::MeasuredModel,
        openai::{OpenAi, Server},
    },
    clock::Clock,
    config::Config,
    domain::models::Models,
    ports::model::LanguageModel,
    telemetry::metrics::ModelMetrics,
};

/// The configured providers with their models, or the demo model.
pub(super) fn models(config: &Config, clock: &Clock, metrics: &ModelMetrics) -> anyhow::Result<Models> {
    let settings = &config.model;
    let timeouts = Timeouts {
        first_token: settings.model_first_token_timeout,
        between_chunks: settings.model_idle_timeout,
    };
    let http = || http_client(timeouts.first_token.max(timeouts.between_chunks));
    let mut providers: Vec<Arc<dyn LanguageModel>> = Vec::new();
    if let Some(key) = config.gemini.api_key() {
        let (base_url, key) = (&config.gemini.gemini_base_url, key.expose_secret());
        let models = config.gemini.models();
        providers.push(Arc::new(Gemini::new(http()?, base_url, key, models, timeouts, clock.clone())?));
    }
    let models = config.openai.models();
    if !models.is_empty() {
        let server = Server {
            provider: &config.openai.openai_provider,
            base_url: &config.openai.openai_base_url,
            key: config.openai.api_key(),
        };
        providers.push(Arc::new(OpenAi::new(http()?, &server, models, timeouts, clock.clone())?));
    }
    if providers.is_empty() {
        providers.push(Arc::new(DemoModel::default()));
    }
    let measured = |provider| Arc::new(MeasuredModel::new(provider, metrics)) as Arc<dyn LanguageModel>;
    let providers: Vec<_> = providers.into_iter().map(measured).collect();
    let (default, pro, generation) = (settings.default_model(), settings.pro_models(), settings.generation());
    Ok(Models::new(&providers, default, &pro, generation, clock.clone()))
}
