//! What holds for many processes over PostgreSQL and Redis.

mod cluster;
mod degraded;
mod nodes;
mod pooler;
mod processes;
mod redis_writes;
mod storage;
