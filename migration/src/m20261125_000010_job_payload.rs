//! A JSON payload for kinds of jobs that need more than the id columns.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let json = match manager.get_database_backend() {
            DbBackend::Sqlite => "TEXT",
            _ => "JSONB",
        };
        crate::apply(manager, [], &[&format!("ALTER TABLE jobs ADD COLUMN payload {json}")]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::apply(manager, [], &["ALTER TABLE jobs DROP COLUMN payload"]).await
    }
}
