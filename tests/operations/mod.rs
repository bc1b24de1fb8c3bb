//! What an operator configures, starts, migrates and reads in the log.

mod logs;
mod migrations;
mod settings;
mod startup;
