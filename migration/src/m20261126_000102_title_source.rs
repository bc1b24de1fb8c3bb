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
        // The model must not replace a title that a user has chosen. Existing titles, and those that an older release inserts,
        // may have been chosen by users, so the default is 'user'.
        let add = "ALTER TABLE chatrooms ADD COLUMN title_source VARCHAR(8) NOT NULL DEFAULT 'user'";
        crate::apply(manager, [], &[add]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes =
            ["DELETE FROM jobs WHERE kind = 'title'", "ALTER TABLE chatrooms DROP COLUMN title_source"];
        crate::apply(manager, [], &changes).await
    }
}
