use async_graphql::{Context, ID, Object, SimpleObject};
use entity::{Timestamp, session, user};

use super::{PhoneNumberScalar, SubscriptionStatus};
use crate::{
    domain::{
        auth::{PhoneNumber, Viewer},
        chatrooms,
    },
    error::{Error, Result},
    graphql::engine::{
        context::{clock, loader},
        loaders::{SubscriptionOf, UsageOf},
    },
};

/// A user account.
#[derive(Clone)]
pub struct User(pub user::Model);

/// A user account.
#[Object]
impl User {
    /// The id of the user.
    pub async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The phone number with which the user signs in.
    async fn phone_number(&self) -> PhoneNumberScalar {
        PhoneNumberScalar(PhoneNumber::stored(&self.0.phone_number))
    }

    /// The email address; null if none is set.
    async fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// The full name; null if none is set.
    async fn full_name(&self) -> Option<&str> {
        self.0.full_name.as_deref()
    }

    /// Whether a password is set. If so, changePassword requires the current one.
    async fn has_password(&self) -> bool {
        self.0.password_hash.is_some()
    }

    /// The time at which the phone number was first verified. Null before that.
    async fn verified_at(&self) -> Option<Timestamp> {
        self.0.verified_at
    }

    /// The time at which the user registered.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// The time of the last change of the profile.
    async fn updated_at(&self) -> Timestamp {
        self.0.updated_at
    }

    /// The user's tier and billing state.
    async fn subscription(&self, ctx: &Context<'_>) -> Result<SubscriptionStatus> {
        let found = loader(ctx).load_one(SubscriptionOf(self.0.id)).await?;
        Ok(SubscriptionStatus::new(found.as_ref(), clock(ctx).now()))
    }

    /// The user's quota of today.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Usage> {
        let usage = loader(ctx).load_one(UsageOf(self.0.id)).await?;
        usage.map(Usage::from).ok_or(Error::NotFound("user"))
    }
}

/// The quota of prompts in the current UTC day.
#[derive(Clone, SimpleObject)]
pub struct Usage {
    /// The number of prompts used.
    used: i32,
    /// The maximum of prompts a day. Null if unlimited.
    limit: Option<i32>,
    /// The number of prompts left. Null if unlimited.
    remaining: Option<i32>,
    /// The time at which the quota resets.
    resets_at: Timestamp,
}

impl From<chatrooms::DailyUsage> for Usage {
    fn from(usage: chatrooms::DailyUsage) -> Self {
        let remaining = usage.limit.map(|limit| (limit - usage.used).max(0));
        Self { used: usage.used, limit: usage.limit, remaining, resets_at: usage.resets_at }
    }
}

/// A session of a user on one device.
#[derive(SimpleObject)]
pub struct Session {
    /// The id of the session.
    id: ID,
    /// Whether it is the session of this request.
    current: bool,
    /// The User-Agent header at sign-in. Null if there was none.
    user_agent: Option<String>,
    /// The time of the sign-in.
    created_at: Timestamp,
    /// The time at which the session last refreshed its tokens.
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

/// A language model that a chatroom can use.
#[derive(SimpleObject)]
pub struct Model {
    /// The name, for `model` of a chatroom.
    pub name: String,
    /// The provider of the model.
    pub provider: String,
    /// Whether it is the default of new chatrooms.
    pub is_default: bool,
}
