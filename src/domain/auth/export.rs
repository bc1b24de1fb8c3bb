//! Everything that is kept of a user, as one JSON document, streamed as it is read.

use std::{collections::HashMap, pin::pin};

use async_stream::try_stream;
use bytes::Bytes;
use entity::{ChatroomId, chatroom, message};
use futures_util::{Stream, TryStreamExt};
use serde_json::{Value, json};

use super::{AN_HOUR, Auth, Viewer};
use crate::{
    error::Result,
    ports::rate_limit::Limit,
    store::{DbErr, chatrooms, checkouts, messages, subscriptions},
};

/// Chatrooms, and the places of messages, that are read at once.
const ROOMS_AT_ONCE: u64 = 200;
const PLACES_AT_ONCE: u64 = 5000;
/// What is read at once of messages, which may be long, and whose download may be slow.
const MESSAGES_AT_ONCE: usize = 200;
const BYTES_AT_ONCE: usize = 1024 * 1024;

impl Auth {
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited): 10 an hour a user.
    pub async fn export(&self, viewer: Viewer) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        self.take(&[Limit { key: format!("export:user:{}", viewer.user), max: 10, window: AN_HOUR }]).await?;
        let head = self.export_head(viewer).await?.to_string();
        let auth = self.clone();
        Ok(try_stream! {
            // The object stays open for what comes by and by.
            yield Bytes::from(format!("{},\"chatrooms\":[", &head[..head.len() - 1]));
            let mut is_first = true;
            let mut last = None;
            loop {
                let rooms = chatrooms::owned_by_after(auth.db.read(), viewer.user, last, ROOMS_AT_ONCE).await?;
                let Some(last_room) = rooms.last() else { break };
                last = Some(last_room.id);
                let mut messages = pin!(auth.clone().messages_of(rooms.iter().map(|room| room.id).collect()));
                let mut next = messages.try_next().await?;
                for room in &rooms {
                    let comma = if std::mem::take(&mut is_first) { "" } else { "," };
                    let about = about_room(room).to_string();
                    yield Bytes::from(format!("{comma}{},\"messages\":[", &about[..about.len() - 1]));
                    let mut comma = "";
                    while let Some(message) = next.take_if(|message| message.chatroom_id == room.id) {
                        yield Bytes::from(format!("{comma}{}", about_message(&message)));
                        comma = ",";
                        next = messages.try_next().await?;
                    }
                    yield Bytes::from_static(b"]}");
                }
            }
            yield Bytes::from_static(b"]}\n");
        })
    }

    /// All messages of these chatrooms, which are in the order of their ids, by chatroom and depth. How many are read at
    /// once depends on their lengths, and the statements do not depend on the number of chatrooms.
    fn messages_of(self, rooms: Vec<ChatroomId>) -> impl Stream<Item = Result<message::Model>> + Send {
        try_stream! {
            let mut after = None;
            loop {
                let places = messages::places_after(self.db.read(), &rooms, after, PLACES_AT_ONCE).await?;
                let Some(last) = places.last() else { break };
                after = Some((last.chatroom_id, last.depth, last.id));
                let mut left = places.as_slice();
                while !left.is_empty() {
                    let (now, later) = left.split_at(count_within_bounds(left));
                    left = later;
                    let ids: Vec<_> = now.iter().map(|place| place.id).collect();
                    let admit = |_: &_| Ok::<_, DbErr>(());
                    let read = messages::by_ids(self.db.read(), &ids, admit).await?;
                    let mut read: HashMap<_, _> = read.into_iter().map(|message| (message.id, message)).collect();
                    // One that was deleted meanwhile is left out.
                    for message in ids.iter().filter_map(|id| read.remove(id)) {
                        yield message;
                    }
                }
            }
        }
    }

    async fn export_head(&self, viewer: Viewer) -> Result<Value> {
        let user = self.me(viewer).await?;
        let sessions: Vec<_> = self
            .sessions(viewer.user)
            .await?
            .into_iter()
            .map(|session| {
                json!({
                    "id": session.id, "userAgent": session.user_agent, "createdAt": session.created_at,
                    "lastSeenAt": session.last_seen_at,
                })
            })
            .collect();
        let subscription = subscriptions::of_user(self.db.read(), viewer.user).await?.map(|known| {
            json!({
                "stripeCustomer": known.stripe_customer_id, "stripeSubscription": known.stripe_subscription_id,
                "state": known.state, "currentPeriodEnd": known.current_period_end,
                "cancelAtPeriodEnd": known.cancel_at_period_end,
                "reversal": known.reversal, "reversedAt": known.reversed_at,
            })
        });
        let checkouts: Vec<_> = checkouts::of_user(self.db.read(), viewer.user)
            .await?
            .into_iter()
            .map(|checkout| json!({"id": checkout.session_id, "createdAt": checkout.created_at}))
            .collect();
        Ok(json!({
            "exportedAt": self.clock.now(),
            "user": {
                "id": user.id, "phoneNumber": user.phone_number, "email": user.email, "fullName": user.full_name,
                "hasPassword": user.password_hash.is_some(), "verifiedAt": user.verified_at,
                "createdAt": user.created_at, "updatedAt": user.updated_at,
            },
            "sessions": sessions,
            "subscription": subscription,
            "checkouts": checkouts,
        }))
    }
}

/// How many of the first are read at once: at least one.
fn count_within_bounds(places: &[messages::Place]) -> usize {
    let mut bytes = 0;
    let within = places.iter().take(MESSAGES_AT_ONCE).take_while(|place| {
        bytes += place.length();
        bytes <= BYTES_AT_ONCE
    });
    within.count().max(1)
}

fn about_room(room: &chatroom::Model) -> Value {
    json!({
        "id": room.id, "title": room.title, "systemInstruction": room.system_instruction, "model": room.model,
        "createdAt": room.created_at, "updatedAt": room.updated_at,
    })
}

fn about_message(message: &message::Model) -> Value {
    json!({
        "id": message.id, "inReplyTo": message.parent_id, "active": message.active, "role": message.role,
        "status": message.status, "content": message.content, "model": message.model,
        "finishReason": message.finish_reason, "feedback": message.feedback, "createdAt": message.created_at,
        "completedAt": message.completed_at,
    })
}
