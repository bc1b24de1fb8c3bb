//! A chatroom's own generation settings; null if those of the server apply.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let json = match manager.get_database_backend() {
            DbBackend::Sqlite => "TEXT",
            _ => "JSONB",
        };
        crate::apply(manager, [], &[&format!("ALTER TABLE chatrooms ADD COLUMN generation {json}")]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::apply(manager, [], &["ALTER TABLE chatrooms DROP COLUMN generation"]).await
    }
}
