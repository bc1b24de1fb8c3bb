//! Full, failing and read-only disks: the server accepts a message only if it has stored it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use pollux::store::{Db, commit};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{
    FakeGemini, Gate, Script, TestUser,
    app::config,
    process::{Process, on_process},
    socket::TEST_TIMEOUT,
    user::TestChatroom,
};

/// A tmpfs of 24 MB.
struct SmallDisk {
    mount_point: TempDir,
}

impl SmallDisk {
    /// Returns `None` if the process may not mount file systems; the test is then skipped.
    fn mount() -> Option<Self> {
        let mount_point = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(mount_point.path())
            .stderr(std::process::Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { mount_point });
        }
        eprintln!("skipped: this process may not mount a tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.mount_point.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Writes until not even 512 bytes fit.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [65536, 4096, 512] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// Remounts the file system with other options, such as `ro`.
    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap();
        assert!(status.success(), "{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.path()).status();
    }
}

fn command(directory: &Path, gemini: &FakeGemini) -> Command {
    let mut command = Process::command(directory);
    set_environment(&mut command, gemini);
    command
}

fn set_environment(command: &mut Command, gemini: &FakeGemini) {
    command.env("DATABASE_URL", "sqlite://data/pollux.db").env("BASIC_DAILY_LIMIT", "100000");
    command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", format!("http://{}", gemini.address));
}

async fn ready(user: &TestUser) -> u16 {
    let response = user.http.get(format!("http://{}/health/ready", user.address)).send().await.unwrap();
    response.status().as_u16()
}

/// Waits until `/health/ready` returns this status.
async fn wait_for_ready_status(user: &TestUser, status: u16) {
    let ready = async { while ready(user).await != status {} };
    timeout(TEST_TIMEOUT, ready).await.unwrap_or_else(|_| panic!("/health/ready did not become {status}"));
}

/// Sends a message and returns its id if it was accepted.
async fn try_send(chatroom: &TestChatroom, content: &str) -> Option<String> {
    chatroom.try_send(json!({ "content": content })).await.ok().map(|sent| sent.message)
}

/// In each run, sends messages before, while and after writes fail, kills or terminates the process, and checks that the next
/// process has every accepted message.
async fn check_that_accepted_messages_survive(
    runs: usize,
    start: impl Fn() -> Command,
    make_writes_fail: impl Fn(&Process),
    let_writes_succeed: impl Fn(&Process),
) {
    let long = "x".repeat(20_000);
    let mut process = Process::spawn(start()).await;
    let mut user = TestUser::sign_in(process.address, "+14155550123").await;
    let mut chatroom = user.create_chatroom("x").await;
    for run in 0..runs {
        let mut accepted = vec![try_send(&chatroom, "before").await.unwrap()];
        make_writes_fail(&process);
        let mut rejected = 0;
        while rejected < 3 {
            match try_send(&chatroom, &long).await {
                Some(id) => accepted.push(id),
                None => rejected += 1,
            }
        }
        wait_for_ready_status(&user, 503).await;
        for _ in 0..3 {
            accepted.extend(try_send(&chatroom, "meanwhile").await);
        }
        let_writes_succeed(&process);
        wait_for_ready_status(&user, 200).await;
        accepted.push(try_send(&chatroom, "after").await.expect("the server did not recover"));
        if run % 2 == 0 {
            process.kill();
        } else {
            process.terminate();
            assert!(process.wait_for_exit().await, "run {run}");
        }
        process = Process::spawn(start()).await;
        user = on_process(&user, &process);
        chatroom.user = user.clone();
        for id in accepted {
            assert_eq!(user.message(&id).await["id"], id, "run {run}");
        }
    }
}

#[tokio::test]
async fn accepted_messages_survive_a_full_disk_and_a_crash() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = FakeGemini::start().await;
    let start = || command(disk.path(), &gemini);
    check_that_accepted_messages_survive(20, start, |_| disk.fill(), |_| disk.free()).await;
}

#[tokio::test]
async fn a_reply_finished_on_a_full_disk_is_stored_when_space_is_available() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = FakeGemini::start().await;
    let gate = Gate::closed();
    gemini.enqueue(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let chatroom = user.create_chatroom("x").await;
    let sent = chatroom.send("hi").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("Before. ").await;
    disk.fill();
    let long = "x".repeat(20_000);
    while try_send(&chatroom, &long).await.is_some() {}
    wait_for_ready_status(&user, 503).await;
    gate.release_one();
    follower.read_until("During.").await;
    assert_eq!(user.message(&sent.message).await["content"], "hi", "reading works");
    disk.free();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    process.kill();
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    assert_eq!(on_process(&user, &process).message(&sent.reply).await["content"], "Before. During.");
}

