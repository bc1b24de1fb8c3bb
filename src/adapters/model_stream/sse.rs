//! Decodes [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
//! Of their data, only JSON objects and OpenAI's end marker are used.
//!
//! The bytes may be split at any position. JSON outside of events is parsed too: Gemini has ended a stream with a bare,
//! pretty-printed error, and a server that cannot stream responds with one object.

use memchr::memchr2;

use super::objects::Objects;

/// The data with which OpenAI-compatible servers end a stream.
pub const DONE: &str = "[DONE]";

/// Maximum size of an event, in bytes; larger than any valid one.
const MAX_EVENT: usize = 8 * 1024 * 1024;

/// The stream contains an event of more than [`MAX_EVENT`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    /// Whether the last byte was a CR. If an LF follows, it belongs to the same line end.
    after_cr: bool,
    /// Whether a line has been read: only the first may begin with a byte order mark.
    has_begun: bool,
    /// The data of an event whose blank line has not arrived yet.
    data: Option<String>,
    /// JSON outside of events.
    bare: Objects,
}

impl Decoder {
    /// Adds bytes and returns the objects that they complete, and [`DONE`]. Data that is not a JSON object is returned unchanged.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut found = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', rest) else {
                self.line.extend_from_slice(rest);
                break;
            };
            self.line.extend_from_slice(&rest[..end]);
            self.after_cr = rest[end] == b'\r';
            found.extend(self.end_line());
            rest = &rest[end + 1..];
        }
        let buffered = self.line.len() + self.data.as_ref().map_or(0, String::len) + self.bare.len();
        if buffered > MAX_EVENT { Err(TooLong) } else { Ok(found) }
    }

    /// The objects that remain at the end of the stream: of an event without its blank line, or of JSON outside of events.
    pub fn finish(mut self) -> Vec<String> {
        let mut found = self.end_line();
        found.extend(self.data.take().map(|data| objects(&data)).unwrap_or_default());
        found.extend(self.bare.finish());
        found
    }

    fn end_line(&mut self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut self.line))
            .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned());
        let mut line = &*text;
        if !std::mem::replace(&mut self.has_begun, true) {
            line = line.trim_start_matches('\u{feff}');
        }
        if line.is_empty() {
            return self.data.take().map(|data| objects(&data)).unwrap_or_default();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        match field {
            "data" => {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                }
                Vec::new()
            }
            // A comment, or a field that is not used.
            "" | "event" | "id" | "retry" => Vec::new(),
            // Other fields are ignored, as the standard requires, unless they are JSON.
            _ if self.bare.is_between_objects() && !line.trim_start().starts_with(['{', '[', ',']) => {
                Vec::new()
            }
            _ => {
                let mut found = self.bare.push(line);
                // The end of the line is kept, because it may separate two JSON tokens.
                found.extend(self.bare.push("\n"));
                found
            }
        }
    }
}

