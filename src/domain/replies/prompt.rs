//! The prompt for the model: the newest messages of the active branch that fit into a token budget.

use entity::message::{self, Role, Status};
use sea_orm::ConnectionTrait;

use super::Replies;
use crate::{
    error::Result,
    ports::model::{Prompt, Turn},
    store::{branches, chatrooms},
};

/// [About four characters of English make a token](https://ai.google.dev/gemini-api/docs/tokens); other scripts take more
/// bytes and more tokens per character, so bytes estimate tokens better than characters do.
const BYTES_PER_TOKEN: usize = 4;
/// Upper bound of the messages that are read for a prompt.
const MAX_MESSAGES: i32 = 1000;

impl Replies {
    /// The conversation before a queued reply. None: the chatroom was deleted.
    pub(super) async fn prompt(
        &self,
        conn: &impl ConnectionTrait,
        reply: &message::Model,
    ) -> Result<Option<Prompt>> {
        let Some(chatroom) = chatrooms::by_ids(conn, &[reply.chatroom_id]).await?.pop() else {
            return Ok(None);
        };
        let Some(question) = reply.parent_id else { return Ok(None) };
        let before = branches::ancestors(conn, question, reply.depth - MAX_MESSAGES).await?;
        let is_offered = self.model.names().contains(&chatroom.model);
        Ok(Some(Prompt {
            // The chatroom's model may no longer be in the settings.
            model: if is_offered { chatroom.model } else { self.model.names()[0].clone() },
            system_instruction: chatroom.system_instruction.filter(|text| !text.is_empty()),
            turns: turns(before, self.history_tokens * BYTES_PER_TOKEN),
        }))
    }
}

/// The turns of the newest messages that fit into `budget` bytes; always at least the newest. Consecutive messages of one
/// role are merged, and the first turn is the user's, because model APIs require it.
fn turns(newest_first: Vec<message::Model>, budget: usize) -> Vec<Turn> {
    let mut left = budget;
    let mut turns: Vec<Turn> = Vec::new();
    let has_content =
        |message: &message::Model| !message.content.is_empty() && message.status != Status::Failed;
    for (index, message) in newest_first.into_iter().filter(has_content).enumerate() {
        match left.checked_sub(message.content.len()) {
            Some(rest) => left = rest,
            None if index == 0 => left = 0,
            None => break,
        }
        match turns.last_mut() {
            Some(later) if later.role == message.role => {
                later.text = format!("{}\n\n{}", message.content, later.text);
            }
            _ => turns.push(Turn { role: message.role, text: message.content }),
        }
    }
    turns.reverse();
    if turns.first().is_some_and(|first| first.role == Role::Model) {
        turns.remove(0);
    }
    turns
}
