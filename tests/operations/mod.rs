//! Settings, start, migrations, database connections and logs.

mod connections;
mod logs;
mod migrations;
mod settings;
mod startup;
