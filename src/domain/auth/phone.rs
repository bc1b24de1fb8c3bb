//! Phone numbers.

use std::{fmt, str::FromStr};

use crate::error::Error;

/// A phone number in [E.164](https://www.itu.int/rec/T-REC-E.164) form, such as `+14155550123`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// Digits that a block of numbers, which one owner may have, does not share.
const IN_A_BLOCK: usize = 4;

impl FromStr for PhoneNumber {
    type Err = Error;

    /// Reads an international number as people write it, and only one that its country gives out.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = Some(text.trim())
            .filter(|text| {
                text.starts_with('+')
                    && text.len() <= 40
                    && text.rfind('+') == Some(0)
                    && !text.contains(char::is_alphabetic)
            })
            .and_then(|text| phonenumber::parse(None, text).ok())
            .filter(|number| number.is_valid() && number.extension().is_none() && is_a_persons(number));
        match number {
            Some(number) => Ok(Self(number.format().mode(phonenumber::Mode::E164).to_string())),
            None => Err(Error::bad_input(
                "phoneNumber",
                "phoneNumber must be a number that can be dialled, in E.164 form: + and country code, as in +14155550123.",
            )),
        }
    }
}

/// Whether it may be somebody's own: others, such as premium-rate numbers, only cost whoever calls them.
fn is_a_persons(number: &phonenumber::PhoneNumber) -> bool {
    use phonenumber::Type::{FixedLine, FixedLineOrMobile, Mobile, PersonalNumber, Voip};
    let of = number.number_type(&phonenumber::metadata::DATABASE);
    matches!(of, FixedLine | FixedLineOrMobile | Mobile | PersonalNumber | Voip)
}

impl PhoneNumber {
    /// One that was read before.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its country, as two letters; none where a number is of no country.
    #[must_use]
    pub fn country(&self) -> Option<String> {
        let number = phonenumber::parse(None, &self.0).ok()?;
        number.country().id().map(|id| id.as_ref().to_owned())
    }

    /// What it shares with its neighbours, which whoever is paid for calls may own all.
    pub(super) fn prefix(&self) -> &str {
        &self.0[..self.0.len().saturating_sub(IN_A_BLOCK)]
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
            "+999123456789",
            "+19005550123",
            "+18005550123",
        ] {
            assert!(text.parse::<PhoneNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_has_a_country_and_a_block() {
        let number: PhoneNumber = "+491701234567".parse().unwrap();
        assert_eq!((number.country().as_deref(), number.prefix()), (Some("DE"), "+49170123"));
    }
}
