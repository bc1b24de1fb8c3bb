//! A disk without space: what was accepted is stored, and nothing is accepted that is not.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use pollux::store::{Db, commit};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TransactionTrait};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::{
    Gate, Script, StandIn, TestUser,
    app::config,
    process::{Process, moved},
    socket::PATIENCE,
    user::TestRoom,
};

/// A file system of 24 MB in memory.
struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    /// None where this process may not mount one; the test then says so.
    fn mount() -> Option<Self> {
        let place = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(place.path())
            .stderr(std::process::Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { place });
        }
        eprintln!("skipped: mounting a tmpfs is not permitted here");
        None
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for size in [65536, 4096, 512] {
            while filler.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// Mounts it again with other options, such as `ro`.
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

fn command(directory: &Path, gemini: &StandIn) -> Command {
    let mut command = Process::command(directory);
    set(&mut command, gemini);
    command
}

fn set(command: &mut Command, gemini: &StandIn) {
    command.env("DATABASE_URL", "sqlite://data/pollux.db").env("BASIC_DAILY_LIMIT", "100000");
    command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", format!("http://{}", gemini.address));
}

async fn ready(user: &TestUser) -> u16 {
    let answer = user.http.get(format!("http://{}/health/ready", user.address)).send().await.unwrap();
    answer.status().as_u16()
}

/// Waits until `/health/ready` answers this status.
async fn becomes(user: &TestUser, status: u16) {
    let ready = async { while ready(user).await != status {} };
    timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("/health/ready does not become {status}"));
}

/// Sends a message and returns its id if it was accepted.
async fn try_send(room: &TestRoom, content: &str) -> Option<String> {
    room.try_ask(json!({ "content": content })).await.ok().map(|asked| asked.message)
}

/// Sends messages before, while and after writes fail, ends the process and looks for all that it accepted.
async fn accepts_only_what_it_stores(
    runs: usize,
    start: impl Fn() -> Command,
    make_writes_fail: impl Fn(&Process),
    let_writes_succeed: impl Fn(&Process),
) {
    let long = "x".repeat(20_000);
    let mut process = Process::spawn(start()).await;
    let mut user = TestUser::sign_in(process.address, "+14155550123").await;
    let mut room = user.room("x").await;
    for run in 0..runs {
        let mut accepted = vec![try_send(&room, "before").await.unwrap()];
        make_writes_fail(&process);
        let mut refused = 0;
        while refused < 3 {
            match try_send(&room, &long).await {
                Some(id) => accepted.push(id),
                None => refused += 1,
            }
        }
        becomes(&user, 503).await;
        for _ in 0..3 {
            accepted.extend(try_send(&room, "meanwhile").await);
        }
        let_writes_succeed(&process);
        becomes(&user, 200).await;
        accepted.push(try_send(&room, "after").await.expect("it recovers by itself"));
        if run % 2 == 0 {
            process.kill();
        } else {
            process.terminate();
            assert!(process.ended().await, "run {run}");
        }
        process = Process::spawn(start()).await;
        user = moved(&user, &process);
        room.user = user.clone();
        for id in accepted {
            assert_eq!(user.message(&id).await["id"], id, "run {run}");
        }
    }
}

#[tokio::test]
async fn whatever_was_accepted_around_a_full_disk_is_there_after_a_crash_and_after_a_stop() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = StandIn::start().await;
    let start = || command(disk.path(), &gemini);
    accepts_only_what_it_stores(20, start, |_| disk.fill(), |_| disk.free()).await;
}

#[tokio::test]
async fn a_reply_that_ends_while_the_disk_is_full_is_stored_when_there_is_space() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = StandIn::start().await;
    let gate = Gate::closed();
    gemini.answers(Script::new().text("Before. ").wait(&gate).text("During.").finish("STOP"));
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    let room = user.room("x").await;
    let asked = room.ask("hi").await;
    let mut follower = user.follow(&asked.reply, None).await;
    follower.until("Before. ").await;
    disk.fill();
    let long = "x".repeat(20_000);
    while try_send(&room, &long).await.is_some() {}
    becomes(&user, 503).await;
    gate.open();
    follower.until("During.").await;
    assert_eq!(user.message(&asked.message).await["content"], "hi", "reading works");
    disk.free();
    assert_eq!(follower.until_the_end().await, "ReplyCompleted");
    assert_eq!((follower.text.as_str(), follower.restarts), ("Before. During.", 0));
    process.kill();
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    assert_eq!(moved(&user, &process).message(&asked.reply).await["content"], "Before. During.");
}

