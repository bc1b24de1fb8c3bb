//! The updates of a chatroom: first the changes since a version, then live events. Every device receives the same events.
//!
//! Each change takes the chatroom's next version in its transaction, so resuming needs no event log. The events of replies
//! that are being written ([`Replies::reply_events`]) are merged into the chatroom's events.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_stream::try_stream;
use entity::{ChatroomId, MessageId, UserId, chatroom, message};
use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Chatrooms, buffered::buffered};
use crate::{
    domain::read_retry::with_read_retry,
    domain::replies::{Replies, ReplyEvent, end_cursor},
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        chatrooms,
        messages::{self, ChangeKey},
    },
};

/// How often to poll, because the signal of a change may be lost with a killed process.
const POLL_EVERY: Duration = Duration::from_secs(30);

/// A change, and the version to resume from: every change up to it has been sent with this event.
#[derive(Clone, Debug)]
pub struct ChatroomEvent {
    pub version: i64,
    pub change: ChatroomChange,
    /// Identifies an event that several subscribers of this process receive.
    pub number: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum ChatroomChange {
    /// A new message.
    Added(Box<message::Model>),
    /// Replaces the client's copy of this message.
    Changed(Box<message::Model>),
    Reply(MessageId, ReplyEvent),
    /// The chatroom's own fields changed.
    Updated(Box<chatroom::Model>),
    Deleted(ChatroomId),
}

pub(super) enum Update {
    Event(ChatroomEvent),
    /// Every change up to this version has been sent, and no reply is being written.
    Idle(i64),
}

/// How many bytes of content are read in one query and held until they have been sent.
const CHANGES_SIZE: usize = 256 * 1024;

/// Some of the changes in a chatroom.
struct ChangeBatch {
    chatroom: chatroom::Model,
    changed: Vec<message::Model>,
    /// Where the next batch begins; none for the last.
    next: Option<ChangeKey>,
}

impl Chatrooms {
    /// A batch of the changes in a chatroom since a version, from one snapshot. With `with_unfinished`, the replies that
    /// are being written are included. None: the chatroom was deleted.
    async fn changes(
        &self,
        user: UserId,
        id: ChatroomId,
        since: i64,
        from: Option<ChangeKey>,
        with_unfinished: bool,
    ) -> Result<Option<ChangeBatch>> {
        let snapshot = self.db.snapshot().await?;
        let Some(chatroom) = chatrooms::owned_by(&snapshot, user, id).await? else { return Ok(None) };
        if chatroom.version == since && !with_unfinished {
            return Ok(Some(ChangeBatch { chatroom, changed: Vec::new(), next: None }));
        }
        let found = messages::changed_since(&snapshot, id, since, from, CHANGES_SIZE).await?;
        let mut changed = found.messages;
        if with_unfinished {
            let unfinished = messages::unfinished(&snapshot, &[id]).await?;
            changed.extend(unfinished.into_iter().filter(|reply| reply.changed_version <= since));
        }
        Ok(Some(ChangeBatch { chatroom, changed, next: found.next }))
    }

    /// The updates of the user's chatroom. With a version, the changes since then come first, in batches. `batches` has a
    /// permit for each batch that may be held at the same time.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(super) async fn updates(
        &self,
        user: UserId,
        id: ChatroomId,
        after: Option<i64>,
        batches: Arc<Semaphore>,
    ) -> Result<BoxStream<'static, Result<Update>>> {
        let mut signals = self.signals.subscribe(Topic::Chatroom(id)).await;
        let chatroom =
            chatrooms::owned_by(self.db.read(), user, id).await?.ok_or(Error::NotFound("chatroom"))?;
        let mut subscriber = Subscriber {
            reply_use_cases: self.replies.clone(),
            user,
            chatroom: id,
            read_to: after.unwrap_or(chatroom.version).min(chatroom.version),
            replies: SelectAll::new(),
            followed: HashMap::new(),
        };
        let chatrooms = self.clone();
        let updates = try_stream! {
            let mut first = true;
            loop {
                let (since, mut from) = (subscriber.read_to, None);
                loop {
                    let _permit = batches.acquire().await;
                    let with_unfinished = first && from.is_none();
                    let batch = with_read_retry(|| chatrooms.changes(user, id, since, from, with_unfinished));
                    let Some(batch) = batch.await? else { continue };
                    let Some(batch) = batch else {
                        yield Update::Event(subscriber.deleted());
                        return;
                    };
                    from = batch.next;
                    for event in subscriber.batch_events(batch, since, first) {
                        yield Update::Event(event);
                    }
                    if from.is_none() {
                        break;
                    }
                }
                first = false;
                if subscriber.followed.is_empty() {
                    yield Update::Idle(subscriber.read_to);
                }
                loop {
                    let received = tokio::select! {
                        Some(received) = subscriber.replies.next() => Some(received),
                        _ = tokio::time::timeout(POLL_EVERY, signals.next()) => None,
                    };
                    let Some((reply, event)) = received else { break };
                    let Some(event) = subscriber.reply_event(reply, event)? else { break };
                    yield Update::Event(event);
                }
            }
        };
        Ok(updates.boxed())
    }
}

struct Subscriber {
    reply_use_cases: Replies,
    user: UserId,
    chatroom: ChatroomId,
    /// The version up to which the changes have been read.
    read_to: i64,
    replies: SelectAll<BoxStream<'static, (MessageId, Result<ReplyEvent>)>>,
    followed: HashMap<MessageId, Followed>,
}

