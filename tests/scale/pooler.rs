//! PgBouncer between Pollux and PostgreSQL. `POLLUX_TEST_PGBOUNCER` names another program than the one in the path.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::support::{
    TestUser,
    backend::SECRET,
    process::{Process, Site},
};

/// A pooler of the test's own.
struct PgBouncer {
    address: SocketAddr,
    server: Child,
    directory: TempDir,
}

fn program() -> String {
    std::env::var("POLLUX_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned())
}

/// Its version, such as (1, 21); none where it is not installed, and then the test says so.
fn version() -> Option<(u32, u32)> {
    let Ok(output) = Command::new(program()).arg("--version").output() else {
        eprintln!("skipped: PgBouncer is not installed");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().nth(1)?.split('.').map(|number| number.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next()?))
}

impl PgBouncer {
    /// Starts one with these settings before the server of a database's URL.
    fn start(database_url: &str, settings: &str) -> Self {
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let server: SocketAddr =
            database_url.split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = any\n{settings}\n",
            server.ip(),
            server.port(),
            address.ip(),
            address.port()
        );
        // With auth_type = any every client is the user that the database line names.
        let text = text.replace("\n[pgbouncer]", " user=postgres\n[pgbouncer]");
        fs::write(&file, text).unwrap();
        // It does not run as root.
        let is_root =
            fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = Command::new(if is_root { "setpriv" } else { "env" });
        if is_root {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
        }
        let server = command.arg(program()).arg(file).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { address, server, directory };
        while TcpStream::connect(address).is_err() {}
        pooler
    }

    fn instead_of(&self, database_url: &str) -> String {
        format!("postgres://postgres@{}/{}", self.address, database_url.rsplit('/').next().unwrap())
    }

    fn refused(&self, site: &Site) -> Output {
        let mut command = Process::command(self.directory.path());
        command.env("DATABASE_URL", self.instead_of(&site.backend.database_url)).env("JWT_SECRET", SECRET);
        command.env("BIND", "127.0.0.1:0").output().unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Two nodes with more connections between them than the pooler has to the server.
async fn serves(site: &Site, pooler: &PgBouncer) {
    let url = pooler.instead_of(&site.backend.database_url);
    let settings = [("DATABASE_URL", url.as_str())];
    let mut first = site.start_with(&[], &settings).await;
    let second = site.start_with(&[], &settings).await;
    first.says("ALTER ROLE postgres SET statement_timeout = '10s'").await;
    let user = TestUser::sign_in(first.address, "+14155550123").await;
    let room = user.room("x").await;
    let users = futures_util::future::join_all(
        (0..8).map(async |number| TestUser::sign_in(second.address, &format!("+1415555020{number}")).await),
    )
    .await;
    for _ in 0..3 {
        futures_util::future::join_all(users.iter().map(async |user| {
            let asked = user.room("x").await.ask("hi").await;
            assert_eq!(user.read(&asked.reply).await.text, "Yes.");
        }))
        .await;
    }
    let asked = room.ask("hi").await;
    assert_eq!(user.read(&asked.reply).await.text, "Yes.");
    for process in [first, second] {
        process.terminate();
        assert!(process.ended().await);
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_serves() {
    let Some(_) = version() else { return };
    let site = Site::new().await;
    let pooler = PgBouncer::start(&site.backend.database_url, "pool_mode = session\ndefault_pool_size = 100");
    serves(&site, &pooler).await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_serves_if_it_keeps_prepared_statements() {
    let Some(version) = version() else { return };
    let site = Site::new().await;
    let settings = "pool_mode = transaction\ndefault_pool_size = 5";
    if version >= (1, 21) {
        let settings = format!("{settings}\nmax_prepared_statements = 200");
        let pooler = PgBouncer::start(&site.backend.database_url, &settings);
        serves(&site, &pooler).await;
    } else {
        let pooler = PgBouncer::start(&site.backend.database_url, settings);
        let refused = pooler.refused(&site);
        assert!(!refused.status.success());
        let error = String::from_utf8(refused.stderr).unwrap();
        assert!(error.contains("set pool_mode = session, or use PgBouncer 1.21 or newer"), "{error}");
    }
}
