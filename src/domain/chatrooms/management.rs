//! Creating, updating and listing chatrooms.

use bytes::Bytes;
use entity::{
    ChatroomId, Timestamp, UserId,
    chatroom::{self, Generation, TitleSource},
    idempotency_key,
};
use futures_util::FutureExt;

use super::{
    Chatrooms, IdempotencyKey, SystemInstruction, Title,
    idempotency::{Idempotent, Request, store_key_or_find_result},
};
use crate::{
    domain::{
        billing::tiers::{Tier, tier},
        models::generation,
        publish::publish,
    },
    error::{Error, Result},
    ports::signals::Topic,
    store::{
        chatrooms::{self, Key},
        commit,
        page::{Page, Window},
        subscriptions, users,
    },
};

const UNTITLED: &str = "New chat";

/// The fields of a new chatroom.
#[derive(Clone, Debug, Default)]
pub struct NewChatroom {
    pub title: Option<Title>,
    pub system_instruction: Option<SystemInstruction>,
    pub model: Option<String>,
    pub generation: Option<Generation>,
    pub is_temporary: bool,
    pub key: Option<IdempotencyKey>,
}

impl NewChatroom {
    /// The row that stores the idempotency key, if there is one. `chatroom` is the row that is about to be inserted.
    fn key_row(&self, chatroom: &chatroom::Model) -> Option<idempotency_key::Model> {
        let input = (
            self.title.as_ref().map(Title::as_str),
            self.system_instruction.as_ref().map(SystemInstruction::as_str),
            &self.model,
            self.generation,
            self.is_temporary,
        );
        let input = serde_json::json!(input).to_string();
        let request = Request { operation: "createChatroom", parts: &[input.as_bytes()] };
        let key = self.key.clone()?;
        Some(request.key_row(chatroom.user_id, key, chatroom.id.0, chatroom.created_at))
    }
}

/// Changes to a chatroom. A field that is `None` stays unchanged.
#[derive(Clone, Debug, Default)]
pub struct ChatroomUpdate {
    pub title: Option<Title>,
    /// `Some(None)` removes the instruction.
    pub system_instruction: Option<Option<SystemInstruction>>,
    pub model: Option<String>,
    /// `Some(None)` removes the chatroom's own settings.
    pub generation: Option<Option<Generation>>,
    /// True archives the chatroom and removes its pin.
    pub archived: Option<bool>,
    /// True pins the chatroom and takes it out of the archive.
    pub pinned: Option<bool>,
}

impl ChatroomUpdate {
    /// Whether the update counts as activity in the chatroom. Archiving and pinning do not.
    fn is_activity(&self) -> bool {
        self.title.is_some()
            || self.system_instruction.is_some()
            || self.model.is_some()
            || self.generation.is_some()
    }

    fn apply(self, chatroom: &mut chatroom::Model, now: Timestamp) {
        if let Some(title) = self.title {
            chatroom.title = title.into();
            chatroom.title_source = TitleSource::User;
        }
        if let Some(instruction) = self.system_instruction {
            chatroom.system_instruction = instruction.map(String::from);
        }
        if let Some(model) = self.model {
            chatroom.model = model;
        }
        if let Some(generation) = self.generation {
            chatroom.generation = generation;
        }
        if let Some(archived) = self.archived {
            chatroom.archived_at = archived.then(|| chatroom.archived_at.unwrap_or(now));
        }
        if let Some(pinned) = self.pinned {
            chatroom.pinned_at = pinned.then(|| chatroom.pinned_at.unwrap_or(now));
        }
        match (self.archived, self.pinned) {
            (Some(true), _) => chatroom.pinned_at = None,
            (_, Some(true)) => chatroom.archived_at = None,
            _ => {}
        }
        chatroom.list_rank = chatroom::Model::rank(chatroom.pinned_at, chatroom.archived_at);
    }
}

impl Chatrooms {
    /// Creates a chatroom. A repeated idempotency key returns the first result.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a model that is not offered or an invalid value, [`Error::Forbidden`] for a model of a higher
    /// tier, [`Error::Conflict`] for a key that was used for another request.
    pub async fn create_chatroom(&self, user: UserId, new: NewChatroom) -> Result<chatroom::Model> {
        let now = self.clock.now();
        let chatroom = chatroom::Model {
            id: ChatroomId::generate(),
            user_id: user,
            title_source: if new.title.is_some() { TitleSource::User } else { TitleSource::Default },
            title: new.title.as_ref().map_or(UNTITLED, Title::as_str).to_owned(),
            system_instruction: new.system_instruction.clone().map(String::from),
            model: match &new.model {
                Some(model) => self.validate_model(user, model.clone()).await?,
                None => self.replies.models.default_model().name.clone(),
            },
            generation: self.check_generation(new.generation)?,
            version: 1,
            changed_version: 1,
            created_at: now,
            updated_at: now,
            pinned_at: None,
            archived_at: None,
            is_temporary: new.is_temporary,
            list_rank: chatroom::Model::rank(None, None),
        };
        let key = new.key_row(&chatroom);
        let created = self.db.with_retry(|| async {
            let tx = self.db.begin().await?;
            if let Some(id) = store_key_or_find_result(&tx, key.as_ref()).await? {
                return Ok(Idempotent::Repeated(id));
            }
            chatrooms::insert(&tx, &chatroom).await?;
            let list_version = users::increment_list_version(&tx, user).await?;
            commit(tx).await?;
            self.cache_list_version(user, list_version).await;
            Ok(Idempotent::New(()))
        });
        match created.await? {
            Idempotent::New(()) => {
                publish(&*self.signals, &[Topic::Chatrooms(user)]).await;
                Ok(chatroom)
            }
            Idempotent::Repeated(id) => {
                self.recache_list_version(user).await?;
                let created_before = self.chatroom(user, ChatroomId(id)).await?;
                created_before.ok_or(Error::NotFound("chatroom"))
            }
        }
    }

