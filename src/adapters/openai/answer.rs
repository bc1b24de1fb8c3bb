//! Interprets the JSON objects of an answer:
//! [chat completion chunks](https://platform.openai.com/docs/api-reference/chat-streaming/streaming).

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use super::{client::API, failure::ApiError};
use crate::{
    adapters::model_stream::{Answer, DONE, ReadResult, Surrogates, failure, lenient},
    ports::model::{Chunk, ModelError, ModelUsage, Tokens},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(deserialize_with = "lenient::null_as_default")]
    choices: Vec<Option<Choice>>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    usage: Usage,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    model: Option<String>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    object: String,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(deserialize_with = "lenient::count")]
    index: Option<i32>,
    /// A server that cannot stream sends a whole `message` instead.
    #[serde(alias = "message")]
    delta: Option<Delta>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    /// WTF-8 instead of a string, because an event may end inside a surrogate pair.
    #[serde(deserialize_with = "content")]
    content: Vec<u8>,
    /// A [refusal](https://platform.openai.com/docs/guides/structured-outputs#refusals), in place of an answer.
    #[serde(deserialize_with = "content")]
    refusal: Vec<u8>,
    /// Reasoning, as DeepSeek and vLLM send it; never shown.
    #[serde(deserialize_with = "lenient::has_content")]
    reasoning_content: bool,
    /// Reasoning, as OpenRouter and Ollama send it; never shown.
    #[serde(deserialize_with = "lenient::has_content")]
    reasoning: bool,
}

/// Deserializes a text, or a list of [parts](https://docs.mistral.ai/capabilities/reasoning/), of which only the texts are used.
fn content<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<u8>, D::Error> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default, deserialize_with = "lenient::text")]
        text: Vec<u8>,
    }
    let value = Box::<RawValue>::deserialize(value)?;
    if !value.get().starts_with('[') {
        let mut text = serde_json::Deserializer::from_str(value.get());
        return lenient::text(&mut text).map_err(serde::de::Error::custom);
    }
    let parts: Vec<Part> = serde_json::from_str(value.get()).map_err(serde::de::Error::custom)?;
    Ok(parts.into_iter().filter(|part| part.kind == "text").flat_map(|part| part.text).collect())
}

/// The token counts so far. Servers send them in the last event, in every event, or never. If they are in every event, each count
/// only grows, so its highest value is the latest.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    #[serde(deserialize_with = "lenient::count")]
    prompt_tokens: Option<i32>,
    #[serde(deserialize_with = "lenient::count")]
    completion_tokens: Option<i32>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    completion_tokens_details: Details,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(deserialize_with = "lenient::count")]
    reasoning_tokens: Option<i32>,
}

impl Usage {
    fn merge(&mut self, later: Self) {
        self.prompt_tokens = self.prompt_tokens.max(later.prompt_tokens);
        self.completion_tokens = self.completion_tokens.max(later.completion_tokens);
        let details = &mut self.completion_tokens_details;
        details.reasoning_tokens =
            details.reasoning_tokens.max(later.completion_tokens_details.reasoning_tokens);
    }

    /// None if the answer contained no counts.
    fn tokens(self) -> Option<Tokens> {
        self.prompt_tokens.or(self.completion_tokens)?;
        Some(Tokens {
            prompt: self.prompt_tokens.unwrap_or_default(),
            output: self.completion_tokens.unwrap_or_default(),
            thoughts: self.completion_tokens_details.reasoning_tokens.unwrap_or_default(),
        })
    }
}

/// An answer that is being received.
#[derive(Debug)]
pub struct OpenAiAnswer {
    has_begun: bool,
    finish_reason: Option<String>,
    has_done_marker: bool,
    counts: Usage,
    /// The usage in the last [`Chunk::Usage`].
    reported: ModelUsage,
    /// Joins surrogate pairs, even if they are split between events.
    surrogates: Surrogates,
}

impl OpenAiAnswer {
    /// `model` is the requested model; it is reported until the answer names another.
    pub fn new(model: String) -> Self {
        Self {
            has_begun: false,
            finish_reason: None,
            has_done_marker: false,
            counts: Usage::default(),
            reported: ModelUsage { model: Some(model), tokens: None },
            surrogates: Surrogates::default(),
        }
    }

    fn parse(object: &str) -> Result<Event, ModelError> {
        let event: Event = serde_json::from_str(object).map_err(|cause| {
            // The parser's message is not logged, because it quotes the object.
            tracing::warn!(api = API, kind = ?cause.classify(), column = cause.column(), "parsing an event of the model failed");
            failure::truncated()
        })?;
        match event.error {
            Some(error) => Err(ApiError::of_event(error).into_failure()),
            // vLLM sends the fields of an error at the top level of the object, not in `error`.
            None if event.object == "error" => {
                let error = serde_json::from_str(object).unwrap_or_default();
                Err(ApiError::of_event(error).into_failure())
            }
            None => Ok(event),
        }
    }
}

impl Answer for OpenAiAnswer {
    fn usage(&self) -> ModelUsage {
        self.reported.clone()
    }

    fn read(&mut self, object: &str) -> Result<ReadResult, ModelError> {
        if self.has_done_marker {
            return Ok(ReadResult::default());
        }
        if object == DONE {
            self.has_done_marker = true;
            return Ok(ReadResult::default());
        }
        let event = match Self::parse(object) {
            // An error after the finish reason does not matter.
            Err(_) if self.has_finish_reason() => return Ok(ReadResult::default()),
            event => event?,
        };
        let mut result = ReadResult::default();
        self.counts.merge(event.usage);
        let model = event.model.filter(|name| !name.is_empty()).or_else(|| self.reported.model.clone());
        let usage = ModelUsage { model, tokens: self.counts.tokens() };
        if usage != self.reported {
            self.reported = usage;
            result.chunks.push(Chunk::Usage(self.reported.clone()));
        }
        let mut choices = event.choices.into_iter().flatten();
        let Some(choice) = choices.find(|choice| choice.index.unwrap_or_default() == 0) else {
            return Ok(result);
        };
        let delta = choice.delta.unwrap_or_default();
        let text = self.surrogates.push(&delta.content) + &self.surrogates.push(&delta.refusal);
        self.has_begun |= !text.is_empty() || delta.reasoning || delta.reasoning_content;
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(reason);
            result.is_progress = true;
        }
        if !text.is_empty() {
            result.is_progress = true;
            result.chunks.push(Chunk::Text(text));
        }
        Ok(result)
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn has_finish_reason(&self) -> bool {
        self.finish_reason.is_some()
    }

    fn has_done_marker(&self) -> bool {
        self.has_done_marker
    }

    fn end(mut self) -> Result<Vec<Chunk>, ModelError> {
        let last_text = self.surrogates.finish().map(|replacement| Chunk::Text(replacement.to_string()));
        // The returned reasons have Gemini's names. Some servers end with `[DONE]` and send no finish reason.
        let finish_reason = match self.finish_reason.as_deref() {
            None if !self.has_done_marker => return Err(failure::truncated()),
            Some("content_filter") => return Err(failure::blocked()),
            // OpenRouter sends this if the provider behind it failed in the middle of the answer.
            Some("error") => return Err(failure::truncated()),
            None | Some("stop") => "STOP".to_owned(),
            Some("length") => "MAX_TOKENS".to_owned(),
            Some(reason) => reason.to_ascii_uppercase(),
        };
        Ok(last_text.into_iter().chain([Chunk::End { finish_reason }]).collect())
    }
}
