//! Following one reply: what was missed, then live, then how it ended; never a gap, never a text twice.
//!
//! ```text
//!  attach to announcements ──► row and log after the position ──► announcements ──┐
//!            ▲ a gap, a hint to look, or silence                                  │
//!            └────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A follower may be told of it slowly: it holds one piece at a time, however long the reply is.

use async_stream::try_stream;
use entity::{MessageId, UserId, message};
use futures_util::{FutureExt, Stream, StreamExt, stream::BoxStream};
use tokio::time::timeout;

use super::{Chat, Cursor};
use crate::{
    error::{Error, Result},
    ports::reply_log::{Announcement, Entry},
    store::messages::{self, Progress},
};

/// How much of a log or a row is read at once, in bytes.
const AT_ONCE: usize = 32 * 1024;
/// Texts that are ready together become one, up to this many bytes.
const MERGED: usize = 4 * 1024;

/// What a follower of a reply is told.
#[derive(Clone, Debug)]
pub enum ReplyEvent {
    /// Text to append.
    Delta { cursor: Cursor, text: String },
    /// Discard the text so far.
    Restarted { cursor: Cursor },
    /// The last: the row as it is in the end.
    Ended { cursor: Cursor, message: Box<message::Model> },
}

impl ReplyEvent {
    /// Where the next one goes on.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Delta { cursor, .. } | Self::Restarted { cursor } | Self::Ended { cursor, .. } => *cursor,
        }
    }
}

/// Where a row's content ends.
#[must_use]
pub fn end_of(row: &message::Model) -> Cursor {
    Cursor { attempt: row.attempt.cast_unsigned(), offset: row.content.len() }
}

impl Chat {
    /// Follows a reply of the user's from `after`; from its beginning without one.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::BadInput`] if the message is no reply.
    pub async fn watch(
        &self,
        user: UserId,
        id: MessageId,
        after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<ReplyEvent>> + Send + 'static> {
        self.owned_reply(user, id).await?;
        Ok(self.clone().follow(user, id, after))
    }

    /// How the user's reply stands.
    async fn standing(&self, user: UserId, id: MessageId) -> Result<Progress> {
        messages::progress_of(self.db.read(), user, id).await?.ok_or(Error::NotFound("message"))
    }

    /// A part of the row's content; none if another attempt has begun.
    async fn text_from(&self, id: MessageId, from: Cursor) -> Result<Option<Vec<u8>>> {
        let attempt = from.attempt.cast_signed();
        Ok(messages::bytes_from(self.db.read(), id, attempt, from.offset, AT_ONCE).await?)
    }

    /// The same for a message that is known to be a reply of the user's.
    pub(super) fn follow(
        self,
        user: UserId,
        id: MessageId,
        after: Option<Cursor>,
    ) -> impl Stream<Item = Result<ReplyEvent>> + Send + 'static {
        let chat = self;
        try_stream! {
            let mut reader = Reader { at: after.unwrap_or_default() };
            let mut announcements = chat.log.attach(id).await;
            loop {
                // The row first: if it is not final, whatever the log misses now is announced later.
                let Some(row) = chat.wait_out(chat.standing(user, id)).await? else { continue };
                let logged = Box::pin(chat.log.read(id, reader.at, AT_ONCE)).await.unwrap_or_default();
                let has_more = logged.iter().map(|entry| entry.text.len()).sum::<usize>() >= AT_ONCE;
                for entry in logged {
                    for event in reader.take(&entry).unwrap_or_default() {
                        yield event;
                    }
                }
                if has_more {
                    continue;
                }
                // What the log has lost, or has no longer, the row may have.
                let end = Cursor { attempt: row.attempt.cast_unsigned(), offset: row.length() };
                if row.status.is_final() && reader.at > end && let Some(event) = reader.restart(end.attempt) {
                    yield event;
                }
                while reader.at < end {
                    let from = Cursor { offset: reader.read_of(end.attempt), ..end };
                    let bytes = if from == end {
                        // An attempt that has only begun.
                        Some(Vec::new())
                    } else {
                        let Some(read) = chat.wait_out(chat.text_from(id, from)).await? else { continue };
                        read
                    };
                    let Some(bytes) = bytes else { break };
                    for event in reader.take_bytes(from, &bytes) {
                        yield event;
                    }
                }
                if row.status.is_final() {
                    if reader.at != end {
                        continue;
                    }
                    let Some(message) = chat.wait_out(chat.owned_message(user, id)).await? else { continue };
                    yield ReplyEvent::Ended { cursor: end_of(&message), message: Box::new(message) };
                    return;
                }
                while let Ok(Some(Announcement::Appended(first))) =
                    timeout(chat.pace.look_every, announcements.next()).await
                {
                    let (entry, look) = merge_ready(first, &mut announcements);
                    let Some(events) = reader.take(&entry) else { break };
                    for event in events {
                        yield event;
                    }
                    if look {
                        break;
                    }
                }
            }
        }
    }
}

