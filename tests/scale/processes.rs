//! Processes of one installation that are killed and stopped one by one.

use crate::support::{
    Gate, Script, TestUser,
    process::{Deployment, on_process},
    requirements::require_servers,
};

#[tokio::test]
async fn a_reply_of_a_killed_worker_is_taken_over_by_another() {
    require_servers!();
    let deployment = Deployment::new().await;
    let api = deployment.start_with(&["api"], &[]).await;
    let worker_a = deployment.start_with(&["worker"], &[]).await;
    deployment.gemini.enqueue(Script::new().text("Half an ans").hang());
    deployment.gemini.enqueue(Script::reply(["A whole", " answer"]));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    let worker_b = deployment.start_with(&["worker"], &[]).await;
    worker_a.kill();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("A whole answer", 1));
    assert_eq!(user.used().await, 1);
    for process in [api, worker_b] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}

#[tokio::test]
async fn a_worker_past_its_shutdown_grace_releases_its_reply_to_another() {
    require_servers!();
    let deployment = Deployment::new().await;
    let api = deployment.start_with(&["api"], &[]).await;
    // With these settings no lease expires during the test, and a shutdown does not wait for replies.
    let settings = [("WORKER_LEASE", "3600"), ("SHUTDOWN_GRACE", "0")];
    let worker_a = deployment.start_with(&["worker"], &settings).await;
    deployment.gemini.enqueue(Script::new().text("Half an ans").hang());
    deployment.gemini.enqueue(Script::reply(["A whole", " answer"]));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half").await;
    let worker_b = deployment.start_with(&["worker"], &settings).await;
    worker_a.terminate();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("A whole answer", 1));
    assert!(worker_a.wait_for_exit().await);
    for process in [api, worker_b] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}

#[tokio::test]
async fn a_stopping_worker_finishes_its_reply_while_another_claims_the_next() {
    require_servers!();
    let deployment = Deployment::new().await;
    let api = deployment.start_with(&["api"], &[]).await;
    let worker_a = deployment.start_with(&["worker"], &[]).await;
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("To be").wait(&gate).text(" or not").finish("STOP"));
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("To be").await;
    worker_a.terminate();
    worker_a.wait_until_stopping().await;
    let worker_b = deployment.start_with(&["worker"], &[]).await;
    let next = user.create_chatroom("y").await.send("hi").await;
    assert_eq!(user.read(&next.reply).await.text, "Yes.");
    gate.release_one();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("To be or not", 0));
    assert!(worker_a.wait_for_exit().await);
    for process in [api, worker_b] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}

#[tokio::test]
async fn a_subscriber_of_a_killed_node_resumes_on_another() {
    require_servers!();
    let deployment = Deployment::new().await;
    let api_a = deployment.start_with(&["api"], &[]).await;
    let api_b = deployment.start_with(&["api"], &[]).await;
    let worker = deployment.start_with(&["worker"], &[]).await;
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("Half ").wait(&gate).text("and half").finish("STOP"));
    let user = TestUser::sign_in(api_a.address, "+14155550123").await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Half ").await;
    api_a.kill();
    let mut resumed = on_process(&user, &api_b).follow(&sent.reply, Some(&follower.cursor)).await;
    gate.release_one();
    assert_eq!(resumed.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text + &resumed.text, resumed.restarts), ("Half and half".to_owned(), 0));
    for process in [api_b, worker] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}
