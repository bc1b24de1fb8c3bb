//! One type for a connection to a single server and for one to a cluster.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use futures_util::future::join_all;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};
use tokio::sync::mpsc;

/// A server that does not respond within this time is considered down.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses of one server, or of some nodes of a cluster.
pub(super) struct Address(Vec<ConnectionInfo>);

impl Address {
    /// Parses URLs such as `redis://user:password@host:6379/0` or `rediss://host`, separated by commas.
    pub(super) fn parse(urls: &str) -> anyhow::Result<Self> {
        // The URL may contain a password, so the error does not repeat it.
        let parse = |url: &str| {
            url.into_connection_info().map_err(|error| anyhow!("REDIS_URL cannot be read: {error}"))
        };
        let servers = urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(|url| {
            let info = parse(url)?;
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            Ok(info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        });
        let servers = servers.collect::<anyhow::Result<Vec<_>>>()?;
        if servers.is_empty() {
            bail!("REDIS_URL contains no URL");
        }
        Ok(Self(servers))
    }

    /// Connects, and detects whether the server is part of a cluster. The returned receiver receives the published messages.
    pub(super) async fn connect(&self) -> anyhow::Result<(Server, mpsc::UnboundedReceiver<PushInfo>)> {
        let mut last_error = anyhow!("no server is configured");
        for seed in &self.0 {
            match tokio::time::timeout(CONNECT_TIMEOUT, self.connect_to(seed)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(error)) => last_error = error,
                Err(_) => last_error = anyhow!("no response within {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(last_error)
    }

    /// Connects to one server, or to the whole cluster if the server is part of one.
    async fn connect_to(
        &self,
        seed: &ConnectionInfo,
    ) -> anyhow::Result<(Server, mpsc::UnboundedReceiver<PushInfo>)> {
        let (pushes, pushed) = mpsc::unbounded_channel();
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_push_sender(pushes.clone());
        let client = Client::open(seed.clone())?;
        let mut single = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let hello: HashMap<String, Value> =
            redis::cmd("HELLO").query_async(&mut single).await.context("HELLO")?;
        // The description of a command that the server does not know is nil.
        let descriptions: Vec<Value> =
            redis::cmd("COMMAND").arg("INFO").arg("SPUBLISH").query_async(&mut single).await?;
        let has_sharded_pubsub = descriptions.iter().any(|description| *description != Value::Nil);
        let is_cluster = hello
            .get("mode")
            .is_some_and(|mode| matches!(mode, Value::BulkString(mode) if mode == b"cluster"));
        if !is_cluster {
            return Ok((Server { connection: Connection::Single(single), has_sharded_pubsub }, pushed));
        }
        // A new channel, because the end of `single`, which is not used any more, must not be taken for the end of the cluster
        // connection.
        let (pushes, pushed) = mpsc::unbounded_channel();
        let cluster = ClusterClient::builder(self.0.clone())
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .push_sender(pushes)
            .build()?;
        let connection = cluster.get_async_connection().await?;
        Ok((Server { connection: Connection::Cluster(connection), has_sharded_pubsub }, pushed))
    }
}

/// A connected server or cluster.
#[derive(Clone)]
pub(super) struct Server {
    connection: Connection,
    /// Whether the server supports sharded pub/sub, as Redis 7 and Valkey do.
    has_sharded_pubsub: bool,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Server {
    pub(super) fn publish_command(&self) -> &'static str {
        if self.has_sharded_pubsub { "SPUBLISH" } else { "PUBLISH" }
    }

    /// Checks that the server responds and accepts writes, by writing a key that expires after a minute.
    pub(super) async fn write_check(&mut self) -> RedisResult<()> {
        redis::cmd("SET").arg("pollux:write-check").arg("").arg("PX").arg(60_000).exec_async(self).await
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.connection, Connection::Cluster(_))
    }

    /// Reads the number that is stored under each key. None for a key that does not exist. In a cluster, all keys must be in one
    /// slot.
    pub(super) async fn numbers(&mut self, keys: &[String]) -> RedisResult<Vec<Option<i64>>> {
        redis::cmd("MGET").arg(keys).query_async(self).await
    }

    /// Publishes an empty message on each channel.
    pub(super) async fn publish(&self, channels: &[String]) -> RedisResult<()> {
        // In a cluster, the channels belong to different nodes.
        let chunk = if self.is_cluster() { 1 } else { channels.len().max(1) };
        let published = channels.chunks(chunk).map(|channels| {
            let mut server = self.clone();
            async move {
                let mut request = redis::pipe();
                for channel in channels {
                    request.cmd(server.publish_command()).arg(channel).arg("").ignore();
                }
                request.exec_async(&mut server).await
            }
        });
        join_all(published).await.into_iter().collect()
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        self.change_subscription("SUBSCRIBE", channel).await
    }

    pub(super) async fn unsubscribe(&mut self, channel: &str) -> RedisResult<()> {
        self.change_subscription("UNSUBSCRIBE", channel).await
    }

    async fn change_subscription(&mut self, command: &str, channel: &str) -> RedisResult<()> {
        let prefix = if self.has_sharded_pubsub { "S" } else { "" };
        redis::cmd(&format!("{prefix}{command}")).arg(channel).query_async(self).await
    }
}

impl ConnectionLike for Server {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.connection {
            Connection::Single(single) => single.req_packed_command(cmd),
            Connection::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.connection {
            Connection::Single(single) => single.req_packed_commands(pipeline, offset, count),
            Connection::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match &self.connection {
            Connection::Single(single) => single.get_db(),
            Connection::Cluster(cluster) => cluster.get_db(),
        }
    }
}
