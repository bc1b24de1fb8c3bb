//! The job queue.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let jobs = Table::create()
            .table("jobs")
            .col(pk_uuid("id"))
            .col(string_len("kind", 32))
            .col(uuid_null("user_id"))
            .col(uuid_null("chatroom_id"))
            .col(uuid_null("message_id").unique_key())
            .col(integer("position"))
            .col(timestamp_with_time_zone("run_at"))
            .col(integer("attempt"))
            .col(integer("failures"))
            .col(timestamp_with_time_zone_null("leased_until"))
            .col(boolean("stop_requested"))
            .col(timestamp_with_time_zone("created_at"))
            .foreign_key(&mut crate::belongs_to("jobs", "user_id", "users"))
            .foreign_key(&mut crate::belongs_to("jobs", "chatroom_id", "chatrooms"))
            .foreign_key(&mut crate::belongs_to("jobs", "message_id", "messages"))
            .take();
        let indexes = [
            "CREATE INDEX jobs_waiting ON jobs (run_at) WHERE leased_until IS NULL",
            "CREATE INDEX jobs_leased ON jobs (leased_until) WHERE leased_until IS NOT NULL",
            "CREATE INDEX jobs_of_user ON jobs (user_id, id)",
            "CREATE INDEX jobs_of_room ON jobs (chatroom_id, position)",
        ];
        crate::apply(manager, [jobs], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["jobs"]).await
    }
}
