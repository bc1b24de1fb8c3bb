//! The schema of the database when a server starts, and `pollux migrate`.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

use crate::support::{
    TestUser,
    process::{Deployment, Process},
};

async fn database(deployment: &Deployment) -> DatabaseConnection {
    Database::connect(&deployment.backend.database_url).await.unwrap()
}

fn migrate(deployment: &Deployment) -> std::process::Output {
    Process::command(deployment.directory.path())
        .arg("migrate")
        .envs(deployment.backend.environment())
        .output()
        .unwrap()
}

#[tokio::test]
async fn migrate_prints_the_applied_migrations() {
    let deployment = Deployment::new().await;
    if deployment.backend.redis_url.is_some() {
        Migrator::down(&database(&deployment).await, None).await.unwrap();
    }
    let migrated = migrate(&deployment);
    assert!(migrated.status.success(), "{migrated:?}");
    let output = String::from_utf8(migrated.stdout).unwrap();
    assert!(output.starts_with("applied m20261121_000001_accounts\n"), "{output}");
    assert!(output.ends_with("migrations applied: the schema is up to date\n"), "{output}");
    let output = String::from_utf8(migrate(&deployment).stdout).unwrap();
    assert_eq!(output, "no pending migrations: the schema is up to date\n");
}

/// Migrates the database, and records a migration of a newer release.
async fn record_newer_migration(deployment: &Deployment, name: &str) {
    assert!(migrate(deployment).status.success());
    let record = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 0)");
    let database = database(deployment).await;
    database.execute_unprepared(&record).await.unwrap();
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_release_runs_on_a_newer_additive_schema() {
    let deployment = Deployment::new().await;
    record_newer_migration(&deployment, "m20990101_000001_more").await;
    let mut process = deployment.start().await;
    process.wait_for_log("m20990101_000001_more").await;
    TestUser::sign_in(process.address, "+14155550123").await;
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_release_rejects_a_newer_schema_that_removes_something() {
    let deployment = Deployment::new().await;
    // A migration that removes something has a name that ends in `_contract`.
    record_newer_migration(&deployment, "m20990101_000002_less_contract").await;
    let mut command = Process::command(deployment.directory.path());
    let output = command.envs(deployment.backend.environment()).env("BIND", "127.0.0.1:0").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "systemd must not restart the process");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("m20990101_000002_less_contract"), "{error}");
    assert!(error.contains("start the newer release, or restore a backup"), "{error}");
}

#[test]
fn an_unreachable_postgres_is_reported_with_its_cause_and_without_the_password() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut command = Process::command(directory.path());
    let output = command.env("DATABASE_URL", "postgres://pollux:hush@127.0.0.1:1/chat").output().unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("waiting for PostgreSQL at 127.0.0.1:1, database chat"), "{log}");
    let error = "cannot connect to PostgreSQL at 127.0.0.1:1, database chat: Connection refused";
    assert!(log.contains(error), "{log}");
    assert!(!log.contains("hush"), "{log}");
}
