//! The HTTP client for an OpenAI-compatible server.

use std::sync::Arc;

use entity::message::Role;
use futures_util::stream::BoxStream;
use reqwest::{Response, header::HeaderValue};
use serde_json::{Value, json};

use super::{answer::OpenAiAnswer, failure::ApiError};
use crate::{
    adapters::model_stream::{self, OptionalParameters, Timeouts, failure},
    clock::Clock,
    ports::model::{Chunk, LanguageModel, ModelError, Prompt},
};

/// The name of the API in the log.
pub(super) const API: &str = "openai";
/// Parameters that some servers or models reject.
const OPTIONAL: [&str; 5] = ["stream_options", "temperature", "top_p", MAX_TOKENS, MAX_COMPLETION_TOKENS];
/// The older name of the parameter that limits the output. Most servers accept it.
const MAX_TOKENS: &str = "max_tokens";
/// The newer name of that parameter. [OpenAI's reasoning models](https://platform.openai.com/docs/api-reference/chat/create)
/// reject the older one.
const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";

/// An OpenAI-compatible server.
#[derive(Clone, Debug)]
pub struct Server<'a> {
    /// The display name.
    pub provider: &'a str,
    /// The URL without `/chat/completions`.
    pub base_url: &'a str,
    /// None for a server that requires no key.
    pub key: Option<&'a str>,
}

/// Calls an OpenAI-compatible server.
#[derive(Clone)]
pub struct OpenAi {
    http: reqwest::Client,
    provider: String,
    url: String,
    /// Marked as sensitive, so that debug output hides it.
    authorization: Option<HeaderValue>,
    models: Vec<String>,
    timeouts: Timeouts,
    clock: Clock,
    optional: Arc<OptionalParameters>,
}

impl OpenAi {
    /// `http` must not follow redirects, and must not have a timeout shorter than `timeouts`.
    ///
    /// # Errors
    /// The key is not a valid header value.
    pub fn new(
        http: reqwest::Client,
        server: &Server<'_>,
        models: Vec<String>,
        timeouts: Timeouts,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let authorization = server.key.map(|key| HeaderValue::from_str(&format!("Bearer {key}"))).transpose();
        let mut authorization = authorization.map_err(|_| {
            anyhow::anyhow!("OPENAI_API_KEY contains characters that are not allowed in an HTTP header")
        })?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Self {
            http,
            provider: server.provider.to_owned(),
            url: format!("{}/chat/completions", server.base_url.trim_end_matches('/')),
            authorization,
            models,
            timeouts,
            clock,
            optional: Arc::new(OptionalParameters::new(API, &OPTIONAL)),
        })
    }

    /// Opens the stream. If the server rejects an optional parameter, opens the stream without that parameter.
    async fn open(self, prompt: Prompt) -> Result<(Response, OpenAiAnswer), ModelError> {
        let mut body = body(&prompt);
        if let Some(limit) = prompt.generation.max_output_tokens {
            let is_renamed = self.optional.is_rejected(&prompt.model, MAX_TOKENS);
            body[if is_renamed { MAX_COMPLETION_TOKENS } else { MAX_TOKENS }] = json!(limit);
        }
        self.optional.remove_rejected(&mut body, &prompt.model);
        // Each pass except the last removes an optional parameter, which no later pass adds again, so the loop ends.
        loop {
            let mut call = self.http.post(&self.url).json(&body);
            if let Some(value) = &self.authorization {
                call = call.header("authorization", value.clone());
            }
            let response = call.send().await.map_err(|error| failure::of_transport(API, &error))?;
            if response.status().is_success() {
                return Ok((response, OpenAiAnswer::new(prompt.model)));
            }
            let (status, headers) = (response.status(), response.headers().clone());
            // If the body cannot be read, the failure is derived from the status alone.
            let text = response.text().await.unwrap_or_default();
            let error = ApiError::of_response(status.as_u16(), &headers, &text, self.clock.now());
            match self.optional.remove_newly_rejected(&mut body, &prompt.model, |name| error.rejects(name)) {
                Some((MAX_TOKENS, limit)) => body[MAX_COMPLETION_TOKENS] = limit,
                Some(_) => {}
                None => return Err(error.into_failure()),
            }
        }
    }
}

impl LanguageModel for OpenAi {
    fn names(&self) -> &[String] {
        &self.models
    }

    fn provider(&self) -> &str {
        &self.provider
    }

    fn generate(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>> {
        model_stream::chunks(API, self.clone().open(prompt), self.timeouts)
    }
}

/// The parameters of a call. The API has no parameter for a reasoning budget.
fn body(prompt: &Prompt) -> Value {
    let instruction =
        prompt.system_instruction.iter().map(|text| json!({ "role": "system", "content": text }));
    let turns = prompt.turns.iter().map(|turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Model => "assistant",
        };
        json!({ "role": role, "content": turn.text })
    });
    let mut body = json!({
        "model": prompt.model,
        "messages": instruction.chain(turns).collect::<Vec<_>>(),
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    for (name, value) in [("temperature", prompt.generation.temperature), ("top_p", prompt.generation.top_p)]
    {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    body
}
