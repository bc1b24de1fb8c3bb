//! The subscriptions of the API.
//!
//! Each resolver is executed once to open the subscription, and then once for each event, which `convert` converts to its type
//! in the schema (see [`open_or_resolve`]).

use std::{str::FromStr, sync::Arc};

use async_graphql::{Context, ID, Subscription};
use entity::MessageId;
use futures_util::StreamExt;

use crate::{
    domain::replies::Cursor,
    error::{Error, Result},
    graphql::{
        engine::{
            context::{self, chatrooms, clock, replies, viewer},
            event::SourceEvent,
            subscription::{Resolved, open_or_resolve},
        },
        types::{AccountEvent, ChatroomEvent, ChatroomListEvent, ReplyEvent, parse_id},
    },
};

#[derive(Default)]
pub struct Subscription;

/// Event streams.
#[Subscription]
impl Subscription {
    /// The events of one reply: first those after the cursor `after`, then live ones, without gaps or repetitions. Completes after
    /// ReplyCompleted, ReplyFailed or ReplyCancelled. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT.
    async fn reply_stream(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the reply.")] message_id: ID,
        #[graphql(desc = "The cursor of this reply after which to resume. Null: from the beginning.")] after: Option<String>,
    ) -> Result<Resolved<ReplyEvent>> {
        let open = async {
            let viewer = viewer(ctx)?;
            let reply: MessageId = parse_id(&message_id, "message")?;
            let after: Option<Cursor> = resume_after(ctx, after, "after must be a cursor of this reply.")?;
            let events = replies(ctx).reply_events(viewer.user, reply, after).await?;
            Ok(events.map(move |event| Ok(SourceEvent::Reply(reply, event?))))
        };
        let convert = |event| match event {
            SourceEvent::Reply(reply, event) => Some(ReplyEvent::new(reply, event)),
            _ => None,
        };
        open_or_resolve(ctx, open, convert).await
    }

    /// The events of one chatroom, from all devices. With `after`, the changes since that event come first, each changed message
    /// once as MessageChanged, then live events without a gap. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT.
    async fn chatroom_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the chatroom.")] chatroom_id: ID,
        #[graphql(desc = "The cursor of the event after which to resume. Null: only live events.")]
        after: Option<String>,
    ) -> Result<Resolved<ChatroomEvent>> {
        let open = async {
            let viewer = viewer(ctx)?;
            let chatroom = parse_id(&chatroom_id, "chatroom")?;
            let pages = context::request(ctx).permits.pages.clone();
            let after = resume_after(ctx, after, "after must be a cursor of an event of this chatroom.")?;
            let events = chatrooms(ctx).chatroom_events(viewer.user, chatroom, after, pages).await?;
            Ok(events.map(|event| Ok(SourceEvent::Chatroom(event?))))
        };
        let convert = |event| match event {
            SourceEvent::Chatroom(event) => Some(ChatroomEvent::from(Arc::unwrap_or_clone(event))),
            _ => None,
        };
        open_or_resolve(ctx, open, convert).await
    }

    /// The changes of your list of chatrooms, archived ones included, from all devices: created, changed and deleted chatrooms,
    /// and new messages and ended replies in them. The first event is ChatroomListReset, unless the list is as it was after the
    /// event with the cursor `after`. Errors: UNAUTHENTICATED.
    async fn chatroom_list_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The cursor of the event after which to resume. Null: begins with ChatroomListReset."
        )]
        after: Option<String>,
    ) -> Result<Resolved<ChatroomListEvent>> {
        let open = async {
            let viewer = viewer(ctx)?;
            let after = context::request(ctx).resume_after.clone().or(after);
            let events = chatrooms(ctx).chatroom_list_events(viewer.user, after).await;
            Ok(events.map(|event| Ok(SourceEvent::ChatroomList(Box::new(event?)))))
        };
        let convert = |event| match event {
            SourceEvent::ChatroomList(event) => Some(ChatroomListEvent::new(*event)),
            _ => None,
        };
        open_or_resolve(ctx, open, convert).await
    }

    /// Changes of your tier, billing state and quota. The first event is the current state. Errors: UNAUTHENTICATED.
    async fn account_events(&self, ctx: &Context<'_>) -> Result<Resolved<AccountEvent>> {
        let open = async {
            let events = chatrooms(ctx).account_events(viewer(ctx)?.user).await?;
            Ok(events.map(|event| Ok(SourceEvent::Account(event?.into()))))
        };
        let convert = |event| match event {
            SourceEvent::Account(account) => Some(AccountEvent::new(&account, clock(ctx).now())),
            _ => None,
        };
        open_or_resolve(ctx, open, convert).await
    }
}

/// Parses the cursor after which to resume. A cursor from the transport (`Last-Event-ID`) takes precedence over the argument.
fn resume_after<T: FromStr>(
    ctx: &Context<'_>,
    argument: Option<String>,
    problem: &'static str,
) -> Result<Option<T>> {
    let cursor = context::request(ctx).resume_after.clone().or(argument);
    let parsed = cursor.map(|cursor| cursor.parse()).transpose();
    parsed.map_err(|_| Error::bad_input("after", problem))
}
