//! The number of tokens that a user has used on a day, and the number of replies that have not ended.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = ["tokens BIGINT NOT NULL DEFAULT 0", "unfinished INTEGER NOT NULL DEFAULT 0"];
        for column in columns {
            crate::apply(manager, [], &[&format!("ALTER TABLE daily_usage ADD COLUMN {column}")]).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements =
            ["tokens", "unfinished"].map(|column| format!("ALTER TABLE daily_usage DROP COLUMN {column}"));
        crate::apply(manager, [], &statements.each_ref().map(String::as_str)).await
    }
}
