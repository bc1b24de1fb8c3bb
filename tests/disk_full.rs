//! A disk without space: what was accepted is stored, and nothing is accepted that is not.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    crash::moved,
    support::{StandIn, TestUser, process::Process, socket::PATIENCE, user::TestRoom},
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

async fn start(disk: &SmallDisk, gemini: &StandIn) -> Process {
    let mut command = Process::command(disk.path());
    command.env("DATABASE_URL", "sqlite://data/pollux.db").env("BASIC_DAILY_LIMIT", "100000");
    command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", format!("http://{}", gemini.address));
    Process::spawn(command).await
}

async fn ready(user: &TestUser) -> (u16, String) {
    let answer = user.http.get(format!("http://{}/health/ready", user.address)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until `/health/ready` answers this status.
async fn becomes(user: &TestUser, status: u16) {
    let ready = async { while ready(user).await.0 != status {} };
    timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("/health/ready does not become {status}"));
}

/// Sends a message and returns its id if it was accepted.
async fn try_send(room: &TestRoom, content: &str) -> Option<String> {
    room.try_ask(json!({ "content": content })).await.ok().map(|asked| asked.message)
}

#[tokio::test]
async fn whatever_was_accepted_around_a_full_disk_is_there_after_a_crash_and_after_a_stop() {
    let Some(disk) = SmallDisk::mount() else { return };
    let gemini = StandIn::start().await;
    let long = "x".repeat(20_000);
    let mut process = start(&disk, &gemini).await;
    let mut user = TestUser::sign_in(process.address, "+14155550123").await;
    let mut room = user.room("x").await;
    for run in 0..20 {
        let mut accepted = Vec::new();
        accepted.extend(try_send(&room, "before").await);
        disk.fill();
        let mut refused = 0;
        while refused < 3 {
            match try_send(&room, &long).await {
                Some(id) => accepted.push(id),
                None => refused += 1,
            }
        }
        becomes(&user, 503).await;
        for _ in 0..3 {
            accepted.extend(try_send(&room, "while the disk is full").await);
        }
        disk.free();
        becomes(&user, 200).await;
        let after = try_send(&room, "after").await.expect("it recovers when there is space");
        accepted.push(after);
        if run % 2 == 0 {
            process.kill();
        } else {
            process.terminate();
            assert!(process.ended().await, "run {run}");
        }
        process = start(&disk, &gemini).await;
        user = moved(&user, &process);
        room.user = user.clone();
        for id in accepted {
            assert_eq!(user.message(&id).await["id"], id, "run {run}");
        }
    }
}
