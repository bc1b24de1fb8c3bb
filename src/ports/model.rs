//! The language model that writes replies.

use std::{sync::Arc, time::Duration};

use entity::{
    chatroom::Generation,
    message::{FailureCode, Role},
};
use futures_util::stream::BoxStream;

/// A conversation that the model continues.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub model: String,
    pub system_instruction: Option<String>,
    /// Oldest first; the first and the last are the user's.
    pub turns: Vec<Turn>,
    /// The settings to apply. Those that the provider or the model does not support are not sent.
    pub generation: Generation,
    pub task: Task,
}

/// What the answer is for. Providers can ignore it, because the last turn already asks the model for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Reply,
    /// A title for the conversation.
    Title,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub text: Arc<str>,
}

/// An item of the model's response stream: text and usage in any order, then one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Text to append; never empty.
    Text(String),
    /// Cumulative: replaces the usage of earlier chunks.
    Usage(ModelUsage),
    /// The answer is complete, with the provider's own finish reason, such as `STOP`.
    End { finish_reason: String },
}

/// The usage that a provider reports for a call, successful or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelUsage {
    /// The provider's name of the model that answers.
    pub model: Option<String>,
    pub tokens: Option<Tokens>,
}

/// Token counts as the provider reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: i32,
    /// Includes thoughts.
    pub output: i32,
    pub thoughts: i32,
}

/// The reason why the model did not complete a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct ModelError {
    pub code: FailureCode,
    /// Shown to the user; contains no key and no URL.
    pub message: String,
    pub retry: Retry,
    /// Whether no connection to the provider could be made, which means that its other models are unavailable too.
    pub is_unreachable: bool,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    /// After a backoff of the caller's choice that is at least this long.
    After {
        at_least: Duration,
    },
}

pub trait LanguageModel: Send + Sync {
    /// The models of this provider that a chatroom can use.
    fn names(&self) -> &[String];

    /// The display name of the provider.
    fn provider(&self) -> &str;

    /// Generates the answer to a prompt. The stream ends after [`Chunk::End`] or the first error; dropping it cancels the call.
    fn generate(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>>;
}
