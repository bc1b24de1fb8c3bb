//! Users whom an operator has blocked from signing in. They have a table of their own, so that the rows of `users` do not become
//! longer.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let blocked = Table::create()
            .table("blocked_users")
            .col(uuid("user_id").primary_key())
            .col(timestamp_with_time_zone("blocked_at"))
            .foreign_key(&mut crate::belongs_to("blocked_users", "user_id", "users"))
            .take();
        crate::apply(manager, [blocked], &[]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["blocked_users"]).await
    }
}
