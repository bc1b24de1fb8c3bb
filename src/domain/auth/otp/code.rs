//! The six digits of a one-time password: derived from a challenge, parsed as people type or paste them.

use entity::OtpId;
use ring::hmac;

use super::super::keys::Key;
use crate::{
    domain::text::{ascii_digit, is_separator},
    error::{Error, Result},
};

const DIGITS: usize = 6;
/// The maximum length of an input, in bytes: enough for six digits of any script with invisible marks around each.
const MAX_INPUT: usize = 200;
/// The number of different codes.
const CODES: u64 = 1_000_000;

/// A code: six ASCII digits.
#[derive(Clone)]
pub struct OtpCode(String);

impl OtpCode {
    /// Parses digits of any script. Ignores white space, dashes, dots and invisible characters.
    ///
    /// # Errors
    /// [`Error::BadInput`] if the rest is not six digits. This does not count as an attempt.
    pub fn parse(text: &str) -> Result<Self> {
        // A longer text is rejected like one without digits.
        let text = if text.len() > MAX_INPUT { "" } else { text };
        let digits: Option<String> = text.chars().filter(|&c| !is_separator(c)).map(ascii_digit).collect();
        match digits {
            Some(digits) if digits.len() == DIGITS => Ok(Self(digits)),
            _ => Err(Error::bad_input("otp", format!("otp must be the {DIGITS} digits of the code."))),
        }
    }

    /// Derives the code of a challenge. All codes are almost equally likely: each is the remainder of a 64-bit number, whose bias
    /// is below 1 in 10^13.
    pub(in super::super) fn derive(key: &Key, id: OtpId) -> Self {
        let tag = hmac::sign(&key.otp, id.0.as_bytes());
        let number = tag.as_ref().iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        Self(format!("{:0DIGITS$}", number % CODES))
    }

    /// Whether this is the code of a challenge. Compares HMACs in constant time, so the time does not reveal any digit.
    pub(in super::super) fn matches(&self, key: &Key, id: OtpId) -> bool {
        let expected = hmac::sign(&key.otp, Self::derive(key, id).0.as_bytes());
        hmac::verify(&key.otp, self.0.as_bytes(), expected.as_ref()).is_ok()
    }

    pub(in super::super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_codes_as_people_type_them() {
        for text in [
            "123456",
            " 123456\n",
            "123 456",
            "123-456",
            "12–34–56",
            "1.2.3.4.5.6",
            "١٢٣٤٥٦",
            "१२३४५६",
            "１２３４５６",
            "1٢३4５6",
            "\u{202a}123456\u{202c}",
            "\u{2066}123\u{a0}456\u{2069}",
            "\u{feff}123\u{200b}456\u{ad}",
        ] {
            assert_eq!(
                OtpCode::parse(text).map(OtpCode::into_text).ok().as_deref(),
                Some("123456"),
                "{text}"
            );
        }
        for text in [
            "",
            "12345",
            "1234567",
            "12345a",
            "12345½",
            "123456 is your code",
            "一二三四五六",
            "+123456",
            "\0",
        ] {
            let Err(Error::BadInput { field: "otp", .. }) = OtpCode::parse(text) else { panic!("{text}") };
        }
    }
}
