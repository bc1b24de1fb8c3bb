//! An index of the first messages of chatrooms. All alternatives of a chatroom's first message are first messages.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = "CREATE INDEX messages_first ON messages (chatroom_id, id) WHERE parent_id IS NULL";
        crate::apply(manager, [], &[index]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::apply(manager, [], &["DROP INDEX messages_first"]).await
    }
}