/// Past its limit on the size of files a process's writes fail, and to SQLite that is an I/O error.
#[tokio::test]
async fn whatever_was_accepted_around_an_io_error_is_there_after_a_crash_and_after_a_stop() {
    let directory = TempDir::new().unwrap();
    let gemini = StandIn::start().await;
    let start = || {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_pollux")]);
        command.current_dir(&directory).env_clear();
        set(&mut command, &gemini);
        command
    };
    let limit = |process: &Process, bytes: &str| {
        let pid = process.id().to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
        assert!(status.success());
    };
    let grown = || fs::metadata(directory.path().join("data/pollux.db-wal")).map_or(0, |data| data.len());
    let fail = |process: &Process| limit(process, &(grown() + 50_000).to_string());
    accepts_only_what_it_stores(4, start, fail, |process| limit(process, "unlimited")).await;
}

#[tokio::test]
async fn a_server_on_a_read_only_disk_does_not_start_and_says_why() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = StandIn::start().await;
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    process.terminate();
    assert!(process.ended().await);
    disk.remount("ro");
    let refused = command(disk.path(), &gemini).env("BIND", "127.0.0.1:0").output().unwrap();
    assert!(!refused.status.success());
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("data/pollux.db") && error.contains("Read-only file system"), "{error}");
    disk.remount("rw");
    let process = Process::spawn(command(disk.path(), &gemini)).await;
    process.terminate();
    assert!(process.ended().await);
}

/// A database on a full disk, whose transactions write to the disk before they are committed.
struct Full {
    disk: SmallDisk,
    db: Db,
}

impl Full {
    async fn open() -> Option<Self> {
        let disk = SmallDisk::mount()?;
        let url = format!("--database-url=sqlite://{}/pollux.db", disk.path().display());
        let db = Db::open(&config(&[&url]).database).await.unwrap();
        db.migrate().await.unwrap();
        disk.fill();
        Some(Self { disk, db })
    }

    /// After space is freed, writes are stored, whatever has failed before.
    async fn recovers(self) {
        self.disk.free();
        insert(self.db.write(), 7, 10).await.unwrap();
        let tx = self.db.begin().await.unwrap();
        insert(&tx, 8, 10).await.unwrap();
        commit(tx).await.unwrap();
        // What another connection sees has been committed.
        let stored = "SELECT id FROM write_checks WHERE id IN (7, 8)";
        let stored = Statement::from_string(DbBackend::Sqlite, stored);
        assert_eq!(self.db.read().query_all_raw(stored).await.unwrap().len(), 2);
    }
}

async fn insert(conn: &impl ConnectionTrait, id: i32, bytes: usize) -> Result<(), DbErr> {
    let text = format!("INSERT INTO write_checks (id, padding) VALUES ({id}, hex(zeroblob({bytes})))");
    conn.execute_unprepared(&text).await.map(drop)
}

/// More than the disk has, and more than SQLite keeps in memory.
const HUGE: usize = 20_000_000;

#[tokio::test]
async fn a_statement_that_fails_on_a_full_disk_harms_no_later_one() {
    let Some(full) = Full::open().await else { return };
    for _ in 0..3 {
        insert(full.db.write(), 2, HUGE).await.unwrap_err();
    }
    full.recovers().await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_after_a_failure_harms_no_later_one() {
    let Some(full) = Full::open().await else { return };
    let tx = full.db.begin().await.unwrap();
    insert(&tx, 2, HUGE).await.unwrap_err();
    drop(tx);
    for _ in 0..3 {
        // What replaces the writer has to be able to write.
        assert!(full.db.begin().await.is_err());
    }
    full.recovers().await;
}

#[tokio::test]
async fn a_savepoint_that_fails_on_a_full_disk_fails_its_transaction() {
    let Some(full) = Full::open().await else { return };
    let tx = full.db.begin().await.unwrap();
    insert(&tx, 2, 10).await.unwrap();
    let savepoint = tx.begin().await.unwrap();
    insert(&savepoint, 3, HUGE).await.unwrap_err();
    drop(savepoint);
    commit(tx).await.unwrap_err();
    full.recovers().await;
}

#[tokio::test]
async fn a_migration_that_fails_on_a_full_disk_leaves_nothing_and_succeeds_later() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = format!("--database-url=sqlite://{}/pollux.db", disk.path().display());
    let settings = config(&[&url]).database;
    // A file with room for its header alone.
    drop(Db::open(&settings).await.unwrap());
    let db = Db::open(&settings).await.unwrap();
    disk.fill();
    let error = format!("{:#}", db.migrate().await.unwrap_err());
    assert!(error.contains("the disk is full: free some space"), "{error}");
    disk.free();
    assert!(!db.migrate().await.unwrap().is_empty());
}
