//! Accounts: who somebody is and how they prove it.
//!
//! ```text
//!  send_otp, signup ──► a code reaches the phone ──► verify_otp ──┐
//!                                          login, by a password ──┼─► a session: access token (15 min) + refresh token (30 days)
//!  forgot_password ──► a code ──► reset_password, which ends all ─┘      ▲                     │
//!                                                                        └────── refresh ◄─────┘  each works once
//! ```
//!
//! Nothing here tells a stranger whether a number is known: what is looked up, is computed and is said does not depend on
//! it.

mod delete;
mod export;
mod hs256;
mod keys;
mod numbering;
mod otp;
mod password;
mod phone;
mod profile;
mod sessions;
mod signup;
mod signup_token;
mod tokens;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use entity::{SessionId, Timestamp, UserId, user};

use crate::{
    clock::Clock,
    config::AuthSettings,
    error::{Error, Result},
    ports::{
        otp_sender::OtpSender,
        rate_limit::RateLimit,
        signals::{Signals, Topic},
    },
    store::{Db, users},
};

pub use keys::Keys;
pub use otp::code::OtpCode;
pub use otp::delivery::Deliveries;
pub use otp::{Purpose, SentOtp};
pub use password::{Password, Passwords};
pub use phone::PhoneNumber;
pub use profile::{Email, FullName, ProfileChanges};
pub use sessions::SignedIn;
pub use signup::{NewUser, PROFILE_LIFETIME};
pub use signup_token::SignupToken;

/// What calls that cost or guess something are counted over.
const AN_HOUR: Duration = Duration::from_hours(1);

/// What the use cases of accounts work with.
#[derive(Clone)]
pub struct Auth {
    pub db: Db,
    pub clock: Clock,
    pub limits: Arc<dyn RateLimit>,
    pub otp_sender: Arc<dyn OtpSender>,
    pub signals: Arc<dyn Signals>,
    pub keys: Arc<Keys>,
    pub passwords: Passwords,
    pub settings: AuthSettings,
}

/// Where a call comes from.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: IpAddr,
    pub user_agent: Option<String>,
    /// Whether a proxy says that it called for another.
    pub is_forwarded: bool,
}

impl Caller {
    /// What is counted as one caller.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        network_of(self.address)
    }
}

/// What one customer of a provider has: an IPv4 address, or an IPv6 network.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
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
    /// After a commit. Where the hint is lost, workers look by themselves.
    async fn tell_of_a_job(&self) {
        if let Err(unavailable) = self.signals.send(Topic::Jobs).await {
            tracing::debug!(error = %unavailable, "a hint was not sent");
        }
    }

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
