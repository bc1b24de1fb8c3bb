//! An installation of the measured server: its storage, its processes, and the CPU time that they and the database servers use.

use std::{collections::HashMap, fs, net::SocketAddr, process::Stdio, time::Duration};

use futures_util::{StreamExt, stream};
use pollux::store::Db;
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;

use crate::{
    model::Model,
    support::{Backend, TestUser, app, backend::redis_connection, process::Process},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// SQLite, and the server's own memory instead of Redis.
    Sqlite,
    /// PostgreSQL and Redis.
    Servers,
}

impl Storage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite + memory",
            Self::Servers => "PostgreSQL + Redis",
        }
    }
}

/// Settings that differ from the defaults. `RUST_LOG` omits the lines about single messages, as a server under load should, but
/// keeps the line with the server's address, which [`Process::spawn`] reads.
const SETTINGS: [(&str, &str); 4] = [
    ("RATE_LIMITS", "off"),
    ("BASIC_DAILY_LIMIT", "1000000"),
    ("RUST_LOG", "warn,pollux=info,pollux::domain=warn"),
    ("GEMINI_API_KEY", "test-key"),
];

/// Storage that is empty at first, and a stand-in for the model. One or more processes of Pollux use them.
pub struct Installation {
    pub model: Model,
    /// The load generator's own access to the database, to insert and count rows.
    pub db: Db,
    backend: Backend,
    directory: TempDir,
    /// The process ids of PostgreSQL and Redis. Empty on SQLite.
    database_pids: Vec<u32>,
}

/// A signed-in user with chatrooms.
#[derive(Clone)]
pub struct User {
    pub token: String,
    /// The id, as the API returns it.
    pub id: String,
    pub chatrooms: Vec<String>,
}

impl Installation {
    pub async fn create(storage: Storage) -> Self {
        let directory = TempDir::new().unwrap();
        let backend = match storage {
            Storage::Sqlite => Backend::sqlite(directory.path()),
            Storage::Servers => Backend::new_on_servers(&Backend::servers().unwrap()).await,
        };
        let mut migrate = Process::command(directory.path());
        migrate.arg("migrate").envs(backend.environment()).stdout(Stdio::null());
        assert!(migrate.status().unwrap().success());
        let database = format!("--database-url={}", backend.database_url);
        // One statement inserts so many rows that it would exceed the default timeout.
        let config = app::config(&[&database, "--database-statement-timeout=600"]);
        let db = Db::join(&config.database).await.unwrap();
        let database_pids = match &backend.redis_url {
            Some(url) => vec![postgres_id(&db).await, redis_id(url).await],
            None => Vec::new(),
        };
        Self { model: Model::start().await, db, backend, directory, database_pids }
    }

    /// Starts the processes: one on SQLite, an API process and a worker process on servers.
    pub async fn start(&self, settings: &[(&str, &str)]) -> Servers<'_> {
        let (api, worker) = if self.database_pids.is_empty() {
            (self.start_process(&[], settings).await, None)
        } else {
            let worker = self.start_process(&["worker"], settings).await;
            (self.start_process(&["api"], settings).await, Some(worker))
        };
        Servers { api, worker, installation: self }
    }

    /// Starts one process with these arguments and additional settings.
    pub async fn start_process(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = Process::command(self.directory.path());
        command.args(arguments).envs(self.backend.environment()).envs(SETTINGS);
        command.env("GEMINI_BASE_URL", format!("http://{}", self.model.address));
        command.envs(settings.iter().copied());
        Process::spawn(command).await
    }

    /// Waits until no job is left. It queries the database only every 10 ms, and only for the existence of a job, so that it does
    /// not slow the server down.
    pub async fn wait_until_idle(&self) {
        while self.has_jobs().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn has_jobs(&self) -> bool {
        let statement = Statement::from_string(
            self.db.read().get_database_backend(),
            "SELECT count(*) AS jobs FROM (SELECT 1 FROM jobs LIMIT 1) AS one",
        );
        let row = self.db.read().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get::<i64>("", "jobs").unwrap() > 0
    }
}

