//! The database connections that statements and transactions share.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all, poll};
use pollux::store::{Db, commit};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use tokio::time::timeout;

use crate::support::{TestApp, socket::TEST_TIMEOUT};

/// A server with two database connections.
async fn start() -> TestApp {
    TestApp::with_settings(&["--database-connections=2"]).await
}

/// Executes a query whose result is one number.
async fn query_number(conn: &impl ConnectionTrait, query: &str) -> i64 {
    let statement = Statement::from_string(conn.get_database_backend(), query);
    conn.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// How many rows the test has inserted and committed.
async fn inserted_rows(db: &Db) -> i64 {
    query_number(db.read(), COUNT_ROWS).await
}

const COUNT_ROWS: &str = "SELECT count(*) FROM write_checks WHERE padding = 'test'";
const INSERT_ROW: &str = "INSERT INTO write_checks (id, padding) VALUES (2, 'test')";

#[tokio::test]
async fn more_statements_and_transactions_than_connections_all_succeed() {
    let app = start().await;
    let db = &app.chatrooms.db;
    let statements = (0..40_i64)
        .map(|n| async move { query_number(db.read(), &format!("SELECT CAST({n} AS bigint)")).await == n });
    let transactions = (0..20).map(|_| async {
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("DELETE FROM write_checks WHERE id = 3").await.unwrap();
        commit(tx).await.unwrap();
    });
    let (results, _) =
        timeout(TEST_TIMEOUT, futures_util::future::join(join_all(statements), join_all(transactions)))
            .await
            .unwrap();
    assert!(results.into_iter().all(|is_equal| is_equal));
    app.stop().await;
}

#[tokio::test]
async fn a_transaction_that_is_abandoned_while_it_begins_is_not_left_open() {
    let app = start().await;
    let db = &app.chatrooms.db;
    let other_connection = Database::connect(&app.backend.database_url).await.unwrap();
    for _ in 0..10 {
        // The first poll sends BEGIN. The future is dropped before the response, unless SQLite's thread has responded already.
        drop(poll!(db.begin().boxed()));
        drop(poll!(db.snapshot().boxed()));
        for _ in 0..3 {
            db.write().execute_unprepared(INSERT_ROW).await.unwrap();
            assert_eq!(query_number(&other_connection, COUNT_ROWS).await, 1, "the row must be committed");
            db.write().execute_unprepared("DELETE FROM write_checks WHERE id = 2").await.unwrap();
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_dropped_transaction_changes_nothing_and_frees_its_connection() {
    let app = start().await;
    let db = &app.chatrooms.db;
    for _ in 0..5 {
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared(INSERT_ROW).await.unwrap();
        drop(tx);
        assert_eq!(inserted_rows(db).await, 0);
    }
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared(INSERT_ROW).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(inserted_rows(db).await, 0);
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared(INSERT_ROW).await.unwrap();
    commit(tx).await.unwrap();
    assert_eq!(inserted_rows(db).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn a_statement_abandoned_by_its_caller_does_not_disturb_later_ones() {
    let app = start().await;
    let db = &app.chatrooms.db;
    let slow = match db.read().get_database_backend() {
        DbBackend::Sqlite => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n"
        }
        _ => "SELECT 1::bigint FROM pg_sleep(0.3)",
    };
    for n in 0..6 {
        let abandoned = timeout(Duration::from_millis(1), query_number(db.read(), slow)).await;
        assert!(abandoned.is_err());
        assert_eq!(
            timeout(TEST_TIMEOUT, query_number(db.read(), &format!("SELECT CAST({n} AS bigint)")))
                .await
                .unwrap(),
            n
        );
    }
    app.stop().await;
}
