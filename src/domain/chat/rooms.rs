//! Rooms: made, changed, listed, deleted.

use bytes::Bytes;
use entity::{ChatroomId, UserId, chatroom};
use futures_util::FutureExt;

use super::{Chat, SystemInstruction, Title};
use crate::{
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        chatrooms::{self, Key},
        commit, messages,
        page::{Page, Window},
        users,
    },
};

const ROOMS_AT_ONCE: u64 = 100;
const UNTITLED: &str = "New chat";

/// A room that is to be made.
#[derive(Clone, Debug, Default)]
pub struct NewRoom {
    pub title: Option<Title>,
    pub system_instruction: Option<SystemInstruction>,
    pub model: Option<String>,
}

/// What of a room is to change; none leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct RoomChanges {
    pub title: Option<Title>,
    /// The inner none takes the instruction away.
    pub system_instruction: Option<Option<SystemInstruction>>,
    pub model: Option<String>,
}

impl Chat {
    /// # Errors
    /// [`Error::BadInput`] for a model that is not offered.
    pub async fn create_room(&self, user: UserId, new: NewRoom) -> Result<chatroom::Model> {
        let now = self.clock.now();
        let room = chatroom::Model {
            id: ChatroomId::generate(),
            user_id: user,
            title: new.title.map_or_else(|| UNTITLED.to_owned(), String::from),
            system_instruction: new.system_instruction.map(String::from),
            model: match new.model {
                Some(model) => self.offered(model)?,
                None => self.model.names()[0].clone(),
            },
            version: 1,
            edited_in: 1,
            created_at: now,
            updated_at: now,
        };
        self.db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                chatrooms::insert(&tx, &room).await?;
                users::bump_rooms_version(&tx, user).await?;
                Ok(commit(tx).await?)
            })
            .await?;
        Ok(room)
    }

    /// # Errors
    /// [`Error::NotFound`], or [`Error::BadInput`] for a model that is not offered.
    pub async fn update_room(
        &self,
        user: UserId,
        id: ChatroomId,
        changes: RoomChanges,
    ) -> Result<chatroom::Model> {
        let model = changes.model.map(|model| self.offered(model)).transpose()?;
        let changes = RoomChanges { model, ..changes };
        let room = self.db.with_retry(|| self.update_once(user, id, changes.clone())).await?;
        self.tell(&[Topic::Room(id)]).await;
        Ok(room)
    }

    async fn update_once(
        &self,
        user: UserId,
        id: ChatroomId,
        changes: RoomChanges,
    ) -> Result<chatroom::Model> {
        let tx = self.db.begin().await?;
        let advanced = chatrooms::advance_owned_by(&tx, user, id, self.clock.now()).await?;
        let mut room = advanced.ok_or(Error::NotFound("chatroom"))?;
        room.edited_in = room.version;
        if let Some(title) = changes.title {
            room.title = title.into();
        }
        if let Some(instruction) = changes.system_instruction {
            room.system_instruction = instruction.map(String::from);
        }
        if let Some(model) = changes.model {
            room.model = model;
        }
        chatrooms::save(&tx, &room).await?;
        users::bump_rooms_version(&tx, user).await?;
        commit(tx).await?;
        Ok(room)
    }

    /// Deletes a room and everything in it; a reply that is being written in it ends.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_room(&self, user: UserId, id: ChatroomId) -> Result<()> {
        let unfinished = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let unfinished = messages::unfinished(&tx, id).await?;
                if !chatrooms::delete_owned_by(&tx, user, id).await? {
                    return Err(Error::NotFound("chatroom"));
                }
                users::bump_rooms_version(&tx, user).await?;
                commit(tx).await?;
                Ok(unfinished)
            })
            .await?;
        for reply in unfinished {
            self.end_log(reply.id).await;
        }
        self.tell(&[Topic::Room(id), Topic::Jobs]).await;
        Ok(())
    }

    /// Deletes all of the user's rooms.
    pub async fn delete_rooms(&self, user: UserId) -> Result<()> {
        loop {
            let rooms = chatrooms::some_owned_by(self.db.write(), user, ROOMS_AT_ONCE).await?;
            if rooms.is_empty() {
                return Ok(());
            }
            for room in rooms {
                match self.delete_room(user, room).await {
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The user's room.
    pub async fn room(&self, user: UserId, id: ChatroomId) -> Result<Option<chatroom::Model>> {
        Ok(chatrooms::owned_by(self.db.read(), user, id).await?)
    }

    /// A page of the user's rooms, newest activity first. Kept under the version of the list, which every write to it
    /// counts up in its own transaction: what is kept is never older than the user's last write.
    pub async fn rooms(&self, user: UserId, window: Window<Key>) -> Result<Page<chatroom::Model>> {
        let version = users::rooms_version(self.db.read(), user).await?;
        let key = format!("rooms:{user}:{version}:{window:?}");
        let load = async {
            let page = chatrooms::page_owned_by(self.db.read(), user, &window).await?;
            Ok(Bytes::from(serde_json::to_vec(&page)?))
        };
        let kept = self.cache.get_or_load(&key, load.boxed()).await?;
        serde_json::from_slice(&kept).map_err(|cause| Error::Internal(cause.into()))
    }

    fn offered(&self, model: String) -> Result<String> {
        if self.model.names().contains(&model) {
            return Ok(model);
        }
        let offered = self.model.names().join(", ");
        Err(Error::bad_input("model", format!("model must be one of: {offered}.")))
    }
}
