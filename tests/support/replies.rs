//! Runs replies with scripted model responses, and checks the quota that they use.

use serde_json::{Value, json};

use super::{Script, TestApp, TestUser};

/// How a reply failed.
#[derive(Debug, PartialEq)]
pub struct Failure {
    pub code: String,
    pub retryable: bool,
    /// How many times the model was called.
    pub calls: usize,
}

/// A server with a scripted model, and a user who sends it messages.
pub struct ReplyHarness {
    app: TestApp,
    user: TestUser,
}

impl ReplyHarness {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Like [`start`](Self::start), with settings as on the command line.
    pub async fn with(settings: &[&str]) -> Self {
        let settings: Vec<_> = ["--basic-daily-limit=1000"].iter().chain(settings).copied().collect();
        let app = TestApp::with_settings(&settings).await;
        let user = app.user().await;
        Self { app, user }
    }

    /// Scripts the model's responses, sends a message, and returns the finished reply and the number of model calls.
    pub async fn run(&self, scripts: impl IntoIterator<Item = Script>) -> (Value, usize) {
        let (used, calls) = (self.user.used().await, self.app.gemini.calls().len());
        for script in scripts {
            self.app.gemini.enqueue(script);
        }
        let sent = self.user.create_chatroom("x").await.send("hi").await;
        let followed = self.user.read(&sent.reply).await;
        let message = self.user.message(&sent.reply).await;
        assert_eq!(message["content"], followed.text, "the row and the subscription differ");
        // A failed reply is not charged, unless it was blocked after some text was shown.
        let blocked_after_text = message["failure"]["code"] == "CONTENT_BLOCKED" && message["content"] != "";
        let is_charged = message["status"] != "FAILED" || blocked_after_text;
        assert_eq!(self.user.used().await - used, i64::from(is_charged), "{message}");
        (message, self.app.gemini.calls().len() - calls)
    }

    /// Runs a reply that must complete after one call of the model, and returns its text.
    pub async fn text_of(&self, script: Script) -> String {
        let (message, calls) = self.run([script]).await;
        assert_eq!((&message["status"], calls), (&json!("COMPLETED"), 1), "{message}");
        message["content"].as_str().unwrap().to_owned()
    }

    /// Runs a reply that must fail, and returns how it failed.
    pub async fn failure_of(&self, scripts: impl IntoIterator<Item = Script>) -> Failure {
        let (message, calls) = self.run(scripts).await;
        assert_eq!(message["status"], "FAILED", "{message}");
        Failure {
            code: message["failure"]["code"].as_str().unwrap().to_owned(),
            retryable: message["failure"]["retryable"].as_bool().unwrap(),
            calls,
        }
    }
}

pub fn failure(code: &str, retryable: bool, calls: usize) -> Failure {
    Failure { code: code.to_owned(), retryable, calls }
}
