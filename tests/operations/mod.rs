//! Settings, start, migrations, database connections, logs and metrics.

mod admin;
mod commands;
mod connections;
mod logs;
mod metrics;
mod migrations;
mod packages;
mod settings;
mod startup;
mod traces;
