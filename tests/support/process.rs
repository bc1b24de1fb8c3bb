//! A server as a process of its own, to be killed.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tokio::{sync::oneshot, time::timeout};

use super::{TestUser, socket::PATIENCE};

pub struct Process {
    pub address: SocketAddr,
    child: Child,
}

impl Process {
    /// The binary, told nothing but this.
    pub fn command(directory: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollux"));
        command.current_dir(directory).env_clear();
        command
    }

    /// Starts a server on the database in `directory`, on a port of the system's choice.
    pub async fn start(directory: &Path, gemini: SocketAddr) -> Self {
        Self::start_with(directory, gemini, &[]).await
    }

    pub async fn start_with(directory: &Path, gemini: SocketAddr, settings: &[(&str, &str)]) -> Self {
        let mut command = Self::command(directory);
        command.envs(settings.iter().copied());
        command.env("GEMINI_API_KEY", "test-key").env("GEMINI_BASE_URL", format!("http://{gemini}"));
        Self::spawn(command).await
    }

    /// The same without a key, so that the demo model answers.
    pub async fn start_demo(directory: &Path) -> Self {
        Self::spawn(Self::command(directory)).await
    }

    async fn spawn(mut command: Command) -> Self {
        // Longer than any test: a process that starts alone waits for no lease.
        command.env("WORKER_LEASE", "3600");
        let mut child = command.env("BIND", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (found, address) = oneshot::channel();
        std::thread::spawn(move || {
            let mut found = Some(found);
            // To the end, so that the server never waits for a reader.
            for line in lines.map_while(Result::ok) {
                let said = line
                    .split_once("GraphQL is at http://")
                    .and_then(|(_, rest)| rest.split_once("/graphql"));
                if let Some((address, _)) = said
                    && let Some(found) = found.take()
                {
                    let _ = found.send(address.parse().unwrap());
                }
            }
        });
        let address =
            timeout(PATIENCE, address).await.expect("the server does not start").expect("the server ended");
        Self { address, child }
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
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
