//! The HTTP client for Gemini.

use std::time::Duration;

use async_stream::try_stream;
use entity::message::Role;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{Response, header::HeaderValue};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    answer::Answer,
    failure::{self, ApiError},
    sse::Decoder,
};
use crate::{
    clock::Clock,
    ports::model::{Chunk, LanguageModel, ModelError, Prompt},
};

/// How long to wait for further text and counts after a finish reason, if the response body stays open.
const AFTER_FINISH: Duration = Duration::from_secs(10);

/// How long to wait for Gemini's next event.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until an event has brought the first text or thought. Earlier events restart the time.
    pub first_token: Duration,
    /// Afterwards, between two events.
    pub between_chunks: Duration,
}

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
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), key, models, timeouts, clock })
    }

    /// Opens the stream with the requested model. If Gemini does not know it, tries the other configured models in order. Also
    /// returns the name of the model that answers.
    async fn open(&self, prompt: &Prompt) -> Result<(Response, String), ModelError> {
        let others = self.models.iter().filter(|&name| *name != prompt.model);
        let body = body(prompt);
        let mut unknown = None;
        for model in std::iter::once(&prompt.model).chain(others) {
            let url = format!("{}/v1beta/models/{model}:streamGenerateContent?alt=sse", self.base_url);
            let call = self.http.post(url).header("x-goog-api-key", self.key.clone()).json(&body);
            let response = call.send().await.map_err(|error| failure::of_transport(&error))?;
            if response.status().is_success() {
                return Ok((response, model.clone()));
            }
            let (status, headers) = (response.status(), response.headers().clone());
            // If the body cannot be read, the status decides.
            let text = response.text().await.unwrap_or_default();
            let error = ApiError::of_response(status.as_u16(), &headers, &text, self.clock.now());
            if !error.is_unknown_model() {
                return Err(error.into_failure());
            }
            unknown = Some(error);
        }
        Err(unknown.map_or_else(failure::truncated, ApiError::into_failure))
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
        let gemini = self.clone();
        let Timeouts { first_token, between_chunks } = self.timeouts;
        let chunks = try_stream! {
            let mut deadline = Instant::now() + first_token;
            let opened = timeout_at(deadline, gemini.open(&prompt)).await;
            let (response, model) = opened.map_err(|_| failure::timed_out())??;
            let mut bytes = response.bytes_stream();
            let mut decoder = Decoder::default();
            let mut answer = Answer::new(model);
            yield Chunk::Usage(answer.usage());
            loop {
                let objects = match timeout_at(deadline, bytes.next()).await {
                    Ok(None) => break,
                    Ok(Some(Ok(read))) => decoder.push(&read).map_err(|_| failure::truncated()),
                    Ok(Some(Err(error))) => Err(failure::of_transport(&error)),
                    Err(_) => Err(failure::timed_out()),
                };
                // After a finish reason the answer is complete, even if the connection breaks or times out.
                if objects.is_err() && answer.is_finished() {
                    break;
                }
                for object in objects? {
                    let added = answer.read(&object)?;
                    if added.is_progress && answer.is_finished() {
                        deadline = Instant::now() + AFTER_FINISH;
                    } else if !answer.is_finished() {
                        let timeout = if answer.has_begun() { between_chunks } else { first_token };
                        deadline = Instant::now() + timeout;
                    }
                    for chunk in added.chunks {
                        yield chunk;
                    }
                }
            }
            for object in decoder.finish() {
                for chunk in answer.read(&object)?.chunks {
                    yield chunk;
                }
            }
            for chunk in answer.end()? {
                yield chunk;
            }
        };
        chunks.boxed()
    }
}

fn body(prompt: &Prompt) -> Value {
    let contents: Vec<Value> = prompt
        .turns
        .iter()
        .map(|turn| {
            let role = match turn.role {
                Role::User => "user",
                Role::Model => "model",
            };
            json!({ "role": role, "parts": [{ "text": turn.text }] })
        })
        .collect();
    let mut body = json!({ "contents": contents });
    if let Some(instruction) = &prompt.system_instruction {
        body["systemInstruction"] = json!({ "parts": [{ "text": instruction }] });
    }
    body
}
