//! Processes of one installation, killed and stopped one by one.

use crate::support::{
    Gate, Script, TestUser,
    process::{Site, moved},
};

#[tokio::test]
async fn a_killed_workers_reply_is_taken_over_by_another() {
    let site = Site::new().await;
    let api = site.start_with(&["api"], &[]).await;
    let first = site.start_with(&["worker"], &[]).await;
    site.gemini.answers(Script::new().text("Half an ans").hang());
    site.gemini.answers(Script::says(["A whole", " answer"]));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    let second = site.start_with(&["worker"], &[]).await;
    first.kill();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("A whole answer", 1));
    assert_eq!(user.used().await, 1);
    for process in [api, second] {
        process.terminate();
        assert!(process.ended().await);
    }
}

#[tokio::test]
async fn a_worker_that_has_to_end_hands_its_reply_to_another() {
    let site = Site::new().await;
    let api = site.start_with(&["api"], &[]).await;
    // No lease runs out, and nobody waits for the reply to end.
    let settings = [("WORKER_LEASE", "3600"), ("SHUTDOWN_GRACE", "0")];
    let first = site.start_with(&["worker"], &settings).await;
    site.gemini.answers(Script::new().text("Half an ans").hang());
    site.gemini.answers(Script::says(["A whole", " answer"]));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half").await;
    let second = site.start_with(&["worker"], &settings).await;
    first.terminate();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("A whole answer", 1));
    assert!(first.ended().await);
    for process in [api, second] {
        process.terminate();
        assert!(process.ended().await);
    }
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_its_reply_while_another_takes_the_next() {
    let site = Site::new().await;
    let api = site.start_with(&["api"], &[]).await;
    let first = site.start_with(&["worker"], &[]).await;
    let gate = Gate::closed();
    site.gemini.answers(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("To be").await;
    first.terminate();
    first.is_stopping().await;
    let second = site.start_with(&["worker"], &[]).await;
    let next = user.room("y").await.ask("hi").await;
    assert_eq!(user.read(&next.reply).await.text, "Yes.");
    gate.open();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("To be or not", 0));
    assert!(first.ended().await);
    for process in [api, second] {
        process.terminate();
        assert!(process.ended().await);
    }
}

#[tokio::test]
async fn a_follower_of_a_killed_node_resumes_on_another() {
    let site = Site::new().await;
    let one = site.start_with(&["api"], &[]).await;
    let other = site.start_with(&["api"], &[]).await;
    let worker = site.start_with(&["worker"], &[]).await;
    let gate = Gate::closed();
    site.gemini.answers(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let user = TestUser::sign_in(one.address, "+14155550123").await;
    let asked = user.room("x").await.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Half ").await;
    one.kill();
    let mut resumed = moved(&user, &other).follow(&asked.reply, Some(&follower.cursor)).await;
    gate.open();
    assert_eq!(resumed.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text + &resumed.text, resumed.restarts), ("Half and half".to_owned(), 0));
    for process in [other, worker] {
        process.terminate();
        assert!(process.ended().await);
    }
}
