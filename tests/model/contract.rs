//! The contract of the port `LanguageModel`, which the adapter of every provider and the demo model pass.

use std::{ops::Deref, time::Duration};

use entity::message::FailureCode;
use futures_util::StreamExt;
use pollux::{
    adapters::demo_model::DemoModel,
    ports::model::{Chunk, LanguageModel, Retry},
};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{
    ModelServer, Script,
    models::{self, generate, prompt},
    openai,
    socket::TEST_TIMEOUT,
};

/// A provider's adapter, which is connected to a fake server. Each function extends a script with something that all providers
/// can send, in the format of this provider.
struct Provider {
    model: Box<dyn LanguageModel>,
    server: Box<dyn Deref<Target = ModelServer>>,
    requested_model: &'static str,
    /// The name of the model as the server reports it.
    reported_model: &'static str,
    text: fn(Script, &str) -> Script,
    thought: fn(Script) -> Script,
    /// The end of an answer that is complete, cut off or blocked.
    complete: fn(Script) -> Script,
    cut_off: fn(Script) -> Script,
    blocked: fn(Script) -> Script,
    /// The error event of an overloaded server.
    overloaded: fn(Script) -> Script,
}

async fn providers() -> [Provider; 2] {
    let (gemini_server, gemini_model) = models::start_gemini().await;
    let (openai_server, openai_model) = models::start_openai().await;
    [
        Provider {
            model: Box::new(gemini_model),
            server: Box::new(gemini_server),
            requested_model: "model-a",
            reported_model: "model-a-001",
            text: Script::text,
            thought: |script| {
                let parts = json!([{"text": "Let me think.", "thought": true}]);
                script.event(&json!({"candidates": [{"content": {"parts": parts}}]}))
            },
            complete: |script| script.finish("STOP"),
            cut_off: |script| script.finish("MAX_TOKENS"),
            blocked: |script| script.finish("SAFETY"),
            overloaded: |script| script.event(&json!({"error": {"code": 503, "message": "overloaded"}})),
        },
        Provider {
            model: Box::new(openai_model),
            server: Box::new(openai_server),
            requested_model: "gpt-a",
            reported_model: "gpt-a-2026-01-01",
            text: openai::text,
            thought: |script| {
                openai::event(script, &openai::chunk(&json!({"reasoning_content": "Let me think."})))
            },
            complete: |script| {
                openai::done(openai::event(openai::event(script, &openai::finish("stop")), &openai::usage()))
            },
            cut_off: |script| openai::done(openai::event(script, &openai::finish("length"))),
            blocked: |script| openai::done(openai::event(script, &openai::finish("content_filter"))),
            overloaded: |script| {
                let error = json!({"message": "overloaded", "type": "server_error", "code": null});
                openai::event(script, &json!({ "error": error }))
            },
        },
    ]
}

impl Provider {
    /// What the model generates if the server responds with this script.
    async fn generate(&self, script: Script) -> models::Generated {
        self.server.enqueue(script);
        generate(&*self.model, prompt(self.requested_model)).await
    }
}

#[tokio::test]
async fn an_answer_consists_of_text_usage_and_one_end() {
    for provider in providers().await {
        let script = (provider.text)((provider.text)(Script::new(), "Grüße, "), "世界 😀");
        let generated = provider.generate((provider.complete)(script)).await;
        assert_eq!(generated.complete(), ("Grüße, 世界 😀", "STOP"));
        assert_eq!(generated.usage.model.as_deref(), Some(provider.reported_model));
        let tokens = generated.usage.tokens.unwrap();
        assert_eq!((tokens.prompt, tokens.output, tokens.thoughts), (7, 8, 3), "output includes thoughts");
    }
}

#[tokio::test]
async fn the_usage_of_an_empty_response_names_the_requested_model() {
    for provider in providers().await {
        let generated = provider.generate(Script::new()).await;
        assert_eq!(generated.usage.model.as_deref(), Some(provider.requested_model));
        assert_eq!(generated.usage.tokens, None);
    }
}

#[tokio::test]
async fn the_call_contains_the_instruction_and_the_turns_in_order_and_the_key_in_a_header() {
    for provider in providers().await {
        generate(&*provider.model, prompt(provider.requested_model)).await;
        let call = provider.server.calls().pop().unwrap();
        let body = call.body.to_string();
        let texts = ["Hi", "Hello.", "Who are you?"].map(|text| body.find(&format!("\"{text}\"")).unwrap());
        assert!(texts.is_sorted() && body.contains("Be brief."), "{body}");
        assert!(!call.uri.contains(models::KEY) && !body.contains(models::KEY));
        assert!(call.headers.values().any(|value| value.to_str().unwrap().contains(models::KEY)));
    }
}

