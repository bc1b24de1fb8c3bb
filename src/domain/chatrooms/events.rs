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
        Db, chatrooms,
        messages::{self, ChangeKey},
    },
};

/// How often to read the chatroom without a signal: a process that is killed after a change does not publish the signal.
const POLL_EVERY: Duration = Duration::from_secs(30);

/// A change, and the version to resume from: every change up to it has been sent with this event.
#[derive(Clone, Debug)]
pub struct ChatroomEvent {
    pub version: i64,
    pub change: ChatroomChange,
    /// Set if several subscribers of this process receive the event: it identifies the event, so that they can share a response.
    pub number: Option<u64>,
}

#[derive(Clone, Debug)]
pub enum ChatroomChange {
    /// A new message.
    Added(Box<message::Model>),
    /// Replaces the client's copy of this message.
    Changed(Box<message::Model>),
    /// An event of this reply.
    Reply(MessageId, ReplyEvent),
    /// The chatroom's own fields changed.
    Updated(Box<chatroom::Model>),
    Deleted(ChatroomId),
}

/// An event, or the notice that there are no further ones for now.
pub(super) enum Update {
    Event(ChatroomEvent),
    /// Every change up to this version has been sent, and no reply is being written.
    Idle(i64),
}

/// How many bytes of content are read in one query and held until they have been sent.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Some of the changes in a chatroom.
struct ChangeBatch {
    chatroom: chatroom::Model,
    changed: Vec<message::Model>,
    /// Where the next batch begins; none for the last.
    next: Option<ChangeKey>,
}

/// A batch of the changes in a chatroom since the version `since`, read from one snapshot; with `from`, beginning at that key.
/// With `with_unfinished`, the replies that are being written are included. None if the chatroom was deleted.
async fn read_batch(
    db: &Db,
    user: UserId,
    id: ChatroomId,
    since: i64,
    from: Option<ChangeKey>,
    with_unfinished: bool,
) -> Result<Option<ChangeBatch>> {
    let snapshot = db.snapshot().await?;
    let batch = match chatrooms::owned_by(&snapshot, user, id).await? {
        None => None,
        Some(chatroom) if chatroom.version == since && !with_unfinished => {
            Some(ChangeBatch { chatroom, changed: Vec::new(), next: None })
        }
        Some(chatroom) => {
            let found = messages::changed_since(&snapshot, id, since, from, MAX_BATCH_BYTES).await?;
            let mut changed = found.messages;
            if with_unfinished {
                let unfinished = messages::unfinished(&snapshot, &[id]).await?;
                changed.extend(unfinished.into_iter().filter(|reply| reply.changed_version <= since));
            }
            Some(ChangeBatch { chatroom, changed, next: found.next })
        }
    };
    // Dropping the snapshot instead would return its connection to sqlx's pool, and the next statement would run on another one.
    snapshot.rollback().await?;
    Ok(batch)
}

impl Chatrooms {
    /// The updates of the user's chatroom. With `after`, the changes since that version come first, in batches. `batches` has a
    /// permit for each batch that may be held at the same time.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub(super) async fn updates(
        self: &Arc<Self>,
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
            reply_events: SelectAll::new(),
            followed: HashMap::new(),
        };
        let chatrooms = self.clone();
        let updates = try_stream! {
            let mut is_first_read = true;
            loop {
                let (since, mut from) = (subscriber.read_to, None);
                loop {
                    let _permit = batches.acquire().await;
                    let with_unfinished = is_first_read && from.is_none();
                    let read = || read_batch(&chatrooms.db, user, id, since, from, with_unfinished);
                    // None: the read failed, and `with_read_retry` has waited.
                    let Some(batch) = with_read_retry(read).await? else { continue };
                    let Some(batch) = batch else {
                        yield Update::Event(subscriber.deleted());
                        return;
                    };
                    from = batch.next;
                    for event in subscriber.batch_events(batch, since, is_first_read) {
                        yield Update::Event(event);
                    }
                    if from.is_none() {
                        break;
                    }
                }
                is_first_read = false;
                if subscriber.followed.is_empty() {
                    yield Update::Idle(subscriber.read_to);
                }
                // Send events of replies until the chatroom must be read again.
                loop {
                    let received = tokio::select! {
                        Some(received) = subscriber.reply_events.next() => Some(received),
                        _ = tokio::time::timeout(POLL_EVERY, signals.next()) => None,
                    };
                    let Some((reply, event)) = received else { break };
                    let Some(event) = subscriber.chatroom_event(reply, event)? else { break };
                    yield Update::Event(event);
                }
            }
        };
        Ok(updates.boxed())
    }
}

