//! Passwords: their rules, hashing and verification.
//!
//! Hashing is slow and memory-hard on purpose. It runs on blocking threads, at most one per core at a time.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use zxcvbn::{Score, zxcvbn};

use crate::{
    domain::{random, text::reject_nul},
    error::{Error, Result},
};

/// In characters.
const MIN_LENGTH: usize = 8;
/// In characters.
pub(super) const MAX_LENGTH: usize = 128;
/// How many characters are rated at a time.
const CHUNK_LENGTH: usize = 16;
/// The digest in a decoy hash, which stands in for the password hash of a phone number without an account or a password.
/// Verifying a password against a decoy hash takes as long as against a real one, and always fails.
const DECOY_DIGEST: &str = "9mFVAjzV31kZnLUrEBTLDHcmAJ0iRdHoZc9cWbvVOFE";
/// In bytes.
const SALT_LENGTH: usize = 16;

/// A new password of 8 to 128 characters. Whether it is easy to guess is checked separately, by
/// [`Passwords::check_strength`], because that is slow.
#[derive(Clone, Debug)]
pub struct Password {
    field: &'static str,
    text: SecretString,
}

impl Password {
    /// # Errors
    /// [`Error::BadInput`] for `field` if the text is too short or too long, or contains U+0000.
    pub fn parse(field: &'static str, text: String) -> Result<Self> {
        let length = text.chars().count();
        if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
            return Err(Error::bad_input(
                field,
                format!("{field} must be {MIN_LENGTH} to {MAX_LENGTH} characters; got {length}."),
            ));
        }
        reject_nul(field, &text)?;
        Ok(Self { field, text: text.into() })
    }
}

/// Whether a million guesses are enough to find the password. Rates chunks of 16 characters one by one, because each takes at
/// most 25 ms, whereas rating 128 characters at once can take 1.5 s. The password is at least as hard to guess as its hardest
/// chunk.
fn is_easy_to_guess(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut chunks = characters.chunks(CHUNK_LENGTH).map(|chunk| chunk.iter().collect::<String>());
    chunks.all(|chunk| zxcvbn(&chunk, &["pollux"]).score() < Score::Two)
}

/// Hashes and verifies with argon2id, 19 MiB of memory and two passes, as
/// [OWASP recommends](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html).
#[derive(Clone)]
pub struct Passwords {
    /// One permit per concurrent computation.
    permits: Arc<Semaphore>,
    /// The working memory of finished computations. Later ones reuse it, because allocating it each time would fragment the heap.
    memory: Arc<Mutex<Vec<Memory>>>,
}

type Memory = Vec<Block>;

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { permits: Arc::new(Semaphore::new(cores)), memory: Arc::default() }
    }
}

impl Passwords {
    /// # Errors
    /// [`Error::BadInput`] if the password is too easy to guess.
    pub(super) async fn check_strength(&self, password: &Password) -> Result<()> {
        let (field, text) = (password.field, password.text.clone());
        if self.compute(move |_| Ok(is_easy_to_guess(text.expose_secret()))).await? {
            return Err(Error::bad_input(
                field,
                format!("{field} is too easy to guess; choose a longer or less common one."),
            ));
        }
        Ok(())
    }

    /// Hashes a password whose strength was checked.
    pub(super) async fn hash(&self, password: &Password) -> Result<String> {
        let password = password.text.clone();
        let salt = random::bytes::<SALT_LENGTH>()?;
        self.compute(move |memory| {
            let hash = compute_hash(memory, Params::default(), &password, &salt)?;
            Ok(phc_string(&Params::default(), &salt, &STANDARD_NO_PAD.encode(hash)))
        })
        .await
    }

    /// Whether `password` has this hash. A decoy hash matches no password and takes the same time.
    pub(super) async fn verify(&self, password: String, hash: String) -> Result<bool> {
        let password = SecretString::from(password);
        self.compute(move |memory| {
            let parsed = PasswordHash::new(&hash);
            let parsed =
                parsed.map_err(|error| anyhow!("failed to parse a stored password hash: {error}"))?;
            let params = Params::try_from(&parsed)
                .map_err(|error| anyhow!("a stored password hash has invalid parameters: {error}"))?;
            let (salt, expected) =
                parsed.salt.zip(parsed.hash).context("a stored password hash has no salt or no digest")?;
            let actual = compute_hash(memory, params, &password, salt.as_ref())?;
            // `Output` compares in constant time.
            let is_correct = Output::new(&actual).is_ok_and(|actual| actual == expected);
            Ok(is_correct && !hash.ends_with(DECOY_DIGEST))
        })
        .await
    }

    /// Runs a computation on a blocking thread, when a permit is available. The computation keeps its permit until it ends, even
    /// if the caller is cancelled.
    async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&mut Memory) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await.context("the semaphore is closed")?;
        let pool = self.memory.clone();
        let computed = tokio::task::spawn_blocking(move || {
            let lock = || pool.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = lock().pop().unwrap_or_default();
            let computed = compute(&mut memory);
            lock().push(memory);
            drop(permit);
            computed
        });
        Ok(computed.await.context("a password computation panicked")??)
    }
}

/// A hash that no password matches, for a number without a password.
pub(super) fn decoy_hash(salt: &[u8]) -> String {
    phc_string(&Params::default(), &salt[..SALT_LENGTH], DECOY_DIGEST)
}

/// A hash in the [PHC format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md).
fn phc_string(params: &Params, salt: &[u8], hash: &str) -> String {
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${}${hash}", STANDARD_NO_PAD.encode(salt))
}

fn compute_hash(
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
        .map_err(|error| anyhow!("failed to hash a password: {error}"))?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::default();
        let password = Password::parse("password", "correct horse".to_owned()).unwrap();
        let hash = passwords.hash(&password).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse".to_owned(), hash.clone()).await.unwrap());
        assert!(!passwords.verify("correct horsf".to_owned(), hash).await.unwrap());
        let decoy = decoy_hash(&[7; SALT_LENGTH]);
        assert!(!passwords.verify("correct horse".to_owned(), decoy).await.unwrap());
    }

    #[tokio::test]
    async fn at_most_one_password_is_computed_per_core() {
        let passwords = Passwords::default();
        let cores = passwords.permits.available_permits();
        let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let computations = (0..4 * cores).map(|_| {
            let (running, peak) = (running.clone(), peak.clone());
            passwords.compute(move |_| {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // This takes long enough for the computations to overlap. Its result does not matter.
                is_easy_to_guess("Tr0ub4dor&3-Tr0u");
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        });
        futures_util::future::try_join_all(computations).await.unwrap();
        let peak = peak.load(Ordering::SeqCst);
        assert!((1..=cores).contains(&peak), "{peak} at once on {cores} cores");
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
    fn a_long_password_is_rated_in_chunks() {
        let easy = "password".repeat(16);
        assert!(is_easy_to_guess("password") && is_easy_to_guess(&easy));
        assert!(!is_easy_to_guess("correct horse"));
        // One chunk that is hard to guess is enough, wherever it is.
        for strong in 0..4 {
            let mut chunks = vec!["password".repeat(4); 4];
            "xq7!vK2mPz".clone_into(&mut chunks[strong]);
            assert!(!is_easy_to_guess(&chunks[..=strong].concat()), "chunk {strong}");
        }
    }
}
