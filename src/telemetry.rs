//! Logs.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// How log lines are written and which.
pub struct Logs<'a> {
    pub json: bool,
    /// Directives as in `pollux=debug,warn`.
    pub filter: &'a str,
}

/// Starts logging to standard error. Only the first call in a process has an effect.
///
/// # Errors
/// The filter cannot be read.
pub fn init(logs: &Logs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(logs.filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = if logs.json { lines.json().boxed() } else { lines.with_target(false).compact().boxed() };
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(())
}
