use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use entity::{Timestamp, chatroom, message};

use super::Message;
use crate::{
    error::Result,
    graphql::{
        context::loader,
        loaders::PageOf,
        paging::{Connection, PageArgs},
    },
    store::page::Window,
};

/// A conversation.
#[derive(Clone)]
pub struct Chatroom(pub chatroom::Model);

/// A conversation.
#[Object]
impl Chatroom {
    /// The room's id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// What the room is called.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Sent to the model before the conversation.
    async fn system_instruction(&self) -> Option<&str> {
        self.0.system_instruction.as_deref()
    }

    /// The model that answers in this room.
    async fn model(&self) -> &str {
        &self.0.model
    }

    /// When the room was made.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When something was last sent or changed.
    async fn updated_at(&self) -> Timestamp {
        self.0.updated_at
    }

    /// Oldest first; last: N gives the newest N.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many; at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Message>> {
        let window = PageArgs { first, after, last, before }.window::<i32>()?;
        let page = loader(ctx).load_one(PageOf(self.0.id, window.clone())).await?.unwrap_or_default();
        Ok(Connection::new(page, &window, |message: &Arc<message::Model>| message.depth, Message::shared))
    }

    /// The newest message.
    async fn last_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let newest = Window { after: None, before: None, limit: 1, backward: true };
        let page = loader(ctx).load_one(PageOf(self.0.id, newest)).await?.unwrap_or_default();
        Ok(page.items.into_iter().next().map(Message::shared))
    }
}
