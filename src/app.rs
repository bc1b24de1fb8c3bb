//! The composition root: picks an adapter for each port and puts the parts together. The only file that knows both.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    adapters::{
        demo_model::DemoModel,
        gemini::{Gemini, Timeouts},
        memory::{MemoryCache, MemoryRateLimit, MemoryReplyLog, MemorySignals},
        no_limit::NoLimit,
        otp,
        otp_webhook::OtpWebhook,
        redis::{self, RedisCache, RedisRateLimit, RedisReplyLog, RedisSignals},
        stripe::Stripe,
        twilio::Twilio,
    },
    clock::Clock,
    config::{BillingSettings, Config, OtpDelivery, PersistedQueries, Role, Switch, TwilioSettings},
    domain::{
        auth::{Auth, Deliveries, Keys, Passwords, PhoneNumber},
        billing::{Billing, Inbox},
        chat::{Chat, Timing},
    },
    graphql::{Documents, Executor},
    http::{self, Api, Health},
    jobs::Runner,
    lifecycle::Lifecycle,
    ports::{
        cache::Cache, model::LanguageModel, otp_sender::OtpSender, payments::Payments, rate_limit::RateLimit,
        reply_log::ReplyLog, signals::Signals,
    },
    store::{Db, jobs},
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked for what Stripe should have told and has not.
const LOOK_FOR_SILENCE_EVERY: Duration = Duration::from_mins(1);
const REDIS_WITHIN: Duration = Duration::from_secs(3);
/// How long a service may take to take a one-time password.
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);
/// How long sockets and requests may take to end once they have been told to.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Pollux, put together.
pub struct App {
    pub chat: Chat,
    pub billing: Billing,
    /// None in a process that serves no API.
    auth: Option<Auth>,
    deliveries: Deliveries,
    documents: Documents,
    role: Role,
    config: Config,
    life: Lifecycle,
    /// Dropped last: what ends still wants to tell of it.
    shared: Shared,
}

/// What processes share besides the database: Redis, or for one process its own memory.
struct Shared {
    log: Arc<dyn ReplyLog>,
    signals: Arc<dyn Signals>,
    cache: Arc<dyn Cache>,
    limits: Arc<dyn RateLimit>,
    _link: Option<AbortOnDropHandle<()>>,
}

impl App {
    /// Opens and migrates the database and connects the parts that the role needs.
    ///
    /// # Errors
    /// A sentence about what does not answer or is not set up.
    pub async fn open(role: Role, config: Config, db: Db, clock: Clock) -> anyhow::Result<Self> {
        install_tls();
        let life = Lifecycle::new();
        if role == Role::All && config.redis.url().is_none() {
            db.hold_process_lock(&life).await?;
        }
        db.migrate().await?;
        if db.is_exclusive() {
            let released = jobs::release_all(db.write()).await?;
            if released > 0 {
                tracing::info!(released, "jobs that a process had when it died are done anew");
            }
        }
        let model = model(&config, &clock)?;
        let shared = Shared::open(&config, &clock, &life).await?;
        tokio::task::spawn_blocking(PhoneNumber::load_plans);
        let keys = Keys::derive(&config.secret()?, &config.auth.previous_secrets());
        let deliveries = Deliveries {
            db: db.clone(),
            clock: clock.clone(),
            keys: Arc::new(keys),
            otp_sender: otp_sender(&config, &clock)?,
        };
        let auth = (role != Role::Worker).then(|| Auth {
            db: db.clone(),
            clock: clock.clone(),
            limits: shared.limits.clone(),
            otp_sender: deliveries.otp_sender.clone(),
            signals: shared.signals.clone(),
            keys: deliveries.keys.clone(),
            passwords: Passwords::default(),
            settings: config.auth.clone(),
        });
        let documents = match (config.graphql.persisted_queries, &config.graphql.persisted_queries_file) {
            (PersistedQueries::Off, _) => Documents::Unkept,
            (PersistedQueries::Only, Some(manifest)) if role != Role::Worker => Documents::trusted(manifest)?,
            _ => Documents::Kept(shared.cache.clone()),
        };
        let missing = config.billing.missing();
        if role != Role::Worker && config.billing.secret_key().is_some() && !missing.is_empty() {
            tracing::warn!("nothing can be bought: {} must be set, too", missing.join(", "));
        }
        let billing = billing(&config, db.clone(), clock.clone(), shared.signals.clone(), &life)?;
        let chat = Chat {
            db,
            tasks: life.tasks.clone(),
            clock,
            log: shared.log.clone(),
            signals: shared.signals.clone(),
            cache: shared.cache.clone(),
            model,
            settings: config.chat.clone(),
            is_billing_configured: missing.is_empty(),
            history_tokens: config.gemini.gemini_history_tokens,
            timing: Timing::default(),
        };
        Ok(Self { chat, billing, auth, deliveries, documents, role, config, life, shared })
    }

