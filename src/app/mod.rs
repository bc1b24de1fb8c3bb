//! The composition root: selects an adapter for each port and assembles the application. Only this module uses the adapters.

mod http_client;
mod models;
pub mod operator;
mod otp_sender;
mod quota;
mod shared;
mod tracer;

use std::{sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Mutex};

use crate::{
    adapters::{measured::MeasuredOtpSender, memory::MemorySignals, stripe::Stripe},
    clock::Clock,
    config::{BillingSettings, Config, PersistedQueries, Role, Switch},
    domain::{
        auth::{Auth, Keys, OtpDeliverer, Passwords, PhoneNumber, SessionCache},
        billing::{Billing, EventIntake, PriceCache},
        chatrooms::{Chatrooms, Feeds},
        replies::{HistoryCache, Replies, Timing},
        sharing::Sharing,
    },
    graphql::{self, DocumentStore, Services},
    http::{self, Api, Health},
    jobs::Runner,
    lifecycle::Lifecycle,
    ports::{payments::Payments, signals::Signals},
    store::{Db, jobs},
    telemetry::{metrics::Metrics, traces::Tracer},
};

use http_client::{http_client, install_tls, require_ca_certificates};
use models::models;
use otp_sender::otp_sender;
use shared::Shared;
use tracer::tracer;

/// How often a worker looks for users whose Stripe state is stale.
const STALE_POLL_INTERVAL: Duration = Duration::from_mins(1);
/// Timeout of a request that delivers a one-time password.
const OTP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the process waits at shutdown for connections to close, then for tasks, and then for the database.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The assembled application.
pub struct App {
    pub chatrooms: Chatrooms,
    pub billing: Billing,
    /// None in a process without the API.
    auth: Option<Auth>,
    otp_deliverer: OtpDeliverer,
    documents: DocumentStore,
    role: Role,
    config: Config,
    life: Lifecycle,
    metrics: Arc<Metrics>,
    tracer: Tracer,
    /// Dropped last, because jobs that end at shutdown still publish signals.
    shared: Shared,
}

impl App {
    /// Migrates the database and assembles the parts that the role needs.
    ///
    /// # Errors
    /// A dependency is unavailable or not configured.
    pub async fn open(role: Role, config: Config, mut db: Db, clock: Clock) -> anyhow::Result<Self> {
        install_tls();
        let metrics = Arc::new(Metrics::default());
        db.count_errors(&metrics.database_errors);
        let life = Lifecycle::new();
        if role == Role::All && config.redis.url().is_none() {
            db.hold_process_lock(&life).await?;
        }
        db.migrate().await?;
        release_jobs_of_crashed_process(&db).await?;
        let models = models(&config, &clock, &metrics.models)?;
        let tracer = tracer(&config, &clock, &life)?;
        let shared = Shared::open(&config, &clock, &life, &metrics).await?;
        tokio::task::spawn_blocking(PhoneNumber::load_plans);
        let keys = Keys::derive(&config.secret()?, &config.auth.previous_secrets());
        let otp_deliverer = OtpDeliverer {
            db: db.clone(),
            clock: clock.clone(),
            keys: Arc::new(keys),
            otp_sender: Arc::new(MeasuredOtpSender::new(
                otp_sender(&config, &clock)?,
                config.auth.otp_delivery.name(),
                metrics.otp_deliveries.clone(),
            )),
        };
        let auth = (role != Role::Worker).then(|| Auth {
            db: db.clone(),
            clock: clock.clone(),
            limits: shared.limits.clone(),
            otp_sender: otp_deliverer.otp_sender.clone(),
            signals: shared.signals.clone(),
            keys: otp_deliverer.keys.clone(),
            passwords: Passwords::default(),
            session_cache: SessionCache::new(metrics.caches.of("sessions")),
            settings: config.auth.clone(),
            rates: config.rates,
        });
        let documents = documents(&config, role)?;
        let missing = config.billing.missing();
        if role != Role::Worker && config.billing.secret_key().is_some() && !missing.is_empty() {
            tracing::warn!(missing = missing.join(", "), "billing is not configured completely");
        }
        let billing = billing(&config, db.clone(), clock.clone(), shared.signals.clone(), &life, &metrics)?;
        let quota = quota::quota(&config, &clock);
        let replies = Replies {
            calendar: quota.calendar,
            has_token_budgets: quota.has_token_budgets(),
            db: db.clone(),
            tasks: life.tasks.clone(),
            clock: clock.clone(),
            log: shared.log.clone(),
            signals: shared.signals.clone(),
            models,
            titles: config.chat.chatroom_titles == Switch::On,
            history_tokens: config.model.model_history_tokens,
            history_cache: HistoryCache::default(),
            timing: Timing::default(),
            metrics: metrics.replies.clone(),
        };
        shared.relay_changes_of_operators(&db, &clock, &life);
        let (signals, cache) = (shared.signals.clone(), shared.cache.clone());
        let chatrooms = Chatrooms { db, clock, signals, cache, quota, replies, feeds: Feeds::default() };
        Ok(Self {
            chatrooms,
            billing,
            auth,
            otp_deliverer,
            documents,
            role,
            config,
            life,
            metrics,
            tracer,
            shared,
        })
    }

