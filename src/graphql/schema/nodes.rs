//! Finds objects of any type by their ids.

use async_graphql::{Context, ID, Object};
use entity::{ChatroomId, MessageId, SessionId, UserId};
use futures_util::future::try_join_all;

use crate::{
    domain::auth::Viewer,
    error::{Error, Result},
    graphql::{
        engine::{
            context::{auth, loader, viewer},
            loaders::Owned,
        },
        types::{Chatroom, Message, Node, Session, User},
    },
};

/// The maximum number of objects that are requested at once.
const MAX_IDS: usize = 100;

#[derive(Default)]
pub struct NodeQueries;

#[Object]
impl NodeQueries {
    /// Any object by its id. Null if it does not exist or is not yours.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the object.")] id: ID,
    ) -> Result<Option<Node>> {
        let Ok(viewer) = viewer(ctx) else { return Ok(None) };
        find(ctx, viewer, &id).await
    }

    /// Objects by their ids, in the order of the ids. An object is null if it does not exist or is not yours. Errors: BAD_USER_INPUT.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ids of the objects: at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_IDS {
            let message = format!("ids must have at most {MAX_IDS} items; got {}.", ids.len());
            return Err(Error::bad_input("ids", message));
        }
        let Ok(viewer) = viewer(ctx) else { return Ok(ids.iter().map(|_| None).collect()) };
        // The ids are looked up concurrently, so that the loader reads all objects of one type with one query.
        try_join_all(ids.iter().map(|id| find(ctx, viewer, id))).await
    }
}

/// Finds an object of the viewer. The prefix of the id determines the type, so at most one of the parsers accepts it.
async fn find(ctx: &Context<'_>, viewer: Viewer, id: &ID) -> Result<Option<Node>> {
    if let Ok(id) = id.parse::<ChatroomId>() {
        let found = loader(ctx).load_one(Owned(viewer.user, id)).await?;
        return Ok(found.map(|chatroom| Node::Chatroom(Chatroom(chatroom))));
    }
    if let Ok(id) = id.parse::<MessageId>() {
        let found = loader(ctx).load_one(Owned(viewer.user, id)).await?;
        return Ok(found.map(|message| Node::Message(Message::shared(message))));
    }
    if let Ok(id) = id.parse::<SessionId>() {
        let found = loader(ctx).load_one(Owned(viewer.user, id)).await?;
        return Ok(found.map(|session| Node::Session(Session::new(session, viewer))));
    }
    if id.parse::<UserId>() == Ok(viewer.user) {
        return auth(ctx).me(viewer).await.map(|user| Some(Node::User(User(user))));
    }
    Ok(None)
}
