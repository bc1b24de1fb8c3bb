//! Unicode helpers: blank texts, invisible characters, separators, digits of all scripts, and U+0000.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::error::{Error, Result};

/// Whether the text has no visible character: it is empty, or all white space, control, format and filler characters.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// Whether a character is invisible, according to Unicode's White_Space, Default_Ignorable_Code_Point and general category, or
/// because it is one of three characters with a blank glyph.
pub(super) fn is_invisible(c: char) -> bool {
    // Characters with Prepended_Concatenation_Mark are format characters, but visible: they enclose digits.
    let is_visible_format = matches!(
        c,
        '\u{600}'
            ..='\u{605}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'
                | '\u{891}'
                | '\u{8e2}'
                | '\u{110bd}'
                | '\u{110cd}'
    );
    let is_ignorable = matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2065}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}');
    let has_blank_glyph = matches!(c, '\u{2800}' | '\u{1d159}' | '\u{16fe4}');
    c.is_whitespace()
        || c.is_control()
        || is_ignorable
        || has_blank_glyph
        || c.general_category() == GeneralCategory::Format && !is_visible_format
}

/// Whether the character separates groups of digits: a dash, a dot, or an invisible character.
pub(super) fn is_separator(c: char) -> bool {
    is_invisible(c)
        || c.general_category() == GeneralCategory::DashPunctuation
        || matches!(c, '.' | '\u{2212}')
}

/// The ASCII digit with the value of a decimal digit of any script; none for other characters.
pub(super) fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let is_digit = |c: char| c.general_category() == GeneralCategory::DecimalNumber;
    // The digits of a script are ten consecutive code points, from zero to nine. Several such sets may follow one another.
    let preceding =
        (0..u32::from(c)).rev().take_while(|&code| char::from_u32(code).is_some_and(is_digit)).count();
    is_digit(c).then(|| char::from_digit(u32::try_from(preceding).ok()? % 10, 10)).flatten()
}

/// Rejects U+0000, which PostgreSQL cannot store.
///
/// # Errors
/// [`Error::BadInput`] for `field`.
pub(super) fn reject_nul(field: &'static str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::bad_input(field, format!("{field} must not contain the character U+0000.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_visible_character_is_blank() {
        for blank in [
            "",
            " \n\t",
            "\u{200b}",
            "\u{200e}\u{202a}\u{2066}\u{2069}",
            "\u{ad}",
            "\u{feff}",
            "\u{115f}\u{1160}",
            "\u{3164}",
            "\u{ffa0}",
            "\u{2800}",
            "\u{180e}",
            "\u{e0041}",
            "\u{fe0f}",
            "\u{34f}",
            "\u{a0}\u{3000}",
            "\0",
        ] {
            assert!(is_blank(blank), "{}", blank.escape_unicode());
        }
        for visible in ["a", "\u{200b}.", "é", "👨‍👩‍👧", "نص", "\u{6dd}", "\u{301}", "-"] {
            assert!(!is_blank(visible), "{}", visible.escape_unicode());
        }
    }

    #[test]
    fn a_decimal_digit_of_any_script_has_its_value() {
        for (digits, ascii) in [
            ("0123456789", "0123456789"),
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("۰۱۲۳۴۵۶۷۸۹", "0123456789"),
            ("०१२३४५६७८९", "0123456789"),
            ("๐๑๒๓๔๕๖๗๘๙", "0123456789"),
            ("０１２３４５６７８９", "0123456789"),
            ("𝟗𝟘𝟡𝟢𝟬𝟵", "909009"),
        ] {
            let read: Option<String> = digits.chars().map(ascii_digit).collect();
            assert_eq!(read.as_deref(), Some(ascii), "{digits}");
        }
        assert!("a½²Ⅷ五+".chars().all(|c| ascii_digit(c).is_none()));
    }
}
