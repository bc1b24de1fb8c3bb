//! Phone numbers: parsed as people write them, stored in E.164 form.

use std::{fmt, str::FromStr};

use phonenumber::Type;

use super::numbering::{self, AssignedNumber};
use crate::{
    domain::text::{ascii_digit, is_separator},
    error::Error,
};

/// A phone number in [E.164](https://www.itu.int/rec/T-REC-E.164) form, such as `+14155550123`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// How many trailing digits distinguish the numbers of a block. All numbers of a block may belong to one owner.
const BLOCK_DIGITS: usize = 4;
/// The maximum length of an input, in bytes: enough for 15 digits of any script with punctuation and invisible marks around each.
const MAX_INPUT: usize = 200;

impl FromStr for PhoneNumber {
    type Err = Error;

    /// Parses an international number as people write or paste it. Accepts only numbers that the numbering plan of their
    /// country assigns.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = international_digits(text).and_then(|digits| numbering::parse(&digits));
        match number.filter(is_personal) {
            Some(number) => Ok(Self(format!("+{}", number.digits))),
            None => Err(Error::bad_input(
                "phoneNumber",
                "phoneNumber must be a valid mobile or landline number in E.164 form, such as +14155550123.",
            )),
        }
    }
}

/// The digits after the plus sign, converted to ASCII. None if the text has no plus sign, is too long, or contains anything but
/// digits of any script, phone number punctuation and invisible characters, such as the direction marks in copied numbers.
fn international_digits(text: &str) -> Option<String> {
    if text.len() > MAX_INPUT {
        return None;
    }
    let mut significant = text.chars().filter(|&c| !is_separator(c)).peekable();
    significant.next_if(|&c| c == '(');
    let is_international = matches!(significant.next(), Some('+' | '\u{ff0b}'));
    let digits = significant
        .filter(|c| !matches!(c, '(' | ')' | '/' | '[' | ']' | '\u{ff08}' | '\u{ff09}'))
        .map(ascii_digit);
    digits.collect::<Option<String>>().filter(|_| is_international)
}

/// Whether a person can own the number. One-time codes are sent to such numbers only, and not, for example, to premium-rate
/// numbers, which are expensive.
fn is_personal(number: &AssignedNumber) -> bool {
    matches!(number.kind, Type::FixedLine | Type::Mobile | Type::PersonalNumber | Type::Voip)
}

impl PhoneNumber {
    /// A number from the database. It was parsed before it was stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ISO 3166 code of the number's country; none for numbers that belong to no country.
    #[must_use]
    pub fn country(&self) -> Option<&'static str> {
        numbering::parse(self.0.strip_prefix('+')?)?.country
    }

    /// Loads the numbering plans, which takes 0.1 s, before the first number is parsed.
    pub fn load_plans() {
        numbering::load();
    }

    /// The digits that all numbers of its block share. The owner of a block may earn money from the messages that its numbers
    /// receive, so codes are also limited per block.
    pub(super) fn prefix(&self) -> &str {
        &self.0[..self.0.len().saturating_sub(BLOCK_DIGITS)]
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_numbers_as_people_write_them() {
        for text in ["+14155550123", "+1 415 555-0123", " +1 (415) 555.0123 "] {
            assert_eq!(text.parse::<PhoneNumber>().unwrap().as_str(), "+14155550123");
        }
        assert_eq!("+44 (0)20 7946 0018".parse::<PhoneNumber>().unwrap().as_str(), "+442079460018");
        for text in [
            "",
            "14155550123",
            "0049 30 123456",
            "+",
            "+0415555012",
            "+1415555",
            "+1234567890123456",
            "+1415555O123",
            "++14155550123",
            "+14155550123 ext. 7",
            "+1415555+0123",
            "+1415555\u{0}0123x",
            "+999123456789",
            "+19005550123",
            "+18005550123",
        ] {
            assert!(text.parse::<PhoneNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn parses_pasted_numbers_with_invisible_marks_in_any_script() {
        for text in [
            "\u{202a}+1 415-555-0123\u{202c}",
            "\u{2066}+1 (415) 555-0123\u{2069}",
            "\u{200e}+1\u{a0}415\u{2011}555\u{2011}0123\u{200f}",
            "\u{feff}+1\u{200b}4155550123",
            "+١٤١٥٥٥٥٠١٢٣",
            "＋１４１５５５５０１２３",
            "(+1) 415 555 0123",
            "+1/415/555/0123",
        ] {
            assert_eq!(
                text.parse::<PhoneNumber>().unwrap().as_str(),
                "+14155550123",
                "{}",
                text.escape_unicode()
            );
        }
    }

    /// Numbers from the countries' own numbering plans.
    #[test]
    fn leading_zeros_that_belong_to_a_number_are_kept_and_others_dropped() {
        for (text, stored, country) in [
            ("+225 07 12 34 56 78", "+2250712345678", "CI"),
            ("+225 27 20 25 60 00", "+2252720256000", "CI"),
            ("+39 06 3212 3456", "+390632123456", "IT"),
            ("+39 02 3661 8300", "+390236618300", "IT"),
            ("+39 347 123 4567", "+393471234567", "IT"),
            ("+378 0549 886377", "+3780549886377", "SM"),
            // Numbers of San Marino may be written without their prefix 0549.
            ("+378 886377", "+3780549886377", "SM"),
            ("+39 06 698 12345", "+390669812345", "VA"),
            ("+241 06 03 12 34", "+24106031234", "GA"),
            ("+242 06 612 3456", "+242066123456", "CG"),
            // This zero is dialled only within the country.
            ("+49 (0)30 1234567", "+49301234567", "DE"),
            ("+44 (0)20 7946 0018", "+442079460018", "GB"),
            ("+54 9 11 2345 6789", "+5491123456789", "AR"),
        ] {
            let number: PhoneNumber = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((number.as_str(), number.country()), (stored, Some(country)), "{text}");
            assert_eq!(stored.parse::<PhoneNumber>().unwrap(), number, "a stored number parses to itself");
        }
    }

    #[test]
    fn the_prefix_of_a_number_leaves_out_its_last_four_digits() {
        let number: PhoneNumber = "+491701234567".parse().unwrap();
        assert_eq!((number.country(), number.prefix()), (Some("DE"), "+49170123"));
    }
}
