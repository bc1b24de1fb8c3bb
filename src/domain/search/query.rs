//! What a user searches for, and how well a message matches it.

use crate::{
    error::{Error, Result},
    store::search::Term,
};

use super::words::{Kind, Word, words};

const MAX_CHARS: usize = 256;
/// How many different words of a query are used. Further ones are ignored.
const MAX_TERMS: usize = 24;
/// Upper bound of the score of one term.
const MAX_TERM_SCORE: u64 = 1_000_000;
/// BM25's k1 in thousandths: how slowly the score grows with the number of occurrences.
const K1: u64 = 1200;
/// BM25's b in thousandths: how much the length of the message reduces the score.
const B: u64 = 500;
/// The average length of a message in words, which BM25 compares with the length of each message.
const AVERAGE_LENGTH: u64 = 100;

/// The different words of a query. A message matches if it contains all of them; no character of a query has a special meaning.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    pub(super) terms: Vec<Term>,
}

impl SearchQuery {
    /// # Errors
    /// [`Error::BadInput`] for a text that is too long.
    pub fn new(text: &str) -> Result<Self> {
        let length = text.chars().count();
        if length > MAX_CHARS {
            let message = format!("query must be at most {MAX_CHARS} characters; got {length}.");
            return Err(Error::bad_input("query", message));
        }
        let mut terms: Vec<Term> = Vec::new();
        for Word { text, kind, .. } in words(text) {
            let is_prefix = match kind {
                // One letter would match too much.
                Kind::Separated => text.chars().nth(1).is_some(),
                // Also finds pairs that begin with this character.
                Kind::Single => true,
                Kind::Pair => false,
                // Already part of the last pair.
                Kind::Last => continue,
            };
            let term = Term { text, is_prefix };
            if terms.len() < MAX_TERMS && !terms.contains(&term) {
                terms.push(term);
            }
        }
        Ok(Self { terms })
    }

    /// The index of the first query term that matches this word.
    pub(super) fn term_of(&self, word: &str) -> Option<usize> {
        self.terms.iter().position(|term| term.matches(word))
    }

    /// How well a message with these words matches, as in [BM25](https://en.wikipedia.org/wiki/Okapi_BM25): the score is higher
    /// if the words of the query occur more often and if the message has fewer other words. A word that only begins with a word
    /// of the query counts half. The score depends on the message alone, so that new messages do not change the order of pages.
    /// None if any word of the query is missing from the message.
    pub(super) fn score(&self, words: &[(&str, u32)]) -> Option<u64> {
        let length: u64 = words.iter().map(|(_, count)| u64::from(*count)).sum();
        let term_score = |term: &Term| {
            let matching = words.iter().filter(|(word, _)| term.matches(word));
            // In halves, because a prefix match counts half.
            let halves: u64 = matching
                .map(|(word, count)| u64::from(*count) * if *word == term.text { 2 } else { 1 })
                .sum();
            let norm = 2 * K1 * (1000 - B) / 1000 + 2 * K1 * B * length / (1000 * AVERAGE_LENGTH);
            let score = halves * 1000 * MAX_TERM_SCORE / (halves * 1000 + norm);
            (halves > 0).then_some(score)
        };
        self.terms.iter().map(term_score).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> String {
        let terms = SearchQuery::new(text).unwrap().terms.into_iter();
        terms.map(|term| term.text + if term.is_prefix { "*" } else { "" }).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn separated_words_match_as_prefixes_and_unseparated_characters_match_as_pairs() {
        assert_eq!(terms("Plan a CAFÉ plan"), "plan* a cafe*");
        assert_eq!(terms("東京都"), "東京 京都");
        assert_eq!(terms("猫"), "猫*");
        assert_eq!(terms("\"a OR b*\" NOT (c:d) -e"), "a or* b not* c d e");
        assert_eq!(terms("!? 👍 \0"), "");
        let many = (10..90).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(terms(&many).split(' ').count(), MAX_TERMS);
    }

    #[test]
    fn a_long_query_is_rejected_with_the_limit() {
        assert!(SearchQuery::new(&"é".repeat(256)).is_ok());
        let Err(Error::BadInput { field, message }) = SearchQuery::new(&"é".repeat(257)) else {
            panic!("accepted")
        };
        assert_eq!((field, message.as_str()), ("query", "query must be at most 256 characters; got 257."));
    }

    #[test]
    fn a_message_in_which_the_words_are_more_frequent_has_a_higher_score() {
        let query = SearchQuery::new("plan").unwrap();
        let score = |words: &[(&str, u32)]| query.score(words);
        let once = score(&[("plan", 1), ("x", 9)]);
        assert!(score(&[("plan", 2), ("x", 8)]) > once);
        assert!(score(&[("plan", 1), ("x", 90)]) < once);
        assert!(score(&[("planning", 1), ("x", 9)]) < once);
        assert!(score(&[("planning", 1)]).is_some());
        assert_eq!(score(&[("pla", 1)]), None);
        assert_eq!(SearchQuery::new("plan x").unwrap().score(&[("plan", 5)]), None);
    }
}
