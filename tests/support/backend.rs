//! What a test's servers keep their data in: SQLite and memory, or a database and a part of a Redis of its own on the
//! servers that `POLLUX_TEST_POSTGRES` and `POLLUX_TEST_REDIS` name; `tests/run` starts them.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use chrono::TimeDelta;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Signs tokens, where every node has to have the same.
pub const SECRET: &str = "a secret of thirty-two characters";
const TEMPLATE: &str = "pollux_template";

pub struct Backend {
    pub database_url: String,
    /// None: memory.
    pub redis_url: Option<String>,
}

impl Backend {
    /// An empty one. `directory` is where a file may be.
    pub async fn fresh(directory: &Path) -> Self {
        let Some((postgres, redis)) = Self::servers() else {
            let file = directory.join("data/pollux.db");
            return Self { database_url: format!("sqlite://{}", file.display()), redis_url: None };
        };
        Self { database_url: fresh_database(&postgres).await, redis_url: Some(fresh_redis(&redis).await) }
    }

    /// The servers, such as `postgres://postgres@127.0.0.1:5432` and `redis://127.0.0.1:6379`; none for SQLite and memory.
    pub fn servers() -> Option<(String, String)> {
        let servers = (std::env::var("POLLUX_TEST_POSTGRES"), std::env::var("POLLUX_TEST_REDIS"));
        let (Ok(postgres), Ok(redis)) = servers else { return None };
        Some((postgres, redis))
    }

    /// As settings of a process.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("DATABASE_URL", self.database_url.clone())];
        if let Some(url) = &self.redis_url {
            settings.extend([("REDIS_URL", url.clone()), ("JWT_SECRET", SECRET.to_owned())]);
        }
        settings
    }

    /// Lets time pass for what Redis keeps by its own clock.
    pub async fn pass(&self, time: TimeDelta) {
        let Some(url) = &self.redis_url else { return };
        let mut connection = redis_connection(url).await;
        let _: () = redis::Script::new(PASS)
            .arg(time.num_milliseconds())
            .invoke_async(&mut connection)
            .await
            .unwrap();
    }
}

/// Moves every expiry and every moment that is counted into the past.
const PASS: &str = "
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

/// A database of the template's tables.
async fn fresh_database(server: &str) -> String {
    static TEMPLATE_IS_THERE: OnceCell<()> = OnceCell::const_new();
    let admin = Database::connect(format!("{server}/postgres")).await.unwrap();
    TEMPLATE_IS_THERE
        .get_or_init(async || {
            admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {TEMPLATE}")).await.unwrap();
            admin.execute_unprepared(&format!("CREATE DATABASE {TEMPLATE}")).await.unwrap();
            let template = Database::connect(format!("{server}/{TEMPLATE}")).await.unwrap();
            Migrator::up(&template, None).await.unwrap();
            template.close().await.unwrap();
        })
        .await;
    let name = format!("test_{}", Uuid::now_v7().simple());
    admin.execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await.unwrap();
    admin.close().await.unwrap();
    format!("{server}/{name}")
}

/// One of the server's numbered databases, empty.
async fn fresh_redis(server: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = format!("{server}/{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let _: () = redis::cmd("FLUSHDB").query_async(&mut redis_connection(&url).await).await.unwrap();
    url
}
