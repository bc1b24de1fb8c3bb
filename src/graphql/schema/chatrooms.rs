//! Chatrooms.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use entity::chatroom::{self, Generation};

use crate::{
    domain::chatrooms::{ChatroomUpdate, IdempotencyKey, NewChatroom, SystemInstruction, Title},
    error::Result,
    graphql::{
        engine::{
            context::{self, memory, viewer},
            paging::{Connection, PageArgs},
        },
        types::{Chatroom, ChatroomConnection, GenerationInput, Model, parse_id},
    },
    store::chatrooms,
};

#[derive(Default)]
pub struct ChatroomQueries;

#[Object]
impl ChatroomQueries {
    /// One of your chatrooms. Null if it does not exist or is not yours. Errors: UNAUTHENTICATED.
    async fn chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the chatroom.")] id: ID,
    ) -> Result<Option<Chatroom>> {
        let viewer = viewer(ctx)?;
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(context::chatrooms(ctx).chatroom(viewer.user, id).await?.map(Chatroom))
    }

    /// Your chatrooms, pinned ones first, then the most recently active ones. Errors: UNAUTHENTICATED, BAD_USER_INPUT.
    async fn chatrooms(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start: 0 to 100; 20 without `first` and `last`.")]
        first: Option<i32>,
        #[graphql(desc = "Returns only items after this cursor.")] after: Option<String>,
        #[graphql(desc = "The number of items from the end: 0 to 100. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Returns only items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Whether to list the archived chatrooms instead of the others.", default)]
        archived: bool,
    ) -> Result<ChatroomConnection> {
        let viewer = viewer(ctx)?;
        let window = PageArgs { first, after, last, before }.window()?;
        let page = context::chatrooms(ctx).chatrooms(viewer.user, archived, window.clone()).await?;
        page.items.iter().try_for_each(|row| memory(ctx).count_read(chatrooms::size_of(row)))?;
        let key = |row: &chatroom::Model| (row.list_rank, row.updated_at, row.id);
        Ok(ChatroomConnection { page: Connection::new(page, &window, key, Chatroom), archived })
    }

    /// The models that a chatroom can use, the default first. If one is not available, the next that the user's tier may use
    /// writes the reply; `model` of the reply names it.
    async fn models(&self, ctx: &Context<'_>) -> Vec<Model> {
        let models = context::replies(ctx).models.all().iter().enumerate();
        models.map(|(index, model)| Model::new(model, index == 0)).collect()
    }
}

#[derive(Default)]
pub struct ChatroomMutations;

