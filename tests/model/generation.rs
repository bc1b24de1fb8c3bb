//! Generation settings of the server and of a chatroom, and the parameters that each provider receives for them.

use entity::chatroom::Generation;
use pollux::ports::model::Prompt;
use serde_json::{Value, json};

use crate::support::{
    FakeOpenAi, Script, TestApp,
    models::{self, generate, prompt},
    openai::{self, reply},
    user::{TestChatroom, TestUser},
};

const UPDATE: &str = "mutation($input: UpdateChatroomInput!) { updateChatroom(input: $input) {
    chatroom { generation { temperature topP maxOutputTokens thinkingBudget } }
} }";

async fn update(user: &TestUser, chatroom: &TestChatroom, generation: Value) -> Value {
    let input = json!({"id": chatroom.id, "generation": generation});
    user.execute(UPDATE, json!({ "input": input })).await
}

/// Sends a message in the chatroom, and returns the generation settings of Gemini's call.
async fn sent_config(app: &TestApp, chatroom: &TestChatroom) -> Value {
    chatroom.user.read(&chatroom.send("hi").await.reply).await;
    app.gemini.calls().pop().unwrap().body["generationConfig"].take()
}

#[tokio::test]
async fn a_chatroom_overrides_the_generation_settings_of_the_server() {
    let settings = ["--model-temperature=0.5", "--model-max-output-tokens=100", "--model-thinking-budget=50"];
    let app = TestApp::with_settings(&settings).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let config = |temperature: f64, top_p: Value, output: i32, thinking: i32| {
        let mut config = json!({"temperature": temperature, "maxOutputTokens": output});
        config["thinkingConfig"] = json!({ "thinkingBudget": thinking });
        if !top_p.is_null() {
            config["topP"] = top_p;
        }
        config
    };
    assert_eq!(sent_config(&app, &chatroom).await, config(0.5, Value::Null, 100, 50));
    let own = json!({"temperature": 1.5, "topP": 0.25, "maxOutputTokens": 70, "thinkingBudget": 0});
    let updated = update(&user, &chatroom, own.clone()).await;
    assert_eq!(updated["data"]["updateChatroom"]["chatroom"]["generation"], own);
    assert_eq!(sent_config(&app, &chatroom).await, config(1.5, json!(0.25), 70, 0));
    // An update replaces all settings of the chatroom: where it has null or no value, the server's setting applies again.
    update(&user, &chatroom, json!({"topP": 1, "temperature": null})).await;
    assert_eq!(sent_config(&app, &chatroom).await, config(0.5, json!(1.0), 100, 50));
    // Null instead of the object removes all settings of the chatroom.
    let cleared = update(&user, &chatroom, Value::Null).await;
    assert_eq!(cleared["data"]["updateChatroom"]["chatroom"]["generation"], Value::Null);
    assert_eq!(sent_config(&app, &chatroom).await, config(0.5, Value::Null, 100, 50));
    // A chatroom can be created with settings, and an update of its title keeps them.
    let created = user.create_chatroom_with(json!({"title": "x", "generation": {"temperature": 0}})).await;
    let renamed = json!({"id": created.id, "title": "Cold"});
    user.data(UPDATE, json!({ "input": renamed })).await;
    assert_eq!(sent_config(&app, &created).await, config(0.0, Value::Null, 100, 50));
    app.stop().await;
}

#[tokio::test]
async fn generation_settings_outside_their_limits_are_rejected_and_change_nothing() {
    let app = TestApp::with_settings(&["--model-max-output-tokens=100"]).await;
    let user = app.user().await;
    let chatroom = user.create_chatroom_with(json!({"title": "x", "generation": {"topP": 0.5}})).await;
    for (own, field, message) in [
        (json!({"temperature": 2.5}), "temperature", "temperature must be 0 to 2; got 2.5."),
        (json!({"topP": -0.1}), "topP", "topP must be 0 to 1; got -0.1."),
        (json!({"maxOutputTokens": 101}), "maxOutputTokens", "maxOutputTokens must be 1 to 100; got 101."),
        (json!({"thinkingBudget": -1}), "thinkingBudget", "thinkingBudget must be 0 to 1000000; got -1."),
    ] {
        let create =
            "mutation($input: CreateChatroomInput!) { createChatroom(input: $input) { chatroom { id } } }";
        let created = user.execute(create, json!({"input": {"generation": own}})).await;
        for response in [update(&user, &chatroom, own).await, created] {
            let error = &response["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{response}");
            assert_eq!((&error["extensions"]["field"], &error["message"]), (&json!(field), &json!(message)));
        }
    }
    let query = "query($id: ID!) { chatroom(id: $id) { generation { topP temperature } } }";
    let data = user.data(query, json!({"id": chatroom.id})).await;
    assert_eq!(data["chatroom"]["generation"], json!({"topP": 0.5, "temperature": null}));
    app.stop().await;
}

