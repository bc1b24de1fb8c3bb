//! Log lines of sign-ins, messages and replies: they contain ids but nothing private.

use entity::{ChatroomId, MessageId, SessionId, UserId};
use sea_orm::prelude::Uuid;
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, TestUser,
    process::{Deployment, Process},
    user::{SEND_OTP, VERIFY_OTP},
};

const NUMBER: &str = "+14155550123";

/// Converts an id of the API into the id of its row.
fn row_id<Id: std::str::FromStr<Err: std::fmt::Debug>>(id: &Value, to_uuid: impl Fn(Id) -> Uuid) -> Value {
    json!(to_uuid(id.as_str().unwrap().parse().unwrap()).to_string())
}

fn user_row_id(id: &Value) -> Value {
    row_id(id, |UserId(uuid)| uuid)
}

fn chatroom_row_id(id: &str) -> Value {
    row_id(&json!(id), |ChatroomId(uuid)| uuid)
}

fn message_row_id(id: &str) -> Value {
    row_id(&json!(id), |MessageId(uuid)| uuid)
}

/// Reads log lines up to the next one with this message, and returns its fields. Adds all lines that it reads to `seen`.
async fn next_logged(process: &mut Process, message: &str, seen: &mut Vec<String>) -> Value {
    loop {
        let line = process.next_log_line().await;
        seen.push(line.clone());
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["fields"]["message"] == message {
            assert_eq!(line["level"], "INFO");
            return line["fields"].clone();
        }
    }
}

#[tokio::test]
async fn a_conversation_is_logged_with_ids_and_without_content() {
    let deployment = Deployment::new().await;
    let settings = [("LOG_FORMAT", "json"), ("RUST_LOG", "pollux=trace,info"), ("BASIC_DAILY_LIMIT", "5")];
    let mut process = deployment.start_with(&[], &settings).await;
    let mut seen = Vec::new();

    let anonymous = TestUser::anonymous(process.address);
    let sent = anonymous.data(SEND_OTP, json!({ "phone": NUMBER })).await;
    let otp = sent["sendOtp"]["otp"].as_str().unwrap().to_owned();
    let response = anonymous.data(VERIFY_OTP, json!({"phone": NUMBER, "otp": otp})).await;
    let signed_in = &response["verifyOtp"];
    let (token, refresh_token) =
        (signed_in["accessToken"].as_str().unwrap(), signed_in["refreshToken"].as_str().unwrap());
    let caller = TestUser { token: token.to_owned(), ..anonymous };
    let user_id = user_row_id(&signed_in["user"]["id"]);
    let line = next_logged(&mut process, "signed in", &mut seen).await;
    assert_eq!((&line["user_id"], &line["method"]), (&user_id, &json!("code")));
    let sessions = caller.data("{ sessions { id } }", json!({})).await;
    assert_eq!(line["session_id"], row_id(&sessions["sessions"][0]["id"], |SessionId(uuid)| uuid));

    // The first attempt of this reply fails, and the second completes it.
    let chatroom = caller.create_chatroom("secret title").await;
    deployment.gemini.enqueue(Script::gemini_error(503, "UNAVAILABLE", json!([])));
    deployment.gemini.enqueue(Script::reply(["secret answer"]));
    let sent = chatroom.send("secret question").await;
    let logged_ids =
        |line: &Value| [line["user_id"].clone(), line["chatroom_id"].clone(), line["message_id"].clone()];
    let expected_ids =
        |message: &str| [user_id.clone(), chatroom_row_id(&chatroom.id), message_row_id(message)];
    let accepted = next_logged(&mut process, "message accepted", &mut seen).await;
    assert_eq!(logged_ids(&accepted), expected_ids(&sent.message));
    assert_eq!(accepted["reply_id"], message_row_id(&sent.reply));
    for attempt in 1..=2 {
        let started = next_logged(&mut process, "reply attempt started", &mut seen).await;
        assert_eq!(logged_ids(&started), expected_ids(&sent.reply));
        assert_eq!((&started["attempt"], started["since_request_ms"].is_i64()), (&json!(attempt), true));
        assert!(started["model"].is_string());
    }
    let ended = next_logged(&mut process, "reply ended", &mut seen).await;
    assert_eq!(logged_ids(&ended), expected_ids(&sent.reply));
    assert_eq!((&ended["attempt"], &ended["status"]), (&json!(2), &json!("completed")));
    assert_eq!((&ended["model"], &ended["finish_reason"]), (&json!("model-a-001"), &json!("STOP")));
    assert_eq!((&ended["prompt_tokens"], &ended["output_tokens"]), (&json!(7), &json!(8)));
    assert!(ended["duration_ms"].as_i64().unwrap() > 0);

    // The next reply fails, and its regeneration is stopped.
    deployment
        .gemini
        .enqueue(Script::new().text("secret half").event(&json!({"error": {"code": 400, "message": "no"}})));
    let failed = chatroom.send("secret question").await;
    let ended = next_logged(&mut process, "reply ended", &mut seen).await;
    assert_eq!((&ended["status"], &ended["failure"]), (&json!("failed"), &json!("model_rejected")));
    assert_eq!((&ended["message_id"], &ended["output_tokens"]), (&message_row_id(&failed.reply), &json!(1)));
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("secret half").wait(&gate));
    let stopped = caller.regenerate(&failed.reply).await.unwrap();
    let accepted = next_logged(&mut process, "regeneration accepted", &mut seen).await;
    assert_eq!(
        (&accepted["message_id"], &accepted["reply_id"]),
        (&message_row_id(&failed.message), &message_row_id(&stopped.reply))
    );
    next_logged(&mut process, "reply attempt started", &mut seen).await;
    caller.stop(&stopped.reply).await;
    let ended = next_logged(&mut process, "reply ended", &mut seen).await;
    assert_eq!(
        (&ended["status"], &ended["message_id"]),
        (&json!("cancelled"), &message_row_id(&stopped.reply))
    );

    process.terminate();
    seen.extend(process.remaining_log().await);
    for line in &seen {
        for private in [NUMBER, &NUMBER[1..], token, refresh_token, "secret", "test-key"] {
            assert!(!line.contains(private), "{line}");
        }
        // Compares whole words, because the digits of the one-time password may occur in a timestamp.
        assert!(!line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == otp), "{line}");
    }
    let count = |message: &str| {
        seen.iter().filter(|line| line.contains(&format!("\"message\":\"{message}\""))).count()
    };
    assert_eq!(
        [count("signed in"), count("message accepted"), count("reply ended")],
        [1, 2, 3],
        "each event is logged once"
    );
}
