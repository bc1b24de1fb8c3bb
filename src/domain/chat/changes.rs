//! Following a room: what changed since a version of it, then everything as it happens, on every device.
//!
//! Each change takes the room's next version in its transaction, so "since" needs no log of its own. Replies that are
//! being written are followed with [`Chat::watch`], and their text is part of the room's events.

use std::{collections::HashMap, time::Duration};

use async_stream::try_stream;
use entity::{ChatroomId, MessageId, UserId, chatroom, message};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
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
        let hints = self.signals.listen(Topic::Room(id)).await.map_err(anyhow::Error::new)?;
        let mut hints = hints.chain(stream::pending());
        let room = chatrooms::owned_by(self.db.read(), user, id).await?.ok_or(Error::NotFound("chatroom"))?;
        let mut follower = Follower {
            chat: self.clone(),
            user,
            room: id,
            seen: after.unwrap_or(room.version).min(room.version),
            replies: SelectAll::new(),
            watched: HashMap::new(),
        };
        Ok(try_stream! {
            for event in follower.look(true).await? {
                yield event;
            }
            loop {
                let heard = tokio::select! {
                    Some(heard) = follower.replies.next() => Some(heard),
                    _ = tokio::time::timeout(LOOK_EVERY, hints.next()) => None,
                };
                let told = match heard {
                    Some((reply, event)) => follower.heard(reply, event)?,
                    None => None,
                };
                if let Some(event) = told {
                    yield event;
                    continue;
                }
                for event in follower.look(false).await? {
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
    /// Replies whose own events tell what becomes of them; with a version once they have told their end.
    watched: HashMap<MessageId, Option<i64>>,
}

impl Follower {
    /// What has changed since the last look. The first tells each message that changed, and each reply that is being
    /// written, as changed: its follower may know it or not.
    async fn look(&mut self, first: bool) -> Result<Vec<RoomEvent>> {
        let snapshot = self.chat.db.snapshot().await?;
        let Some(room) = chatrooms::owned_by(&snapshot, self.user, self.room).await? else {
            return Ok(vec![self.event(RoomChange::Deleted(self.room))]);
        };
        let mut changed = messages::changed_since(&snapshot, self.room, self.seen).await?;
        if first {
            let unfinished = messages::unfinished(&snapshot, self.room).await?;
            changed.extend(unfinished.into_iter().filter(|reply| reply.changed_in <= self.seen));
        }
        drop(snapshot);
        let before = std::mem::replace(&mut self.seen, room.version);
        let mut events = Vec::new();
        if room.edited_in > before {
            events.push(self.event(RoomChange::Updated(Box::new(room))));
        }
        for message in changed {
            let added = !first && message.added_in > before;
            if !added && self.is_told(&message) {
                continue;
            }
            self.follow(&message).await?;
            let message = Box::new(message);
            let change = if added { RoomChange::Added(message) } else { RoomChange::Changed(message) };
            events.push(self.event(change));
        }
        self.watched.retain(|_, told| told.is_none_or(|at| at > self.seen));
        Ok(events)
    }

    /// Whether a reply's own events tell this change of it.
    fn is_told(&self, message: &message::Model) -> bool {
        let told = self.watched.get(&message.id);
        told.is_some_and(|told| told.is_none_or(|at| at >= message.changed_in))
    }

    /// From now on, tells what is added to this message, if anything will be.
    async fn follow(&mut self, message: &message::Model) -> Result<()> {
        if message.status.is_final() || self.watched.contains_key(&message.id) {
            return Ok(());
        }
        let id = message.id;
        match self.chat.watch(self.user, id, Some(end_of(message))).await {
            Ok(events) => {
                self.watched.insert(id, None);
                self.replies.push(events.map(move |event| (id, event)).boxed());
                Ok(())
            }
            // Gone since the look: the next one says so.
            Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// None: the reply is gone, and a look at the room says why.
    fn heard(&mut self, reply: MessageId, event: Result<ReplyEvent>) -> Result<Option<RoomEvent>> {
        match event {
            Ok(event) => {
                if let ReplyEvent::Ended { message, .. } = &event {
                    self.watched.insert(reply, Some(message.changed_in));
                }
                Ok(Some(self.event(RoomChange::Reply(reply, event))))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn event(&self, change: RoomChange) -> RoomEvent {
        RoomEvent { version: self.seen, change }
    }
}
