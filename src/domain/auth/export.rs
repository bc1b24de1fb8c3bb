//! Everything that is kept of a user, as one JSON document, told as it is read.

use async_stream::try_stream;
use bytes::Bytes;
use entity::{ChatroomId, MessageId, UserId, chatroom, message};
use futures_util::Stream;
use serde_json::{Value, json};

use super::{AN_HOUR, Auth, Viewer};
use crate::{
    error::Result,
    ports::rate_limit::Limit,
    store::{chatrooms, checkouts, messages, subscriptions},
};

/// Rows that are read at once.
const AT_ONCE: u64 = 20;

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
            let mut last_room = None;
            loop {
                let rooms = auth.rooms_after(viewer.user, last_room).await?;
                for room in &rooms {
                    let comma = if last_room.is_none() { "" } else { "," };
                    last_room = Some(room.id);
                    let about = about_room(room).to_string();
                    yield Bytes::from(format!("{comma}{},\"messages\":[", &about[..about.len() - 1]));
                    let mut last = None;
                    loop {
                        let messages = auth.messages_after(room.id, last).await?;
                        for message in &messages {
                            let comma = if last.is_none() { "" } else { "," };
                            last = Some((message.depth, message.id));
                            yield Bytes::from(format!("{comma}{}", about_message(message)));
                        }
                        if (messages.len() as u64) < AT_ONCE {
                            break;
                        }
                    }
                    yield Bytes::from_static(b"]}");
                }
                if (rooms.len() as u64) < AT_ONCE {
                    break;
                }
            }
            yield Bytes::from_static(b"]}\n");
        })
    }

    async fn rooms_after(&self, user: UserId, after: Option<ChatroomId>) -> Result<Vec<chatroom::Model>> {
        Ok(chatrooms::owned_by_after(self.db.read(), user, after, AT_ONCE).await?)
    }

    async fn messages_after(
        &self,
        room: ChatroomId,
        after: Option<(i32, MessageId)>,
    ) -> Result<Vec<message::Model>> {
        Ok(messages::of_room_after(self.db.read(), room, after, AT_ONCE).await?)
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
