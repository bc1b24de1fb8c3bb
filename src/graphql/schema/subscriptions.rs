//! Subscriptions.

use std::str::FromStr;

use async_graphql::{Context, ID, Subscription};
use async_stream::stream;
use entity::MessageId;
use futures_util::{Stream, StreamExt};

use crate::{
    domain::replies::Cursor,
    error::{Error, Result},
    graphql::{
        engine::{
            context::{self, chatrooms, clock, replies, viewer},
            event::WithCursor,
        },
        types::{AccountEvent, ChatroomEvent, ReplyEvent, read_id},
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
    ) -> Result<impl Stream<Item = async_graphql::Result<WithCursor<ReplyEvent>>>> {
        let viewer = viewer(ctx)?;
        let reply: MessageId = read_id(&message_id, "message")?;
        let after: Option<Cursor> = resume_after(ctx, after, "after must be a cursor of this reply.")?;
        let events = replies(ctx).reply_events(viewer.user, reply, after).await?;
        let events = with_permits(ctx, events);
        Ok(events.map(move |event| {
            let event = event?;
            Ok(WithCursor { cursor: event.cursor().to_string(), event: ReplyEvent::new(reply, event) })
        }))
    }

    /// The events of one chatroom, from all devices. With `after`, the changes since that event come first, each changed message
    /// once as MessageChanged, then live events without a gap. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT.
    async fn chatroom_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the chatroom.")] chatroom_id: ID,
        #[graphql(desc = "The cursor of the event after which to resume. Null: only live events.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = async_graphql::Result<WithCursor<ChatroomEvent>>>> {
        let viewer = viewer(ctx)?;
        let chatroom = read_id(&chatroom_id, "chatroom")?;
        let pages = context::request(ctx).permits.pages.clone();
        let after = resume_after(ctx, after, "after must be a cursor of an event of this chatroom.")?;
        let events = chatrooms(ctx).chatroom_events(viewer.user, chatroom, after, pages).await?;
        let events = with_permits(ctx, events);
        Ok(events.map(move |event| {
            let event = event?;
            Ok(WithCursor { cursor: event.version.to_string(), event: ChatroomEvent::from(event) })
        }))
    }

    /// Changes of your tier, billing state and quota. The first event is the current state. Errors: UNAUTHENTICATED.
    async fn account_events(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = async_graphql::Result<AccountEvent>>> {
        let viewer = viewer(ctx)?;
        let clock = clock(ctx).clone();
        let events = with_permits(ctx, chatrooms(ctx).account_events(viewer.user).await?);
        Ok(events.map(move |event| Ok(AccountEvent::new(&event?, clock.now()))))
    }
}

/// The cursor after which to resume: that of the transport, else that of the argument.
fn resume_after<T: FromStr>(
    ctx: &Context<'_>,
    argument: Option<String>,
    problem: &'static str,
) -> Result<Option<T>> {
    let cursor = context::request(ctx).resume_after.clone().or(argument);
    let parsed = cursor.map(|cursor| cursor.parse()).transpose();
    parsed.map_err(|_| Error::bad_input("after", problem))
}

/// Acquires a permit for each event and holds it until the next event is requested. By then, the event has been resolved and
/// serialized. Also releases the memory that was counted for the previous event.
fn with_permits<T: Send + 'static>(
    ctx: &Context<'_>,
    events: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    let context = context::request(ctx);
    let (permits, memory) = (context.permits.clone(), context.memory.clone());
    stream! {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let _permit = permits.resolve().await;
            memory.clear();
            yield event;
        }
    }
}