    /// What ends this process.
    #[must_use]
    pub fn life(&self) -> Lifecycle {
        self.life.clone()
    }

    /// Serves what the role serves, and works on jobs, until [`life`](Self::life) ends. First the worker drains, while
    /// clients can still follow the replies that it finishes; then connections close.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn run(self, listener: Option<TcpListener>) -> anyhow::Result<()> {
        let life = self.life.clone();
        let db = self.chat.db.clone();
        let health = Health { db: db.clone(), signals: self.shared.signals.clone(), life: life.clone() };
        let settings = Arc::new(self.config.server.clone());
        let is_open = self.config.graphql.introspection == Switch::On;
        let routes = match self.auth {
            Some(auth) => http::router(Api {
                executor: Executor::new(
                    auth.clone(),
                    self.chat.clone(),
                    self.billing.clone(),
                    self.documents,
                    is_open,
                )?,
                auth,
                billing: self.billing.clone(),
                settings: settings.clone(),
                life: life.clone(),
                health,
                is_open,
            }),
            None => health.router(),
        };
        let server = async {
            match listener {
                Some(listener) => http::serve(listener, routes, settings.clone(), life.clone()).await,
                None => Ok(()),
            }
        };
        let work = async {
            if self.role != Role::Api {
                let settings = self.config.worker.clone();
                let runner =
                    Runner { chat: self.chat, billing: self.billing, deliveries: self.deliveries, settings };
                runner.run(life.clone()).await;
            }
            life.soft.cancelled().await;
            tokio::time::sleep(self.config.worker.shutdown_delay).await;
            life.closing.cancel();
            // Connections that do not end by themselves are cut.
            tokio::time::sleep(CLOSE_WITHIN).await;
        };
        // The server may have nothing to do and still wait for its worker.
        let closing = async {
            life.closing.cancelled().await;
            Ok(())
        };
        let both = async { tokio::try_join!(server, closing) };
        tokio::select! {
            served = both => drop(served?),
            () = work => tracing::warn!("connections were cut"),
        }
        // The link to Redis is one of the tasks and ends with its handle.
        drop(self.shared);
        life.tasks.close();
        if tokio::time::timeout(CLOSE_WITHIN, life.tasks.wait()).await.is_err() {
            tracing::warn!("tasks were cut");
        }
        if tokio::time::timeout(CLOSE_WITHIN, db.close()).await.is_err() {
            tracing::warn!("the database was not closed");
        }
        Ok(())
    }
}

impl Shared {
    async fn open(config: &Config, clock: &Clock, life: &Lifecycle) -> anyhow::Result<Self> {
        let ttl = config.chat.chatroom_cache_ttl;
        let near = MemoryCache::new(ttl, clock.clone());
        let limited = config.auth.rate_limits == Switch::On;
        let Some(url) = config.redis.url() else {
            return Ok(Self {
                log: Arc::new(MemoryReplyLog::new(clock.clone())),
                signals: Arc::new(MemorySignals::default()),
                cache: Arc::new(near),
                limits: if limited {
                    Arc::new(MemoryRateLimit::new(clock.clone()))
                } else {
                    Arc::new(NoLimit)
                },
                _link: None,
            });
        };
        let (link, handle) = redis::Link::open(url, &life.tasks)?;
        if tokio::time::timeout(REDIS_WITHIN, link.connected()).await.is_err() {
            tracing::warn!("starting without Redis");
        }
        Ok(Self {
            log: Arc::new(RedisReplyLog::new(link.clone())),
            signals: Arc::new(RedisSignals::new(link.clone())),
            cache: Arc::new(RedisCache::new(link.clone(), near, ttl)),
            limits: if limited { Arc::new(RedisRateLimit::new(link)) } else { Arc::new(NoLimit) },
            _link: Some(handle),
        })
    }
}

