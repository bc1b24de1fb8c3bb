//! A server that runs in the process of the test.

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
    domain::chatrooms::Chatrooms,
    lifecycle::Lifecycle,
    ports::signals::Topic,
    store::Db,
    telemetry,
};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use super::{Backend, FakeGemini, FakeStripe, TestUser, backend::SECRET, socket::TEST_TIMEOUT};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Cli {
    #[command(flatten)]
    config: Config,
}

/// Parses command-line arguments into settings.
pub fn config(arguments: &[&str]) -> Config {
    Cli::try_parse_from(["pollux"].iter().chain(arguments)).unwrap().config
}

/// How often a helper reads the database while it waits for a state that no event reports.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running server, and the fakes and the storage that it uses.
pub struct TestApp {
    pub address: SocketAddr,
    pub gemini: Arc<FakeGemini>,
    pub stripe: Arc<FakeStripe>,
    pub clock: Clock,
    pub chatrooms: Chatrooms,
    pub life: Lifecycle,
    /// All SQL statements that the server has executed, oldest first.
    pub statements: Arc<Mutex<Vec<String>>>,
    pub backend: Arc<Backend>,
    task: JoinHandle<anyhow::Result<()>>,
    /// How many users [`user`](Self::user) has created on the nodes of this installation. Their phone numbers are made from it.
    user_count: Arc<AtomicU64>,
    anonymous: TestUser,
    directory: Arc<TempDir>,
}

