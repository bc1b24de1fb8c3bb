//! Drops two foreign keys of messages on PostgreSQL, with the index that served one of them. They delete nothing that the foreign
//! key to the chatroom does not delete, and checking them cost more than inserting the message.
//!
//! SQLite keeps them: it drops a foreign key only by copying the table, and checks it without a query.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Sqlite {
            return Ok(());
        }
        let changes = [
            // In the order in which running servers lock these tables.
            "LOCK TABLE users, messages IN ACCESS EXCLUSIVE MODE",
            "ALTER TABLE messages DROP CONSTRAINT messages_user_id_fkey, DROP CONSTRAINT messages_parent_id_fkey",
            "DROP INDEX messages_of_user",
        ];
        crate::apply(manager, [], &changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Sqlite {
            return Ok(());
        }
        let changes = [
            "CREATE INDEX messages_of_user ON messages (user_id)",
            "ALTER TABLE messages
             ADD CONSTRAINT messages_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
             ADD CONSTRAINT messages_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES messages (id) ON DELETE CASCADE",
        ];
        crate::apply(manager, [], &changes).await
    }
}
