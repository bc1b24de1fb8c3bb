//! Passwords: what passes for one, and how one is kept and proven.
//!
//! Hashing costs time and memory on purpose, so it runs on threads of its own, a few at a time.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use entity::user;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use zxcvbn::{Score, zxcvbn};

use super::{AN_HOUR, Auth, Caller, OtpCode, PhoneNumber, SignedIn, Viewer, otp::Purpose};
use crate::{
    domain::{random, text::refuse_nul},
    error::{Error, Result},
    ports::rate_limit::Limit,
    store::{commit, sessions, users},
};

const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;
/// In characters.
const RATED_AT_ONCE: usize = 16;
/// What stands for a hash where there is none: of the same cost as all others, and proven by no password.
const NOBODYS: &str = "9mFVAjzV31kZnLUrEBTLDHcmAJ0iRdHoZc9cWbvVOFE";
/// In bytes.
const SALT: usize = 16;

/// A password that somebody chose, of 8 to 128 characters. Whether it is easy to guess takes time to find out:
/// [`Passwords::rate`].
#[derive(Clone, Debug)]
pub struct Password {
    field: &'static str,
    text: SecretString,
}

impl Password {
    /// # Errors
    /// [`Error::BadInput`] for `field`.
    pub fn parse(field: &'static str, text: String) -> Result<Self> {
        let length = text.chars().count();
        if !LENGTHS.contains(&length) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            return Err(Error::bad_input(
                field,
                format!("{field} must be {least} to {most} characters; got {length}."),
            ));
        }
        refuse_nul(field, &text)?;
        Ok(Self { field, text: text.into() })
    }
}

/// Whether it is guessed within a million tries. It is at least as hard to guess as the hardest of its parts, and the time
/// that rating takes grows much faster than the length: up to 1.5 s for 128 characters, 25 ms for 16.
fn is_easy(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut parts = characters.chunks(RATED_AT_ONCE).map(|part| part.iter().collect::<String>());
    parts.all(|part| zxcvbn(&part, &["pollux"]).score() < Score::Two)
}

/// Hashes and verifies with argon2id, by [OWASP's parameters](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html):
/// 19 MiB, two passes.
#[derive(Clone)]
pub struct Passwords {
    /// One for each that may be computed at once.
    turns: Arc<Semaphore>,
    /// What they compute in, kept: so much memory that comes and goes would stay with the allocator, many times over.
    memory: Arc<Mutex<Vec<Memory>>>,
}

type Memory = Vec<Block>;

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { turns: Arc::new(Semaphore::new(cores)), memory: Arc::default() }
    }
}

impl Passwords {
    /// # Errors
    /// [`Error::BadInput`] for one that is too easy to guess.
    pub(super) async fn rate(&self, password: &Password) -> Result<()> {
        let (field, text) = (password.field, password.text.clone());
        if self.compute(move |_| Ok(is_easy(text.expose_secret()))).await? {
            return Err(Error::bad_input(field, format!("{field} is too easy to guess: choose another.")));
        }
        Ok(())
    }

    /// Hashes one that has been rated.
    pub(super) async fn hash(&self, password: &Password) -> Result<String> {
        let password = password.text.clone();
        let salt = random::bytes::<SALT>()?;
        self.compute(move |memory| {
            let hash = computed(memory, Params::default(), &password, &salt)?;
            Ok(written(&Params::default(), &salt, &STANDARD_NO_PAD.encode(hash)))
        })
        .await
    }