/// A reply whose changes are sent as its own events.
struct Followed {
    progress: FollowedProgress,
    /// Whether the reply is on the active branch, as the client knows it.
    active: bool,
    /// Ends the stream of the reply's events when it is dropped.
    _end: DropGuard,
}

enum FollowedProgress {
    Writing,
    /// The row has ended; the event of the end has not been sent yet. It carries this row if it is newer than its own.
    EndPending(Box<message::Model>),
    /// The event of the end has been sent; the row ended at this version.
    EndSent(i64),
}

impl Subscriber {
    /// The events of a batch of changes since a version. On the first read, each changed message and each reply that is being
    /// written is reported as changed, because the client may have it already.
    fn batch_events(&mut self, batch: ChangeBatch, since: i64, first: bool) -> Vec<ChatroomEvent> {
        let ChangeBatch { chatroom, changed, next } = batch;
        let end = next.map_or(chatroom.version, |next| next.version - 1);
        let before = self.read_to;
        self.read_to = end.max(before);
        let mut changes = Vec::new();
        for message in changed {
            let version = message.changed_version.max(since + 1);
            let added = !first && message.added_version > since;
            if !added && self.is_sent_as_reply_event(&message) {
                continue;
            }
            self.follow(&message);
            let message = Box::new(message);
            changes.push((
                version,
                if added { ChatroomChange::Added(message) } else { ChatroomChange::Changed(message) },
            ));
        }
        if chatroom.changed_version > before && chatroom.changed_version <= self.read_to {
            changes.push((chatroom.changed_version, ChatroomChange::Updated(Box::new(chatroom))));
        }
        changes.sort_by_key(|(version, _)| *version);
        // After each change, a client can resume from just before the next one.
        let resume_at: Vec<i64> =
            changes.iter().skip(1).map(|(version, _)| version - 1).chain([self.read_to]).collect();
        let events = changes.into_iter().zip(resume_at);
        let events = events
            .map(|((_, change), version)| ChatroomEvent {
                version: version.min(self.sent_to()),
                change,
                number: None,
            })
            .collect();
        let read_to = self.read_to;
        self.followed
            .retain(|_, reply| !matches!(reply.progress, FollowedProgress::EndSent(at) if at <= read_to));
        events
    }

    fn deleted(&self) -> ChatroomEvent {
        let change = ChatroomChange::Deleted(self.chatroom);
        ChatroomEvent { version: self.read_to, change, number: None }
    }

    /// Whether this change is sent as an event of the reply itself. A reply that is being written and joins or leaves the active
    /// branch is sent as changed, because its own events do not carry this.
    fn is_sent_as_reply_event(&mut self, message: &message::Model) -> bool {
        let Some(reply) = self.followed.get_mut(&message.id) else { return false };
        if let FollowedProgress::EndSent(at) = reply.progress {
            return at >= message.changed_version;
        }
        if message.status.is_final() {
            reply.progress = FollowedProgress::EndPending(Box::new(message.clone()));
            return true;
        }
        reply.active == message.active
    }

    /// The version up to which every change has been sent: if the event of an end is pending, the version before that end.
    fn sent_to(&self) -> i64 {
        let pending = self.followed.values().filter_map(|reply| match &reply.progress {
            FollowedProgress::EndPending(row) => Some(row.changed_version - 1),
            FollowedProgress::Writing | FollowedProgress::EndSent(_) => None,
        });
        pending.min().map_or(self.read_to, |pending| pending.min(self.read_to))
    }

    /// Subscribes to the events of a reply that is being written, from the end of this text on. This replaces an earlier
    /// subscription, because the client replaces its copy by this one.
    fn follow(&mut self, message: &message::Model) {
        if message.status.is_final() {
            return;
        }
        let (id, end) = (message.id, CancellationToken::new());
        let events = self.reply_use_cases.clone().events_of_reply(self.user, id, Some(end_cursor(message)));
        // Buffered, so that the stream holds no database connection while it waits to be polled here.
        let events = buffered(&self.reply_use_cases.tasks, events).take_until(end.clone().cancelled_owned());
        let (progress, active) = (FollowedProgress::Writing, message.active);
        self.followed.insert(id, Followed { progress, active, _end: end.drop_guard() });
        self.replies.push(events.map(move |event| (id, event)).boxed());
    }

    /// None: the reply was deleted; the next read of the chatroom reports it.
    fn reply_event(&mut self, reply: MessageId, event: Result<ReplyEvent>) -> Result<Option<ChatroomEvent>> {
        match event {
            Ok(mut event) => {
                if let ReplyEvent::Ended { message, .. } = &mut event
                    && let Some(followed) = self.followed.get_mut(&reply)
                {
                    let sent = FollowedProgress::EndSent(message.changed_version);
                    if let FollowedProgress::EndPending(row) = std::mem::replace(&mut followed.progress, sent)
                        && row.changed_version > message.changed_version
                    {
                        followed.progress = FollowedProgress::EndSent(row.changed_version);
                        *message = row;
                    }
                }
                let change = ChatroomChange::Reply(reply, event);
                Ok(Some(ChatroomEvent { version: self.sent_to(), change, number: None }))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
