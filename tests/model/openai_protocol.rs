//! The protocol of OpenAI's chat completions, with the irregularities of the many servers that implement it.

use pollux::ports::model::{LanguageModel, Tokens};
use serde_json::{Value, json};

use crate::support::{
    FakeOpenAi, Script, TestApp,
    models::{self, Generated, generate, prompt},
    openai::{chunk, done, event, finish, text, usage},
};

/// What the model generates if the server responds with this script.
async fn answer(script: Script) -> Generated {
    let (server, model) = models::start_openai().await;
    server.enqueue(script);
    generate(&model, prompt("gpt-a")).await
}

fn events<'a>(events: impl IntoIterator<Item = &'a Value>) -> Script {
    events.into_iter().fold(Script::new(), event)
}

#[tokio::test]
async fn the_request_matches_the_api() {
    let (server, model) = models::start_openai().await;
    generate(&model, prompt("gpt-a")).await;
    let call = server.calls().pop().unwrap();
    assert_eq!(call.uri, "/v1/chat/completions");
    assert_eq!(call.headers["authorization"], "Bearer secret-key");
    assert_eq!(
        call.body,
        json!({
            "model": "gpt-a",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "Who are you?"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
}

#[tokio::test]
async fn a_server_without_a_key_gets_no_authorization_header() {
    let server = FakeOpenAi::start().await;
    // A base URL may end with a slash.
    let model = models::openai(&format!("http://{}/v1/", server.address), None);
    assert_eq!(generate(&model, prompt("gpt-a")).await.complete(), ("Yes.", "STOP"));
    assert!(!server.calls()[0].headers.contains_key("authorization"));
    assert_eq!(model.provider(), "Local");
}

#[tokio::test]
async fn bytes_may_be_split_anywhere_and_lines_may_end_in_any_way() {
    let frames =
        [chunk(&json!({"content": "Grüße, "})), chunk(&json!({"content": "😀"})), finish("stop"), usage()];
    for line_end in ["\n", "\r\n", "\r"] {
        let frames: String = frames
            .iter()
            .flat_map(|frame| [format!("data: {frame}{line_end}"), line_end.to_owned()])
            .collect();
        for last in ["", "data: [DONE]", &format!("data: [DONE]{line_end}{line_end}")] {
            let all = format!("{frames}{last}");
            let bytewise = all.bytes().fold(Script::new(), |script, byte| script.raw(vec![byte]));
            for script in [bytewise, Script::new().raw(all)] {
                let generated = answer(script).await;
                assert_eq!(generated.complete(), ("Grüße, 😀", "STOP"), "{line_end:?} {last:?}");
                assert_eq!(generated.usage.tokens, Some(Tokens { prompt: 7, output: 8, thoughts: 3 }));
            }
        }
    }
}

#[tokio::test]
async fn the_end_marker_ends_the_answer_although_the_body_stays_open() {
    let started = std::time::Instant::now();
    let script = done(event(text(Script::new(), "Whole"), &finish("stop")));
    assert_eq!(
        answer(text(script, "!").hang()).await.complete(),
        ("Whole", "STOP"),
        "text after the end marker must not be read"
    );
    // Without a finish reason, the marker shows that the answer is complete.
    assert_eq!(answer(done(text(Script::new(), "Whole")).hang()).await.complete(), ("Whole", "STOP"));
    // Without the marker, the adapter would read an open body for ten seconds after the finish reason.
    assert!(started.elapsed() < std::time::Duration::from_secs(9), "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_the_end_marker_an_answer_is_complete_only_after_a_finish_reason() {
    let generated = answer(event(text(Script::new(), "Whole"), &finish("stop"))).await;
    assert_eq!(generated.complete(), ("Whole", "STOP"));
    let generated = answer(text(Script::new(), "Half")).await;
    assert!(generated.end.is_err() && generated.text == "Half");
}

#[tokio::test]
async fn empty_choices_roles_and_nulls_add_no_text() {
    let mut filtered = chunk(&json!({}));
    filtered["choices"] = json!([]);
    // Azure's first chunk has the results of its content filter, and no choices.
    filtered["prompt_filter_results"] = json!([{"prompt_index": 0, "content_filter_results": {}}]);
    let nulls = [
        filtered,
        json!({"choices": null}),
        json!({"choices": [null]}),
        json!({"choices": [{"index": 0, "delta": null, "finish_reason": null}]}),
        json!({"choices": [{"delta": {}}]}),
        chunk(&json!({"role": "assistant"})),
        chunk(&json!({"role": "assistant", "content": null, "tool_calls": null, "refusal": null})),
        chunk(&json!({"content": ""})),
        json!({"error": null, "usage": null, "model": null, "object": null, "choices": []}),
        json!({"choices": [{"index": null, "delta": {"content": "Fine"}, "finish_reason": ""}], "new": {"x": []}}),
        finish("stop"),
    ];
    assert_eq!(answer(done(events(&nulls))).await.complete(), ("Fine", "STOP"));
}

#[tokio::test]
async fn usage_may_be_in_the_last_chunk_in_every_chunk_or_absent() {
    let counts = |prompt: i32, output: i32| json!({"prompt_tokens": prompt, "completion_tokens": output});
    let with_usage = |mut event: Value, usage: Value| {
        event["usage"] = usage;
        event
    };
    let hello = || chunk(&json!({"content": "Hello"}));
    for (chunks, expected) in [
        (vec![hello(), finish("stop"), usage()], Some((7, 8, 3))),
        (vec![with_usage(hello(), counts(7, 1)), with_usage(finish("stop"), counts(7, 2))], Some((7, 2, 0))),
        (vec![hello(), finish("stop")], None),
        // Invalid counts are ignored, and so are later counts that are smaller.
        (vec![hello(), with_usage(finish("stop"), json!("many"))], None),
        (
            vec![with_usage(hello(), json!({"prompt_tokens": "7", "completion_tokens": -1})), finish("stop")],
            Some((7, 0, 0)),
        ),
        (vec![with_usage(hello(), counts(7, 5)), with_usage(finish("stop"), counts(0, 0))], Some((7, 5, 0))),
    ] {
        let generated = answer(done(events(&chunks))).await;
        assert_eq!(generated.complete(), ("Hello", "STOP"));
        let tokens = generated.usage.tokens.map(|tokens| (tokens.prompt, tokens.output, tokens.thoughts));
        assert_eq!(tokens, expected);
    }
}

#[tokio::test]
async fn reasoning_is_never_shown() {
    for thought in [
        json!({"reasoning_content": "Let me think."}),
        json!({"content": null, "reasoning_content": "Hm."}),
        json!({"reasoning": "Let me think.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}),
        json!({"reasoning": {"effort": "high"}}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
    ] {
        let script = event(Script::new(), &chunk(&thought));
        let generated = answer(done(event(text(script, "Four."), &finish("stop")))).await;
        assert_eq!(generated.complete(), ("Four.", "STOP"), "{thought}");
        // An answer that consists only of thoughts has no text.
        let generated = answer(done(event(event(Script::new(), &chunk(&thought)), &finish("length")))).await;
        assert_eq!(generated.complete(), ("", "MAX_TOKENS"), "{thought}");
    }
}

#[tokio::test]
async fn finish_reasons_are_named_the_same_for_all_providers() {
    for (reason, expected) in
        [("stop", "STOP"), ("length", "MAX_TOKENS"), ("tool_calls", "TOOL_CALLS"), ("eos", "EOS")]
    {
        let generated = answer(done(event(text(Script::new(), "Hi"), &finish(reason)))).await;
        assert_eq!(generated.complete(), ("Hi", expected));
    }
    // The finish reason may be in the event with the last text.
    let mut last = chunk(&json!({"content": "end."}));
    last["choices"][0]["finish_reason"] = json!("length");
    let generated = answer(done(event(text(Script::new(), "The "), &last))).await;
    assert_eq!(generated.complete(), ("The end.", "MAX_TOKENS"));
    // OpenRouter sends this reason if the provider behind it has failed.
    assert!(answer(done(event(text(Script::new(), "Hi"), &finish("error")))).await.end.is_err());
}

#[tokio::test]
async fn a_tool_call_adds_no_text() {
    let call =
        json!([{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let script = event(Script::new(), &chunk(&json!({"role": "assistant", "tool_calls": call})));
    assert_eq!(answer(done(event(script, &finish("tool_calls")))).await.complete(), ("", "TOOL_CALLS"));
}

#[tokio::test]
async fn content_may_be_a_list_of_parts_or_a_refusal() {
    let parts =
        json!([{"type": "text", "text": "One, "}, {"type": "image_url"}, {"type": "text", "text": "two"}]);
    let generated =
        answer(done(event(event(Script::new(), &chunk(&json!({"content": parts}))), &finish("stop")))).await;
    assert_eq!(generated.complete(), ("One, two", "STOP"));
    let refused = chunk(&json!({"content": null, "refusal": "I cannot help with that."}));
    let generated = answer(done(event(event(Script::new(), &refused), &finish("stop")))).await;
    assert_eq!(generated.complete(), ("I cannot help with that.", "STOP"));
}

#[tokio::test]
async fn only_the_first_choice_is_read() {
    let choice = |index: i32, text: &str| json!({"index": index, "delta": {"content": text}});
    let both = json!({"choices": [choice(1, "No."), choice(0, "Yes.")]});
    let blocked_second_choice =
        json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "content_filter"}]});
    assert_eq!(
        answer(done(events([&both, &blocked_second_choice, &finish("stop")]))).await.complete(),
        ("Yes.", "STOP")
    );
}

#[tokio::test]
async fn keep_alive_comments_and_other_fields_of_events_are_ignored() {
    let script = Script::new().raw(": OPENROUTER PROCESSING\n\n:\n\nevent: message\nid: 1\nretry: 10\n");
    let script = text(script, "Fine").raw("data:\n\ndata: \n\n: ping\n\n");
    assert_eq!(answer(done(event(script, &finish("stop")))).await.complete(), ("Fine", "STOP"));
}

#[tokio::test]
async fn a_response_without_streaming_is_read_as_a_whole() {
    let whole = json!({
        "object": "chat.completion",
        "model": "gpt-a-2026-01-01",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "All at once."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    });
    for body in [whole.to_string(), serde_json::to_string_pretty(&whole).unwrap(), format!("data: {whole}")] {
        let generated = answer(Script::new().raw(body)).await;
        assert_eq!(generated.complete(), ("All at once.", "STOP"));
        assert_eq!(generated.usage.tokens, Some(Tokens { prompt: 7, output: 3, thoughts: 0 }));
    }
}

#[tokio::test]
async fn surrogate_pairs_split_over_two_chunks_are_joined() {
    let frame = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    for (halves, expected) in
        [([r"\ud83d", r"\ude00"], "😀"), ([r"a\ud83d", "b"], "a\u{fffd}b"), ([r"x", r"\ud83d"], "x\u{fffd}")]
    {
        let script = halves.iter().fold(Script::new(), |script, half| script.raw(frame(half)));
        assert_eq!(answer(done(event(script, &finish("stop")))).await.complete(), (expected, "STOP"));
    }
}

#[tokio::test]
async fn invalid_data_after_a_finish_reason_loses_neither_text_nor_usage() {
    for rest in [
        "data: {\n\n",
        "data: nonsense\n\n",
        "data: {\"error\": {\"message\": \"late\"}}\n\n",
        "data: {\"choices\": 7}\n\n",
        "data: {\"object\": \"error\", \"message\": \"late\"}\n\n",
        "data: {\"usage\": 7, \"choices\": []}\n\n",
    ] {
        let script = event(text(Script::new(), "Whole"), &finish("stop")).raw(rest);
        let script = event(script, &usage());
        for script in [script.clone(), done(script)] {
            let generated = answer(script).await;
            assert_eq!(generated.complete(), ("Whole", "STOP"), "{rest}");
            assert_eq!(generated.usage.tokens.unwrap().output, 8, "{rest}");
        }
    }
}

#[tokio::test]
async fn replies_come_from_the_openai_compatible_server_of_the_chatrooms_model() {
    let openai = FakeOpenAi::start().await;
    let settings = openai.settings("meta/llama-3.3:8b, qwen");
    let settings: Vec<&str> =
        settings.iter().map(String::as_str).chain(["--openai-provider=Ollama"]).collect();
    let app = TestApp::with_settings(&settings).await;
    let user = app.user().await;
    let models = user.data("{ models { name provider isDefault tier } }", json!({})).await;
    let model = |name: &str, provider: &str, is_default: bool| json!({"name": name, "provider": provider, "isDefault": is_default, "tier": "BASIC"});
    let expected = [
        model("model-a", "Google", true),
        model("meta/llama-3.3:8b", "Ollama", false),
        model("qwen", "Ollama", false),
    ];
    assert_eq!(models["models"], json!(expected));
    let chatroom = user.create_chatroom_with(json!({"title": "x", "model": "meta/llama-3.3:8b"})).await;
    let sent = chatroom.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    let message = user.message(&sent.reply).await;
    assert_eq!((&message["model"], &message["finishReason"]), (&json!("gpt-a-2026-01-01"), &json!("STOP")));
    assert_eq!(message["tokens"], json!({"prompt": 7, "output": 8, "thoughts": 3, "total": 15}));
    assert_eq!(openai.calls()[0].body["model"], "meta/llama-3.3:8b");
    assert!(app.gemini.calls().is_empty());
    app.stop().await;
}