    /// Whether this is the password. Nobody's is proven by none, after the same time.
    async fn verify(&self, password: String, hash: String) -> Result<bool> {
        let password = SecretString::from(password);
        self.compute(move |memory| {
            let read = PasswordHash::new(&hash);
            let read = read.map_err(|cause| anyhow!("a stored hash: {cause}"))?;
            let params = Params::try_from(&read).map_err(|cause| anyhow!("a stored hash: {cause}"))?;
            let (salt, right) = read.salt.zip(read.hash).context("a stored hash is not whole")?;
            let given = computed(memory, params, &password, salt.as_ref())?;
            // In constant time.
            let is_right = Output::new(&given).is_ok_and(|given| given == right);
            Ok(is_right && !hash.ends_with(NOBODYS))
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&mut Memory) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.clone().acquire_owned().await.context("no turns are given")?;
        let kept = self.memory.clone();
        let computed = tokio::task::spawn_blocking(move || {
            let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = lock().pop().unwrap_or_default();
            let computed = compute(&mut memory);
            lock().push(memory);
            drop(turn);
            computed
        });
        Ok(computed.await.context("a password was not computed")??)
    }
}

/// In the [PHC format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
fn written(params: &Params, salt: &[u8], hash: &str) -> String {
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${}${hash}", STANDARD_NO_PAD.encode(salt))
}

fn computed(
    memory: &mut Memory,
    params: Params,
    password: &SecretString,
    salt: &[u8],
) -> anyhow::Result<[u8; Params::DEFAULT_OUTPUT_LEN]> {
    memory.resize(params.block_count(), Block::default());
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into_with_memory(password.expose_secret().as_bytes(), salt, &mut hash, memory)
        .map_err(|cause| anyhow!("hashing a password: {cause}"))?;
    Ok(hash)
}

impl Auth {
    /// Signs in by password. A wrong one, a number without one and a number that is not known get the same answer after
    /// the same time.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], or [`Error::RateLimited`]: 10 tries an hour a phone, 30 an address.
    pub async fn login(
        &self,
        phone_number: &PhoneNumber,
        password: String,
        caller: &Caller,
    ) -> Result<SignedIn> {
        const REFUSED: Error = Error::Unauthenticated("The number or the password is not right.");
        self.take(&[
            Limit { key: format!("login:phone:{phone_number}"), max: 10, window: AN_HOUR },
            Limit { key: format!("login:address:{}", caller.network()), max: 30, window: AN_HOUR },
        ])
        .await?;
        if password.chars().count() > *LENGTHS.end() {
            return Err(REFUSED);
        }
        // Argon2's time depends on the salt, a little: each number has its own, known or not.
        let salt = hmac::sign(&self.keys.current.salt, phone_number.as_str().as_bytes());
        let nobodys = written(&Params::default(), &salt.as_ref()[..SALT], NOBODYS);
        let hash = users::password_hash_or(self.db.read(), phone_number.as_str(), &nobodys).await?;
        if !self.passwords.verify(password, hash.clone()).await? {
            return Err(REFUSED);
        }
        let (signed_in, ended) = self
            .db
            .again(|| async {
                let tx = self.db.begin().await?;
                // A password that was changed meanwhile proves nothing any more.
                let user = users::locked_by_phone_number(&tx, phone_number.as_str()).await?.ok_or(REFUSED)?;
                if user.password_hash.as_ref() != Some(&hash) {
                    return Err(REFUSED);
                }
                let signed_in = self.begin_session(&tx, user, caller).await?;
                commit(tx).await?;
                Ok(signed_in)
            })
            .await?;
        self.tell_all_ended(&ended).await;
        signed_in.log("password");
        Ok(signed_in)
    }

    /// Sets a password with a code that [`send_otp`](Self::send_otp) sent for it, ends all sessions and begins a new one.
    ///
    /// # Errors
    /// [`Error::OtpInvalid`]; [`Error::BadInput`] for a password that is too easy to guess, at no cost to the code.
    pub async fn reset_password(
        &self,
        phone_number: &PhoneNumber,
        code: &OtpCode,
        new: &Password,
        caller: &Caller,
    ) -> Result<SignedIn> {
        self.take(&[Limit { key: format!("reset:address:{}", caller.network()), max: 30, window: AN_HOUR }])
            .await?;
        self.passwords.rate(new).await?;
        let hash = self.passwords.hash(new).await?;
        let without_a_code = self.tries_left_without_a_code(phone_number, Purpose::Reset).await;
        let (signed_in, ended) = self
            .db
            .again(|| async {
                let tx = self.db.begin().await?;
                let proven = self.prove(&tx, phone_number, code, Purpose::Reset, without_a_code).await?;
                let reset = match proven {
                    Ok(()) => {
                        let user = self.proven(&tx, phone_number, None).await?;
                        let ended = sessions::end_all_owned_by(&tx, user.id).await?;
                        let user = users::set_password(&tx, user, &hash, self.clock.now()).await?;
                        Ok((self.begin_session(&tx, user, caller).await?.0, ended))
                    }
                    Err(wrong) => Err(wrong),
                };
                commit(tx).await?;
                reset
            })
            .await?;
        signed_in.log("password reset");
        self.tell_all_ended(&ended).await;
        Ok(signed_in)
    }

