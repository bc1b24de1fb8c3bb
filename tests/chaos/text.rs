//! The texts of replies: made of the question, so that anybody can tell what is missing.

use std::time::Duration;

use serde_json::Value;

use crate::support::Script;

/// The pieces of the answer to a question, each with its number.
pub fn pieces(question: &str) -> Vec<String> {
    let many = 5 + question.bytes().map(usize::from).sum::<usize>() % 15;
    (0..many).map(|number| format!("[{question}#{number} é]")).collect()
}

pub fn answer(question: &str) -> String {
    pieces(question).concat()
}

/// What the model says to a conversation. Now and then it is overloaded or breaks off; a `steady` one never.
pub fn script(body: &Value, steady: Option<Duration>) -> Script {
    let question = body["contents"].as_array().unwrap().last().unwrap()["parts"][0]["text"].as_str().unwrap();
    let pieces = pieces(question);
    if let Some(time) = steady {
        let pause = time / u32::try_from(pieces.len()).unwrap();
        return pieces
            .iter()
            .fold(Script::new(), |script, piece| script.text(piece).pause(pause))
            .finish("STOP");
    }
    match fastrand::u32(..100) {
        0 => return Script::fails(503, "UNAVAILABLE", serde_json::json!([])),
        1 => return Script::new().text(&pieces[0]).text(&pieces[1]).cut(),
        _ => {}
    }
    let pause = Duration::from_millis(fastrand::u64(30..150));
    pieces.iter().fold(Script::new(), |script, piece| script.text(piece).pause(pause)).finish("STOP")
}

/// What is wrong with a text that should be the answer to a question.
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
    let places: Vec<Vec<usize>> = pieces(question)
        .iter()
        .map(|piece| text.match_indices(piece.as_str()).map(|(at, _)| at).collect())
        .collect();
    if places.iter().any(Vec::is_empty) {
        Some(Flaw::Lost)
    } else if places.iter().any(|at| at.len() > 1) {
        Some(Flaw::Duplicated)
    } else {
        Some(Flaw::Reordered)
    }
}
