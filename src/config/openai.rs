//! Settings of an OpenAI-compatible server.

use secrecy::{ExposeSecret, SecretString};

/// OpenAI's own server, which requires a key.
const OPENAI: &str = "https://api.openai.com/";

#[derive(Clone, Debug, clap::Args)]
pub struct OpenAiSettings {
    /// Models of an OpenAI-compatible server that a chatroom can select, separated by commas; without them, none is used
    ///
    /// Compatible are OpenAI, Ollama, vLLM, llama.cpp, LM Studio, OpenRouter and others that serve chat completions.
    #[arg(long, env = "OPENAI_MODELS", hide_env_values = true, default_value = "")]
    openai_models: String,

    /// Base URL of the OpenAI-compatible server, such as http://localhost:11434/v1 for Ollama
    #[arg(
        long,
        env = "OPENAI_BASE_URL",
        hide_env_values = true,
        default_value = "https://api.openai.com/v1"
    )]
    pub openai_base_url: String,

    /// API key of the OpenAI-compatible server, if it requires one
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_parser = super::secret)]
    openai_api_key: Option<SecretString>,

    /// Name of the OpenAI-compatible server that users see as the provider of its models
    #[arg(long, env = "OPENAI_PROVIDER", hide_env_values = true, default_value = "OpenAI")]
    pub openai_provider: String,
}

impl OpenAiSettings {
    /// The models of the server that a chatroom can select; empty if no server is used.
    #[must_use]
    pub fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for name in super::items(&self.openai_models) {
            if !models.iter().any(|known| known == name) {
                models.push(name.to_owned());
            }
        }
        models
    }

    /// The API key; none if the server requires none.
    #[must_use]
    pub fn api_key(&self) -> Option<&str> {
        self.openai_api_key.as_ref().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty())
    }

    pub(super) fn check(&self) -> Result<(), String> {
        super::check_url("OPENAI_BASE_URL", &self.openai_base_url)?;
        if self.openai_provider.trim().is_empty() || self.openai_provider.chars().count() > 50 {
            return Err("OPENAI_PROVIDER must be 1 to 50 characters.".to_owned());
        }
        let models = self.models();
        if let Some(name) = models.iter().find(|name| name.len() > 200 || name.contains(char::is_control)) {
            return Err(format!("OPENAI_MODELS: `{}` is not a valid model name.", name.escape_debug()));
        }
        match (models.is_empty(), self.api_key()) {
            (true, Some(_)) => {
                Err("OPENAI_API_KEY is set, but no model: set OPENAI_MODELS to the models that chatrooms may use."
                    .to_owned())
            }
            (false, None) if self.openai_base_url.starts_with(OPENAI) => {
                Err("OPENAI_MODELS requires OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs no key."
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}
