//! The event stream of one reply: backfill, then live text, then the end, without gaps and without duplicates.
//!
//! ```text
//!  subscribe to the log ──► backfill: row and log after the position ──► live: updates of the log ──┐
//!                                ▲                                                                  │
//!                                └── a gap, LogUpdate::Reread, or no update within poll_every ◄─────┘
//! ```
//!
//! A slow subscriber is backpressured: it holds one log entry at a time, however long the reply is.

use async_stream::try_stream;
use entity::{MessageId, UserId, message};
use futures_util::{FutureExt, Stream, StreamExt, stream::BoxStream};
use tokio::time::timeout;

use super::{Cursor, Replies};
use crate::{
    domain::read_retry::with_read_retry,
    error::{Error, Result},
    ports::reply_log::{LogEntry, LogUpdate},
    store::messages::{self, Progress},
};

/// How much of a log or a row is read in one query, in bytes.
const READ_SIZE: usize = 32 * 1024;
/// Entries that are ready at the same time are merged, up to this many bytes.
const MERGE_SIZE: usize = 4 * 1024;

/// An event of a reply, with the position to resume from.
#[derive(Clone, Debug)]
pub enum ReplyEvent {
    /// Text to append.
    Delta { cursor: Cursor, text: String },
    /// Discard the text so far.
    Restarted { cursor: Cursor },
    /// The last event: the final row.
    Ended { cursor: Cursor, message: Box<message::Model> },
}

impl ReplyEvent {
    /// The position after this event.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Delta { cursor, .. } | Self::Restarted { cursor } | Self::Ended { cursor, .. } => *cursor,
        }
    }
}

/// The position at the end of a row's content.
#[must_use]
pub fn end_cursor(row: &message::Model) -> Cursor {
    Cursor { attempt: row.attempt.cast_unsigned(), offset: row.content.len() }
}

impl Replies {
    /// The events of the user's reply after the position `after`, or from the beginning if it is none.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::BadInput`] if the message is not a reply.
    pub async fn reply_events(
        &self,
        user: UserId,
        id: MessageId,
        after: Option<Cursor>,
    ) -> Result<impl Stream<Item = Result<ReplyEvent>> + Send + 'static> {
        self.owned_reply(user, id).await?;
        Ok(self.clone().events_of_reply(user, id, after))
    }

    /// The state of the user's reply, without its content.
    async fn reply_state(&self, user: UserId, id: MessageId) -> Result<Progress> {
        messages::progress_of(self.db.read(), user, id).await?.ok_or(Error::NotFound("message"))
    }

    /// Reads up to [`READ_SIZE`] bytes of the row's content after `from`. None if another attempt has begun.
    async fn text_from(&self, id: MessageId, from: Cursor) -> Result<Option<Vec<u8>>> {
        let attempt = from.attempt.cast_signed();
        Ok(messages::bytes_from(self.db.read(), id, attempt, from.offset, READ_SIZE).await?)
    }

    /// Like [`reply_events`](Self::reply_events), but does not check that the message is a reply of this user; the caller has
    /// done so.
    pub(in crate::domain) fn events_of_reply(
        self,
        user: UserId,
        id: MessageId,
        after: Option<Cursor>,
    ) -> impl Stream<Item = Result<ReplyEvent>> + Send + 'static {
        let replies = self;
        try_stream! {
            replies.metrics.subscribed(after.is_some());
            let mut reader = Reader { position: after.unwrap_or_default() };
            let mut updates = replies.log.subscribe(id).await;
            loop {
                // The row is read before the log. If it is not final, text that is not in the log yet will be published.
                let Some(row) = with_read_retry(|| replies.reply_state(user, id)).await? else { continue };
                let logged = Box::pin(replies.log.read(id, reader.position, READ_SIZE)).await.unwrap_or_default();
                let has_more = logged.iter().map(|entry| entry.text.len()).sum::<usize>() >= READ_SIZE;
                for entry in logged {
                    for event in reader.read_entry(&entry).unwrap_or_default() {
                        yield event;
                    }
                }
                if has_more {
                    continue;
                }
                // The row may hold text that the log has lost or that has expired there.
                let end = Cursor { attempt: row.attempt.cast_unsigned(), offset: row.length() };
                // The subscriber has received text that the final row lacks, or its cursor was never issued: it starts over.
                if row.status.is_final() && reader.position > end && let Some(event) = reader.restart(end.attempt) {
                    yield event;
                }
                while reader.position < end {
                    let from = Cursor { offset: reader.offset_in(end.attempt), ..end };
                    let bytes = if from == end {
                        // The attempt has just begun: the row contains none of its text.
                        Some(Vec::new())
                    } else {
                        let Some(read) = with_read_retry(|| replies.text_from(id, from)).await? else { continue };
                        read
                    };
                    let Some(bytes) = bytes else { break };
                    for event in reader.read_bytes(from, &bytes) {
                        yield event;
                    }
                }
                if row.status.is_final() {
                    if reader.position != end {
                        continue;
                    }
                    let message = with_read_retry(|| replies.owned_message(user, id)).await?;
                    let Some(message) = message else { continue };
                    yield ReplyEvent::Ended { cursor: end_cursor(&message), message: Box::new(message) };
                    return;
                }
                while let Ok(Some(LogUpdate::Appended(entry))) =
                    timeout(replies.timing.poll_every, updates.next()).await
                {
                    let (merged, must_reread) = merge_ready(entry, &mut updates);
                    let Some(events) = reader.read_entry(&merged) else {
                        replies.metrics.reread();
                        break;
                    };
                    for event in events {
                        yield event;
                    }
                    if must_reread {
                        break;
                    }
                }
            }
        }
    }
}

