//! Renames the columns that hold a version, so that their names end in `_version`.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const RENAMED: [(&str, &str, &str); 4] = [
    ("users", "rooms_version", "chatrooms_version"),
    ("chatrooms", "edited_in", "changed_version"),
    ("messages", "added_in", "added_version"),
    ("messages", "changed_in", "changed_version"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, old, new) in RENAMED {
            let rename = format!("ALTER TABLE {table} RENAME COLUMN {old} TO {new}");
            crate::apply(manager, [], &[&rename]).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, old, new) in RENAMED {
            let rename = format!("ALTER TABLE {table} RENAME COLUMN {new} TO {old}");
            crate::apply(manager, [], &[&rename]).await?;
        }
        Ok(())
    }
}
