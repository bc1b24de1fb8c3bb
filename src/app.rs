//! The composition root: picks an adapter for each port and puts the parts together. The only file that knows both.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::serve::ListenerExt;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use crate::{
    adapters::{
        demo_model::DemoModel,
        gemini::Gemini,
        memory::{MemoryCache, MemoryRateLimit, MemoryReplyLog, MemorySignals},
        no_limit::NoLimit,
        otp,
    },
    clock::Clock,
    config::{Config, OtpDelivery, Switch},
    domain::{
        auth::{Auth, Keys},
        chat::{Chat, Pace},
    },
    graphql::Executor,
    http::{self, Api},
    jobs::Runner,
    lifecycle::Lifecycle,
    ports::{model::Model, otp_sender::OtpSender, rate_limit::RateLimit},
    store::{Db, jobs},
};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long sockets and requests may take to end once they have been told to.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Pollux, put together.
pub struct App {
    pub auth: Auth,
    pub chat: Chat,
    config: Config,
    life: Lifecycle,
}

impl App {
    /// Opens and migrates the database and connects the parts.
    ///
    /// # Errors
    /// A sentence about what does not answer or is not set up.
    pub async fn open(config: Config, db: Db, clock: Clock) -> anyhow::Result<Self> {
        db.migrate().await.context("the database could not be migrated")?;
        if db.is_exclusive() {
            let released = jobs::release_all(db.write()).await?;
            if released > 0 {
                tracing::info!(released, "jobs that a process had when it died are done anew");
            }
        }
        let signals = Arc::new(MemorySignals::default());
        let auth = Auth {
            db: db.clone(),
            clock: clock.clone(),
            limits: limits(&config, &clock),
            otp_sender: otp_sender(&config),
            signals: signals.clone(),
            keys: Arc::new(Keys::derive(&installation_secret(&config)?)),
        };
        let life = Lifecycle::new();
        let chat = Chat {
            db,
            tasks: life.tasks.clone(),
            clock: clock.clone(),
            log: Arc::new(MemoryReplyLog::new(clock.clone())),
            signals,
            cache: Arc::new(MemoryCache::new(config.chat.chatroom_cache_ttl, clock)),
            model: model(&config)?,
            settings: config.chat.clone(),
            history_tokens: config.gemini.gemini_history_tokens,
            pace: Pace::default(),
        };
        Ok(Self { auth, chat, config, life })
    }

    /// What ends this process.
    #[must_use]
    pub fn life(&self) -> Lifecycle {
        self.life.clone()
    }

    /// Serves the API and works on jobs until [`life`](Self::life) ends. First the worker drains, while clients can still
    /// follow the replies that it finishes; then connections close.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn run(self, listener: TcpListener) -> anyhow::Result<()> {
        let life = self.life.clone();
        let api = Api {
            executor: Executor::new(self.auth.clone(), self.chat.clone()),
            auth: self.auth,
            db: self.chat.db.clone(),
            settings: Arc::new(self.config.server.clone()),
            life: life.clone(),
        };
        let db = self.chat.db.clone();
        let runner = Runner { chat: self.chat, settings: self.config.worker.clone() };
        let serve_until = life.closing.clone();
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection may wait to fill its packets");
            }
        });
        let routes = http::router(api).into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, routes)
            .with_graceful_shutdown(async move { serve_until.cancelled().await });
        let worker = async {
            runner.run(life.clone()).await;
            life.closing.cancel();
            // Connections that do not end by themselves are cut.
            tokio::time::sleep(CLOSE_WITHIN).await;
        };
        tokio::select! {
            served = server => served.context("the server broke")?,
            () = worker => tracing::warn!("connections were cut"),
        }
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

fn limits(config: &Config, clock: &Clock) -> Arc<dyn RateLimit> {
    match config.auth.rate_limits {
        Switch::On => Arc::new(MemoryRateLimit::new(clock.clone())),
        Switch::Off => Arc::new(NoLimit),
    }
}

fn otp_sender(config: &Config) -> Arc<dyn OtpSender> {
    match config.auth.otp_delivery {
        OtpDelivery::Response => Arc::new(otp::ByResponse),
        OtpDelivery::Log => Arc::new(otp::ToLog),
    }
}

fn model(config: &Config) -> anyhow::Result<Arc<dyn Model>> {
    let settings = &config.gemini;
    let Some(key) = settings.api_key() else { return Ok(Arc::new(DemoModel::default())) };
    // An error says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(settings.gemini_idle_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("the HTTP client could not be built")?;
    let gemini = Gemini::new(http, &settings.gemini_base_url, key.expose_secret(), settings.models())?;
    Ok(Arc::new(gemini))
}

/// The secret that all keys are derived from: the setting, else one that is made once and kept.
fn installation_secret(config: &Config) -> anyhow::Result<SecretString> {
    if let Some(secret) = &config.auth.jwt_secret {
        return Ok(secret.clone());
    }
    let directory = config.database.data_directory();
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("jwt_secret");
    kept_secret(&path).with_context(|| format!("cannot keep a secret in {}", path.display()))
}

fn kept_secret(path: &Path) -> anyhow::Result<SecretString> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let mut bytes = [0; 32];
            SystemRandom::new()
                .fill(&mut bytes)
                .map_err(|_| anyhow::anyhow!("the system gave no random bytes"))?;
            let secret = URL_SAFE_NO_PAD.encode(bytes);
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
            Ok(secret.into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let secret = std::fs::read_to_string(path)?;
            anyhow::ensure!(
                secret.len() >= 32,
                "the file is shorter than a secret: delete it to have a new one made"
            );
            Ok(secret.into())
        }
        Err(error) => Err(error.into()),
    }
}
