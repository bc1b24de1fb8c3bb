//! Data export: everything stored about a user, as one JSON document that is streamed while it is read.

use std::{collections::HashMap, pin::pin};

use async_stream::try_stream;
use bytes::Bytes;
use entity::{ChatroomId, message};
use futures_util::{Stream, TryStreamExt};
use serde_json::{Value, json};

use super::{Auth, HOUR, Viewer};
use crate::{
    domain::export_json::{batch_size, chatroom_json, message_json},
    error::Result,
    ports::rate_limit::Limit,
    store::{DbErr, chatrooms, checkouts, messages, subscriptions},
};

const CHATROOMS_PER_QUERY: u64 = 200;
/// Ids and lengths of messages, which are read before the messages themselves.
const POSITIONS_PER_QUERY: u64 = 5000;

impl Auth {
    /// Streams the viewer's data.
    ///
    /// # Errors
    /// [`Error::RateLimited`](crate::error::Error::RateLimited): 10 exports an hour per user.
    pub async fn export(&self, viewer: Viewer) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        self.take_limits(&[Limit { key: format!("export:user:{}", viewer.user), max: 10, window: HOUR }])
            .await?;
        let head = self.export_head(viewer).await?.to_string();
        let auth = self.clone();
        Ok(try_stream! {
            // The closing brace is left out, because the chatrooms follow.
            yield Bytes::from(format!("{},\"chatrooms\":[", &head[..head.len() - 1]));
            let mut is_first = true;
            let mut last = None;
            loop {
                let chatrooms =
                    chatrooms::owned_by_after(auth.db.read(), viewer.user, last, CHATROOMS_PER_QUERY).await?;
                let Some(last_chatroom) = chatrooms.last() else { break };
                last = Some(last_chatroom.id);
                let ids = chatrooms.iter().map(|chatroom| chatroom.id).collect();
                let mut messages = pin!(auth.clone().messages_of(ids));
                let mut next = messages.try_next().await?;
                for chatroom in &chatrooms {
                    let comma = if std::mem::take(&mut is_first) { "" } else { "," };
                    let fields = chatroom_json(chatroom).to_string();
                    yield Bytes::from(format!("{comma}{},\"messages\":[", &fields[..fields.len() - 1]));
                    let mut comma = "";
                    while let Some(message) = next.take_if(|message| message.chatroom_id == chatroom.id) {
                        yield Bytes::from(format!("{comma}{}", message_json(&message)));
                        comma = ",";
                        next = messages.try_next().await?;
                    }
                    yield Bytes::from_static(b"]}");
                }
            }
            yield Bytes::from_static(b"]}\n");
        })
    }

    /// All messages of these chatrooms, ordered by chatroom and depth. Batches are bounded by bytes, and the number of
    /// queries does not depend on the number of chatrooms. `chatrooms` must be in the order of their ids.
    fn messages_of(self, chatrooms: Vec<ChatroomId>) -> impl Stream<Item = Result<message::Model>> + Send {
        try_stream! {
            let mut after = None;
            loop {
                let positions =
                    messages::positions_after(self.db.read(), &chatrooms, after, POSITIONS_PER_QUERY).await?;
                let Some(last) = positions.last() else { break };
                after = Some((last.chatroom_id, last.depth, last.id));
                let mut remaining = positions.as_slice();
                while !remaining.is_empty() {
                    let (batch, rest) = remaining.split_at(batch_size(remaining));
                    remaining = rest;
                    let ids: Vec<_> = batch.iter().map(|position| position.id).collect();
                    let admit = |_: &_| Ok::<_, DbErr>(());
                    let read = messages::by_ids(self.db.read(), &ids, admit).await?;
                    let mut read: HashMap<_, _> = read.into_iter().map(|message| (message.id, message)).collect();
                    // Skips messages that were deleted in the meantime.
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
                "stripeCustomer": known.customer(), "stripeSubscription": known.stripe_subscription_id,
                "state": known.state, "currentPeriodEnd": known.current_period_end,
                "cancelAtPeriodEnd": known.cancel_at_period_end,
                "proGrantedUntil": known.granted_until,
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