    /// Sets another password and ends all other sessions. The first one needs no proof but the session.
    ///
    /// # Errors
    /// [`Error::BadInput`] if `current` is not the current one or the new one is too easy; [`Error::Conflict`] if it changed meanwhile.
    pub async fn change_password(
        &self,
        viewer: Viewer,
        current: Option<String>,
        new: &Password,
    ) -> Result<user::Model> {
        self.take(&[Limit { key: format!("password:user:{}", viewer.user), max: 10, window: AN_HOUR }])
            .await?;
        self.passwords.rate(new).await?;
        let old = self.me(viewer).await?.password_hash;
        if let Some(old) = &old
            && !self.passwords.verify(current.unwrap_or_default(), old.clone()).await?
        {
            return Err(Error::bad_input("currentPassword", "currentPassword is not the current password."));
        }
        let hash = self.passwords.hash(new).await?;
        let (user, ended) = self
            .db
            .again(|| async {
                let tx = self.db.begin().await?;
                let user = users::locked(&tx, viewer.user).await?;
                let user = user.ok_or(Error::Unauthenticated("The account does not exist."))?;
                if user.password_hash != old {
                    return Err(Error::Conflict("The password was changed meanwhile.".to_owned()));
                }
                let user = users::set_password(&tx, user, &hash, self.clock.now()).await?;
                let ended = sessions::end_others(&tx, viewer.user, viewer.session).await?;
                commit(tx).await?;
                Ok((user, ended))
            })
            .await?;
        self.tell_all_ended(&ended).await;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_password_is_proven_by_itself_alone() {
        let passwords = Passwords::default();
        let password = Password::parse("password", "correct horse".to_owned()).unwrap();
        let hash = passwords.hash(&password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse".to_owned(), hash.clone()).await.unwrap());
        assert!(!passwords.verify("correct horsf".to_owned(), hash).await.unwrap());
        let nobodys = written(&Params::default(), &[7; SALT], NOBODYS);
        assert!(!passwords.verify("correct horse".to_owned(), nobodys).await.unwrap());
    }

    #[tokio::test]
    async fn no_more_passwords_are_computed_at_once_than_there_are_cores() {
        let passwords = Passwords::default();
        let cores = passwords.turns.available_permits();
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let computations = (0..4 * cores).map(|_| {
            let (at_once, most) = (at_once.clone(), most.clone());
            passwords.compute(move |_| {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                is_easy("Tr0ub4dor&3-Tr0u");
                at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        });
        futures_util::future::try_join_all(computations).await.unwrap();
        let most = most.load(Ordering::SeqCst);
        assert!((1..=cores).contains(&most), "{most} at once on {cores} cores");
    }

    #[test]
    fn a_password_has_8_to_128_characters() {
        let parse = |length| {
            let text = "zqé!vK2mPx7é".repeat(11).chars().take(length).collect();
            Password::parse("newPassword", text).is_ok()
        };
        assert!([8, 128].into_iter().all(parse));
        assert!(![0, 7, 129].into_iter().any(parse));
    }

    #[test]
    fn a_long_password_is_rated_in_parts() {
        let easy = "password".repeat(16);
        assert!(is_easy("password") && is_easy(&easy));
        assert!(!is_easy("correct horse"));
        // One part that is hard to guess is enough, wherever it is.
        for part in 0..4 {
            let mut parts = vec!["password".repeat(4); 4];
            "xq7!vK2mPz".clone_into(&mut parts[part]);
            assert!(!is_easy(&parts[..=part].concat()), "{part}");
        }
    }
}
