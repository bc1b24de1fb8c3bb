//! Counts the [tokens](https://spec.graphql.org/draft/#sec-Appendix-Grammar-Summary.Lexical-Tokens) of a document before it is
//! parsed, so that the parser's work is bounded.

use super::limits::{Fault, Rejection, check_limit};
use crate::error::RequestLimit;

const MAX_TOKENS: usize = 2000;
/// The maximum number of levels of nested brackets of all kinds.
const MAX_NESTING: usize = 64;
/// The maximum length of a name in characters. The length is limited because responses and errors repeat names.
const MAX_NAME_LENGTH: usize = 128;

/// Counts the tokens of a document.
///
/// # Errors
/// A limit is exceeded, or a string is not terminated.
pub(super) fn count(text: &str) -> Result<usize, Rejection> {
    let mut rest = text.as_bytes();
    let (mut tokens, mut nesting, mut deepest_nesting, mut longest_name) = (0, 0_usize, 0, 0);
    while let Some((&first, after)) = rest.split_first() {
        let length = match first {
            // Whitespace, commas, and the three bytes of a byte order mark.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xEF | 0xBB | 0xBF => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = &rest[prefix_len(rest, |byte| byte != b'\n' && byte != b'\r')..];
                continue;
            }
            b'"' => string_len(rest).ok_or_else(|| {
                let message = "Unterminated string.".to_owned();
                Rejection::Syntax(vec![Fault { message, position: None }])
            })?,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let length = prefix_len(rest, |byte| byte == b'_' || byte.is_ascii_alphanumeric());
                longest_name = length.max(longest_name);
                length
            }
            b'-' | b'0'..=b'9' => number_len(rest),
            b'.' if rest.starts_with(b"...") => 3,
            _ => 1,
        };
        match first {
            b'{' | b'[' | b'(' => {
                nesting += 1;
                deepest_nesting = nesting.max(deepest_nesting);
            }
            b'}' | b']' | b')' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        tokens += 1;
        rest = &rest[length..];
    }
    check_limit(RequestLimit::Tokens, tokens, MAX_TOKENS)?;
    check_limit(RequestLimit::Nesting, deepest_nesting, MAX_NESTING)?;
    check_limit(RequestLimit::NameLength, longest_name, MAX_NAME_LENGTH)?;
    Ok(tokens)
}

/// The length of the longest prefix whose bytes all match.
fn prefix_len(text: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| !matches(byte)).unwrap_or(text.len())
}

/// The length of the number with which the text begins, such as `-12`, `1.5` or `1e-9`.
fn number_len(text: &[u8]) -> usize {
    let end_of_digits = |from: usize| from + prefix_len(&text[from..], |byte| byte.is_ascii_digit());
    let mut end = end_of_digits(1);
    if text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = end_of_digits(end + 1);
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let exponent_start = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        if text.get(exponent_start).is_some_and(u8::is_ascii_digit) {
            end = end_of_digits(exponent_start);
        }
    }
    end
}

/// The length of the string with which the text begins. Returns `None` if the string is not terminated.
fn string_len(text: &[u8]) -> Option<usize> {
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

    /// The message about the limit that a text exceeds.
    fn exceeded_limit(text: &str) -> String {
        match count(text) {
            Err(Rejection::LimitExceeded(exceeded)) => exceeded.message(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tokens_are_counted_as_the_grammar_defines_them() {
        let filled = |filler: &str, tokens: usize| format!("{{{}}}", filler.repeat(tokens));
        // Each filler is one token; the braces are two.
        let fillers =
            ["a ", "...", "-1.5e+3,", "\"a \\\" b\"", "\"\"\" \" \\\"\"\" \"\"\"", "# { \n$", "\u{feff}!"];
        for filler in fillers {
            assert_eq!(count(&filled(filler, 10)).unwrap(), 12, "{filler}");
            let message = "Query token count 2002 exceeds the maximum of 2000.";
            assert_eq!(exceeded_limit(&filled(filler, MAX_TOKENS)), message, "{filler}");
        }
        for (text, tokens) in [("a...F...F", 5), ("1-1-1", 3), ("1.5.6", 3), ("1e9e9", 2), ("a1.b", 3)] {
            assert_eq!(count(text).unwrap(), tokens, "{text}");
        }
        assert_eq!(count(&"a ".repeat(MAX_TOKENS)).unwrap(), MAX_TOKENS);
        assert!(count(&"[".repeat(MAX_NESTING)).is_ok());
        assert_eq!(
            exceeded_limit(&"[".repeat(MAX_NESTING + 6)),
            "Bracket nesting 70 exceeds the maximum of 64."
        );
        assert!(count(&"a".repeat(MAX_NAME_LENGTH)).is_ok());
        let message = "Name length 130 exceeds the maximum of 128 characters.";
        assert_eq!(exceeded_limit(&"a".repeat(MAX_NAME_LENGTH + 2)), message);
    }

    #[test]
    fn an_unterminated_string_is_a_syntax_error() {
        for text in ["{ a(b: \"", "{ a(b: \"x\n\") }", "{ a(b: \"\"\" \") }", "{ a(b: \"\\"] {
            assert!(matches!(count(text), Err(Rejection::Syntax(_))), "{text}");
            assert!(Document::parse(text, "").is_err(), "{text}");
        }
    }

    proptest! {
        /// The parser cannot create more fields than `count` has counted tokens.
        #[test]
        fn parsed_fields_never_outnumber_counted_tokens(text in "[ab1.\\-+e\"\\\\#{}()$:\n ]{0,60}") {
            let Ok(document) = Document::parse(&text, "") else { return Ok(()) };
            let fields = format!("{document:?}").matches("Field {").count();
            prop_assert!(count(&text).unwrap() >= fields);
        }
    }
}
