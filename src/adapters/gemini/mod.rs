//! Gemini's [streamGenerateContent](https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent).

mod answer;
mod client;
mod failure;

#[cfg(test)]
pub(super) use answer::GeminiAnswer;
pub use client::Gemini;
