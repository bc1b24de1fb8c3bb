use async_graphql::{Context, ID, Object, SimpleObject};
use entity::{Timestamp, chatroom_share, message};

use super::message::Role;
use crate::{
    error::Result,
    graphql::engine::{
        context::{memory, sharing},
        paging::{Connection, PageArgs},
    },
    store::messages,
};

/// A link by which a chatroom, as it was then, can be read without signing in.
pub struct ChatroomShare(pub chatroom_share::Model);

/// A link by which a chatroom, as it was then, can be read without signing in.
#[Object]
impl ChatroomShare {
    /// The id of the share. Pass it to revokeShare.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The address of the page that shows the chatroom: below the front end's address if the server knows it, else a path on this
    /// server.
    async fn url(&self, ctx: &Context<'_>) -> String {
        sharing(ctx).url(&self.0)
    }

    /// The secret part of the address. Pass it to sharedChatroom.
    async fn token(&self, ctx: &Context<'_>) -> String {
        sharing(ctx).token(&self.0)
    }

    /// The time at which the chatroom was shared.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// The time from which on the link shows nothing. Null if it does not expire.
    async fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }
}

/// A chatroom that was shared by link, as it was then.
pub struct SharedChatroom(pub chatroom_share::Model);

/// A chatroom that was shared by link, as it was then.
#[Object]
impl SharedChatroom {
    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// The time at which it was shared.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// The messages, oldest first.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start: 0 to 100; 20 without `first` and `last`.")]
        first: Option<i32>,
        #[graphql(desc = "Returns only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end: 0 to 100. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Returns only items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<SharedMessage>> {
        let window = PageArgs { first, after, last, before }.window::<i32>()?;
        let page = sharing(ctx).messages(self.0.id, &window).await?;
        page.items.iter().try_for_each(|row| memory(ctx).count_read(messages::size_of(row)))?;
        Ok(Connection::new(page, &window, |row: &message::Model| row.depth, SharedMessage::from))
    }
}

/// A message of a shared chatroom.
#[derive(Clone, SimpleObject)]
pub struct SharedMessage {
    /// The author of the message.
    role: Role,
    /// The text.
    content: String,
    /// The name of the model that wrote a reply. Null for a message of a user.
    model: Option<String>,
    /// The time at which the message was sent, or the reply was queued.
    created_at: Timestamp,
}

impl From<message::Model> for SharedMessage {
    fn from(row: message::Model) -> Self {
        Self { role: row.role.into(), content: row.content, model: row.model, created_at: row.created_at }
    }
}
