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

const APIS: usize = 2;
const WORKERS: usize = 3;
/// Short, so that many leases expire.
const LEASE_SECS: u64 = 3;
/// How long each reply takes in a rolling restart.
const ROLLING_REPLY: Duration = Duration::from_secs(5);

/// The addresses of the API nodes.
#[derive(Clone)]
pub struct Nodes(Arc<Mutex<Vec<SocketAddr>>>);

impl Nodes {
    pub fn all(&self) -> Vec<SocketAddr> {
        self.0.lock().unwrap().clone()
    }
}

pub struct Cluster {
    pub deployment: Deployment,
    apis: Vec<Process>,
    workers: Vec<Process>,
    nodes: Nodes,
    redis: Redis,
    chance: fastrand::Rng,
    until: CancellationToken,
    injected: BTreeMap<&'static str, usize>,
}

/// What happens to the processes.
#[derive(Clone)]
pub enum Scenario {
    Faults,
    /// They are restarted one by one.
    Restarts,
    /// They are of an earlier release, and are replaced one by one: by this release, by the earlier one and again by this one.
    Upgrade {
        from: PathBuf,
    },
}

impl Scenario {
    /// Whether no process dies, so that clients notice nothing but closed connections.
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
        let steady = scenario.is_graceful().then_some(ROLLING_REPLY);
        deployment.gemini.respond_with(move |body| text::script(body, steady));
        let mut cluster = Self {
            deployment,
            apis: Vec::new(),
            workers: Vec::new(),
            nodes: Nodes(Arc::default()),
            redis,
            chance: fastrand::Rng::with_seed(seed),
            until: CancellationToken::new(),
            injected: BTreeMap::new(),
        };
        for _ in 0..APIS {
            let api = cluster.start_process("api").await;
            cluster.apis.push(api);
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

    /// Cancelled when clients should finish.
    pub fn until(&self) -> CancellationToken {
        self.until.clone()
    }

    fn publish_addresses(&self) {
        *self.nodes.0.lock().unwrap() = self.apis.iter().map(|api| api.address).collect();
    }

    /// Plays the scenario until `end`, an upgrade once, and leaves all processes running.
    pub async fn play(&mut self, scenario: &Scenario, end: Instant) {
        match scenario {
            Scenario::Faults => {
                while Instant::now() < end {
                    self.inject_fault().await;
                    let pause = Instant::now() + Duration::from_millis(self.chance.u64(200..1500));
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
        self.until.cancel();
    }

    /// Replaces all processes by processes of this binary, one by one.
    async fn replace_all(&mut self, binary: &Path) {
        self.deployment.binary = binary.to_owned();
        for _ in 0..APIS.max(WORKERS) {
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
            "replace",
        ];
        let fault = faults[self.chance.usize(..faults.len())];
        *self.injected.entry(fault).or_default() += 1;
        let millis = |chance: &mut fastrand::Rng, range| Duration::from_millis(chance.u64(range));
        match fault {
            "kill worker" => {
                let worker = self.chance.usize(..WORKERS);
                self.workers.swap_remove(worker).kill();
                sleep(millis(&mut self.chance, 0..1500)).await;
                self.workers.push(self.start_process("worker").await);
            }
            "kill api" => {
                let api = self.chance.usize(..APIS);
                self.apis.swap_remove(api).kill();
                sleep(millis(&mut self.chance, 0..1500)).await;
                self.apis.push(self.start_process("api").await);
                self.publish_addresses();
            }
            "pause worker" => {
                let worker = self.chance.usize(..WORKERS);
                self.workers[worker].signal("STOP");
                sleep(Duration::from_secs(LEASE_SECS) + millis(&mut self.chance, 500..3000)).await;
                self.workers[worker].signal("CONT");
            }
            "pause api" => {
                let api = self.chance.usize(..APIS);
                self.apis[api].signal("STOP");
                sleep(millis(&mut self.chance, 500..4000)).await;
                self.apis[api].signal("CONT");
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
                sleep(millis(&mut self.chance, 0..3000)).await;
                self.redis = Redis::start(port).await;
            }
            _ => self.restart_gracefully().await,
        }
    }

    /// Starts a new worker and a new API node, and then stops the oldest of each with SIGTERM, one after the other.
    async fn restart_gracefully(&mut self) {
        let worker = self.start_process("worker").await;
        self.workers.push(worker);
        let old_worker = self.workers.remove(0);
        let api = self.start_process("api").await;
        self.apis.push(api);
        let old_api = self.apis.remove(0);
        self.publish_addresses();
        for process in [old_worker, old_api] {
            process.terminate();
            assert!(timeout(Duration::from_secs(45), process.wait_for_exit()).await.unwrap());
        }
        *self.injected.entry("SIGTERM").or_default() += 2;
    }

    pub fn faults(&self) -> String {
        let counted: Vec<String> =
            self.injected.iter().map(|(fault, times)| format!("{fault} {times}")).collect();
        counted.join(", ")
    }

    pub async fn stop(self) {
        for process in self.apis.into_iter().chain(self.workers) {
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