#[tokio::test]
async fn thoughts_are_not_part_of_the_text() {
    for provider in providers().await {
        let script = (provider.text)((provider.thought)(Script::new()), "Four.");
        assert_eq!(provider.generate((provider.complete)(script)).await.complete(), ("Four.", "STOP"));
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_ends_with_max_tokens_and_a_blocked_one_fails() {
    for provider in providers().await {
        let partial_answer = || (provider.text)(Script::new(), "Well, ");
        let cut_off = provider.generate((provider.cut_off)(partial_answer())).await;
        assert_eq!(cut_off.complete(), ("Well, ", "MAX_TOKENS"));
        let blocked = provider.generate((provider.blocked)(partial_answer())).await;
        assert_eq!((blocked.text.as_str(), blocked.code()), ("Well, ", FailureCode::ContentBlocked));
        assert_eq!(blocked.end.unwrap_err().retry, Retry::Never);
    }
}

#[tokio::test]
async fn an_answer_without_its_end_fails_and_a_retry_may_help() {
    for provider in providers().await {
        let partial_answer = || (provider.text)(Script::new(), "Half");
        for broken in [
            partial_answer(),
            partial_answer().disconnect(),
            partial_answer().raw("data: {\"choices\": 7, \"candidates\": 7}\n\n"),
            partial_answer().raw("data: {\"choices\": [\n\n"),
            (provider.overloaded)(partial_answer()),
            (provider.overloaded)(partial_answer()).hang(),
        ] {
            let generated = provider.generate(broken).await;
            assert_eq!(generated.code(), FailureCode::ModelUnavailable);
            let error = generated.end.unwrap_err();
            assert_eq!(error.retry, Retry::After { at_least: Duration::ZERO });
            assert!(!error.is_unreachable);
        }
    }
}

#[tokio::test]
async fn an_error_status_determines_the_failure_regardless_of_the_body() {
    for provider in providers().await {
        for (status, code, is_retried) in [
            (400, FailureCode::ModelRejected, false),
            (401, FailureCode::Misconfigured, false),
            (403, FailureCode::Misconfigured, false),
            (302, FailureCode::Misconfigured, false),
            (404, FailureCode::ModelUnavailable, false),
            (408, FailureCode::TimedOut, true),
            (413, FailureCode::ModelRejected, false),
            (422, FailureCode::ModelRejected, false),
            (429, FailureCode::ModelRateLimited, true),
            (500, FailureCode::ModelUnavailable, true),
            (503, FailureCode::ModelUnavailable, true),
            (504, FailureCode::TimedOut, true),
            (529, FailureCode::ModelUnavailable, true),
        ] {
            for body in
                ["", "Bad gateway", "<html>{</html>", "{\"error\": \"no\"}", "{\"error\": {}}", "[1]", "null"]
            {
                let generated = provider.generate(Script::status(status).raw(body)).await;
                let error = generated.end.unwrap_err();
                assert_eq!(error.code, code, "{status} {body}");
                assert_eq!(error.retry != Retry::Never, is_retried, "{status} {body}");
            }
        }
        let with_delay = Script::status(503).header("retry-after", "34.5");
        let retry = provider.generate(with_delay).await.end.unwrap_err().retry;
        assert_eq!(retry, Retry::After { at_least: Duration::from_millis(34_500) });
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported_as_unreachable() {
    // The listener is dropped at once, so that connections to its address are refused.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base_url = format!("http://{closed}");
    let unreachable: [Box<dyn LanguageModel>; 2] =
        [Box::new(models::gemini(&base_url)), Box::new(models::openai(&base_url, None))];
    for model in unreachable {
        let generated = generate(&*model, prompt(&model.names()[0])).await;
        assert_eq!(generated.code(), FailureCode::ModelUnavailable);
        assert!(generated.end.unwrap_err().is_unreachable);
    }
}

#[tokio::test]
async fn dropping_the_stream_cancels_the_call() {
    for provider in providers().await {
        let (script, mut closed) = (provider.text)(Script::new(), "Hello").hang_until_closed();
        provider.server.enqueue(script);
        let mut chunks = provider.model.generate(prompt(provider.requested_model));
        while !matches!(chunks.next().await, Some(Ok(Chunk::Text(_)))) {}
        drop(chunks);
        assert_eq!(timeout(TEST_TIMEOUT, closed.recv()).await, Ok(None));
    }
}

#[tokio::test(start_paused = true)]
async fn the_demo_model_answers_with_text_usage_and_one_end() {
    let model = DemoModel::default();
    let generated = generate(&model, prompt("demo")).await;
    let (text, reason) = generated.complete();
    assert!(text.contains("Who are you?") && text.contains("3 turns"), "{text}");
    assert_eq!((reason, generated.usage.model.as_deref()), ("STOP", Some("demo")));
    assert!(generated.usage.tokens.unwrap().output > 0);
}
