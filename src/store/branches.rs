//! The branches of a chatroom's message tree, one of which is active.

use entity::{ChatroomId, MessageId, message};
use sea_orm::{FromQueryResult, QueryOrder, entity::prelude::*};

use super::sql;

/// A literal: with a bound value SQLite does not use its partial index.
const ACTIVE: &str = "active";

/// The last message of the active branch.
pub async fn tail(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
) -> Result<Option<message::Model>, DbErr> {
    message::Entity::find()
        .filter(message::Column::ChatroomId.eq(chatroom))
        .filter(Expr::cust(ACTIVE))
        .order_by_desc(message::Column::Depth)
        .one(conn)
        .await
}

/// Ends the active branch before `depth`; the messages from there on stay in the tree.
pub async fn truncate(
    conn: &impl ConnectionTrait,
    chatroom: ChatroomId,
    depth: i32,
    version: i64,
) -> Result<(), DbErr> {
    message::Entity::update_many()
        .col_expr(message::Column::Active, Expr::value(false))
        .col_expr(message::Column::ChangedIn, Expr::value(version))
        .filter(message::Column::ChatroomId.eq(chatroom))
        .filter(Expr::cust(ACTIVE))
        .filter(message::Column::Depth.gte(depth))
        .exec(conn)
        .await?;
    Ok(())
}

/// A message and its ancestors that are deeper than `above`, newest first.
pub async fn ancestors(
    conn: &impl ConnectionTrait,
    id: MessageId,
    above: i32,
) -> Result<Vec<message::Model>, DbErr> {
    let text = "WITH RECURSIVE branch AS (
                    SELECT * FROM messages WHERE id = $1
                    UNION ALL
                    SELECT messages.* FROM messages JOIN branch ON messages.id = branch.parent_id
                    WHERE messages.depth > $2
                ) SELECT * FROM branch ORDER BY depth DESC";
    message::Model::find_by_statement(sql(conn, text, [id.into(), above.into()])).all(conn).await
}
