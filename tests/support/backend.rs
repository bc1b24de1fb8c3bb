//! The storage of a test's servers: SQLite and memory; or, if `POLLUX_TEST_POSTGRES` and `POLLUX_TEST_REDIS` are set, a new
//! database on that PostgreSQL server and a numbered database of that Redis server. `tests/with-servers` starts both servers.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use chrono::TimeDelta;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The JWT secret, which all nodes share.
pub const SECRET: &str = "a secret of thirty-two characters";
/// The database with all tables and no rows, of which each test gets a copy: copying is faster than running the migrations.
const TEMPLATE: &str = "pollux_template";

pub struct Backend {
    pub database_url: String,
    /// `None` for memory.
    pub redis_url: Option<String>,
}

impl Backend {
    /// Creates empty storage. A SQLite file is created in `directory`.
    pub async fn create(directory: &Path) -> Self {
        match Self::servers() {
            Some(servers) => Self::new_on_servers(&servers).await,
            None => Self::sqlite(directory),
        }
    }

    /// SQLite and memory.
    pub fn sqlite(directory: &Path) -> Self {
        let file = directory.join("data/pollux.db");
        Self { database_url: format!("sqlite://{}", file.display()), redis_url: None }
    }

    /// A database without rows on this PostgreSQL server, and an empty database of this Redis server.
    pub async fn new_on_servers((postgres, redis): &(String, String)) -> Self {
        Self { database_url: fresh_database(postgres).await, redis_url: Some(fresh_redis(redis).await) }
    }

    /// A database without tables on this PostgreSQL server, and an empty database of this Redis server.
    pub async fn without_schema((postgres, redis): &(String, String)) -> Self {
        let admin = Database::connect(format!("{postgres}/postgres")).await.unwrap();
        Self {
            database_url: create_database(&admin, postgres, "template1").await,
            redis_url: Some(fresh_redis(redis).await),
        }
    }

    /// The URLs of PostgreSQL and Redis, such as `postgres://postgres@127.0.0.1:5432` and `redis://127.0.0.1:6379`, or `None`
    /// for SQLite and memory.
    pub fn servers() -> Option<(String, String)> {
        match (std::env::var("POLLUX_TEST_POSTGRES"), std::env::var("POLLUX_TEST_REDIS")) {
            (Ok(postgres), Ok(redis)) => Some((postgres, redis)),
            (Err(_), Err(_)) => None,
            _ => panic!("set both POLLUX_TEST_POSTGRES and POLLUX_TEST_REDIS, or neither"),
        }
    }

    /// The environment variables of a process that uses this storage.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("DATABASE_URL", self.database_url.clone())];
        if let Some(url) = &self.redis_url {
            // With Redis, the secret must be set. Without it, the server generates one and stores it next to the database.
            settings.extend([("REDIS_URL", url.clone()), ("JWT_SECRET", SECRET.to_owned())]);
        }
        settings
    }

    /// Makes the keys and the rate limits in Redis older by this time. Redis uses its own clock, which cannot be advanced.
    pub async fn advance(&self, time: TimeDelta) {
        let Some(url) = &self.redis_url else { return };
        let mut connection = redis_connection(url).await;
        let _: () = redis::Script::new(ADVANCE)
            .arg(time.num_milliseconds())
            .invoke_async(&mut connection)
            .await
            .unwrap();
    }
}

/// Makes every expiry and every timestamp of a rate limit `ARGV[1]` milliseconds earlier. Rate limits are the only lists; their
/// timestamps are in microseconds.
const ADVANCE: &str = "
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= tonumber(ARGV[1]) then
    redis.call('DEL', key)
  else
    if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[1]) end
    if redis.call('TYPE', key).ok == 'list' then
      for i, moment in ipairs(redis.call('LRANGE', key, 0, -1)) do
        redis.call('LSET', key, i - 1, string.format('%.0f', moment - ARGV[1] * 1000))
      end
    end
  end
end";

pub async fn redis_connection(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Creates a database from the migrated template, and returns its URL.
async fn fresh_database(server: &str) -> String {
    static TEMPLATE_CREATED: OnceCell<()> = OnceCell::const_new();
    let admin = Database::connect(format!("{server}/postgres")).await.unwrap();
    TEMPLATE_CREATED
        .get_or_init(async || {
            admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {TEMPLATE}")).await.unwrap();
            admin.execute_unprepared(&format!("CREATE DATABASE {TEMPLATE}")).await.unwrap();
            let template = Database::connect(format!("{server}/{TEMPLATE}")).await.unwrap();
            Migrator::up(&template, None).await.unwrap();
            // PostgreSQL copies a template only if nothing is connected to it.
            template.close().await.unwrap();
        })
        .await;
    create_database(&admin, server, TEMPLATE).await
}

async fn create_database(admin: &DatabaseConnection, server: &str, template: &str) -> String {
    let name = format!("test_{}", Uuid::now_v7().simple());
    admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
    admin.close_by_ref().await.unwrap();
    format!("{server}/{name}")
}

/// Empties the next numbered database of the server, and returns its URL.
async fn fresh_redis(server: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = format!("{server}/{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let _: () = redis::cmd("FLUSHDB").query_async(&mut redis_connection(&url).await).await.unwrap();
    url
}
