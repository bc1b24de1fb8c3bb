//! Gemini's [streamGenerateContent](https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent):
//! [`sse`] makes events of bytes, [`answer`] makes sense of them, [`failure`] of what went wrong, [`client`] asks.

mod answer;
mod client;
mod failure;
mod sse;

pub use client::Gemini;
