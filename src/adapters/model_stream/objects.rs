//! Splits a text into JSON objects.
//!
//! An event from Gemini contains one object. But proxies, and Gemini when called without `alt=sse`, have sent several objects
//! in a row, an array that spans several events, and an error inside an array. Therefore brackets and commas between objects
//! are skipped.

use memchr::memchr2;

/// Splits a text, which may arrive in parts, into its top-level objects. Other text is returned together with the object that
/// follows it, or by [`finish`](Self::finish) if none follows. The parser then rejects it.
#[derive(Debug, Default)]
pub struct Objects {
    /// What is not returned yet: the beginning of an object, or other text.
    text: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Objects {
    /// Adds text and returns the objects that it completes.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        let mut complete = Vec::new();
        let bytes = text.as_bytes();
        let (mut from, mut at) = (0, 0);
        while at < bytes.len() {
            if !self.in_string {
                match bytes[at] {
                    b'"' => self.in_string = true,
                    b'{' => self.depth += 1,
                    b'}' if self.depth > 0 => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            self.text.push_str(&text[from..=at]);
                            complete.push(std::mem::take(&mut self.text));
                            from = at + 1;
                        }
                    }
                    // Skipped if no text is incomplete, neither of earlier parts nor of this one.
                    b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n'
                        if self.is_between_objects() && from == at =>
                    {
                        from = at + 1;
                    }
                    _ => {}
                }
            } else if !std::mem::take(&mut self.escaped) {
                let Some(skipped) = memchr2(b'"', b'\\', &bytes[at..]) else { break };
                at += skipped;
                self.escaped = bytes[at] == b'\\';
                self.in_string = self.escaped;
            }
            at += 1;
        }
        self.text.push_str(&text[from..]);
        complete
    }

    /// Whether the text of all calls of [`push`](Self::push) ends between two objects.
    pub fn is_between_objects(&self) -> bool {
        self.depth == 0 && self.text.is_empty()
    }

    /// The text that is not returned yet, if there is any.
    pub fn finish(self) -> Option<String> {
        (!self.text.is_empty()).then_some(self.text)
    }

    /// The number of bytes that are not returned yet.
    pub fn len(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut objects = Objects::default();
        let mut found = objects.push(text);
        found.extend(objects.finish());
        found
    }

    #[test]
    fn objects_are_split_and_other_text_is_returned_with_the_next_object() {
        for (text, expected) in [
            ("", vec![]),
            (" \n", vec![]),
            ("{}", vec!["{}"]),
            ("{\"a\":{}}{\"b\":1}", vec!["{\"a\":{}}", "{\"b\":1}"]),
            ("[{\"a\":[1,2]},\n{\"b\":1}\n]\n", vec!["{\"a\":[1,2]}", "{\"b\":1}"]),
            ("[[{}]]", vec!["{}"]),
            (",{}", vec!["{}"]),
            (r#"{"a":"}\"{\\"}{}"#, vec![r#"{"a":"}\"{\\"}"#, "{}"]),
            ("{\"a\":", vec!["{\"a\":"]),
            ("nonsense", vec!["nonsense"]),
            ("{} nonsense", vec!["{}", "nonsense"]),
            ("}{}", vec!["}{}"]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
