//! Measures how fast three workers drain a queue, and checks that each job runs once.
//!
//! Ten thousand replies of two thousand users are queued before a worker starts. The fake Gemini responds at once.
//! Run it with `tests/with-servers cargo bench --bench queue_drain`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use entity::{job, message};
use futures_util::{StreamExt, future::join_all, stream};
use pollux::{
    config::Role,
    domain::chatrooms::{Content, NewChatroom},
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use support::{Backend, TestApp, app::TestOptions, user::insert_user};

const USERS: u32 = 2_000;
const CHATROOMS: u32 = 5;
const WORKERS: usize = 3;

#[tokio::main]
async fn main() {
    if Backend::servers().is_none() {
        println!("skipped: needs PostgreSQL and Redis. Run it with tests/with-servers");
        return;
    }
    let app = TestApp::with(TestOptions { role: Some(Role::Api), ..TestOptions::default() }).await;
    let queued = Instant::now();
    stream::iter(0..USERS).for_each_concurrent(8, |number| queue_replies(&app, number)).await;
    let jobs = USERS * CHATROOMS;
    println!("{jobs} jobs queued in {:.1} s", queued.elapsed().as_secs_f64());
    let started = Instant::now();
    let workers = join_all((0..WORKERS).map(|_| app.add_node(Role::Worker, &[]))).await;
    let left = async || job::Entity::find().count(app.chatrooms.db.read()).await.expect("database available");
    while left().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let duration = started.elapsed().as_secs_f64();
    let completed = message::Entity::find()
        .filter(message::Column::Status.eq(message::Status::Completed))
        .filter(message::Column::Role.eq(message::Role::Model))
        .filter(message::Column::Attempt.eq(1))
        .count(app.chatrooms.db.read())
        .await
        .expect("database available");
    println!("drained by {WORKERS} workers in {duration:.1} s: {:.0} jobs/s", f64::from(jobs) / duration);
    println!("completed in the first attempt: {completed}; model calls: {}", app.gemini.calls().len());
    assert_eq!((completed, app.gemini.calls().len()), (u64::from(jobs), jobs as usize));
    for node in workers.into_iter().chain([app]) {
        node.stop().await;
    }
}

async fn queue_replies(app: &TestApp, number: u32) {
    let chatrooms = &app.chatrooms;
    let user =
        insert_user(chatrooms.db.write(), &format!("+1415{number:07}"), chatrooms.clock.now()).await.id;
    for _ in 0..CHATROOMS {
        let Ok(chatroom) = chatrooms.create_chatroom(user, NewChatroom::default()).await else {
            panic!("the chatroom was not created")
        };
        let Ok(content) = Content::new("Go".to_owned()) else { panic!("the content is invalid") };
        let Ok(_) = chatrooms.send(user, chatroom.id, content, None).await else {
            panic!("the message was not sent")
        };
    }
}
