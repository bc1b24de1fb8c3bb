//! Logging: its start, and a limit on lines that clients cause.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// The format of log lines, and which of them are written.
pub struct Logs<'a> {
    pub json: bool,
    /// Filter directives, such as `pollux=debug,warn`.
    pub filter: &'a str,
}

/// Starts logging to standard error. Only the first call in a process has an effect.
///
/// # Errors
/// The filter is invalid.
pub fn init(logs: &Logs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(logs.filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = if logs.json {
        lines.json().with_span_list(false).boxed()
    } else {
        lines.with_target(false).compact().boxed()
    };
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(())
}

/// Allows a log line at most once a minute. For lines that any client can cause. Holds the time of the last line, and how many
/// lines were suppressed since then.
#[derive(Default)]
pub struct OncePerMinute(Mutex<Option<(Instant, u64)>>);

impl OncePerMinute {
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// If the line may be written now, returns how many such lines were suppressed since the last one. Returns none, and counts a
    /// suppressed line, if it may not.
    pub fn pass(&self) -> Option<u64> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((at, suppressed)) if at.elapsed() < Duration::from_mins(1) => {
                *suppressed += 1;
                None
            }
            last => Some(last.replace((Instant::now(), 0)).map_or(0, |(_, suppressed)| suppressed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_once_a_minute_with_the_number_suppressed() {
        let line = OncePerMinute::default();
        let passed: Vec<_> = (0..4).map(|_| line.pass()).collect();
        assert_eq!(passed, [Some(0), None, None, None]);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!([line.pass(), line.pass()], [Some(3), None]);
    }
}
