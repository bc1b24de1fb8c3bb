//! Following a room: what changed since a version of it, then everything as it happens, on every device.
//!
//! Each change takes the room's next version in its transaction, so "since" needs no log of its own. Replies that are
//! being written are followed with [`Chat::watch`], and their text is part of the room's events.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_stream::try_stream;
use entity::{ChatroomId, MessageId, UserId, chatroom, message};
use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, SelectAll},
};
use tokio::sync::Semaphore;

use super::{Chat, ReplyEvent, paced::at_its_own_pace, watch::end_of};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        chatrooms,
        messages::{self, ChangeKey},
    },
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

/// Bytes of content that are read at once and held until they have been taken.
const PAGE: usize = 256 * 1024;

/// A part of what has changed in a room.
struct Page {
    room: chatroom::Model,
    changed: Vec<message::Model>,
    /// Where the next page begins; none for the last.
    next: Option<ChangeKey>,
}

impl Chat {
    /// A page of what has changed in a room since a version, all from one moment. `with_unfinished`: the replies that are
    /// being written are among it, too. None: the room is gone.
    async fn changes(
        &self,
        user: UserId,
        id: ChatroomId,
        since: i64,
        from: Option<ChangeKey>,
        with_unfinished: bool,
    ) -> Result<Option<Page>> {
        let snapshot = self.db.snapshot().await?;
        let Some(room) = chatrooms::owned_by(&snapshot, user, id).await? else { return Ok(None) };
        if room.version == since && !with_unfinished {
            return Ok(Some(Page { room, changed: Vec::new(), next: None }));
        }
        let found = messages::changed_since(&snapshot, id, since, from, PAGE).await?;
        let mut changed = found.messages;
        if with_unfinished {
            let unfinished = messages::unfinished(&snapshot, id).await?;
            changed.extend(unfinished.into_iter().filter(|reply| reply.changed_in <= since));
        }
        Ok(Some(Page { room, changed, next: found.next }))
    }

    /// Follows a room of the user's. With a version: what changed since comes first, a page at a time. `pages` has a permit
    /// for each page that may be held.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn room_events(
        &self,
        user: UserId,
        id: ChatroomId,
        after: Option<i64>,
        pages: Arc<Semaphore>,
    ) -> Result<impl Stream<Item = Result<RoomEvent>> + Send + 'static> {
        let mut signals = self.signals.listen(Topic::Room(id)).await;
        let room = chatrooms::owned_by(self.db.read(), user, id).await?.ok_or(Error::NotFound("chatroom"))?;
        let mut follower = Follower {
            chat: self.clone(),
            user,
            room: id,
            seen: after.unwrap_or(room.version).min(room.version),
            replies: SelectAll::new(),
            watched: HashMap::new(),
        };
        let chat = self.clone();
        Ok(try_stream! {
            let mut first = true;
            loop {
                let (since, mut from) = (follower.seen, None);
                loop {
                    let _permit = pages.acquire().await;
                    let page = chat.changes(user, id, since, from, first && from.is_none());
                    let Some(page) = chat.wait_out(page).await? else { continue };
                    let Some(page) = page else {
                        yield follower.deleted();
                        return;
                    };
                    from = page.next;
                    for event in follower.saw(page, since, first) {
                        yield event;
                    }
                    if from.is_none() {
                        break;
                    }
                }
                first = false;
                loop {
                    let heard = tokio::select! {
                        Some(heard) = follower.replies.next() => Some(heard),
                        _ = tokio::time::timeout(LOOK_EVERY, signals.next()) => None,
                    };
                    let Some((reply, event)) = heard else { break };
                    let Some(event) = follower.heard(reply, event)? else { break };
                    yield event;
                }
            }
        })
    }
}

struct Follower {
    chat: Chat,
    user: UserId,
    room: ChatroomId,
    /// The version up to which the room has been looked at.
    seen: i64,
    replies: SelectAll<BoxStream<'static, (MessageId, Result<ReplyEvent>)>>,
    watched: HashMap<MessageId, Watched>,
}

