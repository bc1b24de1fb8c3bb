//! PgBouncer between Pollux and PostgreSQL. `POLLUX_TEST_PGBOUNCER` names its program if it is not `pgbouncer` in the PATH.

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
    process::{Deployment, Process},
    requirements::{has_pgbouncer, require_servers},
};

/// A PgBouncer process.
struct PgBouncer {
    address: SocketAddr,
    server: Child,
    directory: TempDir,
}

fn program() -> String {
    std::env::var("POLLUX_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned())
}

/// The version of PgBouncer, such as (1, 21), or `None` if it is not installed.
fn version() -> Option<(u32, u32)> {
    if !has_pgbouncer(&program()) {
        return None;
    }
    let output = Command::new(program()).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().nth(1)?.split('.').map(|number| number.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next()?))
}

impl PgBouncer {
    /// Starts PgBouncer with these settings in front of the PostgreSQL server of this database.
    fn start(database_url: &str, settings: &str) -> Self {
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let postgres: SocketAddr =
            database_url.split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = directory.path().join("pgbouncer.ini");
        // With `auth_type = any`, clients act as the user in the line of the database.
        let text = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = any\n{settings}\n",
            postgres.ip(),
            postgres.port(),
            address.ip(),
            address.port()
        );
        fs::write(&file, text).unwrap();
        // PgBouncer refuses to run as root.
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

    fn proxied_url(&self, database_url: &str) -> String {
        format!("postgres://postgres@{}/{}", self.address, database_url.rsplit('/').next().unwrap())
    }

    /// Runs a node that must fail to start, and returns its output.
    fn failed_start(&self, deployment: &Deployment) -> Output {
        let mut command = Process::command(self.directory.path());
        command
            .env("DATABASE_URL", self.proxied_url(&deployment.backend.database_url))
            .env("JWT_SECRET", SECRET);
        command.env("BIND", "127.0.0.1:0").output().unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Runs two nodes through the pooler, and exchanges messages on both.
async fn exchange_messages_through(pooler: &PgBouncer, deployment: &Deployment) {
    let url = pooler.proxied_url(&deployment.backend.database_url);
    let settings = [("DATABASE_URL", url.as_str())];
    let mut first = deployment.start_with(&[], &settings).await;
    let second = deployment.start_with(&[], &settings).await;
    // The pooler drops the timeouts that a node requests, and the node logs how to set them in the database.
    first.wait_for_log("ALTER ROLE postgres SET statement_timeout = '10s'").await;
    let user = TestUser::sign_in(first.address, "+14155550123").await;
    let chatroom = user.create_chatroom("x").await;
    let users = futures_util::future::join_all(
        (0..8).map(async |number| TestUser::sign_in(second.address, &format!("+1415555020{number}")).await),
    )
    .await;
    for _ in 0..3 {
        futures_util::future::join_all(users.iter().map(async |user| {
            let sent = user.create_chatroom("x").await.send("hi").await;
            assert_eq!(user.read(&sent.reply).await.text, "Yes.");
        }))
        .await;
    }
    let sent = chatroom.send("hi").await;
    assert_eq!(user.read(&sent.reply).await.text, "Yes.");
    for process in [first, second] {
        process.terminate();
        assert!(process.wait_for_exit().await);
    }
}

#[tokio::test]
async fn a_pooler_in_session_mode_works() {
    require_servers!();
    let Some(_) = version() else { return };
    let deployment = Deployment::new().await;
    let pooler =
        PgBouncer::start(&deployment.backend.database_url, "pool_mode = session\ndefault_pool_size = 100");
    exchange_messages_through(&pooler, &deployment).await;
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_works_if_it_keeps_prepared_statements() {
    require_servers!();
    let Some(version) = version() else { return };
    let deployment = Deployment::new().await;
    // The pooler opens fewer connections to PostgreSQL than the two nodes open to the pooler.
    let settings = "pool_mode = transaction\ndefault_pool_size = 5";
    if version >= (1, 21) {
        let settings = format!("{settings}\nmax_prepared_statements = 200");
        let pooler = PgBouncer::start(&deployment.backend.database_url, &settings);
        exchange_messages_through(&pooler, &deployment).await;
    } else {
        let pooler = PgBouncer::start(&deployment.backend.database_url, settings);
        let output = pooler.failed_start(&deployment);
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("set pool_mode = session, or use PgBouncer 1.21 or newer"), "{error}");
    }
}