/// The objects of an event, and [`DONE`] if this is its last line.
fn objects(data: &str) -> Vec<String> {
    let before_done =
        data.trim_end().strip_suffix(DONE).filter(|rest| rest.is_empty() || rest.ends_with('\n'));
    let mut objects = Objects::default();
    let mut found = objects.push(before_done.unwrap_or(data));
    found.extend(objects.finish());
    found.extend(before_done.map(|_| DONE.to_owned()));
    found
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource;
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    fn decode(parts: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut found: Vec<_> = parts.iter().flat_map(|part| decoder.push(part).unwrap()).collect();
        found.extend(decoder.finish());
        found
    }

    /// The data of the events, as another implementation, the crate `eventsource_stream`, parses them.
    fn parse_with_eventsource_stream(text: &str) -> Vec<String> {
        let bytes = stream::iter([Ok::<_, std::io::Error>(text.to_owned())]);
        let events = bytes.eventsource().map(|event| event.unwrap().data).collect::<Vec<_>>();
        events.now_or_never().unwrap()
    }

    /// The bytes, split at these positions.
    fn split(bytes: &[u8], mut cuts: Vec<prop::sample::Index>) -> Vec<&[u8]> {
        cuts.sort_by_key(|cut| cut.index(bytes.len()));
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts {
            let to = cut.index(bytes.len());
            parts.push(&bytes[from..to]);
            from = to;
        }
        parts.push(&bytes[from..]);
        parts
    }

    fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..20)
    }

    fn line_end() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("\n"), Just("\r"), Just("\r\n")]
    }

    /// Lines of events whose data contains complete objects.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            "data: \\{\"text\":\"[a-z é€😀]{0,12}\"\\}",
            "data:\\{[0-9]{0,3}\\}",
            ": [a-z]{0,5}",
            "event: [a-z]{1,5}",
            Just(String::new()),
        ]
    }

    /// Lines of every kind, including malformed ones.
    fn odd_line() -> impl Strategy<Value = String> {
        prop_oneof![
            line(),
            "data: [a-z{}\\[\\],\"\\\\ é€😀]{0,12}",
            "[a-z{}\\[\\],:\"\\\\ é€😀]{0,12}",
            Just("data: [DONE]".to_owned()),
            Just("data".to_owned()),
            Just("[{\"error\": {".to_owned()),
            Just("  \"code\": 503".to_owned()),
            Just("}}]".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_any_stream_gives_the_same_objects(
            lines in prop::collection::vec((odd_line(), line_end()), 1..30),
            cuts in cuts(),
        ) {
            let text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
            let whole = decode(&[text.as_bytes()]);
            prop_assert_eq!(&decode(&split(text.as_bytes(), cuts)), &whole);
            prop_assert_eq!(&decode(&text.as_bytes().chunks(1).collect::<Vec<_>>()), &whole);
        }

        #[test]
        fn events_equal_those_of_another_implementation(
            lines in prop::collection::vec((line(), line_end()), 1..30),
            cuts in cuts(),
        ) {
            let mut text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
            text.push_str("\n\n");
            // One event may hold several objects, each on a line of its own.
            let events = parse_with_eventsource_stream(&text);
            let expected: Vec<_> = events.iter().flat_map(|data| data.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
            prop_assert_eq!(decode(&split(text.as_bytes(), cuts)), expected);
        }
    }

    #[test]
    fn the_end_marker_is_returned_with_and_without_a_blank_line_before_it() {
        assert_eq!(decode(&[b"data: {}\n\ndata: [DONE]\n\n"]), ["{}", DONE]);
        assert_eq!(decode(&[b"data: {}\ndata: [DONE]"]), ["{}", DONE]);
    }

    #[test]
    fn an_object_may_span_several_data_lines() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["data: {", "data: \"a\": 1}", ""].map(|line| format!("{line}{end}")).concat();
            assert_eq!(decode(&[text.as_bytes()]), ["{\n\"a\": 1}"], "{end:?}");
            assert_eq!(decode(&text.as_bytes().chunks(1).collect::<Vec<_>>()), ["{\n\"a\": 1}"], "{end:?}");
        }
    }

    #[test]
    fn a_bare_error_is_returned_as_soon_as_it_is_complete() {
        let mut decoder = Decoder::default();
        let error = b"data: {}\n\n[{\n  \"error\": {\n    \"code\": 503\n  }\n}\n";
        assert_eq!(decoder.push(error).unwrap(), ["{}", "{\n  \"error\": {\n    \"code\": 503\n  }\n}"]);
        assert!(decoder.push(b"]\n").unwrap().is_empty());
        assert!(decoder.finish().is_empty());
    }

    #[test]
    fn an_event_without_its_blank_line_is_not_lost() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(b"data: {}").unwrap().is_empty());
        assert_eq!(decoder.finish(), ["{}"]);
    }

    #[test]
    fn an_event_of_more_than_8_mib_is_an_error() {
        for begin in ["", "data: ", "{"] {
            let mut decoder = Decoder::default();
            decoder.push(begin.as_bytes()).unwrap();
            let megabyte = vec![b'a'; 1024 * 1024 - 10];
            let results: Vec<_> = (0..9).map(|_| decoder.push(&megabyte)).collect();
            assert_eq!(results[7], Ok(vec![]));
            assert_eq!(results[8], Err(TooLong));
        }
    }
}