    /// The lifecycle of this process.
    #[must_use]
    pub fn life(&self) -> Lifecycle {
        self.life.clone()
    }

    /// Serves the metrics and health checks on their own listener, until [`life`](Self::life) closes.
    pub fn serve_metrics(&self, listener: TcpListener) {
        let routes = http::metrics_router(http::MetricsSources {
            metrics: self.metrics.clone(),
            db: self.chatrooms.db.clone(),
            clock: self.chatrooms.clock.clone(),
            redis: self.config.redis.url().is_some().then(|| self.shared.signals.clone()),
        })
        .merge(self.health().router());
        let (settings, life) = (Arc::new(self.config.server.clone()), self.life.clone());
        // The process's metrics count only the API's connections. This listener gets metrics of its own, which are not exported.
        let own_metrics = Metrics::default().transports;
        self.life.tasks.spawn(async move {
            if let Err(error) = http::serve(listener, routes, settings, life, own_metrics).await {
                tracing::error!(error = format!("{error:#}"), "serving the metrics failed");
            }
        });
    }

    fn health(&self) -> Health {
        let signals = self.shared.signals.clone();
        Health { db: self.chatrooms.db.clone(), signals, life: self.life.clone() }
    }

    /// Serves the API and runs jobs, depending on the role, until [`life`](Self::life) ends. At shutdown the worker drains first,
    /// while clients can still follow its replies; then connections close.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: Option<TcpListener>) -> anyhow::Result<()> {
        let life = self.life.clone();
        let db = self.chatrooms.db.clone();
        let health = self.health();
        let settings = Arc::new(self.config.server.clone());
        let (chatrooms, billing) = (self.chatrooms.clone(), self.billing.clone());
        let routes = match self.auth {
            Some(auth) => {
                let sharing = Sharing::new(&auth, chatrooms.clone(), self.config.billing.frontend());
                let services = Services {
                    auth: auth.clone(),
                    chatrooms: chatrooms.clone(),
                    sharing,
                    billing: billing.clone(),
                    metrics: self.metrics.clone(),
                    tracer: self.tracer.clone(),
                };
                let allows_introspection = self.config.graphql.introspection == Switch::On;
                http::router(Api {
                    executor: graphql::executor(services, self.documents, allows_introspection)?,
                    auth,
                    billing,
                    chatrooms,
                    settings: settings.clone(),
                    life: life.clone(),
                    health,
                    metrics: self.metrics.transports.clone(),
                    allows_introspection,
                })
            }
            None => health.router(),
        };
        let server = async {
            match listener {
                Some(listener) => {
                    let metrics = self.metrics.transports.clone();
                    http::serve(listener, routes, settings.clone(), life.clone(), metrics).await
                }
                None => Ok(()),
            }
        };
        let work = async {
            if self.role != Role::Api {
                let (settings, limits) = (self.config.worker.clone(), self.config.chat.clone());
                let metrics = self.metrics.jobs.clone();
                let runner =
                    Runner::new(self.chatrooms, self.billing, self.otp_deliverer, settings, limits, metrics)
                        .with_tracer(self.tracer.clone());
                runner.run(life.clone()).await;
            }
            life.soft.cancelled().await;
            tokio::time::sleep(self.config.worker.shutdown_delay).await;
            life.closing.cancel();
            // Connections that are still open afterwards are aborted.
            tokio::time::sleep(CLOSE_TIMEOUT).await;
        };
        // Without a listener, the server future ends at once and must not end the worker.
        let closing = async {
            life.closing.cancelled().await;
            Ok(())
        };
        let server_until_closing = async { tokio::try_join!(server, closing) };
        tokio::select! {
            result = server_until_closing => drop(result?),
            () = work => tracing::warn!("connections aborted at shutdown"),
        }
        // The Redis connection is one of the tracked tasks. It ends when its handle, which is in `shared`, is dropped.
        drop(self.shared);
        life.tasks.close();
        if tokio::time::timeout(CLOSE_TIMEOUT, life.tasks.wait()).await.is_err() {
            tracing::warn!("tasks aborted at shutdown");
        }
        if tokio::time::timeout(CLOSE_TIMEOUT, db.close()).await.is_err() {
            tracing::warn!("database did not close in time");
        }
        Ok(())
    }
}