/// The processes of an installation.
pub struct Servers<'a> {
    pub api: Process,
    pub worker: Option<Process>,
    installation: &'a Installation,
}

/// The CPU time that processes have used so far, in microseconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// The processes of Pollux.
    pub server: f64,
    /// PostgreSQL and Redis. Zero on SQLite.
    pub databases: f64,
}

impl Servers<'_> {
    pub fn address(&self) -> SocketAddr {
        self.api.address
    }

    pub fn cpu(&self) -> Cpu {
        let server = self.api.cpu() + self.worker.as_ref().map_or(Duration::ZERO, Process::cpu);
        Cpu { server: microseconds(server), databases: self.installation.database_cpu() }
    }

    /// Signs in `count` new users and creates `chatrooms` chatrooms for each of them.
    pub async fn sign_in_users(&self, count: usize, chatrooms: usize) -> Vec<User> {
        let anonymous = &TestUser::anonymous(self.address());
        let users = stream::iter(0..count).map(async |number| {
            let user = anonymous.sign_in_as(&format!("+1415{}", 2_000_000 + number)).await;
            let mut ids = Vec::new();
            for number in 0..chatrooms {
                ids.push(user.create_chatroom(&format!("Chatroom {number}")).await.id);
            }
            User { token: user.token, id: user.id, chatrooms: ids }
        });
        users.buffered(16).collect().await
    }

    pub async fn stop(self) {
        for process in [Some(self.api), self.worker].into_iter().flatten() {
            process.terminate();
            assert!(process.wait_for_exit().await);
        }
    }
}

impl Installation {
    /// The CPU time of PostgreSQL and Redis in microseconds, including their child processes that have ended. Zero on SQLite.
    pub fn database_cpu(&self) -> f64 {
        if self.database_pids.is_empty() {
            return 0.0;
        }
        let processes: HashMap<u32, Stat> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Stat::read(entry.ok()?.file_name().to_str()?))
            .collect();
        // PostgreSQL serves each connection in a child process.
        let is_database = |id: &u32, stat: &Stat| {
            self.database_pids.contains(id) || self.database_pids.contains(&stat.parent)
        };
        microseconds(
            processes.iter().filter(|(id, stat)| is_database(id, stat)).map(|(_, stat)| stat.cpu).sum(),
        )
    }
}

pub fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What Linux reports about a process.
struct Stat {
    /// The id of the parent process.
    parent: u32,
    /// The CPU time of the process itself and of those of its children that have ended.
    cpu: Duration,
}

impl Stat {
    /// Reads `/proc/<id>/stat` and returns it with the process id. `None` if the process has ended, or if `id` is another entry
    /// of `/proc`, such as `meminfo`.
    fn read(id: &str) -> Option<(u32, Self)> {
        let number = id.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        // The first field after the name is the state. These are utime, stime, cutime and cstime, in hundredths of a second.
        let ticks = fields[11..15].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
        Some((number, Self { parent: fields[1].parse().ok()?, cpu: Duration::from_millis(ticks * 10) }))
    }
}

/// The id of PostgreSQL's main process, the parent of the process that serves a connection.
async fn postgres_id(db: &Db) -> u32 {
    let statement =
        Statement::from_string(db.read().get_database_backend(), "SELECT pg_backend_pid() AS id".to_owned());
    let row = db.read().query_one_raw(statement).await.unwrap().unwrap();
    let id: i32 = row.try_get("", "id").unwrap();
    Stat::read(&id.to_string()).expect("PostgreSQL runs on this machine").1.parent
}

async fn redis_id(url: &str) -> u32 {
    let info: String =
        redis::cmd("INFO").arg("server").query_async(&mut redis_connection(url).await).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().parse().unwrap()
}
