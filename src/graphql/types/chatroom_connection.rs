use async_graphql::{Context, Object, connection::PageInfo};

use super::Chatroom;
use crate::{
    error::Result,
    graphql::engine::{
        context::{chatrooms, viewer},
        paging::{Connection, Edge},
    },
};

/// A page of the list of chatrooms.
pub struct ChatroomConnection {
    pub page: Connection<Chatroom>,
    /// Whether the list is that of the archived chatrooms.
    pub archived: bool,
}

/// A page of the list of chatrooms.
#[Object]
impl ChatroomConnection {
    /// The items of the page, each with its cursor.
    async fn edges(&self) -> &[Edge<Chatroom>] {
        &self.page.edges
    }

    /// The items of the page, without cursors.
    async fn nodes(&self) -> &[Chatroom] {
        &self.page.nodes
    }

    /// Whether there are more items before and after the page, and the cursors to continue with.
    async fn page_info(&self) -> &PageInfo {
        &self.page.page_info
    }

    /// The number of items on all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = chatrooms(ctx).count(viewer(ctx)?.user, self.archived).await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
