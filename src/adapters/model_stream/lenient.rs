//! Deserializers that accept what servers send beside what their documentation promises: null for absent, and integers as
//! strings, as proto3's [JSON mapping](https://protobuf.dev/programming-guides/json/) allows.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use serde_json::value::RawValue;

/// Deserializes a value. Null becomes the default value.
pub fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    value: D,
) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

/// Deserializes an optional detail. Anything that is not of its type is ignored and becomes the default value.
pub fn invalid_as_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    value: D,
) -> Result<T, D::Error> {
    let value = Box::<RawValue>::deserialize(value)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

/// Deserializes an integer of at least 0, or a string that contains one. Anything else becomes none.
pub fn count<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i32>, D::Error> {
    let value = Box::<RawValue>::deserialize(value)?;
    let number = value.get().trim_matches('"').trim().parse::<i64>().ok().filter(|number| *number >= 0);
    Ok(number.map(|number| i32::try_from(number).unwrap_or(i32::MAX)))
}

/// Deserializes a string, which may contain unpaired surrogates, as WTF-8. Null becomes the empty string.
pub fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<u8>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(bytes.to_vec())
        }
    }
    let value = Box::<RawValue>::deserialize(value)?;
    if value.get() == "null" {
        return Ok(Vec::new());
    }
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_bytes(Text).map_err(Error::custom)
}

/// Whether a value of any type holds something.
pub fn has_content<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    let value = Box::<RawValue>::deserialize(value)?;
    Ok(!matches!(value.get(), "null" | "\"\"" | "[]" | "{}" | "false"))
}
