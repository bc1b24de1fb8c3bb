//! Keeps the search index up to date. Messages are indexed in batches, each in one transaction. Indexing may be repeated: a
//! message that is indexed already is skipped.
//!
//! ```text
//!  a reply ends ──► queue ──┬──► a search of its user (at once)
//!   (same transaction)      └──► the periodic task      ──► entries of the reply and of the message before it
//!  backfill: messages stored before search existed ──► the periodic task, newest first
//! ```

use entity::UserId;

use super::words::{SEARCHED_CHARS, count_words};
use crate::{
    error::Result,
    store::{
        Db, commit,
        search::{self, Age, Entry, Unindexed},
    },
};

/// How many replies a batch indexes. The messages to which they reply are indexed with them.
const REPLY_BATCH: u64 = 50;
/// How many messages a batch of the backfill indexes.
const BACKFILL_BATCH: u64 = 100;
/// How many batches a search waits for. The periodic task indexes the rest.
const SEARCH_BATCHES: usize = 10;

/// Indexes the user's messages that are not indexed, except those of the backfill: the replies in the queue, and the messages
/// whose reply is still waiting or being written, which is not in the queue yet.
pub(super) async fn index_messages_of(db: &Db, user: UserId) -> Result<()> {
    for _ in 0..SEARCH_BATCHES {
        let replies = search::unindexed_replies_of(db.read(), user, REPLY_BATCH).await?;
        if replies.is_empty() {
            break;
        }
        let tx = db.begin().await?;
        search::lock_rows(&tx, &replies).await?;
        index(&tx, &replies).await?;
        commit(tx).await?;
    }
    Ok(())
}

/// Indexes a batch of the queue. Returns false if the queue is empty, or other processes are indexing all of it.
pub async fn index_queued(db: &Db) -> Result<bool> {
    let tx = db.begin().await?;
    let queued = search::lock_queued(&tx, REPLY_BATCH).await?;
    if queued.is_empty() {
        tx.rollback().await?;
        return Ok(false);
    }
    index(&tx, &queued).await?;
    commit(tx).await?;
    Ok(true)
}

async fn index(tx: &crate::store::Transaction, replies: &[search::ReplyToIndex]) -> Result<()> {
    let messages = search::unindexed(tx, replies, SEARCHED_CHARS).await?;
    search::insert(tx, &entries(messages), Age::Newer).await?;
    Ok(search::delete_queued(tx, replies).await?)
}

/// Indexes a batch of the backfill. Returns false if the backfill is done, or another process is running it.
pub async fn backfill(db: &Db) -> Result<bool> {
    let tx = db.begin().await?;
    let Some(before) = search::lock_backfill(&tx).await? else {
        tx.rollback().await?;
        return Ok(false);
    };
    let from = search::oldest_before(&tx, before, BACKFILL_BATCH).await?;
    if let Some(from) = from {
        let messages = search::unindexed_between(&tx, [from, before], SEARCHED_CHARS).await?;
        search::insert(&tx, &entries(messages), Age::Older).await?;
    }
    search::set_backfill(&tx, from).await?;
    commit(tx).await?;
    Ok(from.is_some())
}

fn entries(messages: Vec<Unindexed>) -> Vec<Entry> {
    messages
        .into_iter()
        .map(|message| Entry { words: count_words(&message.content).into_iter().collect(), message })
        .collect()
}
