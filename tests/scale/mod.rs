//! Tests that need PostgreSQL and Redis.
//!
//! - `nodes`, `processes`: several API nodes and workers, within the test's process and as processes that are killed
//! - `cluster`: a Redis Cluster
//! - `degraded`, `redis_writes`, `storage`: outages of PostgreSQL and Redis, a Redis that rejects writes, a full disk;
//!   a process without Redis
//! - `pooler`: PgBouncer
//! - `restore`, `upgrades`: a restored dump, a database of the previous release

mod cluster;
mod degraded;
mod nodes;
mod pooler;
mod processes;
mod redis_writes;
mod restore;
mod storage;
mod upgrades;
