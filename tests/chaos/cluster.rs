//! The processes of the cluster and the faults that are injected.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    support::{
        Backend,
        backend::redis_connection,
        process::{Deployment, Process},
    },
    text,
};

const API_NODES: usize = 2;
const WORKERS: usize = 3;
/// The duration of a worker's lease: short, so that many leases expire.
const LEASE_SECS: u64 = 3;
/// How long each reply takes while processes are only restarted or upgraded.
const ROLLING_REPLY: Duration = Duration::from_secs(5);

/// The addresses of the API nodes that run now, which clients share.
#[derive(Clone)]
pub struct Nodes(Arc<Mutex<Vec<SocketAddr>>>);

impl Nodes {
    pub fn all(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap().clone()
    }
}

pub struct Cluster {
    pub deployment: Deployment,
    api_nodes: Vec<Process>,
    workers: Vec<Process>,
    nodes: Nodes,
    redis: Redis,
    random: fastrand::Rng,
    /// See [`Cluster::stop_clients`].
    stop_clients: CancellationToken,
    /// The number of injected faults of each kind.
    injected: BTreeMap<&'static str, usize>,
}

/// What happens to the processes while clients chat.
#[derive(Clone)]
pub enum Scenario {
    /// Processes are killed, paused and restarted, and Redis is flushed and restarted.
    Faults,
    /// Processes are restarted one by one.
    Restarts,
    /// Processes of an earlier release are replaced one by one: first by this release, then by the earlier one, then by this
    /// one again.
    Upgrade {
        /// The binary of the earlier release.
        from: PathBuf,
    },
}

impl Scenario {
    /// Whether every process shuts down gracefully, so that clients notice only closed connections.
    pub fn is_graceful(&self) -> bool {
        !matches!(self, Self::Faults)
    }
}

impl Cluster {
    pub async fn start(seed: u64, scenario: &Scenario) -> Self {
        let mut deployment = Deployment::new().await;
        if let Scenario::Upgrade { from } = scenario {
            deployment.backend = Backend::without_schema(&Backend::servers().unwrap()).await;
            deployment.binary.clone_from(from);
        }
        let redis = Redis::start(free_port()).await;
        deployment.backend.redis_url = Some(redis.url());
        let fixed_duration = scenario.is_graceful().then_some(ROLLING_REPLY);
        deployment.gemini.respond_with(move |body| text::script(body, fixed_duration));
        let mut cluster = Self {
            deployment,
            api_nodes: Vec::new(),
            workers: Vec::new(),
            nodes: Nodes(Arc::default()),
            redis,
            random: fastrand::Rng::with_seed(seed),
            stop_clients: CancellationToken::new(),
            injected: BTreeMap::new(),
        };
        for _ in 0..API_NODES {
            let api = cluster.start_process("api").await;
            cluster.api_nodes.push(api);
        }
        for _ in 0..WORKERS {
            let worker = cluster.start_process("worker").await;
            cluster.workers.push(worker);
        }
        cluster.publish_addresses();
        cluster
    }

    async fn start_process(&self, role: &str) -> Process {
        let lease = LEASE_SECS.to_string();
        let settings = [
            ("WORKER_LEASE", lease.as_str()),
            ("BASIC_DAILY_LIMIT", "1000000"),
            ("RATE_LIMITS", "off"),
            ("DATABASE_CONNECTIONS", "16"),
        ];
        self.deployment.start_with(&[role], &settings).await
    }

    pub fn nodes(&self) -> Nodes {
        self.nodes.clone()
    }

    /// The token that is cancelled when clients must send no more messages.
    pub fn stop_clients(&self) -> CancellationToken {
        self.stop_clients.clone()
    }

    fn publish_addresses(&self) {
        *self.nodes.0.lock().unwrap() = self.api_nodes.iter().map(|api| api.address).collect();
    }

    /// Plays the scenario until `end`, or an upgrade once, and leaves all processes running. Then stops the clients.
    pub async fn play(&mut self, scenario: &Scenario, end: Instant) {
        match scenario {
            Scenario::Faults => {
                while Instant::now() < end {
                    self.inject_fault().await;
                    let pause = Instant::now() + Duration::from_millis(self.random.u64(200..1500));
                    sleep_until(pause.min(end)).await;
                }
            }
            Scenario::Restarts => {
                while Instant::now() < end {
                    self.restart_gracefully().await;
                }
            }
            Scenario::Upgrade { from } => {
                for binary in [&Process::binary(), from, &Process::binary()] {
                    self.replace_all(binary).await;
                }
            }
        }
        self.stop_clients.cancel();
    }