/// How a server differs from the default one.
#[derive(Default)]
pub struct TestOptions<'a> {
    /// Settings as on the command line, such as `--basic-daily-limit=3`.
    pub settings: &'a [&'a str],
    pub clock: Option<Clock>,
    /// API, worker or, by default, both.
    pub role: Option<Role>,
    /// Whether billing is configured.
    pub billing: bool,
    /// Another node, whose database, clock, model and Stripe this one shares.
    pub peer: Option<&'a TestApp>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(TestOptions::default()).await
    }

    pub async fn with_settings(settings: &[&str]) -> Self {
        Self::with(TestOptions { settings, ..TestOptions::default() }).await
    }

    /// A server whose clock is stopped; [`advance`](Self::advance) moves it.
    pub async fn with_stopped_clock() -> Self {
        let noon = "2026-11-21T12:00:00Z".parse().unwrap();
        Self::with(TestOptions { clock: Some(Clock::stopped(noon)), ..TestOptions::default() }).await
    }

    /// Another node of the same installation.
    pub async fn add_node(&self, role: Role, settings: &[&str]) -> Self {
        Self::with(TestOptions { settings, role: Some(role), peer: Some(self), ..TestOptions::default() })
            .await
    }

    pub async fn with(options: TestOptions<'_>) -> Self {
        let filter = std::env::var("POLLUX_TEST_LOG").unwrap_or_else(|_| "off".to_owned());
        telemetry::init(&telemetry::Logs { json: false, filter: &filter }).unwrap();
        let is_clock_given = options.clock.is_some();
        let clock = options.clock.or_else(|| options.peer.map(|peer| peer.clock.clone()));
        let clock = clock.unwrap_or_else(Clock::system);
        let (gemini, stripe, backend, user_count, directory) = if let Some(peer) = options.peer {
            (
                peer.gemini.clone(),
                peer.stripe.clone(),
                peer.backend.clone(),
                peer.user_count.clone(),
                peer.directory.clone(),
            )
        } else {
            let directory = TempDir::new().unwrap();
            let backend = Backend::create(directory.path()).await;
            let stripe = Arc::new(FakeStripe::start(clock.clone()).await);
            let gemini = Arc::new(FakeGemini::start().await);
            (gemini, stripe, Arc::new(backend), Arc::default(), Arc::new(directory))
        };
        let database = format!("--database-url={}", backend.database_url);
        let redis = format!("--redis-url={}", backend.redis_url.as_deref().unwrap_or_default());
        let gemini_url = format!("--gemini-base-url=http://{}", gemini.address);
        let secret = format!("--jwt-secret={SECRET}");
        let defaults = [
            database.as_str(),
            &redis,
            &secret,
            &gemini_url,
            "--gemini-api-key=test-key",
            "--gemini-model=model-a",
        ];
        let billing: Vec<String> = stripe
            .environment()
            .iter()
            .filter(|_| options.billing)
            .map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")))
            .collect();
        let billing: Vec<&str> = billing.iter().map(String::as_str).collect();
        let arguments: Vec<&str> = defaults.iter().chain(&billing).chain(options.settings).copied().collect();
        let config = config(&arguments);
        let mut db = Db::open(&config.database).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let recorded = statements.clone();
        db.on_statement(move |statement| recorded.lock().unwrap().push(statement.to_owned()));
        let role = options.role.unwrap_or(Role::All);
        let mut app = App::open(role, config, db, clock.clone()).await.unwrap();
        // Keeps tests of retries short.
        app.chatrooms.replies.timing.first_backoff = Duration::from_millis(10);
        if is_clock_given {
            // Periodic tasks run in real time, even if the given clock is stopped. This one must poll often, to find the
            // subscriptions that `advance` makes stale.
            app.billing.stale_poll_interval = Duration::from_millis(50);
        }
        // Subscribers must receive events without polling. An hour is longer than any test, so that they never poll.
        app.chatrooms.replies.timing.poll_every = Duration::from_hours(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            gemini,
            stripe,
            clock,
            chatrooms: app.chatrooms.clone(),
            life: app.life(),
            statements,
            backend,
            task: tokio::spawn(app.run(Some(listener))),
            user_count,
            anonymous: TestUser::anonymous(address),
            directory,
        }
    }

    /// Advances the stopped clock, and makes the keys and the rate limits in Redis older by the same time.
    pub async fn advance(&self, time: TimeDelta) {
        self.clock.advance(time);
        self.backend.advance(time).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// A new user, signed in.
    pub async fn user(&self) -> TestUser {
        let number = self.user_count.fetch_add(1, Ordering::SeqCst);
        self.sign_in_as(&format!("+1415555{number:04}")).await
    }

    pub async fn sign_in_as(&self, phone_number: &str) -> TestUser {
        self.anonymous.sign_in_as(phone_number).await
    }

    /// A client without a token.
    pub fn anonymous(&self) -> TestUser {
        self.anonymous.clone()
    }

    /// Waits until no job is left.
    pub async fn wait_until_idle(&self) {
        let jobs = async || entity::job::Entity::find().count(self.chatrooms.db.read()).await.unwrap();
        let no_jobs = async {
            while jobs().await > 0 {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        if timeout(TEST_TIMEOUT, no_jobs).await.is_err() {
            let left = entity::job::Entity::find().all(self.chatrooms.db.read()).await.unwrap();
            panic!("jobs are left at {}: {left:#?}", self.clock.now());
        }
    }

    /// Waits until a job that has failed this many times is scheduled for its next attempt.
    pub async fn wait_for_retry(&self, failures: i32) {
        let scheduled =
            entity::job::Column::Failures.eq(failures).and(entity::job::Column::LeasedUntil.is_null());
        let jobs = async || {
            entity::job::Entity::find()
                .filter(scheduled.clone())
                .count(self.chatrooms.db.read())
                .await
                .unwrap()
        };
        let retry_scheduled = async {
            while jobs().await == 0 {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        timeout(TEST_TIMEOUT, retry_scheduled).await.expect("no job is scheduled for a retry");
    }

    /// Waits until all jobs have ended, and shuts the server down.
    pub async fn stop(self) {
        self.wait_until_idle().await;
        self.shut_down().await;
    }

    /// Shuts the server down without waiting for jobs.
    pub async fn shut_down(self) {
        self.life.soft.cancel();
        self.task.await.unwrap().unwrap();
    }
}
