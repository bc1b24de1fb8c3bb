//! Checkouts, the customer of an event, and the version of a subscription.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["stripe_events"]).await?;
        let mut events = crate::m20261121_000004_billing::stripe_events();
        events.col(text("customer_id"));
        let checkouts = Table::create()
            .table("checkouts")
            .col(text("session_id").primary_key())
            .col(uuid("user_id"))
            .col(string_len("status", 16))
            .col(text("url"))
            .col(text("success_url"))
            .col(text("cancel_url"))
            .col(text("price_id"))
            .col(timestamp_with_time_zone("created_at"))
            .foreign_key(&mut crate::belongs_to("checkouts", "user_id", "users"))
            .take();
        let changes = [
            "ALTER TABLE subscriptions ADD COLUMN version BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN stripe_event_id TEXT",
            // The indexes become partial, because jobs without a user or chatroom are never looked up by these columns.
            "DROP INDEX jobs_of_user",
            "DROP INDEX jobs_of_room",
            "CREATE INDEX jobs_of_user ON jobs (user_id, id) WHERE user_id IS NOT NULL",
            "CREATE INDEX jobs_of_room ON jobs (chatroom_id, position) WHERE chatroom_id IS NOT NULL",
            "CREATE UNIQUE INDEX jobs_of_stripe_event ON jobs (stripe_event_id)",
            "CREATE INDEX stripe_events_waiting ON stripe_events (customer_id) WHERE processed_at IS NULL",
            "CREATE INDEX stripe_events_age ON stripe_events (processed_at)",
            "CREATE INDEX checkouts_of_user ON checkouts (user_id, created_at)",
            "CREATE INDEX checkouts_open ON checkouts (user_id) WHERE status = 'open'",
            "CREATE INDEX subscriptions_asked ON subscriptions (updated_at)",
        ];
        crate::apply(manager, [events, checkouts], &changes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["checkouts", "stripe_events"]).await?;
        let changes = [
            "DROP INDEX subscriptions_asked",
            "DROP INDEX jobs_of_stripe_event",
            "ALTER TABLE jobs DROP COLUMN stripe_event_id",
            "ALTER TABLE subscriptions DROP COLUMN version",
        ];
        crate::apply(manager, [crate::m20261121_000004_billing::stripe_events()], &changes).await
    }
}
