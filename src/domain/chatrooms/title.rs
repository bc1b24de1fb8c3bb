//! Titles that the model generates for chatrooms. [`replies`](crate::domain::replies) queues the job when one of the first
//! replies ends.

use entity::{
    ChatroomId,
    chatroom::{self, Generation},
    message::Role,
};
use futures_util::StreamExt;

use super::Chatrooms;
use crate::{
    domain::{billing::tiers::Tier, publish::publish, text::is_blank},
    error::Result,
    ports::{
        model::{Chunk, ModelError, Prompt, Retry, Task, Turn},
        signals::Topic,
    },
    store::{branches, chatrooms, commit, users},
};

/// Maximum length of a title in characters.
const MAX_TITLE_CHARS: usize = 60;
/// How many characters of each message the model reads.
const MAX_EXCERPT_CHARS: usize = 2000;
/// After this many bytes, the rest of the model's answer is not read.
const MAX_ANSWER_BYTES: usize = 1000;
/// How many messages the model reads.
const MAX_MESSAGES: usize = 6;
/// The tier whose models may write titles: models of the Pro tier cost more.
const TIER: Tier = Tier::Basic;
const INSTRUCTION: &str = "You write titles of conversations. A title names the subject in at most six words, in the language of the \
     conversation, without quotation marks and without a final period.";
const REQUEST: &str =
    "Write a title for our conversation so far, in its language. Answer with the title alone.";

/// The result of one attempt to generate a title.
pub enum TitleResult {
    /// The title is stored, the chatroom needs none any more, or a retry would not help.
    Done,
    /// The model failed, and a later attempt may succeed.
    Retry,
}

impl Chatrooms {
    /// Asks the model for a title and stores it, unless the chatroom has one. Uses no quota.
    pub async fn generate_title(&self, id: ChatroomId) -> Result<TitleResult> {
        let found = chatrooms::by_ids(self.db.read(), &[id]).await?.pop();
        let Some(chatroom) = found.filter(|found| found.title_source == chatroom::TitleSource::Default)
        else {
            return Ok(TitleResult::Done);
        };
        let Some(prompt) = self.title_prompt(&chatroom).await? else { return Ok(TitleResult::Done) };
        let answer = match self.generate_answer(prompt).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(chatroom_id = %id.0, %error, "generating a title failed");
                return Ok(match error.retry {
                    Retry::After { .. } => TitleResult::Retry,
                    Retry::Never => TitleResult::Done,
                });
            }
        };
        if let Some(title) = title_of(&answer) {
            self.store_title(id, &title).await?;
        }
        Ok(TitleResult::Done)
    }

    /// The prompt that asks for a title. None if the last message that the model would read is not a reply.
    async fn title_prompt(&self, chatroom: &chatroom::Model) -> Result<Option<Prompt>> {
        let mut messages = branches::oldest(self.db.read(), chatroom.id, MAX_MESSAGES).await?;
        messages.retain(|message| !is_blank(&message.content));
        let mut turns: Vec<Turn> = Vec::new();
        for message in messages {
            let text = message.content.chars().take(MAX_EXCERPT_CHARS).collect::<String>().into();
            match turns.last_mut() {
                // The roles alternate: of consecutive messages of one role, the last is used.
                Some(last) if last.role == message.role => last.text = text,
                _ => turns.push(Turn { role: message.role, text }),
            }
        }
        if turns.last().is_none_or(|last| last.role == Role::User) {
            return Ok(None);
        }
        turns.push(Turn { role: Role::User, text: REQUEST.into() });
        Ok(Some(Prompt {
            model: self.replies.models.for_reply(&chatroom.model, TIER).name.clone(),
            system_instruction: Some(INSTRUCTION.to_owned()),
            turns,
            generation: Generation::default(),
            task: Task::Title,
        }))
    }

    async fn generate_answer(&self, prompt: Prompt) -> Result<String, ModelError> {
        let mut chunks = self.replies.models.generate(prompt, TIER);
        let mut answer = String::new();
        while let Some(chunk) = chunks.next().await {
            match chunk? {
                Chunk::Text(text) => answer.push_str(&text),
                Chunk::Usage(_) => {}
                Chunk::End { .. } => break,
            }
            if answer.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(answer)
    }

    /// Stores a title, unless the user has set one meanwhile.
    async fn store_title(&self, id: ChatroomId, title: &str) -> Result<()> {
        let stored = self.db.with_retry(|| async {
            let tx = self.db.begin().await?;
            let Some(chatroom) = chatrooms::set_generated_title(&tx, id, title).await? else {
                tx.rollback().await?;
                return Ok(None);
            };
            let list_version = users::increment_list_version(&tx, chatroom.user_id).await?;
            commit(tx).await?;
            self.cache_list_version(chatroom.user_id, list_version).await;
            Ok(Some(chatroom))
        });
        if let Some(chatroom) = stored.await? {
            publish(&*self.signals, &[Topic::Chatroom(id), Topic::Chatrooms(chatroom.user_id)]).await;
        }
        Ok(())
    }
}

/// The title in a model's answer: its first line that is not blank, without quotes and Markdown, cut at a word if it is too long.
fn title_of(answer: &str) -> Option<String> {
    let line = answer.lines().find(|line| !is_blank(line))?;
    let is_decoration = |c: char| {
        c.is_whitespace()
            || matches!(c, '"' | '\'' | '`' | '*' | '_' | '#' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
            || matches!(c, '「' | '」' | '『' | '』' | '《' | '》')
    };
    let line = line.trim_matches(is_decoration).trim_end_matches('.').trim_end_matches(is_decoration);
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let title: String = words.chars().filter(|c| !c.is_control()).collect();
    if title.chars().count() <= MAX_TITLE_CHARS {
        return (!is_blank(&title)).then_some(title);
    }
    let cut: String = title.chars().take(MAX_TITLE_CHARS).collect();
    // If there is no space in the second half, the title is cut within a word.
    let end = cut.rfind(' ').filter(|&end| end > cut.len() / 2).unwrap_or(cut.len());
    Some(cut[..end].trim_end_matches([',', ';', ':', '-', ' ']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_without_quotes_of_at_most_60_characters() {
        for (answer, title) in [
            ("Trip to Rome", "Trip to Rome"),
            ("\n \"Trip to Rome.\"\nIt is about Rome.", "Trip to Rome"),
            ("**Trip to  Rome**", "Trip to Rome"),
            ("# “Voyage à Rome”", "Voyage à Rome"),
            ("「京都への旅」", "京都への旅"),
            ("L'été d'Anna", "L'été d'Anna"),
        ] {
            assert_eq!(title_of(answer).as_deref(), Some(title), "{answer}");
        }
        for unusable in ["", " \n", "\"\"", "***", "\u{200b}"] {
            assert_eq!(title_of(unusable), None, "{unusable:?}");
        }
        let long = title_of(&"abcd ".repeat(40)).unwrap();
        assert_eq!(long, "abcd ".repeat(12).trim_end());
        assert_eq!(title_of(&"京".repeat(80)).unwrap(), "京".repeat(60));
    }
}
