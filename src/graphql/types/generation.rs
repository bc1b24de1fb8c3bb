use async_graphql::{InputObject, SimpleObject};
use entity::chatroom::Generation;

/// How the model of a chatroom generates. For a value that is null, the server's setting applies, or else the model's default.
/// Values that the model does not support are ignored.
#[derive(SimpleObject)]
pub struct GenerationSettings {
    /// The randomness of the answer: 0 to 2.
    temperature: Option<f64>,
    /// The share of the probability from which the next token is chosen: 0 to 1.
    top_p: Option<f64>,
    /// The maximum of tokens of an answer, thoughts included.
    max_output_tokens: Option<i32>,
    /// The maximum of tokens for thoughts; 0 for none.
    thinking_budget: Option<i32>,
}

impl From<Generation> for GenerationSettings {
    fn from(settings: Generation) -> Self {
        let Generation { temperature, top_p, max_output_tokens, thinking_budget } = settings;
        Self { temperature, top_p, max_output_tokens, thinking_budget }
    }
}

/// How the model of a chatroom generates. For a value that is null, the server's setting applies, or else the model's default.
#[derive(InputObject)]
pub struct GenerationInput {
    /// The randomness of the answer: 0 to 2.
    temperature: Option<f64>,
    /// The share of the probability from which the next token is chosen: 0 to 1.
    top_p: Option<f64>,
    /// The maximum of tokens of an answer, thoughts included: 1 to the server's maximum.
    max_output_tokens: Option<i32>,
    /// The maximum of tokens for thoughts: 0 for none, at most the server's maximum.
    thinking_budget: Option<i32>,
}

impl From<GenerationInput> for Generation {
    fn from(input: GenerationInput) -> Self {
        let GenerationInput { temperature, top_p, max_output_tokens, thinking_budget } = input;
        Self { temperature, top_p, max_output_tokens, thinking_budget }
    }
}
