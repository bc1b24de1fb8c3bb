//! Servers as processes of their own, to be killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Backend, StandIn, TestUser, socket::PATIENCE};

/// Where processes run one after the other, or side by side: a directory, what their data is in, and a model.
pub struct Site {
    pub directory: TempDir,
    pub backend: Backend,
    pub gemini: StandIn,
}

impl Site {
    pub async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let backend = Backend::fresh(directory.path()).await;
        Self { backend, directory, gemini: StandIn::start().await }
    }

    pub async fn start(&self) -> Process {
        self.start_with(&[], &[]).await
    }

    /// Starts a process with arguments and settings of its own.
    pub async fn start_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = Process::command(self.directory.path());
        let gemini = format!("http://{}", self.gemini.address);
        command.args(arguments).envs(self.backend.environment());
        command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", gemini);
        // A process that starts alone waits for no lease; of several, one waits for another's.
        command.env("WORKER_LEASE", if self.backend.redis_url.is_some() { "2" } else { "3600" });
        command.envs(settings.iter().copied());
        Process::spawn(command).await
    }

    /// The same without a key, so that the demo model answers.
    pub async fn start_demo(&self) -> Process {
        let mut command = Process::command(self.directory.path());
        command.envs(self.backend.environment());
        Process::spawn(command).await
    }
}

pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// Its log.
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// The binary of this build, or the one that `POLLUX_TEST_BINARY` names, without any settings.
    pub fn command(directory: &Path) -> Command {
        let binary = std::env::var_os("POLLUX_TEST_BINARY");
        let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_pollux").into()));
        command.current_dir(directory).env_clear();
        command
    }

    pub async fn spawn(mut command: Command) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = command.env("BIND", nowhere.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on it is killed where the test fails.
        let (heard, said_later) = mpsc::unbounded_channel();
        let mut process = Self { address: nowhere, child, lines: said_later };
        let lines = BufReader::new(process.child.stderr.take().unwrap()).lines();
        let (found, address) = oneshot::channel();
        std::thread::spawn(move || {
            let mut found = Some(found);
            // To the end, so that the server never waits for a reader.
            for line in lines.map_while(Result::ok) {
                let said = line.split_once(" is at http://").and_then(|(_, rest)| rest.split_once('/'));
                if let Some((address, _)) = said
                    && let Some(found) = found.take()
                {
                    let _ = found.send(address.parse().unwrap());
                }
                let _ = heard.send(line);
            }
        });
        let address = timeout(PATIENCE, address).await.expect("the server does not start");
        process.address = address.expect("the server ended");
        process
    }

    /// Waits for a line of its log that has this.
    pub async fn says(&mut self, text: &str) -> String {
        let said = async {
            loop {
                let line = self.lines.recv().await.expect("its log ended");
                if line.contains(text) {
                    return line;
                }
            }
        };
        timeout(PATIENCE, said).await.expect("its log does not say it")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its log.
    pub async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.recv()).await.expect("its log says nothing").expect("its log ended")
    }

    /// Waits for the process to end, and returns what is left of its log.
    pub async fn rest(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = timeout(PATIENCE, self.lines.recv()).await.expect("the server does not end") {
            lines.push(line);
        }
        lines
    }

    /// The lines of its log up to one that has this.
    pub async fn log_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let read = async {
            while !lines.last().is_some_and(|line: &String| line.contains(text)) {
                lines.push(self.lines.recv().await.expect("its log ended"));
            }
        };
        timeout(PATIENCE, read).await.expect("its log does not have it");
        lines
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// What it has in memory, in bytes: its resident set, as Linux counts it.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it has had in memory since it began or [`reset_peak`](Self::reset_peak), in bytes.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn reset_peak(&self) {
        // proc_pid_clear_refs(5): 5 resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The CPU time that it has taken.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, which may hold anything, utime and stime are the 12th and 13th, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Waits until the server says that it is stopping.
    pub async fn is_stopping(&self) {
        let http = TestUser::stranger(self.address).http;
        let ready = format!("http://{}/health/ready", self.address);
        while http.get(&ready).send().await.unwrap().status().is_success() {}
    }

    /// Waits for the process to end by itself, and says whether it ended well.
    pub async fn ended(mut self) -> bool {
        let wait = tokio::task::spawn_blocking(move || self.child.wait().unwrap().success());
        timeout(PATIENCE, wait).await.expect("the server does not end").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same person, on another process.
pub fn moved(user: &TestUser, process: &Process) -> TestUser {
    TestUser { address: process.address, ..user.clone() }
}
