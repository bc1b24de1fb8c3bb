use async_graphql::{Context, ID, Object, SimpleObject};
use entity::{Timestamp, session, user};

use super::{PhoneNumberScalar, SubscriptionStatus};
use crate::{
    domain::{
        auth::{PhoneNumber, Viewer},
        chat,
    },
    error::{Error, Result},
    graphql::{
        context::{chat, loader},
        loaders::{SubscriptionOf, UsageOf},
    },
};

/// A person who chats.
#[derive(Clone)]
pub struct User(pub user::Model);

/// A person who chats.
#[Object]
impl User {
    /// The user's id.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The number that the user signs in with.
    async fn phone_number(&self) -> PhoneNumberScalar {
        PhoneNumberScalar(PhoneNumber::stored(&self.0.phone_number))
    }

    /// Where the user can be written to.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The user's name.
    async fn full_name(&self) -> Option<&str> {
        self.0.full_name.as_deref()
    }

    /// True once a password has been set, so changePassword needs the current one.
    async fn has_password(&self) -> bool {
        self.0.password_hash.is_some()
    }

    /// When the number was first proven.
    async fn verified_at(&self) -> Option<Timestamp> {
        self.0.verified_at
    }

    /// When the user came.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When the profile was last changed.
    async fn updated_at(&self) -> Timestamp {
        self.0.updated_at
    }

    /// The user's tier and how it is paid for.
    async fn subscription(&self, ctx: &Context<'_>) -> Result<SubscriptionStatus> {
        let found = loader(ctx).load_one(SubscriptionOf(self.0.id)).await?;
        Ok(SubscriptionStatus::new(found.as_ref(), chat(ctx).clock.now()))
    }

    /// Prompts used today.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Usage> {
        let usage = loader(ctx).load_one(UsageOf(self.0.id)).await?;
        usage.map(Usage::from).ok_or(Error::NotFound("user"))
    }
}

/// Prompts used in the current UTC day.
#[derive(Clone, SimpleObject)]
pub struct Usage {
    /// Prompts used so far.
    used: i32,
    /// Null means unlimited.
    limit: Option<i32>,
    /// Prompts left; null means unlimited.
    remaining: Option<i32>,
    /// When the next day begins.
    resets_at: Timestamp,
}

impl From<chat::DailyUsage> for Usage {
    fn from(usage: chat::DailyUsage) -> Self {
        let remaining = usage.limit.map(|limit| (limit - usage.used).max(0));
        Self { used: usage.used, limit: usage.limit, remaining, resets_at: usage.resets_at }
    }
}

/// A device on which the user is signed in.
#[derive(SimpleObject)]
pub struct Session {
    /// The session's id.
    id: ID,
    /// Whether it is the one that asks.
    current: bool,
    /// What the device said of itself.
    user_agent: Option<String>,
    /// When the user signed in there.
    created_at: Timestamp,
    /// When it last renewed its tokens.
    last_seen_at: Timestamp,
}

impl Session {
    pub fn new(session: session::Model, viewer: Viewer) -> Self {
        Self {
            id: session.id.into(),
            current: session.id == viewer.session,
            user_agent: session.user_agent,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
        }
    }
}

/// A model that a room may choose.
#[derive(SimpleObject)]
pub struct Model {
    /// What a room calls it by.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// Whether new rooms have it.
    pub is_default: bool,
}
