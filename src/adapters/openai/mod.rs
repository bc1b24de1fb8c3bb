//! OpenAI's [chat completions](https://platform.openai.com/docs/api-reference/chat/create), which many servers implement:
//! Ollama, vLLM, llama.cpp, LM Studio, OpenRouter, and Gemini's compatibility endpoint.

mod answer;
mod client;
mod failure;

#[cfg(test)]
pub(super) use answer::OpenAiAnswer;
pub use client::{OpenAi, Server};
