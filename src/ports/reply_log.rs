//! The text of a reply while it is written: an append-only log addressed by cursors, whose entries are published.
//!
//! ```text
//!   worker ── append(1-0 "") ── append(1-5 "Hello") ── append(1-12 ", world") ── end
//!                                      │ published
//!   subscriber ── subscribe ── read(after) ── live updates, without what was read ──►
//! ```
//!
//! A cursor is also the fence: the log accepts an entry only if it continues the log's text or opens a later attempt.
//! Therefore the store itself rejects a worker that was presumed dead and still writes under an old attempt. An entry whose
//! acknowledgement was lost is not appended twice. And the writer detects a log whose last entries have been lost.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use entity::MessageId;
use futures_util::stream::BoxStream;

use super::Unavailable;

/// How long a log stays readable after its reply has ended. Afterwards, the text in the database serves the same cursors.
pub const KEPT_AFTER_END: std::time::Duration = std::time::Duration::from_mins(10);

/// A position in a reply: the attempt, and the number of UTF-8 bytes of its text before the position.
///
/// Formatted as `<attempt>-<offset>`; opaque to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// 0 before the first attempt.
    pub attempt: u32,
    pub offset: usize,
}

impl Cursor {
    /// Checks whether an entry can be appended to a log that ends at this cursor.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] or [`AppendError::NotAtEnd`].
    pub fn check_append(self, entry: &LogEntry) -> Result<(), AppendError> {
        let start = Self { offset: entry.start(), ..entry.end };
        let opens = start.offset == 0 && self.attempt < start.attempt;
        if self.attempt > start.attempt {
            Err(AppendError::Fenced)
        } else if (opens || self == start) && self < entry.end {
            Ok(())
        } else {
            Err(AppendError::NotAtEnd { end: self })
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

/// Part of a reply's text. The first entry of an attempt is empty and ends at offset 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The position at the end of the text.
    pub end: Cursor,
    pub text: String,
}

impl LogEntry {
    /// The offset at which the text begins.
    #[must_use]
    pub fn start(&self) -> usize {
        self.end.offset.saturating_sub(self.text.len())
    }
}

/// What a log publishes to its subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogUpdate {
    Appended(LogEntry),
    /// The reply has ended, or updates may have been missed: read the row and the log.
    Reread,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A later attempt has begun.
    #[error("the log holds a later attempt")]
    Fenced,
    /// The entry does not begin where the log ends. Continue from `end`, or from the beginning of the attempt if `end` is of
    /// an earlier one.
    #[error("the log ends at {end}")]
    NotAtEnd { end: Cursor },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[async_trait]
pub trait ReplyLog: Send + Sync {
    /// Appends an entry and publishes it.
    async fn append(&self, reply: MessageId, entry: LogEntry) -> Result<(), AppendError>;

    /// The entries that end after a cursor, in order. Adjacent entries may be merged. An entry that contains the cursor is
    /// returned whole, or only the part after the cursor. Stops once the texts have `max_bytes` together. Returns no entries if
    /// the log has expired or does not exist.
    async fn read(
        &self,
        reply: MessageId,
        after: Cursor,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, Unavailable>;

    /// All updates from now on; the stream does not end. A subscriber that lags receives [`LogUpdate::Reread`] instead of the
    /// updates that it missed. All subscribers receive it from time to time while the log is unavailable, and once when it is
    /// available again.
    async fn subscribe(&self, reply: MessageId) -> BoxStream<'static, LogUpdate>;

    /// Publishes [`LogUpdate::Reread`], because the reply has ended, and lets the log expire after [`KEPT_AFTER_END`].
    async fn end(&self, reply: MessageId) -> Result<(), Unavailable>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_parses_only_its_own_format() {
        let cursor = Cursor { attempt: 3, offset: 1207 };
        assert_eq!(cursor.to_string(), "3-1207");
        assert_eq!("3-1207".parse(), Ok(cursor));
        for text in ["", "-", "3", "3-", "-3", "+3-1", "3-+1", "a-1", "3-1-2", "3-99999999999"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