async fn release_jobs_of_crashed_process(db: &Db) -> anyhow::Result<()> {
    if db.is_exclusive() {
        let released = jobs::release_all(db.write()).await?;
        if released > 0 {
            tracing::info!(released, "released the jobs of a process that crashed");
        }
    }
    Ok(())
}

fn documents(config: &Config, role: Role) -> anyhow::Result<DocumentStore> {
    let settings = &config.graphql;
    Ok(match (settings.persisted_queries, &settings.persisted_queries_file) {
        (PersistedQueries::Off, _) => DocumentStore::Off,
        (PersistedQueries::Only, Some(manifest)) if role != Role::Worker => {
            DocumentStore::from_manifest(manifest)?
        }
        // `On`. Also `Only` in a worker, which executes no documents and so needs no manifest.
        _ => DocumentStore::automatic(settings.persisted_queries_ttl),
    })
}

/// Queues Stripe events for the workers of this installation and returns the ids of the events. If `events` is empty, queues
/// all events whose processing has failed.
///
/// # Errors
/// The database or Stripe is unavailable, or an event does not exist.
pub async fn replay(config: &Config, events: Vec<String>) -> anyhow::Result<Vec<String>> {
    install_tls();
    let db = Db::join(&config.database).await?;
    // These signals reach no worker, because they stay in this process. Workers find the jobs when they poll.
    let signals = Arc::new(MemorySignals::default());
    let billing = billing(config, db, Clock::system(), signals, &Lifecycle::new(), &Metrics::default())?;
    billing.replay(events).await.map_err(|error| anyhow::anyhow!("{error:?}"))
}

fn billing(
    config: &Config,
    db: Db,
    clock: Clock,
    signals: Arc<dyn Signals>,
    life: &Lifecycle,
    metrics: &Metrics,
) -> anyhow::Result<Billing> {
    Ok(Billing {
        db,
        tasks: life.tasks.clone(),
        clock,
        signals,
        payments: payments(&config.billing)?,
        settings: config.billing.clone(),
        event_intake: EventIntake::default(),
        sync_locks: Arc::new(std::array::from_fn(|_| Mutex::new(()))),
        price: PriceCache::default(),
        stale_poll_interval: STALE_POLL_INTERVAL,
        events: metrics.stripe_events.clone(),
    })
}

fn payments(settings: &BillingSettings) -> anyhow::Result<Option<Arc<dyn Payments>>> {
    let Some(key) = settings.secret_key() else { return Ok(None) };
    require_ca_certificates()?;
    Ok(Some(Arc::new(Stripe::new(key, &settings.stripe_api_base, settings.stripe_timeout)?)))
}