fn otp_sender(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn OtpSender>> {
    const UNSET: &str = "OTP_DELIVERY needs more settings";
    Ok(match config.auth.otp_delivery {
        OtpDelivery::Response => Arc::new(otp::ByResponse),
        OtpDelivery::Log => Arc::new(otp::ToLog),
        OtpDelivery::Webhook => {
            let (url, secret) = config.auth.otp_webhook().context(UNSET)?;
            Arc::new(OtpWebhook::new(http_client(DELIVERED_WITHIN)?, url, &secret, clock.clone()))
        }
        OtpDelivery::Twilio => {
            let TwilioSettings { base, account_sid, auth_token, from } =
                config.auth.twilio().context(UNSET)?;
            Arc::new(Twilio { http: http_client(DELIVERED_WITHIN)?, base, account_sid, auth_token, from })
        }
    })
}

fn http_client(read_timeout: Duration) -> anyhow::Result<reqwest::Client> {
    require_ca_certificates()?;
    reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("the HTTP client could not be built")
}

/// Without any, HTTPS clients fail in ways that do not say what to do.
fn require_ca_certificates() -> anyhow::Result<()> {
    anyhow::ensure!(
        !rustls_native_certs::load_native_certs().certs.is_empty(),
        "this machine has no CA certificates, and so cannot verify any HTTPS server: install the package ca-certificates \
         (Debian, Ubuntu, Alpine, Fedora), or set SSL_CERT_FILE to a file of certificates"
    );
    Ok(())
}

fn install_tls() {
    // An error says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Has Stripe's events seen to once more by the workers of this installation, and says which.
///
/// # Errors
/// The database or Stripe do not answer, or there is no such event.
pub async fn replay(config: &Config, events: Vec<String>) -> anyhow::Result<Vec<String>> {
    install_tls();
    let db = Db::join(&config.database).await?;
    // The workers look by themselves.
    let signals = Arc::new(MemorySignals::default());
    let billing = billing(config, db, Clock::system(), signals, &Lifecycle::new())?;
    billing.replay(events).await.map_err(|error| anyhow::anyhow!("{error:?}"))
}

fn billing(
    config: &Config,
    db: Db,
    clock: Clock,
    signals: Arc<dyn Signals>,
    life: &Lifecycle,
) -> anyhow::Result<Billing> {
    Ok(Billing {
        db,
        tasks: life.tasks.clone(),
        clock,
        signals,
        payments: payments(&config.billing)?,
        settings: config.billing.clone(),
        inbox: Inbox::default(),
        turns: Arc::new(std::array::from_fn(|_| Mutex::new(()))),
        product: Arc::default(),
        look_every: LOOK_FOR_SILENCE_EVERY,
    })
}

fn payments(settings: &BillingSettings) -> anyhow::Result<Option<Arc<dyn Payments>>> {
    let Some(key) = settings.secret_key() else { return Ok(None) };
    require_ca_certificates()?;
    Ok(Some(Arc::new(Stripe::new(key, &settings.stripe_api_base, settings.stripe_timeout)?)))
}

fn model(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn LanguageModel>> {
    let settings = &config.gemini;
    let Some(key) = settings.api_key() else { return Ok(Arc::new(DemoModel::default())) };
    let timeouts = Timeouts {
        first_token: settings.gemini_first_token_timeout,
        between_chunks: settings.gemini_idle_timeout,
    };
    let http = http_client(timeouts.first_token.max(timeouts.between_chunks))?;
    let (base_url, key) = (&settings.gemini_base_url, key.expose_secret());
    Ok(Arc::new(Gemini::new(http, base_url, key, settings.models(), timeouts, clock.clone())?))
}
