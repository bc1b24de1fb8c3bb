//! Checks each reply twice: as it is stored in the database, and as its client assembled it from events.

use std::fmt;

use entity::{daily_usage, job, message};
use sea_orm::{ColumnTrait, Database, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use tokio::time::{Instant, sleep};

use crate::{
    client::Observations,
    cluster::Cluster,
    text::{self, Flaw},
};

#[derive(Default)]
pub struct Verdict {
    /// The number of messages that nodes accepted.
    accepted: usize,
    /// The numbers of flaws. A reply may be counted for its row and for its client.
    lost: usize,
    duplicated: usize,
    reordered: usize,
    /// The number of clients and jobs that have not finished in time.
    stuck: usize,
    /// The quota that all messages have used.
    quota: usize,
    // The effects of the injected faults. Of these, graceful restarts and upgrades may cause only resumed subscriptions.
    failed: usize,
    resumed: usize,
    restarted: usize,
    most_attempts: i32,
}

/// Waits until no job is left, but at most until `deadline`, and then checks all replies. A chat is `None` if its client has not
/// finished.
pub async fn check_replies(chats: &[Option<Observations>], cluster: &Cluster, deadline: Instant) -> Verdict {
    let database = Database::connect(&cluster.deployment.backend.database_url).await.unwrap();
    while job::Entity::find().count(&database).await.unwrap() > 0 && Instant::now() < deadline {
        sleep(std::time::Duration::from_millis(100)).await;
    }
    // A client that has not finished still waits for a reply: the reply has not ended, or the client did not receive its end.
    let mut verdict =
        Verdict { stuck: chats.iter().filter(|chat| chat.is_none()).count(), ..Verdict::default() };
    for chat in chats.iter().flatten() {
        verdict.accepted += chat.sent.len();
        verdict.failed += chat.failed;
        verdict.resumed += chat.resumed;
        verdict.restarted += chat.restarted;
        for sent in &chat.sent {
            if sent.last_event == "ReplyCompleted" {
                verdict.count(text::find_flaw(&sent.question, &sent.text));
            } else {
                println!("{} ({}) ended with {}", sent.question, sent.reply, sent.last_event);
                verdict.lost += 1;
            }
        }
    }
    verdict.check_rows(&database).await;
    verdict
}

impl Verdict {
    fn count(&mut self, flaw: Option<Flaw>) {
        match flaw {
            Some(Flaw::Lost) => self.lost += 1,
            Some(Flaw::Duplicated) => self.duplicated += 1,
            Some(Flaw::Reordered) => self.reordered += 1,
            None => {}
        }
    }

    async fn check_rows(&mut self, database: &DatabaseConnection) {
        for job in job::Entity::find().all(database).await.unwrap() {
            println!("not processed: {job:?}");
            self.stuck += 1;
        }
        let rows = message::Entity::find().all(database).await.unwrap();
        let questions = rows.iter().filter(|row| row.role == message::Role::User);
        // Each question is unique. If several rows have it, it was accepted more than once. If no row has it, it was lost.
        let mut contents: Vec<&str> = questions.map(|row| row.content.as_str()).collect();
        let stored = contents.len();
        contents.sort_unstable();
        contents.dedup();
        self.duplicated += stored - contents.len();
        self.lost += self.accepted.saturating_sub(contents.len());
        for reply in rows.iter().filter(|row| row.role == message::Role::Model) {
            let question = rows.iter().find(|row| Some(row.id) == reply.parent_id).unwrap();
            self.most_attempts = self.most_attempts.max(reply.attempt);
            match reply.status {
                message::Status::Completed => self.count(text::find_flaw(&question.content, &reply.content)),
                status => {
                    println!("{} is {status:?} in its row: {:?}", question.content, reply.failure_code);
                    self.lost += 1;
                }
            }
        }
        let used =
            daily_usage::Entity::find().filter(daily_usage::Column::Used.gt(0)).all(database).await.unwrap();
        self.quota = used.iter().map(|day| usize::try_from(day.used).unwrap()).sum();
    }

    /// Whether all replies are complete and charged once. If every process shut down gracefully, also whether no mutation failed
    /// and no reply needed a second attempt.
    pub fn has_passed(&self, is_graceful: bool) -> bool {
        let are_replies_complete =
            self.lost + self.duplicated + self.reordered + self.stuck == 0 && self.quota == self.accepted;
        are_replies_complete
            && self.accepted > 0
            && (!is_graceful || self.failed + self.restarted == 0 && self.most_attempts == 1)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            lost,
            duplicated,
            reordered,
            stuck,
            quota,
            failed,
            resumed,
            restarted,
            most_attempts,
        } = self;
        write!(
            f,
            "lost {lost}, duplicated {duplicated}, reordered {reordered}, stuck {stuck}, quota {quota} = accepted {accepted} \
             (failed calls {failed}, resumed {resumed}, restarted {restarted}, most attempts {most_attempts})"
        )
    }
}
