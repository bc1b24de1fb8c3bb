//! Following what happens.

use async_graphql::{Context, ID, Subscription};
use async_stream::stream;
use entity::MessageId;
use futures_util::{Stream, StreamExt};

use super::{
    RequestContext,
    context::{chat, place, viewer},
    types::{AccountEvent, ChatroomEvent, ReplyEvent, read_id},
};
use crate::{
    domain::chat::Cursor,
    error::{Error, Result},
};

#[derive(Default)]
pub struct Subscription;

/// What can be followed.
#[Subscription]
impl Subscription {
    /// One reply as it is written. Starts after `after` (a cursor of this reply; from its beginning without one),
    /// replays what was missed, goes on live, and completes after ReplyCompleted, ReplyFailed or ReplyCancelled.
    async fn reply_stream(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reply's id.")] message_id: ID,
        #[graphql(desc = "Where to go on: a cursor of this reply.")] after: Option<String>,
    ) -> Result<impl Stream<Item = async_graphql::Result<ReplyEvent>>> {
        let viewer = viewer(ctx)?;
        let reply: MessageId = read_id(&message_id, "message")?;
        let place = place(ctx);
        let after = place.after(after).map(|cursor| cursor.parse::<Cursor>()).transpose();
        let after = after.map_err(|_| Error::bad_input("after", "after is not a cursor of a reply."))?;
        let events = chat(ctx).reply_events(viewer.user, reply, after).await?;
        let events = in_turn(ctx, events);
        Ok(events.map(move |event| {
            let event = event?;
            place.reach(&event.cursor());
            Ok(ReplyEvent::new(reply, event))
        }))
    }

    /// Everything that happens in one room, on every device. With `after`, the cursor of an earlier event, what changed
    /// since comes first, each changed message once as MessageChanged; without it, from now on. Never a gap between the
    /// two.
    async fn chatroom_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The room's id.")] chatroom_id: ID,
        #[graphql(desc = "Where to go on: the cursor of an earlier event.")] after: Option<String>,
    ) -> Result<impl Stream<Item = async_graphql::Result<ChatroomEvent>>> {
        let viewer = viewer(ctx)?;
        let room = read_id(&chatroom_id, "chatroom")?;
        let pages = ctx.data_unchecked::<RequestContext>().turns.pages.clone();
        let place = place(ctx);
        let after = place.after(after).map(|cursor| cursor.parse::<i64>()).transpose();
        let after =
            after.map_err(|_| Error::bad_input("after", "after is not a cursor of a room's event."))?;
        let events = chat(ctx).chatroom_events(viewer.user, room, after, pages).await?;
        let events = in_turn(ctx, events);
        Ok(events.map(move |event| {
            let event = event?;
            place.reach(&event.version);
            Ok(ChatroomEvent::from(event))
        }))
    }

    /// Changes of your tier, billing state and usage: the first event is the state now.
    async fn account_events(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = async_graphql::Result<AccountEvent>>> {
        let viewer = viewer(ctx)?;
        let clock = chat(ctx).clock.clone();
        let events = in_turn(ctx, chat(ctx).account_events(viewer.user).await?);
        Ok(events.map(move |event| Ok(AccountEvent::new(&event?, clock.now()))))
    }
}

/// Takes a turn of the connection for each event, from when it is there until the next one is asked for: until then it is
/// resolved and written.
fn in_turn<T: Send + 'static>(
    ctx: &Context<'_>,
    events: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = T> + Send + 'static {
    let context = ctx.data_unchecked::<RequestContext>();
    let (turns, memory) = (context.turns.clone(), context.memory.clone());
    stream! {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let _turn = turns.resolve.acquire().await;
            memory.clear();
            yield event;
        }
    }
}
