//! The files of a SQLite database: permissions, location and content.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use pollux::store::Db;
use sea_orm::{ConnectionTrait, Database, Statement};
use tempfile::TempDir;

use crate::support::{
    TestUser,
    app::config,
    process::{Deployment, Process},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

#[tokio::test]
async fn database_files_are_readable_by_their_owner_only() {
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    TestUser::sign_in(process.address, "+14155550123").await;
    let data = deployment.directory.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for file in ["pollux.db", "pollux.db-wal", "pollux.db-shm", "pollux.lock", "jwt_secret"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_percent_encoded_path_is_decoded_for_the_database_and_its_lock_file() {
    let directory = TempDir::new().unwrap();
    let start = || {
        let mut command = Process::command(directory.path());
        command.env("DATABASE_URL", "sqlite://my%20data/chat%3F.db").env("BIND", "127.0.0.1:0");
        command
    };
    let process = Process::spawn(start()).await;
    let mut names: Vec<String> = fs::read_dir(directory.path().join("my data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["chat?.db", "chat?.db-shm", "chat?.db-wal", "chat?.lock", "jwt_secret"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let second = start().output().unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process is using my data/chat?.db"));
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[tokio::test]
async fn a_damaged_database_is_rejected_with_advice() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("pollux.db");
    fs::write(&file, "not a database, ".repeat(1000)).unwrap();
    let output =
        Process::command(directory.path()).env("DATABASE_URL", "sqlite://pollux.db").output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot use pollux.db") && error.contains("restore it from a backup"), "{error}");
    assert!(fs::read_to_string(&file).unwrap().starts_with("not a database"), "the file must not change");
}

#[tokio::test]
async fn a_checkpoint_and_a_shutdown_move_writes_from_the_log_to_the_database_file() {
    let directory = TempDir::new().unwrap();
    let url = format!("--database-url=sqlite://{}/pollux.db", directory.path().display());
    let db = Db::open(&config(&[&url]).database).await.unwrap();
    db.migrate().await.unwrap();
    let write = async |id: i32| {
        let text = format!("INSERT INTO write_checks (id, padding) VALUES ({id}, 'x')");
        db.write().execute_unprepared(&text).await.unwrap();
    };
    write(2).await;
    db.checkpoint().await.unwrap();
    assert_eq!(rows_of_a_copy(directory.path()).await, 1);
    write(3).await;
    db.close().await;
    assert_eq!(rows_of_a_copy(directory.path()).await, 2);
    assert!(!directory.path().join("pollux.db-wal").exists());
}

/// Counts the rows in a copy of the database file without its write-ahead log.
async fn rows_of_a_copy(directory: &Path) -> usize {
    let copy = directory.join("copy.db");
    fs::copy(directory.join("pollux.db"), &copy).unwrap();
    let copied = Database::connect(format!("sqlite://{}?mode=rw", copy.display())).await.unwrap();
    let rows = Statement::from_string(copied.get_database_backend(), "SELECT id FROM write_checks");
    let rows = copied.query_all_raw(rows).await.unwrap().len();
    copied.close().await.unwrap();
    rows
}

#[tokio::test]
async fn a_malformed_dotenv_line_is_reported_by_number_without_its_text() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(".env"), "# Settings\nLOG_FORMAT=pretty\nJWT_SECRET hush-hush-hush\n")
        .unwrap();
    let output = Process::command(directory.path()).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(".env, line 3 is not of the form NAME=value"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[tokio::test]
async fn empty_environment_variables_count_as_unset() {
    let directory = TempDir::new().unwrap();
    let help = Process::command(directory.path()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let names: Vec<&str> = help.split("[env: ").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert!(names.len() > 30);
    let mut command = Process::command(directory.path());
    for name in names {
        command.env(name, "");
    }
    // `spawn` overrides the empty BIND.
    let process = Process::spawn(command).await;
    TestUser::sign_in(process.address, "+14155550123").await;
    assert!(directory.path().join("data/pollux.db").exists());
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[test]
fn missing_ca_certificates_are_reported_with_the_package_name() {
    let directory = TempDir::new().unwrap();
    let start = |settings: &[(&str, &str)]| {
        let mut command: Command = Process::command(directory.path());
        command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", directory.path());
        command.envs(settings.iter().copied()).env("BIND", "127.0.0.1:0").output().unwrap()
    };
    for settings in [
        [("GEMINI_API_KEY", "key")].as_slice(),
        &[("STRIPE_SECRET_KEY", "sk_test_1")],
        &[
            ("OTP_DELIVERY", "webhook"),
            ("OTP_WEBHOOK_URL", "https://sms.example"),
            ("OTP_WEBHOOK_SECRET", "a secret of thirty-two characters"),
            ("OTP_COUNTRIES", "*"),
        ],
    ] {
        let output = start(settings);
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("install the package ca-certificates"), "{settings:?}: {error}");
    }
}
