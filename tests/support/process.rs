//! Servers that run as separate processes, which a test can signal and kill.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Backend, FakeGemini, TestUser, socket::TEST_TIMEOUT};

/// A directory, a backend and a fake Gemini that several processes share, concurrently or one after the other.
pub struct Deployment {
    pub directory: TempDir,
    pub backend: Backend,
    pub gemini: FakeGemini,
    /// The program that [`start`](Self::start) and [`start_with`](Self::start_with) run.
    pub binary: PathBuf,
}

impl Deployment {
    pub async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let backend = Backend::create(directory.path()).await;
        Self { backend, directory, gemini: FakeGemini::start().await, binary: Process::binary() }
    }

    pub async fn start(&self) -> Process {
        self.start_with(&[], &[]).await
    }

    /// Starts a process with additional arguments and settings.
    pub async fn start_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = Process::command_of(&self.binary, self.directory.path());
        let gemini = format!("http://{}", self.gemini.address);
        command.args(arguments).envs(self.backend.environment());
        command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", gemini);
        // On SQLite, a process releases all jobs when it starts, so that no lease needs to expire. On PostgreSQL, which the tests
        // always use with Redis, the jobs of a killed process wait until their leases expire, so leases are short.
        command.env("WORKER_LEASE", if self.backend.redis_url.is_some() { "2" } else { "3600" });
        command.envs(settings.iter().copied());
        Process::spawn(command).await
    }

    /// Runs a command with the storage of the processes, and waits for its end. The program is [`Process::binary`], not
    /// `self.binary`.
    pub fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Process::command(self.directory.path());
        command.args(arguments).envs(self.backend.environment()).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub fn output(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts [`Process::binary`] without an API key, so that the demo model responds.
    pub async fn start_demo(&self) -> Process {
        let mut command = Process::command(self.directory.path());
        command.envs(self.backend.environment());
        Process::spawn(command).await
    }
}

/// A running server. Dropping it kills the process.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// The lines of the log that have not been read yet.
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    /// This build's binary, or the one in `POLLUX_TEST_BINARY`.
    pub fn binary() -> PathBuf {
        std::env::var_os("POLLUX_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_pollux").into()).into()
    }

    /// A command that runs [`binary`](Self::binary) without settings, except that it serves no metrics.
    pub fn command(directory: &Path) -> Command {
        Self::command_of(&Self::binary(), directory)
    }

    fn command_of(binary: &Path, directory: &Path) -> Command {
        let mut command = Command::new(binary);
        // Concurrent processes would compete for the default port of the metrics.
        command.current_dir(directory).env_clear().env("METRICS_BIND", "off");
        command
    }

    /// Starts a server on a free port, and waits until it logs its address.
    pub async fn spawn(mut command: Command) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = command.env("BIND", any_port.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on, `Drop` kills the process if the test fails.
        let (log, lines_received) = mpsc::unbounded_channel();
        let mut process = Self { address: any_port, child, lines: lines_received };
        let lines = BufReader::new(process.child.stderr.take().unwrap()).lines();
        let (address_found, address) = oneshot::channel();
        std::thread::spawn(move || {
            let mut address_found = Some(address_found);
            // Reads to the end, so that the server never blocks on a full pipe.
            for line in lines.map_while(Result::ok) {
                let address_and_path =
                    line.split_once(" is at http://").and_then(|(_, rest)| rest.split_once('/'));
                if let Some((address, _)) = address_and_path
                    && let Some(address_found) = address_found.take()
                {
                    let _ = address_found.send(address.parse().unwrap());
                }
                let _ = log.send(line);
            }
        });
        let address = timeout(TEST_TIMEOUT, address).await.expect("the server did not start in time");
        process.address = address.expect("the server ended");
        process
    }

    /// Waits for a line of the log that contains this text.
    pub async fn wait_for_log(&mut self, text: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.recv().await.expect("the log ended");
                if line.contains(text) {
                    return line;
                }
            }
        };
        timeout(TEST_TIMEOUT, found).await.expect("no log line contains the text")
    }

    /// The address of a process that was started with `METRICS_BIND=127.0.0.1:0`.
    pub async fn metrics_address(&mut self) -> SocketAddr {
        let line = self.wait_for_log("metrics are at http://").await;
        let (_, rest) = line.split_once("http://").unwrap();
        rest.split_once('/').unwrap().0.parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of the log.
    pub async fn next_log_line(&mut self) -> String {
        timeout(TEST_TIMEOUT, self.lines.recv()).await.expect("no log line in time").expect("the log ended")
    }

    /// Waits for the process to exit, and returns the unread lines of its log.
    pub async fn remaining_log(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) =
            timeout(TEST_TIMEOUT, self.lines.recv()).await.expect("the server did not exit in time")
        {
            lines.push(line);
        }
        lines
    }

    /// The lines of the log up to one that contains this text.
    pub async fn log_until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let read = async {
            while !lines.last().is_some_and(|line: &String| line.contains(text)) {
                lines.push(self.lines.recv().await.expect("the log ended"));
            }
        };
        timeout(TEST_TIMEOUT, read).await.expect("no log line contains the text");
        lines
    }

    /// Sends SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The resident set size in bytes, as reported by Linux.
    pub fn memory(&self) -> u64 {
        self.status_size("VmRSS:")
    }

    /// The highest resident set size in bytes since the start or the last [`reset_peak_memory`](Self::reset_peak_memory).
    pub fn peak_memory(&self) -> u64 {
        self.status_size("VmHWM:")
    }

    pub fn reset_peak_memory(&self) {
        // The value 5 resets the peak, as described in proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// A size in bytes from `/proc/<id>/status`, which states it in KiB.
    fn status_size(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The CPU time of the process so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // After the name, which may contain spaces, utime and stime are fields 12 and 13, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Waits until the server reports that it is not ready, as it does from the beginning of its shutdown.
    pub async fn wait_until_stopping(&self) {
        let http = TestUser::anonymous(self.address).http;
        let ready = format!("http://{}/health/ready", self.address);
        while http.get(&ready).send().await.unwrap().status().is_success() {}
    }

    /// Waits for the process to exit, and returns whether it succeeded.
    pub async fn wait_for_exit(mut self) -> bool {
        let wait = tokio::task::spawn_blocking(move || self.child.wait().unwrap().success());
        timeout(TEST_TIMEOUT, wait).await.expect("the server did not exit in time").unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same user, connected to another process.
pub fn on_process(user: &TestUser, process: &Process) -> TestUser {
    TestUser { address: process.address, ..user.clone() }
}
