//! Making sense of the events of an answer. Each is a whole
//! [GenerateContentResponse](https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse).

use serde::Deserialize;

use super::failure::{self, ApiError};
use crate::ports::model::{Ending, ModelError, Piece, Tokens};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    model_version: Option<String>,
    error: Option<ApiError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    text: String,
    thought: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct UsageMetadata {
    #[serde(rename = "promptTokenCount")]
    prompt: i32,
    #[serde(rename = "candidatesTokenCount")]
    candidates: i32,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: i32,
}

/// An answer as it comes in.
#[derive(Debug, Default)]
pub(super) struct Answer {
    has_text: bool,
    finish_reason: Option<String>,
    usage: Option<UsageMetadata>,
    model: Option<String>,
}

impl Answer {
    /// The text of an event, thoughts left out; empty for one that carries none.
    pub(super) fn take(&mut self, event: &str) -> Result<String, ModelError> {
        // A bare error may stand in an array.
        if let Some(error) = ApiError::read(event) {
            return Err(error.into_failure());
        }
        let response: Response = serde_json::from_str(event).map_err(|cause| {
            tracing::warn!(%cause, "Gemini sent an event that cannot be read");
            failure::cut_off()
        })?;
        if let Some(error) = response.error {
            return Err(error.into_failure());
        }
        if response.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            return Err(failure::blocked());
        }
        self.usage = response.usage_metadata.or(self.usage);
        self.model = response.model_version.or(self.model.take());
        let mut text = String::new();
        if let Some(candidate) = response.candidates.into_iter().next() {
            let parts = candidate.content.unwrap_or_default().parts;
            text.extend(parts.into_iter().filter(|part| !part.thought).map(|part| part.text));
            self.finish_reason = candidate
                .finish_reason
                .filter(|reason| !is_unspecified(reason))
                .or(self.finish_reason.take());
        }
        self.has_text |= !text.is_empty();
        Ok(text)
    }

    /// Whether the answer has said how it ended; only its counts may follow.
    pub(super) fn is_finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// How the answer ended, once nothing more comes.
    pub(super) fn end(self, asked_for: &str) -> Result<Piece, ModelError> {
        let finish_reason = self.finish_reason.ok_or_else(failure::cut_off)?;
        match finish_reason.as_str() {
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE" => {
                return Err(failure::blocked());
            }
            image if image.starts_with("IMAGE_") => return Err(failure::blocked()),
            "STOP" | "MAX_TOKENS" => {}
            // A reason that is not known yet: what there is of a text is the answer.
            _ if self.has_text => {}
            _ => return Err(failure::cut_off()),
        }
        let tokens = self.usage.map(|counted| Tokens {
            prompt: counted.prompt,
            output: counted.candidates + counted.thoughts,
            thoughts: counted.thoughts,
        });
        Ok(Piece::End(Ending {
            finish_reason,
            model: Some(self.model.unwrap_or_else(|| asked_for.to_owned())),
            tokens,
        }))
    }
}

fn is_unspecified(finish_reason: &str) -> bool {
    finish_reason.is_empty() || finish_reason == "FINISH_REASON_UNSPECIFIED"
}
