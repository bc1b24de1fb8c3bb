//! What the operator's commands need: access to the database and Redis while servers run, backups, and checks of the settings
//! and of the services behind them.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::time::timeout;

use super::{http_client, install_tls, payments, quota};
use crate::{
    adapters::redis::{Link, RedisSignals},
    clock::Clock,
    config::{Config, DatabaseUrl, OtpDelivery, Role},
    domain::admin::Admin,
    lifecycle::Lifecycle,
    ports::{payments::PaymentError, signals::Signals},
    store::Db,
    telemetry::metrics::Counter,
};

/// How long to wait for a response of Gemini or of the OpenAI-compatible server, and for the connection to Redis.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to Redis, which ends when it is dropped.
type RedisConnection = tokio_util::task::AbortOnDropHandle<()>;

/// Connects to the database and to Redis, and returns the operator's use cases. Servers may be running. The second value is the
/// connection to Redis, if there is one: keep it until the last signal has been published.
///
/// # Errors
/// The database does not respond, its schema is older than this release or incompatible with it, or Redis does not respond.
pub async fn admin(config: &Config) -> anyhow::Result<(Admin, Option<RedisConnection>)> {
    install_tls();
    let db = Db::join(&config.database).await?;
    if !db.pending_migrations().await?.is_empty() {
        bail!(
            "the database has not been migrated to this release: start the server, or run `pollux migrate`"
        );
    }
    let (signals, connection) = match config.redis.url() {
        None => (None, None),
        Some(url) => {
            let (signals, connection) = connect_redis(url).await?;
            (Some(signals), Some(connection))
        }
    };
    let clock = Clock::system();
    let quota = quota::quota(config, &clock);
    Ok((Admin { db, clock, signals, quota }, connection))
}

async fn connect_redis(url: &str) -> anyhow::Result<(Arc<dyn Signals>, RedisConnection)> {
    let (link, connection) = Link::open(url, &Lifecycle::new().tasks, Counter::default())?;
    let connected = timeout(TIMEOUT, link.connected()).await;
    let signals = Arc::new(RedisSignals::new(link));
    if connected.is_err() {
        let error = signals.check().await.err();
        let cause = error.map_or_else(String::new, |error| format!(": {}", error.cause));
        bail!("Redis does not respond{cause}");
    }
    Ok((signals, connection))
}

/// Copies the database into a file, while a server may be running. Returns the size of the copy in bytes.
///
/// # Errors
/// The database is PostgreSQL or does not exist, or the copy fails.
pub async fn back_up(config: &Config, file: &Path) -> anyhow::Result<u64> {
    match &config.database.url {
        DatabaseUrl::Postgres(url) => {
            bail!(
                "`pollux backup` copies SQLite files; back up PostgreSQL with\n  pg_dump --format=custom --file={} --dbname={}",
                file.display(),
                without_password(url)
            )
        }
        DatabaseUrl::Sqlite(source) => {
            if !source.exists() {
                bail!("{} does not exist", source.display());
            }
            let db = Db::join(&config.database).await?;
            let copied = db.back_up(file).await;
            db.close().await;
            copied
        }
    }
}

fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut url) => {
            // Fails only for URLs that cannot have a password.
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => "postgres://user@host/database".to_owned(),
    }
}

