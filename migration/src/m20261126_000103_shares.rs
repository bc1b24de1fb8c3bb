//! Links by which a chatroom can be read without signing in, and the messages that each of them shows.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let shares = Table::create()
            .table("chatroom_shares")
            .col(pk_uuid("id"))
            .col(uuid("user_id"))
            .col(uuid("chatroom_id"))
            .col(text("title"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("expires_at"))
            .foreign_key(&mut crate::belongs_to("chatroom_shares", "user_id", "users"))
            .foreign_key(&mut crate::belongs_to("chatroom_shares", "chatroom_id", "chatrooms"))
            .take();
        // A message is deleted only with its chatroom, so the reference to it needs no foreign key and no index.
        let messages = Table::create()
            .table("share_messages")
            .col(uuid("share_id"))
            .col(integer("depth"))
            .col(uuid("message_id"))
            .primary_key(Index::create().col("share_id").col("depth"))
            .foreign_key(&mut crate::belongs_to("share_messages", "share_id", "chatroom_shares"))
            .take();
        let indexes = [
            "CREATE INDEX chatroom_shares_of_chatroom ON chatroom_shares (chatroom_id, id)",
            "CREATE INDEX chatroom_shares_of_user ON chatroom_shares (user_id)",
            "CREATE INDEX chatroom_shares_expiry ON chatroom_shares (expires_at) WHERE expires_at IS NOT NULL",
        ];
        crate::apply(manager, [shares, messages], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["share_messages", "chatroom_shares"]).await
    }
}
