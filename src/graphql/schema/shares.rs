//! Sharing chatrooms by link.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use entity::{ShareId, Timestamp};

use crate::{
    domain::{chatrooms::IdempotencyKey, sharing::NewShare},
    error::Result,
    graphql::{
        engine::context::{caller, sharing, viewer},
        types::{ChatroomShare, SharedChatroom, parse_id},
    },
};

#[derive(Default)]
pub struct ShareQueries;

#[Object]
impl ShareQueries {
    /// A chatroom that was shared by link, as it was then. Null for an unknown, revoked or expired token. Needs no sign-in.
    /// Errors: RATE_LIMITED.
    async fn shared_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the share.")] token: String,
    ) -> Result<Option<SharedChatroom>> {
        Ok(sharing(ctx).shared(caller(ctx), &token).await?.map(SharedChatroom))
    }
}

#[derive(Default)]
pub struct ShareMutations;

#[Object]
impl ShareMutations {
    /// Creates a link by which the current branch of a chatroom, as it is now, can be read without signing in. A reply that is
    /// still being written is left out. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT, RATE_LIMITED, and CONFLICT if the
    /// chatroom has 50 shares or the idempotency key was used for another request.
    async fn share_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chatroom and the time at which the link expires.")] input: ShareChatroomInput,
    ) -> Result<ShareChatroomPayload> {
        let viewer = viewer(ctx)?;
        let new = NewShare {
            chatroom: parse_id(&input.chatroom_id, "chatroom")?,
            expires_at: input.expires_at,
            key: input.idempotency_key.map(IdempotencyKey::new).transpose()?,
        };
        let share = sharing(ctx).share(viewer.user, new).await?;
        Ok(ShareChatroomPayload { share: ChatroomShare(share) })
    }

    /// Revokes a link at once. Errors: UNAUTHENTICATED, NOT_FOUND.
    async fn revoke_share(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The share to revoke.")] input: RevokeShareInput,
    ) -> Result<RevokeSharePayload> {
        let viewer = viewer(ctx)?;
        let share: ShareId = parse_id(&input.id, "share")?;
        sharing(ctx).revoke(viewer.user, share).await?;
        Ok(RevokeSharePayload { revoked_id: share.into() })
    }
}

/// A share to revoke.
#[derive(InputObject)]
pub struct RevokeShareInput {
    /// The id of the share.
    id: ID,
}

/// A chatroom to share.
#[derive(InputObject)]
pub struct ShareChatroomInput {
    /// The id of the chatroom.
    chatroom_id: ID,
    /// The time from which on the link shows nothing. Without it, the link does not expire.
    expires_at: Option<Timestamp>,
    /// A key that makes retries safe: a request with the same key and input returns the first result. At most 255 characters.
    idempotency_key: Option<String>,
}

/// A created share.
#[derive(SimpleObject)]
pub struct ShareChatroomPayload {
    /// The share.
    share: ChatroomShare,
}

/// A revoked share.
#[derive(SimpleObject)]
pub struct RevokeSharePayload {
    /// The id of the revoked share.
    revoked_id: ID,
}
