//! Settings of the model provider.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct GeminiSettings {
    /// API key of Gemini; without it, the built-in demo model is used
    #[arg(long, env = "GEMINI_API_KEY", hide_env_values = true, value_parser = super::secret)]
    gemini_api_key: Option<SecretString>,

    /// Base URL of Gemini's API
    #[arg(
        long,
        env = "GEMINI_BASE_URL",
        hide_env_values = true,
        default_value = "https://generativelanguage.googleapis.com"
    )]
    pub gemini_base_url: String,

    /// Default model of new chatrooms
    #[arg(long, env = "GEMINI_MODEL", hide_env_values = true, default_value = "gemini-3.5-flash-lite")]
    gemini_model: String,

    /// Further models that a chatroom can select, separated by commas; they also replace a model that is no longer available,
    /// in this order
    #[arg(long, env = "GEMINI_MODELS", hide_env_values = true, default_value = "")]
    gemini_models: String,

    /// Maximum conversation history sent to the model, in tokens of about four bytes
    #[arg(long, env = "GEMINI_HISTORY_TOKENS", hide_env_values = true, default_value_t = 32_000, value_parser = super::number::<usize>(0..=10_000_000))]
    pub gemini_history_tokens: usize,

    /// Timeout in seconds for the first token of a response
    #[arg(long, env = "GEMINI_FIRST_TOKEN_TIMEOUT", hide_env_values = true, default_value = "180", value_parser = super::seconds(1..=3600))]
    pub gemini_first_token_timeout: Duration,

    /// Timeout in seconds between two chunks of a response
    #[arg(long, env = "GEMINI_IDLE_TIMEOUT", hide_env_values = true, default_value = "60", value_parser = super::seconds(1..=3600))]
    pub gemini_idle_timeout: Duration,
}

impl GeminiSettings {
    /// The API key; none if the demo model is used.
    #[must_use]
    pub fn api_key(&self) -> Option<&SecretString> {
        self.gemini_api_key.as_ref().filter(|key| !key.expose_secret().is_empty())
    }

    /// The models that a chatroom can select. The first is the default.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        let mut models = vec![self.gemini_model.clone()];
        models.extend(
            super::items(&self.gemini_models).filter(|&name| name != self.gemini_model).map(str::to_owned),
        );
        models
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let base = &self.gemini_base_url;
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(format!("GEMINI_BASE_URL: `{base}` is not an http(s) URL."));
        }
        // Model names become part of a URL path.
        let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        match self.models().iter().find(|name| name.is_empty() || !is_plain(name)) {
            Some(name) => Err(format!("GEMINI_MODEL(S): `{name}` is not a valid model name.")),
            None => Ok(()),
        }
    }
}
