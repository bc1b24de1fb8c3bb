//! Rooms.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use entity::chatroom;

use super::{
    context::{chat, memory, viewer},
    paging::{Connection, PageArgs},
    types::{Chatroom, Model, read_id},
};
use crate::{
    domain::chat::{ChatroomUpdate, NewChatroom, SystemInstruction, Title},
    error::Result,
    store::chatrooms,
};

#[derive(Default)]
pub struct ChatroomQueries;

#[Object]
impl ChatroomQueries {
    /// One of your chatrooms. Null if it does not exist or is not yours.
    async fn chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The room's id.")] id: ID,
    ) -> Result<Option<Chatroom>> {
        let viewer = viewer(ctx)?;
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(chat(ctx).chatroom(viewer.user, id).await?.map(Chatroom))
    }

    /// Your chatrooms, most recently active first. Cached.
    async fn chatrooms(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many; at most 100.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Chatroom>> {
        let viewer = viewer(ctx)?;
        let window = PageArgs { first, after, last, before }.window()?;
        let page = chat(ctx).chatrooms(viewer.user, window.clone()).await?;
        page.items.iter().try_for_each(|room| memory(ctx).read(chatrooms::size_of(room)))?;
        Ok(Connection::new(page, &window, |room: &chatroom::Model| (room.updated_at, room.id), Chatroom))
    }

    /// The models a room may choose.
    async fn models(&self, ctx: &Context<'_>) -> Vec<Model> {
        let model = &chat(ctx).model;
        let offered = model.names().iter().enumerate();
        offered
            .map(|(place, name)| Model {
                name: name.clone(),
                provider: model.provider().to_owned(),
                is_default: place == 0,
            })
            .collect()
    }
}

#[derive(Default)]
pub struct ChatroomMutations;

#[Object]
impl ChatroomMutations {
    /// Makes a room.
    async fn create_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be like.")] input: CreateChatroomInput,
    ) -> Result<ChatroomPayload> {
        let viewer = viewer(ctx)?;
        let new = NewChatroom {
            title: input.title.map(Title::new).transpose()?,
            system_instruction: input.system_instruction.map(SystemInstruction::new).transpose()?,
            model: input.model,
        };
        let room = chat(ctx).create_chatroom(viewer.user, new).await?;
        Ok(ChatroomPayload { chatroom: Chatroom(room) })
    }

    /// Changes a room.
    async fn update_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change; what is left out stays.")] input: UpdateChatroomInput,
    ) -> Result<ChatroomPayload> {
        let viewer = viewer(ctx)?;
        let system_instruction = match input.system_instruction {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(text) => Some(Some(SystemInstruction::new(text)?)),
        };
        let title = input.title.map(Title::new).transpose()?;
        let changes = ChatroomUpdate { title, system_instruction, model: input.model };
        let room = chat(ctx).update_chatroom(viewer.user, read_id(&input.id, "chatroom")?, changes).await?;
        Ok(ChatroomPayload { chatroom: Chatroom(room) })
    }

    /// Deletes a room and everything in it.
    async fn delete_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The room's id.")] id: ID,
    ) -> Result<DeleteChatroomPayload> {
        let viewer = viewer(ctx)?;
        chat(ctx).delete_chatroom(viewer.user, read_id(&id, "chatroom")?).await?;
        Ok(DeleteChatroomPayload { deleted_id: id })
    }
}

/// What a room is to be like.
#[derive(InputObject)]
pub struct CreateChatroomInput {
    /// 1 to 200 characters.
    title: Option<String>,
    /// Sent to the model before the conversation; at most 8000 characters.
    system_instruction: Option<String>,
    /// One of models; the default without it.
    model: Option<String>,
}

/// What of a room is to change; what is left out stays.
#[derive(InputObject)]
pub struct UpdateChatroomInput {
    /// The room's id.
    id: ID,
    /// 1 to 200 characters.
    title: Option<String>,
    /// Sent to the model before the conversation; at most 8000 characters. Null takes it away.
    system_instruction: MaybeUndefined<String>,
    /// One of models.
    model: Option<String>,
}

/// A room that was made or changed.
#[derive(SimpleObject)]
pub struct ChatroomPayload {
    /// The room.
    chatroom: Chatroom,
}

/// A room that was deleted.
#[derive(SimpleObject)]
pub struct DeleteChatroomPayload {
    /// The room's id.
    deleted_id: ID,
}
