use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use entity::{Timestamp, chatroom, message};

use super::{ChatroomShare, GenerationSettings, Message};
use crate::{
    error::Result,
    graphql::engine::{
        context::loader,
        loaders::{PageOf, SharesOf},
        paging::{Connection, PageArgs},
    },
    store::page::Window,
};

/// A conversation with a model.
#[derive(Clone)]
pub struct Chatroom(pub chatroom::Model);

/// A conversation with a model.
#[Object]
impl Chatroom {
    /// The id of the chatroom.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Whether the title is the server's own: the default one, or one that the model has generated after the first reply. A title
    /// that you set is never replaced.
    async fn has_generated_title(&self) -> bool {
        self.0.title_source != chatroom::TitleSource::User
    }

    /// The instruction sent to the model before the conversation; null for none.
    async fn system_instruction(&self) -> Option<&str> {
        self.0.system_instruction.as_deref()
    }

    /// The name of the model that writes the replies.
    async fn model(&self) -> &str {
        &self.0.model
    }

    /// The chatroom's own generation settings; null if all are the server's.
    async fn generation(&self) -> Option<GenerationSettings> {
        self.0.generation.map(GenerationSettings::from)
    }

    /// The time at which the chatroom was created.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// The time of the last message or change.
    async fn updated_at(&self) -> Timestamp {
        self.0.updated_at
    }

    /// When the chatroom was pinned to the top of the list. Null unless it is pinned.
    async fn pinned_at(&self) -> Option<Timestamp> {
        self.0.pinned_at
    }

    /// When the chatroom was archived. Null unless it is archived.
    async fn archived_at(&self) -> Option<Timestamp> {
        self.0.archived_at
    }

    /// Whether the chatroom is deleted 24 hours after its last message or change. It is never searched.
    async fn is_temporary(&self) -> bool {
        self.0.is_temporary
    }

    /// The position among the events of the chatroom. Pass it to chatroomEvents(after:) to receive what has changed since this
    /// query, which must also read the messages.
    async fn event_cursor(&self) -> String {
        self.0.version.to_string()
    }

    /// The links by which the chatroom, as it was then, can be read without signing in, oldest first. At most 50; expired ones are left
    /// out.
    async fn shares(&self, ctx: &Context<'_>) -> Result<Vec<ChatroomShare>> {
        let shares = loader(ctx).load_one(SharesOf(self.0.id)).await?.unwrap_or_default();
        Ok(shares.into_iter().map(ChatroomShare).collect())
    }

    /// The download of the current branch.
    async fn export(
        &self,
        #[graphql(desc = "The format of the download.")] format: ExportFormat,
    ) -> DataExport {
        let format = match format {
            ExportFormat::Markdown => "markdown",
            ExportFormat::Json => "json",
        };
        DataExport { url: format!("/chatrooms/{}/export?format={format}", self.0.id) }
    }

    /// The messages of the active branch, oldest first. `last: N` returns the newest N.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start: 0 to 100; 20 without `first` and `last`.")]
        first: Option<i32>,
        #[graphql(desc = "Returns only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end: 0 to 100. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Returns only items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Message>> {
        let window = PageArgs { first, after, last, before }.window::<i32>()?;
        let page = loader(ctx).load_one(PageOf(self.0.id, window.clone())).await?.unwrap_or_default();
        Ok(Connection::new(page, &window, |message: &Arc<message::Model>| message.depth, Message::shared))
    }

    /// The newest message of the active branch. Null if the chatroom is empty.
    async fn last_message(&self, ctx: &Context<'_>) -> Result<Option<Message>> {
        let newest = Window { after: None, before: None, limit: 1, backward: true };
        let page = loader(ctx).load_one(PageOf(self.0.id, newest)).await?.unwrap_or_default();
        Ok(page.items.into_iter().next().map(Message::shared))
    }
}

/// The format of a download.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum ExportFormat {
    /// The texts with their authors and times, for people.
    Markdown,
    /// The chatroom and its messages with all fields, for programs.
    Json,
}

/// A download.
#[derive(SimpleObject)]
pub struct DataExport {
    /// The path on this server of the download. Request it by GET with the same Authorization header.
    pub url: String,
}
