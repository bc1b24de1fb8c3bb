//! How fast three workers empty a queue, and whether each job of it is done once.
//!
//! Ten thousand replies of two thousand users are queued before a worker starts; the stand-in for Gemini answers at once.
//! `tests/with-servers cargo bench --bench queue_drain`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use entity::{job, message};
use futures_util::{StreamExt, future::join_all, stream};
use pollux::{
    config::Role,
    domain::chat::{Content, NewChatroom},
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use support::{Backend, TestApp, app::Wishes, user::registered};

const USERS: u32 = 2_000;
const ROOMS: u32 = 5;
const WORKERS: usize = 3;

#[tokio::main]
async fn main() {
    if Backend::servers().is_none() {
        println!("the queue is drained by several workers: run it by tests/with-servers");
        return;
    }
    let app = TestApp::with(Wishes { role: Some(Role::Api), ..Wishes::default() }).await;
    let queued = Instant::now();
    stream::iter(0..USERS).for_each_concurrent(8, |number| queue(&app, number)).await;
    let jobs = USERS * ROOMS;
    println!("{jobs} jobs queued in {:.1} s", queued.elapsed().as_secs_f64());
    let begun = Instant::now();
    let workers = join_all((0..WORKERS).map(|_| app.beside(Role::Worker, &[]))).await;
    let left = async || job::Entity::find().count(app.chat.db.read()).await.expect("the database answers");
    while left().await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let completed = message::Entity::find()
        .filter(message::Column::Status.eq(message::Status::Completed))
        .filter(message::Column::Role.eq(message::Role::Model))
        .filter(message::Column::Attempt.eq(1))
        .count(app.chat.db.read())
        .await
        .expect("the database answers");
    println!("drained by {WORKERS} workers in {took:.1} s: {:.0} jobs/s", f64::from(jobs) / took);
    println!("completed in the first attempt: {completed}; calls of the model: {}", app.gemini.calls().len());
    assert_eq!((completed, app.gemini.calls().len()), (u64::from(jobs), jobs as usize));
    for node in workers.into_iter().chain([app]) {
        node.stop().await;
    }
}

async fn queue(app: &TestApp, number: u32) {
    let chat = &app.chat;
    let user = registered(chat.db.write(), &format!("+1415{number:07}"), chat.clock.now()).await.id;
    for _ in 0..ROOMS {
        let Ok(room) = chat.create_chatroom(user, NewChatroom::default()).await else { panic!("no room") };
        let Ok(content) = Content::new("Go".to_owned()) else { panic!("no content") };
        let Ok(_) = chat.send(user, room.id, content, None).await else { panic!("not sent") };
    }
}
