//! Text inputs: NUL characters, also in ids, tokens and Stripe's events; invisible text, which counts as blank; the URLs that
//! Stripe receives.

use serde_json::{Value, json};

use crate::support::{
    TestApp, TestUser,
    billing::billing_app,
    code_of,
    stripe::{FRONTEND, WEBHOOK_SECRET, post_webhook, sign},
};

const CREATE: &str = "mutation($v: String) { createChatroom(input: { title: $v }) { chatroom { id } } }";
const INSTRUCT: &str =
    "mutation($v: String) { createChatroom(input: { systemInstruction: $v }) { chatroom { id } } }";
const MODEL: &str = "mutation($v: String) { createChatroom(input: { model: $v }) { chatroom { id } } }";
const NAME: &str = "mutation($v: String) { updateProfile(input: { fullName: $v }) { user { id } } }";
const EMAIL: &str = "mutation($v: String) { updateProfile(input: { email: $v }) { user { id } } }";

/// Operations that pass their variable `v` to an input field, each with the name of the field.
fn inputs(chatroom: &str) -> Vec<(String, &'static str)> {
    let send = |field: &str, other_fields: &str| {
        format!(
            "mutation($v: String!) {{ sendMessage(input: {{ chatroomId: \"{chatroom}\", {field}: $v{other_fields} }}) {{ message {{ id }} }} }}"
        )
    };
    let mut inputs: Vec<(String, &'static str)> = [
        (CREATE, "title"),
        (INSTRUCT, "systemInstruction"),
        (MODEL, "model"),
        (NAME, "fullName"),
        (EMAIL, "email"),
        ("mutation($v: String!) { changePassword(input: { newPassword: $v }) { user { id } } }", "newPassword"),
        ("query($v: String!) { checkoutStatus(sessionId: $v) }", "sessionId"),
        ("mutation($v: String!) { startCheckout(input: { successUrl: $v }) { url } }", "successUrl"),
        ("mutation($v: String!) { startCheckout(input: { cancelUrl: $v }) { url } }", "cancelUrl"),
        ("mutation($v: String!) { openBillingPortal(input: { returnUrl: $v }) { url } }", "returnUrl"),
        ("mutation($v: PhoneNumber!) { sendOtp(input: { phoneNumber: $v }) { otp } }", "phoneNumber"),
        ("mutation($v: String!) { verifyOtp(input: { phoneNumber: \"+14155550199\", otp: $v }) { accessToken } }", "otp"),
        (
            "mutation($v: String!) { signup(input: { phoneNumber: \"+14155550199\", fullName: $v }) { signupToken } }",
            "fullName",
        ),
        ("mutation($v: String!) { signup(input: { phoneNumber: \"+14155550199\", email: $v }) { signupToken } }", "email"),
        (
            "mutation($v: String!) { signup(input: { phoneNumber: \"+14155550199\", password: $v }) { signupToken } }",
            "password",
        ),
        ("query($v: String!) { chatrooms(after: $v) { nodes { id } } }", "after"),
        ("query($v: String!) { chatrooms(last: 1, before: $v) { nodes { id } } }", "before"),
    ]
    .map(|(query, field)| (query.to_owned(), field))
    .into();
    inputs.push((send("content", ""), "content"));
    inputs.push((send("idempotencyKey", ", content: \"x\""), "idempotencyKey"));
    let update = format!(
        "mutation($v: String) {{ updateChatroom(input: {{ id: \"{chatroom}\", title: $v }}) {{ chatroom {{ id }} }} }}"
    );
    inputs.push((update, "title"));
    inputs
}

#[tokio::test]
async fn a_nul_character_in_any_input_is_rejected_naming_the_field() {
    let app = billing_app().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    for (query, field) in inputs(&chatroom.id) {
        for text in ["\0", "long enough\0", "https://chat.example/\0", "ada\0@example.com"] {
            let rejected = user.execute(&query, json!({ "v": text })).await;
            let extensions = &rejected["errors"][0]["extensions"];
            assert_eq!(
                json!([extensions["code"], extensions["field"]]),
                json!(["BAD_USER_INPUT", field]),
                "{query} {text:?}: {rejected}"
            );
        }
    }
    assert_eq!(app.stripe.calls("POST /v1/checkout/sessions").len(), 0);
    app.stop().await;
}

