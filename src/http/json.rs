//! JSON as clients send it, including text that is not valid Unicode.
//!
//! JavaScript cuts strings between the halves of a surrogate pair and escapes what is left as `\ud83d`, which no Rust string
//! can hold. Each lone half is read as a noncharacter that the text does not hold otherwise, so that the values that held one
//! are known and the others are not lost.

use serde_json::Value;

/// A parsed value.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) value: Value,
    pub(super) lone: LoneSurrogates,
}

/// Where the text held half of a surrogate pair.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoneSurrogates(Option<char>);

/// Reads a value.
///
/// # Errors
/// The text is not JSON.
pub(super) fn read(text: &[u8]) -> Result<Json, serde_json::Error> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(Json { value, lone: LoneSurrogates(None) }),
        Err(error) => error,
    };
    let Some((text, mark)) = marked(text) else { return Err(error) };
    Ok(Json { value: serde_json::from_slice(&text)?, lone: LoneSurrogates(Some(mark)) })
}

impl LoneSurrogates {
    /// The path of the first text in this value that held one, such as `input.content`; empty for the value itself.
    pub(super) fn path_in(self, value: &Value) -> Option<String> {
        let mark = self.0?;
        let join = |name: &str, rest: String| {
            if rest.is_empty() { name.replace(mark, "\u{fffd}") } else { format!("{name}.{rest}") }
        };
        match value {
            Value::String(text) => text.contains(mark).then(String::new),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| self.path_in(item).map(|rest| join(&index.to_string(), rest))),
            Value::Object(map) => map.iter().find_map(|(name, item)| {
                let rest = if name.contains(mark) { Some(String::new()) } else { self.path_in(item) };
                rest.map(|rest| join(name, rest))
            }),
            _ => None,
        }
    }
}

/// The text with a mark for each lone half, and the mark; none if there is no lone half.
fn marked(text: &[u8]) -> Option<(Vec<u8>, char)> {
    let mark = ('\u{fdd0}'..='\u{fdef}').find(|mark| {
        let mut utf8 = [0; 4];
        let utf8 = mark.encode_utf8(&mut utf8).as_bytes();
        let escape = format!("\\u{:04x}", u32::from(*mark));
        let holds = |wanted: &[u8]| text.windows(wanted.len()).any(|at| at.eq_ignore_ascii_case(wanted));
        !holds(utf8) && !holds(escape.as_bytes())
    })?;
    let escape = format!("\\u{:04x}", u32::from(mark));
    let (mut marked, mut found, mut at) = (Vec::with_capacity(text.len()), false, 0);
    while at < text.len() {
        let rest = &text[at..];
        let taken = match (surrogate(rest), rest) {
            (Some(0xd800..0xdc00), _) if matches!(surrogate(&rest[6..]), Some(0xdc00..0xe000)) => 12,
            (Some(_), _) => {
                found = true;
                marked.extend_from_slice(escape.as_bytes());
                at += 6;
                continue;
            }
            // The character after a backslash is part of its escape.
            (None, [b'\\', _, ..]) => 2,
            _ => 1,
        };
        marked.extend_from_slice(&rest[..taken]);
        at += taken;
    }
    found.then_some((marked, mark))
}

/// The half of a surrogate pair that is escaped at the beginning of this text.
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
        let json = read(text.as_bytes()).unwrap();
        json.lone.path_in(&json.value)
    }

    #[test]
    fn a_lone_half_of_a_surrogate_pair_is_found_by_its_path() {
        for (text, expected) in [
            (r#"{"a": "\ud83d"}"#, Some("a")),
            (r#"{"a": {"b": ["x", "\uDE00!"]}}"#, Some("a.b.1")),
            (r#"{"a": "\ud83d\ud83d\ude00"}"#, Some("a")),
            (r#"{"a": "\ude00\ud83d"}"#, Some("a")),
            (r#"{"\ud83d": 1}"#, Some("\u{fffd}")),
            (r#""\ud83d""#, Some("")),
            (r#"{"a": "\ud83d\ude00"}"#, None),
            (r#"{"a": "\\ud83d"}"#, None),
            // The mark itself is text like any other.
            (r#"{"a": "\ufdd0", "b": "\udc00"}"#, Some("b")),
            ("{\"a\": \"\u{fdd0}\u{fdd1}\", \"b\": \"\\udc00\"}", Some("b")),
        ] {
            assert_eq!(path(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_other_values_are_as_they_were_sent() {
        let json = read(br#"{"a": "\ud83d", "b": "\ud83d\ude00 \\u0041 \u00e9"}"#).unwrap();
        assert_eq!(json.value["b"], json!("😀 \\u0041 é"));
    }

    #[test]
    fn what_is_not_json_stays_an_error() {
        for text in [r#"{"a": "\ud83d"#, "{", r#""\ud83""#, r#""\ud83d" 1"#] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
