//! Tests that need PostgreSQL and Redis: several nodes, and outages of either.

mod cluster;
mod degraded;
mod nodes;
mod pooler;
mod processes;
mod redis_writes;
mod restore;
mod storage;
mod upgrades;
