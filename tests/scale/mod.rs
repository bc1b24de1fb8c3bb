//! What holds for many processes over PostgreSQL and Redis.

mod degraded;
mod nodes;
mod processes;
