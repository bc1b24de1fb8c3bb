//! Parses JSON from clients, including strings with unpaired surrogates.
//!
//! JavaScript can split a string inside a surrogate pair and then escapes the remaining half as `\ud83d`, which is not valid
//! Unicode and which no Rust string can represent. This parser replaces each unpaired surrogate by a marker: a noncharacter that
//! does not occur in the input. So an error can name the affected field, and the other fields stay readable.

use serde_json::Value;

/// A parsed value.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) value: Value,
    pub(super) lone: LoneSurrogates,
}

/// Finds the strings that contained an unpaired surrogate. Holds the marker if the input contained such a string.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoneSurrogates(Option<char>);

/// Parses a value.
///
/// # Errors
/// The text is not JSON.
pub(super) fn parse(text: &[u8]) -> Result<Json, serde_json::Error> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(Json { value, lone: LoneSurrogates(None) }),
        Err(error) => error,
    };
    let Some((text, marker)) = replace_unpaired(text) else { return Err(error) };
    Ok(Json { value: serde_json::from_slice(&text)?, lone: LoneSurrogates(Some(marker)) })
}

impl LoneSurrogates {
    /// The path of the first string in this value with an unpaired surrogate, such as `input.content`; empty for the value
    /// itself.
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
    let marker = ('\u{fdd0}'..='\u{fdef}').find(|marker| {
        let mut utf8 = [0; 4];
        let utf8 = marker.encode_utf8(&mut utf8).as_bytes();
        let escape = format!("\\u{:04x}", u32::from(*marker));
        let contains = |wanted: &[u8]| text.windows(wanted.len()).any(|at| at.eq_ignore_ascii_case(wanted));
        !contains(utf8) && !contains(escape.as_bytes())
    })?;
    let escape = format!("\\u{:04x}", u32::from(marker));
    let (mut replaced, mut found, mut at) = (Vec::with_capacity(text.len()), false, 0);
    while at < text.len() {
        let rest = &text[at..];
        let length = match (surrogate(rest), rest) {
            (Some(0xd800..0xdc00), _) if matches!(surrogate(&rest[6..]), Some(0xdc00..0xe000)) => 12,
            (Some(_), _) => {
                found = true;
                replaced.extend_from_slice(escape.as_bytes());
                at += 6;
                continue;
            }
            // The character after a backslash is part of its escape.
            (None, [b'\\', _, ..]) => 2,
            _ => 1,
        };
        replaced.extend_from_slice(&rest[..length]);
        at += length;
    }
    found.then_some((replaced, marker))
}

/// The escaped surrogate at the beginning of the text.
fn surrogate(text: &[u8]) -> Option<u32> {
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
        json.lone.path_in(&json.value)
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
