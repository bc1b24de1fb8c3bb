//! The search index, the queue of replies to index, and the position of the backfill, which indexes older messages.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// `search_queue` has no foreign keys, because then each deletion of a message would search the queue. If the message of a row
/// has been deleted, the row is deleted when its turn to be indexed comes.
///
/// The backfill goes from new messages to old ones, so `before_id` begins with the greatest possible id.
const SQLITE: &[&str] = &[
    "CREATE TABLE search_queue (
         user_id UUID_BLOB NOT NULL,
         message_id UUID_BLOB NOT NULL,
         PRIMARY KEY (user_id, message_id)
     ) WITHOUT ROWID",
    "CREATE TRIGGER search_queue_reply AFTER UPDATE OF status ON messages
     WHEN old.status IN ('queued', 'streaming') AND new.status IN ('completed', 'failed', 'cancelled')
     BEGIN INSERT OR IGNORE INTO search_queue VALUES (new.user_id, new.id); END",
    "CREATE TABLE search_users (
         user_id UUID_BLOB NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
         first_position BIGINT NOT NULL,
         next_position BIGINT NOT NULL
     )",
    "CREATE TABLE search_entries (
         id INTEGER PRIMARY KEY,
         message_id UUID_BLOB NOT NULL UNIQUE REFERENCES messages (id) ON DELETE CASCADE,
         user_id UUID_BLOB NOT NULL,
         words TEXT NOT NULL
     )",
    "CREATE VIRTUAL TABLE search_tokens
     USING fts5 (tokens, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii')",
    "CREATE TRIGGER search_entries_deleted AFTER DELETE ON search_entries
     BEGIN DELETE FROM search_tokens WHERE rowid = old.id; END",
    "CREATE TABLE search_backfill (before_id UUID_BLOB NOT NULL)",
    "INSERT INTO search_backfill SELECT unhex('ffffffffffffffffffffffffffffffff') WHERE EXISTS (SELECT 1 FROM messages)",
];

/// The same for PostgreSQL. The pending list of the index is small (256 KiB), because every search reads the whole list.
const POSTGRES: &[&str] = &[
    "CREATE TABLE search_queue (user_id UUID NOT NULL, message_id UUID NOT NULL, PRIMARY KEY (user_id, message_id))",
    "CREATE FUNCTION queue_reply_for_search() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN INSERT INTO search_queue VALUES (new.user_id, new.id) ON CONFLICT DO NOTHING; RETURN NULL; END $$",
    "CREATE TRIGGER search_queue_reply AFTER UPDATE OF status ON messages FOR EACH ROW
     WHEN (old.status IN ('queued', 'streaming') AND new.status IN ('completed', 'failed', 'cancelled'))
     EXECUTE FUNCTION queue_reply_for_search()",
    "CREATE TABLE search_users (
         user_id UUID NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
         first_position BIGINT NOT NULL,
         next_position BIGINT NOT NULL
     )",
    "CREATE TABLE search_entries (
         message_id UUID NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
         user_id UUID NOT NULL,
         words TEXT NOT NULL,
         tokens TSVECTOR NOT NULL
     )",
    "CREATE INDEX search_tokens ON search_entries USING gin (tokens) WITH (gin_pending_list_limit = 256)",
    "CREATE TABLE search_backfill (before_id UUID NOT NULL)",
    "INSERT INTO search_backfill SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid WHERE EXISTS (SELECT 1 FROM messages)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes = if manager.get_database_backend() == DbBackend::Sqlite { SQLITE } else { POSTGRES };
        crate::apply(manager, [], changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = if manager.get_database_backend() == DbBackend::Sqlite {
            ["DROP TRIGGER search_queue_reply", "DROP TABLE search_tokens"]
        } else {
            ["DROP TRIGGER search_queue_reply ON messages", "DROP FUNCTION queue_reply_for_search"]
        };
        crate::apply(manager, [], &statements).await?;
        crate::drop_tables(manager, &["search_backfill", "search_entries", "search_users", "search_queue"])
            .await
    }
}
