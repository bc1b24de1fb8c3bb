//! Settings, start, migrations and logs.

mod logs;
mod migrations;
mod settings;
mod startup;
