//! The HTTP client for Gemini.

use std::sync::Arc;

use entity::{chatroom::Generation, message::Role};
use futures_util::stream::BoxStream;
use reqwest::{Response, header::HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::{answer::GeminiAnswer, failure::ApiError};
use crate::{
    adapters::model_stream::{self, OptionalParameters, Timeouts, failure},
    clock::Clock,
    ports::model::{Chunk, LanguageModel, ModelError, Prompt, Turn},
};

/// The name of the API in the log.
const API: &str = "gemini";
/// Parameters of `generationConfig` that some models reject.
const OPTIONAL: [&str; 1] = ["thinkingConfig"];

/// Calls Gemini at a base URL.
#[derive(Clone)]
pub struct Gemini {
    http: reqwest::Client,
    base_url: String,
    /// Marked as sensitive, so that debug output hides it.
    key: HeaderValue,
    models: Vec<String>,
    timeouts: Timeouts,
    clock: Clock,
    optional: Arc<OptionalParameters>,
}

impl Gemini {
    /// `http` must not follow redirects, and must not have a timeout shorter than `timeouts`.
    ///
    /// # Errors
    /// The key is not a valid header value.
    pub fn new(
        http: reqwest::Client,
        base_url: &str,
        key: &str,
        models: Vec<String>,
        timeouts: Timeouts,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key).map_err(|_| {
            anyhow::anyhow!("GEMINI_API_KEY contains characters that are not allowed in an HTTP header")
        })?;
        key.set_sensitive(true);
        Ok(Self {
            http,
            base_url: base_url.trim_end_matches('/').to_owned(),
            key,
            models,
            timeouts,
            clock,
            optional: Arc::new(OptionalParameters::new(API, &OPTIONAL)),
        })
    }

    /// Opens the stream. If the model rejects the thinking budget, opens the stream without a budget.
    async fn open(self, prompt: Prompt) -> Result<(Response, GeminiAnswer), ModelError> {
        let url = format!("{}/v1beta/models/{}:streamGenerateContent?alt=sse", self.base_url, prompt.model);
        let mut config = config(&prompt.generation);
        self.optional.remove_rejected(&mut config, &prompt.model);
        loop {
            let body = Body::new(&prompt, &config);
            let call = self.http.post(&url).header("x-goog-api-key", self.key.clone()).json(&body);
            let response = call.send().await.map_err(|error| failure::of_transport(API, &error))?;
            if response.status().is_success() {
                return Ok((response, GeminiAnswer::new(prompt.model)));
            }
            let (status, headers) = (response.status(), response.headers().clone());
            // If the body cannot be read, the failure is derived from the status and the headers.
            let text = response.text().await.unwrap_or_default();
            let error = ApiError::of_response(status.as_u16(), &headers, &text, self.clock.now());
            // The name is ignored, because the thinking budget is the only optional parameter.
            let rejects = |_: &str| error.rejects_the_thinking_budget();
            if self.optional.remove_newly_rejected(&mut config, &prompt.model, rejects).is_none() {
                return Err(error.into_failure());
            }
        }
    }
}

impl LanguageModel for Gemini {
    fn names(&self) -> &[String] {
        &self.models
    }

    fn provider(&self) -> &'static str {
        "Google"
    }

    fn generate(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>> {
        model_stream::chunks(API, self.clone().open(prompt), self.timeouts)
    }
}

/// The body of a call. It borrows the texts, because a prompt may be long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "is_empty")]
    generation_config: &'a Value,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: &'a str,
}

impl<'a> Body<'a> {
    fn new(prompt: &'a Prompt, generation_config: &'a Value) -> Self {
        let content = |role, text| Content { role, parts: [Part { text }] };
        let turn = |turn: &'a Turn| {
            let role = match turn.role {
                Role::User => "user",
                Role::Model => "model",
            };
            content(Some(role), &turn.text)
        };
        Self {
            contents: prompt.turns.iter().map(turn).collect(),
            system_instruction: prompt.system_instruction.as_deref().map(|text| content(None, text)),
            generation_config,
        }
    }
}

fn is_empty(parameters: &Value) -> bool {
    parameters.as_object().is_none_or(serde_json::Map::is_empty)
}

/// The settings that have a value, as a [`generationConfig`](https://ai.google.dev/api/generate-content#v1beta.GenerationConfig).
fn config(generation: &Generation) -> Value {
    let mut config = json!({});
    if let Some(temperature) = generation.temperature {
        config["temperature"] = json!(temperature);
    }
    if let Some(top_p) = generation.top_p {
        config["topP"] = json!(top_p);
    }
    if let Some(limit) = generation.max_output_tokens {
        config["maxOutputTokens"] = json!(limit);
    }
    if let Some(budget) = generation.thinking_budget {
        config["thinkingConfig"] = json!({ "thinkingBudget": budget });
    }
    config
}
