//! Registering: what somebody says of themselves waits beside the code that proves the number, and becomes true with it.
//!
//! Nothing is looked up, so that nothing tells whether the number is known; for one that is, what was said is forgotten.

use std::net::IpAddr;

use entity::{UserId, user};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::{Auth, Caller, Email, FullName, Password, PhoneNumber, SentOtp, otp::Purpose};
use crate::{error::Result, store::users};

/// What a user who is to be registered says.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub email: Option<Email>,
    pub full_name: Option<FullName>,
    pub password: Option<Password>,
}

/// The same as it waits for its proof.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) user: UserId,
    email: Option<String>,
    full_name: Option<String>,
    password_hash: Option<String>,
    /// From where. A code that is used elsewhere is used by somebody else, who may not know who signed up, and with what
    /// password.
    pub(super) network: IpAddr,
}

impl Auth {
    /// Sends a code that registers its number with this profile. The user that comes back is as it would be: whether it
    /// comes to be, the code decides.
    ///
    /// # Errors
    /// As [`send_otp`](Self::send_otp).
    pub async fn signup(
        &self,
        phone_number: PhoneNumber,
        new: NewUser,
        caller: &Caller,
    ) -> Result<(user::Model, SentOtp)> {
        self.count_otp(&phone_number, caller).await?;
        let password_hash = match &new.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let now = self.clock.now();
        let user = user::Model {
            id: UserId::generate(),
            phone_number: phone_number.as_str().to_owned(),
            email: new.email.map(String::from),
            full_name: new.full_name.map(String::from),
            password_hash,
            verified_at: None,
            rooms_version: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        let pending = Pending {
            user: user.id,
            email: user.email.clone(),
            full_name: user.full_name.clone(),
            password_hash: user.password_hash.clone(),
            network: caller.network(),
        };
        let sent = self.make_otp(phone_number, Purpose::SignIn, Some(&pending), caller).await?;
        Ok((user, sent))
    }

    /// The user of a number that has just been proven: known, or new with what waited for it.
    pub(super) async fn proven(
        &self,
        conn: &impl ConnectionTrait,
        phone_number: &str,
        pending: Option<Pending>,
    ) -> Result<user::Model> {
        let now = self.clock.now();
        let (id, email, full_name, password_hash) = match pending {
            Some(pending) => (pending.user, pending.email, pending.full_name, pending.password_hash),
            None => (UserId::generate(), None, None, None),
        };
        let new = user::Model {
            id,
            phone_number: phone_number.to_owned(),
            email,
            full_name,
            password_hash,
            verified_at: Some(now),
            rooms_version: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        Ok(users::known_or(conn, new).await?)
    }
}
