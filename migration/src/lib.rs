//! The migrations of the database schema, for SQLite and PostgreSQL. Each file makes one change and can revert it.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigratorTrait, SchemaManager};

mod m20261121_000001_accounts;
mod m20261121_000002_chat;
mod m20261121_000003_jobs;
mod m20261121_000004_billing;
mod m20261121_000005_stripe;
mod m20261121_000006_erasure;
mod m20261125_000007_write_checks;
mod m20261125_000008_received;
mod m20261125_000009_reversals;
mod m20261125_000010_job_payload;
mod m20261126_000011_version_names_contract;
mod m20261126_000101_chatroom_lists;
mod m20261126_000102_title_source;
mod m20261126_000103_shares;
mod m20261126_000104_search;
mod m20261126_000201_generation_settings;
mod m20261126_000202_token_usage;
mod m20261126_000301_admin_actions;
mod m20261126_000302_blocked_users;
mod m20261126_000303_granted_pro;
mod m20261126_000401_message_references;
mod m20261128_000402_first_messages;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_accounts::Migration),
            Box::new(m20261121_000002_chat::Migration),
            Box::new(m20261121_000003_jobs::Migration),
            Box::new(m20261121_000004_billing::Migration),
            Box::new(m20261121_000005_stripe::Migration),
            Box::new(m20261121_000006_erasure::Migration),
            Box::new(m20261125_000007_write_checks::Migration),
            Box::new(m20261125_000008_received::Migration),
            Box::new(m20261125_000009_reversals::Migration),
            Box::new(m20261125_000010_job_payload::Migration),
            Box::new(m20261126_000011_version_names_contract::Migration),
            Box::new(m20261126_000101_chatroom_lists::Migration),
            Box::new(m20261126_000102_title_source::Migration),
            Box::new(m20261126_000103_shares::Migration),
            Box::new(m20261126_000104_search::Migration),
            Box::new(m20261126_000201_generation_settings::Migration),
            Box::new(m20261126_000202_token_usage::Migration),
            Box::new(m20261126_000301_admin_actions::Migration),
            Box::new(m20261126_000302_blocked_users::Migration),
            Box::new(m20261126_000303_granted_pro::Migration),
            Box::new(m20261126_000401_message_references::Migration),
            Box::new(m20261128_000402_first_messages::Migration),
        ]
    }
}

/// Creates `tables` and then executes `statements`: plain SQL, such as that which creates indexes or adds columns.
async fn apply(
    manager: &SchemaManager<'_>,
    tables: impl IntoIterator<Item = TableCreateStatement>,
    statements: &[&str],
) -> Result<(), DbErr> {
    for table in tables {
        manager.create_table(table).await?;
    }
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}

/// Drops tables in the given order. A table must be listed before the tables to which it refers.
async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&'static str]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(*table).take()).await?;
    }
    Ok(())
}

/// A foreign key from `column` of `table` to the id of `parent`. Deleting the parent's row deletes the rows that refer to it.
fn belongs_to(table: &'static str, column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create().from(table, column).to(parent, "id").on_delete(ForeignKeyAction::Cascade).take()
}
