//! Settings of logs.

#[derive(Clone, Debug, clap::Args)]
pub struct LogSettings {
    /// Format of log lines
    #[arg(long, env = "LOG_FORMAT", hide_env_values = true, default_value = "pretty")]
    pub log_format: LogFormat,

    /// Log filter: levels per module, as in `pollux=debug,warn`
    #[arg(long, env = "RUST_LOG", hide_env_values = true, default_value = "pollux=info,warn")]
    pub rust_log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Pretty,
    Json,
}
