//! Replies survive a crash or a restart of the server. Their subscribers receive them complete, once and in order.

use crate::support::{
    Gate, Script, TestUser,
    process::{Deployment, on_process},
};

#[tokio::test]
async fn a_reply_of_a_killed_server_restarts_on_the_next_server() {
    let deployment = Deployment::new().await;
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("Half an ans").wait(&gate).finish("STOP"));
    deployment.gemini.enqueue(Script::new().text("A whole").wait(&gate).text(" answer").finish("STOP"));
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    let queued = chatroom.send("and?").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    let cursor = follower.cursor.clone();
    process.kill();

    let process = deployment.start().await;
    let user = on_process(&user, &process);
    let mut follower = user.follow(&sent.reply, Some(&cursor)).await;
    assert_eq!(follower.next_event().await.as_deref(), Some("ReplyRestarted"));
    assert_eq!(follower.cursor, "2-0");
    gate.open();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "A whole answer");
    assert_eq!(user.read(&queued.reply).await.text, "Yes.");
    for reply in [&sent.reply, &queued.reply] {
        assert_eq!(user.message(reply).await["status"], "COMPLETED");
    }
    assert_eq!(user.message(&sent.reply).await["cursor"], "2-14");
    assert_eq!(user.used().await, 2, "each of the two messages is charged once");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn sigterm_lets_the_running_reply_finish() {
    let deployment = Deployment::new().await;
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut idle_socket = user.socket().await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("To be").await;
    process.terminate();
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!(follower.text, "To be or not");
    assert_eq!(idle_socket.close_code().await, 1012, "clients reconnect after this close code");
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn sigterm_stops_claiming_queued_replies() {
    let deployment = Deployment::new().await;
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("First").wait(&gate).finish("STOP"));
    let one_at_a_time = [("WORKER_CONCURRENCY", "1")];
    let process = deployment.start_with(&[], &one_at_a_time).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let first = user.create_chatroom("x").await.send("one").await;
    let mut follower = user.follow(&first.reply, None).await;
    follower.read_until("First").await;
    let second = user.create_chatroom("y").await.send("two").await;
    process.terminate();
    process.wait_until_stopping().await;
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert!(process.wait_for_exit().await);
    assert_eq!(deployment.gemini.calls().len(), 1);
    let process = deployment.start().await;
    let mut follower = on_process(&user, &process).follow(&second.reply, None).await;
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_second_sigterm_releases_the_reply_for_the_next_server() {
    let deployment = Deployment::new().await;
    deployment.gemini.enqueue(Script::new().text("Half").hang());
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    process.terminate();
    // Waits until the first signal has been handled, so that the next one counts as the second.
    process.wait_until_stopping().await;
    process.terminate();
    assert!(process.wait_for_exit().await);

    let process = deployment.start().await;
    let mut follower = on_process(&user, &process).follow(&sent.reply, Some(&follower.cursor)).await;
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Yes.", 1));
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_stop_committed_before_a_crash_is_carried_out_by_the_next_server() {
    let deployment = Deployment::new().await;
    deployment.gemini.enqueue(Script::new().text("Half").hang());
    let process = deployment.start().await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("Half").await;
    process.kill();
    // Simulates a stop that the killed server had committed but not carried out.
    let database = sea_orm::Database::connect(&deployment.backend.database_url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&database, "UPDATE jobs SET stop_requested = true")
        .await
        .unwrap();
    database.close().await.unwrap();

    let process = deployment.start().await;
    let user = on_process(&user, &process);
    assert_eq!(user.follow(&sent.reply, None).await.read_to_end().await, "ReplyCancelled");
    assert_eq!(deployment.gemini.calls().len(), 1, "the model is not called again");
    process.terminate();
    assert!(process.wait_for_exit().await);
}
