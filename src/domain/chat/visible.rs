//! Whether a text shows anything.

/// Whether a character of the text can be seen: none of white space, control characters and
/// [what renders as nothing](https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point).
pub(super) fn has_visible_text(text: &str) -> bool {
    text.chars().any(|c| !(c.is_whitespace() || c.is_control() || is_ignorable(c)))
}

fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
