//! Counting a text's [tokens](https://spec.graphql.org/draft/#sec-Appendix-Grammar-Summary.Lexical-Tokens) without reading it.

use super::limits::{Fault, Refusal, within};

const TOKENS: usize = 2000;
/// Brackets within brackets, of every kind.
const NESTING: usize = 64;
/// Names are repeated in answers and errors, as often as they are used.
const NAME: usize = 128;

/// # Errors
/// There are more than a document may have, or a string that does not end.
pub(super) fn count(text: &str) -> Result<usize, Refusal> {
    let mut rest = text.as_bytes();
    let (mut tokens, mut nesting) = (0, 0_usize);
    while let Some((&first, after)) = rest.split_first() {
        let length = match first {
            // The three bytes of a byte order mark, too.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xEF | 0xBB | 0xBF => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = &rest[while_in(rest, |byte| byte != b'\n' && byte != b'\r')..];
                continue;
            }
            b'"' => string(rest).ok_or_else(|| {
                let message = "A string does not end.".to_owned();
                Refusal::Syntax(vec![Fault { message, position: None }])
            })?,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let length = while_in(rest, |byte| byte == b'_' || byte.is_ascii_alphanumeric());
                within("name length", length, NAME)?;
                length
            }
            b'-' | b'0'..=b'9' => number(rest),
            b'.' if rest.starts_with(b"...") => 3,
            _ => 1,
        };
        match first {
            b'{' | b'[' | b'(' => nesting += 1,
            b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        tokens += 1;
        within("tokens", tokens, TOKENS)?;
        within("nesting", nesting, NESTING)?;
        rest = &rest[length..];
    }
    Ok(tokens)
}

fn while_in(text: &[u8], is_in: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| !is_in(byte)).unwrap_or(text.len())
}

/// The length of the number that the text begins with: `-12`, `1.5`, `1e-9`.
fn number(text: &[u8]) -> usize {
    let digits = |from: usize| from + while_in(&text[from..], |byte| byte.is_ascii_digit());
    let mut end = digits(1);
    if text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        if text.get(signed).is_some_and(u8::is_ascii_digit) {
            end = digits(signed);
        }
    }
    end
}

/// The length of the string that the text begins with; none where it does not end.
fn string(text: &[u8]) -> Option<usize> {
    let is_block = text.starts_with(br#"""""#);
    let quotes: &[u8] = if is_block { br#"""""# } else { br#"""# };
    let mut at = quotes.len();
    while at < text.len() {
        if text[at..].starts_with(quotes) {
            return Some(at + quotes.len());
        }
        at += match text[at] {
            b'\\' if is_block && text[at + 1..].starts_with(quotes) => 1 + quotes.len(),
            b'\\' if !is_block => 2,
            b'\n' | b'\r' if !is_block => return None,
            _ => 1,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use apollo_compiler::ast::Document;
    use proptest::prelude::*;

    use super::*;

    fn past(limit: &'static str, max: usize) -> Result<usize, Refusal> {
        Err(Refusal::TooMuch { limit, max })
    }

    #[test]
    fn tokens_are_counted_as_the_language_has_them() {
        let filled = |filler: &str, tokens: usize| format!("{{{}}}", filler.repeat(tokens));
        // Each filler is one token, and two are the braces.
        let fillers =
            ["a ", "...", "-1.5e+3,", "\"a \\\" b\"", "\"\"\" \" \\\"\"\" \"\"\"", "# { \n$", "\u{feff}!"];
        for filler in fillers {
            assert_eq!(count(&filled(filler, 10)).unwrap(), 12, "{filler}");
            assert_eq!(count(&filled(filler, TOKENS)), past("tokens", TOKENS), "{filler}");
        }
        for (text, tokens) in [("a...F...F", 5), ("1-1-1", 3), ("1.5.6", 3), ("1e9e9", 2), ("a1.b", 3)] {
            assert_eq!(count(text).unwrap(), tokens, "{text}");
        }
        assert_eq!(count(&"a ".repeat(TOKENS)).unwrap(), TOKENS);
        assert!(count(&"[".repeat(NESTING)).is_ok());
        assert_eq!(count(&"[".repeat(NESTING + 1)), past("nesting", NESTING));
        assert!(count(&"a".repeat(NAME)).is_ok());
        assert_eq!(count(&"a".repeat(NAME + 1)), past("name length", NAME));
    }

    #[test]
    fn a_string_that_does_not_end_hides_nothing() {
        for text in ["{ a(b: \"", "{ a(b: \"x\n\") }", "{ a(b: \"\"\" \") }", "{ a(b: \"\\"] {
            assert!(matches!(count(text), Err(Refusal::Syntax(_))), "{text}");
            assert!(Document::parse(text, "").is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever the parser makes of a text, it made of no more tokens than were counted.
        #[test]
        fn no_more_is_parsed_than_was_counted(text in "[ab1.\\-+e\"\\\\#{}()$:\n ]{0,60}") {
            let Ok(document) = Document::parse(&text, "") else { return Ok(()) };
            let names = format!("{document:?}").matches("Field {").count();
            prop_assert!(count(&text).unwrap() >= names);
        }
    }
}
