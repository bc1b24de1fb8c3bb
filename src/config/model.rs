//! Settings that apply to the models of all providers.

use std::time::Duration;

use entity::chatroom::Generation;

use super::Config;

#[derive(Clone, Debug, clap::Args)]
pub struct ModelSettings {
    /// Default model of new chatrooms [default: the first model of Gemini, else of the OpenAI-compatible server]
    ///
    /// If a model is not available, its replies are written by the default model, else by the others in the order of their
    /// settings, those of Gemini first.
    #[arg(long, env = "DEFAULT_MODEL", hide_env_values = true)]
    default_model: Option<String>,

    /// Models that only subscribers can use, separated by commas; not the default model
    #[arg(long, env = "PRO_MODELS", hide_env_values = true, default_value = "")]
    pro_models: String,

    /// Temperature of the models, 0 to 2; a chatroom may override it [default: the model's own]
    #[arg(long, env = "MODEL_TEMPERATURE", hide_env_values = true, value_parser = number_up_to(2))]
    model_temperature: Option<f64>,

    /// Top-p of the models, 0 to 1; a chatroom may override it [default: the model's own]
    #[arg(long, env = "MODEL_TOP_P", hide_env_values = true, value_parser = number_up_to(1))]
    model_top_p: Option<f64>,

    /// Maximum tokens of an answer, thoughts included; a chatroom may only lower it [default: the model's own]
    #[arg(long, env = "MODEL_MAX_OUTPUT_TOKENS", hide_env_values = true, value_parser = super::number::<i32>(1..=1_000_000))]
    model_max_output_tokens: Option<i32>,

    /// Maximum tokens for the thoughts of an answer, sent to Gemini; a chatroom may only lower it [default: the model's own]
    #[arg(long, env = "MODEL_THINKING_BUDGET", hide_env_values = true, value_parser = super::number::<i32>(0..=1_000_000))]
    model_thinking_budget: Option<i32>,

    /// Maximum conversation history sent to a model, in tokens of about four bytes
    #[arg(long, env = "MODEL_HISTORY_TOKENS", hide_env_values = true, default_value_t = 32_000, value_parser = super::number::<usize>(0..=10_000_000))]
    pub model_history_tokens: usize,

    /// Timeout in seconds for the first token of a response
    #[arg(long, env = "MODEL_FIRST_TOKEN_TIMEOUT", hide_env_values = true, default_value = "180", value_parser = super::seconds(1..=3600))]
    pub model_first_token_timeout: Duration,

    /// Timeout in seconds between two chunks of a response
    #[arg(long, env = "MODEL_IDLE_TIMEOUT", hide_env_values = true, default_value = "60", value_parser = super::seconds(1..=3600))]
    pub model_idle_timeout: Duration,
}

/// Parses a number from 0 to `max`, which may have a fraction.
fn number_up_to(max: u8) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number: Option<f64> = text.parse().ok().filter(|number| (0.0..=f64::from(max)).contains(number));
        number.ok_or_else(|| format!("must be a number from 0 to {max}"))
    }
}

impl ModelSettings {
    /// The model of DEFAULT_MODEL.
    #[must_use]
    pub fn default_model(&self) -> Option<&str> {
        self.default_model.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    /// The settings that apply to chatrooms without their own.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation {
            temperature: self.model_temperature,
            top_p: self.model_top_p,
            max_output_tokens: self.model_max_output_tokens,
            thinking_budget: self.model_thinking_budget,
        }
    }

    /// The models of PRO_MODELS.
    #[must_use]
    pub fn pro_models(&self) -> Vec<&str> {
        super::items(&self.pro_models).collect()
    }
}

impl Config {
    pub(super) fn check_models(&self) -> Result<(), String> {
        self.gemini.check()?;
        self.openai.check()?;
        let gemini = self.gemini.api_key().map(|_| self.gemini.models()).unwrap_or_default();
        let openai = self.openai.models();
        if let Some(name) = gemini.iter().find(|name| openai.contains(name)) {
            return Err(format!(
                "`{name}` is a model of Gemini and in OPENAI_MODELS. A model's name must be that of one provider only."
            ));
        }
        let models = [gemini, openai].concat();
        let (default, pro) = (self.model.default_model(), self.model.pro_models());
        let pro_names = pro.iter().map(|name| ("PRO_MODELS", *name));
        for (setting, name) in default.map(|name| ("DEFAULT_MODEL", name)).into_iter().chain(pro_names) {
            if !models.iter().any(|known| known == name) {
                let list = if models.is_empty() { "none".to_owned() } else { models.join(", ") };
                return Err(format!("{setting}: `{name}` is not one of the configured models: {list}."));
            }
        }
        match default.or(models.first().map(String::as_str)) {
            Some(default) if pro.contains(&default) => Err(format!(
                "PRO_MODELS: `{default}` is the default model, which all users need: set DEFAULT_MODEL to another model."
            )),
            _ => Ok(()),
        }
    }
}
