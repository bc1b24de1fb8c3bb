//! Chatrooms, their messages, and the daily usage.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let chatrooms = Table::create()
            .table("chatrooms")
            .col(pk_uuid("id"))
            .col(uuid("user_id"))
            .col(text("title"))
            .col(text_null("system_instruction"))
            .col(text("model"))
            .col(big_integer("version"))
            .col(big_integer("edited_in"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(&mut crate::belongs_to("chatrooms", "user_id", "users"))
            .take();
        let messages = Table::create()
            .table("messages")
            .col(pk_uuid("id"))
            .col(uuid("user_id"))
            .col(uuid("chatroom_id"))
            .col(uuid_null("parent_id"))
            .col(integer("depth"))
            .col(boolean("active"))
            .col(string_len("role", 16))
            .col(text("content"))
            .col(string_len("status", 16))
            .col(integer("attempt"))
            .col(string_len_null("failure_code", 32))
            .col(text_null("failure_message"))
            .col(text_null("model"))
            .col(text_null("finish_reason"))
            .col(integer_null("prompt_tokens"))
            .col(integer_null("output_tokens"))
            .col(integer_null("thought_tokens"))
            .col(string_len_null("feedback", 8))
            .col(big_integer("added_in"))
            .col(big_integer("changed_in"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone_null("completed_at"))
            .foreign_key(&mut crate::belongs_to("messages", "user_id", "users"))
            .foreign_key(&mut crate::belongs_to("messages", "chatroom_id", "chatrooms"))
            .foreign_key(&mut crate::belongs_to("messages", "parent_id", "messages"))
            .take();
        let daily_usage = Table::create()
            .table("daily_usage")
            .col(uuid("user_id"))
            .col(date("day"))
            .col(integer("used"))
            .primary_key(Index::create().col("user_id").col("day"))
            .foreign_key(&mut crate::belongs_to("daily_usage", "user_id", "users"))
            .take();
        let idempotency_keys = Table::create()
            .table("idempotency_keys")
            .col(uuid("user_id"))
            .col(text("key"))
            .col(blob("fingerprint"))
            .col(uuid("reply_id"))
            .col(timestamp_with_time_zone("created_at"))
            .primary_key(Index::create().col("user_id").col("key"))
            .foreign_key(&mut crate::belongs_to("idempotency_keys", "user_id", "users"))
            .take();
        let indexes = [
            "CREATE INDEX chatrooms_by_activity ON chatrooms (user_id, updated_at, id)",
            "CREATE UNIQUE INDEX messages_path ON messages (chatroom_id, depth) WHERE active",
            "CREATE INDEX messages_changes ON messages (chatroom_id, changed_in)",
            "CREATE INDEX messages_children ON messages (parent_id, id)",
            "CREATE INDEX messages_of_user ON messages (user_id)",
            "CREATE INDEX messages_unfinished ON messages (chatroom_id) WHERE status IN ('queued', 'streaming')",
            "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
        ];
        crate::apply(manager, [chatrooms, messages, daily_usage, idempotency_keys], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["idempotency_keys", "daily_usage", "messages", "chatrooms"]).await
    }
}
