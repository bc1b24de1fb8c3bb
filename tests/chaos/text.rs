//! The texts of replies, derived from the question so that missing, repeated and reordered chunks can be detected.

use std::time::Duration;

use serde_json::Value;

use crate::support::Script;

/// The numbered chunks of the answer to a question.
pub fn chunks(question: &str) -> Vec<String> {
    let count = 5 + question.bytes().map(usize::from).sum::<usize>() % 15;
    (0..count).map(|number| format!("[{question}#{number} é]")).collect()
}

pub fn answer(question: &str) -> String {
    chunks(question).concat()
}

/// The model's answer to a conversation. Some answers fail as overloaded or truncated, unless `steady` is set.
pub fn script(body: &Value, steady: Option<Duration>) -> Script {
    let question = body["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"].as_str().unwrap();
    let chunks = chunks(question);
    if let Some(time) = steady {
        let pause = time / u32::try_from(chunks.len()).unwrap();
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

/// Describes how a text differs from the answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Lost,
    Duplicated,
    Reordered,
}

pub fn flaw(question: &str, text: &str) -> Option<Flaw> {
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
