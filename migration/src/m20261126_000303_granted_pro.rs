//! The time until which an operator has granted Pro to a user.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add = "ALTER TABLE subscriptions ADD COLUMN granted_until TIMESTAMP WITH TIME ZONE";
        crate::apply(manager, [], &[add]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let changes = [
            "DELETE FROM subscriptions WHERE stripe_customer_id LIKE 'none:%'",
            "ALTER TABLE subscriptions DROP COLUMN granted_until",
        ];
        crate::apply(manager, [], &changes).await
    }
}
