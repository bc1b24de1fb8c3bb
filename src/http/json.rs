//! Parses JSON from clients, including strings with unpaired surrogates.
//!
//! JavaScript can split a string inside a surrogate pair and then escapes the remaining half as `\ud83d`, which is not valid
//! Unicode and which no Rust string can represent. This parser replaces each unpaired surrogate by a marker: a noncharacter that
//! does not occur in the input. Therefore an error can name the affected field, and the other fields can still be read.

use serde_json::Value;

/// The length of an escape such as `\ud83d`, in bytes.
const ESCAPE_LENGTH: usize = 6;

/// A parsed value, and its unpaired surrogates.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) value: Value,
    pub(super) unpaired: UnpairedSurrogates,
}

/// Finds the strings of a parsed value that contained an unpaired surrogate. Holds the marker that replaces such surrogates, or
/// none if the input contained no unpaired surrogate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnpairedSurrogates(Option<char>);

/// Parses a value.
///
/// # Errors
/// The text is not JSON.
pub(super) fn parse(text: &[u8]) -> Result<Json, serde_json::Error> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(Json { value, unpaired: UnpairedSurrogates(None) }),
        Err(error) => error,
    };
    let Some((text, marker)) = replace_unpaired(text) else { return Err(error) };
    Ok(Json { value: serde_json::from_slice(&text)?, unpaired: UnpairedSurrogates(Some(marker)) })
}

impl UnpairedSurrogates {
    /// The path of the first string in this value with an unpaired surrogate, such as `input.content`; empty if the value itself
    /// is that string.
    pub(super) fn path_in(self, value: &Value) -> Option<String> {
        let marker = self.0?;
        let join = |name: &str, rest: String| {
            if rest.is_empty() { name.replace(marker, "\u{fffd}") } else { format!("{name}.{rest}") }
        };
        match value {
            Value::String(text) => text.contains(marker).then(String::new),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| self.path_in(item).map(|rest| join(&index.to_string(), rest))),
            Value::Object(map) => map.iter().find_map(|(name, item)| {
                let rest = if name.contains(marker) { Some(String::new()) } else { self.path_in(item) };
                rest.map(|rest| join(name, rest))
            }),
            _ => None,
        }
    }
}

/// Replaces each unpaired surrogate by a marker, and returns the text and the marker. Returns none if there is no unpaired
/// surrogate, or if the text already contains every possible marker.
fn replace_unpaired(text: &[u8]) -> Option<(Vec<u8>, char)> {
    // Noncharacters, which Unicode reserves for the internal use of programs.
    let marker = ('\u{fdd0}'..='\u{fdef}').find(|marker| {
        let mut utf8 = [0; 4];
        let utf8 = marker.encode_utf8(&mut utf8).as_bytes();
        let escape = format!("\\u{:04x}", u32::from(*marker));
        let contains =
            |wanted: &[u8]| text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted));
        !contains(utf8) && !contains(escape.as_bytes())
    })?;
    let escape = format!("\\u{:04x}", u32::from(marker));
    let (mut replaced, mut has_unpaired, mut position) = (Vec::with_capacity(text.len()), false, 0);
    while position < text.len() {
        let rest = &text[position..];
        let length = match (escaped_surrogate(rest), rest) {
            // A high surrogate followed by a low one is a pair.
            (Some(0xd800..0xdc00), _)
                if matches!(escaped_surrogate(&rest[ESCAPE_LENGTH..]), Some(0xdc00..0xe000)) =>
            {
                2 * ESCAPE_LENGTH
            }
            (Some(_), _) => {
                has_unpaired = true;
                replaced.extend_from_slice(escape.as_bytes());
                position += ESCAPE_LENGTH;
                continue;
            }
            // The byte after a backslash is part of the escape: in `\\ud83d`, the second backslash begins no escape.
            (None, [b'\\', _, ..]) => 2,
            _ => 1,
        };
        replaced.extend_from_slice(&rest[..length]);
        position += length;
    }
    has_unpaired.then_some((replaced, marker))
}

/// The code unit of the escaped surrogate with which the text begins. None if it begins with anything else.
fn escaped_surrogate(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let unit = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..0xe000).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Option<String> {
        let json = parse(text.as_bytes()).unwrap();
        json.unpaired.path_in(&json.value)
    }

    #[test]
    fn an_unpaired_surrogate_is_located_by_its_path() {
        for (text, expected) in [
            (r#"{"a": "\ud83d"}"#, Some("a")),
            (r#"{"a": {"b": ["x", "\uDE00!"]}}"#, Some("a.b.1")),
            (r#"{"a": "\ud83d\ud83d\ude00"}"#, Some("a")),
            (r#"{"a": "\ude00\ud83d"}"#, Some("a")),
            (r#"{"\ud83d": 1}"#, Some("\u{fffd}")),
            (r#""\ud83d""#, Some("")),
            (r#"{"a": "\ud83d\ude00"}"#, None),
            (r#"{"a": "\\ud83d"}"#, None),
            // Text that equals a marker is not affected.
            (r#"{"a": "\ufdd0", "b": "\udc00"}"#, Some("b")),
            ("{\"a\": \"\u{fdd0}\u{fdd1}\", \"b\": \"\\udc00\"}", Some("b")),
        ] {
            assert_eq!(path(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn values_without_unpaired_surrogates_are_unchanged() {
        let json = parse(br#"{"a": "\ud83d", "b": "\ud83d\ude00 \\u0041 \u00e9"}"#).unwrap();
        assert_eq!(json.value["b"], json!("😀 \\u0041 é"));
    }

    #[test]
    fn invalid_json_is_an_error() {
        for text in [r#"{"a": "\ud83d"#, "{", r#""\ud83""#, r#""\ud83d" 1"#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
