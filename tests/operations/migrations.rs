//! Migrations are reversible.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database};

#[tokio::test]
async fn migrations_can_be_reverted_and_applied_again() {
    let db = Database::connect("sqlite::memory:").await.unwrap();
    // The second round fails if the first has left anything.
    for _ in 0..2 {
        Migrator::up(&db, None).await.unwrap();
        db.execute_unprepared("SELECT * FROM messages, jobs, users, stripe_events").await.unwrap();
        Migrator::down(&db, None).await.unwrap();
        let left = db.execute_unprepared("SELECT * FROM messages").await;
        assert!(left.is_err());
    }
}
