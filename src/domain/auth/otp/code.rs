//! The six digits of a one-time password: how one is made, and how one is read as people type or paste it.

use entity::OtpId;
use ring::hmac;

use super::super::keys::Key;
use crate::{
    domain::text::{ascii_digit, is_separator},
    error::{Error, Result},
};

const DIGITS: usize = 6;
/// In bytes: six digits of any script, each with marks around it.
const LONGEST_INPUT: usize = 200;
const CODES: u64 = 1_000_000;

/// Six ASCII digits.
#[derive(Clone)]
pub struct OtpCode(String);

impl OtpCode {
    /// Reads a code in digits of any script, with white space, dashes, dots and invisible characters anywhere.
    ///
    /// # Errors
    /// [`Error::BadInput`] for what is not six digits then: it is compared with nothing and costs no try.
    pub fn parse(text: &str) -> Result<Self> {
        let text = if text.len() > LONGEST_INPUT { "" } else { text };
        let digits: Option<String> = text.chars().filter(|&c| !is_separator(c)).map(ascii_digit).collect();
        match digits {
            Some(digits) if digits.len() == DIGITS => Ok(Self(digits)),
            _ => Err(Error::bad_input("otp", format!("otp must be the {DIGITS} digits that were sent."))),
        }
    }

    /// The code of a challenge under a key, evenly distributed over all codes.
    pub(super) fn of(key: &Key, id: OtpId) -> Self {
        let tag = hmac::sign(&key.otp, id.0.as_bytes());
        let number = tag.as_ref().iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        Self(format!("{:0DIGITS$}", number % CODES))
    }

    /// Whether this is the code of a challenge, compared in constant time.
    pub(super) fn is_of(&self, key: &Key, id: OtpId) -> bool {
        let right = hmac::sign(&key.otp, Self::of(key, id).0.as_bytes());
        hmac::verify(&key.otp, self.0.as_bytes(), right.as_ref()).is_ok()
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
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