/// Merges an entry with the entries that continue it and have already arrived. Also returns whether the log and the row must be
/// read again after the merged entry.
fn merge_ready(entry: LogEntry, updates: &mut BoxStream<'static, LogUpdate>) -> (LogEntry, bool) {
    let mut merged = entry;
    while merged.text.len() < MERGE_SIZE {
        match updates.next().now_or_never() {
            Some(Some(LogUpdate::Appended(next)))
                if next.end.attempt == merged.end.attempt && next.start() == merged.end.offset =>
            {
                merged.text.push_str(&next.text);
                merged.end = next.end;
            }
            None => break,
            // Another attempt, a gap, a request to reread or the end of the updates follows: read the log and the row.
            Some(_) => return (merged, true),
        }
    }
    (merged, false)
}

/// A subscriber's position, and the events that advance it.
struct Reader {
    position: Cursor,
}

impl Reader {
    /// The events of an entry, without the text before the position. Advances the position. None if there is a gap between the
    /// position and the entry.
    fn read_entry(&mut self, entry: &LogEntry) -> Option<Vec<ReplyEvent>> {
        let attempt = entry.end.attempt;
        if attempt < self.position.attempt
            || (attempt == self.position.attempt && entry.end.offset <= self.position.offset)
        {
            return Some(Vec::new());
        }
        let mut events = Vec::new();
        if attempt > self.position.attempt {
            if entry.start() > 0 {
                return None;
            }
            events.extend(self.restart(attempt));
        }
        if entry.start() > self.position.offset {
            return None;
        }
        if !entry.text.is_empty() {
            match entry.text.get(self.position.offset - entry.start()..) {
                Some(text) => {
                    self.position = entry.end;
                    events.push(ReplyEvent::Delta { cursor: self.position, text: text.to_owned() });
                }
                // The position is inside a character, so the server never issued it: restart.
                None => events.extend(self.restart(attempt)),
            }
        }
        Some(events)
    }

    /// How many bytes of an attempt's text are before the position.
    fn offset_in(&self, attempt: u32) -> usize {
        if self.position.attempt == attempt { self.position.offset } else { 0 }
    }