/// One subscriber of a chatroom, and what it has read so far.
struct Subscriber {
    reply_use_cases: Replies,
    user: UserId,
    chatroom: ChatroomId,
    /// The version up to which the changes have been read.
    read_to: i64,
    /// The merged events of the replies that are being written.
    reply_events: SelectAll<BoxStream<'static, (MessageId, Result<ReplyEvent>)>>,
    /// The replies whose events are merged.
    followed: HashMap<MessageId, Followed>,
}

/// A reply whose changes are sent as events of the reply, not as changes of a message.
struct Followed {
    progress: FollowedProgress,
    /// Whether the reply was on the active branch when it was last sent to the client.
    active: bool,
    /// Ends the stream of the reply's events when it is dropped.
    _end: DropGuard,
}

/// How much of a followed reply has been read and sent. Its row and its events are read independently of each other.
enum FollowedProgress {
    /// The reply is being written.
    Writing,
    /// The row has ended, but the event of the end has not been sent yet. That event will carry this row if this row is newer
    /// than the one in the event.
    EndPending(Box<message::Model>),
    /// The event of the end has been sent, with the row at this version.
    EndSent(i64),
}

impl Subscriber {
    /// The events of a batch of changes since the version `since`. On the first read, each changed message and each reply that is
    /// being written is reported as changed, because the client may have it already.
    fn batch_events(&mut self, batch: ChangeBatch, since: i64, is_first_read: bool) -> Vec<ChatroomEvent> {
        let ChangeBatch { chatroom, changed, next } = batch;
        let end = next.map_or(chatroom.version, |next| next.version - 1);
        let before = self.read_to;
        self.read_to = end.max(before);
        let mut changes = Vec::new();
        for message in changed {
            // A reply that is included only because it is being written has not changed after `since`.
            let version = message.changed_version.max(since + 1);
            let is_added = !is_first_read && message.added_version > since;
            if !is_added && self.is_sent_as_reply_event(&message) {
                continue;
            }
            self.follow(&message);
            let message = Box::new(message);
            changes.push((
                version,
                if is_added { ChatroomChange::Added(message) } else { ChatroomChange::Changed(message) },
            ));
        }
        if chatroom.changed_version > before && chatroom.changed_version <= self.read_to {
            changes.push((chatroom.changed_version, ChatroomChange::Updated(Box::new(chatroom))));
        }
        changes.sort_by_key(|(version, _)| *version);
        // After each change but the last, a client can resume from the version before the next change.
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

    /// Whether this change is sent as an event of the reply, so that the message is not sent as changed. A reply that joins or
    /// leaves the active branch while it is being written is sent as changed, because its own events do not report this. Keeps
    /// the row of a reply that has ended until the event of its end is sent.
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

    /// The version up to which every change has been sent. While the event of a reply's end is pending, it is at most the version
    /// before that end.
    fn sent_to(&self) -> i64 {
        let pending = self.followed.values().filter_map(|reply| match &reply.progress {
            FollowedProgress::EndPending(row) => Some(row.changed_version - 1),
            FollowedProgress::Writing | FollowedProgress::EndSent(_) => None,
        });
        pending.min().map_or(self.read_to, |pending| pending.min(self.read_to))
    }

    /// Subscribes to the events of a reply that is being written, from the end of the text in `message` on. This replaces an
    /// earlier subscription, because `message` replaces the client's copy.
    fn follow(&mut self, message: &message::Model) {
        if message.status.is_final() {
            return;
        }
        let (id, end) = (message.id, CancellationToken::new());
        let events = self.reply_use_cases.clone().events_of_reply(self.user, id, Some(end_cursor(message)));
        // Runs in its own task, so that the stream holds no database connection while it waits to be polled here.
        let events = buffered(&self.reply_use_cases.tasks, events).take_until(end.clone().cancelled_owned());
        let (progress, active) = (FollowedProgress::Writing, message.active);
        self.followed.insert(id, Followed { progress, active, _end: end.drop_guard() });
        self.reply_events.push(events.map(move |event| (id, event)).boxed());
    }

    /// The chatroom's event for an event of this reply. None if the reply was deleted, which the next read of the chatroom
    /// reports.
    fn chatroom_event(
        &mut self,
        reply: MessageId,
        event: Result<ReplyEvent>,
    ) -> Result<Option<ChatroomEvent>> {
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
