//! The part of a message that best shows why a search found the message.

use std::{collections::HashSet, ops::Range};

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::{
    query::SearchQuery,
    words::{searched_part, words},
};

/// The maximum length of a snippet in characters, without the ellipses.
const MAX_CHARS: usize = 160;
/// How many of these characters may precede the first match.
const MAX_CHARS_BEFORE: usize = 40;
/// How many matches, from the beginning of the message, are compared to find the best part.
const MAX_MATCHES: usize = 500;
const MAX_HIGHLIGHTS: usize = 20;
const ELLIPSIS: char = '…';

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The text, with an ellipsis where it was cut.
    pub text: String,
    /// The positions of the first matching words in `text`, in UTF-16 code units.
    pub highlights: Vec<Range<usize>>,
}

impl Snippet {
    #[must_use]
    pub fn of(content: &str, query: &SearchQuery) -> Self {
        // The bytes of each matching word, and the index of the query term that it matches.
        let mut matches: Vec<(Range<usize>, usize)> = Vec::new();
        for word in words(searched_part(content)) {
            if let Some(term) = query.term_of(&word.text) {
                matches.push((word.range, term));
            }
            if matches.len() == MAX_MATCHES {
                break;
            }
        }
        let window = window(content, best_start(content, &matches));
        let mut text = String::new();
        if window.start > 0 {
            text.push(ELLIPSIS);
        }
        let ellipsis_len = text.len();
        text.push_str(&content[window.clone()]);
        let mut highlights = Vec::new();
        // The same position in `text`, in bytes and in UTF-16 code units.
        let (mut position, mut units) = (0, 0);
        for range in clip_and_merge(matches.into_iter().map(|(range, _)| range), &window) {
            let (start, end) =
                (range.start - window.start + ellipsis_len, range.end - window.start + ellipsis_len);
            units += utf16_len(&text[position..start]);
            let length = utf16_len(&text[start..end]);
            highlights.push(units..units + length);
            (position, units) = (end, units + length);
        }
        if window.end < content.len() {
            text.push(ELLIPSIS);
        }
        Self { text, highlights }
    }
}

fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The start of the match from which a snippet would show the most different query words; on a tie, the first.
fn best_start(content: &str, matches: &[(Range<usize>, usize)]) -> Option<usize> {
    let (mut most_terms, mut best_start) = (0, None);
    for (index, (range, _)) in matches.iter().enumerate() {
        let end = nth_after(content, range.start, MAX_CHARS - MAX_CHARS_BEFORE);
        let within = matches[index..].iter().take_while(|(range, _)| range.end <= end);
        let terms: HashSet<usize> = within.map(|(_, term)| *term).collect();
        if best_start.is_none() || terms.len() > most_terms {
            (most_terms, best_start) = (terms.len(), Some(range.start));
        }
    }
    best_start
}

/// The bytes of the snippet that contains the match at `match_start`, or of the beginning of the message if there is no match.
fn window(content: &str, match_start: Option<usize>) -> Range<usize> {
    let window_start = match_start.map_or(0, |match_start| {
        let before = content[..match_start]
            .char_indices()
            .rev()
            .nth(MAX_CHARS_BEFORE - 1)
            .map_or(0, |(index, _)| index);
        if before == 0 {
            return 0;
        }
        // The snippet begins after white space, otherwise at the first position where the text can be cut.
        match content[before..match_start].char_indices().find(|(_, c)| c.is_whitespace()) {
            Some((index, space)) => before + index + space.len_utf8(),
            None => (before..=match_start).find(|&index| is_boundary(content, index)).unwrap_or(match_start),
        }
    });
    let end = nth_after(content, window_start, MAX_CHARS);
    let end = (window_start + 1..=end).rev().find(|&index| is_boundary(content, index)).unwrap_or(end);
    window_start..end
}

/// The byte position `count` characters after `start`, or the end of the text.
fn nth_after(content: &str, start: usize, count: usize) -> usize {
    content[start..].char_indices().nth(count).map_or(content.len(), |(index, _)| start + index)
}

/// Whether the text can be cut here without splitting a grapheme cluster.
fn is_boundary(content: &str, index: usize) -> bool {
    const JOINER: char = '\u{200d}';
    let is_regional_indicator = |c| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    let is_skin_tone = |c| matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
    let is_tag = |c| matches!(c, '\u{e0020}'..='\u{e007f}');
    let is_half_width_sound_mark = |c| matches!(c, '\u{ff9e}' | '\u{ff9f}');
    if !content.is_char_boundary(index) {
        return false;
    }
    let continues = |c: char| {
        c == JOINER
            || c.general_category_group() == GeneralCategoryGroup::Mark
            || is_regional_indicator(c)
            || is_skin_tone(c)
            || is_tag(c)
            || is_half_width_sound_mark(c)
    };
    !content[index..].starts_with(continues) && !content[..index].ends_with(JOINER)
}

/// Clips sorted ranges to the window, and merges ranges that overlap or touch.
fn clip_and_merge(ranges: impl Iterator<Item = Range<usize>>, window: &Range<usize>) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        let range = range.start.max(window.start)..range.end.min(window.end);
        match merged.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged.truncate(MAX_HIGHLIGHTS);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snippet(content: &str, query: &str) -> Snippet {
        Snippet::of(content, &SearchQuery::new(query).unwrap())
    }

    /// The highlighted parts, cut by UTF-16 code units as JavaScript does.
    fn highlighted(snippet: &Snippet) -> Vec<String> {
        let units: Vec<u16> = snippet.text.encode_utf16().collect();
        let part = |range: &Range<usize>| String::from_utf16(&units[range.clone()]).unwrap();
        snippet.highlights.iter().map(part).collect()
    }

    #[test]
    fn a_short_message_is_shown_whole_with_every_match() {
        let found = snippet("👍🏽 Café plans, 東京都の計画 and planning", "plan cafe 東京都");
        assert_eq!(found.text, "👍🏽 Café plans, 東京都の計画 and planning");
        assert_eq!(highlighted(&found), ["Café", "plans", "東京都", "planning"]);
        assert_eq!(found.highlights[0], 5..9);
    }

    #[test]
    fn the_part_with_the_most_different_words_of_the_query_is_shown() {
        let content = format!("red {} red and blue {}", "x ".repeat(300), "y ".repeat(300));
        let found = snippet(&content, "blue red");
        assert_eq!(highlighted(&found), ["red", "blue"]);
        assert!(found.text.starts_with("…x x") && found.text.ends_with('…'), "{}", found.text);
        assert!(found.text.chars().count() <= MAX_CHARS + 2);
    }

    #[test]
    fn cuts_and_highlights_never_split_a_grapheme_cluster() {
        for length in 0..200 {
            let content = format!("{}語plan{}", "👩‍👩‍👧‍👦".repeat(length), "🇩🇪e\u{301}".repeat(100));
            let found = snippet(&content, "plan");
            assert_eq!(highlighted(&found), ["plan"], "{}", found.text);
            let shown = found.text.trim_matches(ELLIPSIS);
            assert!(!shown.starts_with(['\u{200d}', '\u{301}']) && !shown.ends_with('\u{200d}'), "{shown}");
            assert!(content.contains(shown));
        }
    }

    #[test]
    fn a_word_longer_than_the_snippet_is_highlighted_as_far_as_it_is_shown() {
        let found = snippet(&"x".repeat(1000), "xx");
        assert_eq!(highlighted(&found), ["x".repeat(MAX_CHARS)]);
        assert_eq!(snippet("nothing", "plan").highlights, Vec::<Range<usize>>::new());
    }
}
