//! Password resets, sign-ups, delivery of one-time passwords by job, and account erasure.

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
            // Codes that were generated before this change cannot be checked any more. They would expire within minutes anyway.
            "DELETE FROM otps",
            "ALTER TABLE otps DROP COLUMN code_hash",
            "ALTER TABLE otps ADD COLUMN purpose VARCHAR(16) NOT NULL DEFAULT 'sign_in'",
            "ALTER TABLE otps ADD COLUMN signup TEXT",
            "DROP INDEX otps_newest",
            "CREATE INDEX otps_newest ON otps (phone_number, purpose, created_at)",
            "ALTER TABLE jobs ADD COLUMN otp_id UUID",
            "ALTER TABLE users ADD COLUMN deleted_at TIMESTAMP WITH TIME ZONE",
        ];
        crate::apply(manager, [], &changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let blob = match manager.get_database_backend() {
            sea_orm_migration::sea_orm::DbBackend::Sqlite => "BLOB NOT NULL DEFAULT x''",
            _ => "BYTEA NOT NULL DEFAULT ''",
        };
        let code_hash = format!("ALTER TABLE otps ADD COLUMN code_hash {blob}");
        let changes = [
            "DELETE FROM otps",
            "DELETE FROM jobs WHERE kind IN ('deliver_otp', 'erase_account')",
            "ALTER TABLE users DROP COLUMN deleted_at",
            "ALTER TABLE jobs DROP COLUMN otp_id",
            "DROP INDEX otps_newest",
            "ALTER TABLE otps DROP COLUMN signup",
            "ALTER TABLE otps DROP COLUMN purpose",
            "CREATE INDEX otps_newest ON otps (phone_number, created_at)",
            &code_hash,
        ];
        crate::apply(manager, [], &changes).await
    }
}
