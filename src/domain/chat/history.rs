//! What of a conversation goes to the model: the newest messages that fit into a budget of tokens.

use entity::message::{self, Role, Status};
use sea_orm::ConnectionTrait;

use super::Chat;
use crate::{
    error::Result,
    ports::model::{Prompt, Turn},
    store::{branches, chatrooms},
};

/// [About four characters of English make a token](https://ai.google.dev/gemini-api/docs/tokens); other scripts take more
/// bytes a character and more tokens, so that bytes are the better estimate.
const BYTES_PER_TOKEN: usize = 4;
/// More than any budget that is sensible can hold.
const MOST_MESSAGES: i32 = 1000;

impl Chat {
    /// The conversation up to a reply that is to be written. None: the room is gone.
    pub(super) async fn prompt(
        &self,
        conn: &impl ConnectionTrait,
        reply: &message::Model,
    ) -> Result<Option<Prompt>> {
        let Some(room) = chatrooms::by_ids(conn, &[reply.chatroom_id]).await?.pop() else { return Ok(None) };
        let Some(asked) = reply.parent_id else { return Ok(None) };
        let before = branches::ancestors(conn, asked, reply.depth - MOST_MESSAGES).await?;
        let known = self.model.names().contains(&room.model);
        Ok(Some(Prompt {
            // A model may have been taken out of the settings since the room chose it.
            model: if known { room.model } else { self.model.names()[0].clone() },
            system_instruction: room.system_instruction.filter(|text| !text.is_empty()),
            turns: turns(before, self.history_tokens * BYTES_PER_TOKEN),
        }))
    }
}

/// Turns from messages, newest first: as many as fit into `budget` bytes, the newest always. Turns of one speaker in a row
/// become one, and the first is the user's, as the models want it.
fn turns(newest_first: Vec<message::Model>, budget: usize) -> Vec<Turn> {
    let mut left = budget;
    let mut turns: Vec<Turn> = Vec::new();
    let said = |message: &message::Model| !message.content.is_empty() && message.status != Status::Failed;
    for (place, message) in newest_first.into_iter().filter(said).enumerate() {
        match left.checked_sub(message.content.len()) {
            Some(rest) => left = rest,
            None if place == 0 => left = 0,
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
