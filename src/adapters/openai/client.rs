//! The HTTP client for an OpenAI-compatible server.

use std::sync::Arc;

use entity::message::Role;
use futures_util::stream::BoxStream;
use reqwest::{Response, header::HeaderValue};
use serde::Serialize;
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
        let messages = messages(&prompt);
        let mut parameters = parameters(&prompt);
        if let Some(limit) = prompt.generation.max_output_tokens {
            let is_renamed = self.optional.is_rejected(&prompt.model, MAX_TOKENS);
            parameters[if is_renamed { MAX_COMPLETION_TOKENS } else { MAX_TOKENS }] = json!(limit);
        }
        self.optional.remove_rejected(&mut parameters, &prompt.model);
        // Each pass except the last removes an optional parameter, or replaces `max_tokens` by its newer name. No pass adds a
        // removed parameter, so the loop ends.
        loop {
            let body = Body { messages: &messages, parameters: &parameters };
            let mut call = self.http.post(&self.url).json(&body);
            if let Some(value) = &self.authorization {
                call = call.header("authorization", value.clone());
            }
            let response = call.send().await.map_err(|error| failure::of_transport(API, &error))?;
            if response.status().is_success() {
                return Ok((response, OpenAiAnswer::new(prompt.model)));
            }
            let (status, headers) = (response.status(), response.headers().clone());
            // If the body cannot be read, the failure is derived from the status and the headers.
            let text = response.text().await.unwrap_or_default();
            let error = ApiError::of_response(status.as_u16(), &headers, &text, self.clock.now());
            let rejects = |name: &str| error.rejects(name);
            match self.optional.remove_newly_rejected(&mut parameters, &prompt.model, rejects) {
                Some((MAX_TOKENS, limit)) => parameters[MAX_COMPLETION_TOKENS] = limit,
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

/// The body of a call. It borrows the texts, because a prompt may be long.
#[derive(Serialize)]
struct Body<'a> {
    messages: &'a [Message<'a>],
    #[serde(flatten)]
    parameters: &'a Value,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

fn messages(prompt: &Prompt) -> Vec<Message<'_>> {
    let instruction = prompt.system_instruction.iter().map(|content| Message { role: "system", content });
    let turns = prompt.turns.iter().map(|turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Model => "assistant",
        };
        Message { role, content: &turn.text }
    });
    instruction.chain(turns).collect()
}

/// The parameters of a call, except the messages and the maximum output, whose name depends on the model. The API has no
/// parameter for a reasoning budget.
fn parameters(prompt: &Prompt) -> Value {
    let mut parameters = json!({
        "model": prompt.model,
        "stream": true,
        "stream_options": { "include_usage": true },
    });
    for (name, value) in [("temperature", prompt.generation.temperature), ("top_p", prompt.generation.top_p)]
    {
        if let Some(value) = value {
            parameters[name] = json!(value);
        }
    }
    parameters
}
