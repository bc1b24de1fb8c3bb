//! Settings of Gemini.

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct GeminiSettings {
    /// API key of Gemini; without it and without OPENAI_MODELS, the built-in demo model is used
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

    /// First model of Gemini, the default of new chatrooms unless DEFAULT_MODEL is set
    #[arg(long, env = "GEMINI_MODEL", hide_env_values = true, default_value = "gemini-3.5-flash-lite")]
    gemini_model: String,

    /// Further models of Gemini that a chatroom can select, separated by commas
    #[arg(long, env = "GEMINI_MODELS", hide_env_values = true, default_value = "")]
    gemini_models: String,
}

impl GeminiSettings {
    /// The API key; none if it is not set, so that Gemini is not used.
    #[must_use]
    pub fn api_key(&self) -> Option<&SecretString> {
        self.gemini_api_key.as_ref().filter(|key| !key.expose_secret().is_empty())
    }

    /// The models of Gemini that a chatroom can select.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        let mut models = vec![self.gemini_model.clone()];
        models.extend(
            super::items(&self.gemini_models).filter(|&name| name != self.gemini_model).map(str::to_owned),
        );
        models
    }

    pub(super) fn check(&self) -> Result<(), String> {
        super::check_url("GEMINI_BASE_URL", &self.gemini_base_url)?;
        // Model names become part of a URL path.
        let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        match self.models().iter().find(|name| name.is_empty() || !is_plain(name)) {
            Some(name) => Err(format!("GEMINI_MODEL(S): `{name}` is not a valid model name.")),
            None => Ok(()),
        }
    }
}
