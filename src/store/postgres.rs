//! Connects to PostgreSQL: waits for a server that is starting, and detects a connection pooler in front of it.
//!
//! Timeouts are sent as start-up options. PgBouncer rejects or ignores these options; the database role must set the
//! timeouts then. A PgBouncer in transaction mode must also track prepared statements, because sqlx prepares every statement.

use std::time::Duration;

use anyhow::anyhow;
use sea_orm::{
    ConnectOptions,
    sqlx::{
        self, ConnectOptions as _, Connection, Row,
        postgres::{PgConnectOptions, PgConnection},
    },
};
use tokio::time::{Instant, sleep, timeout};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// How long a transaction may be idle before the server ends it.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// [Error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html) of a server that is starting or stopping,
/// or has no connection left.
const TRANSIENT: [&str; 4] = ["57P01", "57P02", "57P03", "53300"];
const PREPARED_STATEMENTS: &str = "its connection pooler does not keep prepared statements: set pool_mode = session, or use \
     PgBouncer 1.21 or newer with max_prepared_statements = 200";
const PROTOCOL_VIOLATION: &str = "08P01";

/// A server to which this process has connected successfully.
pub(super) struct Server {
    /// Without timeouts.
    options: PgConnectOptions,
    /// With the timeouts as start-up options, if the server accepts them.
    limited: PgConnectOptions,
    /// Host, port and database.
    location: String,
}

impl Server {
    /// Connects once to check the server, and waits for it while it is starting.
    ///
    /// # Errors
    /// The server does not respond in time or rejects the connection, or a pooler does not keep prepared statements.
    pub(super) async fn probe(url: &str, statement_timeout: Duration) -> anyhow::Result<Self> {
        let options: PgConnectOptions =
            url.parse().map_err(|error| anyhow!("DATABASE_URL is not a PostgreSQL URL: {error}"))?;
        let options = options.application_name("pollux").extra_float_digits(None).disable_statement_logging();
        let limited = options.clone().options([
            ("statement_timeout", format!("{}s", statement_timeout.as_secs())),
            ("idle_in_transaction_session_timeout", format!("{}s", IDLE_IN_TRANSACTION.as_secs())),
        ]);
        let location = location(&options);
        let mut server = Self { options, limited, location };
        let mut connection = match server.connect(&server.limited).await {
            Ok(connection) => connection,
            Err(error) if may_be_caused_by_options(&error) => {
                server.limited = server.options.clone();
                server.connect(&server.options).await.map_err(|error| server.explain(&error))?
            }
            Err(error) => return Err(server.explain(&error)),
        };
        let checked = async {
            let timeouts = timeouts_in_force(&mut connection).await?;
            // Other timeouts than requested show that a connection pooler is in between.
            if timeouts != (statement_timeout, IDLE_IN_TRANSACTION) {
                server.warn_about_missing_timeouts(timeouts, statement_timeout);
                server.check_prepared_statements(connection).await?;
            }
            Ok(())
        };
        checked.await.map_err(|error: sqlx::Error| server.explain(&error))?;
        Ok(server)
    }

    /// The options of a pool whose statements time out.
    pub(super) fn limited(&self, connections: u32) -> ConnectOptions {
        pool(&self.limited, connections)
    }

    /// The options of a pool whose statements do not time out.
    pub(super) fn unlimited(&self, connections: u32) -> ConnectOptions {
        pool(&self.options, connections)
    }

    /// Connects, and retries transient errors until the deadline.
    async fn connect(&self, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let mut is_logged = false;
        loop {
            let error = match timeout(ATTEMPT_TIMEOUT, PgConnection::connect_with(options)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            if !is_transient(&error) || Instant::now() + RETRY_INTERVAL >= deadline {
                return Err(error);
            }
            if !std::mem::replace(&mut is_logged, true) {
                tracing::warn!(error = cause(&error), "waiting for PostgreSQL at {}", self.location);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Logs a warning if a timeout is not in force, because a pooler has dropped the start-up options and the role does not
    /// set it.
    fn warn_about_missing_timeouts(&self, in_force: (Duration, Duration), statement_timeout: Duration) {
        if in_force.0.is_zero() || in_force.1.is_zero() {
            let role = self.options.get_username();
            tracing::warn!(
                "a connection pooler drops the statement timeouts; set them in the database: ALTER ROLE {role} SET \
                 statement_timeout = '{}s'; ALTER ROLE {role} SET idle_in_transaction_session_timeout = '{}s'",
                statement_timeout.as_secs(),
                IDLE_IN_TRANSACTION.as_secs(),
            );
        }
    }

    /// Checks that a statement prepared on one server connection can be executed on another.
    async fn check_prepared_statements(&self, mut first_client: PgConnection) -> sqlx::Result<()> {
        let check = async {
            execute_prepared(&mut first_client).await?;
            // This client gets the server connection that the first client has just released.
            let mut second_client = self.connect(&self.limited).await?;
            let mut tx = second_client.begin().await?;
            execute_prepared(&mut tx).await?;
            execute_prepared(&mut first_client).await?;
            tx.rollback().await
        };
        // If the pooler has a single server connection, the first client waits for the second one until the timeout. Then nothing
        // can be checked.
        match timeout(ATTEMPT_TIMEOUT, check).await {
            Ok(Err(sqlx::Error::Database(_))) => Err(sqlx::Error::Protocol(PREPARED_STATEMENTS.to_owned())),
            Ok(done) => done,
            Err(_) => Ok(()),
        }
    }

    fn explain(&self, error: &sqlx::Error) -> anyhow::Error {
        anyhow!("cannot connect to PostgreSQL at {}: {}", self.location, cause(error))
    }
}

fn pool(options: &PgConnectOptions, connections: u32) -> ConnectOptions {
    let server = options.clone();
    // sea-orm requires a URL, but does not use it.
    let mut options = ConnectOptions::new("postgres://server");
    options.max_connections(connections).sqlx_logging(false).connect_lazy(true);
    options.map_sqlx_postgres_opts(move |_| server.clone());
    options
}

/// Host, port and database, without secrets.
fn location(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    match options.get_socket() {
        Some(socket) => format!("{} (port {}), database {database}", socket.display(), options.get_port()),
        None => format!("{}:{}, database {database}", options.get_host(), options.get_port()),
    }
}

/// The message of the operating system or of the server.
fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => format!("no response within {} s", ATTEMPT_TIMEOUT.as_secs()),
        sqlx::Error::Protocol(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The timeouts in force, of a statement and of an idle transaction. Zero means no timeout.
async fn timeouts_in_force(connection: &mut PgConnection) -> sqlx::Result<(Duration, Duration)> {
    let text = "SELECT (SELECT setting FROM pg_settings WHERE name = 'statement_timeout'),
                       (SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout')";
    // A simple query, which every pooler supports. The settings are in milliseconds.
    let row = sqlx::raw_sql(text).fetch_one(connection).await?;
    let limit = |index| Duration::from_millis(row.get::<String, usize>(index).parse().unwrap_or(0));
    Ok((limit(0), limit(1)))
}

async fn execute_prepared(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SELECT $1::int4").bind(1).execute(connection).await.map(drop)
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn is_transient(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut)
        || code(error).is_some_and(|code| TRANSIENT.contains(&&*code))
}

/// Whether the start-up options may be the cause of this error. PgBouncer gives all of its errors this code. If the options
/// are not the cause, connecting without them fails, too, and reports the cause.
fn may_be_caused_by_options(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(PROTOCOL_VIOLATION)
}
