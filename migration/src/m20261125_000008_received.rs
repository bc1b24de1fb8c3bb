//! Whether a client has received its newest refresh token.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let change = "ALTER TABLE sessions ADD COLUMN is_received BOOLEAN NOT NULL DEFAULT true";
        crate::apply(manager, [], &[change]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::apply(manager, [], &["ALTER TABLE sessions DROP COLUMN is_received"]).await
    }
}
