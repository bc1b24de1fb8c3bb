//! [Server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation), of
//! which only the data counts here.
//!
//! Bytes may be split anywhere. Lines that are no field of an event are kept aside: Gemini has been seen to break off a
//! stream with a bare JSON error.

/// Longer than any event that is meant well.
const LONGEST_EVENT: usize = 8 * 1024 * 1024;

/// The stream holds an event past all bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    begun: bool,
    data: Option<String>,
    stray: String,
}

impl Decoder {
    /// The data of the events that these bytes complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let ends_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                _ if ends_crlf => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len) + self.stray.len();
        if held > LONGEST_EVENT { Err(TooLong) } else { Ok(events) }
    }

    /// What the stream held when it ended: an event that lacks its blank line, else the lines that were no event.
    pub(super) fn finish(mut self) -> Option<String> {
        self.end_line();
        self.data.or_else(|| (!self.stray.is_empty()).then_some(self.stray))
    }

    fn end_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = &*text;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.trim_start_matches('\u{feff}');
        }
        if line.is_empty() {
            return self.data.take();
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
            }
            // A comment, and the fields that say nothing here.
            "" | "event" | "id" | "retry" => {}
            _ => {
                self.stray.push_str(line);
                self.stray.push('\n');
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource;
    use futures_util::{FutureExt, StreamExt, stream};
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::default();
        pieces.iter().flat_map(|piece| decoder.push(piece).unwrap()).collect()
    }

    /// What another implementation makes of it.
    fn oracle(text: &str) -> Vec<String> {
        let bytes = stream::iter([Ok::<_, std::io::Error>(text.to_owned())]);
        let events = bytes.eventsource().map(|event| event.unwrap().data).collect::<Vec<_>>();
        events.now_or_never().unwrap()
    }

    fn line_end() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("\n"), Just("\r"), Just("\r\n")]
    }

    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            "data: [a-z{}\" é€😀]{0,12}",
            "data:[a-zé€😀]{0,12}",
            ": [a-z]{0,5}",
            "event: [a-z]{1,5}",
            Just("data".to_owned()),
            Just(String::new()),
        ]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            lines in prop::collection::vec((line(), line_end()), 1..30),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
            text.push_str("\n\n");
            let bytes = text.as_bytes();
            let whole = decode(&[bytes]);
            cuts.sort_by_key(|cut| cut.index(bytes.len()));
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                let to = cut.index(bytes.len());
                pieces.push(&bytes[from..to]);
                from = to;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(&decode(&pieces), &whole);
            prop_assert_eq!(&decode(&bytes.chunks(1).collect::<Vec<_>>()), &whole);
            prop_assert_eq!(whole.into_iter().filter(|data| !data.is_empty()).collect::<Vec<_>>(),
                oracle(&text).into_iter().filter(|data| !data.is_empty()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn several_data_lines_are_one_event() {
        assert_eq!(decode(&[b"data: {\ndata: \"a\": 1}\n\n"]), ["{\n\"a\": 1}"]);
    }

    #[test]
    fn a_bare_error_is_kept_to_the_end() {
        let mut decoder = Decoder::default();
        assert_eq!(
            decoder.push(b"data: 1\n\n{\n  \"error\": {\n    \"code\": 503\n  }\n}\n").unwrap(),
            ["1"]
        );
        assert_eq!(decoder.finish().unwrap(), "{\n  \"error\": {\n    \"code\": 503\n  }\n}\n");
    }

    #[test]
    fn an_event_without_its_blank_line_is_not_lost() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(b"data: last").unwrap().is_empty());
        assert_eq!(decoder.finish().unwrap(), "last");
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::default();
        let megabyte = vec![b'a'; 1024 * 1024];
        let results: Vec<_> = (0..9).map(|_| decoder.push(&megabyte)).collect();
        assert_eq!(results[7], Ok(vec![]));
        assert_eq!(results[8], Err(TooLong));
    }
}
