//! Interprets the JSON objects of an answer. Each object is a complete
//! [GenerateContentResponse](https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse).

use serde::Deserialize;
use serde_json::Value;

use super::failure::ApiError;
use crate::{
    adapters::model_stream::{Answer, DONE, ReadResult, Surrogates, failure, lenient},
    ports::model::{Chunk, ModelError, ModelUsage, Tokens},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    #[serde(deserialize_with = "lenient::null_as_default")]
    candidates: Vec<Option<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    #[serde(deserialize_with = "lenient::invalid_as_default")]
    usage_metadata: UsageMetadata,
    model_version: Option<String>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    #[serde(deserialize_with = "lenient::count")]
    index: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(deserialize_with = "lenient::null_as_default")]
    parts: Vec<Option<Part>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    #[serde(deserialize_with = "lenient::text")]
    text: Vec<u8>,
    #[serde(deserialize_with = "lenient::null_as_default")]
    thought: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

/// The token counts so far. Each count only grows during an answer, so its highest value is the latest.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct UsageMetadata {
    #[serde(rename = "promptTokenCount", deserialize_with = "lenient::count")]
    prompt: Option<i32>,
    #[serde(rename = "candidatesTokenCount", deserialize_with = "lenient::count")]
    candidates: Option<i32>,
    #[serde(rename = "thoughtsTokenCount", deserialize_with = "lenient::count")]
    thoughts: Option<i32>,
}

impl UsageMetadata {
    fn merge(&mut self, later: Self) {
        self.prompt = self.prompt.max(later.prompt);
        self.candidates = self.candidates.max(later.candidates);
        self.thoughts = self.thoughts.max(later.thoughts);
    }

    /// None if the answer contained no counts.
    fn tokens(self) -> Option<Tokens> {
        self.prompt.or(self.candidates).or(self.thoughts)?;
        let thoughts = self.thoughts.unwrap_or_default();
        Some(Tokens {
            prompt: self.prompt.unwrap_or_default(),
            output: self.candidates.unwrap_or_default().saturating_add(thoughts),
            thoughts,
        })
    }
}

/// How an answer ended.
#[derive(Debug)]
enum Finish {
    Reason(String),
    /// The prompt was blocked.
    Blocked,
}

/// An answer that is being received.
#[derive(Debug)]
pub struct GeminiAnswer {
    has_begun: bool,
    finish: Option<Finish>,
    counts: UsageMetadata,
    /// The usage in the last [`Chunk::Usage`].
    reported: ModelUsage,
    surrogates: Surrogates,
}

impl GeminiAnswer {
    /// `model` is the requested model; it is reported until the answer names another.
    pub fn new(model: String) -> Self {
        Self {
            has_begun: false,
            finish: None,
            counts: UsageMetadata::default(),
            reported: ModelUsage { model: Some(model), tokens: None },
            surrogates: Surrogates::default(),
        }
    }
}

impl Answer for GeminiAnswer {
    fn usage(&self) -> ModelUsage {
        self.reported.clone()
    }

    fn read(&mut self, object: &str) -> Result<ReadResult, ModelError> {
        // Gemini does not end its stream with a marker. Some proxies add one, sometimes before the answer ends, so it is ignored.
        if object == DONE {
            return Ok(ReadResult::default());
        }
        let response: Response = match serde_json::from_str(object) {
            Ok(response) => response,
            Err(_) if self.has_finish_reason() => return Ok(ReadResult::default()),
            Err(cause) => {
                // The parser's message is not logged, because it quotes the object.
                tracing::warn!(api = "gemini", kind = ?cause.classify(), column = cause.column(), "parsing an event of the model failed");
                return Err(failure::truncated());
            }
        };
        if let Some(error) = response.error {
            return if self.has_finish_reason() {
                Ok(ReadResult::default())
            } else {
                Err(ApiError::of_event(error).into_failure())
            };
        }
        let mut result = ReadResult::default();
        self.counts.merge(response.usage_metadata);
        let model = response.model_version.or_else(|| self.reported.model.clone());
        let usage = ModelUsage { model, tokens: self.counts.tokens() };
        if usage != self.reported {
            self.reported = usage;
            result.chunks.push(Chunk::Usage(self.reported.clone()));
        }
        if response.prompt_feedback.and_then(|feedback| feedback.block_reason).is_some_and(is_specified) {
            self.finish = Some(Finish::Blocked);
            result.is_progress = true;
        }
        let mut candidates = response.candidates.into_iter().flatten();
        let Some(candidate) = candidates.find(|candidate| candidate.index.unwrap_or_default() == 0) else {
            return Ok(result);
        };
        let mut text = String::new();
        for part in candidate.content.unwrap_or_default().parts.into_iter().flatten() {
            self.has_begun |= !part.text.is_empty();
            if !part.thought {
                text.push_str(&self.surrogates.push(&part.text));
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| is_specified(reason)) {
            self.finish = Some(Finish::Reason(reason));
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
        self.finish.is_some()
    }

    fn end(mut self) -> Result<Vec<Chunk>, ModelError> {
        let last_text = self.surrogates.finish().map(|replacement| Chunk::Text(replacement.to_string()));
        let finish_reason = match self.finish {
            None => return Err(failure::truncated()),
            Some(Finish::Blocked) => return Err(failure::blocked()),
            Some(Finish::Reason(reason)) => reason,
        };
        match finish_reason.as_str() {
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" => {
                Err(failure::blocked())
            }
            reason if reason.starts_with("IMAGE_") => Err(failure::blocked()),
            // An unknown reason also ends the answer normally, with the text so far.
            _ => Ok(last_text.into_iter().chain([Chunk::End { finish_reason }]).collect()),
        }
    }
}

/// Whether a finish reason or a block reason is given.
/// [Both enumerations](https://ai.google.dev/api/generate-content#FinishReason) have a value that means "no reason".
fn is_specified(reason: impl AsRef<str>) -> bool {
    !matches!(reason.as_ref(), "" | "FINISH_REASON_UNSPECIFIED" | "BLOCK_REASON_UNSPECIFIED")
}
