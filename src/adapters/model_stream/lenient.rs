//! Deserializers that accept more than the providers' documentation describes, because servers send it: null instead of an absent
//! value, and integers as strings, as proto3's [JSON mapping](https://protobuf.dev/programming-guides/json/) allows.

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

/// Deserializes a value that the answer does not depend on. A value of another type is ignored and becomes the default value.
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

/// Deserializes a string as WTF-8, because it may contain unpaired surrogates. Null becomes the empty string.
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
    // serde_json accepts unpaired surrogates only if bytes are requested.
    json.deserialize_bytes(Text).map_err(Error::custom)
}

/// Deserializes a value of any type to false if it is null, false or empty, and otherwise to true.
pub fn has_content<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    let value = Box::<RawValue>::deserialize(value)?;
    Ok(!matches!(value.get(), "null" | "\"\"" | "[]" | "{}" | "false"))
}
