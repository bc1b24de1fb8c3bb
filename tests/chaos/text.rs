//! The texts of replies. They are derived from the question, so that missing, repeated and reordered chunks can be detected.

use std::time::Duration;

use serde_json::Value;

use crate::support::Script;

/// Returns the chunks of the answer to a question. Each contains the question and the number of the chunk.
pub fn chunks(question: &str) -> Vec<String> {
    let count = 5 + question.bytes().map(usize::from).sum::<usize>() % 15;
    (0..count).map(|number| format!("[{question}#{number} é]")).collect()
}

fn answer(question: &str) -> String {
    chunks(question).concat()
}

/// Returns the model's response to a conversation. With a fixed duration, it succeeds after this time. Otherwise it takes a
/// random time, and in 2 % of the cases the model is overloaded or breaks the connection after two chunks.
pub fn script(body: &Value, fixed_duration: Option<Duration>) -> Script {
    let question = body["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"].as_str().unwrap();
    let chunks = chunks(question);
    if let Some(duration) = fixed_duration {
        let pause = duration / u32::try_from(chunks.len()).unwrap();
        return chunks
            .iter()
            .fold(Script::new(), |script, chunk| script.text(chunk).pause(pause))
            .finish("STOP");
    }
    match fastrand::u32(..100) {
        0 => return Script::gemini_error(503, "UNAVAILABLE", serde_json::json!([])),
        1 => return Script::new().text(&chunks[0]).text(&chunks[1]).disconnect(),
        _ => {}
    }
    let pause = Duration::from_millis(fastrand::u64(30..150));
    chunks.iter().fold(Script::new(), |script, chunk| script.text(chunk).pause(pause)).finish("STOP")
}

/// How a text differs from the expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A chunk is missing.
    Lost,
    /// A chunk occurs more than once.
    Duplicated,
    /// The chunks are in another order, or the text contains something else.
    Reordered,
}

/// Compares a text with the answer to a question. Returns `None` if they are equal.
pub fn find_flaw(question: &str, text: &str) -> Option<Flaw> {
    if text == answer(question) {
        return None;
    }
    let positions: Vec<Vec<usize>> = chunks(question)
        .iter()
        .map(|chunk| text.match_indices(chunk.as_str()).map(|(at, _)| at).collect())
        .collect();
    if positions.iter().any(Vec::is_empty) {
        Some(Flaw::Lost)
    } else if positions.iter().any(|at| at.len() > 1) {
        Some(Flaw::Duplicated)
    } else {
        Some(Flaw::Reordered)
    }
}
