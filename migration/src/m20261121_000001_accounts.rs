//! Users, their one-time passwords and their sessions.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let users = Table::create()
            .table("users")
            .col(pk_uuid("id"))
            .col(string_len_uniq("phone_number", 16))
            .col(text_null("email"))
            .col(text_null("full_name"))
            .col(text_null("password_hash"))
            .col(timestamp_with_time_zone_null("verified_at"))
            .col(big_integer("rooms_version"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("updated_at"))
            .take();
        let otps = Table::create()
            .table("otps")
            .col(pk_uuid("id"))
            .col(string_len("phone_number", 16))
            .col(blob("code_hash"))
            .col(integer("tries"))
            .col(timestamp_with_time_zone("expires_at"))
            .col(timestamp_with_time_zone_null("used_at"))
            .col(timestamp_with_time_zone("created_at"))
            .take();
        let sessions = Table::create()
            .table("sessions")
            .col(pk_uuid("id"))
            .col(uuid("user_id"))
            .col(blob("refresh_hash"))
            .col(timestamp_with_time_zone("rotated_at"))
            .col(text_null("user_agent"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("last_seen_at"))
            .col(timestamp_with_time_zone("expires_at"))
            .foreign_key(&mut crate::belongs_to("sessions", "user_id", "users"))
            .take();
        let indexes = [
            "CREATE INDEX otps_newest ON otps (phone_number, created_at)",
            "CREATE INDEX otps_expired ON otps (expires_at)",
            "CREATE INDEX sessions_of_user ON sessions (user_id)",
            "CREATE INDEX sessions_expired ON sessions (expires_at)",
        ];
        crate::apply(manager, [users, otps, sessions], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["sessions", "otps", "users"]).await
    }
}
