//! Statements that SQLite commits together.

use entity::user;
use futures_util::future::join_all;
use sea_orm::{EntityTrait, IntoActiveModel, PaginatorTrait};

use crate::support::{TestApp, user::new_user};

#[tokio::test]
async fn a_statement_that_fails_does_not_affect_those_that_are_committed_with_it() {
    let app = TestApp::start().await;
    let db = &app.chatrooms.db;
    // The third statement violates the uniqueness of phone numbers.
    let numbers = ["+14155550101", "+14155550102", "+14155550101", "+14155550103"];
    let inserts = numbers.map(|number| {
        let user = new_user(number, app.clock.now()).into_active_model();
        user::Entity::insert(user).exec_without_returning(db.write())
    });
    let results = join_all(inserts).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert!(
        results[2].as_ref().unwrap_err().to_string().contains("UNIQUE"),
        "the error is that of the statement"
    );
    assert_eq!(user::Entity::find().count(db.read()).await.unwrap(), 3);
    app.stop().await;
}
