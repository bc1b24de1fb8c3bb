//! Model adapters that are connected to fake servers, and the answers that they generate.

use std::time::Duration;

use entity::{
    chatroom::Generation,
    message::{FailureCode, Role},
};
use futures_util::StreamExt;
use pollux::{
    adapters::{
        Timeouts,
        gemini::Gemini,
        openai::{OpenAi, Server},
    },
    clock::Clock,
    ports::model::{Chunk, LanguageModel, ModelError, ModelUsage, Prompt, Task, Turn},
};

use super::{FakeGemini, FakeOpenAi};

/// A key that must not appear in an error.
pub const KEY: &str = "secret-key";
const TIMEOUTS: Timeouts =
    Timeouts { first_token: Duration::from_secs(20), between_chunks: Duration::from_secs(20) };

/// What a model generated.
#[derive(Debug)]
pub struct Generated {
    pub text: String,
    /// The usage that was reported last.
    pub usage: ModelUsage,
    /// The finish reason or the error.
    pub end: Result<String, ModelError>,
}

impl Generated {
    /// The text and the finish reason of a complete answer.
    #[track_caller]
    pub fn complete(&self) -> (&str, &str) {
        (&self.text, self.end.as_ref().unwrap())
    }

    #[track_caller]
    pub fn code(&self) -> FailureCode {
        self.end.as_ref().unwrap_err().code
    }
}

/// Reads an answer to its end, and checks that its chunks fulfil the contract of [`LanguageModel`]: texts are not empty, the end
/// or an error comes last, and an error reveals neither the key nor the address.
pub async fn generate(model: &dyn LanguageModel, prompt: Prompt) -> Generated {
    let mut chunks = model.generate(prompt);
    let (mut text, mut usage, mut end) = (String::new(), ModelUsage::default(), None);
    while let Some(chunk) = chunks.next().await {
        assert!(end.is_none(), "a chunk after the end: {chunk:?}");
        match chunk {
            Ok(Chunk::Text(more)) => {
                assert!(!more.is_empty(), "an empty text");
                text.push_str(&more);
            }
            Ok(Chunk::Usage(latest)) => usage = latest,
            Ok(Chunk::End { finish_reason }) => end = Some(Ok(finish_reason)),
            Err(error) => end = Some(Err(error)),
        }
    }
    let end = end.unwrap_or_else(|| panic!("no end after {text:?}"));
    if let Err(error) = &end {
        let printed = format!("{error:?} {error}");
        assert!(!printed.contains(KEY) && !printed.contains("127.0.0.1"), "{printed}");
    }
    Generated { text, usage, end }
}

pub fn prompt(model: &str) -> Prompt {
    let turn = |role, text: &str| Turn { role, text: text.into() };
    Prompt {
        model: model.to_owned(),
        system_instruction: Some("Be brief.".to_owned()),
        generation: Generation::default(),
        task: Task::Reply,
        turns: vec![turn(Role::User, "Hi"), turn(Role::Model, "Hello."), turn(Role::User, "Who are you?")],
    }
}

fn http() -> reqwest::Client {
    // An error means that a cryptography provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.connect_timeout(Duration::from_secs(5)).build().unwrap()
}

pub fn gemini(base_url: &str) -> Gemini {
    Gemini::new(http(), base_url, KEY, vec!["model-a".to_owned()], TIMEOUTS, Clock::system()).unwrap()
}

pub fn openai(base_url: &str, key: Option<&str>) -> OpenAi {
    let server = Server { provider: "Local", base_url, key };
    OpenAi::new(http(), &server, vec!["gpt-a".to_owned()], TIMEOUTS, Clock::system()).unwrap()
}

/// A fake Gemini and its adapter.
pub async fn start_gemini() -> (FakeGemini, Gemini) {
    let server = FakeGemini::start().await;
    let model = gemini(&format!("http://{}", server.address));
    (server, model)
}

/// A fake OpenAI-compatible server and its adapter.
pub async fn start_openai() -> (FakeOpenAi, OpenAi) {
    let server = FakeOpenAi::start().await;
    let model = openai(&format!("http://{}/v1", server.address), Some(KEY));
    (server, model)
}
