//! The reply log, signals, cache and rate limits (`src/ports/`) on a Redis Cluster.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use entity::{MessageId, UserId};
use futures_util::{FutureExt, StreamExt, future::join_all};
use pollux::{
    adapters::{
        memory::MemoryCache,
        redis::{Link, RedisCache, RedisRateLimit, RedisReplyLog, RedisSignals},
    },
    clock::Clock,
    ports::{
        cache::Cache,
        rate_limit::{Limit, RateLimit, Verdict},
        reply_log::{AppendError, Cursor, LogEntry, LogUpdate, ReplyLog},
        signals::{Signals, Topic},
    },
    telemetry::metrics::Counter,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::support::{requirements::require_servers, socket::TEST_TIMEOUT};

const TTL: Duration = Duration::from_mins(5);

/// Three Redis servers that share the hash slots.
struct Cluster {
    ports: Vec<u16>,
    servers: Vec<Child>,
    _directory: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let servers = ports.iter().map(|port| {
            let port = port.to_string();
            let nodes = format!("nodes-{port}.conf");
            let mut server = Command::new("redis-server");
            server.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"]);
            server.args(["--cluster-config-file", &nodes]).current_dir(&directory).stdout(Stdio::null());
            server.spawn().unwrap()
        });
        let cluster = Self { servers: servers.collect(), ports, _directory: directory };
        timeout(TEST_TIMEOUT, cluster.join()).await.expect("the cluster did not start in time");
        cluster
    }

    /// Assigns the slots to the servers, and waits until all of them know the assignment.
    async fn join(&self) {
        let mut servers = Vec::new();
        for port in &self.ports {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
            servers.push(loop {
                match client.get_multiplexed_async_connection().await {
                    Ok(connection) => break connection,
                    Err(_) => tokio::task::yield_now().await,
                }
            });
        }
        for (index, server) in servers.iter_mut().enumerate() {
            let slots = [0, 5461, 10922, 16384];
            let mut add_slots = redis::cmd("CLUSTER");
            add_slots.arg("ADDSLOTSRANGE").arg(slots[index]).arg(slots[index + 1] - 1);
            let _: () = add_slots.query_async(server).await.unwrap();
            for port in &self.ports {
                let mut meet = redis::cmd("CLUSTER");
                meet.arg("MEET").arg("127.0.0.1").arg(*port);
                let _: () = meet.query_async(server).await.unwrap();
            }
        }
        for server in &mut servers {
            loop {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(server).await.unwrap();
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                    break;
                }
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A free TCP port for Redis. The cluster bus uses this number plus 10,000, which must be free, too.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn entry(attempt: u32, offset: usize, text: &str) -> LogEntry {
    LogEntry { end: Cursor { attempt, offset }, text: text.to_owned() }
}

/// Connects to a cluster.
async fn connect(cluster: &Cluster) -> (Link, AbortOnDropHandle<()>) {
    let url = format!("redis://127.0.0.1:{}", cluster.ports[0]);
    let connected = Link::open(&url, &TaskTracker::new(), Counter::default()).unwrap();
    timeout(TEST_TIMEOUT, connected.0.connected()).await.unwrap();
    connected
}

#[tokio::test]
async fn the_reply_log_signals_cache_and_rate_limits_work_on_a_redis_cluster() {
    require_servers!();
    let cluster = Cluster::start().await;
    let (link, _handle) = connect(&cluster).await;
    let log = RedisReplyLog::new(link.clone());
    let signals = RedisSignals::new(link.clone());
    // With this many replies and topics, every server has some of their keys.
    join_all((0..64).map(async |_| {
        let reply = MessageId::generate();
        let mut subscriber = log.subscribe(reply).await;
        log.append(reply, entry(1, 5, "Hello")).await.unwrap();
        log.append(reply, entry(1, 12, ", world")).await.unwrap();
        assert_eq!(subscriber.next().await, Some(LogUpdate::Appended(entry(1, 5, "Hello"))));
        assert_eq!(subscriber.next().await, Some(LogUpdate::Appended(entry(1, 12, ", world"))));
        log.append(reply, entry(2, 2, "Hi")).await.unwrap();
        assert!(matches!(log.append(reply, entry(1, 13, "!")).await, Err(AppendError::Fenced)));
        assert_eq!(log.read(reply, Cursor::default(), usize::MAX).await.unwrap(), [entry(2, 2, "Hi")]);
        log.end(reply).await.unwrap();
        assert_eq!(subscriber.next().await, Some(LogUpdate::Appended(entry(2, 2, "Hi"))));
        assert_eq!(subscriber.next().await, Some(LogUpdate::Reread));
        // The channels of these topics belong to different nodes.
        let topics: Vec<Topic> = (0..16).map(|_| Topic::Account(UserId::generate())).collect();
        let mut topic_subscribers = join_all(topics.iter().map(|&topic| signals.subscribe(topic))).await;
        signals.publish(&topics).await.unwrap();
        for subscriber in &mut topic_subscribers {
            assert_eq!(subscriber.next().await, Some(()));
        }
    }))
    .await;
    let cache = RedisCache::new(link.clone(), MemoryCache::new(TTL, Clock::system()), TTL);
    assert_eq!(cache.get_or_load("a", async { Ok(Bytes::from_static(b"x")) }.boxed()).await.unwrap(), "x");
    let names: Vec<_> = (0..64).map(|number| format!("list {number}")).collect();
    join_all(names.iter().zip(0..).map(async |(name, version)| cache.record_version(name, version).await))
        .await;
    let versions = join_all(names.iter().map(|name| cache.version(name))).await;
    assert_eq!(versions, (0..64).map(Some).collect::<Vec<_>>());
    let limits = RedisRateLimit::new(link);
    let limit = |key: &str, max| Limit { key: key.to_owned(), max, window: Duration::from_mins(1) };
    let both = [limit("first", 1), limit("second", 5)];
    assert_eq!(limits.take(&both).await.unwrap(), Verdict::Allowed { remaining: 0 });
    assert!(matches!(limits.take(&both).await.unwrap(), Verdict::Rejected { .. }));
}

#[tokio::test]
async fn concurrent_reads_of_versions_do_not_fail_with_those_from_a_server_of_the_cluster_that_hangs() {
    require_servers!();
    let cluster = Cluster::start().await;
    let (link, _handle) = connect(&cluster).await;
    let cache = RedisCache::new(link, MemoryCache::new(TTL, Clock::system()), TTL);
    let names: Vec<_> = (0..64).map(|number| format!("list {number}")).collect();
    join_all(names.iter().map(|name| cache.record_version(name, 7))).await;
    let hanging = cluster.servers[2].id().to_string();
    assert!(Command::new("kill").args(["-s", "STOP", &hanging]).status().unwrap().success());
    let versions = join_all(names.iter().map(|name| cache.version(name))).await;
    // Each of the three servers has about a third of the names.
    let read = versions.into_iter().flatten().inspect(|version| assert_eq!(*version, 7)).count();
    assert!((32..64).contains(&read), "{read} versions were read");
}
