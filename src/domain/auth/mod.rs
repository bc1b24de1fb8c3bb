//! Accounts: signing up, signing in, sessions, profiles, account deletion and export.
//!
//! ```text
//!  send_otp, signup ──► a code is delivered ──► verify_otp ───────┐
//!                                          login with a password ─┼─► a session: access token (15 min) + refresh token (30 days)
//!  forgot_password ──► code ──► reset_password, ends old sessions ┘      ▲                     │
//!                                                                        └────── refresh ◄─────┘  exchanges the refresh token
//! ```
//!
//! No response to an anonymous caller reveals whether a phone number is registered: neither the result nor the time that the
//! lookups and computations take depends on it.

mod delete;
mod export;
mod hs256;
mod keys;
mod numbering;
mod otp;
mod password;
mod password_change;
mod phone;
mod profile;
mod session_cache;
mod sessions;
mod sign_in;
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
    config::{AuthSettings, RateLimitSettings},
    domain::publish::publish,
    error::{Error, Result},
    ports::{
        otp_sender::OtpSender,
        rate_limit::{Limit, RateLimit, Verdict},
        signals::{Signals, Topic},
    },
    store::{Db, users},
};

pub use delete::ERASE_ACCOUNT;
pub use keys::Keys;
pub use otp::code::OtpCode;
pub use otp::delivery::{DELIVER_OTP, DeliveryResult, OtpDeliverer};
pub use otp::{Purpose, SentOtp};
pub use password::{Password, Passwords};
pub use phone::PhoneNumber;
pub use profile::{Email, FullName, ProfileChanges};
pub use session_cache::SessionCache;
pub use sessions::SignedIn;
pub use signup::{NewUser, PROFILE_LIFETIME};
pub use signup_token::SignupToken;

/// The window of the hourly rate limits.
const HOUR: Duration = Duration::from_hours(1);

/// The use cases of accounts, with everything that they need.
#[derive(Clone)]
pub struct Auth {
    pub db: Db,
    pub clock: Clock,
    pub limits: Arc<dyn RateLimit>,
    pub otp_sender: Arc<dyn OtpSender>,
    pub signals: Arc<dyn Signals>,
    pub keys: Arc<Keys>,
    pub passwords: Passwords,
    pub session_cache: SessionCache,
    pub settings: AuthSettings,
    pub rates: RateLimitSettings,
}

/// The client that makes a call.
#[derive(Clone, Debug)]
pub struct Caller {
    pub address: IpAddr,
    pub user_agent: Option<String>,
    /// Whether a proxy forwarded the request.
    pub is_forwarded: bool,
}

impl Caller {
    /// The addresses that rate limits count as one client.
    #[must_use]
    pub fn network(&self) -> IpAddr {
        network_of(self.address)
    }
}

/// The addresses that an internet provider assigns to one customer: an IPv4 address, or the IPv6 /64 network of `address`.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The signed-in user of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub user: UserId,
    pub session: SessionId,
    /// When the access token expires.
    pub until: Timestamp,
}

impl Auth {
    /// Signals the workers that a job is due. Call it after the commit that stored the job.
    async fn signal_new_job(&self) {
        publish(&*self.signals, &[Topic::Jobs]).await;
    }

    /// Counts one call against all limits. If the rate limiter is unavailable, the call fails, because an uncounted caller
    /// could request any number of paid codes and guess secrets.
    async fn take_limits(&self, limits: &[Limit]) -> Result<()> {
        match self.limits.take(limits).await.map_err(anyhow::Error::new)? {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Rejected { retry_after } => Err(Error::rate_limited(retry_after)),
        }
    }

    /// The signed-in user.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] if the account was deleted.
    pub async fn me(&self, viewer: Viewer) -> Result<user::Model> {
        users::by_id(self.db.read(), viewer.user)
            .await?
            .ok_or(Error::Unauthenticated("The account does not exist."))
    }
}
