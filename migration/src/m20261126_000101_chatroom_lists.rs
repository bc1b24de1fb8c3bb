//! Pinned, archived and temporary chatrooms.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes = [
            "ALTER TABLE chatrooms ADD COLUMN pinned_at TIMESTAMP WITH TIME ZONE",
            "ALTER TABLE chatrooms ADD COLUMN archived_at TIMESTAMP WITH TIME ZONE",
            "ALTER TABLE chatrooms ADD COLUMN is_temporary BOOLEAN NOT NULL DEFAULT false",
            "ALTER TABLE chatrooms ADD COLUMN list_rank SMALLINT NOT NULL DEFAULT 1",
            // An older release does not know the rank. It sorts by activity only, which still works without this index.
            "DROP INDEX chatrooms_by_activity",
            "CREATE INDEX chatrooms_in_list ON chatrooms (user_id, list_rank, updated_at, id)",
            "CREATE INDEX chatrooms_temporary ON chatrooms (updated_at) WHERE is_temporary",
        ];
        crate::apply(manager, [], &changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes = [
            "DROP INDEX chatrooms_temporary",
            "DROP INDEX chatrooms_in_list",
            "CREATE INDEX chatrooms_by_activity ON chatrooms (user_id, updated_at, id)",
            "ALTER TABLE chatrooms DROP COLUMN list_rank",
            "ALTER TABLE chatrooms DROP COLUMN is_temporary",
            "ALTER TABLE chatrooms DROP COLUMN archived_at",
            "ALTER TABLE chatrooms DROP COLUMN pinned_at",
        ];
        crate::apply(manager, [], &changes).await
    }
}
