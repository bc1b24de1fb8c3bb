//! Tests that need PostgreSQL and Redis: several nodes, outages, connection poolers, restores and upgrades.

mod cluster;
mod degraded;
mod nodes;
mod pooler;
mod processes;
mod redis_writes;
mod restore;
mod storage;
mod upgrades;
