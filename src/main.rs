//! The commands.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pollux::{
    app::{self, App},
    clock::Clock,
    config::{Config, LogFormat, Role},
    graphql,
    store::Db,
    telemetry,
};
use tokio::net::TcpListener;

/// A self-hosted GraphQL backend for AI chat products, whose replies always arrive.
///
/// Without a command: the API and a worker in one process. Each setting is also read from the environment and from a
/// file `.env` in the working directory; the command line wins.
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
    /// Serve the API only
    Api,
    /// Work on jobs only
    Worker,
    /// Bring the database's schema up to date
    Migrate,
    /// Print the GraphQL schema
    Schema,
    /// See to billing by hand
    #[command(subcommand)]
    Stripe(StripeCommand),
}

#[derive(Subcommand)]
enum StripeCommand {
    /// Have events seen to once more, such as evt_1…, whether they came or not; without any, those that were given up
    Replay { events: Vec<String> },
}

fn main() -> ExitCode {
    let dotenv = dotenvy::dotenv();
    if let Err(error) = &dotenv
        && !error.not_found()
    {
        eprintln!("error: .env cannot be read: {error}");
        return ExitCode::FAILURE;
    }
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let role = match cli.command {
        None => Role::All,
        Some(Command::Api) => Role::Api,
        Some(Command::Worker) => Role::Worker,
        Some(Command::Migrate) => return on_runtime(migrate(cli.config)),
        Some(Command::Stripe(StripeCommand::Replay { events })) => {
            return on_runtime(replay(cli.config, events));
        }
        Some(Command::Schema) => {
            print!("{}", graphql::sdl());
            return Ok(());
        }
    };
    cli.config.check(role).map_err(anyhow::Error::msg)?;
    let logs = telemetry::Logs {
        json: cli.config.logs.log_format == LogFormat::Json,
        filter: &cli.config.logs.rust_log,
    };
    telemetry::init(&logs).context("RUST_LOG cannot be read")?;
    on_runtime(serve(role, cli.config))
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?.block_on(work)
}

async fn migrate(config: Config) -> anyhow::Result<()> {
    Db::open(&config.database).await?.migrate().await.context("the database could not be migrated")
}

async fn replay(config: Config, events: Vec<String>) -> anyhow::Result<()> {
    for event in app::replay(&config, events).await? {
        println!("{event} is seen to once more");
    }
    Ok(())
}

async fn serve(role: Role, config: Config) -> anyhow::Result<()> {
    let bind = match role {
        Role::All | Role::Api => Some(config.server.bind_address()),
        Role::Worker => config.server.set_address(),
    };
    let grace = config.worker.shutdown_grace;
    let db = Db::open(&config.database).await?;
    let app = App::open(role, config, db, Clock::system()).await?;
    let signals = app.life().follow_signals(grace).context("signals cannot be heard")?;
    let listener = match bind {
        Some(bind) => {
            let listener =
                TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
            let address = listener.local_addr().context("cannot tell the address")?;
            if role == Role::Worker {
                tracing::info!("the worker says how it is at http://{address}/health/ready");
            } else {
                tracing::info!("GraphQL is at http://{address}/graphql, its page at http://{address}/");
            }
            Some(listener)
        }
        None => None,
    };
    let models = app.chat.model.names();
    if role == Role::Api {
        tracing::info!("workers answer: `pollux worker` is one");
    } else if app.chat.model.provider() == "Pollux" {
        tracing::info!("the built-in demo model answers: set GEMINI_API_KEY to have Gemini answer");
    } else {
        tracing::info!(models = models.join(", "), "Gemini answers");
    }
    let signals = async {
        signals.await;
        std::future::pending().await
    };
    tokio::select! {
        ended = app.run(listener) => ended,
        never = signals => never,
    }
}
