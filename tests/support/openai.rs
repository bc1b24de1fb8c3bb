//! A fake OpenAI-compatible server: it speaks the protocol of chat completions and responds with the scripts of a test.

use std::ops::Deref;

use axum::{Json, Router, routing::get};
use serde_json::{Value, json};

use super::model_server::{ModelServer, Script};

pub struct FakeOpenAi(ModelServer);

impl FakeOpenAi {
    pub async fn start() -> Self {
        let list = json!({
            "object": "list",
            "data": [{"id": "model-a", "object": "model", "created": 1_800_000_000, "owned_by": "organization"}],
        });
        let models = Router::new().route("/v1/models", get(async || Json(list)));
        Self(ModelServer::start("/v1/chat/completions", reply(["Yes", "."]), models).await)
    }

    /// The settings of a Pollux server that uses this provider. `models` are separated by commas.
    pub fn settings(&self, models: &str) -> Vec<String> {
        vec![
            format!("--openai-base-url=http://{}/v1", self.address),
            format!("--openai-models={models}"),
            "--openai-api-key=test-key".to_owned(),
        ]
    }
}

impl Deref for FakeOpenAi {
    type Target = ModelServer;

    fn deref(&self) -> &ModelServer {
        &self.0
    }
}

/// A successful response as OpenAI sends it: the role, one event per text, the finish reason, the usage and the end marker.
pub fn reply<'a>(texts: impl IntoIterator<Item = &'a str>) -> Script {
    let with_role =
        event(Script::new(), &chunk(&json!({"role": "assistant", "content": "", "refusal": null})));
    let with_texts = texts.into_iter().fold(with_role, text);
    done(event(event(with_texts, &finish("stop")), &usage()))
}

/// Adds an event.
pub fn event(script: Script, data: &Value) -> Script {
    script.raw(format!("data: {data}\n\n"))
}

/// Adds an event with text.
pub fn text(script: Script, text: &str) -> Script {
    event(script, &chunk(&json!({ "content": text })))
}

/// Adds the end marker.
pub fn done(script: Script) -> Script {
    script.raw("data: [DONE]\n\n")
}

/// An error in OpenAI's format.
pub fn error(status: u16, kind: &str, code: &str, param: Option<&str>) -> Script {
    let message = param.map_or_else(
        || "A message from the provider.".to_owned(),
        |name| format!("Unsupported parameter: '{name}' is not supported with this model."),
    );
    Script::error(status, &json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}

/// A chunk with this delta.
pub fn chunk(delta: &Value) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "gpt-a-2026-01-01",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": null}],
        "usage": null,
        "obfuscation": "x",
    })
}

/// A chunk with a finish reason and an empty delta.
pub fn finish(reason: &str) -> Value {
    let mut chunk = chunk(&json!({}));
    chunk["choices"][0]["finish_reason"] = json!(reason);
    chunk
}

/// The last chunk, which has the usage and no choices.
pub fn usage() -> Value {
    let mut chunk = chunk(&json!({}));
    chunk["choices"] = json!([]);
    chunk["usage"] = json!({
        "prompt_tokens": 7,
        "completion_tokens": 8,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
    });
    chunk
}
