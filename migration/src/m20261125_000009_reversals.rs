//! Reversed payments.

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
            "ALTER TABLE stripe_events ADD COLUMN charge_id TEXT",
            "ALTER TABLE subscriptions ADD COLUMN reversal TEXT",
            "ALTER TABLE subscriptions ADD COLUMN reversed_at TIMESTAMP WITH TIME ZONE",
        ];
        crate::apply(manager, [], &changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes = [
            "DELETE FROM jobs WHERE kind = 'sync_customer'",
            "DELETE FROM jobs WHERE stripe_event_id IN (SELECT id FROM stripe_events WHERE charge_id IS NOT NULL)",
            "DELETE FROM stripe_events WHERE charge_id IS NOT NULL",
            "ALTER TABLE subscriptions DROP COLUMN reversed_at",
            "ALTER TABLE subscriptions DROP COLUMN reversal",
            "ALTER TABLE stripe_events DROP COLUMN charge_id",
        ];
        crate::apply(manager, [], &changes).await
    }
}
