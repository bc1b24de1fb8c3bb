//! Splits a text into the words by which it is found. A message and a query are split in the same way.
//!
//! ```text
//!  Café 42: 東京都は   ──►   cafe  42  東京  京都  都は  は
//! ```
//!
//! Each word is folded: compatibility forms are replaced, accents are removed, and letters become lower case. Some scripts do not
//! separate words. A run of their characters is split into each pair of neighboring characters (bigrams), and the last character
//! by itself.

use std::{collections::BTreeMap, ops::Range};

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// How many characters at the beginning of a message are searched.
pub(super) const SEARCHED_CHARS: usize = 65_536;
/// Longer words are cut to this many characters.
const MAX_WORD_CHARS: usize = 40;
/// The maximum bytes of all different words of a message, because a `tsvector` of PostgreSQL is limited to a mebibyte.
const MAX_TOTAL_BYTES: usize = 512 * 1024;
/// The bytes that count for each different word in addition to its own.
const WORD_OVERHEAD: usize = 24;

/// A folded word, and its position in the text in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word of a script that separates words.
    Separated,
    /// Two neighboring characters of a script that does not separate words.
    Pair,
    /// The last character of a run of at least two such characters. It is also part of the run's last pair.
    Last,
    /// A run of only one such character.
    Single,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A letter or digit of a script that separates words.
    Letter,
    /// A character of a script that does not separate words.
    Unseparated,
    /// Continues the character before it.
    Mark,
    /// Ends a word or a run.
    Other,
}

/// The different words of a message, each with how often it occurs, sorted.
#[must_use]
pub(super) fn count_words(text: &str) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let mut bytes = 0;
    for word in words(searched_part(text)) {
        if let Some(count) = counts.get_mut(&word.text) {
            *count += 1;
        } else if bytes + word.text.len() + WORD_OVERHEAD <= MAX_TOTAL_BYTES {
            bytes += word.text.len() + WORD_OVERHEAD;
            counts.insert(word.text, 1);
        }
    }
    counts
}

/// The part of a message that is searched.
pub(super) fn searched_part(text: &str) -> &str {
    let end = text.char_indices().nth(SEARCHED_CHARS).map_or(text.len(), |(index, _)| index);
    &text[..end]
}

/// The words of a text, in the order in which they begin.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    // The current word, or the current character of a run.
    let mut current: Option<(Class, Range<usize>)> = None;
    let mut run = Run::default();
    for (index, c) in text.char_indices() {
        let (class, end) = (class(c), index + c.len_utf8());
        match (&mut current, class) {
            (Some((_, range)), Class::Mark) | (Some((Class::Letter, range)), Class::Letter) => {
                range.end = end;
            }
            (_, Class::Letter | Class::Unseparated) => {
                run.flush(text, current.take(), class == Class::Unseparated, &mut words);
                current = Some((class, index..end));
            }
            (_, Class::Mark | Class::Other) => run.flush(text, current.take(), false, &mut words),
        }
    }
    run.flush(text, current, false, &mut words);
    words
}

/// A run of characters of a script that does not separate words.
#[derive(Default)]
struct Run {
    last: Option<LastCharacter>,
}

/// The last character of a run so far.
struct LastCharacter {
    text: String,
    range: Range<usize>,
    /// Whether it is the run's only character so far.
    is_only: bool,
}

impl Run {
    /// Adds `ended`, which is a separated word or the next character of the run, to `words`: a character as a pair with the one
    /// before it. If the run does not continue, also adds its last character.
    fn flush(
        &mut self,
        text: &str,
        ended: Option<(Class, Range<usize>)>,
        run_continues: bool,
        words: &mut Vec<Word>,
    ) {
        let is_unseparated = matches!(ended, Some((Class::Unseparated, _)));
        if let Some((_, range)) = ended {
            let folded = fold(&text[range.clone()]);
            if is_unseparated && !folded.is_empty() {
                let is_only = self.last.is_none();
                if let Some(before) = self.last.take() {
                    let (text, range) = (before.text + &folded, before.range.start..range.end);
                    words.push(Word { text, range, kind: Kind::Pair });
                }
                self.last = Some(LastCharacter { text: folded, range, is_only });
            } else if !folded.is_empty() {
                words.push(Word { text: folded, range, kind: Kind::Separated });
            }
        }
        if !(is_unseparated && run_continues)
            && let Some(LastCharacter { text, range, is_only }) = self.last.take()
        {
            words.push(Word { text, range, kind: if is_only { Kind::Single } else { Kind::Last } });
        }
    }
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Letter } else { Class::Other };
    }
    // Joiners, the soft hyphen, and the marks of half-width kana, which would be letters otherwise.
    if matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{ff9e}' | '\u{ff9f}') {
        return Class::Mark;
    }
    if c.is_alphanumeric() {
        return if is_unseparated(c) { Class::Unseparated } else { Class::Letter };
    }
    match c.general_category_group() {
        GeneralCategoryGroup::Mark => Class::Mark,
        _ => Class::Other,
    }
}

