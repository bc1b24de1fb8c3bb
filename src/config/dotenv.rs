//! The file `.env` in the working directory.

use std::{cell::Cell, fs, io};

const FILE: &str = ".env";

/// Adds the variables of the file to the environment. Variables that are already set take precedence.
///
/// # Errors
/// A sentence about an unreadable file, or the number of a malformed line, but never its text, which may be a secret.
pub fn load_dotenv() -> Result<(), String> {
    let text = match fs::read_to_string(FILE) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{FILE} cannot be read: {error}")),
    };
    load(&text)
}

fn load(text: &str) -> Result<(), String> {
    let lines_read = Cell::new(0);
    let lines = Lines { rest: text.as_bytes(), count: &lines_read };
    dotenvy::from_read(lines).map_err(|error| match error {
        dotenvy::Error::LineParse(entry, _) => {
            // A malformed entry whose quotes are not closed spans several lines. This is the number of its first line.
            let line = (lines_read.get() + 1).saturating_sub(entry.lines().count().max(1));
            format!("{FILE}, line {line} is not of the form NAME=value; a value with spaces needs quotes")
        }
        _ => format!("{FILE} cannot be read"),
    })
}

/// A reader that returns at most one line at a time and counts the lines, because dotenvy's errors contain no line number.
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of lines that were read.
    count: &'a Cell<usize>,
}

impl io::Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |end| end + 1);
        let length = line.min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest = &self.rest[length..];
        let has_ended_line = length > 0 && length == line;
        self.count.set(self.count.get() + usize::from(has_ended_line));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_number_of_a_malformed_line_and_not_its_text() {
        for (text, number) in [
            ("# comment\nA_1=1\n\nhush hush\n", 4),
            ("hush hush", 1),
            ("B_2=\"hush\nhush\nhush", 1),
            ("C_3=\"two\nlines\"\nD_4=hush 'hush\n\n", 3),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(&format!("line {number} ")), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
