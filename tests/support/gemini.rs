//! A fake Gemini: an HTTP server that speaks Gemini's protocol and responds with the scripts of a test.

use std::ops::Deref;

use serde_json::{Value, json};

pub use super::model_server::{Call, Gate, ModelServer, Script};

/// Scripts in Gemini's format.
impl Script {
    /// A successful response with one event per text.
    pub fn reply<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(Self::new(), Self::text).finish("STOP")
    }

    /// An error in Gemini's format.
    pub fn gemini_error(status: u16, name: &str, details: Value) -> Self {
        let error = json!({"code": status, "message": "A message from the provider.", "status": name, "details": details});
        Self::error(status, &json!({ "error": error }))
    }

    pub fn event(self, response: &Value) -> Self {
        self.raw(format!("data: {response}\r\n\r\n"))
    }

    pub fn text(self, text: &str) -> Self {
        self.event(&chunk(text))
    }

    pub fn finish(self, reason: &str) -> Self {
        self.event(&finish(reason))
    }
}

/// An event with text.
pub fn chunk(text: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8},
        "modelVersion": "model-a-001",
        "responseId": "r1",
    })
}

/// An event with a finish reason.
pub fn finish(reason: &str) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 15},
        "modelVersion": "model-a-001",
    })
}

pub struct FakeGemini(ModelServer);

impl FakeGemini {
    pub async fn start() -> Self {
        let default = Script::reply(["Yes", "."]);
        Self(ModelServer::start("/v1beta/models/{call}", default, axum::Router::new()).await)
    }
}

impl Deref for FakeGemini {
    type Target = ModelServer;

    fn deref(&self) -> &ModelServer {
        &self.0
    }
}
