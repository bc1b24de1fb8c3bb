use async_graphql::{Context, ID, Object};
use entity::{Timestamp, session, user};

use super::{PhoneNumberScalar, SubscriptionStatus, Usage};
use crate::{
    domain::auth::{PhoneNumber, Viewer},
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

    /// What the user has used and may use.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Usage> {
        let usage = loader(ctx).load_one(UsageOf(self.0.id)).await?;
        usage.map(|usage| Usage::new(self.0.id, usage)).ok_or(Error::NotFound("user"))
    }
}

/// A session of a user on one device.
pub struct Session {
    session: session::Model,
    is_current: bool,
}

impl Session {
    pub fn new(session: session::Model, viewer: Viewer) -> Self {
        let is_current = session.id == viewer.session;
        Self { session, is_current }
    }
}

/// A session of a user on one device.
#[Object]
impl Session {
    /// The id of the session.
    pub async fn id(&self) -> ID {
        self.session.id.into()
    }

    /// Whether it is the session of this request.
    async fn current(&self) -> bool {
        self.is_current
    }

    /// The User-Agent header at sign-in. Null if there was none.
    async fn user_agent(&self) -> Option<&str> {
        self.session.user_agent.as_deref()
    }

    /// The time of the sign-in.
    async fn created_at(&self) -> Timestamp {
        self.session.created_at
    }

    /// The time at which the session last refreshed its tokens.
    async fn last_seen_at(&self) -> Timestamp {
        self.session.last_seen_at
    }
}