/// Whether the character belongs to a script that does not separate words: Thai, Lao, Tibetan, Burmese, Khmer, kana, bopomofo,
/// Han.
fn is_unseparated(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3300}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9d}' | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Folds a word, so that differences of case, accents and compatibility forms disappear.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        let end = word.len().min(MAX_WORD_CHARS);
        return word[..end].to_ascii_lowercase();
    }
    let letters = word.nfkd().filter(|&c| !is_removed(c)).flat_map(char::to_lowercase);
    letters.filter(|&c| !is_removed(c)).flat_map(base_letters).nfc().take(MAX_WORD_CHARS).collect()
}

/// Whether folding removes the character. It removes accents, vowel points, the Arabic tatweel, and every character that is
/// neither a letter, a digit nor a mark.
fn is_removed(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
        || !c.is_alphanumeric() && c.general_category_group() != GeneralCategoryGroup::Mark
}

/// The letters that people type in place of a letter that Unicode does not decompose; for any other character, the character
/// itself.
fn base_letters(c: char) -> impl Iterator<Item = char> {
    let letters = match c {
        'ß' => ['s', 's'],
        'æ' => ['a', 'e'],
        'œ' => ['o', 'e'],
        'þ' => ['t', 'h'],
        _ => {
            let base = match c {
                'ø' => 'o',
                'ł' => 'l',
                'đ' | 'ð' => 'd',
                'ı' => 'i',
                'ς' => 'σ',
                other => other,
            };
            [base, '\0']
        }
    };
    letters.into_iter().filter(|&c| c != '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_folded() {
        for (text, expected) in [
            ("Don't PANIC, snake_case!", "don t panic snake case"),
            ("Café CAFE\u{301} naïve", "cafe cafe naive"),
            ("Straße Ærø Łódź İstanbul", "strasse aero lodz istanbul"),
            ("ＡＢＣ１２ ﬁn", "abc12 fin"),
            ("Ελλάς ΕΛΛΑΣ", "ελλασ ελλασ"),
            ("Ёлка й", "елка и"),
            ("مُحَمَّد", "محمد"),
            ("한국어 हिन्दी", "한국어 हिन्दी"),
            ("v1.2.3 3,14 ½", "v1 2 3 3 14 12"),
            ("co\u{ad}operate", "cooperate"),
            ("👍 … ?!\u{0}\u{7}\"'*()", ""),
            ("\u{301} a", "a"),
        ] {
            assert_eq!(split(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn scripts_that_do_not_separate_words_are_split_into_pairs() {
        for (text, expected) in [
            ("東京都は", "東京 京都 都は は"),
            ("猫", "猫"),
            ("iPhoneを使う。", "iphone を使 使う う"),
            ("ｶﾞﾗｽ ガラス", "ガラ ラス ス ガラ ラス ス"),
            ("が", "が"),
            ("か\u{3099}く", "がく く"),
            ("ฉันรัก", "ฉั ัน นร รั ัก ก"),
            ("東 京", "東 京"),
        ] {
            assert_eq!(split(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn ranges_refer_to_the_original_text() {
        let text = "👍 Cafe\u{301}は東京。x";
        let parts: Vec<&str> = words(text).into_iter().map(|word| &text[word.range]).collect();
        assert_eq!(parts, ["Cafe\u{301}", "は東", "東京", "京", "x"]);
    }

    #[test]
    fn the_length_of_words_and_the_bytes_of_all_words_are_bounded() {
        let long = "a".repeat(100_000);
        assert_eq!(count_words(&long).into_keys().next().unwrap().len(), MAX_WORD_CHARS);
        let many = (0..40_000).map(|n| format!("𠀀{n:030}")).collect::<Vec<_>>().join(" ");
        assert!(
            count_words(&many).keys().map(|word| word.len() + WORD_OVERHEAD).sum::<usize>()
                <= MAX_TOTAL_BYTES
        );
        assert_eq!(count_words("b a b"), BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    }
}
