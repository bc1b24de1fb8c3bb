//! Phone numbers.

use std::{fmt, str::FromStr};

use crate::error::Error;

/// A phone number in [E.164](https://www.itu.int/rec/T-REC-E.164) form, such as `+14155550123`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

impl FromStr for PhoneNumber {
    type Err = Error;

    /// Reads a number as people write it: spaces, hyphens, dots and parentheses do not count.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number: String = text.chars().filter(|c| !" -.()".contains(*c)).collect();
        let digits = number.strip_prefix('+').unwrap_or_default();
        let plausible = (8..=15).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible {
            Ok(Self(number))
        } else {
            Err(Error::bad_input(
                "phoneNumber",
                "phoneNumber must be in E.164 form: + and country code, 8 to 15 digits in all, as in +14155550123.",
            ))
        }
    }
}

impl PhoneNumber {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
    fn reads_numbers_as_people_write_them() {
        for text in ["+14155550123", "+1 415 555-0123", "+1 (415) 555.0123"] {
            assert_eq!(text.parse::<PhoneNumber>().unwrap().as_str(), "+14155550123");
        }
        for text in [
            "",
            "14155550123",
            "+",
            "+0415555012",
            "+1415555",
            "+1234567890123456",
            "+1415555O123",
            "++14155550123",
        ] {
            assert!(text.parse::<PhoneNumber>().is_err(), "{text}");
        }
    }
}