/// Joins an entry with those that are announced already and continue it. True: what came next asks for a look.
fn merge_ready(first: Entry, announcements: &mut BoxStream<'static, Announcement>) -> (Entry, bool) {
    let mut merged = first;
    while merged.text.len() < MERGED {
        match announcements.next().now_or_never() {
            Some(Some(Announcement::Appended(next)))
                if next.end.attempt == merged.end.attempt && next.start() == merged.end.offset =>
            {
                merged.text.push_str(&next.text);
                merged.end = next.end;
            }
            None => break,
            // Another attempt, a gap, a hint or the end: the log and the row have it.
            Some(_) => return (merged, true),
        }
    }
    (merged, false)
}

/// A follower's position, and what has to be said to move it.
struct Reader {
    at: Cursor,
}

impl Reader {
    /// The events of an entry, less what is behind the position. None: there is a gap before it.
    fn take(&mut self, entry: &Entry) -> Option<Vec<ReplyEvent>> {
        let attempt = entry.end.attempt;
        if attempt < self.at.attempt || (attempt == self.at.attempt && entry.end.offset <= self.at.offset) {
            return Some(Vec::new());
        }
        let mut events = Vec::new();
        if attempt > self.at.attempt {
            if entry.start() > 0 {
                return None;
            }
            events.extend(self.restart(attempt));
        }
        if entry.start() > self.at.offset {
            return None;
        }
        if !entry.text.is_empty() {
            match entry.text.get(self.at.offset - entry.start()..) {
                Some(text) => {
                    self.at = entry.end;
                    events.push(ReplyEvent::Delta { cursor: self.at, text: text.to_owned() });
                }
                // The position splits a character, so it was never given out: begin anew.
                None => events.extend(self.restart(attempt)),
            }
        }
        Some(events)
    }

    /// How much of an attempt's text is behind the position.
    fn read_of(&self, attempt: u32) -> usize {
        if self.at.attempt == attempt { self.at.offset } else { 0 }
    }

    /// The events of a part of a row's content, which may end inside a character.
    fn take_bytes(&mut self, from: Cursor, bytes: &[u8]) -> Vec<ReplyEvent> {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if text.is_empty() && !bytes.is_empty() {
            // The position splits a character, so it was never given out: begin anew.
            return self.restart(from.attempt).into_iter().collect();
        }
        let entry = Entry { end: Cursor { offset: from.offset + text.len(), ..from }, text: text.to_owned() };
        self.take(&entry).unwrap_or_default()
    }

    /// Goes to the beginning of an attempt; says so if there is a text to discard.
    fn restart(&mut self, attempt: u32) -> Option<ReplyEvent> {
        let had_begun = self.at.attempt > 0;
        self.at = Cursor { attempt, offset: 0 };
        had_begun.then_some(ReplyEvent::Restarted { cursor: self.at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attempt: u32, offset: usize, text: &str) -> Entry {
        Entry { end: Cursor { attempt, offset }, text: text.to_owned() }
    }

    /// What a client has after these entries, and whether any was refused.
    fn read(from: &str, had: &str, entries: &[Entry]) -> (String, bool) {
        let mut reader = Reader { at: from.parse().unwrap() };
        let mut text = had.to_owned();
        let mut gap = false;
        for entry in entries {
            match reader.take(entry) {
                Some(events) => events.into_iter().for_each(|event| match event {
                    ReplyEvent::Delta { text: more, .. } => text.push_str(&more),
                    ReplyEvent::Restarted { .. } => text.clear(),
                    ReplyEvent::Ended { .. } => panic!("an entry ends nothing"),
                }),
                None => gap = true,
            }
        }
        (text, gap)
    }

    #[test]
    fn what_was_seen_is_not_told_again() {
        let entries = [entry(1, 0, ""), entry(1, 5, "Hello"), entry(1, 12, ", world")];
        assert_eq!(read("0-0", "", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-5", "Hello", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-3", "Hel", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-12", "Hello, world", &entries), ("Hello, world".to_owned(), false));
    }

    #[test]
    fn a_new_attempt_discards_and_a_late_writer_is_not_heard() {
        let entries = [entry(1, 5, "Hello"), entry(2, 0, ""), entry(2, 2, "Hi"), entry(1, 12, ", world")];
        assert_eq!(read("1-0", "", &entries), ("Hi".to_owned(), false));
    }

    #[test]
    fn a_gap_is_noticed() {
        assert_eq!(read("1-5", "Hello", &[entry(1, 12, "rld")]), ("Hello".to_owned(), true));
        assert_eq!(read("1-5", "Hello", &[entry(2, 4, "ay")]), ("Hello".to_owned(), true));
    }

    #[test]
    fn a_part_of_a_row_may_end_inside_a_character_and_not_begin_there() {
        let mut reader = Reader { at: "1-1".parse().unwrap() };
        let from = |offset| Cursor { attempt: 1, offset };
        let told: Vec<_> = reader.take_bytes(from(1), "né".as_bytes()[..2].as_ref()).into_iter().collect();
        assert!(matches!(&told[..], [ReplyEvent::Delta { text, .. }] if text == "n"));
        let told = reader.take_bytes(from(2), &"é".as_bytes()[1..]);
        assert!(matches!(&told[..], [ReplyEvent::Restarted { cursor }] if *cursor == from(0)));
    }

    #[test]
    fn a_position_inside_a_character_begins_anew() {
        assert_eq!(read("1-1", "?", &[entry(1, 2, "é"), entry(1, 2, "é")]), ("é".to_owned(), false));
    }
}
