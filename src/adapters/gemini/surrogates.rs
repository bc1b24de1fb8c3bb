//! Characters outside of the basic plane are two `\u` escapes in JSON; a stream may be cut between them.

/// Decodes text as [`lenient::text`](super::lenient::text) reads it: halves of a character are joined, also those of two
/// texts in a row, and what has no other half is U+FFFD.
#[derive(Debug, Default)]
pub(super) struct Surrogates {
    /// A first half whose second has not come yet.
    lead: Option<u16>,
}

impl Surrogates {
    pub(super) fn push(&mut self, text: &[u8]) -> String {
        let mut decoded = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let at = rest.windows(3).position(is_half).unwrap_or(rest.len());
            let (plain, halves) = rest.split_at(at);
            if !plain.is_empty() {
                decoded.extend(self.finish());
                decoded.push_str(&String::from_utf8_lossy(plain));
            }
            rest = halves;
            if let [_, second, third, after @ ..] = halves {
                decoded
                    .push_str(&self.half(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f)));
                rest = after;
            }
        }
        decoded
    }

    /// What stands for a half that is still alone.
    pub(super) fn finish(&mut self) -> Option<char> {
        self.lead.take().map(|_| char::REPLACEMENT_CHARACTER)
    }

    fn half(&mut self, half: u16) -> String {
        let lead = self.lead.take();
        if half < 0xdc00 {
            self.lead = Some(half);
            return lead.map(|_| char::REPLACEMENT_CHARACTER).into_iter().collect();
        }
        char::decode_utf16(lead.into_iter().chain([half]))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }
}

/// Whether these bytes are a surrogate, as [WTF-8](https://simonsapin.github.io/wtf-8/) has them.
fn is_half(bytes: &[u8]) -> bool {
    bytes[0] == 0xed && bytes[1] >= 0xa0
}
