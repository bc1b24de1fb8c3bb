//! Joins surrogate pairs. JSON can write a character outside of the Basic Multilingual Plane as two `\u` escapes (a surrogate
//! pair), and a provider may split its text between the two.

/// Decodes texts from [`lenient::text`](super::lenient::text). It joins surrogate pairs, even if they are split between
/// consecutive texts, and replaces unpaired surrogates with U+FFFD.
#[derive(Debug, Default)]
pub struct Surrogates {
    /// A leading surrogate whose trailing one has not arrived yet.
    lead: Option<u16>,
}

impl Surrogates {
    pub fn push(&mut self, text: &[u8]) -> String {
        let mut decoded = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let at = rest.windows(3).position(is_surrogate).unwrap_or(rest.len());
            let (plain, surrogates) = rest.split_at(at);
            if !plain.is_empty() {
                decoded.extend(self.finish());
                decoded.push_str(&String::from_utf8_lossy(plain));
            }
            rest = surrogates;
            if let [_, second, third, after @ ..] = surrogates {
                decoded.push_str(
                    &self.push_surrogate(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f)),
                );
                rest = after;
            }
        }
        decoded
    }

    /// The replacement character, if a leading surrogate remains unpaired.
    pub fn finish(&mut self) -> Option<char> {
        self.lead.take().map(|_| char::REPLACEMENT_CHARACTER)
    }

    fn push_surrogate(&mut self, surrogate: u16) -> String {
        let lead = self.lead.take();
        if surrogate < 0xdc00 {
            self.lead = Some(surrogate);
            return lead.map(|_| char::REPLACEMENT_CHARACTER).into_iter().collect();
        }
        char::decode_utf16(lead.into_iter().chain([surrogate]))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    }
}

/// Whether these bytes are a surrogate in [WTF-8](https://simonsapin.github.io/wtf-8/).
fn is_surrogate(bytes: &[u8]) -> bool {
    bytes[0] == 0xed && bytes[1] >= 0xa0
}
