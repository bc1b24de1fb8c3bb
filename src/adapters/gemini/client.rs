//! Asking Gemini.

use std::time::Duration;

use async_stream::try_stream;
use entity::message::Role;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{Response, header::HeaderValue};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    answer::Answer,
    failure::{self, ApiError},
    sse::Decoder,
};
use crate::ports::model::{Model, ModelError, Piece, Prompt};

/// How long the counts that may follow a finish reason are waited for.
const AFTER_FINISH: Duration = Duration::from_secs(1);

/// Gemini behind its base URL.
#[derive(Clone)]
pub struct Gemini {
    http: reqwest::Client,
    base_url: String,
    /// Marked as sensitive, so that no debug output shows it.
    key: HeaderValue,
    models: Vec<String>,
}

impl Gemini {
    /// `http` brings its connect and read timeouts; a read that takes longer than that is a model that timed out.
    ///
    /// # Errors
    /// The key cannot stand in a header.
    pub fn new(
        http: reqwest::Client,
        base_url: &str,
        key: &str,
        models: Vec<String>,
    ) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key)
            .map_err(|_| anyhow::anyhow!("GEMINI_API_KEY holds characters that cannot stand in a header"))?;
        key.set_sensitive(true);
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), key, models })
    }

    /// Opens the stream with the first of the models that exists, the one asked for before all; says which.
    async fn open(&self, prompt: &Prompt) -> Result<(Response, String), ModelError> {
        let others = self.models.iter().filter(|&name| *name != prompt.model);
        let body = body(prompt);
        let mut unknown = None;
        for model in std::iter::once(&prompt.model).chain(others) {
            let url = format!("{}/v1beta/models/{model}:streamGenerateContent?alt=sse", self.base_url);
            let call = self.http.post(url).header("x-goog-api-key", self.key.clone()).json(&body);
            let response = call.send().await.map_err(|error| failure::of_transport(&error))?;
            let status = response.status();
            if status.is_success() {
                return Ok((response, model.clone()));
            }
            let text = response.text().await.map_err(|error| failure::of_transport(&error))?;
            let error = ApiError::of_response(status.as_u16(), &text);
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

    fn write(&self, prompt: Prompt) -> BoxStream<'static, Result<Piece, ModelError>> {
        let gemini = self.clone();
        let pieces = try_stream! {
            let (response, model) = gemini.open(&prompt).await?;
            let mut bytes = response.bytes_stream();
            let mut decoder = Decoder::default();
            let mut answer = Answer::default();
            loop {
                let read = if answer.is_finished() {
                    // The answer is whole: neither a cut nor silence can harm it now.
                    timeout(AFTER_FINISH, bytes.next()).await.ok().flatten().and_then(Result::ok)
                } else {
                    bytes.next().await.transpose().map_err(|error| failure::of_transport(&error))?
                };
                let Some(read) = read else { break };
                for event in decoder.push(&read).map_err(|_| failure::cut_off())? {
                    let text = answer.take(&event)?;
                    if !text.is_empty() {
                        yield Piece::Text(text);
                    }
                }
            }
            if let Some(rest) = decoder.finish().filter(|_| !answer.is_finished()) {
                let text = answer.take(&rest)?;
                if !text.is_empty() {
                    yield Piece::Text(text);
                }
            }
            yield answer.end(&model)?;
        };
        pieces.boxed()
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
