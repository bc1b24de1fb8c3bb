//! Who gave a chatroom its title.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Earlier titles may have been set by hand, and so may those that an older release inserts.
        let add = "ALTER TABLE chatrooms ADD COLUMN title_source VARCHAR(8) NOT NULL DEFAULT 'user'";
        crate::create(manager, [], &[add]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes =
            ["DELETE FROM jobs WHERE kind = 'title'", "ALTER TABLE chatrooms DROP COLUMN title_source"];
        crate::create(manager, [], &changes).await
    }
}