    /// Updates the user's chatroom.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadInput`] for a model that is not offered, an invalid value, or a chatroom that is to be
    /// both archived and pinned, [`Error::Forbidden`] for a model of a higher tier.
    pub async fn update_chatroom(
        &self,
        user: UserId,
        id: ChatroomId,
        update: ChatroomUpdate,
    ) -> Result<chatroom::Model> {
        if (update.archived, update.pinned) == (Some(true), Some(true)) {
            return Err(Error::bad_input("pinned", "pinned and archived must not both be true."));
        }
        let model = match update.model {
            Some(model) => Some(self.validate_model(user, model).await?),
            None => None,
        };
        let generation = update.generation.map(|own| self.check_generation(own)).transpose()?;
        let update = ChatroomUpdate { model, generation, ..update };
        let chatroom = self.db.with_retry(|| self.update_once(user, id, update.clone())).await?;
        publish(&*self.signals, &[Topic::Chatroom(id), Topic::Chatrooms(user)]).await;
        Ok(chatroom)
    }

    async fn update_once(
        &self,
        user: UserId,
        id: ChatroomId,
        update: ChatroomUpdate,
    ) -> Result<chatroom::Model> {
        let now = self.clock.now();
        let tx = self.db.begin().await?;
        let activity = update.is_activity().then_some(now);
        let incremented = chatrooms::increment_version_if_owned_by(&tx, user, id, activity).await?;
        let mut chatroom = incremented.ok_or(Error::NotFound("chatroom"))?;
        chatroom.changed_version = chatroom.version;
        update.apply(&mut chatroom, now);
        chatrooms::save(&tx, &chatroom).await?;
        let list_version = users::increment_list_version(&tx, user).await?;
        commit(tx).await?;
        self.cache_list_version(user, list_version).await;
        Ok(chatroom)
    }

    /// The user's chatroom.
    pub async fn chatroom(&self, user: UserId, id: ChatroomId) -> Result<Option<chatroom::Model>> {
        Ok(chatrooms::owned_by(self.db.read(), user, id).await?)
    }

    /// A page of the user's chatrooms that are archived or not, pinned ones first, then by activity. Pages are cached under the
    /// version of the list (see [`list_version`](Self::list_version)), so a page is never older than the user's last change.
    pub async fn chatrooms(
        &self,
        user: UserId,
        archived: bool,
        window: Window<Key>,
    ) -> Result<Page<chatroom::Model>> {
        let version = self.list_version(user).await?;
        let cache_key = format!("chatroom-list:{user}:{version}:{archived}:{window:?}");
        let load = async {
            let page = chatrooms::page_owned_by(self.db.read(), user, archived, &window).await?;
            Ok(Bytes::from(serde_json::to_vec(&page)?))
        };
        let cached = self.cache.get_or_load(&cache_key, load.boxed()).await?;
        serde_json::from_slice(&cached).map_err(|cause| Error::Internal(cause.into()))
    }

    /// The number of the user's chatrooms that are archived, or of those that are not.
    pub async fn count(&self, user: UserId, archived: bool) -> Result<u64> {
        let version = self.list_version(user).await?;
        let cache_key = format!("chatroom-count:{user}:{version}:{archived}");
        let load = async {
            let count = chatrooms::count_owned_by(self.db.read(), user, archived).await?;
            Ok(Bytes::from(serde_json::to_vec(&count)?))
        };
        let cached = self.cache.get_or_load(&cache_key, load.boxed()).await?;
        serde_json::from_slice(&cached).map_err(|cause| Error::Internal(cause.into()))
    }

    /// Checks the chatroom's own generation settings against the server's.
    fn check_generation(&self, own: Option<Generation>) -> Result<Option<Generation>> {
        own.map(|own| generation::check(own, self.replies.models.generation())).transpose()
    }

    /// Checks that the user may choose this model.
    async fn validate_model(&self, user: UserId, model: String) -> Result<String> {
        let needed = self.replies.models.find(&model)?.tier;
        if needed == Tier::Pro {
            let subscription = subscriptions::of_user(self.db.read(), user).await?;
            if tier(subscription.as_ref(), self.clock.now()) < needed {
                return Err(Error::Forbidden(format!("model {model} requires the PRO tier.")));
            }
        }
        Ok(model)
    }
}