#[tokio::test]
async fn a_nul_character_in_an_id_or_token_matches_nothing() {
    let app = TestApp::start().await;
    let user = app.user().await;
    for (query, code) in [
        ("mutation($v: ID!) { deleteChatroom(input: { id: $v }) { deletedId } }", "NOT_FOUND"),
        ("mutation($v: ID!) { updateChatroom(input: { id: $v }) { chatroom { id } } }", "NOT_FOUND"),
        (
            "mutation($v: ID!) { sendMessage(input: { chatroomId: $v, content: \"x\" }) { message { id } } }",
            "NOT_FOUND",
        ),
        ("mutation($v: ID!) { stopReply(input: { messageId: $v }) { message { id } } }", "NOT_FOUND"),
        ("mutation($v: ID!) { regenerateReply(input: { messageId: $v }) { message { id } } }", "NOT_FOUND"),
        ("mutation($v: ID!) { endSession(input: { id: $v }) { sessionsEnded } }", "NOT_FOUND"),
        ("query($v: ID!) { chatroom(id: $v) { id } }", "no error"),
        ("query($v: ID!) { node(id: $v) { id } }", "no error"),
        (
            "mutation($v: String!) { refreshToken(input: { refreshToken: $v }) { accessToken } }",
            "UNAUTHENTICATED",
        ),
        (
            "mutation($v: String!) { login(input: { phoneNumber: \"+14155550199\", password: $v }) { accessToken } }",
            "UNAUTHENTICATED",
        ),
    ] {
        for text in ["\0", "room_01h455vb4pex5vsknk084sn02q\0", "msg_\0"] {
            assert_eq!(user.error_code(query, json!({ "v": text })).await, code, "{query} {text:?}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_signed_event_with_a_nul_character_is_acknowledged_and_dropped() {
    let app = billing_app().await;
    let mut valid_event = app.stripe.event("invoice.paid", json!({"customer": "cus_1"}));
    for (pointer, value) in
        [("/id", "evt_\0"), ("/data/object/customer", "cus_\0"), ("/type", "invoice.paid\0")]
    {
        let mut event = valid_event.clone();
        *event.pointer_mut(pointer).unwrap() = json!(value);
        let body = event.to_string();
        let signature = sign(&body, app.clock.now().timestamp(), WEBHOOK_SECRET);
        let http = app.anonymous().http;
        assert_eq!(post_webhook(&http, app.address, body, &signature).await.0, 200, "{pointer}");
    }
    valid_event["data"]["object"] = json!({"charge": "ch_\0", "status": "lost"});
    valid_event["type"] = json!("charge.dispute.closed");
    let body = valid_event.to_string();
    let signature = sign(&body, app.clock.now().timestamp(), WEBHOOK_SECRET);
    assert_eq!(post_webhook(&app.anonymous().http, app.address, body, &signature).await.0, 200);
    app.stop().await;
}

#[tokio::test]
async fn invisible_text_counts_as_blank() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let send = format!(
        "mutation($v: String!) {{ sendMessage(input: {{ chatroomId: \"{}\", content: $v }}) {{ message {{ id }} }} }}",
        chatroom.id
    );
    let error_of = async |user: &TestUser, query: &str, text: &str| -> Value {
        let response = user.execute(query, json!({ "v": text })).await;
        json!([code_of(&response), response["errors"][0]["extensions"]["field"]])
    };
    for text in [
        "",
        " ",
        "\u{200b}",
        "\u{200e}\u{202a}\u{2066}",
        "\u{115f}",
        "\u{3164}",
        "\u{2800}",
        "\u{ffa0}\u{ad}",
        "\u{180e}\u{fe0f}",
    ] {
        for (query, field) in
            [(CREATE, "title"), (NAME, "fullName"), (EMAIL, "email"), (send.as_str(), "content")]
        {
            assert_eq!(
                error_of(&user, query, text).await,
                json!(["BAD_USER_INPUT", field]),
                "{}",
                text.escape_unicode()
            );
        }
    }
    for text in ["\u{200b}.", "👨‍👩‍👧", "\u{2066}نص\u{2069}"] {
        for query in [CREATE, NAME] {
            assert_eq!(error_of(&user, query, text).await[0], "no error", "{}", text.escape_unicode());
        }
    }
    assert_eq!(chatroom.branch().await, []);
    app.stop().await;
}

#[tokio::test]
async fn stripe_receives_the_validated_return_urls() {
    let app = billing_app().await;
    let user = app.user().await;
    let input = json!({"successUrl": format!("{FRONTEND}\\@evil.example\n/a b"), "cancelUrl": " https://CHAT.example:443/x/../no "});
    user.start_checkout(input).await.unwrap();
    let call = app.stripe.calls("POST /v1/checkout/sessions").remove(0);
    let sent = |name: &str| {
        let found = url::form_urlencoded::parse(call.as_bytes()).find(|(key, _)| key == name);
        found.unwrap().1.into_owned()
    };
    assert_eq!(
        sent("success_url"),
        format!("{FRONTEND}/@evil.example/a%20b?session_id={{CHECKOUT_SESSION_ID}}")
    );
    assert_eq!(sent("cancel_url"), format!("{FRONTEND}/no"));
    app.stop().await;
}
