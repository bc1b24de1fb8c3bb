//! The promise, with the process killed: whole, once, in order, on every device.

use crate::support::{
    Gate, Script, TestUser,
    process::{Site, moved},
};

#[tokio::test]
async fn a_killed_servers_reply_is_written_by_the_next_one() {
    let site = Site::new().await;
    let gate = Gate::closed();
    site.gemini.answers(Script::new().text("Half an ans").wait(&gate).finish("STOP"));
    site.gemini.answers(Script::new().text("A whole").wait(&gate).text(" answer").finish("STOP"));
    let process = site.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let room = user.room("x").await;
    let asked = room.ask("hi").await;
    let waiting = room.ask("and?").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    let cursor = follower.cursor.clone();
    process.kill();

    let process = site.start().await;
    let user = moved(&user, &process);
    let mut follower = user.follow(&asked.reply, Some(&cursor)).await;
    assert_eq!(follower.step().await.as_deref(), Some("ReplyRestarted"));
    assert_eq!(follower.cursor, "2-0");
    gate.open_wide();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "A whole answer");
    assert_eq!(user.read(&waiting.reply).await.text, "Yes.");
    for reply in [&asked.reply, &waiting.reply] {
        assert_eq!(user.message(reply).await["status"], "COMPLETED");
    }
    assert_eq!(user.message(&asked.reply).await["cursor"], "2-14");
    assert_eq!(user.used().await, 2, "two messages, two units");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_lets_its_reply_finish() {
    let site = Site::new().await;
    let gate = Gate::closed();
    site.gemini.answers(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let process = site.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut idle = user.socket().await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("To be").await;
    process.terminate();
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "To be or not");
    assert_eq!(idle.close_code().await, 1012, "sockets are told to come again");
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_begins_no_other_reply() {
    let site = Site::new().await;
    let gate = Gate::closed();
    site.gemini.answers(Script::new().text("First").wait(&gate).finish("STOP"));
    let one_at_a_time = [("WORKER_CONCURRENCY", "1")];
    let process = site.start_with(&[], &one_at_a_time).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let first = user.room("x").await.ask("one").await;
    let mut follower = user.follow(&first.reply, None).await;
    follower.until("First").await;
    let second = user.room("y").await.ask("two").await;
    process.terminate();
    process.is_stopping().await;
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert!(process.ended().await);
    assert_eq!(site.gemini.calls().len(), 1);
    let process = site.start().await;
    let mut follower = moved(&user, &process).follow(&second.reply, None).await;
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_second_signal_hands_the_reply_back_and_the_next_server_takes_it_up() {
    let site = Site::new().await;
    site.gemini.answers(Script::new().text("Half").hang());
    let process = site.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    process.terminate();
    // The first has been heard, so that the second is another.
    process.is_stopping().await;
    process.terminate();
    assert!(process.ended().await);

    let process = site.start().await;
    let mut follower = moved(&user, &process).follow(&asked.reply, Some(&follower.cursor)).await;
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Yes.", 1));
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_reply_that_was_being_stopped_when_the_server_died_is_stopped() {
    let site = Site::new().await;
    site.gemini.answers(Script::new().text("Half").hang());
    let process = site.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    user.follow(&asked.reply, None).await.until("Half").await;
    process.kill();
    // The stop that the dead server had committed and not carried out.
    let database = sea_orm::Database::connect(&site.backend.database_url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&database, "UPDATE jobs SET stop_requested = true")
        .await
        .unwrap();
    database.close().await.unwrap();

    let process = site.start().await;
    let user = moved(&user, &process);
    assert_eq!(user.follow(&asked.reply, None).await.until_the_end().await, "ReplyCancelled");
    assert_eq!(site.gemini.calls().len(), 1, "the model is not asked again");
    process.terminate();
    assert!(process.ended().await);
}
