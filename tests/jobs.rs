//! The job queue, independent of job kinds.

use entity::job;
use pollux::store::jobs;
use sea_orm::EntityTrait;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_job_of_an_unknown_kind_is_kept_and_does_not_delay_other_jobs() {
    let app = TestApp::start().await;
    let payload = json!({"text": "é", "numbers": [1, 2.5, null]});
    let unknown =
        job::Model { payload: Some(payload.clone()), ..jobs::new("of_a_newer_release", app.clock.now()) };
    jobs::insert(app.chatrooms.db.write(), unknown.clone()).await.unwrap();
    let user = app.user().await;
    let sent = user.create_chatroom("title").await.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    let kept = job::Entity::find_by_id(unknown.id).one(app.chatrooms.db.read()).await.unwrap().unwrap();
    // The worker has claimed the job once and then released it for a newer release, which is not a failure.
    assert_eq!((kept.attempt, kept.failures, kept.payload), (1, 0, Some(payload)));
    // `stop` waits until no job is left.
    job::Entity::delete_by_id(unknown.id).exec(app.chatrooms.db.write()).await.unwrap();
    app.stop().await;
}