    /// Replaces all processes by processes of this binary, one by one.
    async fn replace_all(&mut self, binary: &Path) {
        self.deployment.binary = binary.to_owned();
        // Each restart replaces one process of each kind.
        for _ in 0..API_NODES.max(WORKERS) {
            self.restart_gracefully().await;
        }
    }

    async fn inject_fault(&mut self) {
        let faults = [
            "kill worker",
            "kill api",
            "pause worker",
            "pause api",
            "flush redis",
            "restart redis",
            "restart processes",
        ];
        let fault = faults[self.random.usize(..faults.len())];
        *self.injected.entry(fault).or_default() += 1;
        let random_millis = |random: &mut fastrand::Rng, range| Duration::from_millis(random.u64(range));
        match fault {
            "kill worker" => {
                let worker = self.random.usize(..WORKERS);
                self.workers.swap_remove(worker).kill();
                sleep(random_millis(&mut self.random, 0..1500)).await;
                self.workers.push(self.start_process("worker").await);
            }
            "kill api" => {
                let api = self.random.usize(..API_NODES);
                self.api_nodes.swap_remove(api).kill();
                sleep(random_millis(&mut self.random, 0..1500)).await;
                self.api_nodes.push(self.start_process("api").await);
                self.publish_addresses();
            }
            "pause worker" => {
                let worker = self.random.usize(..WORKERS);
                self.workers[worker].signal("STOP");
                sleep(Duration::from_secs(LEASE_SECS) + random_millis(&mut self.random, 500..3000)).await;
                self.workers[worker].signal("CONT");
            }
            "pause api" => {
                let api = self.random.usize(..API_NODES);
                self.api_nodes[api].signal("STOP");
                sleep(random_millis(&mut self.random, 500..4000)).await;
                self.api_nodes[api].signal("CONT");
            }
            "flush redis" => {
                let flush = async {
                    let mut redis = redis_connection(&self.redis.url()).await;
                    redis::cmd("FLUSHALL").query_async::<()>(&mut redis).await.unwrap();
                };
                timeout(Duration::from_secs(5), flush).await.unwrap();
            }
            "restart redis" => {
                let port = self.redis.port;
                self.redis.kill();
                sleep(random_millis(&mut self.random, 0..3000)).await;
                self.redis = Redis::start(port).await;
            }
            _ => self.restart_gracefully().await,
        }
    }

    /// Starts a new worker and a new API node, and then stops the first of each list with SIGTERM, one after the other.
    async fn restart_gracefully(&mut self) {
        let worker = self.start_process("worker").await;
        self.workers.push(worker);
        let old_worker = self.workers.remove(0);
        let api = self.start_process("api").await;
        self.api_nodes.push(api);
        let old_api = self.api_nodes.remove(0);
        self.publish_addresses();
        for process in [old_worker, old_api] {
            process.terminate();
            assert!(timeout(Duration::from_secs(45), process.wait_for_exit()).await.unwrap());
        }
        *self.injected.entry("SIGTERM").or_default() += 2;
    }

    /// Describes how often each fault was injected.
    pub fn describe_faults(&self) -> String {
        let counts: Vec<String> =
            self.injected.iter().map(|(fault, times)| format!("{fault} {times}")).collect();
        counts.join(", ")
    }

    pub async fn stop(self) {
        for process in self.api_nodes.into_iter().chain(self.workers) {
            process.terminate();
            assert!(process.wait_for_exit().await, "a process exited with an error");
        }
    }
}

/// A separate Redis process that the test may kill.
struct Redis {
    port: u16,
    server: Child,
}

impl Redis {
    async fn start(port: u16) -> Self {
        let arguments = ["--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"];
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string()]).args(arguments).stdout(Stdio::null());
        let redis = Self { port, server: command.spawn().unwrap() };
        let client = redis::Client::open(redis.url()).unwrap();
        while client.get_multiplexed_async_connection().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        redis
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
