//! The reply log as a stream a reply, whose entries' ids are the cursors, and a channel on which each is announced.
//!
//! `pollux:{<reply>}:log` holds the current attempt's entries; what was written of an earlier one is trimmed away.

use async_trait::async_trait;
use bytes::Bytes;
use entity::MessageId;
use futures_util::{StreamExt, stream::BoxStream};
use redis::Script;

use super::{hub::Heard, link::Link};
use crate::ports::{
    Unavailable,
    reply_log::{Announcement, AppendError, Cursor, Entry, KEPT_AFTER_END, ReplyLog},
};

/// How far a subscriber may fall behind before it is told to read again.
const BACKLOG: usize = 256;
/// Entries that are read at once.
const PAGE: usize = 64;
/// How long a log is kept after its last entry: for the one whose end a killed process could not tell.
const KEPT_WHILE_WRITTEN: std::time::Duration = std::time::Duration::from_hours(24);

/// Appends what continues the log or opens a later attempt, and announces it; else says where the log ends.
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
redis.call('PEXPIRE', KEYS[1], ARGV[5])
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

fn log(reply: MessageId) -> String {
    format!("pollux:{{{reply}}}:log")
}

fn channel(reply: MessageId) -> String {
    format!("pollux:{{{reply}}}:live")
}

#[async_trait]
impl ReplyLog for RedisReplyLog {
    async fn append(&self, reply: MessageId, entry: Entry) -> Result<(), AppendError> {
        let server = self.link.server()?;
        let mut append = self.append.prepare_invoke();
        append.key(log(reply)).key(channel(reply));
        append.arg(entry.end.attempt).arg(entry.start()).arg(entry.end.offset).arg(&entry.text);
        append.arg(millis(KEPT_WHILE_WRITTEN)).arg(server.publish_command());
        let last: String = self.link.run_script(&append, server).await?;
        if last.is_empty() {
            return Ok(());
        }
        let end: Cursor = last.parse().map_err(|_| not_ours(&last))?;
        end.takes(&entry)?;
        // By the rules it fits, and Redis has refused its id.
        Err(AppendError::OutOfStep { end })
    }

    async fn read(&self, reply: MessageId, after: Cursor, most: usize) -> Result<Vec<Entry>, Unavailable> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let mut after = after;
        loop {
            let mut range = redis::pipe();
            range.cmd("XRANGE").arg(log(reply)).arg(format!("({after}")).arg("+").arg("COUNT").arg(PAGE);
            let (page,): (Vec<(String, Vec<(String, String)>)>,) = self.link.run(&range).await?;
            let is_last = page.len() < PAGE;
            for (id, fields) in page {
                after = id.parse().map_err(|_| not_ours(&id))?;
                let text = fields.into_iter().next().map(|(_, text)| text).unwrap_or_default();
                bytes += text.len();
                match entries.last_mut() {
                    // An opening stays by itself.
                    Some(last) if last.end.attempt == after.attempt && last.end.offset > 0 => {
                        last.text.push_str(&text);
                        last.end = after;
                    }
                    _ => entries.push(Entry { end: after, text }),
                }
            }
            if is_last || bytes >= most {
                return Ok(entries);
            }
        }
    }

    async fn attach(&self, reply: MessageId) -> BoxStream<'static, Announcement> {
        let heard = self.link.listen(channel(reply), BACKLOG).await;
        heard
            .map(|heard| match heard {
                Heard::Message(message) => {
                    announced(&message).map_or(Announcement::Look, Announcement::Appended)
                }
                Heard::Again => Announcement::Look,
            })
            .boxed()
    }

    async fn end(&self, reply: MessageId) -> Result<(), Unavailable> {
        self.link.hint(channel(reply)).await?;
        let mut expire = redis::pipe();
        expire.cmd("PEXPIRE").arg(log(reply)).arg(millis(KEPT_AFTER_END)).ignore();
        self.link.run(&expire).await
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn not_ours(id: &str) -> Unavailable {
    Unavailable { what: "the reply log", cause: anyhow::anyhow!("an entry has the id {id}") }
}

/// Reads `<cursor> <text>`; anything else asks for a look.
fn announced(message: &Bytes) -> Option<Entry> {
    let (end, text) = std::str::from_utf8(message).ok()?.split_once(' ')?;
    Some(Entry { end: end.parse().ok()?, text: text.to_owned() })
}
