//! Following a room: what changed since a version of it, then everything as it happens, on every device.
//!
//! Each change takes the room's next version in its transaction, so "since" needs no log of its own. Replies that are
//! being written are followed with [`Chat::watch`], and their text is part of the room's events.

use std::{collections::HashSet, time::Duration};

use async_stream::try_stream;
use entity::{ChatroomId, MessageId, UserId, chatroom, message};
use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, SelectAll},
};

use super::{Chat, ReplyEvent, watch::end_of};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{chatrooms, messages},
};

/// For the hint that a killed process could not send.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A change, and the version up to which everything has been told with it.
#[derive(Clone, Debug)]
pub struct RoomEvent {
    pub version: i64,
    pub change: RoomChange,
}

#[derive(Clone, Debug)]
pub enum RoomChange {
    Added(Box<message::Model>),
    /// Replace what you have of this message.
    Changed(Box<message::Model>),
    Reply(MessageId, ReplyEvent),
    Updated(Box<chatroom::Model>),
    Deleted(ChatroomId),
}

impl Chat {
    /// Follows a room of the user's. With a version: what changed since comes first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn room_events(
        &self,
        user: UserId,
        id: ChatroomId,
        after: Option<i64>,
    ) -> Result<impl Stream<Item = Result<RoomEvent>> + Send + 'static> {
        let mut hints = self.signals.listen(Topic::Room(id)).await.map_err(anyhow::Error::new)?;
        let room = chatrooms::owned_by(self.db.read(), user, id).await?.ok_or(Error::NotFound("chatroom"))?;
        let mut follower = Follower {
            chat: self.clone(),
            user,
            room: id,
            seen: after.unwrap_or(room.version).min(room.version),
            replies: SelectAll::new(),
            watched: HashSet::new(),
        };
        Ok(try_stream! {
            for event in follower.catch_up().await? {
                yield event;
            }
            loop {
                tokio::select! {
                    Some((reply, event)) = follower.replies.next() => {
                        yield follower.heard(reply, event?);
                        continue;
                    }
                    _ = tokio::time::timeout(LOOK_EVERY, hints.next()) => {}
                }
                for event in follower.look().await? {
                    let deleted = matches!(event.change, RoomChange::Deleted(_));
                    yield event;
                    if deleted {
                        return;
                    }
                }
            }
        })
    }
}

struct Follower {
    chat: Chat,
    user: UserId,
    room: ChatroomId,
    /// The version up to which everything has been told.
    seen: i64,
    replies: SelectAll<BoxStream<'static, (MessageId, Result<ReplyEvent>)>>,
    watched: HashSet<MessageId>,
}

impl Follower {
    /// Each message that changed since, and each reply that is being written, once.
    async fn catch_up(&mut self) -> Result<Vec<RoomEvent>> {
        let snapshot = self.chat.db.snapshot().await?;
        let Some(room) = chatrooms::owned_by(&snapshot, self.user, self.room).await? else {
            return Ok(vec![self.event(RoomChange::Deleted(self.room))]);
        };
        let mut changed = messages::changed_since(&snapshot, self.room, self.seen).await?;
        let unfinished = messages::unfinished(&snapshot, self.room).await?;
        drop(snapshot);
        changed.extend(unfinished.into_iter().filter(|reply| reply.changed_in <= self.seen));
        let edited = room.edited_in > self.seen;
        self.seen = room.version;
        let updated = edited.then(|| self.event(RoomChange::Updated(Box::new(room))));
        let mut events: Vec<_> = updated.into_iter().collect();
        for message in changed {
            self.follow(&message).await?;
            events.push(self.event(RoomChange::Changed(Box::new(message))));
        }
        Ok(events)
    }

    /// What has changed since the last look.
    async fn look(&mut self) -> Result<Vec<RoomEvent>> {
        let snapshot = self.chat.db.snapshot().await?;
        let Some(room) = chatrooms::owned_by(&snapshot, self.user, self.room).await? else {
            return Ok(vec![self.event(RoomChange::Deleted(self.room))]);
        };
        if room.version == self.seen {
            return Ok(Vec::new());
        }
        let changed = messages::changed_since(&snapshot, self.room, self.seen).await?;
        drop(snapshot);
        let before = std::mem::replace(&mut self.seen, room.version);
        let updated = (room.edited_in > before).then(|| self.event(RoomChange::Updated(Box::new(room))));
        let mut events: Vec<_> = updated.into_iter().collect();
        for message in changed {
            let added = message.added_in > before;
            // What becomes of a watched reply is told by its own events.
            if !added && self.watched.contains(&message.id) {
                continue;
            }
            self.follow(&message).await?;
            let message = Box::new(message);
            events.push(self.event(if added {
                RoomChange::Added(message)
            } else {
                RoomChange::Changed(message)
            }));
        }
        Ok(events)
    }

    /// From now on, tells what is added to this message, if anything will be.
    async fn follow(&mut self, message: &message::Model) -> Result<()> {
        if message.status.is_final() || !self.watched.insert(message.id) {
            return Ok(());
        }
        let id = message.id;
        let events = self.chat.watch(self.user, id, Some(end_of(message))).await?;
        self.replies.push(events.map(move |event| (id, event)).boxed());
        Ok(())
    }

    fn heard(&mut self, reply: MessageId, event: ReplyEvent) -> RoomEvent {
        if matches!(event, ReplyEvent::Ended { .. }) {
            self.watched.remove(&reply);
        }
        self.event(RoomChange::Reply(reply, event))
    }

    fn event(&self, change: RoomChange) -> RoomEvent {
        RoomEvent { version: self.seen, change }
    }
}
