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
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use super::{Backend, StandIn, Stripe, TestUser, backend::SECRET, socket::PATIENCE};

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
    pub stripe: Arc<Stripe>,
    pub clock: Clock,
    pub chat: Chat,
    pub life: Lifecycle,
    /// Every statement so far.
    pub statements: Arc<Mutex<Vec<String>>>,
    pub backend: Arc<Backend>,
    running: JoinHandle<anyhow::Result<()>>,
    users: Arc<AtomicU64>,
    stranger: TestUser,
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
    /// Whether Pro can be bought.
    pub sells: bool,
    /// The node whose data, clock, model and Stripe this one shares.
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
        let filter = std::env::var("POLLUX_TEST_LOG").unwrap_or_else(|_| "off".to_owned());
        telemetry::init(&telemetry::Logs { json: false, filter: &filter }).unwrap();
        // Nothing happens by the hour where nobody moves the clock.
        let is_moved = wishes.clock.is_some();
        let clock = wishes.clock.or_else(|| wishes.beside.map(|other| other.clock.clone()));
        let clock = clock.unwrap_or_else(Clock::system);
        let (gemini, stripe, backend, users, directory) = if let Some(other) = wishes.beside {
            let shared = (other.gemini.clone(), other.stripe.clone(), other.backend.clone());
            (shared.0, shared.1, shared.2, other.users.clone(), other.directory.clone())
        } else {
            let directory = TempDir::new().unwrap();
            let backend = Backend::fresh(directory.path()).await;
            let stripe = Arc::new(Stripe::start(clock.clone()).await);
            let gemini = Arc::new(StandIn::start().await);
            (gemini, stripe, Arc::new(backend), Arc::default(), Arc::new(directory))
        };
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
        let selling: Vec<String> = stripe
            .environment()
            .iter()
            .filter(|_| wishes.sells)
            .map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")))
            .collect();
        let selling: Vec<&str> = selling.iter().map(String::as_str).collect();
        let arguments: Vec<&str> = defaults.iter().chain(&selling).chain(wishes.settings).copied().collect();
        let config = config(&arguments);
        let mut db = Db::open(&config.database).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let heard = statements.clone();
        db.on_statement(move |statement| heard.lock().unwrap().push(statement.to_owned()));
        let role = wishes.role.unwrap_or(Role::All);
        let mut app = App::open(role, config, db, clock.clone()).await.unwrap();
        // Retries wait for milliseconds, not for seconds.
        app.chat.pace.first_retry_after = Duration::from_millis(10);
        if is_moved {
            app.billing.stale_poll_interval = Duration::from_millis(50);
        }
        // A follower that hears nothing is one that missed something.
        app.chat.pace.look_every = Duration::from_hours(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            gemini,
            stripe,
            clock,
            chat: app.chat.clone(),
            life: app.life(),
            statements,
            backend,
            running: tokio::spawn(app.run(Some(listener))),
            users,
            stranger: TestUser::stranger(address),
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
        self.stranger.signed_in(phone_number).await
    }

    /// Nobody: no token.
    pub fn stranger(&self) -> TestUser {
        self.stranger.clone()
    }

    /// Waits until no job is left.
    pub async fn is_idle(&self) {
        let mut hints = self.chat.signals.listen(Topic::Jobs).await;
        let jobs = async || entity::job::Entity::find().count(self.chat.db.read()).await.unwrap();
        let done = async {
            while jobs().await > 0 {
                hints.next().await;
            }
        };
        timeout(PATIENCE, done).await.expect("jobs are left over");
    }

    /// Waits until a job that broke so often waits for its next try.
    pub async fn has_put_off(&self, failures: i32) {
        let off = entity::job::Column::Failures.eq(failures).and(entity::job::Column::LeasedUntil.is_null());
        let jobs = async || {
            entity::job::Entity::find().filter(off.clone()).count(self.chat.db.read()).await.unwrap()
        };
        let waits = async { while jobs().await == 0 {} };
        timeout(PATIENCE, waits).await.expect("no job is put off");
    }

    /// Lets all jobs end, stops the server and fails if one is left over.
    pub async fn stop(self) {
        self.is_idle().await;
        self.end().await;
    }

    /// Stops the server as it is.
    pub async fn end(self) {
        self.life.soft.cancel();
        self.running.await.unwrap().unwrap();
    }
}