    /// The events of a part of the row's content that begins at `from`. The part may end inside a character.
    fn read_bytes(&mut self, from: Cursor, bytes: &[u8]) -> Vec<ReplyEvent> {
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if text.is_empty() && !bytes.is_empty() {
            // The position is inside a character, so the server never issued it: restart.
            return self.restart(from.attempt).into_iter().collect();
        }
        let entry =
            LogEntry { end: Cursor { offset: from.offset + text.len(), ..from }, text: text.to_owned() };
        self.read_entry(&entry).unwrap_or_default()
    }

    /// Moves to the beginning of an attempt; returns an event if there is text to discard.
    fn restart(&mut self, attempt: u32) -> Option<ReplyEvent> {
        let had_begun = self.position.attempt > 0;
        self.position = Cursor { attempt, offset: 0 };
        had_begun.then_some(ReplyEvent::Restarted { cursor: self.position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attempt: u32, offset: usize, text: &str) -> LogEntry {
        LogEntry { end: Cursor { attempt, offset }, text: text.to_owned() }
    }

    /// The text of a client that has `text_before` at the position `from` and receives these entries, and whether there was a
    /// gap.
    fn read(from: &str, text_before: &str, entries: &[LogEntry]) -> (String, bool) {
        let mut reader = Reader { position: from.parse().unwrap() };
        let mut text = text_before.to_owned();
        let mut has_gap = false;
        for entry in entries {
            match reader.read_entry(entry) {
                Some(events) => events.into_iter().for_each(|event| match event {
                    ReplyEvent::Delta { text: more, .. } => text.push_str(&more),
                    ReplyEvent::Restarted { .. } => text.clear(),
                    ReplyEvent::Ended { .. } => panic!("an entry does not end a reply"),
                }),
                None => has_gap = true,
            }
        }
        (text, has_gap)
    }

    #[test]
    fn text_before_the_position_is_not_repeated() {
        let entries = [entry(1, 0, ""), entry(1, 5, "Hello"), entry(1, 12, ", world")];
        assert_eq!(read("0-0", "", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-5", "Hello", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-3", "Hel", &entries), ("Hello, world".to_owned(), false));
        assert_eq!(read("1-12", "Hello, world", &entries), ("Hello, world".to_owned(), false));
    }

    #[test]
    fn a_new_attempt_discards_the_text_and_later_entries_of_the_old_attempt_are_ignored() {
        let entries = [entry(1, 5, "Hello"), entry(2, 0, ""), entry(2, 2, "Hi"), entry(1, 12, ", world")];
        assert_eq!(read("1-0", "", &entries), ("Hi".to_owned(), false));
    }

    #[test]
    fn a_gap_before_an_entry_is_detected() {
        assert_eq!(read("1-5", "Hello", &[entry(1, 12, "rld")]), ("Hello".to_owned(), true));
        assert_eq!(read("1-5", "Hello", &[entry(2, 4, "ay")]), ("Hello".to_owned(), true));
    }

    #[test]
    fn a_part_of_the_row_may_end_inside_a_character_but_restarts_the_attempt_if_it_begins_there() {
        let mut reader = Reader { position: "1-1".parse().unwrap() };
        let from = |offset| Cursor { attempt: 1, offset };
        let events: Vec<_> = reader.read_bytes(from(1), "né".as_bytes()[..2].as_ref()).into_iter().collect();
        assert!(matches!(&events[..], [ReplyEvent::Delta { text, .. }] if text == "n"));
        let events = reader.read_bytes(from(2), &"é".as_bytes()[1..]);
        assert!(matches!(&events[..], [ReplyEvent::Restarted { cursor }] if *cursor == from(0)));
    }

    #[test]
    fn a_position_inside_a_character_restarts_the_attempt() {
        // The first entry causes the restart. The second one is the same text, read after the restart.
        assert_eq!(read("1-1", "?", &[entry(1, 2, "é"), entry(1, 2, "é")]), ("é".to_owned(), false));
    }
}
