//! The command line interface.

mod commands;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use pollux::{
    app::App,
    clock::Clock,
    config::{Config, LogFormat, LogSettings, MetricsSettings, Role, load_dotenv, parse_command_line},
    graphql,
    store::{Db, IncompatibleSchema},
    telemetry,
};
use tokio::net::TcpListener;

/// The exit code `EX_CONFIG` (sysexits.h). Supervisors must not restart a process that exits with it.
const EX_CONFIG: u8 = 78;

/// After a peak, jemalloc's background threads return memory to the system within seconds, whereas glibc's allocator keeps it.
/// SQLite calls malloc, so it uses jemalloc too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A self-hosted GraphQL backend for AI chat products.
///
/// Without a command, runs the API and a worker in one process. Each setting can be given as an option, as an environment
/// variable, or in a file `.env` in the working directory, in this order of precedence.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Run the API without a worker
    Api,
    /// Run a worker without the API
    Worker,
    /// Apply pending database migrations
    Migrate,
    /// Print the GraphQL schema
    Schema,
    /// Check the settings, and whether the database, Redis, the models and Stripe can be reached
    Check {
        /// The process whose settings to check [default: API and worker in one process]
        role: Option<CheckRole>,
    },
    /// Check whether the server on this machine is ready, for health checks of containers
    Health,
    /// Copy the SQLite database into a new file while the server runs, and check the copy
    Backup {
        /// The file to create
        file: PathBuf,
    },
    /// Manage users and jobs while servers run
    Admin(commands::admin::AdminArguments),
    /// Manage billing
    #[command(subcommand)]
    Stripe(StripeCommand),
}

#[derive(Clone, Copy, ValueEnum)]
enum CheckRole {
    Api,
    Worker,
}

#[derive(Subcommand)]
enum StripeCommand {
    /// Reprocess Stripe events: the given ones, or all whose processing has failed
    Replay {
        /// Event ids, such as evt_1…, including events whose webhook never arrived [default: all failed events]
        events: Vec<String>,
    },
}

fn main() -> ExitCode {
    let parsed = load_dotenv().and_then(|()| parse_command_line::<Cli>());
    match parsed.map_err(anyhow::Error::msg).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<IncompatibleSchema>() { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    init_logs(&cli.config.logs)?;
    let role = match cli.command {
        None => Role::All,
        Some(Command::Api) => Role::Api,
        Some(Command::Worker) => Role::Worker,
        Some(Command::Migrate) => return on_runtime(commands::migrate(cli.config)),
        Some(Command::Check { role }) => {
            let role = match role {
                None => Role::All,
                Some(CheckRole::Api) => Role::Api,
                Some(CheckRole::Worker) => Role::Worker,
            };
            return on_runtime(commands::check(role, cli.config));
        }
        Some(Command::Health) => return on_runtime(commands::health(cli.config)),
        Some(Command::Backup { file }) => return on_runtime(commands::back_up(cli.config, file)),
        Some(Command::Admin(arguments)) => {
            return on_runtime(commands::admin::run(cli.config, arguments));
        }
        Some(Command::Stripe(StripeCommand::Replay { events })) => {
            return on_runtime(commands::replay(cli.config, events));
        }
        Some(Command::Schema) => {
            print!("{}", graphql::sdl());
            return Ok(());
        }
    };
    cli.config.check(role).map_err(anyhow::Error::msg)?;
    on_runtime(serve(role, cli.config))
}

fn init_logs(settings: &LogSettings) -> anyhow::Result<()> {
    let json = settings.log_format == LogFormat::Json;
    telemetry::init(&telemetry::Logs { json, filter: &settings.rust_log })
        .context("RUST_LOG is not a valid log filter")
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the async runtime")?
        .block_on(work)
}

/// Opens the listener for metrics. If the default address is in use, such as by a second process or by Prometheus itself, the
/// process runs without metrics. If the operator has set the address, it must be free.
async fn metrics_listener(settings: &MetricsSettings) -> anyhow::Result<Option<TcpListener>> {
    let Some(bind) = settings.address() else { return Ok(None) };
    match TcpListener::bind(bind).await {
        Ok(listener) => {
            let address = listener.local_addr().context("failed to read the address of the metrics")?;
            tracing::info!("metrics are at http://{address}/metrics");
            Ok(Some(listener))
        }
        Err(error) if settings.is_explicit() => {
            Err(error).with_context(|| format!("cannot serve metrics on {bind} (METRICS_BIND)"))
        }
        Err(error) => {
            tracing::warn!(%error, "metrics are not served: {bind} is not available; set METRICS_BIND to another address, or to off");
            Ok(None)
        }
    }
}

async fn serve(role: Role, config: Config) -> anyhow::Result<()> {
    let bind = match role {
        Role::All | Role::Api => Some(config.server.bind_address()),
        Role::Worker => config.server.explicit_bind_address(),
    };
    let grace = config.worker.shutdown_grace;
    let metrics = config.metrics.clone();
    let db = Db::open(&config.database).await?;
    let app = App::open(role, config, db, Clock::system()).await?;
    let signals = app.life().follow_signals(grace).context("failed to install signal handlers")?;
    let listener = match bind {
        Some(bind) => {
            let listener =
                TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
            let address = listener.local_addr().context("failed to read the listening address")?;
            if role == Role::Worker {
                tracing::info!("the health check is at http://{address}/health/ready");
            } else {
                tracing::info!(
                    "the GraphQL API is at http://{address}/graphql, the playground at http://{address}/"
                );
            }
            Some(listener)
        }
        None => None,
    };
    if let Some(listener) = metrics_listener(&metrics).await? {
        app.serve_metrics(listener);
    }
    let models = app.chatrooms.replies.models.all();
    if role == Role::Api {
        tracing::info!("this process runs no worker: start `pollux worker` to generate replies");
    } else if models[0].provider() == "Pollux" {
        tracing::info!(
            "using the built-in demo model: set GEMINI_API_KEY or OPENAI_MODELS to use a real one"
        );
    } else {
        let names = models.iter().map(|model| format!("{} ({})", model.name, model.provider()));
        tracing::info!(models = names.collect::<Vec<_>>().join(", "), "using models");
    }
    // The process ends when `App::run` returns, never because this future has handled the last signal.
    let handle_signals = async {
        signals.await;
        std::future::pending().await
    };
    tokio::select! {
        result = app.run(listener) => result,
        never = handle_signals => never,
    }
}
