//! A server in the test's own process.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use clap::Parser;
use futures_util::StreamExt;
use pollux::{
    app::App,
    clock::Clock,
    config::{Config, Role},
    domain::chat::Chat,
    lifecycle::Lifecycle,
    ports::signals::Topic,
    store::Db,
    telemetry,
};
use sea_orm::{EntityTrait, PaginatorTrait};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use super::{Backend, StandIn, TestUser, backend::SECRET, socket::PATIENCE};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// The settings that these arguments make.
pub fn config(arguments: &[&str]) -> Config {
    Cli::try_parse_from(["pollux"].iter().chain(arguments)).unwrap().config
}

pub struct TestApp {
    pub address: SocketAddr,
    pub gemini: Arc<StandIn>,
    pub clock: Clock,
    pub chat: Chat,
    pub life: Lifecycle,
    /// Every statement so far.
    pub statements: Arc<Mutex<Vec<String>>>,
    pub backend: Arc<Backend>,
    running: JoinHandle<anyhow::Result<()>>,
    users: Arc<AtomicU64>,
    directory: Arc<TempDir>,
}

/// What a test wants otherwise than it is by default.
#[derive(Default)]
pub struct Wishes<'a> {
    /// Settings as on the command line, such as `--basic-daily-limit=3`.
    pub settings: &'a [&'a str],
    pub clock: Option<Clock>,
    /// What the server serves and does; everything by default.
    pub role: Option<Role>,
    /// The node whose data, clock and model this one shares.
    pub beside: Option<&'a TestApp>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(Wishes::default()).await
    }

    pub async fn with_settings(settings: &[&str]) -> Self {
        Self::with(Wishes { settings, ..Wishes::default() }).await
    }

    /// A server whose clock stands still until the test moves it.
    pub async fn at_a_standstill() -> Self {
        let noon = "2026-11-21T12:00:00Z".parse().unwrap();
        Self::with(Wishes { clock: Some(Clock::stopped(noon)), ..Wishes::default() }).await
    }

    /// Another node of the same installation.
    pub async fn beside(&self, role: Role, settings: &[&str]) -> Self {
        Self::with(Wishes { settings, role: Some(role), beside: Some(self), ..Wishes::default() }).await
    }

    pub async fn with(wishes: Wishes<'_>) -> Self {
        telemetry::init(&telemetry::Logs { json: false, filter: "off" }).unwrap();
        let (gemini, backend, users, directory) = if let Some(other) = wishes.beside {
            (other.gemini.clone(), other.backend.clone(), other.users.clone(), other.directory.clone())
        } else {
            let directory = TempDir::new().unwrap();
            let backend = Backend::fresh(directory.path()).await;
            (Arc::new(StandIn::start().await), Arc::new(backend), Arc::default(), Arc::new(directory))
        };
        let clock = wishes.clock.or_else(|| wishes.beside.map(|other| other.clock.clone()));
        let clock = clock.unwrap_or_else(Clock::system);
        let database = format!("--database-url={}", backend.database_url);
        let redis = format!("--redis-url={}", backend.redis_url.as_deref().unwrap_or_default());
        let base = format!("--gemini-base-url=http://{}", gemini.address);
        let secret = format!("--jwt-secret={SECRET}");
        let defaults = [
            database.as_str(),
            &redis,
            &secret,
            &base,
            "--gemini-api-key=test-key",
            "--gemini-model=model-a",
        ];
        let arguments: Vec<&str> = defaults.iter().chain(wishes.settings).copied().collect();
        let config = config(&arguments);
        let mut db = Db::open(&config.database).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let heard = statements.clone();
        db.on_statement(move |statement| heard.lock().unwrap().push(statement.to_owned()));
        let role = wishes.role.unwrap_or(Role::All);
        let mut app = App::open(role, config, db, clock.clone()).await.unwrap();
        // Retries wait for milliseconds, not for seconds.
        app.chat.pace.first_retry_after = Duration::from_millis(10);
        // A follower that hears nothing is one that missed something.
        app.chat.pace.look_every = Duration::from_hours(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            gemini,
            clock,
            chat: app.chat.clone(),
            life: app.life(),
            statements,
            backend,
            running: tokio::spawn(app.run(Some(listener))),
            users,
            directory,
        }
    }

    /// Lets time pass on a clock that stands still, and in Redis.
    pub async fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
        self.backend.pass(time).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// Somebody new, signed in.
    pub async fn user(&self) -> TestUser {
        let number = self.users.fetch_add(1, Ordering::SeqCst);
        self.signed_in(&format!("+1415555{number:04}")).await
    }

    pub async fn signed_in(&self, phone_number: &str) -> TestUser {
        TestUser::sign_in(self.address, phone_number).await
    }

    /// Nobody: no token.
    pub fn stranger(&self) -> TestUser {
        TestUser::stranger(self.address)
    }

    /// Lets all replies end, stops the server and fails if a job is left over.
    pub async fn stop(self) {
        let mut hints = self.chat.signals.listen(Topic::Jobs).await;
        let jobs = async || entity::job::Entity::find().count(self.chat.db.read()).await.unwrap();
        let done = async {
            while jobs().await > 0 {
                hints.next().await;
            }
        };
        timeout(PATIENCE, done).await.expect("jobs are left over");
        self.end().await;
    }

    /// Stops the server as it is.
    pub async fn end(self) {
        self.life.soft.cancel();
        self.running.await.unwrap().unwrap();
    }
}
