//! The reply log in Redis. Each reply has a stream, in which the ids of the entries are the cursors, and a channel, on which each
//! entry is published.
//!
//! The stream `pollux:{<reply>}:log` holds the entries of the current attempt; those of earlier attempts are removed. The channel
//! is `pollux:{<reply>}:live`.

use async_trait::async_trait;
use bytes::Bytes;
use entity::MessageId;
use futures_util::{StreamExt, future, stream::BoxStream};
use redis::Script;

use super::{hub::Received, link::Link};
use crate::ports::{
    Unavailable,
    reply_log::{AppendError, Cursor, KEPT_AFTER_END, LogEntry, LogUpdate, ReplyLog},
};

/// The number of updates by which a subscriber may lag before it must reread the log.
const BACKLOG: usize = 256;
/// The maximum number of entries that one command reads.
const READ_COUNT: usize = 64;
/// How long the log of an attempt is kept after its first entry, in case a killed process never ends it.
const KEPT_WHILE_WRITTEN: std::time::Duration = std::time::Duration::from_hours(24);

/// Appends an entry that continues the log or opens a later attempt, publishes it, and returns an empty string. Rejects any
/// other entry, and returns the cursor at which the log ends.
///
/// `KEYS`: the stream and the channel. `ARGV`: the entry's attempt, its start offset, its end offset and its text; the lifetime
/// of the stream in milliseconds; the command that publishes.
const APPEND: &str = r"
local attempt, start, offset = ARGV[1], ARGV[2], ARGV[3]
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = newest and newest[1] or '0-0'
local opens = start == '0' and tonumber(last:match('^%d+')) < tonumber(attempt)
if not opens and last ~= attempt .. '-' .. start then return last end
local id = attempt .. '-' .. offset
local added = redis.pcall('XADD', KEYS[1], 'MINID', attempt .. '-0', id, 't', ARGV[4])
if type(added) == 'table' and added.err then
  if added.err:find('equal or smaller', 1, true) then return last end
  return added
end
if opens then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
redis.call(ARGV[6], KEYS[2], id .. ' ' .. ARGV[4])
return ''
";

#[derive(Clone)]
pub struct RedisReplyLog {
    link: Link,
    append: std::sync::Arc<Script>,
}

impl RedisReplyLog {
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self { link, append: Script::new(APPEND).into() }
    }
}

fn log_key(reply: MessageId) -> String {
    format!("pollux:{{{reply}}}:log")
}

fn live_channel(reply: MessageId) -> String {
    format!("pollux:{{{reply}}}:live")
}

#[async_trait]
impl ReplyLog for RedisReplyLog {
    async fn append(&self, reply: MessageId, entry: LogEntry) -> Result<(), AppendError> {
        let server = self.link.server()?;
        let mut append = self.append.prepare_invoke();
        append.key(log_key(reply)).key(live_channel(reply));
        append.arg(entry.end.attempt).arg(entry.start()).arg(entry.end.offset).arg(&entry.text);
        append.arg(millis(KEPT_WHILE_WRITTEN)).arg(server.publish_command());
        let log_end: String = self.link.run_script(&append, server).await?;
        if log_end.is_empty() {
            return Ok(());
        }
        let end: Cursor = log_end.parse().map_err(|_| invalid_id(&log_end))?;
        end.check_append(&entry)?;
        // The entry continues the log, but Redis rejected its id: the stream remembers the greatest id that it ever had, which
        // may be greater than that of its last entry.
        Err(AppendError::NotAtEnd { end })
    }

    async fn read(
        &self,
        reply: MessageId,
        after: Cursor,
        max_bytes: usize,
    ) -> Result<Vec<LogEntry>, Unavailable> {
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut bytes = 0;
        let mut after = after;
        loop {
            let mut range = redis::pipe();
            range
                .cmd("XRANGE")
                .arg(log_key(reply))
                .arg(format!("({after}"))
                .arg("+")
                .arg("COUNT")
                .arg(READ_COUNT);
            let (batch,): (Vec<(String, Vec<(String, String)>)>,) = self.link.run(&range).await?;
            let is_last = batch.len() < READ_COUNT;
            for (id, fields) in batch {
                after = id.parse().map_err(|_| invalid_id(&id))?;
                let text = fields.into_iter().next().map(|(_, text)| text).unwrap_or_default();
                bytes += text.len();
                match entries.last_mut() {
                    // The entry that opens an attempt is empty and ends at offset 0. It is returned as an entry of its own.
                    Some(last) if last.end.attempt == after.attempt && last.end.offset > 0 => {
                        last.text.push_str(&text);
                        last.end = after;
                    }
                    _ => entries.push(LogEntry { end: after, text }),
                }
            }
            if is_last || bytes >= max_bytes {
                return Ok(entries);
            }
        }
    }

    async fn subscribe(&self, reply: MessageId) -> BoxStream<'static, LogUpdate> {
        let received = self.link.subscribe(live_channel(reply), BACKLOG).await;
        received
            .map(|received| match received {
                Received::Message(message) => {
                    parse_published(&message).map_or(LogUpdate::Reread, LogUpdate::Appended)
                }
                Received::Gap => LogUpdate::Reread,
            })
            .boxed()
    }

    async fn end(&self, reply: MessageId) -> Result<(), Unavailable> {
        let mut expire = redis::pipe();
        expire.cmd("PEXPIRE").arg(log_key(reply)).arg(millis(KEPT_AFTER_END)).ignore();
        let published = self.link.publish_signals(vec![live_channel(reply)]);
        let (published, expires) = future::join(published, self.link.run::<()>(&expire)).await;
        published.and(expires)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn invalid_id(id: &str) -> Unavailable {
    Unavailable { what: "the reply log", cause: anyhow::anyhow!("invalid entry id {id}") }
}

/// Parses `<cursor> <text>`. Returns none for anything else, such as the empty message that is published when the reply ends; the
/// subscriber must then reread the log.
fn parse_published(message: &Bytes) -> Option<LogEntry> {
    let (end, text) = std::str::from_utf8(message).ok()?.split_once(' ')?;
    Some(LogEntry { end: end.parse().ok()?, text: text.to_owned() })
}
