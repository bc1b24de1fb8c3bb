//! Accounts: who somebody is and how they prove it.
//!
//! ```text
//!  send_otp ──► a code reaches the phone ──► verify_otp ──► a session: access token (15 min) + refresh token (30 days)
//!                                                              ▲                     │
//!                                                              └────── refresh ◄─────┘  each refresh token works once
//! ```

mod hs256;
mod keys;
mod otp;
mod phone;
mod sessions;
mod tokens;

use std::{net::IpAddr, sync::Arc};

use entity::{SessionId, Timestamp, UserId, user};

use crate::{
    clock::Clock,
    error::{Error, Result},
    ports::{otp_sender::OtpSender, rate_limit::RateLimit, signals::Signals},
    store::{Db, users},
};

pub use keys::Keys;
pub use otp::SentOtp;
pub use phone::PhoneNumber;
pub use sessions::SignedIn;

/// What the use cases of accounts work with.
#[derive(Clone)]
pub struct Auth {
    pub db: Db,
    pub clock: Clock,
    pub limits: Arc<dyn RateLimit>,
    pub otp_sender: Arc<dyn OtpSender>,
    pub signals: Arc<dyn Signals>,
    pub keys: Arc<Keys>,
}

/// Where a call comes from.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: IpAddr,
    pub user_agent: Option<String>,
}

/// Somebody who is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub user: UserId,
    pub session: SessionId,
    /// When the access token expires.
    pub until: Timestamp,
}

impl Auth {
    /// The signed-in user.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the account is gone.
    pub async fn me(&self, viewer: Viewer) -> Result<user::Model> {
        users::by_id(self.db.read(), viewer.user)
            .await?
            .ok_or(Error::Unauthenticated("The account does not exist."))
    }
}
