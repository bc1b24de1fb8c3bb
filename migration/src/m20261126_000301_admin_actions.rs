//! The changes that operators have made with `pollux admin`.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let actions = Table::create()
            .table("admin_actions")
            .col(pk_uuid("id"))
            .col(timestamp_with_time_zone("at"))
            .col(text("actor"))
            .col(string_len("action", 32))
            // Not a foreign key, because the row of the action is kept after its user has been erased.
            .col(uuid_null("user_id"))
            .col(text_null("subject"))
            .col(text("reason"))
            .col(text("signals"))
            .take();
        let indexes = [
            "CREATE INDEX admin_actions_at ON admin_actions (at)",
            "CREATE INDEX admin_actions_of_user ON admin_actions (user_id, at)",
        ];
        crate::apply(manager, [actions], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["admin_actions"]).await
    }
}
