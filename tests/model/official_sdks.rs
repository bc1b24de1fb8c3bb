//! The providers' own SDKs call the fake servers, which shows that these speak the real protocols.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    FakeGemini, FakeOpenAi, Script,
    openai::{error, reply},
    requirements::require_clients,
};

#[tokio::test]
async fn the_sdks_of_openai_and_gemini_understand_the_fake_servers() {
    require_clients!();
    let (openai, gemini) = (FakeOpenAi::start().await, FakeGemini::start().await);
    for script in [reply(["Grüße, ", "😀"]), reply(["Grüße, ", "😀"])] {
        openai.enqueue(script);
    }
    openai.enqueue(error(404, "invalid_request_error", "model_not_found", None));
    gemini.enqueue(Script::reply(["Grüße, ", "😀"]));
    gemini.enqueue(Script::gemini_error(404, "NOT_FOUND", json!([])));
    let urls = [format!("http://{}/v1", openai.address), format!("http://{}", gemini.address)];
    let mut command = Command::new("node");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")).arg("sdks.mjs").args(&urls);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (output, errors) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success() && errors.is_empty(), "{errors}");
    let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines,
        [
            json!({"text": "Grüße, 😀", "reason": "stop", "model": "gpt-a-2026-01-01", "total": 15, "thoughts": 3}),
            json!({"text": "Grüße, 😀", "reason": "stop"}),
            json!({"error": "NotFoundError", "status": 404, "code": "model_not_found", "type": "invalid_request_error"}),
            json!({"text": "Grüße, 😀", "reason": "STOP", "model": "model-a-001", "total": 15, "thoughts": 3}),
            json!({"error": "ApiError", "status": 404, "name": "NOT_FOUND"}),
        ]
    );
    assert_eq!(openai.calls()[0].uri, "/v1/chat/completions");
    assert_eq!(openai.calls()[0].headers["authorization"], "Bearer test-key");
    assert_eq!(gemini.calls()[0].uri, "/v1beta/models/model-a:streamGenerateContent?alt=sse");
    assert_eq!(gemini.calls()[0].headers["x-goog-api-key"], "test-key");
}
