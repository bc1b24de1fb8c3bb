//! The built-in model for servers without an API key: its replies state that it is a demo.

use std::time::Duration;

use async_stream::stream;
use futures_util::{StreamExt, stream::BoxStream};

use crate::ports::model::{Chunk, LanguageModel, ModelError, ModelUsage, Prompt, Task, Tokens};

const NAME: &str = "demo";
/// The delay before each word: about the speed at which people read.
const DELAY_PER_WORD: Duration = Duration::from_millis(40);
/// How much of the user's message an answer quotes, in characters.
const MAX_QUOTE: usize = 80;
const MAX_TITLE_WORDS: usize = 6;

#[derive(Debug)]
pub struct DemoModel {
    names: [String; 1],
}

impl Default for DemoModel {
    fn default() -> Self {
        Self { names: [NAME.to_owned()] }
    }
}

impl LanguageModel for DemoModel {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn provider(&self) -> &'static str {
        "Pollux"
    }

    fn generate(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>> {
        let answer = match prompt.task {
            Task::Reply => answer(&prompt),
            Task::Title => title(&prompt),
        };
        stream! {
            let mut words = 0;
            for word in answer.split_inclusive(' ') {
                tokio::time::sleep(DELAY_PER_WORD).await;
                words += 1;
                yield Ok(Chunk::Text(word.to_owned()));
            }
            let words_of_turns = prompt.turns.iter().map(|turn| turn.text.split_whitespace().count());
            let prompt_tokens = i32::try_from(words_of_turns.sum::<usize>()).unwrap_or(i32::MAX);
            let tokens = Tokens { prompt: prompt_tokens, output: words, thoughts: 0 };
            yield Ok(Chunk::Usage(ModelUsage { model: Some(NAME.to_owned()), tokens: Some(tokens) }));
            yield Ok(Chunk::End { finish_reason: "STOP".to_owned() });
        }
        .boxed()
    }
}

/// The first words of the conversation.
fn title(prompt: &Prompt) -> String {
    let question = prompt.turns.first().map_or("", |turn| &*turn.text);
    question.split_whitespace().take(MAX_TITLE_WORDS).collect::<Vec<_>>().join(" ")
}

fn answer(prompt: &Prompt) -> String {
    let question = prompt.turns.last().map_or("", |turn| turn.text.trim());
    let mut quote: String = question.chars().take(MAX_QUOTE).collect();
    if quote.len() < question.len() {
        quote.push('…');
    }
    let so_far = match prompt.turns.len() {
        0 | 1 => "This is the beginning of our conversation.".to_owned(),
        turns => format!("I was given {turns} turns of our conversation, yours and mine."),
    };
    format!(
        "This is the demo model of Pollux, so this answer is made up of what you sent: “{quote}” {so_far} Everything \
         around it is real: your message was stored and this reply queued in one transaction, a worker is writing it, and \
         it reaches every device that follows it, even if the server is stopped half-way. Set GEMINI_API_KEY \
         or OPENAI_MODELS and restart, and a real model answers in my place."
    )
}
