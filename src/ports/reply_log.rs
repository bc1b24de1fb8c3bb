//! The text of a reply while it is written: an append-only log addressed by cursors, and its announcements.
//!
//! ```text
//!   worker ── append(1-0 "") ── append(1-5 "Hello") ── append(1-12 ", world") ── end
//!                                      │ announced
//!   subscriber ── attach ── read(after) ── announcements, less what was read ──►
//! ```
//!
//! A cursor is also the fence: the log takes an entry only where its text continues what it holds or opens a later
//! attempt, so that a worker that was presumed dead and writes on under an old attempt is refused by the store itself, a
//! piece whose answer got lost is not appended twice, and a log that lost its end is noticed by its writer.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use entity::MessageId;
use futures_util::stream::BoxStream;

use super::Unavailable;

/// How long a log can be read after its reply has ended; from then on the row serves the same cursors.
pub const KEPT_AFTER_END: std::time::Duration = std::time::Duration::from_mins(10);

/// A position in a reply: which attempt at it, and how many bytes of its text (UTF-8) end there.
///
/// Written `<attempt>-<offset>`; clients treat that as opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// 0 before the first attempt.
    pub attempt: u32,
    pub offset: usize,
}

impl Cursor {
    /// Why an entry from `start` to `end`, both of this cursor's attempt or both of another, cannot be appended to a log
    /// that ends here.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] or [`AppendError::OutOfStep`].
    pub fn takes(self, entry: &Entry) -> Result<(), AppendError> {
        let start = Self { offset: entry.start(), ..entry.end };
        let opens = start.offset == 0 && self.attempt < start.attempt;
        if self.attempt > start.attempt {
            Err(AppendError::Fenced)
        } else if (opens || self == start) && self < entry.end {
            Ok(())
        } else {
            Err(AppendError::OutOfStep { end: self })
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.offset)
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (attempt, offset) = text.split_once('-').ok_or(InvalidCursor)?;
        let number =
            |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u32>().ok())?;
        match (number(attempt), number(offset)) {
            (Some(attempt), Some(offset)) => Ok(Self { attempt, offset: offset as usize }),
            _ => Err(InvalidCursor),
        }
    }
}

/// A piece of a reply. An attempt opens with an empty one that ends at offset 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its text ends.
    pub end: Cursor,
    pub text: String,
}

impl Entry {
    /// The offset at which its text begins.
    #[must_use]
    pub fn start(&self) -> usize {
        self.end.offset.saturating_sub(self.text.len())
    }
}

/// What a subscriber that has attached to a log hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    Appended(Entry),
    /// The reply has ended, or something may have been missed: read the row and the log again.
    Look,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another attempt has begun.
    #[error("the log is past this attempt")]
    Fenced,
    /// The entry does not begin where the log ends: go on from there, or from the attempt's beginning where that is of
    /// an earlier attempt.
    #[error("the log ends at {end}")]
    OutOfStep { end: Cursor },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[async_trait]
pub trait ReplyLog: Send + Sync {
    /// Appends and announces.
    async fn append(&self, reply: MessageId, entry: Entry) -> Result<(), AppendError>;

    /// What ends above `after`, in order, neighbours possibly merged; a cursor inside an entry gets that entry whole or cut
    /// at the cursor. All of it if the texts together have less than `most` bytes, else the first that reach it. Empty when
    /// the log has expired or never was.
    async fn read(&self, reply: MessageId, after: Cursor, most: usize) -> Result<Vec<Entry>, Unavailable>;

    /// Announcements of everything from now on, without an end. A reader that is too slow hears [`Announcement::Look`]
    /// instead; so does everybody now and then while the log is unavailable, and once when it is there again.
    async fn attach(&self, reply: MessageId) -> BoxStream<'static, Announcement>;

    /// Announces that the row tells how it ended, and lets the log expire [`KEPT_AFTER_END`] from now.
    async fn end(&self, reply: MessageId) -> Result<(), Unavailable>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_writes_and_nothing_else() {
        let cursor = Cursor { attempt: 3, offset: 1207 };
        assert_eq!(cursor.to_string(), "3-1207");
        assert_eq!("3-1207".parse(), Ok(cursor));
        for text in ["", "-", "3", "3-", "-3", "+3-1", "3-+1", "a-1", "3-1-2", "3-99999999999"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