/// A reply whose own events tell what becomes of it.
#[derive(Clone, Copy)]
enum Watched {
    Writing,
    /// A look has found its end, at this version, before its events have told it.
    EndAwaited(i64),
    /// Its events have told its end, at this version.
    EndTold(i64),
}

impl Follower {
    /// The events of a page of what changed since a version. The first time each message that changed, and each reply that is
    /// being written, is reported as changed: the client may know it or not.
    fn saw(&mut self, page: Page, since: i64, first: bool) -> Vec<RoomEvent> {
        let Page { room, changed, next } = page;
        let end = next.map_or(room.version, |next| next.version - 1);
        let before = self.seen;
        self.seen = end.max(before);
        let mut changes = Vec::new();
        for message in changed {
            let version = message.changed_in.max(since + 1);
            let added = !first && message.added_in > since;
            if !added && self.is_told_elsewhere(&message) {
                continue;
            }
            self.follow(&message);
            let message = Box::new(message);
            changes.push((
                version,
                if added { RoomChange::Added(message) } else { RoomChange::Changed(message) },
            ));
        }
        if room.edited_in > before && room.edited_in <= self.seen {
            changes.push((room.edited_in, RoomChange::Updated(Box::new(room))));
        }
        changes.sort_by_key(|(version, _)| *version);
        // With each change everything has been reported up to where the next one begins.
        let next: Vec<i64> =
            changes.iter().skip(1).map(|(version, _)| version - 1).chain([self.seen]).collect();
        let events = changes.into_iter().zip(next);
        let events =
            events.map(|((_, change), told)| RoomEvent { version: told.min(self.told()), change }).collect();
        self.watched.retain(|_, state| !matches!(state, Watched::EndTold(at) if *at <= self.seen));
        events
    }

    fn deleted(&self) -> RoomEvent {
        RoomEvent { version: self.seen, change: RoomChange::Deleted(self.room) }
    }

    /// Whether a reply's own events tell this change of it.
    fn is_told_elsewhere(&mut self, message: &message::Model) -> bool {
        match self.watched.get_mut(&message.id) {
            Some(Watched::EndTold(at)) => *at >= message.changed_in,
            Some(state) => {
                if message.status.is_final() {
                    *state = Watched::EndAwaited(message.changed_in);
                }
                true
            }
            None => false,
        }
    }

    /// Up to where everything has been told: not past an end that is still to come.
    fn told(&self) -> i64 {
        let awaited = self.watched.values().filter_map(|state| match state {
            Watched::EndAwaited(at) => Some(at - 1),
            Watched::Writing | Watched::EndTold(_) => None,
        });
        awaited.min().map_or(self.seen, |awaited| awaited.min(self.seen))
    }

    /// From now on, tells what is added to this message, if anything will be.
    fn follow(&mut self, message: &message::Model) {
        if message.status.is_final() || self.watched.contains_key(&message.id) {
            return;
        }
        let id = message.id;
        let events = self.chat.clone().follow(self.user, id, Some(end_of(message)));
        // At its own pace: while it waits for its turn here, it must not hold what it reads with.
        let events = at_its_own_pace(&self.chat.tasks, events);
        self.watched.insert(id, Watched::Writing);
        self.replies.push(events.map(move |event| (id, event)).boxed());
    }

    /// None: the reply is gone, and a look at the room says why.
    fn heard(&mut self, reply: MessageId, event: Result<ReplyEvent>) -> Result<Option<RoomEvent>> {
        match event {
            Ok(event) => {
                if let ReplyEvent::Ended { message, .. } = &event {
                    self.watched.insert(reply, Watched::EndTold(message.changed_in));
                }
                Ok(Some(RoomEvent { version: self.told(), change: RoomChange::Reply(reply, event) }))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
