//! Searching messages.

use async_graphql::{Context, ID, Object};

use crate::{
    domain::search::SearchQuery,
    error::Result,
    graphql::{
        engine::{
            context::{self, loader, viewer},
            paging::PageArgs,
        },
        types::{SearchConnection, parse_id},
    },
};

#[derive(Default)]
pub struct SearchQueries;

#[Object]
impl SearchQueries {
    /// Your messages and their replies that contain all words of a text, in all chatrooms or in one, best match first; among more than
    /// 1000 matches, the newest 1000. Versions that are not current are included, temporary chatrooms are not. A reply is found once it
    /// has ended. Errors: UNAUTHENTICATED, BAD_USER_INPUT, NOT_FOUND, RATE_LIMITED.
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The words, at most 256 characters. Each matches words that begin with it. Case, accents and all characters \
                          other than letters and digits are ignored; without letters and digits, nothing is found."
        )]
        query: String,
        #[graphql(desc = "The id of the chatroom to search. Without it, all your chatrooms are searched.")]
        chatroom_id: Option<ID>,
        #[graphql(desc = "The number of matches: 0 to 100; 20 without it.")] first: Option<i32>,
        #[graphql(desc = "Returns only matches after this cursor.")] after: Option<String>,
    ) -> Result<SearchConnection> {
        let viewer = viewer(ctx)?;
        let query = SearchQuery::new(&query)?;
        let chatroom = chatroom_id.map(|id| parse_id(&id, "chatroom")).transpose()?;
        let window = PageArgs { first, after, last: None, before: None }.window()?;
        let page = context::search(ctx).search(viewer.user, chatroom, &query, &window).await?;
        let messages = loader(ctx).load_many(page.items.iter().map(|result| result.message)).await?;
        Ok(SearchConnection::new(&page, &window, &query, messages))
    }
}