#[tokio::test]
async fn without_generation_settings_no_generation_parameters_are_sent() {
    let openai = FakeOpenAi::start().await;
    let settings = openai.settings("gpt-a");
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let app = TestApp::with_settings(&settings).await;
    let user = app.user().await;
    let plain = user.create_chatroom("x").await;
    assert_eq!(sent_config(&app, &plain).await, Value::Null);
    let chatroom = user.create_chatroom_with(json!({"title": "x", "model": "gpt-a"})).await;
    user.read(&chatroom.send("hi").await.reply).await;
    let body = openai.calls().pop().unwrap().body;
    let mut names: Vec<&String> = body.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["messages", "model", "stream", "stream_options"]);
    app.stop().await;
}

fn prompt_with_settings(model: &str) -> Prompt {
    let generation = Generation {
        temperature: Some(0.5),
        top_p: Some(0.9),
        max_output_tokens: Some(100),
        thinking_budget: Some(50),
    };
    Prompt { generation, ..prompt(model) }
}

/// The generation parameters in the body of a call.
fn generation_parameters(body: &Value) -> Value {
    let mut body = body.clone();
    for name in ["messages", "model", "stream", "stream_options", "contents", "systemInstruction"] {
        body.as_object_mut().unwrap().remove(name);
    }
    body
}

#[tokio::test]
async fn a_parameter_that_an_openai_model_rejects_is_replaced_or_left_out_from_then_on() {
    let (server, model) = models::start_openai().await;
    for parameter in ["max_tokens", "temperature"] {
        server.enqueue(openai::error(400, "invalid_request_error", "unsupported_parameter", Some(parameter)));
    }
    server.enqueue(reply(["Fine"]));
    for _ in 0..2 {
        assert_eq!(generate(&model, prompt_with_settings("gpt-a")).await.end, Ok("STOP".to_owned()));
    }
    let sent: Vec<Value> = server.calls().iter().map(|call| generation_parameters(&call.body)).collect();
    assert_eq!(
        sent,
        [
            json!({"temperature": 0.5, "top_p": 0.9, "max_tokens": 100}),
            json!({"temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 100}),
            json!({"top_p": 0.9, "max_completion_tokens": 100}),
            // The first call for the next reply has only the parameters that were accepted before.
            json!({"top_p": 0.9, "max_completion_tokens": 100}),
        ]
    );
    // A call that fails for another reason is not repeated.
    server.enqueue(openai::error(400, "invalid_request_error", "context_length_exceeded", Some("messages")));
    assert!(generate(&model, prompt_with_settings("gpt-a")).await.end.is_err());
    assert_eq!(server.calls().len(), 5);
}

#[tokio::test]
async fn a_thinking_budget_that_a_gemini_model_rejects_is_left_out_from_then_on() {
    let (server, model) = models::start_gemini().await;
    let message = "Budget 50 is invalid. This model only works in thinking mode.";
    let rejection = json!({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}});
    server.enqueue(Script::error(400, &rejection));
    for _ in 0..2 {
        assert_eq!(generate(&model, prompt_with_settings("model-a")).await.complete(), ("Yes.", "STOP"));
    }
    let sent: Vec<Value> = server.calls().iter().map(|call| generation_parameters(&call.body)).collect();
    let config = json!({"temperature": 0.5, "topP": 0.9, "maxOutputTokens": 100});
    let mut thinking = config.clone();
    thinking["thinkingConfig"] = json!({"thinkingBudget": 50});
    let expected = [thinking, config.clone(), config].map(|config| json!({ "generationConfig": config }));
    assert_eq!(sent, expected);
    // A call without a budget that fails with the same message is not repeated.
    server.enqueue(Script::error(400, &rejection));
    assert!(generate(&model, prompt("model-a")).await.end.is_err());
    assert_eq!(server.calls().len(), 4);
}
