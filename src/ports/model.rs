//! The language model that writes replies.

use std::time::Duration;

use entity::message::{FailureCode, Role};
use futures_util::stream::BoxStream;

/// A conversation to be continued by the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub model: String,
    pub system_instruction: Option<String>,
    /// Oldest first; begins and ends with the user.
    pub turns: Vec<Turn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub text: String,
}

/// What arrives while a reply is written: text and usage in any order, then one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Text to append; never empty.
    Text(String),
    /// What the provider has reported so far; replaces what it reported before.
    Usage(Usage),
    /// The answer is complete, with the provider's own finish reason, such as `STOP`.
    End { finish_reason: String },
}

/// What a provider reports of a call, successful or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The model that answers, as the provider names it.
    pub model: Option<String>,
    pub tokens: Option<Tokens>,
}

/// What the provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub prompt: i32,
    /// Shown and thought.
    pub output: i32,
    pub thoughts: i32,
}

/// The model did not write the reply, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct ModelError {
    pub code: FailureCode,
    /// For people; carries no key and no address.
    pub message: String,
    pub retry: Retry,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    /// After a wait of the caller's choice, and not before `at_least`.
    After {
        at_least: Duration,
    },
}

pub trait Model: Send + Sync {
    /// What a room may choose; the first is the default.
    fn names(&self) -> &[String];

    /// Who runs the models, for people.
    fn provider(&self) -> &'static str;

    /// Writes a reply. Ends after [`Chunk::End`] or the first error; dropping it ends the call.
    fn write(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>>;
}
