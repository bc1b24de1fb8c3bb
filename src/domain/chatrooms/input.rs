//! Texts that clients send. Each type holds only values within its limits.

use crate::{
    domain::text::{is_blank, reject_nul},
    error::{Error, Result},
};

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $field:literal, $min:literal to $max:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// [`Error::BadInput`] with the field and the limit; lengths are in characters.
            pub fn new(text: String) -> Result<Self> {
                let length = text.chars().count();
                reject_nul($field, &text)?;
                if ($min..=$max).contains(&length) && (!is_blank(&text) || $min == 0) {
                    return Ok(Self(text));
                }
                let rule = match $min {
                    0 => concat!($field, " must be at most ", $max, " characters"),
                    _ => concat!($field, " must be ", $min, " to ", $max, " characters and not blank"),
                };
                Err(Error::bad_input($field, format!("{rule}; got {length}.")))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    )+};
}

texts! {
    /// A message's text.
    Content: "content", 1 to 32000;
    /// A chatroom's title.
    Title: "title", 1 to 200;
    /// The instruction that the model gets before the conversation.
    SystemInstruction: "systemInstruction", 0 to 8000;
    /// A client's key for one request, which makes the request safe to retry.
    IdempotencyKey: "idempotencyKey", 1 to 255;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_characters_and_named_in_the_error() {
        assert!(Content::new("é".repeat(32_000)).is_ok());
        let Err(Error::BadInput { field, message }) = Content::new("é".repeat(32_001)) else {
            panic!("accepted")
        };
        assert_eq!(field, "content");
        assert_eq!(message, "content must be 1 to 32000 characters and not blank; got 32001.");
        for blank in ["", " \n\t", "\u{200b}\u{2066}", "\u{3164}", "\u{2800}"] {
            assert!(Title::new(blank.to_owned()).is_err());
        }
        assert!(Title::new("a\0b".to_owned()).is_err());
        assert!(SystemInstruction::new(String::new()).is_ok());
    }
}