/// The subject of a check, and its result: what was found, or what is wrong.
pub type Finding = (&'static str, Result<String, String>);

/// Checks settings, and whether this machine reaches the database, Redis, the model providers and Stripe with them.
pub async fn check(role: Role, config: &Config) -> Vec<Finding> {
    install_tls();
    let settings = config.check(role).map(|()| "valid".to_owned());
    let (database, redis, gemini, openai, stripe) = tokio::join!(
        with_timeout(check_database(config)),
        with_timeout(check_redis(config)),
        with_timeout(check_gemini(config)),
        with_timeout(check_openai(config)),
        with_timeout(check_stripe(config)),
    );
    vec![
        ("settings", settings),
        ("database", database),
        ("redis", redis),
        ("gemini", gemini),
        ("openai", openai),
        ("stripe", stripe),
        ("codes", Ok(describe_otp_delivery(config))),
    ]
}

/// Limits the time of a check. The limit is longer than [`TIMEOUT`], so that a check that waits for that long once can return the
/// cause. The retries of the Stripe client may take longer, and their cause is not reported then.
async fn with_timeout(check: impl Future<Output = anyhow::Result<String>>) -> Result<String, String> {
    match timeout(TIMEOUT + TIMEOUT / 2, check).await {
        Ok(found) => found.map_err(|error| format!("{error:#}")),
        Err(_) => Err("no response in time".to_owned()),
    }
}

async fn check_database(config: &Config) -> anyhow::Result<String> {
    if let DatabaseUrl::Sqlite(file) = &config.database.url
        && !file.exists()
    {
        return Ok(format!("{} does not exist yet; the first start creates it", file.display()));
    }
    let db = Db::join(&config.database).await?;
    db.ping().await?;
    let pending = db.pending_migrations().await?;
    db.close().await;
    let kind = if config.database.is_postgres() { "PostgreSQL" } else { "SQLite" };
    Ok(match pending.len() {
        0 => format!("{kind} responds; the schema is up to date"),
        count => format!("{kind} responds; the next start applies {count} migrations"),
    })
}

async fn check_redis(config: &Config) -> anyhow::Result<String> {
    let Some(url) = config.redis.url() else { return Ok("not configured; memory is used".to_owned()) };
    let (signals, _connection) = connect_redis(url).await?;
    signals.check().await.map_err(|error| error.cause)?;
    Ok("responds and accepts writes".to_owned())
}

async fn check_gemini(config: &Config) -> anyhow::Result<String> {
    let settings = &config.gemini;
    let Some(key) = settings.api_key() else {
        let uses_demo = config.openai.models().is_empty();
        let consequence = if uses_demo { "; the built-in demo model is used" } else { "" };
        return Ok(format!("GEMINI_API_KEY is not set{consequence}"));
    };
    let http = http_client(TIMEOUT)?;
    for model in settings.models() {
        let base = settings.gemini_base_url.as_str().trim_end_matches('/');
        let call =
            http.get(format!("{base}/v1beta/models/{model}")).header("x-goog-api-key", key.expose_secret());
        let response =
            call.send().await.map_err(reqwest::Error::without_url).context("Gemini does not respond")?;
        let status = response.status();
        if !status.is_success() {
            bail!("Gemini returned {status} for the model {model}");
        }
    }
    Ok(format!("Gemini knows {}", settings.models().join(", ")))
}

/// A [list of models](https://platform.openai.com/docs/api-reference/models/list).
#[derive(Deserialize)]
struct OpenAiModels {
    data: Vec<OpenAiModel>,
}

#[derive(Deserialize)]
struct OpenAiModel {
    id: String,
}

async fn check_openai(config: &Config) -> anyhow::Result<String> {
    let settings = &config.openai;
    let models = settings.models();
    if models.is_empty() {
        return Ok("not configured".to_owned());
    }
    let provider = &settings.openai_provider;
    let mut call =
        http_client(TIMEOUT)?.get(format!("{}/models", settings.openai_base_url.trim_end_matches('/')));
    if let Some(key) = settings.api_key() {
        call = call.bearer_auth(key);
    }
    let response = call.send().await.map_err(reqwest::Error::without_url);
    let response = response.with_context(|| format!("{provider} does not respond"))?;
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        return Ok(format!("{provider} responds; it does not list its models"));
    }
    if !status.is_success() {
        bail!("{provider} returned {status} for the list of its models");
    }
    let known: OpenAiModels = response
        .json()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(|| format!("{provider} returned no list of models"))?;
    let unknown: Vec<&str> = models
        .iter()
        .map(String::as_str)
        .filter(|name| !known.data.iter().any(|model| model.id == *name))
        .collect();
    if !unknown.is_empty() {
        bail!("{provider} does not know {} (OPENAI_MODELS)", unknown.join(", "));
    }
    Ok(format!("{provider} knows {}", models.join(", ")))
}

async fn check_stripe(config: &Config) -> anyhow::Result<String> {
    let settings = &config.billing;
    let Some(payments) = payments(settings)? else {
        return Ok("not configured; billing is disabled".to_owned());
    };
    let missing = settings.missing();
    if !missing.is_empty() {
        bail!("billing is not configured completely: set {}", missing.join(", "));
    }
    let price = settings.price().context("STRIPE_PRO_PRICE_ID is not set")?;
    match payments.price(price).await {
        Ok(_) => Ok(format!("Stripe responds and knows the price {price}")),
        Err(PaymentError::Missing(_)) => {
            bail!("Stripe does not know the price {price} (STRIPE_PRO_PRICE_ID)")
        }
        Err(PaymentError::Failed(error)) => Err(error),
    }
}

fn describe_otp_delivery(config: &Config) -> String {
    let service = config.auth.otp_delivery.name();
    match config.auth.otp_delivery {
        OtpDelivery::Response => "in responses: for development only".to_owned(),
        OtpDelivery::Log => "in the log".to_owned(),
        OtpDelivery::Webhook | OtpDelivery::Twilio => {
            format!("by {service}; not called, because that would send a message")
        }
    }
}
