//! Creating, updating, listing and deleting chatrooms.

use bytes::Bytes;
use entity::{ChatroomId, UserId, chatroom, idempotency_key};
use futures_util::FutureExt;

use super::{
    Chatrooms, IdempotencyKey, SystemInstruction, Title,
    first_result::{Idempotent, Request, first_result},
};
use crate::{
    domain::publish::publish,
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        chatrooms::{self, Key},
        commit, messages,
        page::{Page, Window},
        users,
    },
};

const DELETE_BATCH: u64 = 100;
const UNTITLED: &str = "New chat";

/// The fields of a new chatroom.
#[derive(Clone, Debug, Default)]
pub struct NewChatroom {
    pub title: Option<Title>,
    pub system_instruction: Option<SystemInstruction>,
    pub model: Option<String>,
    pub key: Option<IdempotencyKey>,
}

impl NewChatroom {
    /// The row of the idempotency key, if this creates `chatroom`.
    fn key(&self, chatroom: &chatroom::Model) -> Option<idempotency_key::Model> {
        let input = (
            self.title.as_ref().map(Title::as_str),
            self.system_instruction.as_ref().map(SystemInstruction::as_str),
            &self.model,
        );
        let input = serde_json::json!(input).to_string();
        let request = Request { operation: "createChatroom", parts: &[input.as_bytes()] };
        let key = self.key.clone()?;
        Some(request.key(chatroom.user_id, key, chatroom.id.0, chatroom.created_at))
    }
}

/// Changes to a chatroom. A field that is `None` stays unchanged.
#[derive(Clone, Debug, Default)]
pub struct ChatroomUpdate {
    pub title: Option<Title>,
    /// `Some(None)` removes the instruction.
    pub system_instruction: Option<Option<SystemInstruction>>,
    pub model: Option<String>,
}

impl Chatrooms {
    /// A repeated idempotency key returns the first result.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a model that is not offered, [`Error::Conflict`] for a key that was used for another request.
    pub async fn create_chatroom(&self, user: UserId, new: NewChatroom) -> Result<chatroom::Model> {
        let now = self.clock.now();
        let chatroom = chatroom::Model {
            id: ChatroomId::generate(),
            user_id: user,
            title: new.title.as_ref().map_or(UNTITLED, Title::as_str).to_owned(),
            system_instruction: new.system_instruction.clone().map(String::from),
            model: match &new.model {
                Some(model) => self.validate_model(model.clone())?,
                None => self.replies.model.names()[0].clone(),
            },
            version: 1,
            changed_version: 1,
            created_at: now,
            updated_at: now,
        };
        let key = new.key(&chatroom);
        let created = self.db.with_retry(|| async {
            let tx = self.db.begin().await?;
            if let Some(first) = first_result(&tx, key.as_ref()).await? {
                return Ok(Idempotent::Repeated(first));
            }
            chatrooms::insert(&tx, &chatroom).await?;
            let list_version = users::increment_list_version(&tx, user).await?;
            commit(tx).await?;
            self.record_list_version(user, list_version).await;
            Ok(Idempotent::New(()))
        });
        match created.await? {
            Idempotent::New(()) => Ok(chatroom),
            Idempotent::Repeated(first) => {
                let first = self.chatroom(user, ChatroomId(first)).await?;
                first.ok_or(Error::NotFound("chatroom"))
            }
        }
    }

    /// # Errors
    /// [`Error::NotFound`], or [`Error::BadInput`] for a model that is not offered.
    pub async fn update_chatroom(
        &self,
        user: UserId,
        id: ChatroomId,
        update: ChatroomUpdate,
    ) -> Result<chatroom::Model> {
        let model = update.model.map(|model| self.validate_model(model)).transpose()?;
        let update = ChatroomUpdate { model, ..update };
        let chatroom = self.db.with_retry(|| self.update_once(user, id, update.clone())).await?;
        publish(&*self.signals, &[Topic::Chatroom(id)]).await;
        Ok(chatroom)
    }

    async fn update_once(
        &self,
        user: UserId,
        id: ChatroomId,
        update: ChatroomUpdate,
    ) -> Result<chatroom::Model> {
        let tx = self.db.begin().await?;
        let incremented = chatrooms::increment_version_of_owned(&tx, user, id, self.clock.now()).await?;
        let mut chatroom = incremented.ok_or(Error::NotFound("chatroom"))?;
        chatroom.changed_version = chatroom.version;
        if let Some(title) = update.title {
            chatroom.title = title.into();
        }
        if let Some(instruction) = update.system_instruction {
            chatroom.system_instruction = instruction.map(String::from);
        }
        if let Some(model) = update.model {
            chatroom.model = model;
        }
        chatrooms::save(&tx, &chatroom).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        self.record_list_version(user, list_version).await;
        Ok(chatroom)
    }

    /// Deletes a chatroom and its messages. Its queued and streaming replies end, and their subscribers are notified.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_chatroom(&self, user: UserId, id: ChatroomId) -> Result<()> {
        let unfinished = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let unfinished = messages::unfinished(&tx, id).await?;
                if !chatrooms::delete_owned_by(&tx, user, id).await? {
                    return Err(Error::NotFound("chatroom"));
                }
                let list_version = users::increment_list_version(&tx, user).await?;
                commit(tx).await?;
                self.record_list_version(user, list_version).await;
                Ok(unfinished)
            })
            .await?;
        for reply in unfinished {
            self.replies.end_log(reply.id).await;
        }
        publish(&*self.signals, &[Topic::Chatroom(id), Topic::Jobs]).await;
        Ok(())
    }

    /// Deletes all chatrooms of the user.
    pub async fn delete_chatrooms(&self, user: UserId) -> Result<()> {
        loop {
            let ids = chatrooms::some_owned_by(self.db.write(), user, DELETE_BATCH).await?;
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                match self.delete_chatroom(user, id).await {
                    Ok(()) | Err(Error::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The user's chatroom.
    pub async fn chatroom(&self, user: UserId, id: ChatroomId) -> Result<Option<chatroom::Model>> {
        Ok(chatrooms::owned_by(self.db.read(), user, id).await?)
    }

    /// A page of the user's chatrooms, newest activity first. Pages are cached under the version of the list (see
    /// [`list_version`](Self::list_version)), so a page is never older than the user's last change.
    pub async fn chatrooms(&self, user: UserId, window: Window<Key>) -> Result<Page<chatroom::Model>> {
        let version = self.list_version(user).await?;
        let cache_key = format!("chatrooms:{user}:{version}:{window:?}");
        let load = async {
            let page = chatrooms::page_owned_by(self.db.read(), user, &window).await?;
            Ok(Bytes::from(serde_json::to_vec(&page)?))
        };
        let cached = self.cache.get_or_load(&cache_key, load.boxed()).await?;
        serde_json::from_slice(&cached).map_err(|cause| Error::Internal(cause.into()))
    }

    fn validate_model(&self, model: String) -> Result<String> {
        if self.replies.model.names().contains(&model) {
            return Ok(model);
        }
        let names = self.replies.model.names().join(", ");
        Err(Error::bad_input("model", format!("model must be one of: {names}.")))
    }
}
