//! Downloading a chatroom: its active branch as Markdown or JSON, streamed while it is read.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_stream::try_stream;
use bytes::Bytes;
use entity::{ChatroomId, UserId, chatroom, message};
use futures_util::{Stream, StreamExt};
use serde_json::json;

use super::Chatrooms;
use crate::{
    domain::export_json::{batch_size, chatroom_json, message_json},
    error::{Error, Result},
    ports::rate_limit::{Limit, RateLimit, Verdict},
    store::{DbErr, messages},
};

/// How many positions (ids and lengths of messages) one query reads. They are read before the messages, to choose batches whose
/// size is bounded.
const POSITIONS_PER_QUERY: u64 = 5000;
const DOWNLOADS_PER_HOUR: u32 = 60;

/// The format of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    Markdown,
    Json,
}

/// The use case of downloads.
#[derive(Clone)]
pub struct ChatroomExport {
    pub chatrooms: Chatrooms,
    pub limits: Arc<dyn RateLimit>,
}

impl ChatroomExport {
    /// Streams the active branch of the user's chatroom. If another branch becomes active meanwhile, the stream ends with an
    /// error.
    ///
    /// # Errors
    /// [`Error::NotFound`], and [`Error::RateLimited`]: 60 downloads an hour per user.
    pub async fn export(
        &self,
        user: UserId,
        id: ChatroomId,
        format: ExportFormat,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let limit = Limit {
            key: format!("chatroom-export:user:{user}"),
            max: DOWNLOADS_PER_HOUR,
            window: Duration::from_hours(1),
        };
        if let Verdict::Rejected { retry_after } =
            self.limits.take(&[limit]).await.map_err(anyhow::Error::new)?
        {
            return Err(Error::rate_limited(retry_after));
        }
        let chatroom = self.chatrooms.chatroom(user, id).await?.ok_or(Error::NotFound("chatroom"))?;
        let (head, tail) = match format {
            ExportFormat::Markdown => (markdown_head(&chatroom), ""),
            ExportFormat::Json => (self.json_head(&chatroom), "]}\n"),
        };
        let branch = self.clone().active_branch(id);
        Ok(try_stream! {
            yield Bytes::from(head);
            let mut branch = std::pin::pin!(branch);
            let mut is_first = true;
            while let Some(message) = branch.next().await {
                let message = message?;
                let text = match format {
                    ExportFormat::Markdown => message_markdown(&message),
                    ExportFormat::Json if is_first => message_json(&message).to_string(),
                    ExportFormat::Json => format!(",{}", message_json(&message)),
                };
                is_first = false;
                yield Bytes::from(text);
            }
            yield Bytes::from_static(tail.as_bytes());
        })
    }

    /// The beginning of the document. The messages follow, then the brackets that close the array and the object.
    fn json_head(&self, chatroom: &chatroom::Model) -> String {
        let head = json!({"exportedAt": self.chatrooms.clock.now(), "chatroom": chatroom_json(chatroom)});
        let head = head.to_string();
        // Without its closing brace.
        format!("{},\"messages\":[", &head[..head.len() - 1])
    }

    /// The messages of the active branch, oldest first. Batches are bounded by bytes.
    fn active_branch(self, chatroom: ChatroomId) -> impl Stream<Item = Result<message::Model>> + Send {
        let db = self.chatrooms.db;
        try_stream! {
            let (mut depth, mut parent) = (-1, None);
            loop {
                let positions =
                    messages::active_positions_after(db.read(), chatroom, depth, POSITIONS_PER_QUERY).await?;
                let Some(last) = positions.last() else { break };
                depth = last.depth;
                let mut remaining = positions.as_slice();
                while !remaining.is_empty() {
                    let (batch, rest) = remaining.split_at(batch_size(remaining));
                    remaining = rest;
                    let ids: Vec<_> = batch.iter().map(|position| position.id).collect();
                    let read = messages::by_ids(db.read(), &ids, |_: &_| Ok::<_, DbErr>(())).await?;
                    let mut read: HashMap<_, _> = read.into_iter().map(|message| (message.id, message)).collect();
                    for id in ids {
                        // If another branch has become active meanwhile, the parent is not the message before this one.
                        let message = read.remove(&id).filter(|message| message.parent_id == parent);
                        let message = message.ok_or(Error::NotFound("message"))?;
                        parent = Some(message.id);
                        yield message;
                    }
                }
            }
        }
    }
}

fn markdown_head(chatroom: &chatroom::Model) -> String {
    let instruction = chatroom.system_instruction.as_deref().filter(|text| !text.is_empty());
    let instruction = instruction.map(|text| format!("> {}\n\n", text.replace('\n', "\n> ")));
    format!("# {}\n\n{}", chatroom.title, instruction.unwrap_or_default())
}

fn message_markdown(message: &message::Model) -> String {
    let author = match message.role {
        message::Role::User => "User",
        message::Role::Model => message.model.as_deref().unwrap_or("Model"),
    };
    let time = message.created_at.format("%Y-%m-%d %H:%M:%S UTC");
    format!("## {author} ({time})\n\n{}\n\n", message.content.trim_end())
}
