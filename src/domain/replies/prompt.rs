//! The prompt for the model: the newest messages of the reply's branch that fit into a token budget.

use entity::message::{self, Role, Status};
use sea_orm::ConnectionTrait;

use super::Replies;
use crate::{
    domain::{billing::tiers::Tier, models::generation},
    error::Result,
    ports::model::{Prompt, Task, Turn},
    store::{
        attempts::Begun,
        branches::{self, HistoryMessage},
    },
};

/// [About four characters of English make a token](https://ai.google.dev/gemini-api/docs/tokens); other scripts take more
/// bytes and more tokens per character, so bytes estimate tokens better than characters do.
const BYTES_PER_TOKEN: usize = 4;

/// An estimate of the tokens of a text of this many bytes.
pub(super) fn estimated_tokens(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// An estimate of the tokens of a prompt.
pub(super) fn estimated_prompt_tokens(prompt: &Prompt) -> usize {
    let instruction = prompt.system_instruction.as_ref().map_or(0, String::len);
    estimated_tokens(instruction + prompt.turns.iter().map(|turn| turn.text.len()).sum::<usize>())
}

/// Maximum number of messages that are read for a prompt.
const MAX_MESSAGES: u32 = 1000;
/// The sizes of the pages in which the messages are read. Most conversations fit into the first page, which is read when the
/// attempt begins.
pub(super) const FIRST_PAGE: usize = 50;
const NEXT_PAGES: [usize; 2] = [250, 700];

impl Replies {
    /// Builds the prompt from the conversation before a reply whose attempt has begun. Returns none if the message that is
    /// replied to was deleted.
    pub(super) async fn build_prompt(
        &self,
        conn: &impl ConnectionTrait,
        begun: Begun,
        cached: &[HistoryMessage],
    ) -> Result<Option<Prompt>> {
        let Begun { reply, model, system_instruction, generation, history, is_pro } = begun;
        let budget = self.history_tokens * BYTES_PER_TOKEN;
        let history = if let Some(history) = active_history(conn, &reply, history, cached, budget).await? {
            self.history_cache.insert(reply.chatroom_id, &history).await;
            history
        } else {
            let Some(question) = reply.parent_id else { return Ok(None) };
            branches::ancestors(conn, question, reply.depth.saturating_sub_unsigned(MAX_MESSAGES)).await?
        };
        Ok(Some(Prompt {
            model: self.models.for_reply(&model, Tier::of(is_pro)).name.clone(),
            system_instruction: system_instruction.filter(|text| !text.is_empty()),
            turns: turns(history, budget),
            generation: generation::merge(generation, self.models.generation()),
            task: Task::Reply,
        }))
    }
}

/// The messages before a reply on the active branch, newest first, until they exceed `budget` bytes. `first_page` contains the
/// newest of them, but only those that are deeper than the cached ones. Returns none if the reply is not on the active branch, or
/// another branch became active while the pages were read.
async fn active_history(
    conn: &impl ConnectionTrait,
    reply: &message::Model,
    first_page: Vec<HistoryMessage>,
    cached: &[HistoryMessage],
    budget: usize,
) -> Result<Option<Vec<HistoryMessage>>> {
    if !reply.active {
        return Ok(None);
    }
    let (mut history, mut bytes): (Vec<HistoryMessage>, usize) = (Vec::new(), 0);
    let (mut parent, mut depth) = (reply.parent_id, reply.depth);
    let mut is_last_page = cached.is_empty() && first_page.len() < FIRST_PAGE;
    let (mut page, mut next_pages) = (first_page, NEXT_PAGES.into_iter());
    loop {
        for message in page {
            if parent != Some(message.id) {
                return Ok(None);
            }
            (parent, depth) = (message.parent_id, message.depth);
            bytes += used_text(&message).len();
            history.push(message);
        }
        // The cached messages are on the reply's branch if the next message to read is the newest of them.
        if parent.is_some() && parent == cached.first().map(|newest| newest.id) {
            for message in cached {
                if bytes > budget || history.len() == MAX_MESSAGES as usize {
                    break;
                }
                bytes += used_text(message).len();
                history.push(message.clone());
            }
            break;
        }
        if is_last_page || bytes > budget {
            break;
        }
        let Some(limit) = next_pages.next() else { break };
        page = branches::above(conn, reply.chatroom_id, depth, limit).await?;
        is_last_page = page.len() < limit;
    }
    Ok((!history.is_empty()).then_some(history))
}

/// The text of a message in a prompt; empty for a failed reply.
fn used_text(message: &HistoryMessage) -> &str {
    if message.status == Status::Failed { "" } else { &message.content }
}

/// The turns of the newest messages that fit into `budget` bytes; always at least the newest. Empty messages and failed replies
/// are skipped. Model APIs require that roles alternate and that the user's turn is the first, so consecutive messages of one
/// role are merged, and a reply at the beginning is removed.
fn turns(newest_first: Vec<HistoryMessage>, budget: usize) -> Vec<Turn> {
    let mut remaining = budget;
    let mut turns: Vec<Turn> = Vec::new();
    let is_used = |message: &HistoryMessage| !used_text(message).is_empty();
    for (index, message) in newest_first.into_iter().filter(is_used).enumerate() {
        match remaining.checked_sub(message.content.len()) {
            Some(rest) => remaining = rest,
            None if index == 0 => remaining = 0,
            None => break,
        }
        match turns.last_mut() {
            // `turns` is newest first here, so its last element follows this message in the conversation.
            Some(later) if later.role == message.role => {
                later.text = format!("{}\n\n{}", message.content, later.text).into();
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
