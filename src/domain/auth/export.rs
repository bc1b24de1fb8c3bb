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
/// Positions contain the ids and lengths of messages. They are read first, so that the size of a batch of messages is known.
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
            // `head` and, below, the fields of each chatroom are written without their closing brace, because the chatrooms or
            // the messages follow inside the braces.
            yield Bytes::from(format!("{},\"chatrooms\":[", &head[..head.len() - 1]));
            let mut is_first = true;
            let mut after = None;
            loop {
                let chatrooms =
                    chatrooms::owned_by_after(auth.db.read(), viewer.user, after, CHATROOMS_PER_QUERY).await?;
                let Some(last_chatroom) = chatrooms.last() else { break };
                after = Some(last_chatroom.id);
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

    /// All messages of these chatrooms, ordered by chatroom and depth. They are read in batches of limited size, and a batch may
    /// contain messages of several chatrooms, so that many small chatrooms need few queries. `chatrooms` must be ordered by id.
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
                    let admit_all = |_: &_| Ok::<_, DbErr>(());
                    let messages = messages::by_ids(self.db.read(), &ids, admit_all).await?;
                    let mut by_id: HashMap<_, _> =
                        messages.into_iter().map(|message| (message.id, message)).collect();
                    // Skips messages that were deleted after their positions were read.
                    for message in ids.iter().filter_map(|id| by_id.remove(id)) {
                        yield message;
                    }
                }
            }
        }
    }

    /// The part of the document before the chatrooms, as a JSON object.
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
        let subscription = subscriptions::of_user(self.db.read(), viewer.user).await?.map(|stored| {
            json!({
                "stripeCustomer": stored.customer(), "stripeSubscription": stored.stripe_subscription_id,
                "state": stored.state, "currentPeriodEnd": stored.current_period_end,
                "cancelAtPeriodEnd": stored.cancel_at_period_end,
                "proGrantedUntil": stored.granted_until,
                "reversal": stored.reversal, "reversedAt": stored.reversed_at,
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