#[Object]
impl ChatroomMutations {
    /// Creates a chatroom. Errors: UNAUTHENTICATED, BAD_USER_INPUT, FORBIDDEN for a model of a higher tier, and CONFLICT if the
    /// idempotency key was used for another request.
    async fn create_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Title, system instruction and model of the new chatroom.")]
        input: CreateChatroomInput,
    ) -> Result<ChatroomPayload> {
        let viewer = viewer(ctx)?;
        let new = NewChatroom {
            title: input.title.map(Title::new).transpose()?,
            system_instruction: input.system_instruction.map(SystemInstruction::new).transpose()?,
            model: input.model,
            generation: input.generation.map(Generation::from),
            is_temporary: input.temporary,
            key: input.idempotency_key.map(IdempotencyKey::new).transpose()?,
        };
        let row = context::chatrooms(ctx).create_chatroom(viewer.user, new).await?;
        Ok(ChatroomPayload { chatroom: Chatroom(row) })
    }

    /// Changes a chatroom. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT; FORBIDDEN for a model of a higher tier.
    async fn update_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chatroom and the fields to change. Omitted fields stay unchanged.")]
        input: UpdateChatroomInput,
    ) -> Result<ChatroomPayload> {
        let viewer = viewer(ctx)?;
        // `None` leaves a field unchanged; `Some(None)` clears it.
        let system_instruction = match input.system_instruction {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(text) => Some(Some(SystemInstruction::new(text)?)),
        };
        let title = input.title.map(Title::new).transpose()?;
        let generation = match input.generation {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(settings) => Some(Some(settings.into())),
        };
        let UpdateChatroomInput { id, model, archived, pinned, .. } = input;
        let changes = ChatroomUpdate { title, system_instruction, model, generation, archived, pinned };
        let id = parse_id(&id, "chatroom")?;
        let row = context::chatrooms(ctx).update_chatroom(viewer.user, id, changes).await?;
        Ok(ChatroomPayload { chatroom: Chatroom(row) })
    }

    /// Deletes all your chatrooms, archived ones included, and their messages. If the call fails, repeat it to delete the rest.
    /// Errors: UNAUTHENTICATED.
    async fn delete_all_chatrooms(&self, ctx: &Context<'_>) -> Result<DeleteAllChatroomsPayload> {
        let deleted = context::chatrooms(ctx).delete_chatrooms(viewer(ctx)?.user).await?;
        Ok(DeleteAllChatroomsPayload { deleted_count: i32::try_from(deleted).unwrap_or(i32::MAX) })
    }

    /// Deletes a chatroom and its messages. Errors: UNAUTHENTICATED, NOT_FOUND.
    async fn delete_chatroom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The chatroom to delete.")] input: DeleteChatroomInput,
    ) -> Result<DeleteChatroomPayload> {
        let viewer = viewer(ctx)?;
        context::chatrooms(ctx).delete_chatroom(viewer.user, parse_id(&input.id, "chatroom")?).await?;
        Ok(DeleteChatroomPayload { deleted_id: input.id })
    }
}

/// A chatroom to delete.
#[derive(InputObject)]
pub struct DeleteChatroomInput {
    /// The id of the chatroom.
    id: ID,
}

/// Title, system instruction and model of a new chatroom.
#[derive(InputObject)]
pub struct CreateChatroomInput {
    /// The title: 1 to 200 characters.
    title: Option<String>,
    /// The instruction sent to the model before the conversation: at most 8000 characters; null for none.
    system_instruction: Option<String>,
    /// The name of one of `models`. Null: the default model.
    model: Option<String>,
    /// The generation settings; null for the server's.
    generation: Option<GenerationInput>,
    /// Whether the chatroom is deleted 24 hours after its last message or change.
    #[graphql(default)]
    temporary: bool,
    /// A key that makes retries safe: a request with the same key and input returns the first result. At most 255 characters.
    idempotency_key: Option<String>,
}

/// The number of deleted chatrooms.
#[derive(SimpleObject)]
pub struct DeleteAllChatroomsPayload {
    /// How many chatrooms were deleted.
    deleted_count: i32,
}

/// The fields of a chatroom to change. Omitted fields stay unchanged.
#[derive(InputObject)]
pub struct UpdateChatroomInput {
    /// The id of the chatroom.
    id: ID,
    /// The title: 1 to 200 characters.
    title: Option<String>,
    /// The instruction sent to the model before the conversation: at most 8000 characters. Null clears it.
    system_instruction: MaybeUndefined<String>,
    /// The name of one of `models`.
    model: Option<String>,
    /// All generation settings of the chatroom; null for the server's.
    generation: MaybeUndefined<GenerationInput>,
    /// Whether the chatroom is archived. True removes the pin.
    archived: Option<bool>,
    /// Whether the chatroom is pinned to the top of the list. True takes it out of the archive.
    pinned: Option<bool>,
}

/// A created or changed chatroom.
#[derive(SimpleObject)]
pub struct ChatroomPayload {
    /// The chatroom.
    pub(super) chatroom: Chatroom,
}

/// A deleted chatroom.
#[derive(SimpleObject)]
pub struct DeleteChatroomPayload {
    /// The id of the deleted chatroom.
    deleted_id: ID,
}
