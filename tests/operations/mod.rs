//! What operators use: settings, commands, start, migrations, database connections, logs, metrics, traces and packages.

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