/// Writes beyond the file size limit of a process fail, which SQLite reports as an I/O error.
#[tokio::test]
async fn accepted_messages_survive_an_io_error_and_a_crash() {
    let directory = TempDir::new().unwrap();
    let gemini = FakeGemini::start().await;
    let start = || {
        let mut command = Command::new("sh");
        // Without this trap, a write beyond the limit would end the process by SIGXFSZ.
        command.args(["-c", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_pollux")]);
        command.current_dir(&directory).env_clear();
        set_environment(&mut command, &gemini);
        command
    };
    let limit = |process: &Process, bytes: &str| {
        let pid = process.id().to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
        assert!(status.success());
    };
    let wal_size = || fs::metadata(directory.path().join("data/pollux.db-wal")).map_or(0, |data| data.len());
    let make_writes_fail = |process: &Process| limit(process, &(wal_size() + 50_000).to_string());
    check_that_accepted_messages_survive(4, start, make_writes_fail, |process| limit(process, "unlimited"))
        .await;
}

#[tokio::test]
async fn a_server_on_a_read_only_disk_reports_it_and_exits() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = FakeGemini::start().await;
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    process.terminate();
    assert!(process.wait_for_exit().await);
    disk.remount("ro");
    let output = command(disk.path(), &gemini).env("BIND", "127.0.0.1:0").output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("data/pollux.db") && error.contains("Read-only file system"), "{error}");
    disk.remount("rw");
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    process.terminate();
    assert!(process.wait_for_exit().await);
}

/// A database on a full disk.
struct DatabaseOnFullDisk {
    disk: SmallDisk,
    db: Db,
}

impl DatabaseOnFullDisk {
    async fn open() -> Option<Self> {
        let disk = SmallDisk::mount()?;
        let url = format!("--database-url=sqlite://{}/pollux.db", disk.path().display());
        let db = Db::open(&config(&[&url]).database).await.unwrap();
        db.migrate().await.unwrap();
        disk.fill();
        Some(Self { disk, db })
    }

    /// Checks that writes are stored after space has been freed.
    async fn assert_recovers(self) {
        self.disk.free();
        insert(self.db.write(), 7, 10).await.unwrap();
        let tx = self.db.begin().await.unwrap();
        insert(&tx, 8, 10).await.unwrap();
        commit(tx).await.unwrap();
        // Another connection sees committed rows only.
        let stored = "SELECT id FROM write_checks WHERE id IN (7, 8)";
        let stored = Statement::from_string(DbBackend::Sqlite, stored);
        assert_eq!(self.db.read().query_all_raw(stored).await.unwrap().len(), 2);
    }
}

async fn insert(conn: &impl ConnectionTrait, id: i32, bytes: usize) -> Result<(), DbErr> {
    let text = format!("INSERT INTO write_checks (id, padding) VALUES ({id}, hex(zeroblob({bytes})))");
    conn.execute_unprepared(&text).await.map(drop)
}

/// More bytes than fit into the free space and into SQLite's page cache, so that SQLite must write them before the commit.
const HUGE: usize = 20_000_000;

#[tokio::test]
async fn a_statement_failed_on_a_full_disk_affects_no_later_one() {
    let Some(full) = DatabaseOnFullDisk::open().await else { return };
    for _ in 0..3 {
        insert(full.db.write(), 2, HUGE).await.unwrap_err();
    }
    full.assert_recovers().await;
}

#[tokio::test]
async fn a_transaction_dropped_after_a_failure_affects_no_later_one() {
    let Some(full) = DatabaseOnFullDisk::open().await else { return };
    let tx = full.db.begin().await.unwrap();
    insert(&tx, 2, HUGE).await.unwrap_err();
    drop(tx);
    for _ in 0..3 {
        // The connection that replaces the writer must commit before it is used, which fails.
        assert!(full.db.begin().await.is_err());
    }
    full.assert_recovers().await;
}

#[tokio::test]
async fn a_statement_failed_on_a_full_disk_fails_its_transaction() {
    let Some(full) = DatabaseOnFullDisk::open().await else { return };
    let tx = full.db.begin().await.unwrap();
    insert(&tx, 2, 10).await.unwrap();
    insert(&tx, 3, HUGE).await.unwrap_err();
    commit(tx).await.unwrap_err();
    full.assert_recovers().await;
}

#[tokio::test]
async fn a_migration_on_a_full_disk_fails_with_advice_and_succeeds_later() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = format!("--database-url=sqlite://{}/pollux.db", disk.path().display());
    // Creates the database file, without tables.
    let db = Db::open(&config(&[&url]).database).await.unwrap();
    disk.fill();
    let error = format!("{:#}", db.migrate().await.unwrap_err());
    assert!(error.contains("the disk is full: free some space"), "{error}");
    disk.free();
    assert!(!db.migrate().await.unwrap().is_empty());
}
