//! Searching a user's messages. One tokenizer ([`words`]) serves both databases, and the best results are chosen here
//! ([`query`]): a database only finds messages that contain the words of a query.

mod index;
mod query;
mod snippet;
mod words;

use std::{sync::Arc, time::Duration};

use entity::{ChatroomId, MessageId, UserId};

use crate::{
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
    store::{
        Db, chatrooms,
        page::{Page, Window},
        search,
    },
};

pub use index::{backfill, index_queued};
pub use query::SearchQuery;
pub use snippet::Snippet;

/// How many matching messages, newest first, are scored.
const CANDIDATES: usize = 1000;
const SEARCHES_PER_MINUTE: u32 = 240;

/// The use cases of searching.
#[derive(Clone)]
pub struct Search {
    db: Db,
    limits: Arc<dyn RateLimit>,
}

/// The sort key of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResultKey {
    /// The newest matching message when the first page was read. Messages after it are left out of the following pages.
    pub newest: MessageId,
    pub score: u64,
    pub message: MessageId,
}

impl Search {
    #[must_use]
    pub fn new(db: Db, limits: Arc<dyn RateLimit>) -> Self {
        Self { db, limits }
    }

    /// The user's messages that contain all words of the query, best match first; of equally good matches, the newest first. At
    /// most the newest 1000 matches are compared. A query without words matches nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the chatroom is not the user's, and [`Error::RateLimited`].
    pub async fn search(
        &self,
        user: UserId,
        chatroom: Option<ChatroomId>,
        query: &SearchQuery,
        window: &Window<ResultKey>,
    ) -> Result<Page<ResultKey>> {
        self.take_rate_limit(user).await?;
        if let Some(chatroom) = chatroom {
            let found = chatrooms::owned_by(self.db.read(), user, chatroom).await?;
            found.ok_or(Error::NotFound("chatroom"))?;
        }
        if query.terms.is_empty() {
            return Ok(Page::default());
        }
        // If the database cannot be written, the search continues with the messages that are indexed.
        if let Err(error) = index::index_messages_of(&self.db, user).await {
            tracing::warn!(?error, "failed to index messages before a search");
        }
        let until = window.after.map(|key| key.newest);
        let found =
            search::candidates(self.db.read(), user, chatroom, &query.terms, until, CANDIDATES).await?;
        let newest = until.or(found.iter().map(|found| found.message_id).max());
        let Some(newest) = newest else { return Ok(Page::default()) };
        let mut results: Vec<ResultKey> = found
            .iter()
            .filter_map(|found| {
                let score = query.score(&found.words().collect::<Vec<_>>())?;
                Some(ResultKey { newest, score, message: found.message_id })
            })
            .filter(|result| window.after.is_none_or(|after| result.rank() < after.rank()))
            .collect();
        results.sort_unstable_by_key(|result| std::cmp::Reverse(result.rank()));
        let more = results.len() > window.limit;
        results.truncate(window.limit);
        Ok(Page { items: results, more })
    }

    /// Counts a search. If the counter is unavailable, the search is allowed.
    async fn take_rate_limit(&self, user: UserId) -> Result<()> {
        let limit = Limit {
            key: format!("search:user:{user}"),
            max: SEARCHES_PER_MINUTE,
            window: Duration::from_mins(1),
        };
        match self.limits.take(&[limit]).await {
            Ok(Verdict::Rejected { retry_after }) => Err(Error::rate_limited(retry_after)),
            Ok(Verdict::Allowed { .. }) | Err(_) => Ok(()),
        }
    }
}

impl ResultKey {
    fn rank(&self) -> (u64, MessageId) {
        (self.score, self.message)
    }
}
