//! Subscriptions and Stripe events.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let subscriptions = Table::create()
            .table("subscriptions")
            .col(uuid("user_id").primary_key())
            .col(text_uniq("stripe_customer_id"))
            .col(text_null("stripe_subscription_id").unique_key())
            .col(string_len("state", 16))
            .col(timestamp_with_time_zone_null("current_period_end"))
            .col(boolean("cancel_at_period_end"))
            .col(timestamp_with_time_zone_null("pro_until"))
            .col(timestamp_with_time_zone("updated_at"))
            .foreign_key(&mut crate::belongs_to("subscriptions", "user_id", "users"))
            .take();
        let indexes = ["CREATE INDEX subscriptions_period ON subscriptions (current_period_end)"];
        crate::apply(manager, [subscriptions, stripe_events()], &indexes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::drop_tables(manager, &["stripe_events", "subscriptions"]).await
    }
}

pub(crate) fn stripe_events() -> TableCreateStatement {
    Table::create()
        .table("stripe_events")
        .col(text("id").primary_key())
        .col(text("kind"))
        .col(timestamp_with_time_zone("received_at"))
        .col(timestamp_with_time_zone_null("processed_at"))
        .take()
}
