//! Calling Gemini.

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
    ports::model::{Chunk, Model, ModelError, Prompt},
};

/// How long text and counts that may follow a finish reason are waited for, where the body stays open.
const AFTER_FINISH: Duration = Duration::from_secs(10);

/// How long Gemini may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Before the first text, thoughts included: models think before they write.
    pub first_token: Duration,
    /// Between two events after that.
    pub between_chunks: Duration,
}

/// Gemini behind its base URL.
#[derive(Clone)]
pub struct Gemini {
    http: reqwest::Client,
    base_url: String,
    /// Marked as sensitive, so that no debug output shows it.
    key: HeaderValue,
    models: Vec<String>,
    patience: Patience,
    clock: Clock,
}

impl Gemini {
    /// `http` follows no redirects, and has no timeout shorter than those of `patience`.
    ///
    /// # Errors
    /// The key cannot stand in a header.
    pub fn new(
        http: reqwest::Client,
        base_url: &str,
        key: &str,
        models: Vec<String>,
        patience: Patience,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key)
            .map_err(|_| anyhow::anyhow!("GEMINI_API_KEY holds characters that cannot stand in a header"))?;
        key.set_sensitive(true);
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), key, models, patience, clock })
    }

    /// Opens the stream with the first of the models that exists, the requested one before all; returns which.
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
            // Without a body that can be read, the status alone counts.
            let text = response.text().await.unwrap_or_default();
            let error = ApiError::of_response(status.as_u16(), &headers, &text, self.clock.now());
            if !error.is_unknown_model() {
                return Err(error.into_failure());
            }
            unknown = Some(error);
        }
        Err(unknown.map_or_else(failure::cut_off, ApiError::into_failure))
    }
}

impl Model for Gemini {
    fn names(&self) -> &[String] {
        &self.models
    }

    fn provider(&self) -> &'static str {
        "Google"
    }

    fn write(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>> {
        let gemini = self.clone();
        let Patience { first_token, between_chunks } = self.patience;
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
                    Ok(Some(Ok(read))) => decoder.push(&read).map_err(|_| failure::cut_off()),
                    Ok(Some(Err(error))) => Err(failure::of_transport(&error)),
                    Err(_) => Err(failure::timed_out()),
                };
                // Once there was a finish reason, neither a break nor silence can harm the answer.
                if objects.is_err() && answer.is_finished() {
                    break;
                }
                for object in objects? {
                    let added = answer.read(&object)?;
                    if added.is_progress && answer.is_finished() {
                        deadline = Instant::now() + AFTER_FINISH;
                    } else if !answer.is_finished() {
                        let patience = if answer.has_begun() { between_chunks } else { first_token };
                        deadline = Instant::now() + patience;
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
