//! What a start does to a database's schema, and what it says of it.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use crate::support::{
    TestUser,
    process::{Process, Site},
};

async fn database(site: &Site) -> DatabaseConnection {
    Database::connect(&site.backend.database_url).await.unwrap()
}

fn migrate(site: &Site) -> std::process::Output {
    Process::command(site.directory.path()).arg("migrate").envs(site.backend.environment()).output().unwrap()
}

#[tokio::test]
async fn migrate_says_what_it_applied() {
    let site = Site::new().await;
    if site.backend.redis_url.is_some() {
        Migrator::down(&database(&site).await, None).await.unwrap();
    }
    let migrated = migrate(&site);
    assert!(migrated.status.success(), "{migrated:?}");
    let said = String::from_utf8(migrated.stdout).unwrap();
    assert!(said.starts_with("applied m20261121_000001_accounts\n"), "{said}");
    assert!(said.ends_with("migrations applied: the schema is up to date\n"), "{said}");
    let said = String::from_utf8(migrate(&site).stdout).unwrap();
    assert_eq!(said, "no pending migrations: the schema is up to date\n");
}

/// Records that a later release has migrated the database.
async fn migrated_by_a_later_release(site: &Site, name: &str) {
    assert!(migrate(site).status.success());
    let record = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    let database = database(site).await;
    database.execute_unprepared(&record).await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_release_runs_on_a_later_schema_that_only_adds() {
    let site = Site::new().await;
    migrated_by_a_later_release(&site, "m20990101_000001_more").await;
    let mut process = site.start().await;
    process.says("m20990101_000001_more").await;
    TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.ended().await);
}

#[tokio::test]
async fn a_release_refuses_a_later_schema_that_takes_something_away() {
    let site = Site::new().await;
    migrated_by_a_later_release(&site, "m20990101_000002_less_contract").await;
    let mut command = Process::command(site.directory.path());
    let refused = command.envs(site.backend.environment()).env("BIND", "127.0.0.1:0").output().unwrap();
    assert_eq!(refused.status.code(), Some(78), "another start does not help");
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("m20990101_000002_less_contract"), "{error}");
    assert!(error.contains("start the newer release, or restore a backup"), "{error}");
}

#[test]
fn a_postgres_that_is_not_there_is_named_with_the_cause_and_without_the_password() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut command = Process::command(directory.path());
    let refused = command.env("DATABASE_URL", "postgres://pollux:hush@127.0.0.1:1/chat").output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("waiting for PostgreSQL at 127.0.0.1:1, database chat"), "{said}");
    let error = "cannot connect to PostgreSQL at 127.0.0.1:1, database chat: Connection refused";
    assert!(said.contains(error), "{said}");
    assert!(!said.contains("hush"), "{said}");
}
