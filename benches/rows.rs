//! Inserts many rows directly into the database.

use entity::{ChatroomId, UserId};
use pollux::{clock::Clock, store::Db};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

/// SQL that defines the table `numbers`. Its column `n` contains the numbers from `$1` to `$2 - 1`.
const NUMBERS: &str = "WITH RECURSIVE numbers(n) AS (
    SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $2
)";

const INSERT_MESSAGES: &str =
    "INSERT INTO messages (id, user_id, chatroom_id, parent_id, depth, active, role, content, status,
    attempt, added_version, changed_version, created_at)";

async fn execute(db: &Db, text: &str, values: Vec<Value>) {
    let backend = db.write().get_database_backend();
    db.write().execute_raw(Statement::from_sql_and_values(backend, text, values)).await.unwrap();
}

/// SQL for the id that belongs to the number `n`, which is an SQL expression. Such ids are valid, and sort before all ids that
/// the server generates, as if their rows were older.
fn id(db: &Db, n: &str) -> String {
    match db.write().get_database_backend() {
        DbBackend::Sqlite => format!("unhex('01900000000070008000' || printf('%012x', {n}))"),
        _ => format!("('01900000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"),
    }
}

/// Updates the query planner's statistics. Databases do so by themselves only some time after many rows were inserted.
pub async fn analyze(db: &Db) {
    db.write().execute_unprepared("ANALYZE").await.unwrap();
}

/// Starts the backfill of the search index, as an upgrade of a database with messages does.
pub async fn start_backfill(db: &Db) {
    let text = match db.write().get_database_backend() {
        DbBackend::Sqlite => "INSERT INTO search_backfill VALUES (unhex('ffffffffffffffffffffffffffffffff'))",
        _ => "INSERT INTO search_backfill VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff')",
    };
    db.write().execute_unprepared(text).await.unwrap();
}

/// Fills an empty chatroom with `count` messages, which are questions and answers in turn. Their ids are made from the numbers
/// from `first_number` on, which no other message may have.
pub async fn insert_messages(db: &Db, user: UserId, chatroom: ChatroomId, first_number: i64, count: i64) {
    let statement = format!(
        "{NUMBERS} {INSERT_MESSAGES}
         SELECT {id}, $3, $4, CASE WHEN n > $1 THEN {parent} END, n - $1, true,
                CASE WHEN (n - $1) % 2 = 0 THEN 'user' ELSE 'model' END, $5, 'completed', 1, 0, 0, $6
         FROM numbers",
        id = id(db, "n"),
        parent = id(db, "n - 1"),
    );
    let content =
        "A question or an answer of a hundred characters, as they are in many a conversation, and its end.";
    let now = Clock::system().now();
    let values = vec![
        first_number.into(),
        (first_number + count).into(),
        user.into(),
        chatroom.into(),
        content.into(),
        now.into(),
    ];
    execute(db, &statement, values).await;
}

/// How many different words [`insert_varied_messages`] uses.
const VOCABULARY: f64 = 20_000.0;
/// How many words each of its messages has.
const WORDS: usize = 60;

/// Inserts messages with words such as `w17x`. Their frequencies are like those of a natural language (Zipf's law): most messages
/// contain `w0x`, and `w<n>x` is about n times as rare.
pub async fn insert_varied_messages(db: &Db, user: UserId, chatroom: ChatroomId, count: usize) {
    let mut random = fastrand::Rng::with_seed(1);
    let now = Clock::system().now();
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(500) {
        let rows: Vec<serde_json::Value> = batch
            .iter()
            .map(|number| {
                let words =
                    (0..WORDS).map(|_| format!("w{:.0}x", VOCABULARY.powf(random.f64()).floor() - 1.0));
                serde_json::json!({ "n": number, "content": words.collect::<Vec<_>>().join(" ") })
            })
            .collect();
        let (from, n) = match db.write().get_database_backend() {
            DbBackend::Sqlite => ("json_each($1) AS row", "(row.value->>'n')"),
            _ => ("json_array_elements($1::json) AS row(value)", "(row.value->>'n')::bigint"),
        };
        let statement = format!(
            "{INSERT_MESSAGES}
             SELECT {id}, $2, $3, NULL, 0, false, 'user', row.value->>'content', 'completed', 0, 0, 0, $4 FROM {from}",
            id = id(db, n),
        );
        let rows = serde_json::json!(rows).to_string();
        execute(db, &statement, vec![rows.into(), user.into(), chatroom.into(), now.into()]).await;
    }
}

/// Inserts `count` chatrooms of a user. Their ids are made from the numbers from `first_number` on, which no other chatroom may
/// have.
pub async fn insert_chatrooms(db: &Db, user: UserId, first_number: i64, count: i64) {
    let statement = format!(
        "{NUMBERS} INSERT INTO chatrooms (id, user_id, title, model, version, changed_version, created_at, updated_at)
         SELECT {id}, $3, 'A chatroom', 'model-a', 0, 0, $4, $4 FROM numbers",
        id = id(db, "n"),
    );
    let now = Clock::system().now();
    let values = vec![first_number.into(), (first_number + count).into(), user.into(), now.into()];
    execute(db, &statement, values).await;
    analyze(db).await;
}

/// How many queued replies each user has. Each reply is in its own chatroom.
const REPLIES_PER_USER: i64 = 5;

/// Queues `count` replies in an empty database, with their users, chatrooms and questions.
pub async fn insert_queued_replies(db: &Db, count: i64) {
    let now = Clock::system().now();
    let user = id(db, &format!("n / {REPLIES_PER_USER}"));
    let (job, chatroom) = (id(db, "n"), id(db, "n"));
    let (question, reply) = (id(db, "2 * n"), id(db, "2 * n + 1"));
    let statements = [
        format!(
            "INSERT INTO users (id, phone_number, verified_at, chatrooms_version, created_at, updated_at)
             SELECT {user}, '+1' || CAST(2000000000 + n AS TEXT), $3, 0, $3, $3 FROM numbers WHERE n % {REPLIES_PER_USER} = 0"
        ),
        format!(
            "INSERT INTO chatrooms (id, user_id, title, model, version, changed_version, created_at, updated_at)
             SELECT {chatroom}, {user}, 'A chatroom', 'model-a', 1, 0, $3, $3 FROM numbers"
        ),
        format!("{INSERT_MESSAGES} SELECT {question}, {user}, {chatroom}, NULL, 0, true, 'user', 'Go', 'completed', 0, 1, 1, $3 FROM numbers"),
        format!("{INSERT_MESSAGES} SELECT {reply}, {user}, {chatroom}, {question}, 1, true, 'model', '', 'queued', 0, 1, 1, $3 FROM numbers"),
        format!(
            "INSERT INTO jobs
                 (id, kind, user_id, chatroom_id, message_id, position, run_at, attempt, failures, stop_requested, created_at)
             SELECT {job}, 'reply', {user}, {chatroom}, {reply}, 1, $3, 0, 0, false, $3 FROM numbers"
        ),
    ];
    for statement in statements {
        let values = vec![0_i64.into(), count.into(), now.into()];
        execute(db, &format!("{NUMBERS} {statement}"), values).await;
    }
    analyze(db).await;
}

/// Returns all claimed jobs to the queue, as if they had never been claimed.
pub async fn release_jobs(db: &Db) {
    let statement = "UPDATE jobs SET attempt = 0, leased_until = NULL WHERE leased_until IS NOT NULL";
    db.write().execute_unprepared(statement).await.unwrap();
}
