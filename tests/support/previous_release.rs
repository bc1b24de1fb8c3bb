//! A database as the previous release left it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{ChatroomId, MessageId, UserId, message};
use message::{FailureCode, Feedback, Role, Status};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, Statement};

use super::user::insert_user;

/// The last migration of the previous release.
const LAST_MIGRATION: &str = "m20261126_000011_version_names_contract";
const USERS: usize = 5;
const CHATROOMS_PER_USER: usize = 20;
/// How many messages of a chatroom are on its active branch.
const ACTIVE: i32 = 60;
/// How many messages of a chatroom are not on its active branch.
const INACTIVE: i32 = 40;

/// How many migrations the current release has in addition to those of the previous one.
pub fn new_migrations() -> u32 {
    let names = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
    u32::try_from(names.skip_while(|name| name != LAST_MIGRATION).count() - 1).unwrap()
}

/// By the title of each chatroom, the contents of its active branch, as the previous release shows them.
pub type Chatrooms = HashMap<String, Vec<String>>;

/// Creates the schema of the previous release in an empty database and fills it with 10,000 messages in 100 chatrooms. Returns
/// each user's phone number and chatrooms.
pub async fn fill(db: &DatabaseConnection) -> Vec<(String, Chatrooms)> {
    let applied = Migrator::migrations().len() - new_migrations() as usize;
    Migrator::up(db, Some(u32::try_from(applied).unwrap())).await.unwrap();
    let now: DateTime<Utc> = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut users = Vec::new();
    for number in 0..USERS {
        let phone_number = format!("+1415555{number:04}");
        let user = insert_user(db, &phone_number, now).await.id;
        let mut chatrooms = Chatrooms::new();
        for index in 0..CHATROOMS_PER_USER {
            let title = format!("Chatroom {number}-{index}");
            let id = insert_chatroom(db, user, &title, now).await;
            let messages = messages_of(user, id, &title, now);
            let is_active = |message: &&message::Model| message.active;
            let active = messages.iter().filter(is_active).map(|message| message.content.clone());
            chatrooms.insert(title, active.collect());
            let rows = messages.into_iter().map(IntoActiveModel::into_active_model);
            message::Entity::insert_many(rows).exec_without_returning(db).await.unwrap();
        }
        users.push((phone_number, chatrooms));
    }
    users
}

async fn insert_chatroom(
    db: &DatabaseConnection,
    user: UserId,
    title: &str,
    now: DateTime<Utc>,
) -> ChatroomId {
    let id = ChatroomId::generate();
    let text =
        "INSERT INTO chatrooms (id, user_id, title, system_instruction, model, version, changed_version, created_at, updated_at)
         VALUES ($1, $2, $3, 'Be brief.', 'model-a', 100, 1, $4, $4)";
    let values = [id.into(), user.into(), title.into(), now.into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
    db.execute_raw(statement).await.unwrap();
    id
}

/// The messages of the active branch, and for some of them another version, which is not active.
fn messages_of(user: UserId, chatroom: ChatroomId, title: &str, now: DateTime<Utc>) -> Vec<message::Model> {
    let mut messages: Vec<message::Model> = Vec::new();
    let mut parent = None;
    for depth in 0..ACTIVE {
        let is_reply = depth % 2 == 1;
        let has_failed = depth % 20 == 19;
        let active = message::Model {
            id: MessageId::generate(),
            user_id: user,
            chatroom_id: chatroom,
            parent_id: parent,
            depth,
            active: true,
            role: if is_reply { Role::Model } else { Role::User },
            content: format!("{title} crème brûlée 東京都の{depth}"),
            status: if has_failed { Status::Failed } else { Status::Completed },
            attempt: i32::from(is_reply),
            failure_code: has_failed.then_some(FailureCode::ModelUnavailable),
            failure_message: has_failed.then(|| "The model did not answer.".to_owned()),
            model: is_reply.then(|| "model-a".to_owned()),
            finish_reason: (is_reply && !has_failed).then(|| "STOP".to_owned()),
            prompt_tokens: is_reply.then_some(10),
            output_tokens: is_reply.then_some(20),
            thought_tokens: is_reply.then_some(0),
            feedback: (depth % 10 == 1).then_some(Feedback::Up),
            added_version: i64::from(depth) + 1,
            changed_version: i64::from(depth) + 1,
            created_at: now + TimeDelta::seconds(depth.into()),
            completed_at: Some(now + TimeDelta::seconds(depth.into())),
        };
        if depth < INACTIVE {
            let content = format!("{title} inactive {depth}");
            messages.push(message::Model {
                id: MessageId::generate(),
                active: false,
                content,
                ..active.clone()
            });
        }
        parent = Some(active.id);
        messages.push(active);
    }
    messages
}
